/** The dialog of settings. */

import { byId, element, icon, iconButton } from "./dom.js";
import { hasKey, useKey } from "./server.js";
import { PARAMETERS } from "./settings.js";
import { openSheet } from "./sheets.js";
import * as theme from "./theme.js";

/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./settings.js").Parameter} Parameter */

/**
 * @typedef {object} Actions  what can be done with all conversations
 * @property {() => unknown} exportAll
 * @property {() => unknown} importFiles
 * @property {() => unknown} removeAll
 */

/** @param {Settings} settings @param {Actions} actions */
export function openSettings(settings, actions) {
  openSheet(
    byId("settings"),
    "Settings",
    system(settings),
    answers(settings),
    appearance(),
    conversations(actions),
    model(settings),
    ...(hasKey() ? [key()] : []),
  );
}

/** @param {string} title @param {...(Node | false)} content */
function group(title, ...content) {
  return element("section", { className: "group" }, element("h3", {}, title), ...content);
}

/** @param {Settings} settings */
function system(settings) {
  const field = element("textarea", {
    className: "filled", id: "system", value: settings.get("system"),
    placeholder: "None. For example: You answer in one sentence.",
    "aria-labelledby": "system-label", "aria-describedby": "system-hint",
  });
  const show = () => {
    reset.hidden = !settings.changed("system");
  };
  const reset = element(
    "button",
    {
      type: "button", className: "button",
      onclick: () => {
        settings.set("system", undefined);
        field.value = settings.get("system");
        show();
        field.focus();
      },
    },
    icon("rotate-ccw"),
    "Reset",
  );
  field.addEventListener("input", () => {
    settings.set("system", field.value);
    show();
  });
  show();
  return element(
    "section",
    { className: "group" },
    element("div", { className: "group-top" }, element("h3", { id: "system-label" }, "System prompt"), reset),
    field,
    element("p", { className: "hint", id: "system-hint" }, "Told to the model before every conversation, from the next answer on."),
  );
}

/** @param {Settings} settings */
function answers(settings) {
  const rows = PARAMETERS.map((parameter) => row(settings, parameter));
  const reset = element(
    "button",
    {
      type: "button", className: "button",
      onclick: () => {
        for (const { name } of PARAMETERS) settings.set(name, undefined);
        for (const { show } of rows) show();
      },
    },
    icon("rotate-ccw"),
    "Reset all",
  );
  return element(
    "section",
    { className: "group" },
    element("div", { className: "group-top" }, element("h3", {}, "How answers are made"), reset),
    ...rows.map(({ root }) => root),
  );
}

/** @param {Settings} settings @param {Parameter} parameter */
function row(settings, { name, label, help, min, max, step }) {
  const id = `setting-${name}`;
  const standard = settings.default(name);
  const field = element("input", {
    className: "filled", id, type: "number", min, max, step, required: true,
    inputMode: step === 1 ? "numeric" : "decimal", "aria-describedby": `${id}-hint`,
  });
  const reset = iconButton("rotate-ccw", `Reset ${label} to ${standard}`, () => {
    settings.set(name, undefined);
    show();
    field.focus();
  });
  const root = element(
    "div",
    { className: "field" },
    element("label", { htmlFor: id }, label),
    element("p", { className: "hint", id: `${id}-hint` }, `${help} (default: ${standard})`),
    field,
    reset,
  );
  const show = () => {
    field.value = settings.get(name);
    mark();
  };
  const mark = () => {
    const changed = settings.changed(name);
    root.classList.toggle("changed", changed);
    reset.style.visibility = changed ? "visible" : "hidden";
  };
  field.addEventListener("input", () => {
    if (field.validity.valid) settings.set(name, field.valueAsNumber);
    mark();
  });
  field.addEventListener("change", show); // what cannot be is not kept
  show();
  return { root, show };
}

function appearance() {
  const choices = /** @type {const} */ ([["system", "System", "monitor"], ["light", "Light", "sun"], ["dark", "Dark", "moon"]]);
  const options = choices.map(([value, label, picture]) => {
    const input = element("input", {
      type: "radio", name: "theme", value, checked: theme.chosen() === value, onchange: () => theme.choose(value),
    });
    return element("label", {}, input, icon(picture), label);
  });
  return group("Appearance", element("div", { className: "segments", role: "radiogroup", "aria-label": "Theme" }, ...options));
}

/** @param {Actions} actions */
function conversations(actions) {
  const buttons = /** @type {const} */ ([
    ["Export all", "download", actions.exportAll, ""],
    ["Import", "upload", actions.importFiles, ""],
    ["Delete all", "trash-2", actions.removeAll, "grave"],
  ]).map(([label, picture, onclick, grave]) =>
    element("button", { type: "button", className: `button ${grave}`, onclick }, icon(picture), label),
  );
  return group(
    "Conversations",
    element("div", { className: "buttons" }, ...buttons),
    element("p", { className: "hint" }, "They are kept in this browser alone. An export is a JSON file that can be imported anywhere."),
  );
}

/** @param {Settings} settings */
function model({ properties }) {
  const { name, version, licence } = properties.modelembed;
  const facts = [
    ["Name", name],
    ["Context", `${properties.default_generation_settings.n_ctx.toLocaleString("en")} tokens`],
    ["Licence", licence],
    ["Made with", version && `modelembed ${version}`],
  ].filter(([, value]) => value);
  return group(
    "Model",
    element("dl", {}, ...facts.flatMap(([what, value]) => [element("dt", {}, what), element("dd", {}, value)])),
  );
}

function key() {
  const forget = element(
    "button",
    {
      type: "button", className: "button",
      onclick: () => {
        useKey("");
        location.reload();
      },
    },
    "Forget the key",
  );
  return group("Access", element("div", { className: "buttons" }, forget));
}
