// SIGTERM: what is running ends first, then everybody is told, then the sockets close, then the process.

import assert from "node:assert/strict";
import { deadline } from "../lib/deadline.mjs";
import { polled } from "../lib/gateway.mjs";
import { connectParams } from "../lib/raw.mjs";
import { inOrder, milestones, started, words } from "../lib/run.mjs";

const EXIT_MS = 25_000;
const WITHIN = EXIT_MS + 15_000;
const RESTART = { code: 1012, reason: "service restart" };
const isShutdown = (frame) => frame.event === "shutdown";

/** Ends the gateway and keeps what everybody saw. */
async function terminate(scene) {
  const { gateway, ours } = scene;
  const client = await scene.client();
  const early = await scene.challenged();
  const run = ours ? await started(client, words(scene).hang) : undefined;
  gateway.process.kill("SIGTERM");
  const draining = ours ? polled(gateway.http, "/readyz", ({ status }) => status === 503, 5_000) : undefined;
  const late = ours ? draining.then(() => scene.raw().connect(connectParams(gateway.token))) : undefined;
  await Promise.allSettled([draining, late]);
  const exit = await deadline("the end of the process", EXIT_MS, gateway.exited);
  return { client, early, run, draining, late, exit };
}

/** The checks share one termination: a gateway ends only once. */
export function shutdown(scene) {
  let ended;
  const seen = () => (ended ??= terminate(scene));
  return [
    {
      name: "SIGTERM ends the process with exit code 0",
      within: WITHIN,
      async run() {
        assert.deepEqual((await seen()).exit, { code: 0, signal: null });
      },
    },
    {
      name: "SIGTERM is told as shutdown before the close 1012",
      within: WITHIN,
      async run() {
        const { heard } = (await seen()).client;
        assert.deepEqual(await heard.untilClosed(), RESTART);
        const told = heard.position(isShutdown);
        assert.ok(told >= 0, "a shutdown event was heard");
        assert.equal(heard.frames[told].payload.reason, "gateway stopping");
        assert.equal(told, heard.frames.length - 1, "nothing comes after shutdown");
      },
    },
    {
      name: "SIGTERM closes a connection before its hello as well",
      within: WITHIN,
      async run() {
        assert.deepEqual(await (await seen()).early.heard.untilClosed(), RESTART);
      },
    },
    {
      name: "SIGTERM gives a run in flight its end before shutdown",
      when: (options) => !options.reference,
      within: WITHIN,
      async run() {
        const { client, run } = await seen();
        const { error } = await deadline("the end of the run", 1_000, run.outcome);
        assert.equal(error?.responsePayload?.status, "error");
        assert.equal(error.responsePayload.runId, run.runId);
        inOrder({ ...milestones(run), shutdown: client.heard.position(isShutdown) }, "ack", "start", "chatEnd", "final", "shutdown");
      },
    },
    {
      name: "after SIGTERM, while a run drains, the readiness probe says no",
      when: (options) => !options.reference,
      within: WITHIN,
      async run() {
        assert.equal(JSON.parse((await (await seen()).draining).body).ready, false);
      },
    },
    {
      name: "after SIGTERM, while a run drains, newcomers are asked to retry",
      when: (options) => !options.reference,
      within: WITHIN,
      async run() {
        const answer = await (await seen()).late;
        assert.equal(answer.ok, false);
        assert.equal(answer.error.code, "UNAVAILABLE");
        assert.equal(answer.error.retryable, true);
      },
    },
  ];
}
