/**
 * Pictures that are asked about: drawn anew before anything is sent, so that they are upright, no
 * larger than what a model looks at, and without what a camera notes of places and times.
 */

import { identifier } from "./conversation.js";

/**
 * @typedef {object} Picture  as a message has it; its bytes are kept apart
 * @property {string} id
 * @property {number} width
 * @property {number} height
 */
/** @typedef {Picture & {url: string}} Drawn  `url` is a data URL with the bytes */

/** Pixels of a side: what models look at is smaller, or hardly larger. */
const SIDE = 1536;
/** Bytes of a file that is read at all, as the program has it for files of its own. */
const FILE = 32 * 1024 * 1024;
/** Bytes of a drawn one that is kept without loss; larger ones are photographs. */
const EXACT = 512 * 1024;
const QUALITY = 0.9;
/** Bytes by which a text is told. */
const HEAD = 1024;
/** Pictures of one question. */
export const MOST = 8;
const LOSSY = ["image/jpeg", "image/heic", "image/heif", "image/avif"];

/** A picture cannot be taken; the message says why. */
export class PictureError extends Error {}

/**
 * Return the picture in a file, drawn anew.
 * @param {File} file
 * @returns {Promise<Drawn>}
 */
export async function drawn(file) {
  if (file.size > FILE) {
    throw new PictureError(`it has ${megabytes(file.size)}, at most ${megabytes(FILE)} can be taken`);
  }
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(async () => {
    throw new PictureError(
      (await mayBePicture(file))
        ? "this browser cannot read it; save it as PNG or JPEG"
        : "it is not a picture",
    );
  });
  try {
    const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    const width = Math.max(1, Math.round(bitmap.width * scale));
    const height = Math.max(1, Math.round(bitmap.height * scale));
    const canvas = new OffscreenCanvas(width, height);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.fillStyle = "#fff"; // behind what is transparent: models see no transparency
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, width, height);
    return { id: identifier(), width, height, url: await dataUrl(await encoded(canvas, file.type)) };
  } finally {
    bitmap.close();
  }
}

/** @param {OffscreenCanvas} canvas @param {string} type of the file it came from */
async function encoded(canvas, type) {
  if (!LOSSY.includes(type)) {
    const exact = await canvas.convertToBlob({ type: "image/png" });
    if (exact.size <= EXACT) return exact;
  }
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

/** @param {Blob} blob @returns {Promise<string>} */
function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(/** @type {string} */ (reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Whether a file is a picture, or says so. @param {File} file */
export function isPicture(file) {
  return file.type.startsWith("image/");
}

/** Whether a file may be a picture: neither its type nor its bytes say otherwise. @param {File} file */
async function mayBePicture(file) {
  if (file.type) return isPicture(file);
  try {
    const head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
    // Text may end within a character here.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    return text.includes("\0");
  } catch {
    return true; // no text
  }
}

/** Whether a text is the data URL of a picture that could have been drawn here. @param {any} url */
export function isDrawn(url) {
  return typeof url === "string" && /^data:image\/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}$/.test(url);
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;
}

/**
 * Return what a message is for the model: its pictures, then its text.
 * @param {string} text
 * @param {string[]} urls
 */
export function parts(text, urls) {
  if (!urls.length) return text;
  const seen = urls.map((url) => ({ type: "image_url", image_url: { url } }));
  return text ? [...seen, { type: "text", text }] : seen;
}
