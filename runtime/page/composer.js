/** The field that questions are written into. */

import { byId, fitHeight } from "./dom.js";
import { confirms } from "./shortcuts.js";

const TOUCH = matchMedia("(hover: none) and (pointer: coarse)");

export class Composer {
  #form = byId("composer");
  #field = byId("question");
  #send = byId("send");
  #stop = byId("stop");
  #draft = "";
  #answering = false;

  /**
   * @param {import("./tray.js").Tray} tray
   * @param {{send: (text: string, pictures: import("./pictures.js").Drawn[]) => unknown,
   *   stop: () => unknown, editLast: () => boolean}} actions
   */
  constructor(tray, actions) {
    this.tray = tray;
    this.actions = actions;
    tray.addEventListener("change", () => this.#changed());
    if (!TOUCH.matches) this.#field.enterKeyHint = "send";
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.#form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#form.addEventListener("click", (/** @type {Event} */ event) => {
      if (event.target === this.#form) this.#field.focus();
    });
    this.#stop.addEventListener("click", () => {
      actions.stop();
      this.focus();
    });
  }

  /** Take the draft that belongs to a conversation. @param {string} id */
  open(id) {
    this.#draft = `draft of ${id}`;
    this.#field.value = sessionStorage.getItem(this.#draft) ?? "";
    this.tray.open(this.#draft);
  }

  /** Show whether an answer is being made. @param {boolean} answering */
  answering(answering) {
    const focused = document.activeElement === this.#send || document.activeElement === this.#stop;
    this.#answering = answering;
    this.#send.hidden = answering;
    this.#stop.hidden = !answering;
    if (focused) this.focus();
  }

  /** Go to the field; on a phone that would cover half the page with its keyboard. */
  focus() {
    if (!TOUCH.matches) this.#field.focus();
  }

  #changed() {
    fitHeight(this.#field);
    this.#send.disabled = !this.#field.value.trim() && !this.tray.pictures.length;
    if (this.#field.value) sessionStorage.setItem(this.#draft, this.#field.value);
    else sessionStorage.removeItem(this.#draft);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (confirms(event) && !TOUCH.matches) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" && !this.#field.value && !event.isComposing && !event.altKey) {
      if (this.actions.editLast()) event.preventDefault();
    }
  }

  #submit() {
    const text = this.#field.value.trim();
    if (this.#send.disabled || this.#answering) return;
    this.#field.value = "";
    this.actions.send(text, this.tray.empty());
  }
}
