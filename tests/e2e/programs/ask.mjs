// Ask a server by each of Vercel's providers and by Ollama's client; print what came of it as JSON.
//
//     node ask.mjs URL SAY CALL AFTER

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { Ollama } from "ollama";

globalThis.AI_SDK_LOG_WARNINGS = false; // they would be among the output
const [url, say, call, after] = process.argv.slice(2);
const baseURL = `${url}/v1`;
const apiKey = "none";
const models = {
  responses: createOpenAI({ baseURL, apiKey })("any"),
  "chat completions": createOpenAICompatible({ name: "chat", baseURL })("any"),
  messages: createAnthropic({ baseURL, apiKey })("any"),
};
const properties = { city: { type: "string" }, days: { type: "integer" } };
const weather = tool({
  description: "Tell the weather of a city.",
  inputSchema: jsonSchema({ type: "object", properties, required: ["city", "days"] }),
  execute: async ({ city, days }) => `sunny in ${city} for ${days} days ${after}`,
});

const found = {};
for (const [name, model] of Object.entries(models)) {
  const whole = await generateText({ model, prompt: say, maxRetries: 0 });
  let streamed = "";
  for await (const part of streamText({ model, prompt: say, maxRetries: 0 }).textStream) {
    streamed += part;
  }
  const stopWhen = stepCountIs(3);
  const called = await generateText({ model, prompt: call, tools: { weather }, stopWhen, maxRetries: 0 });
  found[name] = [whole.text, streamed, called.text];
}
const messages = [{ role: "user", content: say }];
const answer = await new Ollama({ host: url }).chat({ model: "any", messages });
found.ollama = [answer.message.content];
console.log(JSON.stringify(found));
