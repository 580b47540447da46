/** Dialogs, short messages and menus. */

import { announce, byId, element, icon, iconButton } from "./dom.js";

const TOAST = 5000; // milliseconds
const UNDO = 10_000;

/**
 * Fill a dialog and open it.
 * @param {HTMLDialogElement} dialog
 * @param {string} title
 * @param {...Node} content
 */
export function openSheet(dialog, title, ...content) {
  const close = iconButton("x", "Close", () => dialog.close());
  const heading = element("h2", { id: `${dialog.id}-title` }, title);
  dialog.replaceChildren(
    element("div", { className: "sheet-top" }, heading, close),
    element("div", { className: "sheet-body", tabIndex: 0 }, ...content),
  );
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close(); // beside it
  };
  if (!dialog.open) dialog.showModal();
}

/**
 * Ask before something that cannot be taken back.
 * @param {string} title
 * @param {string} text
 * @param {string} choice
 * @returns {Promise<boolean>}
 */
export function confirmed(title, text, choice) {
  const dialog = byId("ask");
  const close = (/** @type {string} */ value) => () => dialog.close(value);
  dialog.returnValue = "";
  openSheet(
    dialog,
    title,
    element("p", {}, text),
    element(
      "div",
      { className: "sheet-end" },
      element("button", { type: "button", className: "button", autofocus: true, onclick: close("") }, "Cancel"),
      element("button", { type: "button", className: "button grave", onclick: close("yes") }, choice),
    ),
  );
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/**
 * Ask for the key that the program wants; undefined if the user does not give one.
 * @returns {Promise<string | undefined>}
 */
export function askedKey() {
  const dialog = byId("ask");
  const field = element("input", {
    className: "filled", type: "password", autocomplete: "current-password", "aria-label": "Key", required: true,
  });
  const form = element(
    "form",
    { method: "dialog" },
    element("p", {}, "Whoever started this program has protected it with a key."),
    element("p", { className: "hint" }, "It is kept in this browser only, and sent to nobody but this program."),
    field,
    element(
      "div",
      { className: "sheet-end" },
      element("button", { type: "submit", className: "button main-choice", value: "yes" }, "Continue"),
    ),
  );
  dialog.returnValue = "";
  openSheet(dialog, "Key needed", form);
  field.focus();
  return new Promise((resolve) => {
    const done = () => resolve(dialog.returnValue === "yes" ? field.value : undefined);
    dialog.addEventListener("close", done, { once: true });
  });
}

/**
 * Say something in passing, with a way to take it back if `undo` is given.
 * @param {string} text
 * @param {() => unknown} [undo]
 */
export function toast(text, undo) {
  const shown = element("div", { className: "toast" }, element("span", {}, text));
  const remove = () => {
    shown.remove();
    if (!byId("toasts").hasChildNodes()) byId("toasts").hidePopover();
  };
  if (undo) {
    const onclick = () => {
      remove();
      undo();
    };
    shown.append(element("button", { type: "button", onclick }, "Undo"));
  }
  const place = byId("toasts");
  place.replaceChildren(shown); // one at a time
  place.hidePopover();
  place.showPopover(); // above a dialog, too
  announce(undo ? `${text} Alt+Z takes it back.` : text);
  let timer = setTimeout(remove, undo ? UNDO : TOAST);
  for (const name of ["pointerenter", "focusin"]) shown.addEventListener(name, () => clearTimeout(timer));
  for (const name of ["pointerleave", "focusout"]) {
    shown.addEventListener(name, () => {
      clearTimeout(timer);
      timer = setTimeout(remove, TOAST);
    });
  }
}

/** Take back what was said last, if it can be. */
export function undoLast() {
  byId("toasts").querySelector("button")?.click();
}

/**
 * Open a menu below a button.
 * @param {HTMLElement} button
 * @param {{icon: string, label: string, run: () => unknown, grave?: boolean}[]} choices
 */
export function openMenu(button, choices) {
  const items = choices.map((choice) => {
    const onclick = () => {
      menu.hidePopover();
      choice.run();
    };
    return element(
      "button",
      { type: "button", role: "menuitem", tabIndex: -1, className: choice.grave ? "grave" : "", onclick },
      icon(choice.icon),
      choice.label,
    );
  });
  const menu = element("div", { className: "menu", role: "menu", popover: "auto" }, ...items);
  menu.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      items.at(to % items.length).focus();
    } else if (event.key === "Tab" || event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      menu.hidePopover();
    }
  });
  menu.addEventListener("toggle", (/** @type {ToggleEvent} */ event) => {
    if (event.newState === "open") return;
    button.setAttribute("aria-expanded", "false");
    if (menu.contains(document.activeElement) || document.activeElement === document.body) button.focus();
    menu.remove();
  });
  document.body.append(menu);
  menu.showPopover();
  button.setAttribute("aria-expanded", "true");
  const { left, bottom, top } = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = bottom + 4 + height < innerHeight;
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  menu.style.top = `${below ? bottom + 4 : top - 4 - height}px`;
  items[0].focus();
}
