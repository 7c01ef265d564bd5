// The gateway under judgement: a process of our own in a home of its own, or one that already runs.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { deadline } from "./deadline.mjs";

const POLL_MS = 20;
const KEPT_OUTPUT = 20_000;

export function runningGateway(url, token) {
  const base = url.replace(/\/+$/, "");
  return { url: base, http: base.replace(/^ws/, "http"), token, process: undefined, stop: async () => {}, output: () => "" };
}

/** Starts a gateway; with `config` it is configured, and speaks TLS if that says so. */
export async function startGateway(binary, { token = randomBytes(24).toString("hex"), readyWithin, verbose, config }) {
  const home = mkdtempSync(join(tmpdir(), "openclaw-interop-"));
  const port = await freePort();
  const state = join(home, "state");
  mkdirSync(state);
  if (config) writeFileSync(join(state, "openclaw.json"), JSON.stringify(config));
  const secure = config?.gateway?.tls?.enabled ? "s" : "";
  let output = "";
  const child = spawn(
    binary,
    ["gateway", "--port", String(port), "--bind", "loopback", "--token", token, "--allow-unconfigured"],
    { cwd: home, env: environment(home), stdio: ["ignore", "pipe", "pipe"] },
  );
  const exited = new Promise((resolve) => {
    child.on("error", (error) => resolve({ code: undefined, signal: undefined, error }));
    child.on("exit", (code, signal) => resolve({ code, signal }));
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output = (output + chunk).slice(-KEPT_OUTPUT);
      if (verbose) process.stderr.write(chunk);
    });
  }
  const gateway = {
    url: `ws${secure}://127.0.0.1:${port}`,
    http: `http${secure}://127.0.0.1:${port}`,
    token,
    binary,
    readyWithin,
    state,
    process: child,
    exited,
    output: () => output,
    async stop() {
      if (child.exitCode === null && child.signalCode === null && child.pid) {
        child.kill("SIGKILL");
        await deadline("the end of the gateway", 10_000, exited);
      }
      rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  try {
    await ready(gateway, readyWithin);
  } catch (error) {
    await gateway.stop();
    throw new Error(`${error.message}\n${output}`);
  }
  return gateway;
}

function environment(home) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("OPENCLAW_"));
  return { ...Object.fromEntries(inherited), HOME: home, OPENCLAW_STATE_DIR: join(home, "state") };
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function ready(gateway, within) {
  const end = Date.now() + within;
  let gone;
  gateway.exited.then((how) => (gone = how));
  while (Date.now() < end) {
    if (gone) throw new Error(`the gateway ended before it was ready: ${gone.error ?? `exit ${gone.code ?? gone.signal}`}`);
    if ((await probe(gateway.http, "/readyz"))?.status === 200) return;
    await pause(POLL_MS);
  }
  throw new Error(`the gateway was not ready within ${within} ms`);
}

/** One bounded GET; nothing when nobody answers. */
export async function probe(base, path) {
  if (base.startsWith("https:")) return insecureProbe(base + path);
  try {
    const response = await fetch(base + path, { signal: AbortSignal.timeout(2_000), headers: { connection: "close" } });
    return { status: response.status, headers: response.headers, body: await response.text() };
  } catch {
    return undefined;
  }
}

/** The same over TLS, whatever certificate is shown. */
function insecureProbe(url) {
  return new Promise((resolve) => {
    const options = { rejectUnauthorized: false, agent: false, signal: AbortSignal.timeout(2_000) };
    const request = get(url, options, (response) => {
      response.resume();
      resolve({ status: response.statusCode });
    });
    request.on("error", () => resolve(undefined));
  });
}

/** Polls `path` until `predicate` holds for what it answers. */
export async function polled(base, path, predicate, within) {
  const end = Date.now() + within;
  let last;
  while (Date.now() < end) {
    last = await probe(base, path);
    if (last && predicate(last)) return last;
    await pause(POLL_MS);
  }
  throw new Error(`${path} did not get there within ${within} ms; last: ${last?.status} ${last?.body}`);
}
