/**
 * Turn Markdown that a model wrote into elements that can do no harm.
 *
 * marked reads it, DOMPurify lets through what is listed here, and highlight.js colours code.
 * Tags in the text are shown as text, but for a few without attributes, so nothing that a model
 * says about HTML gets lost. Pictures from elsewhere become links: nothing is fetched unasked.
 */

import { Lexer, Marked, Parser } from "./vendor/marked/marked.js";
import DOMPurify from "./vendor/dompurify/purify.js";
import { copy, element, icon } from "./dom.js";

const TAGS = [
  "a", "blockquote", "br", "code", "dd", "del", "details", "dl", "dt", "em", "h3", "h4", "h5", "h6",
  "hr", "img", "input", "kbd", "li", "mark", "ol", "p", "pre", "s", "strong", "sub", "summary",
  "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
];
const ATTRIBUTES = ["align", "alt", "checked", "class", "disabled", "href", "open", "src", "start", "type"];
const LINKS = /^(?:https?:|mailto:|data:image\/(?:png|jpeg|gif|webp);base64,)/i;
const PLAIN_TAG =
  /<\/?(?:b|br|dd|details|dl|dt|em|i|kbd|mark|s|strong|sub|summary|sup|u)\s*\/?>/gi;
const PLAIN_TAGS = { b: "strong", i: "em" };
const HEADING = 2; // the page's own are above those of answers
const WORTH_COLOUR = 50_000; // characters; colouring more would be felt

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** Return the plain tags of `text` as they are, all else as text. @param {string} text */
function tags(text) {
  let html = "";
  let at = 0;
  for (const match of text.matchAll(PLAIN_TAG)) {
    const tag = match[0].replace(/\b[bi]\b/i, (name) => PLAIN_TAGS[/** @type {"b"} */ (name.toLowerCase())]);
    html += escaped(text.slice(at, match.index)) + tag;
    at = match.index + match[0].length;
  }
  return html + escaped(text.slice(at));
}

const marked = new Marked({
  gfm: true,
  renderer: {
    heading({ tokens, depth }) {
      const level = Math.min(depth + HEADING, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    html({ text, block }) {
      return block ? `<p class="raw">${tags(text.trimEnd())}</p>\n` : tags(text);
    },
    image({ href, text }) {
      if (/^data:/i.test(href)) return `<img src="${escaped(href)}" alt="${escaped(text)}">`;
      return `<a href="${escaped(href)}">${escaped(text || href)}</a>`;
    },
  },
});

const purify = DOMPurify(window);
purify.addHook("uponSanitizeAttribute", (node, attribute) => {
  const { attrName: name, attrValue: value } = attribute;
  if (name === "class" && value !== "raw" && !/^language-[\w+#.-]+$/.test(value)) attribute.keepAttr = false;
  if (name === "src" && !/^data:/i.test(value)) attribute.keepAttr = false;
  if (name === "href" && /^data:/i.test(value)) attribute.keepAttr = false;
  if (name === "type" && value !== "checkbox") attribute.keepAttr = false;
});
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A" && node.hasAttribute("href")) {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
  if (node.tagName === "INPUT") node.setAttribute("disabled", "");
});

/**
 * Divide Markdown into blocks; each knows its source as `raw`, and together they are all of it.
 * @param {string} text with line feeds alone
 * @param {Record<string, any>} links link definitions from before, to which new ones are added
 * @returns {any[]}
 */
export function blocks(text, links) {
  const lexer = new Lexer(marked.defaults);
  Object.assign(lexer.tokens.links, links);
  const tokens = lexer.lex(text);
  Object.assign(links, lexer.tokens.links);
  return tokens;
}

/**
 * Return what one block looks like.
 * @param {any} token
 * @returns {Node}
 */
export function render(token) {
  let html;
  try {
    html = new Parser(marked.defaults).parse([token]);
  } catch {
    return document.createTextNode(token.raw); // nested deeper than anything that is meant
  }
  const made = purify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOWED_URI_REGEXP: LINKS,
    ADD_URI_SAFE_ATTR: ATTRIBUTES.filter((name) => name !== "href" && name !== "src"),
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const code of made.querySelectorAll("pre > code")) dress(/** @type {HTMLElement} */ (code));
  for (const table of made.querySelectorAll("table")) {
    const frame = element("div", { className: "table", tabIndex: 0, role: "region", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const box of made.querySelectorAll("input")) box.setAttribute("aria-label", "Task");
  return made;
}

/** Give code its colours, the name of its language and a button. @param {HTMLElement} code */
function dress(code) {
  const language = /language-(\S+)/.exec(code.className)?.[1] ?? "";
  const pre = /** @type {HTMLElement} */ (code.parentElement);
  const button = element(
    "button",
    { type: "button", className: "quiet", "aria-label": "Copy the code" },
    icon("copy"),
    "Copy",
  );
  // Without the last line end: pasted into a shell, it would run at once.
  button.addEventListener("click", () => copy((code.textContent ?? "").replace(/\n$/, ""), button));
  const frame = element(
    "div",
    { className: "code" },
    element("div", { className: "code-top" }, element("span", {}, language), button),
  );
  pre.replaceWith(frame);
  pre.tabIndex = 0; // what scrolls must be reachable by keys
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", language ? `Code in ${language}` : "Code");
  frame.append(pre);
  colour(code, language);
}

/** @type {any} loaded with the first code that is shown */
let highlighter;
let loading;

/** @param {HTMLElement} code @param {string} language */
function colour(code, language) {
  const text = code.textContent ?? "";
  if (!language || text.length > WORTH_COLOUR) return;
  if (!highlighter) {
    loading ??= import("./vendor/highlight/highlight.js").then((module) => (highlighter = module.default));
    loading.then(() => colour(code, language), () => {});
    return;
  }
  if (!highlighter.getLanguage(language)) return;
  code.innerHTML = highlighter.highlight(text, { language, ignoreIllegals: true }).value;
}
