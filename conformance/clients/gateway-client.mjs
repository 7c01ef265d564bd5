// The published npm client as `openclaw-conformance client` wants it: one job, named in the environment.
// It uses the installation of ../interop, where the version is pinned.

import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";

const installed = createRequire(new URL("../interop/", import.meta.url));
const { GatewayClient } = await import(installed.resolve("@openclaw/gateway-client"));

const { OPENCLAW_GATEWAY_URL: url, OPENCLAW_GATEWAY_TOKEN: token, OPENCLAW_CONFORMANCE_JOB: job } = process.env;
const print = (payload) => console.log(JSON.stringify(payload));

/** Resolves at hello, and fails when the connection is refused, given up or, where `once`, lost. */
function connected({ once, ...options }) {
  let client;
  const ready = new Promise((resolve, reject) => {
    client = new GatewayClient({
      url,
      token,
      deviceIdentity: null,
      clientName: "gateway-client",
      mode: "backend",
      scopes: ["operator.read", "operator.write"],
      onHelloOk: resolve,
      onConnectError: (error) => once && reject(error),
      onReconnectPaused: (info) => reject(new Error(`paused: ${info.reason}`)),
      onClose: (code, reason) => once && reject(new Error(`closed: ${code} ${reason}`)),
      ...options,
    });
    client.start();
  });
  return { client, ready };
}

const jobs = {
  async health() {
    const { client, ready } = connected({ once: true });
    await ready;
    print(await client.request("health"));
    await client.stopAndWait();
  },
  async pair() {
    const { client, ready } = connected({ once: true });
    await ready;
    const answers = await Promise.all([client.request("health"), client.request("status")]);
    answers.forEach(print);
    await client.stopAndWait();
  },
  async run() {
    const { client, ready } = connected({ once: false });
    await ready;
    const params = { message: "Say hello.", idempotencyKey: randomUUID() };
    print(await client.request("agent", params, { expectFinal: true }));
    await client.stopAndWait();
  },
  async stay() {
    // The client tells of a gap; to fetch again what may have been lost is left to who uses it.
    const { client, ready } = connected({
      once: false,
      onGap: () => {
        for (const method of ["health", "system-presence"]) client.request(method).catch(console.error);
      },
    });
    ready.catch(console.error);
    setInterval(() => {}, 60_000);
  },
};

try {
  await jobs[job]();
  if (job !== "stay") process.exit(0);
} catch (error) {
  console.error(String(error));
  process.exit(1);
}
