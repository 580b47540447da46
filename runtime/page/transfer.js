/** Conversations as JSON: what is exported, and what is taken in. */

import { create, add, identifier, titleOf } from "./conversation.js";
import { isDrawn } from "./pictures.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */

const FORMAT = "modelembed conversations";
const VERSION = 1;

/** A file cannot be imported; the message says why. */
export class ImportError extends Error {}

/**
 * @param {Conversation[]} conversations
 * @returns {string}
 */
export function exported(conversations) {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 1)}\n`;
}

/**
 * Return the conversations in a file: one of ours, or a list of messages as OpenAI's API has it.
 * @param {string} text
 * @returns {Conversation[]}
 */
export function imported(text) {
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new ImportError("it is not JSON");
  }
  if (document?.format === FORMAT) {
    if (document.version !== VERSION) {
      throw new ImportError(`it is of version ${document.version}; this page reads ${VERSION}`);
    }
    return list(document.conversations, "conversations").map(conversation);
  }
  if (Array.isArray(document)) return [fromMessages(document)];
  if (Array.isArray(document?.messages)) return [fromMessages(document.messages)];
  throw new ImportError("it holds no conversations");
}

/** @param {any} value @param {number} index @returns {Conversation} */
function conversation(value, index) {
  const where = `conversation ${index + 1}`;
  const messages = list(value?.messages, `the messages of ${where}`).map((item, at) =>
    message(item, `message ${at + 1} of ${where}`),
  );
  const ids = new Set(messages.map((item) => item.id));
  if (ids.size !== messages.length) throw new ImportError(`${where} has a message twice`);
  for (const item of messages) if (item.parent !== null && !ids.has(item.parent)) item.parent = null;
  const first = messages.find((item) => item.role === "user");
  const now = Date.now();
  return {
    id: string(value.id, where) || identifier(),
    title: string(value.title, where) || titleOf(first?.content ?? ""),
    titled: value.titled === true,
    created: number(value.created) ?? now,
    updated: number(value.updated) ?? now,
    head: ids.has(value.head) ? value.head : (messages.at(-1)?.id ?? null),
    messages,
  };
}

const ENDS = ["stop", "length", "full", "stopped", "broken"];
const TIMINGS = ["cache_n", "prompt_n", "predicted_n", "predicted_per_second"];

/** @param {any} value @param {string} where @returns {Message} */
function message(value, where) {
  if (value?.role !== "user" && value?.role !== "assistant") {
    throw new ImportError(`${where} is neither a question nor an answer`);
  }
  if (typeof value.content !== "string") throw new ImportError(`${where} has no text`);
  /** @type {Message} */
  const result = {
    id: string(value.id, where) || identifier(),
    parent: typeof value.parent === "string" ? value.parent : null,
    role: value.role,
    content: value.content,
    created: number(value.created) ?? Date.now(),
  };
  for (const key of /** @type {const} */ (["reasoning", "model", "error"])) {
    if (value[key] !== undefined) result[key] = string(value[key], where);
  }
  if (number(value.thoughtFor) !== undefined) result.thoughtFor = value.thoughtFor;
  if (value.role === "assistant") result.end = ENDS.includes(value.end) ? value.end : "stop";
  if (TIMINGS.every((key) => number(value.timings?.[key]) !== undefined)) {
    result.timings = /** @type {any} */ (
      Object.fromEntries(TIMINGS.map((key) => [key, value.timings[key]]))
    );
  }
  if (value.pictures !== undefined && value.role === "user") {
    result.pictures = list(value.pictures, `the pictures of ${where}`).map((item) => picture(item, where));
  }
  if (value.sources !== undefined) {
    result.sources = list(value.sources, `the sources of ${where}`).map((item) => source(item, where));
  }
  return result;
}

/** @param {any} value @param {string} where @returns {import("./pictures.js").Drawn} */
function picture(value, where) {
  const sizes = [value?.width, value?.height];
  if (!isDrawn(value?.url) || !sizes.every((size) => Number.isInteger(size) && size > 0 && size < 1e5)) {
    throw new ImportError(`${where} has a picture that is none`);
  }
  return { id: string(value.id, where) || identifier(), width: value.width, height: value.height, url: value.url };
}

/** @param {any} value @param {string} where @returns {import("./conversation.js").Source} */
function source(value, where) {
  const texts = ["path", "title", "heading", "date", "text"];
  const numbers = ["number", "page", "document", "begin", "end"];
  return /** @type {any} */ ({
    ...Object.fromEntries(texts.map((key) => [key, string(value?.[key], where)])),
    ...Object.fromEntries(numbers.map((key) => [key, number(value?.[key]) ?? 0])),
    cited: value?.cited === true,
  });
}

/** @param {any[]} messages @returns {Conversation} */
function fromMessages(messages) {
  const made = create();
  for (const [at, item] of messages.entries()) {
    if (item?.role === "system") continue;
    const { role, content, reasoning } = message(
      { ...item, id: undefined, reasoning: item?.reasoning_content },
      `message ${at + 1}`,
    );
    add(made, made.head, { role, content, reasoning, end: role === "assistant" ? "stop" : undefined });
  }
  return made;
}

/** @param {any} value @param {string} where @returns {any[]} */
function list(value, where) {
  if (!Array.isArray(value)) throw new ImportError(`${where}: a list was expected`);
  return value;
}

/** @param {any} value @param {string} where @returns {string} */
function string(value, where) {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw new ImportError(`${where} has a name or text that is none`);
  return value;
}

/** @param {any} value @returns {number | undefined} */
function number(value) {
  return Number.isFinite(value) ? value : undefined;
}
