/** Show one question or one answer. */

import { Blocks } from "./blocks.js";
import { alternatives } from "./conversation.js";
import { copy, element, fitHeight, icon, iconButton } from "./dom.js";
import { confirms } from "./shortcuts.js";
import { cards, linkCitations } from "./sources.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */
/** @typedef {import("./answers.js").Run} Run */

/**
 * @typedef {object} Actions  what can be done with a message
 * @property {(message: Message, text: string) => void} resend  a question, with another text
 * @property {(message: Message) => void} regenerate  an answer
 * @property {(message: Message) => void} show  this one of the alternatives
 * @property {(pictures: import("./pictures.js").Picture[]) => Promise<string[]>} pictures  their data URLs
 */

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const READING_SHOWN = 400; // milliseconds: shorter prompts need no progress line

/** Return the buttons that turn the pages of a message's alternatives, nothing if it has none. */
function pages(/** @type {Conversation} */ conversation, /** @type {Message} */ message, /** @type {Actions} */ actions) {
  const all = alternatives(conversation, message);
  if (all.length < 2) return [];
  const at = all.indexOf(message);
  const what = message.role === "user" ? "question" : "answer";
  const turn = (/** @type {number} */ to) => () => actions.show(all[to]);
  return [
    iconButton("chevron-left", `Earlier ${what}`, turn(at - 1), { disabled: at === 0 }),
    element("span", { className: "which" }, `${at + 1} / ${all.length}`),
    iconButton("chevron-right", `Later ${what}`, turn(at + 1), { disabled: at === all.length - 1 }),
  ];
}

export class QuestionView {
  /** @param {Message} message @param {Actions} actions */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.said = element("div", { className: "said", hidden: !message.content }, message.content);
    this.seen = element("ul", { className: "seen", hidden: !message.pictures, "aria-label": "Pictures" });
    this.tools = element("div", { className: "tools" });
    this.root = element(
      "article",
      { className: "message question" },
      element("h2", { className: "unseen" }, "You asked"),
      this.seen,
      this.said,
      this.tools,
    );
    if (message.pictures) this.#showPictures(message.pictures);
  }

  /** @param {import("./pictures.js").Picture[]} pictures */
  async #showPictures(pictures) {
    for (const [at, picture] of pictures.entries()) {
      const [url] = await this.actions.pictures([picture]);
      const alt = `Picture ${at + 1} of ${pictures.length}`;
      const { width, height } = picture;
      const shown = url
        ? element("img", { src: url, alt, width, height })
        : element("span", { className: "lost" }, "This picture is not kept any more.");
      this.seen.append(element("li", {}, shown));
    }
  }

  /** @param {Conversation} conversation */
  update(conversation) {
    const { message, actions } = this;
    this.tools.replaceChildren(
      ...pages(conversation, message, actions),
      iconButton("copy", "Copy the question", (event) => copy(message.content, /** @type {any} */ (event.currentTarget))),
      iconButton("pencil", "Edit the question", () => this.edit()),
    );
  }

  /** Let the user change the question and ask again; what was stays, one page back. */
  edit() {
    if (this.editor) return;
    const field = element("textarea", { value: this.message.content, rows: 1, "aria-label": "Edit the question" });
    const close = () => {
      this.editor.remove();
      this.editor = undefined;
      this.tools.hidden = false;
      this.said.hidden = !this.message.content;
      this.tools.querySelector("button:last-child").focus();
    };
    const send = () => {
      const text = field.value.trim();
      if (!text && !this.message.pictures) return;
      close();
      this.actions.resend(this.message, text);
    };
    field.addEventListener("input", () => fitHeight(field));
    field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (confirms(event)) {
        event.preventDefault();
        send();
      } else if (event.key === "Escape" && !event.isComposing) {
        event.stopPropagation();
        close();
      }
    });
    this.editor = element(
      "div",
      { className: "edit" },
      field,
      element(
        "div",
        { className: "choices" },
        element("button", { type: "button", className: "button", onclick: close }, "Cancel"),
        element("button", { type: "button", className: "button main-choice", onclick: send }, "Send"),
      ),
    );
    this.said.hidden = this.tools.hidden = true;
    this.root.append(this.editor);
    fitHeight(field);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }
}

export class AnswerView {
  /** @param {Message} message @param {Actions} actions */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.thinkingTitle = element("summary", {}, "Thinking");
    this.thoughts = element("div", { className: "thoughts text" });
    this.thinking = element("details", { className: "thinking", hidden: true }, this.thinkingTitle, this.thoughts);
    this.text = element("div", { className: "reply text" });
    this.state = element("div", { className: "state", hidden: true });
    this.sources = element("div", {});
    this.after = element("div", {});
    this.tools = element("div", { className: "tools" });
    this.root = element(
      "article",
      { className: "message answer" },
      element("h2", { className: "unseen" }, "Answer"),
      this.thinking, this.text, this.state, this.sources, this.after, this.tools,
    );
    this.blocks = new Blocks(this.text);
    this.thoughtBlocks = new Blocks(this.thoughts);
    this.thinking.addEventListener("toggle", () => this.#think(true));
  }

