/** Show the conversation that is open, and keep its end in sight while it grows. */

import { path } from "./conversation.js";
import { announce, byId } from "./dom.js";
import { AnswerView, QuestionView } from "./messages.js";

/** @typedef {import("./answers.js").Answers} Answers */
/** @typedef {import("./answers.js").Run} Run */
/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./messages.js").Actions} Actions */

const NEAR = 48; // pixels from the end that still count as at the end
const SPOKEN = 600; // characters of an answer that a screen reader is given by itself

export class Thread {
  #root = byId("thread");
  #scroller = byId("scroller");
  #toEnd = byId("to-end");
  /** @type {Map<string, QuestionView | AnswerView>} */
  #views = new Map();
  /** @type {Conversation | undefined} */
  #conversation;
  #follows = true;
  #frame = 0;

  /** @param {Answers} answers @param {Actions} actions */
  constructor(answers, actions) {
    this.answers = answers;
    this.actions = actions;
    answers.addEventListener("progress", (event) => this.#progress(/** @type {any} */ (event).detail));
    answers.addEventListener("done", (event) => this.#done(/** @type {any} */ (event).detail));
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#follow()).observe(this.#root);
    new ResizeObserver(() => this.#follow()).observe(this.#scroller);
    this.#toEnd.addEventListener("click", () => this.toEnd());
  }

  /** Show a conversation, from its end. @param {Conversation} conversation */
  open(conversation) {
    if (this.#conversation?.id !== conversation.id) {
      this.#views.clear();
      this.#root.replaceChildren();
      this.#follows = true;
    }
    this.#conversation = conversation;
    this.update();
    if (this.#follows) this.toEnd();
  }

  /** Show what the conversation has become. */
  update() {
    const conversation = this.#conversation;
    if (!conversation) return;
    const run = this.answers.run(conversation.id);
    const messages = path(conversation);
    document.body.classList.toggle("empty", !messages.length);
    const views = new Map();
    for (const message of messages) {
      const known = this.#views.get(message.id);
      const view = known ?? this.#view(message);
      view.message = message; // another window may have written a newer one
      views.set(message.id, view);
      if (run?.message === message && view instanceof AnswerView) view.progress(run);
      else view.update(conversation);
    }
    this.#views = views;
    const wanted = [...views.values()].map((view) => view.root);
    for (const child of [...this.#root.children]) if (!wanted.includes(child)) child.remove();
    wanted.forEach((root, at) => {
      if (this.#root.children[at] !== root) this.#root.insertBefore(root, this.#root.children[at] ?? null);
    });
  }

  /** Begin to edit the last question. */
  editLast() {
    const last = [...this.#views.values()].reverse().find((view) => view instanceof QuestionView);
    last?.edit();
    return Boolean(last);
  }

  /** @returns {AnswerView | undefined} */
  get lastAnswer() {
    const last = [...this.#views.values()].at(-1);
    return last instanceof AnswerView ? last : undefined;
  }

  toEnd() {
    this.#follows = true;
    this.#follow();
  }

  /** @param {import("./conversation.js").Message} message */
  #view(message) {
    const View = message.role === "user" ? QuestionView : AnswerView;
    return new View(message, this.actions);
  }

  /** Draw a run's news with the next frame, however many come before. @param {Run} run */
  #progress(run) {
    if (run.conversation.id !== this.#conversation?.id || this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      const view = this.#views.get(run.message.id);
      if (this.answers.run(run.conversation.id) !== run || !(view instanceof AnswerView)) return;
      if (view.progress(run)) this.#progress(run);
    });
  }

  /** @param {Run} run */
  #done(run) {
    if (run.conversation.id !== this.#conversation?.id) return;
    this.update();
    const { end, error, content } = run.message;
    if (end === "broken") announce(error ?? "The answer failed.");
    else if (content.length > SPOKEN) announce("The answer is complete.");
    else announce(`Answer: ${content}`);
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#follows = scrollHeight - scrollTop - clientHeight < NEAR;
    this.#toEnd.hidden = this.#follows;
  }

  #follow() {
    if (this.#follows) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#scrolled();
  }
}
