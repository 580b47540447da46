/** Put the page together: what is kept, what is shown, and what happens when something is pressed. */

import { Answers } from "./answers.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { add, create, find, identifier, path, show, tokensOf } from "./conversation.js";
import { announce, byId, element, icon } from "./dom.js";
import { properties, ServerError, useKey } from "./server.js";
import { openSettings } from "./settings-sheet.js";
import { Settings } from "./settings.js";
import { askedKey, confirmed, openSheet, toast, undoLast } from "./sheets.js";
import { described, listen } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { Store } from "./store.js";
import * as theme from "./theme.js";
import { Thread } from "./thread.js";
import { exported, imported, ImportError } from "./transfer.js";
import { isPicture } from "./pictures.js";
import { Tray } from "./tray.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */

const FULL = 0.8; // share of the context from which the meter warns
const TEXTS = 0.2; // share of a request that is left to texts
const AGAIN = 1500; // milliseconds until a program that is still loading is asked again

const [store, program] = await Promise.all([Store.open(), programProperties()]);
const settings = new Settings(program);
const answers = new Answers(settings, store);
const connection = new Connection();
const thread = new Thread(answers, {
  resend, regenerate, show: showAlternative, pictures: (wanted) => store.pictures(wanted),
});
const sidebar = new Sidebar(store, answers, {
  open: openById, rename, export: exportOne, remove,
});
const tray = new Tray(Boolean(program.modalities?.vision), (1 - TEXTS) * program.modelembed.max_body);
const composer = new Composer(tray, {
  send: ask, stop: () => answers.stop(conversation.id), editLast: () => thread.editLast(),
});
/** The conversation that is open; a new one is kept from its first question on. @type {Conversation} */
let conversation = create();

/** @type {import("./shortcuts.js").Shortcut[]} */
const SHORTCUTS = [
  { does: "Send", code: "Enter", shown: ["Enter"] },
  { does: "New line", code: "Enter", shown: ["Shift", "Enter"] },
  { does: "Stop the answer", code: "Escape", shown: ["Esc"], run: escape },
  { does: "Edit the last question, from the empty field", code: "ArrowUp", shown: ["↑"] },
  { does: "New conversation", code: "KeyN", shown: ["N"], modifier: "Alt", run: () => open(create()) },
  { does: "Answer again", code: "KeyR", shown: ["R"], modifier: "Alt", run: again },
  { does: "Copy the last answer", code: "KeyC", shown: ["C"], modifier: "Alt", run: () => thread.lastAnswer?.copy() },
  { does: "Search the conversations", code: "KeyK", shown: ["K"], modifier: "Ctrl", run: () => sidebar.search() },
  { does: "Conversation above", code: "ArrowUp", shown: ["↑"], modifier: "Alt", run: () => beside(-1) },
  { does: "Conversation below", code: "ArrowDown", shown: ["↓"], modifier: "Alt", run: () => beside(1) },
  { does: "Rename a conversation, in the list", code: "F2", shown: ["F2"] },
  { does: "Delete a conversation, in the list", code: "Delete", shown: ["Del"] },
  { does: "Take a deletion back", code: "KeyZ", shown: ["Z"], modifier: "Alt", run: undoLast },
  { does: "Show or hide the conversations", code: "KeyB", shown: ["B"], modifier: "Alt", run: () => sidebar.show(!sidebar.shown) },
  { does: "Light or dark", code: "KeyT", shown: ["T"], modifier: "Alt", run: switchTheme },
  { does: "Settings", code: "KeyS", shown: ["S"], modifier: "Alt", run: openSettingsSheet },
  { does: "This list", code: "Slash", shown: ["/"], modifier: "Ctrl", run: openKeys },
];

answers.addEventListener("progress", (event) => {
  if (/** @type {any} */ (event).detail.phase === "gone") connection.look();
});
answers.addEventListener("done", () => showState());
answers.addEventListener("key", changeKey);
store.addEventListener("change", (event) => followElsewhere(/** @type {any} */ (event).detail));
store.addEventListener("full", () => toast("This browser has no room left to keep this conversation. Delete or export others."));
addEventListener("popstate", () => openByAddress());
byId("new").addEventListener("click", () => open(create()));
byId("new-narrow").addEventListener("click", () => open(create()));
byId("open-settings").addEventListener("click", openSettingsSheet);
byId("open-keys").addEventListener("click", openKeys);
byId("switch-theme").addEventListener("click", switchTheme);
byId("think").addEventListener("click", () => settings.set("think", !settings.get("think")));
byId("import").addEventListener("change", async () => {
  await importFiles([...byId("import").files]);
  byId("import").value = ""; // so that the same file can be chosen again
});
settings.addEventListener("change", showThink);
theme.onChange(showTheme);
takeDrops();
listen(SHORTCUTS);
showProgram();
showThink();
await openByAddress();
if (!store.lasting) toast("This browser keeps nothing for this page: conversations end with the window.");
document.body.dataset.ready = "";

