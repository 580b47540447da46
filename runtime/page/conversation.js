/**
 * What a conversation is: a tree of messages, so that nothing is lost when a question is edited
 * or an answer made again. `head` is the last message of the branch that is shown.
 */

/**
 * @typedef {object} Timings  llama-server's `timings` of an answer, as far as they are used
 * @property {number} cache_n  tokens of the prompt that were there already
 * @property {number} prompt_n  tokens of the prompt that were read
 * @property {number} predicted_n  tokens written
 * @property {number} predicted_per_second
 */

/**
 * @typedef {object} Source  a passage of a document that an answer was made from
 * @property {number} number  by which the answer cites it
 * @property {string} path
 * @property {string} title
 * @property {string} heading
 * @property {number} page  0 for none
 * @property {string} date
 * @property {number} document
 * @property {number} begin  in the document's text, in characters
 * @property {number} end
 * @property {string} text
 * @property {boolean} cited
 */

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {string | null} parent  the message before it, null for the first
 * @property {"user" | "assistant"} role
 * @property {string} content
 * @property {string} [reasoning]  what the model thought before it answered
 * @property {number} [thoughtFor]  how long, in milliseconds
 * @property {string} [model]  who answered
 * @property {"writing" | "stop" | "length" | "full" | "stopped" | "broken"} [end]  why the answer
 *   ended: by itself, at the limit, with the context, by the user, by an error
 * @property {string} [error]  what went wrong, in words
 * @property {Timings} [timings]
 * @property {Source[]} [sources]  what the answer was made from
 * @property {import("./pictures.js").Picture[]} [pictures]  what the question is about
 * @property {number} created  milliseconds since 1970
 */

/**
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {boolean} [titled]  by the user, not by the first question
 * @property {number} created
 * @property {number} updated
 * @property {string | null} head
 * @property {Message[]} messages  in the order they were made
 */

const TITLE_LENGTH = 60;

/**
 * Return an identifier that no other message or conversation has.
 * `crypto.randomUUID` exists only where the page is served securely or from this machine.
 */
export function identifier() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @returns {Conversation} */
export function create() {
  const now = Date.now();
  return { id: identifier(), title: "", created: now, updated: now, head: null, messages: [] };
}

/**
 * @param {Conversation} conversation
 * @param {string | null} id
 * @returns {Message | undefined}
 */
export function find(conversation, id) {
  return conversation.messages.find((message) => message.id === id);
}

/**
 * Return the messages from the first to `head`, or to another one.
 * @param {Conversation} conversation
 * @param {string | null} [last]
 */
export function path(conversation, last = conversation.head) {
  const byId = new Map(conversation.messages.map((message) => [message.id, message]));
  const messages = [];
  for (let at = last === null ? undefined : byId.get(last); at; ) {
    messages.push(at);
    byId.delete(at.id); // what was imported may go in circles
    at = at.parent === null ? undefined : byId.get(at.parent);
  }
  return messages.reverse();
}

/**
 * Return the messages that stand in the same place: a question and its edited forms, or the
 * answers to one question.
 * @param {Conversation} conversation
 * @param {Message} message
 */
export function alternatives(conversation, message) {
  return conversation.messages.filter(
    (other) => other.parent === message.parent && other.role === message.role,
  );
}

/**
 * Add a message behind `parent` and show it.
 * @param {Conversation} conversation
 * @param {string | null} parent
 * @param {Pick<Message, "role" | "content"> & Partial<Message>} fields
 * @returns {Message}
 */
export function add(conversation, parent, fields) {
  const message = { id: identifier(), parent, created: Date.now(), ...fields };
  conversation.messages.push(message);
  conversation.head = message.id;
  conversation.updated = message.created;
  if (!conversation.title && message.role === "user") {
    conversation.title = titleOf(message.content) || (message.pictures ? "Picture" : "");
  }
  return message;
}

/**
 * Show the branch that `id` is on, up to its newest end.
 * @param {Conversation} conversation
 * @param {string} id
 */
export function show(conversation, id) {
  let head = id;
  for (;;) {
    const next = conversation.messages.filter((message) => message.parent === head).at(-1);
    if (!next) break;
    head = next.id;
  }
  conversation.head = head;
}

/** Return how much of the context an answer and all before it take. @param {Timings} timings */
export function tokensOf({ cache_n, prompt_n, predicted_n }) {
  return cache_n + prompt_n + predicted_n;
}

/**
 * Return both versions' messages in one: what was written in two windows at once is kept.
 * @param {Conversation} kept  as the browser has it
 * @param {Conversation} ours
 * @returns {Conversation}
 */
export function merged(kept, ours) {
  const known = new Set(ours.messages.map((message) => message.id));
  const others = kept.messages.filter((message) => !known.has(message.id));
  if (!others.length) return ours;
  const messages = [...ours.messages, ...others].sort((one, two) => one.created - two.created);
  return { ...ours, messages };
}

/**
 * Return what a conversation is called that nobody has named: the begin of its first question.
 * @param {string} text
 */
export function titleOf(text) {
  const line = text.trim().split("\n", 1)[0].replace(/\s+/g, " ");
  if (line.length <= TITLE_LENGTH) return line;
  const cut = line.slice(0, TITLE_LENGTH);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), TITLE_LENGTH / 2)).trimEnd()}…`;
}
