// Requests that are answered at once.

import assert from "node:assert/strict";

export const requests = [
  {
    name: "health answers what the snapshot holds",
    async run(scene) {
      const { client } = await scene.client();
      const health = await client.request("health");
      scene.judge.check("Health", health, "health");
      assert.equal(health.ok, true);
    },
  },
  {
    name: "status answers an object",
    async run(scene) {
      const { client } = await scene.client();
      const status = await client.request("status", {});
      assert.equal(typeof status.runtimeVersion, "string");
    },
  },
  {
    name: "system-presence lists the gateway itself",
    async run(scene) {
      const { client, hello } = await scene.client();
      const presence = await client.request("system-presence");
      scene.judge.check("PresenceList", presence, "system-presence");
      assert.equal(presence[0].mode, "gateway");
      assert.equal(presence[0].reason, "self");
      assert.equal(presence[0].version, hello.server.version);
    },
  },
  {
    name: "a system-event is told to the others as presence",
    async run(scene) {
      const [watcher, teller] = [await scene.client({ scopes: ["operator.read"] }), await scene.client()];
      const text = `interop ${process.pid}`;
      assert.equal((await teller.request("system-event", { text })).ok, true);
      const told = (frame) => frame.event === "presence" && frame.payload.presence.some((entry) => entry.text === text);
      const push = await watcher.heard.until("presence with the text", told);
      assert.ok(push.stateVersion.presence >= watcher.hello.snapshot.stateVersion.presence);
    },
  },
  {
    name: "an unknown method is refused by name",
    async run(scene) {
      const session = await scene.client();
      const error = await session.refusal("bogus", {});
      assert.equal(error.gatewayCode, "INVALID_REQUEST");
      assert.equal(error.message, "unknown method: bogus");
    },
  },
  {
    name: "parameters that lack something are refused with what is missing",
    async run(scene) {
      const session = await scene.client();
      const error = await session.refusal("agent", { idempotencyKey: "interop-no-message" });
      assert.equal(error.gatewayCode, "INVALID_REQUEST");
      assert.match(error.message, /^invalid agent params: must have required property 'message'/);
    },
  },
  {
    name: "a parameter nobody knows is refused by name",
    async run(scene) {
      const session = await scene.client();
      const error = await session.refusal("agent.wait", { runId: "nobody", bogus: 1 });
      assert.equal(error.gatewayCode, "INVALID_REQUEST");
      assert.equal(error.message, "invalid agent.wait params: at root: unexpected property 'bogus'");
    },
  },
  {
    name: "a scope that is missing is named in the refusal",
    async run(scene) {
      const session = await scene.client({ scopes: ["operator.read"] });
      const error = await session.refusal("agent", { message: "hello", idempotencyKey: "interop-no-scope" });
      assert.equal(error.gatewayCode, "FORBIDDEN");
      assert.equal(error.message, "missing scope: operator.write");
      assert.equal(error.details.code, "MISSING_SCOPE");
    },
  },
  {
    name: "waiting for a run nobody started times out",
    async run(scene) {
      const { client } = await scene.client();
      const answer = await client.request("agent.wait", { runId: "interop-nobody", timeoutMs: 50 });
      assert.equal(answer.runId, "interop-nobody");
      assert.equal(answer.status, "timeout");
    },
  },
];
