// SIGTERM: what is running ends first, then everybody is told, then the sockets close, then the process.

import assert from "node:assert/strict";
import { deadline } from "../lib/deadline.mjs";
import { polled } from "../lib/gateway.mjs";
import { connectParams } from "../lib/raw.mjs";
import { inOrder, milestones, started, words } from "../lib/run.mjs";

const EXIT_MS = 25_000;
const RESTART = { code: 1012, reason: "service restart" };

/** Ends the gateway once, and judges what everybody saw. */
export function shutdown(scene) {
  const seen = {};
  return [
    {
      name: "SIGTERM ends the process with exit code 0",
      within: EXIT_MS + 10_000,
      async run() {
        const { gateway } = scene;
        seen.client = await scene.client();
        seen.early = await scene.challenged();
        if (scene.ours) seen.run = await started(seen.client, words(scene).hang);
        gateway.process.kill("SIGTERM");
        if (scene.ours) {
          seen.draining = await polled(gateway.http, "/readyz", ({ status }) => status === 503, 5_000);
          const late = scene.raw();
          seen.late = await late.connect(connectParams(gateway.token));
        }
        const exit = await deadline("the end of the process", EXIT_MS, gateway.exited);
        assert.deepEqual(exit, { code: 0, signal: null });
      },
    },
    {
      name: "SIGTERM is told as shutdown before the close 1012",
      async run() {
        const close = await seen.client.heard.untilClosed();
        assert.deepEqual(close, RESTART);
        const { frames } = seen.client.heard;
        const at = seen.client.heard.position((frame) => frame.event === "shutdown");
        assert.ok(at >= 0, "a shutdown event was heard");
        assert.equal(frames[at].payload.reason, "gateway stopping");
        assert.equal(at, frames.length - 1, "nothing comes after shutdown");
      },
    },
    {
      name: "SIGTERM closes a connection before its hello as well",
      async run() {
        assert.deepEqual(await seen.early.heard.untilClosed(), RESTART);
      },
    },
    {
      name: "SIGTERM gives a run in flight its end before shutdown",
      when: (options) => !options.reference,
      async run() {
        const { error } = await deadline("the end of the run", 1_000, seen.run.outcome);
        assert.equal(error?.responsePayload?.status, "error");
        assert.equal(error.responsePayload.runId, seen.run.runId);
        const shutdownAt = seen.client.heard.position((frame) => frame.event === "shutdown");
        inOrder({ ...milestones(seen.run), shutdown: shutdownAt }, "ack", "start", "chatEnd", "final", "shutdown");
      },
    },
    {
      name: "while draining, the readiness probe says no and newcomers are asked to retry",
      when: (options) => !options.reference,
      async run() {
        assert.equal(JSON.parse(seen.draining.body).ready, false);
        assert.equal(seen.late.ok, false);
        assert.equal(seen.late.error.code, "UNAVAILABLE");
        assert.equal(seen.late.error.retryable, true);
      },
    },
  ];
}
