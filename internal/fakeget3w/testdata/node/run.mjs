// Submits predictions to the address and with the key of its arguments, and prints
// one JSON document: what became of them as the client says.
import { createRequire } from "node:module";

// The package is CommonJS.
const { Client } = createRequire(import.meta.url)("wavespeed");

const [baseUrl, key] = process.argv.slice(2);
const client = new Client(key, { baseUrl, maxConnectionRetries: 0 });
const quickly = { timeout: 60, pollInterval: 0.05 };
const input = { prompt: "Cat" };

async function refusal(what) {
  try {
    await what;
  } catch (err) {
    return err.message;
  }
  return "none";
}

const polled = await client.run("wavespeed-ai/z-image/turbo", input, quickly);
const output = await fetch(polled.outputs[0]);
const told = await client.runNoThrow("wavespeed-ai/z-image/turbo", input, quickly);
console.log(
  JSON.stringify({
    polled: polled.outputs,
    bytes: (await output.arrayBuffer()).byteLength,
    type: output.headers.get("content-type"),
    sync: (await client.run("get3w/flux-dev", input, { ...quickly, enableSyncMode: true })).outputs,
    told: told.detail,
    failed: await refusal(client.run("fails/model", input, quickly)),
    failedSync: await refusal(client.run("fails/model", input, { ...quickly, enableSyncMode: true })),
    wrongKey: await refusal(new Client("wrong", { baseUrl }).run("get3w/flux-dev", input, quickly)),
  }),
);
