/** The pictures that will be sent with a question: chosen, pasted or dropped, shown and taken out. */

import { announce, byId, element, iconButton } from "./dom.js";
import { drawn, isPicture, megabytes, MOST, PictureError } from "./pictures.js";
import { toast } from "./sheets.js";

/** @typedef {import("./pictures.js").Drawn} Drawn */

/** Sends `change` when there are other pictures in it. */
export class Tray extends EventTarget {
  #list = byId("tray");
  #attach = byId("attach");
  #choose = byId("choose-pictures");
  /** By the draft that they belong to. @type {Map<string, Drawn[]>} */
  #drafts = new Map();
  #draft = "";

  /** @param {boolean} sees  whether the model takes pictures @param {number} room  bytes of a request */
  constructor(sees, room) {
    super();
    this.sees = sees;
    this.room = room;
    this.#attach.hidden = !sees;
    this.#attach.addEventListener("click", () => this.#choose.click());
    this.#choose.addEventListener("change", async () => {
      const files = [...this.#choose.files];
      this.#choose.value = ""; // so that the same file can be chosen again
      await this.take(files);
      byId("question").focus();
    });
    byId("question").addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
      const files = [...(event.clipboardData?.files ?? [])].filter(isPicture);
      if (!files.length) return;
      event.preventDefault();
      this.take(files);
    });
  }

  /** @returns {Drawn[]} */
  get pictures() {
    return this.#drafts.get(this.#draft) ?? [];
  }

  /** Show those of a draft. @param {string} draft */
  open(draft) {
    this.#draft = draft;
    this.#show();
  }

  /** Return the pictures, and have none any more. */
  empty() {
    const { pictures } = this;
    this.#drafts.delete(this.#draft);
    this.#show();
    return pictures;
  }

  /** Take files in, or say why not. @param {File[]} files */
  async take(files) {
    if (!this.sees) return toast("The model of this program takes no pictures.");
    const draft = this.#draft;
    for (const file of files) {
      const known = this.#drafts.get(draft) ?? [];
      if (known.length >= MOST) return toast(`A question can have ${MOST} pictures.`);
      try {
        const picture = await drawn(file);
        const size = [...known, picture].reduce((sum, { url }) => sum + url.length, 0);
        if (size > this.room) {
          throw new PictureError(`a question can have ${megabytes(this.room)} of pictures`);
        }
        this.#drafts.set(draft, [...(this.#drafts.get(draft) ?? []), picture]);
      } catch (error) {
        if (!(error instanceof PictureError)) throw error;
        toast(`${file.name || "The picture"} cannot be taken: ${error.message}.`);
        continue;
      }
      if (draft === this.#draft) this.#show();
      announce(`A picture is attached. ${this.pictures.length} in all.`);
    }
  }

  /** @param {Drawn} picture */
  #remove(picture) {
    const at = this.pictures.indexOf(picture);
    this.#drafts.set(this.#draft, this.pictures.filter((other) => other !== picture));
    this.#show();
    announce("The picture is removed.");
    const buttons = this.#list.querySelectorAll("button");
    (buttons[Math.min(at, buttons.length - 1)] ?? byId("question")).focus();
  }

  #show() {
    const items = this.pictures.map((picture, at) => {
      const { url, width, height } = picture;
      return element(
        "li",
        {},
        element("img", { src: url, alt: `Picture ${at + 1}, ${width} × ${height} pixels` }),
        iconButton("x", `Remove picture ${at + 1}`, () => this.#remove(picture)),
      );
    });
    this.#list.replaceChildren(...items);
    this.#list.hidden = !items.length;
    this.dispatchEvent(new Event("change"));
  }
}
