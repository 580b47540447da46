/** Keep conversations in this browser, and tell other windows of the page when they change. */

import { openDB } from "./vendor/idb/idb.js";
import { merged } from "./conversation.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {{id: string, title: string, created: number, updated: number}} Summary */
/** @typedef {Summary & {found?: string}} Found  `found` is the text around what was searched for */

const NAME = "modelembed";
const CONVERSATIONS = "conversations";
const PICTURES = "pictures"; // apart: conversations are all read at the start, and often written
const GRACE = 60 * 60 * 1000; // milliseconds: another window may be about to use it, or to bring it back
const BEFORE = 16; // characters shown before what was found
const BEHIND = 80;

/**
 * Sends `change` when a conversation was saved or removed, here or in another window, and `full`
 * when the browser would not keep one.
 */
export class Store extends EventTarget {
  /** @type {Map<string, Summary>} */
  #summaries = new Map();
  /** @type {BroadcastChannel} */
  #windows;
  #database;

  /** @param {any} database */
  constructor(database) {
    super();
    this.#database = database;
    this.#windows = new BroadcastChannel(NAME);
    this.#windows.onmessage = async (message) => {
      await this.#note(message.data.id);
      this.#changed(message.data.id, true);
    };
  }

  /** Return the store of this browser, or one that forgets if the browser keeps nothing. */
  static async open() {
    let database;
    try {
      database = await openDB(NAME, 2, {
        upgrade: (made, version) => {
          if (version < 1) made.createObjectStore(CONVERSATIONS, { keyPath: "id" });
          made.createObjectStore(PICTURES, { keyPath: "id" });
        },
        // Another window has an older page, or will have a newer one.
        blocking: (_before, _after, event) => /** @type {any} */ (event.target).close(),
      });
    } catch (error) {
      console.warn("conversations are not kept:", error);
      database = new Forgetful();
    }
    const store = new Store(database);
    const conversations = await database.getAll(CONVERSATIONS);
    for (const conversation of conversations) store.#summarize(conversation);
    await store.#forgetPictures(conversations);
    return store;
  }

  /** Whether conversations are still there when the window is closed. */
  get lasting() {
    return !(this.#database instanceof Forgetful);
  }

  /** @returns {Summary[]} the newest first */
  list() {
    return [...this.#summaries.values()].sort((one, two) => two.updated - one.updated);
  }

  /** @param {string} id @returns {Promise<Conversation | undefined>} */
  get(id) {
    return this.#database.get(CONVERSATIONS, id);
  }

  /** @returns {Promise<Conversation[]>} */
  all() {
    return this.#database.getAll(CONVERSATIONS);
  }

  /**
   * Keep a conversation; messages that another window has added to it stay.
   * @param {Conversation} conversation
   */
  async save(conversation) {
    try {
      const transaction = this.#database.transaction(CONVERSATIONS, "readwrite");
      const kept = await transaction.store.get(conversation.id);
      await transaction.store.put(kept ? merged(kept, conversation) : conversation);
      await transaction.done;
    } catch (error) {
      console.warn("a conversation is not kept:", error);
      this.dispatchEvent(new Event("full"));
      return;
    }
    this.#summarize(conversation);
    this.#tell(conversation.id);
  }

  /**
   * Keep the bytes of pictures, before a message has them.
   * @param {import("./pictures.js").Drawn[]} pictures
   */
  async keep(pictures) {
    const kept = Date.now();
    try {
      // All at once: what is read from now on is read behind them.
      await Promise.all(pictures.map((picture) => this.#database.put(PICTURES, { ...picture, kept })));
    } catch (error) {
      console.warn("a picture is not kept:", error);
      this.dispatchEvent(new Event("full"));
    }
  }

  /**
   * Return the data URLs of pictures, without those that are not there any more.
   * @param {import("./pictures.js").Picture[]} [pictures]
   * @returns {Promise<string[]>}
   */
  async pictures(pictures = []) {
    const found = await Promise.all(pictures.map(({ id }) => this.#database.get(PICTURES, id)));
    return found.filter(Boolean).map(({ url }) => url);
  }

  /**
   * Return a conversation with the bytes of its pictures, for a file.
   * @param {Conversation} conversation
   * @returns {Promise<Conversation>}
   */
  async withPictures(conversation) {
    const messages = [];
    for (const message of conversation.messages) {
      const pictures = [];
      for (const picture of message.pictures ?? []) {
        const [url] = await this.pictures([picture]);
        if (url) pictures.push({ ...picture, url });
      }
      messages.push(pictures.length ? { ...message, pictures } : message);
    }
    return { ...conversation, messages };
  }

  /**
   * Keep the bytes of the pictures of a conversation from a file; return it without them.
   * @param {Conversation} conversation
   * @returns {Promise<Conversation>}
   */
  async keepPictures(conversation) {
    const messages = [];
    for (const message of conversation.messages) {
      const drawn = /** @type {import("./pictures.js").Drawn[]} */ (message.pictures ?? []);
      for (const picture of drawn) if (!(await this.pictures([picture])).length) await this.keep([picture]);
      const pictures = drawn.map(({ id, width, height }) => ({ id, width, height }));
      messages.push(drawn.length ? { ...message, pictures } : message);
    }
    return { ...conversation, messages };
  }

  /**
   * Forget the bytes of pictures that no conversation has: until then a deletion can be taken back.
   * @param {Conversation[]} conversations
   */
  async #forgetPictures(conversations) {
    const known = new Set(
      conversations.flatMap(({ messages }) => messages.flatMap(({ pictures }) => pictures?.map(({ id }) => id) ?? [])),
    );
    const unknown = (await this.#database.getAllKeys(PICTURES)).filter((/** @type {string} */ id) => !known.has(id));
    for (const id of unknown) {
      const { kept } = await this.#database.get(PICTURES, id);
      if (Date.now() - kept > GRACE) await this.#database.delete(PICTURES, id);
    }
  }

  /** @param {string} id */
  async remove(id) {
    await this.#database.delete(CONVERSATIONS, id);
    this.#summaries.delete(id);
    this.#tell(id);
  }

  /**
   * Return the conversations that hold all words of `query`, the newest first.
   * @param {string} query
   * @returns {Promise<Found[]>}
   */
  async search(query) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return this.list();
    /** @type {Found[]} */
    const found = [];
    for (const conversation of await this.all()) {
      const texts = [conversation.title, ...conversation.messages.map((message) => message.content)];
      const lower = texts.map((text) => text.toLowerCase());
      if (!words.every((word) => lower.some((text) => text.includes(word)))) continue;
      const index = lower.findIndex((text, at) => at > 0 && text.includes(words[0]));
      const summary = summaryOf(conversation);
      found.push(index < 0 ? summary : { ...summary, found: around(texts[index], words[0]) });
    }
    return found.sort((one, two) => two.updated - one.updated);
  }

  /** @param {Conversation} conversation */
  #summarize(conversation) {
    this.#summaries.set(conversation.id, summaryOf(conversation));
  }

  /** @param {string} id */
  async #note(id) {
    const conversation = await this.get(id);
    if (conversation) this.#summarize(conversation);
    else this.#summaries.delete(id);
  }

  /** @param {string} id */
  #tell(id) {
    this.#windows.postMessage({ id });
    this.#changed(id, false);
  }

  /** @param {string} id @param {boolean} elsewhere */
  #changed(id, elsewhere) {
    this.dispatchEvent(new CustomEvent("change", { detail: { id, elsewhere } }));
  }
}

