/** Say when the program is gone, and when it is back. */

import { byId } from "./dom.js";
import { ready } from "./server.js";

const EVERY = 10_000; // milliseconds between looks while all is well
const SOON = 2000; // and while it is not
const GOOD_NEWS = 2500; // how long they are shown

/** Sends `back` when the program answers again. */
export class Connection extends EventTarget {
  #line = byId("connection");
  #well = true;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.look());
    addEventListener("online", () => this.look());
    this.#timer = setTimeout(() => this.look(), EVERY);
  }

  /** Look whether the program is there, now and then again. */
  async look() {
    clearTimeout(this.#timer);
    if (document.hidden) return; // until somebody looks at the page
    this.#show(await ready());
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.look(), this.#well ? EVERY : SOON);
  }

  /** @param {boolean} well */
  #show(well) {
    if (well === this.#well) return;
    this.#well = well;
    this.#line.className = well ? "connection well" : "connection";
    this.#line.textContent = well
      ? "Connected again."
      : "The program that answers is not reachable. Start it again, and this page goes on by itself.";
    this.#line.hidden = false;
    if (!well) return;
    setTimeout(() => (this.#line.hidden = this.#well), GOOD_NEWS);
    this.dispatchEvent(new Event("back"));
  }
}
