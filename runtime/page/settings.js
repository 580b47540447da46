/** What the user has set. Only what differs from the program's own defaults is kept. */

/** @typedef {import("./server.js").Properties} Properties */

/**
 * @typedef {object} Parameter  a number that says how an answer is made
 * @property {string} name  in the API and in /props
 * @property {string} label
 * @property {string} help
 * @property {number} min
 * @property {number} [max]
 * @property {number | "any"} step
 */

/** @type {Parameter[]} */
export const PARAMETERS = [
  {
    name: "temperature", label: "Temperature", min: 0, max: 100, step: "any",
    help: "0 always takes the likeliest word, more is more surprising",
  },
  {
    name: "top_k", label: "Top-k", min: 0, step: 1,
    help: "Choose among this many likeliest words, 0 for all",
  },
  {
    name: "top_p", label: "Top-p", min: 0, max: 1, step: "any",
    help: "Choose among the likeliest words up to this probability",
  },
  {
    name: "min_p", label: "Min-p", min: 0, max: 1, step: "any",
    help: "Drop words that are this much less likely than the first",
  },
  {
    name: "repeat_penalty", label: "Repeat penalty", min: 0, step: "any",
    help: "Above 1, words that were used become less likely",
  },
  {
    name: "max_tokens", label: "Longest answer", min: -1, step: 1,
    help: "In tokens, words or parts of them; -1 for no limit",
  },
  {
    name: "seed", label: "Seed", min: -1, step: 1,
    help: "The same seed, the same answer; -1 for any",
  },
];

/** Sends `change` when something was set. */
export class Settings extends EventTarget {
  #key;
  /** @type {Record<string, any>} */
  #set;

  /** @param {Properties} properties */
  constructor(properties) {
    super();
    this.properties = properties;
    // Programs that take turns on one port must not inherit each other's.
    this.#key = `settings of ${properties.modelembed.name}`;
    this.#set = JSON.parse(localStorage.getItem(this.#key) ?? "{}");
  }

  /** The program's own value. @param {string} name @returns {any} */
  default(name) {
    if (name === "system") return this.properties.modelembed.system ?? "";
    if (name === "think") return true;
    return this.properties.default_generation_settings.params[name];
  }

  /** @param {string} name @returns {any} */
  get(name) {
    return this.#set[name] ?? this.default(name);
  }

  /** @param {string} name */
  changed(name) {
    return name in this.#set;
  }

  /** Set a value, or with undefined take the program's own again. @param {string} name @param {any} value */
  set(name, value) {
    if (value === undefined || value === this.default(name)) delete this.#set[name];
    else this.#set[name] = value;
    localStorage.setItem(this.#key, JSON.stringify(this.#set));
    this.dispatchEvent(new Event("change"));
  }

  /** What a request says beyond the messages: the rest the program knows by itself. */
  parameters() {
    const parameters = /** @type {Record<string, any>} */ ({});
    for (const { name } of PARAMETERS) if (this.changed(name)) parameters[name] = this.get(name);
    if (this.get("think") === false) parameters.chat_template_kwargs = { enable_thinking: false };
    return parameters;
  }
}
