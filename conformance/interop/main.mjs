// Judges one gateway; see README.md.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { devices } from "./checks/devices.mjs";
import { frames } from "./checks/frames.mjs";
import { hello } from "./checks/hello.mjs";
import { http } from "./checks/http.mjs";
import { nodes } from "./checks/nodes.mjs";
import { refusals } from "./checks/refusals.mjs";
import { requests } from "./checks/requests.mjs";
import { runs } from "./checks/runs.mjs";
import { shutdown } from "./checks/shutdown.mjs";
import { tls } from "./checks/tls.mjs";
import { watch } from "./checks/watch.mjs";
import { runningGateway, startGateway } from "./lib/gateway.mjs";
import { Judge } from "./lib/judge.mjs";
import { readOptions, usage } from "./lib/options.mjs";
import { Runner, Scene } from "./lib/runner.mjs";
import { install } from "./lib/tap.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

function binary(given) {
  const candidates = given ? [given] : ["release", "debug"].map((profile) => here(`../../target/${profile}/openclaw`));
  const found = candidates.find((path) => existsSync(path));
  if (!found) throw new Error(`no gateway at ${candidates.join(" nor ")}; build it, or name it, or use --url`);
  return resolve(found);
}

function newJudge(options) {
  const files = [{ path: here("exceptions.json"), stale: !options.reference }];
  if (options.reference) files.push({ path: here("exceptions.reference.json"), stale: false });
  return new Judge(files);
}

async function judge(options, gateway) {
  const judge = newJudge(options);
  install(judge);
  const runner = new Runner({ gateway, options, judge });
  const lasting = new Scene(gateway, options, judge);
  const secured = tls(gateway, options);
  try {
    const watched = await watch(lasting).catch((error) => {
      runner.verdict("a connection to watch is admitted", [error.message, ...judge.drain()]);
      return [];
    });
    await runner.run([...http, ...hello, ...devices, ...nodes, ...requests, ...refusals, ...frames, ...runs]);
    await runner.run(secured.checks);
    await runner.run(watched);
    if (gateway.process) await runner.run(shutdown(lasting));
  } finally {
    await lasting.end();
    await secured.stop();
  }
  if (runner.failed === 0 && !options.only) {
    const unneeded = judge.unused().filter((entry) => entry.stale);
    runner.verdict("every exception to the schema was needed", unneeded.map((entry) => `unused: ${entry.id}`));
  }
  console.log(`${judge.frames} frames judged`);
  console.log(`${runner.passed} passed, ${runner.failed} failed${runner.skipped ? `, ${runner.skipped} skipped` : ""}`);
  return runner.failed === 0 && runner.passed > 0;
}

async function reached(options) {
  if (options.url) return runningGateway(options.url, options.token);
  const readyWithin = options.reference ? 120_000 : 10_000;
  return startGateway(binary(options.gateway), { token: options.token, readyWithin, verbose: options.verbose });
}

async function main() {
  let options;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    return 2;
  }
  if (options.help) {
    console.log(usage);
    return 0;
  }
  const gateway = await reached(options).catch((error) => {
    console.log(`FAIL  the gateway starts\n        ${error.message.replaceAll("\n", "\n        ")}\n0 passed, 1 failed`);
  });
  if (!gateway) return 1;
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => gateway.stop().finally(() => process.exit(1)));
  }
  let good = false;
  try {
    good = await judge(options, gateway);
  } finally {
    if (!good && !options.verbose && gateway.output()) console.error(`--- the gateway said last:\n${gateway.output().slice(-4_000)}`);
    await gateway.stop();
  }
  return good ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
