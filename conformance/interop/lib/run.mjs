// One agent run as its own connection heard it.

import assert from "node:assert/strict";

let serial = 0;

/** What to say to the agent: ours understands orders, the reference is configured with a stub provider. */
export function words(scene) {
  return scene.ours
    ? { plain: "one two three", slow: "/slow 30s one two three", brief: "/slow 1s one two three", hang: "/hang", fail: "/fail" }
    : { plain: "hello", slow: "slow", brief: "slow", hang: "slow" };
}

/** Starts a run; `outcome` resolves with `{ payload }` or `{ error }`, never rejects. */
export async function started(session, message, { idempotencyKey, sessionKey, ...more } = {}) {
  serial += 1;
  const key = idempotencyKey ?? `interop-${process.pid}-${serial}`;
  const accepted = [];
  let ack;
  const acknowledged = new Promise((resolve) => (ack = resolve));
  const params = { message, idempotencyKey: key, sessionKey: sessionKey ?? `agent:main:interop-${serial}`, ...more };
  const outcome = session
    .request("agent", params, {
      expectFinal: true,
      onAccepted(payload) {
        accepted.push(payload);
        ack();
      },
    })
    .then(
      (payload) => ({ payload }),
      (error) => ({ error }),
    );
  await Promise.race([acknowledged, outcome]);
  return { runId: key, params, accepted, outcome, session };
}

/** The order of one run on its connection: positions of its milestones in what was heard. */
export function milestones({ session, runId }) {
  const { heard } = session;
  const ofRun = (event, test) => (frame) => frame.event === event && frame.payload.runId === runId && test(frame.payload);
  const phase = (name) => ofRun("agent", (payload) => payload.stream === "lifecycle" && payload.data.phase === name);
  const ack = heard.position((frame) => frame.type === "res" && frame.payload?.runId === runId && frame.payload.status === "accepted");
  const id = heard.frames[ack]?.id;
  return {
    ack,
    start: heard.position(phase("start")),
    end: heard.position(phase("end")),
    error: heard.position(phase("error")),
    chatEnd: heard.position(ofRun("chat", (payload) => ["final", "aborted", "error"].includes(payload.state))),
    final: heard.position((frame) => frame.type === "res" && frame.id === id, ack + 1),
  };
}

export function inOrder(found, ...names) {
  for (const name of names) assert.ok(found[name] >= 0, `${name} was heard: ${JSON.stringify(found)}`);
  const positions = names.map((name) => found[name]);
  assert.deepEqual(positions, [...positions].sort((a, b) => a - b), `${names.join(" < ")}: ${JSON.stringify(found)}`);
}

/** Numbers of the run's agent events: from 1, without a hole. */
export function numberedFromOne({ session, runId }) {
  const numbers = session.heard.events("agent", runId).map((frame) => frame.payload.seq);
  assert.ok(numbers.length > 0, "the run had agent events");
  assert.deepEqual(numbers, numbers.map((_, index) => index + 1));
}

/** Text of the run as its chat deltas, its chat end and its assistant stream tell it. */
export function texts({ session, runId }) {
  const chat = session.heard.events("chat", runId).map((frame) => frame.payload);
  const deltas = chat.filter((payload) => payload.state === "delta");
  const assistant = session.heard.events("agent", runId).filter((frame) => frame.payload.stream === "assistant");
  const last = chat.at(-1);
  return {
    deltas: deltas.reduce((text, payload) => (payload.replace ? payload.deltaText : text + payload.deltaText), ""),
    assistant: assistant.map((frame) => frame.payload.data.delta).join(""),
    cumulative: assistant.at(-1)?.payload.data.text,
    chat: last?.message?.content.map((part) => part.text).join(""),
    state: last?.state,
  };
}

/** Lifecycle events that end the run. */
export function terminals({ session, runId }) {
  return session.heard
    .events("agent", runId)
    .filter((frame) => frame.payload.stream === "lifecycle" && ["end", "error"].includes(frame.payload.data.phase));
}
