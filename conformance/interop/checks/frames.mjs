// Frames no client should send.

import assert from "node:assert/strict";
import { connectParams } from "../lib/raw.mjs";

const PRE_HELLO_LIMIT = 65_536;

function padded(frame, length) {
  return JSON.stringify(frame).padEnd(length, " ");
}

function connectFrame(token) {
  return { type: "req", id: "padded", method: "connect", params: connectParams(token) };
}

async function stillServed(raw) {
  const answer = await raw.ask('{"type":"req","id":"still","method":"health"}', "health");
  assert.equal(answer.id, "still");
  assert.equal(answer.ok, true);
}

function invalidFrame(name, text, { id, message = /^invalid request frame/ }) {
  return {
    name: `after hello, ${name} is answered and the connection stays`,
    async run(scene) {
      const raw = await scene.admitted();
      const answer = await raw.ask(text);
      assert.equal(answer.ok, false);
      assert.equal(answer.error.code, "INVALID_REQUEST");
      assert.match(answer.error.message, message);
      if (scene.ours || typeof id === "string") assert.equal(answer.id, id ?? "invalid");
      await stillServed(raw);
    },
  };
}

function wrongStart(name, text, { close, reference = close, error }) {
  return {
    name: `before hello, ${name} closes ${close.code}`,
    async run(scene) {
      const raw = await scene.challenged();
      raw.text(text(scene));
      const got = await raw.heard.untilClosed();
      const expected = scene.ours ? close : reference;
      assert.equal(got.code, expected.code);
      if (expected.reason instanceof RegExp) assert.match(got.reason, expected.reason);
      if (error) assert.equal(raw.heard.frames.find((frame) => frame.type === "res")?.error.message, error);
    },
  };
}

const closedSilently = { code: 1000, reason: /^$/ };
const firstMustBeConnect = "invalid handshake: first request must be connect";

export const frames = [
  wrongStart("a frame that is not JSON", () => "hello?", { close: { code: 1008, reason: /./ }, reference: closedSilently }),
  wrongStart("an array", () => "[]", { close: { code: 1008, reason: /^invalid request frame/ } }),
  wrongStart("another method than connect", () => '{"type":"req","id":"1","method":"health"}', {
    close: { code: 1008, reason: /^invalid handshake: first request must be connect/ },
    error: firstMustBeConnect,
  }),
  wrongStart("a frame over 64 KiB", (scene) => padded(connectFrame(scene.gateway.token), PRE_HELLO_LIMIT + 1), {
    close: { code: 1009 },
  }),
  {
    name: "before hello, a frame of exactly 64 KiB is read",
    async run(scene) {
      const raw = await scene.challenged();
      const answer = await raw.ask(padded(connectFrame(scene.gateway.token), PRE_HELLO_LIMIT), "a padded connect");
      assert.equal(answer.ok, true);
    },
  },
  {
    name: "connect may come as a binary frame",
    async run(scene) {
      const raw = await scene.challenged();
      const from = raw.heard.frames.length;
      raw.socket.send(Buffer.from(JSON.stringify(connectFrame(scene.gateway.token))), { binary: true });
      assert.equal((await raw.heard.answer("hello-ok", from)).ok, true);
    },
  },
  {
    name: "the upgrade is accepted on any path",
    async run(scene) {
      const raw = scene.raw({ path: "/any/path?of=mine" });
      assert.equal((await raw.connect(connectParams(scene.gateway.token))).ok, true);
    },
  },
  {
    name: "requests sent along with connect are answered after hello, in order",
    async run(scene) {
      const raw = await scene.challenged();
      raw.json(connectFrame(scene.gateway.token));
      raw.json({ type: "req", id: "first", method: "health" });
      raw.json({ type: "req", id: "second", method: "health" });
      await raw.heard.until("the second answer", (frame) => frame.id === "second");
      const ids = raw.heard.frames.filter((frame) => frame.type === "res").map((frame) => frame.id);
      assert.deepEqual(ids, ["padded", "first", "second"]);
    },
  },
  invalidFrame("a number as id", '{"type":"req","id":7,"method":"health"}', {}),
  invalidFrame("an empty id", '{"type":"req","id":"","method":"health"}', {}),
  invalidFrame("a missing id", '{"type":"req","method":"health"}', { id: "invalid" }),
  invalidFrame("an array", "[]", { id: "invalid" }),
  invalidFrame("an unknown member", '{"type":"req","id":"x1","method":"health","bogus":1}', { id: "x1" }),
  invalidFrame("a missing method", '{"type":"req","id":"x2"}', { id: "x2" }),
  invalidFrame("a second connect", '{"type":"req","id":"again","method":"connect","params":{}}', {
    id: "again",
    message: /^connect is only valid as the first request/,
  }),
  {
    name: "after hello, the fifth malformed frame in a row closes 1008",
    when: (options) => !options.reference,
    async run(scene) {
      const raw = await scene.admitted();
      const malformed = async (times) => {
        for (let turn = 0; turn < times; turn += 1) {
          const answer = await raw.ask('{"type":');
          assert.equal(answer.id, "invalid");
          assert.equal(answer.ok, false);
        }
      };
      await malformed(4);
      await stillServed(raw);
      await malformed(4);
      assert.equal(raw.heard.closing, undefined);
      raw.text('{"type":');
      const close = await raw.heard.untilClosed();
      assert.equal(close.code, 1008);
      assert.notEqual(close.reason, "");
    },
  },
  {
    name: "two requests with one id get an answer each",
    async run(scene) {
      const raw = await scene.admitted();
      const from = raw.heard.frames.length;
      for (let turn = 0; turn < 2; turn += 1) raw.json({ type: "req", id: "twin", method: "health" });
      const twins = () => raw.heard.frames.slice(from).filter((frame) => frame.id === "twin");
      await raw.heard.until("the second answer", () => twins().length === 2, { from });
      assert.deepEqual(twins().map((frame) => frame.ok), [true, true]);
    },
  },
];
