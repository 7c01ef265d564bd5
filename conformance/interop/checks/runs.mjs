// Agent runs: acknowledged at once, told as events, answered a second time at their end.

import assert from "node:assert/strict";
import { inOrder, milestones, numberedFromOne, started, terminals, texts, words } from "../lib/run.mjs";

const onlyOurs = (options) => !options.reference;

async function aborted(scene, run) {
  const { session, runId, params } = run;
  await session.heard.until("the start of the run", (frame) => frame.event === "agent" && frame.payload.runId === runId);
  const answer = await session.request("chat.abort", { sessionKey: params.sessionKey, runId });
  assert.equal(answer.aborted, true);
  assert.deepEqual(answer.runIds, [runId]);
  const outcome = await run.outcome;
  const payload = outcome.payload ?? outcome.error.responsePayload;
  assert.equal(payload.runId, runId);
  assert.notEqual(payload.status, "ok");
  assert.equal(texts(run).state, "aborted");
  inOrder(milestones(run), "ack", "start", "chatEnd", "end", "final");
  if (scene.ours) assert.equal(terminals(run).length, 1, "one lifecycle terminal");
}

export const runs = [
  {
    name: "a run is acknowledged, told and answered in this order",
    async run(scene) {
      const session = await scene.client();
      const run = await started(session, words(scene).plain);
      const { payload } = await run.outcome;
      assert.equal(run.accepted.length, 1);
      assert.equal(run.accepted[0].runId, run.runId);
      assert.equal(run.accepted[0].status, "accepted");
      assert.equal(run.accepted[0].sessionKey, run.params.sessionKey);
      assert.ok(Number.isInteger(run.accepted[0].acceptedAt));
      assert.equal(payload.runId, run.runId);
      assert.equal(payload.status, "ok");
      assert.equal(payload.summary, "completed");
      inOrder(milestones(run), "ack", "start", "end", "chatEnd", "final");
      numberedFromOne(run);
      assert.equal(terminals(run).length, 1);
    },
  },
  {
    name: "the deltas of a run add up to its reply",
    async run(scene) {
      const session = await scene.client();
      const message = words(scene).plain;
      const run = await started(session, message);
      const { payload } = await run.outcome;
      const reply = payload.result.payloads.map((part) => part.text).join("");
      assert.ok(reply.length > 0);
      if (scene.ours) assert.ok(reply.includes(message), `the echo of "${message}" is "${reply}"`);
      assert.deepEqual(texts(run), { deltas: reply, assistant: reply, cumulative: reply, chat: reply, state: "final" });
    },
  },
  {
    name: "a long reply arrives whole",
    when: onlyOurs,
    async run(scene) {
      const session = await scene.client();
      const run = await started(session, "/long 1000");
      const { payload } = await run.outcome;
      const reply = payload.result.payloads.map((part) => part.text).join("");
      assert.deepEqual(texts(run), { deltas: reply, assistant: reply, cumulative: reply, chat: reply, state: "final" });
      numberedFromOne(run);
    },
  },
  {
    name: "what a tool was called with is told to clients that understand tool events, that it was called to all",
    when: onlyOurs,
    async run(scene) {
      const runner = await scene.client({ caps: ["tool-events"] });
      const plain = await scene.client();
      const run = await started(runner, "/tool ls hello");
      await run.outcome;
      const phases = (session) => session.heard.events("agent", run.runId)
        .map((frame) => frame.payload)
        .filter((payload) => ["item", "tool"].includes(payload.stream))
        .map((payload) => `${payload.stream} ${payload.data.phase}`);
      assert.deepEqual(phases(runner), ["item start", "tool start", "tool result", "item end"]);
      await plain.heard.until("the end of the run", (frame) => frame.event === "chat" && frame.payload.runId === run.runId && frame.payload.state === "final");
      assert.deepEqual(phases(plain), ["item start", "item end"]);
      numberedFromOne(run);
    },
  },
  {
    name: "a run that waits for another is told that it does",
    when: onlyOurs,
    async run(scene) {
      const session = await scene.client();
      const first = await started(session, "/slow 300ms one");
      const second = await started(session, "two", { sessionKey: first.params.sessionKey });
      await Promise.all([first.outcome, second.outcome]);
      assert.equal(first.accepted[0].queued, undefined);
      assert.deepEqual([second.accepted[0].queued, second.accepted[0].position], [true, 1]);
      const status = session.heard.events("agent", second.runId)[0].payload;
      assert.deepEqual([status.stream, status.data], ["run_status", { phase: "queued", position: 1 }]);
    },
  },
  {
    name: "another operator sees the run, one without scopes does not",
    async run(scene) {
      const [runner, observer, outsider] = [
        await scene.client(),
        await scene.client({ scopes: ["operator.read"] }),
        await scene.client({ scopes: ["operator.pairing"] }),
      ];
      const run = await started(runner, words(scene).plain);
      await run.outcome;
      const last = (frame) => frame.event === "chat" && frame.payload.runId === run.runId && frame.payload.state === "final";
      await observer.heard.until("the end of the run", last);
      assert.equal(observer.heard.frames.some((frame) => frame.id !== undefined && frame.payload?.runId === run.runId), false);
      await outsider.request("health");
      assert.deepEqual(outsider.heard.events("agent", run.runId).concat(outsider.heard.events("chat", run.runId)), []);
    },
  },
  {
    name: "repeating a finished run answers its result at once",
    async run(scene) {
      const session = await scene.client();
      const first = await started(session, words(scene).plain);
      const { payload } = await first.outcome;
      const again = await started(session, words(scene).plain, first.params);
      assert.deepEqual((await again.outcome).payload, payload);
      assert.deepEqual(again.accepted, []);
      assert.equal(terminals(first).length, 1, "nothing ran twice");
    },
  },
  {
    name: "repeating a run in flight ends with the same result",
    when: onlyOurs,
    async run(scene) {
      const session = await scene.client();
      const first = await started(session, words(scene).brief);
      const again = await started(session, words(scene).brief, first.params);
      assert.deepEqual(again.accepted, first.accepted);
      const { payload } = await first.outcome;
      assert.equal(payload.status, "ok");
      assert.deepEqual((await again.outcome).payload, payload);
      assert.equal(terminals(first).length, 1, "nothing ran twice");
    },
  },
  {
    name: "a run can be waited for by its id",
    async run(scene) {
      const [runner, waiter] = [await scene.client(), await scene.client()];
      const run = await started(runner, words(scene).brief);
      const early = await waiter.request("agent.wait", { runId: run.runId, timeoutMs: 20 });
      assert.deepEqual([early.runId, early.status], [run.runId, "timeout"]);
      const waited = await waiter.request("agent.wait", { runId: run.runId, timeoutMs: 25_000 });
      assert.deepEqual([waited.runId, waited.status], [run.runId, "ok"]);
      assert.ok(Number.isInteger(waited.endedAt));
      await run.outcome;
    },
  },
  {
    name: "a run that fails is refused with what happened",
    when: onlyOurs,
    async run(scene) {
      const session = await scene.client();
      const run = await started(session, words(scene).fail);
      const { error } = await run.outcome;
      assert.equal(run.accepted.length, 1);
      assert.ok(error, "the request was expected to be refused");
      assert.equal(error.gatewayCode, "UNAVAILABLE");
      assert.equal(error.responsePayload.runId, run.runId);
      assert.equal(error.responsePayload.status, "error");
      assert.equal(typeof error.responsePayload.summary, "string");
      assert.equal(texts(run).state, "error");
      inOrder(milestones(run), "ack", "start", "error", "chatEnd", "final");
      numberedFromOne(run);
    },
  },
  {
    name: "a run whose agent panics is refused too, and the gateway lives",
    when: onlyOurs,
    async run(scene) {
      const session = await scene.client();
      const run = await started(session, "/panic");
      const { error } = await run.outcome;
      assert.equal(error?.responsePayload?.status, "error");
      assert.equal(terminals(run).length, 1);
      assert.equal((await session.request("health")).ok, true);
    },
  },
  {
    name: "a run that streams slowly can be aborted",
    async run(scene) {
      const session = await scene.client();
      await aborted(scene, await started(session, words(scene).slow));
    },
  },
  {
    name: "a run that hangs can be aborted",
    when: onlyOurs,
    async run(scene) {
      const session = await scene.client();
      await aborted(scene, await started(session, words(scene).hang));
    },
  },
  {
    name: "a run that takes too long ends with a timeout",
    async run(scene) {
      const session = await scene.client();
      const run = await started(session, words(scene).hang, { timeout: 1 });
      const outcome = await run.outcome;
      const payload = outcome.payload ?? outcome.error.responsePayload;
      assert.equal(payload.runId, run.runId);
      assert.notEqual(payload.status, "ok");
      assert.ok(["error", "aborted"].includes(texts(run).state), `chat ended with ${texts(run).state}`);
    },
  },
  {
    name: "aborting a run nobody started aborts nothing",
    async run(scene) {
      const { client } = await scene.client();
      const answer = await client.request("chat.abort", { sessionKey: "agent:main:main", runId: "interop-nobody" });
      assert.deepEqual([answer.ok, answer.aborted, answer.runIds], [true, false, []]);
    },
  },
];
