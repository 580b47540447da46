/** Light or dark: as the system has it, unless the user chose. */

const DARK = matchMedia("(prefers-color-scheme: dark)");
const COLOURS = { light: "#faf9f6", dark: "#191817" };

/** @returns {"light" | "dark" | "system"} */
export function chosen() {
  return /** @type {any} */ (localStorage.getItem("theme")) ?? "system";
}

/** @returns {"light" | "dark"} */
export function current() {
  const choice = chosen();
  return choice === "system" ? (DARK.matches ? "dark" : "light") : choice;
}

/** @param {"light" | "dark" | "system"} choice */
export function choose(choice) {
  if (choice === "system") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", choice);
    document.documentElement.dataset.theme = choice;
  }
  changed();
}

/** Call `listener` now and whenever the theme is another. @param {() => void} listener */
export function onChange(listener) {
  listeners.push(listener);
  listener();
}

/** @type {(() => void)[]} */
const listeners = [];

function changed() {
  for (const meta of document.querySelectorAll("meta[name='theme-color']")) {
    const own = /** @type {HTMLMetaElement} */ (meta).media.includes("dark") ? "dark" : "light";
    /** @type {HTMLMetaElement} */ (meta).content = COLOURS[chosen() === "system" ? own : current()];
  }
  for (const listener of listeners) listener();
}

DARK.addEventListener("change", changed);
changed();