/** What stands in for the database where a browser gives none, as some do in private windows. */
class Forgetful {
  /** @type {Map<string, any>} */
  #kept = new Map();
  /** @type {Map<string, any>} */
  #pictures = new Map();

  /** @param {string} name */
  #of(name) {
    return name === PICTURES ? this.#pictures : this.#kept;
  }

  /** @param {string} name @param {string} id */
  async get(name, id) {
    return this.#of(name).get(id);
  }

  /** @param {string} name */
  async getAll(name) {
    return [...this.#of(name).values()];
  }

  /** @param {string} name */
  async getAllKeys(name) {
    return [...this.#of(name).keys()];
  }

  /** @param {string} name @param {any} value */
  async put(name, value) {
    this.#of(name).set(value.id, value);
  }

  /** @param {string} name @param {string} id */
  async delete(name, id) {
    this.#of(name).delete(id);
  }

  transaction() {
    return {
      store: {
        get: async (/** @type {string} */ id) => this.#kept.get(id),
        put: async (/** @type {Conversation} */ value) => this.#kept.set(value.id, value),
      },
      done: Promise.resolve(),
    };
  }
}

/** @param {Conversation} conversation @returns {Summary} */
function summaryOf({ id, title, created, updated }) {
  return { id, title, created, updated };
}

/** @param {string} text @param {string} word */
function around(text, word) {
  const at = text.toLowerCase().indexOf(word);
  const begin = Math.max(0, at - BEFORE);
  return (begin ? "…" : "") + text.slice(begin, at + word.length + BEHIND).replace(/\s+/g, " ");
}