  /** Show what there is while it is being written. Return whether some of it must wait. @param {Run} run */
  progress(run) {
    this.tools.hidden = this.after.hidden = this.sources.hidden = true;
    this.#state(run);
    this.#thinking(run);
    if (this.blocks.resting || this.thoughtBlocks.resting) return true;
    this.#think(false);
    if (this.message.content) this.blocks.update(this.message.content);
    return false;
  }

  /** Show the answer as it is now. @param {Conversation} conversation */
  update(conversation) {
    const { message, actions } = this;
    this.root.classList.remove("writing");
    this.state.hidden = true;
    this.tools.hidden = this.after.hidden = this.sources.hidden = false;
    this.#thinking();
    this.#think(true);
    this.blocks.finish(message.content);
    linkCitations(this.text, message);
    this.sources.replaceChildren(...[cards(message)].filter((node) => node !== null));
    this.after.replaceChildren(...this.#remarks());
    this.tools.replaceChildren(
      ...pages(conversation, message, actions),
      iconButton("copy", "Copy the answer", (event) => this.copy(/** @type {any} */ (event.currentTarget))),
      iconButton("refresh-cw", "Answer again", () => actions.regenerate(message)),
      element("span", { className: "facts" }, this.#facts()),
    );
    this.tools.querySelector("use[href$='#copy']")?.closest("button").toggleAttribute("disabled", !message.content);
  }

  /** @param {HTMLElement} [button] */
  copy(button = this.tools.querySelector("[aria-label='Copy the answer']")) {
    return copy(this.message.content, button);
  }

  /** @param {Run} run */
  #state(run) {
    const { phase, progress, begun, first } = run;
    const late = performance.now() - begun > READING_SHOWN;
    const parts = /** @type {(Node | string)[]} */ ([]);
    if (phase === "busy") parts.push("Busy with other questions. Yours is asked again by itself.");
    else if (phase === "gone") parts.push("Waiting for the program to come back …");
    else if (phase === "reading" && progress && late && progress.done < progress.total) {
      const { done, total } = progress;
      parts.push(
        element("progress", { max: total, value: done, "aria-label": "Reading" }),
        `Reading ${number.format(done)} of ${number.format(total)} tokens`,
      );
    } else if (phase === "writing" || phase === "thinking") {
      const seconds = (performance.now() - (first ?? begun)) / 1000;
      if (seconds > 1) parts.push(`${precise.format(run.pieces / seconds)} tokens/s`);
    }
    const known = this.state.firstElementChild ?? element("span", { className: "pulse" });
    this.state.hidden = false;
    this.state.replaceChildren(known, ...parts);
  }

  /** @param {Run} [run] */
  #thinking(run) {
    const { reasoning, thoughtFor } = this.message;
    this.thinking.hidden = !reasoning;
    const seconds = Math.max(1, Math.round((thoughtFor ?? 0) / 1000));
    this.thinkingTitle.textContent =
      run?.phase === "thinking" ? "Thinking …" : `Thought for ${seconds} ${seconds === 1 ? "second" : "seconds"}`;
  }

  /** Draw the thoughts where they are unfolded. @param {boolean} all */
  #think(all) {
    const { reasoning } = this.message;
    if (!reasoning || !this.thinking.open) return;
    if (all) this.thoughtBlocks.finish(reasoning);
    else this.thoughtBlocks.update(reasoning);
  }

  *#remarks() {
    const { message, actions } = this;
    const again = element(
      "button",
      { type: "button", className: "button", onclick: () => actions.regenerate(message) },
      "Try again",
    );
    if (message.end === "broken") {
      const what = element("span", { className: "what" }, message.error || "The answer was cut off.");
      yield element("div", { className: "trouble" }, icon("triangle-alert"), what, again);
    } else if (message.end === "writing") {
      const what = element("span", { className: "what" }, "The page was closed before the answer was complete.");
      yield element("div", { className: "trouble" }, icon("triangle-alert"), what, again);
    } else if (message.end === "length") {
      yield element("p", { className: "note" }, "Cut off at the longest answer allowed; the settings have that limit.");
    } else if (message.end === "full") {
      const text = "The model can take in no more. Begin a new conversation, or edit an earlier question to go on from there.";
      yield element("p", { className: "note" }, text);
    } else if (message.end === "stopped") {
      yield element("p", { className: "note" }, "You stopped this answer.");
    } else if (!message.content) {
      yield element("p", { className: "note" }, "The model had nothing to say.");
    }
  }

  #facts() {
    const { timings } = this.message;
    if (!timings?.predicted_n) return "";
    const { predicted_n: tokens, predicted_per_second: rate } = timings;
    const count = `${number.format(tokens)} ${tokens === 1 ? "token" : "tokens"}`;
    return Number.isFinite(rate) ? `${precise.format(rate)} tokens/s · ${count}` : count;
  }
}