/**
 * Ask a new question in the conversation that is open.
 * @param {string} text
 * @param {import("./pictures.js").Drawn[]} drawn  what it is about
 */
function ask(text, drawn) {
  store.keep(drawn);
  const last = find(conversation, conversation.head);
  const isNew = !conversation.messages.length;
  const pictures = drawn.length ? drawn.map(({ id, width, height }) => ({ id, width, height })) : undefined;
  const question = add(conversation, last?.id ?? null, { role: "user", content: text, pictures });
  if (isNew) {
    history.replaceState(null, "", `#${conversation.id}`);
    composer.open(conversation.id); // what is written from now on is no draft of a new one
  }
  start(question);
}

/** Answer a question of the conversation that is open. @param {Message} question */
function start(question) {
  announce("The answer is being written.");
  answers.start(conversation, question);
  thread.update();
  thread.toEnd();
  showState();
}

/** @param {Message} message @param {string} text */
function resend(message, text) {
  if (answers.run(conversation.id)) return toast("Stop the answer first.");
  const { pictures } = message;
  start(add(conversation, message.parent, { role: "user", content: text, pictures }));
}

/** @param {Message} message an answer */
function regenerate(message) {
  const question = find(conversation, message.parent);
  if (!question || answers.run(conversation.id)) return;
  start(question);
}

/** Answer the last question again. */
function again() {
  const last = path(conversation).at(-1);
  if (last?.role === "assistant") regenerate(last);
}

/** @param {Message} message */
async function showAlternative(message) {
  if (answers.run(conversation.id)) return toast("Stop the answer first.");
  show(conversation, message.id);
  thread.update();
  showState();
  await store.save(conversation);
}

/** Show a conversation. @param {Conversation} wanted @param {boolean} [address] whether to name it there */
function open(wanted, address = true) {
  conversation = answers.run(wanted.id)?.conversation ?? wanted;
  if (address) {
    const place = conversation.messages.length ? `#${conversation.id}` : location.pathname;
    history.pushState(null, "", place);
  }
  thread.open(conversation);
  composer.open(conversation.messages.length ? conversation.id : "a new conversation");
  sidebar.close();
  showState();
  composer.focus();
}

/** @param {string} id */
async function openById(id) {
  const found = answers.run(id)?.conversation ?? (await store.get(id));
  if (found) open(found);
}

async function openByAddress() {
  const found = await store.get(location.hash.slice(1));
  open(found ?? create(), false);
}

/** @param {1 | -1} direction */
function beside(direction) {
  const id = sidebar.beside(direction);
  if (id) openById(id);
}

/** @param {string} id @param {string} title */
async function rename(id, title) {
  const renamed = id === conversation.id ? conversation : await store.get(id);
  if (!renamed) return;
  Object.assign(renamed, { title, titled: true });
  await store.save(renamed);
  showState();
}

/** @param {string} id */
async function remove(id) {
  const removed = await store.get(id);
  if (!removed) return;
  answers.stop(id);
  await store.remove(id);
  const wasOpen = id === conversation.id;
  if (wasOpen) open(create());
  toast(`“${removed.title || "Untitled"}” is deleted.`, async () => {
    await store.save(removed);
    if (wasOpen) open(removed);
  });
}

async function removeAll() {
  const all = await store.all();
  if (!all.length) return toast("There are no conversations.");
  const count = all.length === 1 ? "The one conversation" : `All ${all.length} conversations`;
  if (!(await confirmed("Delete all conversations?", `${count} will be deleted. Export them first to keep a copy.`, "Delete all"))) return;
  for (const { id } of all) {
    answers.stop(id);
    await store.remove(id);
  }
  byId("settings").close();
  open(create());
  toast("All conversations are deleted.", async () => {
    for (const removed of all) await store.save(removed);
  });
}

/** @param {string} id */
async function exportOne(id) {
  const found = await store.get(id);
  if (found) await download([found], found.title);
}

async function exportAll() {
  const all = await store.all();
  if (all.length) await download(all, `${program.modelembed.name} conversations`);
  else toast("There are no conversations yet.");
}

