/** Show what an answer was made from: cards below it, links to them in it, and the passage itself. */

import { byId, element } from "./dom.js";
import { openSheet } from "./sheets.js";
import { documentPart } from "./server.js";

/** @typedef {import("./conversation.js").Message} Message */
/** @typedef {import("./conversation.js").Source} Source */

const CITATION = /\[(\d{1,3}(?:, \d{1,3})*)\]/g;
const AROUND = 20_000; // characters before and behind a passage that are shown with it

/** Return the sources to show: those that are cited, or all if none is. @param {Message} message */
function shown({ sources = [] }) {
  const cited = sources.filter((source) => source.cited);
  return cited.length ? cited : sources;
}

/** @param {Message} message @param {Source} source */
function idOf(message, source) {
  return `source-${message.id}-${source.number}`;
}

/** Return in words where a source stands. @param {Source} source */
function placeOf({ title, heading, page, date }) {
  return [heading === title ? "" : heading, page ? `page ${page}` : "", date].filter(Boolean).join(" · ");
}

/** Return the cards of an answer's sources, nothing if it has none. @param {Message} message */
export function cards(message) {
  const found = shown(message);
  if (!found.length) return null;
  const none = !found.some((source) => source.cited);
  const items = found.map((source) => element("li", {}, card(message, source)));
  return element(
    "section",
    { className: "sources", "aria-label": "Sources" },
    element("h3", {}, none ? "Passages it was to be made from; none is cited" : "Sources"),
    element("ol", {}, ...items),
  );
}

/** @param {Message} message @param {Source} source */
function card(message, source) {
  const place = placeOf(source);
  return element(
    "button",
    { type: "button", className: "source", id: idOf(message, source), onclick: () => openPassage(source) },
    element("span", { className: "source-number" }, `${source.number}`),
    element("span", { className: "source-name" }, source.title || source.path),
    place && element("span", { className: "source-place" }, place),
    element("span", { className: "source-text" }, source.text),
  );
}

/**
 * Make links of the citations in an answer that is shown.
 * @param {HTMLElement} root
 * @param {Message} message
 */
export function linkCitations(root, message) {
  const known = new Map(shown(message).map((source) => [source.number, source]));
  if (!known.size) return;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, (node) =>
    node.parentElement?.closest("a, pre, code, button") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  );
  const texts = /** @type {Text[]} */ ([]);
  while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
  for (const text of texts) {
    const parts = [...linked(text.data, known, message)];
    if (parts.length > 1) text.replaceWith(...parts);
  }
}

/**
 * Yield the parts of a text, citations as links.
 * @param {string} text
 * @param {Map<number, Source>} known
 * @param {Message} message
 */
function* linked(text, known, message) {
  let at = 0;
  for (const match of text.matchAll(CITATION)) {
    const numbers = match[1].split(", ").map(Number);
    if (!numbers.every((number) => known.has(number))) continue;
    yield `${text.slice(at, match.index)}[`;
    for (const [place, number] of numbers.entries()) {
      if (place) yield ", ";
      yield link(/** @type {Source} */ (known.get(number)), message);
    }
    at = match.index + match[0].length - 1;
  }
  yield text.slice(at);
}

/** @param {Source} source @param {Message} message */
function link(source, message) {
  const id = idOf(message, source);
  const onclick = (/** @type {MouseEvent} */ event) => {
    event.preventDefault(); // the address names the conversation
    const target = document.getElementById(id);
    target?.scrollIntoView({ block: "nearest" });
    target?.focus({ preventScroll: true });
  };
  const name = `Source ${source.number}: ${source.title || source.path}`;
  return element("a", { className: "citation", href: `#${id}`, "aria-label": name, title: name, onclick }, `${source.number}`);
}

/** Show a passage in its document, or alone where the document is another now. @param {Source} source */
export async function openPassage(source) {
  const place = [source.path, placeOf(source)].filter(Boolean).join(" · ");
  const text = element("div", { className: "document-text" }, element("mark", {}, source.text));
  const note = element("p", { className: "hint", hidden: true });
  openSheet(byId("passage"), source.title || source.path, element("p", { className: "hint" }, place), note, text);
  const begin = Math.max(0, source.begin - AROUND);
  try {
    const part = await documentPart(source.document, begin, source.end + AROUND);
    // By characters, as the program counts them: JavaScript counts some as two.
    const signs = [...part.text];
    const found = signs.slice(source.begin - part.begin, source.end - part.begin).join("");
    if (part.path !== source.path || !found || !source.text.endsWith(found)) {
      throw new Error("The documents have changed since: this is the passage as it was.");
    }
    const mark = element("mark", {}, found);
    const before = signs.slice(0, source.begin - part.begin).join("");
    const behind = signs.slice(source.end - part.begin).join("");
    text.replaceChildren(
      part.begin ? `…${before}` : before,
      mark,
      part.end < part.size ? `${behind}…` : behind,
    );
    mark.scrollIntoView({ block: "center" });
  } catch (error) {
    note.textContent = /** @type {Error} */ (error).message;
    note.hidden = false;
  }
}
