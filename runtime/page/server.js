/** Talk with the program that serves this page. */

import { createParser } from "./vendor/eventsource-parser/parse.js";

/**
 * @typedef {object} Properties  what `GET /props` says, as far as it is used
 * @property {{n_ctx: number, params: Record<string, number>}} default_generation_settings
 * @property {{name: string, greeting: string, system: string, licence: string, version: string,
 *   thinking: boolean, documents: number, max_body: number, fallback?: string}} modelembed  `fallback` is where answers come from
 *   instead, when the model could not be loaded and that is allowed
 * @property {{vision: boolean, audio: boolean}} modalities  what the model takes beside texts
 */

/**
 * @typedef {object} Event  something that happened while an answer was made
 * @property {string} [content]  more of the answer
 * @property {string} [reasoning]  more of what the model thinks
 * @property {{total: number, cache: number, processed: number}} [progress]  tokens of the prompt
 * @property {any} [timings]
 * @property {string} [finish]  why it ended
 * @property {import("./conversation.js").Source[]} [sources]  what it was made from
 */

const KEY = "api-key";

/**
 * Something failed; `kind` says what to do about it:
 * gone (nothing answers), busy (it says to come back), key (it wants one), refused (it will not).
 */
export class ServerError extends Error {
  /**
   * @param {"gone" | "busy" | "key" | "refused"} kind
   * @param {string} message
   * @param {number} [retryAfter] seconds
   */
  constructor(kind, message, retryAfter = 2) {
    super(message);
    this.kind = kind;
    this.retryAfter = retryAfter;
  }
}

/** @returns {Promise<Properties>} */
export async function properties() {
  return (await request("/props")).json();
}

/** Whether the program is there and ready. */
export async function ready() {
  try {
    return (await fetch(below("/health"), { cache: "no-store", signal: AbortSignal.timeout(5000) })).ok;
  } catch {
    return false;
  }
}

/** @param {string} key kept in this browser only, and sent to nobody but this program */
export function useKey(key) {
  if (key) localStorage.setItem(KEY, key);
  else localStorage.removeItem(KEY);
}

/** Whether a key is kept here. */
export function hasKey() {
  return localStorage.getItem(KEY) !== null;
}

/**
 * Yield what happens until the answer is complete; ServerError when it cannot be.
 * @param {{role: string, content: any}[]} messages
 * @param {Record<string, any>} parameters
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Event>}
 */
export async function* answer(messages, parameters, signal) {
  const response = await request("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      messages,
      ...parameters,
      stream: true,
      stream_options: { include_usage: true },
      return_progress: true,
    }),
    signal,
  });
  let ended = false;
  for await (const data of events(response)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw refusal(chunk.error, 500, null);
    const choice = chunk.choices?.[0];
    ended ||= Boolean(choice?.finish_reason);
    yield {
      content: choice?.delta?.content ?? undefined,
      reasoning: choice?.delta?.reasoning_content ?? undefined,
      finish: choice?.finish_reason ?? undefined,
      progress: chunk.prompt_progress,
      timings: chunk.timings,
      sources: chunk.sources,
    };
  }
  if (!ended) throw new ServerError("gone", "The connection broke before the answer was complete.");
}

/**
 * Return a part of a document's text; `begin` and `end` count characters.
 * @param {number} number
 * @param {number} begin
 * @param {number} end
 * @returns {Promise<{path: string, size: number, begin: number, end: number, text: string}>}
 */
export async function documentPart(number, begin, end) {
  return (await request(`/v1/documents/${number}?begin=${begin}&end=${end}`)).json();
}

/**
 * Yield the data of each server-sent event.
 * @param {Response} response
 * @returns {AsyncGenerator<string>}
 */
async function* events(response) {
  /** @type {string[]} */
  let arrived = [];
  const parser = createParser({ onEvent: (event) => arrived.push(event.data) });
  const decoder = new TextDecoder();
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw broken(error);
      });
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      const ready = arrived;
      arrived = [];
      yield* ready;
    }
  } finally {
    reader.cancel().catch(() => {}); // so that the program stops computing
  }
}

/**
 * Return a path of the server, which may be below another: this file is at page/server.js there.
 * @param {string} path
 */
function below(path) {
  return new URL(`..${path}`, import.meta.url).href;
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function request(path, options = {}) {
  const key = localStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(below(path), { cache: "no-store", ...options, headers }).catch((error) => {
    throw broken(error);
  });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw refusal(body.error, response.status, response.headers.get("Retry-After"));
}

/** @param {any} error of fetch or of reading what it fetched */
function broken(error) {
  if (error?.name === "AbortError") return error;
  return new ServerError("gone", "The program that answers is not reachable. Is it still running?");
}

/**
 * Return the error that the program's answer means.
 * @param {any} error in OpenAI's shape, if there is one
 * @param {number} status
 * @param {string | null} retryAfter seconds
 */
function refusal(error, status, retryAfter) {
  const said = typeof error?.message === "string" ? error.message : "";
  if (status === 401) return new ServerError("key", "This program asks for a key.");
  if (status === 503 || status === 429) {
    return new ServerError("busy", "Busy with other questions.", Number(retryAfter) || 2);
  }
  if (error?.type === "exceed_context_size_error" || error?.code === "context_length_exceeded") {
    return new ServerError(
      "refused",
      "This conversation has become longer than what the model can take in at once. " +
        "Begin a new one, or edit an earlier question to go on from there.",
    );
  }
  return new ServerError("refused", said || `The program answered with an error (HTTP ${status}).`);
}