/** @param {Conversation[]} conversations @param {string} name */
async function download(conversations, name) {
  const whole = await Promise.all(conversations.map((one) => store.withPictures(one)));
  const address = URL.createObjectURL(new Blob([exported(whole)], { type: "application/json" }));
  const file = name.replace(/[^\p{L}\p{N} ._-]+/gu, "").trim().slice(0, 80) || "conversation";
  element("a", { href: address, download: `${file}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** @param {File[]} files */
async function importFiles(files) {
  let count = 0;
  for (const file of files) {
    try {
      for (const whole of imported(await file.text())) {
        const one = await store.keepPictures(whole);
        const known = await store.get(one.id);
        if (known && JSON.stringify(known.messages) !== JSON.stringify(one.messages)) one.id = identifier();
        await store.save(one);
        count += 1;
      }
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      toast(`${file.name} cannot be imported: ${error.message}.`);
      return;
    }
  }
  byId("settings").close();
  toast(count === 1 ? "1 conversation is imported." : `${count} conversations are imported.`);
}

function takeDrops() {
  document.body.classList.toggle("sees", tray.sees);
  const files = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    document.body.classList.remove("dropping");
    const dropped = [...(event.dataTransfer?.files ?? [])];
    const [pictures, others] = [dropped.filter(isPicture), dropped.filter((file) => !isPicture(file))];
    if (pictures.length) tray.take(pictures).then(() => composer.focus());
    if (others.length) importFiles(others);
  });
}

/** Take over what another window did. @param {{id: string, elsewhere: boolean}} change */
async function followElsewhere({ id, elsewhere }) {
  if (!elsewhere || id !== conversation.id || answers.run(id)) return;
  const found = await store.get(id);
  if (!found) return;
  conversation = found;
  thread.open(found);
  showState();
}

function escape() {
  if (sidebar.shown && document.body.classList.contains("drawer")) sidebar.show(false);
  else answers.stop(conversation.id);
}

/** Return what the program says about itself, asking for a key and for as long as it takes. */
async function programProperties() {
  for (;;) {
    try {
      return await properties();
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (error.kind === "key") await enterKey();
      else if (error.kind === "refused") throw error;
      else {
        byId("welcome-text").textContent = "The model is being loaded …";
        document.body.classList.add("empty");
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
      }
    }
  }
}

async function enterKey() {
  const key = await askedKey();
  if (key !== undefined) useKey(key);
}

async function changeKey() {
  await enterKey();
  again();
}

function openSettingsSheet() {
  openSettings(settings, { exportAll, importFiles: () => byId("import").click(), removeAll });
}

function openKeys() {
  openSheet(byId("keys"), "Keyboard", described(SHORTCUTS));
}

function switchTheme() {
  theme.choose(theme.current() === "dark" ? "light" : "dark");
}

function showTheme() {
  const dark = theme.current() === "dark";
  const button = byId("switch-theme");
  button.replaceChildren(icon(dark ? "sun" : "moon"));
  button.ariaLabel = button.title = dark ? "Switch to light" : "Switch to dark";
}

function showProgram() {
  const { name, greeting, fallback, documents } = program.modelembed;
  byId("brand").textContent = byId("welcome-name").textContent = name;
  byId("welcome-text").textContent = greeting || (documents ? "Ask about the documents in this program." : "Ask anything.");
  byId("elsewhere").hidden = !fallback;
  byId("elsewhere-text").textContent =
    `The model of this program could not be loaded. Answers come from ${fallback}: what you write is sent there.`;
}

function showThink() {
  const button = byId("think");
  button.hidden = !program.modelembed.thinking;
  button.ariaPressed = String(settings.get("think"));
}

/** Show title, meter and buttons as they are now. */
function showState() {
  const title = conversation.title || "New conversation";
  byId("title").textContent = title;
  document.title = conversation.title ? `${title} · ${program.modelembed.name}` : program.modelembed.name;
  composer.answering(Boolean(answers.run(conversation.id)));
  sidebar.mark(conversation.id);
  showMeter();
}

/** Show how much of the context the last answer had filled. */
function showMeter() {
  const timings = path(conversation).findLast((message) => message.timings)?.timings;
  const whole = program.default_generation_settings.n_ctx;
  const meter = byId("meter");
  meter.hidden = !timings || !whole;
  if (!timings) return;
  const used = Math.min(whole, tokensOf(timings)); // the last word need not be read again
  const share = used / whole;
  const text = `${used.toLocaleString("en")} of ${whole.toLocaleString("en")} tokens`;
  byId("meter-text").textContent = text;
  byId("meter-part").setAttribute("stroke-dasharray", `${share * 100} 100`);
  meter.classList.toggle("full", share >= FULL);
  meter.title = share >= FULL
    ? `${text} of context are used: soon the model can take in no more.`
    : `${text} of context are used.`;
}
