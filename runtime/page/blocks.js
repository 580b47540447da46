/** Show Markdown that is still being written: only what is new is read and drawn again. */

import { blocks, render } from "./markdown.js";
import { element } from "./dom.js";

/**
 * How many blocks at the end may still change: with the next line, the last may become part of
 * the one before it, as when a list goes on behind a blank line.
 */
const OPEN = 2;
/** Drawing may take at most one part in so many of the time. */
const SHARE = 5;

export class Blocks {
  #root;
  #text = "";
  /** How much of the text lies before the blocks that may still change. */
  #settled = 0;
  /** @type {Record<string, any>} */
  #links = {};
  /** @type {{raw: string, node: HTMLElement}[]} the blocks that may still change */
  #open = [];
  #rest = 0;

  /** @param {HTMLElement} root an empty element to show it in */
  constructor(root) {
    this.#root = root;
  }

  /** Whether it is not yet time to draw again. */
  get resting() {
    return performance.now() < this.#rest;
  }

  /** Show `text`, which usually is what was shown and more. @param {string} text */
  update(text) {
    const begun = performance.now();
    if (text.includes("\r")) text = text.replace(/\r\n?/g, "\n");
    if (!text.startsWith(this.#text)) this.#reset();
    this.#text = text;
    const tail = text.slice(this.#settled);
    const tokens = blocks(tail, this.#links);
    this.#draw(tokens);
    this.#settle(tokens, tail);
    const now = performance.now();
    this.#rest = now + (now - begun) * (SHARE - 1);
  }

  /** Show all of `text`, now that no more will come. @param {string} text */
  finish(text) {
    // A link may be defined far behind where it is used.
    if (Object.keys(this.#links).length) this.#reset();
    this.update(text);
  }

  #reset() {
    this.#root.replaceChildren();
    this.#text = "";
    this.#settled = 0;
    this.#links = {};
    this.#open = [];
  }

  /** @param {any[]} tokens */
  #draw(tokens) {
    for (const [at, token] of tokens.entries()) {
      const known = this.#open[at];
      if (known?.raw === token.raw) continue;
      if (known) {
        keepingScroll(known.node, () => known.node.replaceChildren(render(token)));
        known.raw = token.raw;
      } else {
        const node = element("div", { className: "block" });
        node.append(render(token));
        this.#root.append(node);
        this.#open.push({ raw: token.raw, node });
      }
    }
    for (const { node } of this.#open.splice(tokens.length)) node.remove();
  }

  /** @param {any[]} tokens @param {string} tail */
  #settle(tokens, tail) {
    const solid = tokens.map((token, at) => (token.type === "space" ? -1 : at)).filter((at) => at >= 0);
    const count = solid.length > OPEN ? solid[solid.length - OPEN] : 0;
    const raw = tokens.slice(0, count).map((token) => token.raw).join("");
    if (!count || !tail.startsWith(raw)) return; // what was read is not what was written
    this.#settled += raw.length;
    this.#open.splice(0, count);
  }
}

/** Draw a block anew without moving the code in it. @param {HTMLElement} node @param {() => void} draw */
function keepingScroll(node, draw) {
  const before = Array.from(node.querySelectorAll("pre"), (pre) => pre.scrollLeft);
  draw();
  node.querySelectorAll("pre").forEach((pre, at) => (pre.scrollLeft = before[at] ?? 0));
}
