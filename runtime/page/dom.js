/** Make elements of the page. */

const ICONS = new URL("vendor/lucide/icons.svg", import.meta.url).pathname;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Return an element; properties that it does not have become attributes, `on…` listeners.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export function element(tag, properties = {}, ...children) {
  const made = /** @type {any} */ (document.createElement(tag));
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/**
 * Return one of the icons in vendor/lucide.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${ICONS}#${name}`);
  svg.append(use);
  return svg;
}

/**
 * Return a button that shows an icon alone; `label` is its name and its tip.
 * @param {string} name
 * @param {string} label
 * @param {(event: MouseEvent) => void} onclick
 * @param {Record<string, any>} [properties]
 */
export function iconButton(name, label, onclick, properties = {}) {
  return element(
    "button",
    { type: "button", className: "quiet", "aria-label": label, title: label, onclick, ...properties },
    icon(name),
  );
}

/**
 * Return the page's element with this id.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * Let a text field be as high as what is in it.
 * @param {HTMLTextAreaElement} field
 */
export function fitHeight(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}

/**
 * Put text on the clipboard and show so on the button that was pressed.
 * @param {string} text
 * @param {HTMLElement} button
 */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text); // over plain http from another machine there is no clipboard object
  }
  const shown = button.querySelector("use");
  shown?.setAttribute("href", `${ICONS}#check`);
  announce("Copied");
  setTimeout(() => shown?.setAttribute("href", `${ICONS}#copy`), 1500);
}

/** @param {string} text */
function copyBySelection(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const field = element("textarea", { value: text, className: "unseen" });
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  focused?.focus();
}

/**
 * Let a screen reader say something, once it has finished what it is saying.
 * @param {string} text
 */
export function announce(text) {
  byId("announcer").textContent = text;
}
