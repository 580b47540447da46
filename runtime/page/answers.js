/** Make answers: one at a time for each conversation, and going on while another one is read. */

import { add, path, tokensOf } from "./conversation.js";
import { parts } from "./pictures.js";
import { answer, ready, ServerError } from "./server.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./store.js").Store} Store */

/**
 * @typedef {object} Run  an answer that is being made
 * @property {Conversation} conversation
 * @property {Message} message
 * @property {AbortController} controller
 * @property {"asked" | "reading" | "thinking" | "writing" | "busy" | "gone"} phase
 * @property {{total: number, done: number}} [progress]  tokens of the prompt that were read
 * @property {number} begun  when it was asked, in milliseconds of performance.now()
 * @property {number} [first]  when the first word came
 * @property {number} pieces  how many came: about the number of tokens
 */

const SAVE_EVERY = 1000; // milliseconds: what a reload in mid-answer may lose
const LOOK_AGAIN = 2000; // milliseconds until a program that is gone is looked for again

/** Sends `progress` when a run has something new, `done` when it has ended. */
export class Answers extends EventTarget {
  /** @type {Map<string, Run>} by conversation */
  #runs = new Map();

  /** @param {Settings} settings @param {Store} store */
  constructor(settings, store) {
    super();
    this.settings = settings;
    this.store = store;
  }

  /** @param {string | undefined} id of a conversation */
  run(id) {
    return id === undefined ? undefined : this.#runs.get(id);
  }

  /** End the run of a conversation, if there is one; what was written stays. @param {string} id */
  stop(id) {
    this.#runs.get(id)?.controller.abort();
  }

  /**
   * Answer the message `question` of a conversation.
   * @param {Conversation} conversation
   * @param {Message} question
   */
  async start(conversation, question) {
    const message = add(conversation, question.id, {
      role: "assistant",
      content: "",
      model: this.settings.properties.modelembed.name,
      end: "writing",
    });
    /** @type {Run} */
    const run = {
      conversation, message, controller: new AbortController(), phase: "asked",
      begun: performance.now(), pieces: 0,
    };
    this.#runs.set(conversation.id, run);
    this.#send("progress", run);
    try {
      await this.store.save(conversation);
      await this.#persist(run);
    } catch (error) {
      this.#end(run, error);
    }
    this.#runs.delete(conversation.id);
    conversation.updated = Date.now();
    await this.store.save(conversation);
    this.#send("done", run);
  }

  /** Ask until the program begins to answer: wait while it is busy or gone. @param {Run} run */
  async #persist(run) {
    for (;;) {
      try {
        return await this.#ask(run);
      } catch (error) {
        const waits = error instanceof ServerError && ["busy", "gone"].includes(error.kind);
        if (!waits || run.pieces) throw error;
        run.phase = error.kind === "busy" ? "busy" : "gone";
        run.progress = undefined;
        this.#send("progress", run);
        if (run.phase === "busy") await pause(error.retryAfter * 1000, run.controller.signal);
        else while (!(await ready())) await pause(LOOK_AGAIN, run.controller.signal);
      }
    }
  }

  /** @param {Run} run */
  async #ask(run) {
    const { conversation, message, controller } = run;
    let saved = performance.now();
    run.phase = "asked";
    this.#send("progress", run);
    const messages = await this.#messages(conversation, message);
    for await (const event of answer(messages, this.settings.parameters(), controller.signal)) {
      const now = performance.now();
      if (event.progress) {
        const { total, processed } = event.progress;
        run.phase = "reading";
        run.progress = { total, done: processed };
      }
      if (event.content || event.reasoning) {
        run.first ??= now;
        run.pieces += 1;
        run.phase = event.content ? "writing" : "thinking";
      }
      if (event.reasoning) {
        message.reasoning = (message.reasoning ?? "") + event.reasoning;
        message.thoughtFor = now - (run.first ?? now);
      }
      if (event.content) message.content += event.content;
      if (event.finish) message.end = event.finish === "length" ? "length" : "stop";
      if (event.sources?.length) message.sources = event.sources.map(known);
      if (event.timings) message.timings = used(event.timings);
      this.#send("progress", run);
      if (now - saved > SAVE_EVERY) {
        saved = now;
        await this.store.save(conversation);
      }
    }
    this.#judge(message);
  }

  /** Tell a full context from the limit on answers. @param {Message} message */
  #judge(message) {
    const whole = this.settings.properties.default_generation_settings.n_ctx;
    const full = message.timings && tokensOf(message.timings) >= whole;
    if (message.end === "length" && full) message.end = "full";
  }

  /**
   * Return what the model is asked: everything before `message`, in the API's form.
   * @param {Conversation} conversation
   * @param {Message} message
   */
  async #messages(conversation, message) {
    const system = this.settings.get("system");
    const before = [];
    for (const { role, content, pictures } of path(conversation, message.parent)) {
      before.push({ role, content: this.#sees ? parts(content, await this.store.pictures(pictures)) : content });
    }
    // Said even if it is empty, where the user wants none: it takes the place of the baked-in one.
    const said = system || this.settings.changed("system");
    return said ? [{ role: "system", content: system }, ...before] : before;
  }

  get #sees() {
    return this.settings.properties.modalities?.vision;
  }

  /** @param {Run} run @param {any} error */
  #end(run, error) {
    if (error?.name === "AbortError" || run.controller.signal.aborted) {
      run.message.end = "stopped";
      return;
    }
    if (!(error instanceof ServerError)) console.error(error);
    run.message.end = "broken";
    run.message.error = error.message;
    if (error.kind === "key") this.dispatchEvent(new CustomEvent("key"));
  }

  /** @param {string} name @param {Run} run */
  #send(name, run) {
    this.dispatchEvent(new CustomEvent(name, { detail: run }));
  }
}

/** Return of a source what is shown. @param {any} source @returns {import("./conversation.js").Source} */
function known({ number, path, title, heading, page, date, document, begin, end, text, cited }) {
  return { number, path, title, heading, page, date, document, begin, end, text, cited };
}

/** @param {any} timings @returns {import("./conversation.js").Timings} */
function used({ cache_n, prompt_n, predicted_n, predicted_per_second }) {
  return { cache_n, prompt_n, predicted_n, predicted_per_second };
}

/** @param {number} milliseconds @param {AbortSignal} signal */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
    if (signal.aborted) reject(signal.reason);
  });
}
