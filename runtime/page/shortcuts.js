/** What keys do, in one list: it is what the page listens for and what its help shows. */

import { element } from "./dom.js";

const MAC = /mac|iphone|ipad/i.test(navigator.platform);
const AFTER_COMPOSING = 30; // milliseconds; nobody presses Enter twice as fast

/**
 * @typedef {object} Shortcut
 * @property {string} does
 * @property {string} code  of the key, wherever the layout has it
 * @property {string[]} shown  the keys in words
 * @property {"Alt" | "Ctrl" | ""} [modifier]  Ctrl is ⌘ on a Mac
 * @property {() => unknown} [run]  not for those that a field handles itself
 */

let composed = -Infinity;
addEventListener("compositionend", (event) => (composed = event.timeStamp), true);

/**
 * Whether this key press is an Enter that means "done", and not the one by which an input method
 * takes a candidate: that is marked as composing, but Safari ends the composition before it sends
 * the key, whose code is 229 then.
 * @param {KeyboardEvent} event
 */
export function confirms(event) {
  return (
    event.key === "Enter" && !event.shiftKey && !event.altKey &&
    !event.isComposing && event.keyCode !== 229 &&
    event.timeStamp - composed > AFTER_COMPOSING
  );
}

/** @param {Shortcut[]} shortcuts */
export function listen(shortcuts) {
  addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || event.defaultPrevented) return;
    const control = MAC ? event.metaKey : event.ctrlKey;
    const modifier = event.altKey && !control ? "Alt" : control && !event.altKey ? "Ctrl" : "";
    if (event.shiftKey || (modifier === "" && event.key !== "Escape")) return;
    if (document.querySelector("dialog[open]")) return; // it closes itself
    const hit = shortcuts.find(
      (shortcut) => shortcut.run && shortcut.code === event.code && (shortcut.modifier ?? "") === modifier,
    );
    if (!hit) return;
    event.preventDefault();
    hit.run?.();
  });
}

/** Return the list for people. @param {Shortcut[]} shortcuts */
export function described(shortcuts) {
  const rows = shortcuts.flatMap(({ does, modifier, shown }) => {
    const named = modifier === "Ctrl" && MAC ? "⌘" : modifier === "Alt" && MAC ? "⌥" : modifier;
    const keys = [...(named ? [named] : []), ...shown];
    const shownKeys = keys.flatMap((key, at) => [at ? " + " : "", element("kbd", {}, key)]);
    return [element("dt", {}, does), element("dd", {}, ...shownKeys)];
  });
  return element("dl", { className: "keys" }, ...rows);
}
