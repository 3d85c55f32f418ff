// The Vercel AI SDK in front of the gateway: one line of JSON per thing tried. Run by test_ai_sdk.py.
import { generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { z } from 'zod';

globalThis.AI_SDK_LOG_WARNINGS = false;
const [origin, name] = process.argv.slice(2);
const id = 'openai/gpt-4o-mini';
const settings = { baseURL: `${origin}/v1`, apiKey: 'any' };
const models = {
  chat: () => createOpenAI(settings).chat(id),
  responses: () => createOpenAI(settings)(id),
  compatible: () => createOpenAICompatible({ name: 'engine', includeUsage: true, ...settings })(id),
  anthropic: () => createAnthropic(settings)(id),
};
const model = models[name]();
// Without it the SDK refers to items of the server's store instead of sending them.
const providerOptions = { openai: { store: false } };
const common = { model, providerOptions, maxRetries: 0 };
const cities = [];
const get_weather = tool({
  description: 'The weather of a city.',
  inputSchema: z.object({ city: z.string(), days: z.number() }),
  execute: async ({ city }) => { cities.push(city); return '21'; },
});
const agent = { ...common, prompt: 'script:agent weather', tools: { get_weather }, stopWhen: stepCountIs(5) };

async function text() {
  return (await generateText({ ...common, prompt: 'capital of France' })).text;
}
async function stream() {
  const result = streamText({ ...common, prompt: 'capital of France', onError: () => {} });
  let all = '';
  for await (const piece of result.textStream) all += piece;
  return [all, await result.finishReason, (await result.usage).inputTokens];
}
async function loop() {
  cities.length = 0;
  return [(await generateText(agent)).text, [...cities]];
}
async function streamed_loop() {
  cities.length = 0;
  const result = streamText({ ...agent, onError: () => {} });
  for await (const part of result.fullStream) if (part.type === 'error') throw part.error;
  return [await result.text, [...cities]];
}
async function object() {
  const schema = z.object({ city: z.string(), degrees: z.number() });
  return (await generateObject({ ...common, schema, prompt: 'script:fenced weather' })).object;
}
async function error() {
  try { await generateText({ ...common, prompt: 'mock:rate_limited' }); } catch (e) { return [e.name, e.statusCode, e.message]; }
}
async function references() {
  try { await generateText({ ...agent, providerOptions: {} }); } catch (e) { return [e.statusCode, e.message]; }
}
const tried = { text, stream, loop, streamed_loop, object, error, references };
const report = {};
for (const [what, run] of Object.entries(tried)) {
  try { report[what] = await run(); } catch (e) { report[what] = `${e.name}: ${e.message}`; }
}
console.log(JSON.stringify(report));
