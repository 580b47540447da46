/** Show the conversations, find, name and delete them. */

import { byId, element, iconButton } from "./dom.js";
import { confirms } from "./shortcuts.js";
import { openMenu } from "./sheets.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Found} Found */
/** @typedef {import("./answers.js").Answers} Answers */

/**
 * @typedef {object} Actions  what can be done with a conversation
 * @property {(id: string) => unknown} open
 * @property {(id: string, title: string) => unknown} rename
 * @property {(id: string) => unknown} export
 * @property {(id: string) => unknown} remove
 */

const NARROW = matchMedia("(max-width: 48rem)");
const DAY = 24 * 60 * 60 * 1000;

export class Sidebar {
  #list = byId("conversations");
  #search = byId("search");
  /** @type {string | undefined} */
  #open;
  /** @type {string | undefined} */
  #renaming;
  #asked = 0;

  /** @param {Store} store @param {Answers} answers @param {Actions} actions */
  constructor(store, answers, actions) {
    this.store = store;
    this.answers = answers;
    this.actions = actions;
    store.addEventListener("change", () => this.update());
    answers.addEventListener("progress", (event) => {
      if (/** @type {any} */ (event).detail.phase === "asked") this.update();
    });
    answers.addEventListener("done", () => this.update());
    this.#search.addEventListener("input", () => this.update());
    this.#search.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape" && !event.isComposing) this.#leaveSearch(event);
      else if (confirms(event)) this.#list.querySelector(".pick")?.click();
      else if (event.key === "ArrowDown") this.#list.querySelector(".pick")?.focus();
    });
    this.#list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#step(event));
    byId("sidebar-open").addEventListener("click", () => this.show(true));
    byId("sidebar-close").addEventListener("click", () => this.show(false));
    byId("scrim").addEventListener("click", () => this.show(false));
  }

  /** Whether it can be seen. */
  get shown() {
    if (NARROW.matches) return document.body.classList.contains("drawer");
    return document.documentElement.dataset.sidebar !== "hidden";
  }

  /** @param {boolean} shown @param {boolean} [focus] whether to go where it was opened or closed */
  show(shown, focus = true) {
    if (NARROW.matches) document.body.classList.toggle("drawer", shown);
    else {
      if (shown) delete document.documentElement.dataset.sidebar;
      else document.documentElement.dataset.sidebar = "hidden";
      localStorage.setItem("sidebar", shown ? "" : "hidden");
    }
    if (focus) byId(shown ? "sidebar-close" : "sidebar-open").focus();
  }

  /** Close it where it lies over the page. */
  close() {
    if (NARROW.matches && this.shown) this.show(false, false);
  }

  search() {
    if (!this.shown) this.show(true);
    this.#search.focus();
    this.#search.select();
  }

  /** @param {string | undefined} id of the conversation that is open */
  mark(id) {
    this.#open = id;
    this.update();
  }

  /** Return the conversation above or below the one that is open. @param {1 | -1} direction */
  beside(direction) {
    const ids = this.store.list().map((summary) => summary.id);
    const at = ids.indexOf(this.#open ?? "");
    return at < 0 ? ids[0] : ids[at + direction];
  }

  async update() {
    const asked = ++this.#asked;
    const query = this.#search.value.trim();
    const found = await this.store.search(query);
    if (asked !== this.#asked || this.#renaming) return;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement?.closest("li[data-id]"));
    const at = focused && [...focused.querySelectorAll("a, button")].indexOf(/** @type {any} */ (document.activeElement));
    this.#list.replaceChildren(...(query ? [this.#items(found, query)] : this.#byTime(found)));
    if (!found.length) {
      const text = query ? "Nothing found." : "Your conversations will be here. They are kept in this browser.";
      this.#list.replaceChildren(element("p", { className: "none" }, text));
    }
    if (focused) this.#item(focused.dataset.id ?? "")?.querySelectorAll("a, button")[at ?? 0]?.focus();
  }

  /** @param {Found[]} found */
  *#byTime(found) {
    const midnight = new Date().setHours(0, 0, 0, 0);
    const ages = /** @type {[string, number][]} */ ([
      ["Today", midnight], ["Yesterday", midnight - DAY], ["Last 7 days", midnight - 6 * DAY],
      ["Last 30 days", midnight - 29 * DAY], ["Earlier", -Infinity],
    ]);
    let rest = found;
    for (const [name, since] of ages) {
      const count = rest.findIndex((summary) => summary.updated < since);
      const these = count < 0 ? rest : rest.slice(0, count);
      rest = count < 0 ? [] : rest.slice(count);
      if (!these.length) continue;
      yield element("h2", {}, name);
      yield this.#items(these, "");
    }
  }

  /** @param {Found[]} found @param {string} query */
  #items(found, query) {
    return element("ul", {}, ...found.map((summary) => this.#row(summary, query)));
  }

  /** @param {Found} summary @param {string} query */
  #row(summary, query) {
    const { id, found } = summary;
    const title = summary.title || "Untitled";
    const open = id === this.#open;
    const pick = element(
      "a",
      {
        className: "pick", href: `#${id}`, title, "aria-current": open ? "page" : undefined,
        onclick: (/** @type {MouseEvent} */ event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return; // into another window
          event.preventDefault();
          this.actions.open(id);
        },
      },
      element("span", { className: "name" }, title),
      found && element("span", { className: "found" }, ...marked(found, query)),
    );
    const more = iconButton("ellipsis", `More about ${title}`, () => this.#menu(more, id), {
      className: "quiet more", "aria-haspopup": "menu", "aria-expanded": "false",
    });
    const busy = Boolean(this.answers.run(id));
    const row = element("li", { className: `${open ? "open" : ""} ${busy ? "busy" : ""}` }, pick, more);
    row.dataset.id = id;
    return row;
  }

  /** @param {HTMLElement} button @param {string} id */
  #menu(button, id) {
    openMenu(button, [
      { icon: "pencil", label: "Rename", run: () => this.rename(id) },
      { icon: "download", label: "Export", run: () => this.actions.export(id) },
      { icon: "trash-2", label: "Delete", run: () => this.actions.remove(id), grave: true },
    ]);
  }

  /** Let the user type another title in place. @param {string} id */
  rename(id) {
    const row = this.#item(id);
    const title = this.store.list().find((summary) => summary.id === id)?.title ?? "";
    if (!row) return;
    this.#renaming = id;
    const field = element("input", { className: "rename", value: title, maxLength: 200, "aria-label": "Title" });
    const end = async (/** @type {boolean} */ keep) => {
      if (this.#renaming !== id) return;
      this.#renaming = undefined;
      const wanted = field.value.trim();
      if (keep && wanted && wanted !== title) await this.actions.rename(id, wanted);
      await this.update();
      this.#item(id)?.querySelector("a").focus();
    };
    field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      event.stopPropagation();
      if (confirms(event)) end(true);
      else if (event.key === "Escape" && !event.isComposing) end(false);
    });
    field.addEventListener("blur", () => end(true));
    row.replaceChildren(field);
    field.focus();
    field.select();
  }

  /** @param {string} id @returns {any} */
  #item(id) {
    return this.#list.querySelector(`li[data-id="${CSS.escape(id)}"]`);
  }

  /** @param {KeyboardEvent} event */
  #leaveSearch(event) {
    event.stopPropagation();
    event.preventDefault();
    if (this.#search.value) {
      this.#search.value = "";
      this.update();
    } else {
      this.close();
      byId("question").focus();
    }
  }

  /** Go through the list by arrow keys. @param {KeyboardEvent} event */
  #step(event) {
    const direction = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = /** @type {HTMLElement} */ (event.target).closest("li");
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (row && event.key === "F2") this.rename(row.dataset.id ?? "");
    else if (row && event.key === "Delete") this.actions.remove(row.dataset.id ?? "");
    else if (direction) {
      const picks = [...this.#list.querySelectorAll(".pick")];
      const at = picks.indexOf(row?.querySelector(".pick"));
      if (at + direction < 0) this.#search.focus();
      else picks[at + direction]?.focus();
    } else return;
    event.preventDefault();
  }
}

/** @param {string} text @param {string} query */
function* marked(text, query) {
  const word = query.toLowerCase().split(/\s+/)[0];
  const at = text.toLowerCase().indexOf(word);
  if (at < 0) yield text;
  else {
    yield text.slice(0, at);
    yield element("mark", {}, text.slice(at, at + word.length));
    yield text.slice(at + word.length);
  }
}
