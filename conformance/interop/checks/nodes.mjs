// Nodes with the published client: what they offer waits for an operator, commands go there and back, and it all ends.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { newDevice } from "../lib/client.mjs";

const admin = { scopes: ["operator.admin"] };
const command = "system.notify";

function asNode(device, changes = {}) {
  return {
    clientName: "node-host",
    mode: "node",
    role: "node",
    scopes: [],
    platform: "linux",
    deviceFamily: "Linux",
    caps: ["system"],
    commands: [command],
    deviceIdentity: device.deviceIdentity,
    hostDeps: device.hostDeps,
    ...changes,
  };
}

function stored({ deviceIdentity, tokens, slot }) {
  return tokens.get(slot({ deviceId: deviceIdentity.deviceId, role: "node" }));
}

const idOf = (device) => device.deviceIdentity.deviceId;

/** The first push of `event` about a device. */
function about(session, event, device) {
  return session.heard.until(event, (frame) => frame.event === event && frame.payload.nodeId === idOf(device));
}

/** A node that was approved; `obey` says what it answers to an invocation, nothing where it does not answer. */
async function ready(scene, operator, device, obey = () => undefined) {
  const answered = [];
  const node = await scene.client(
    asNode(device, {
      onEvent(push) {
        if (push.event !== "node.invoke.request") return;
        const { id, nodeId, ...asked } = push.payload;
        const result = obey(asked);
        if (result) answered.push(node.request("node.invoke.result", { id, nodeId, ...result }));
      },
    }),
  );
  const { payload } = await about(operator, "node.pair.requested", device);
  await operator.request("node.pair.approve", { requestId: payload.requestId });
  return { node, answered };
}

function order(device, changes = {}) {
  return { nodeId: idOf(device), command, idempotencyKey: randomUUID(), ...changes };
}

export const nodes = [
  {
    name: "a node is let in on this host, and what it offers waits for an operator",
    async run(scene) {
      const operator = await scene.client(admin);
      const device = newDevice();
      const node = await scene.client(asNode(device));
      assert.equal(node.hello.auth.role, "node");
      assert.deepEqual(node.hello.auth.scopes, []);
      assert.equal(stored(device)?.token, node.hello.auth.deviceToken);
      const { payload } = await about(operator, "node.pair.requested", device);
      assert.deepEqual(payload.commands, [command]);
      assert.deepEqual(payload.requiredApproveScopes, ["operator.pairing", "operator.write"]);
      const refused = await operator.refusal("node.invoke", order(device));
      assert.equal(refused.details?.code, "PAIRING_CHANGED");
      const approved = await operator.request("node.pair.approve", { requestId: payload.requestId });
      assert.deepEqual(approved.node.commands, [command]);
      for (const session of [operator, node]) {
        const push = await about(session, "node.pair.resolved", device);
        assert.equal(push.payload.decision, "approved");
        assert.equal(push.seq === undefined, session === node);
      }
      const entry = await operator.request("node.describe", { nodeId: idOf(device) });
      assert.equal(entry.approvalState, "approved");
      assert.deepEqual(entry.commands, [command]);
    },
  },
  {
    name: "a command goes to a node and its result comes back",
    async run(scene) {
      const operator = await scene.client(admin);
      const device = newDevice();
      const asked = [];
      const { answered } = await ready(scene, operator, device, (request) => {
        asked.push(request);
        return { ok: true, payloadJSON: JSON.stringify({ heard: request.paramsJSON }) };
      });
      const params = { title: "hello" };
      const result = await operator.request("node.invoke", order(device, { params }));
      const payload = { heard: JSON.stringify(params) };
      assert.deepEqual(result, { ok: true, nodeId: idOf(device), command, payload, payloadJSON: JSON.stringify(payload) });
      await operator.request("node.invoke", order(device));
      assert.deepEqual(asked.map((request) => request.timeoutMs), [30_000, 30_000]);
      assert.deepEqual(await Promise.all(answered), [{ ok: true }, { ok: true }]);
    },
  },
  {
    name: "a command that fails on a node is told with the node's words",
    async run(scene) {
      const operator = await scene.client(admin);
      const device = newDevice();
      const nodeError = { code: "E1", message: "nope" };
      await ready(scene, operator, device, () => ({ ok: false, error: nodeError }));
      const refused = await operator.refusal("node.invoke", order(device));
      assert.equal(refused.gatewayCode, "UNAVAILABLE");
      assert.equal(refused.message, "E1: nope");
      assert.deepEqual(refused.details, { nodeError, nodeCommandDispatched: true });
    },
  },
  {
    name: "a command that a node does not answer is taken back from it",
    async run(scene) {
      const operator = await scene.client(admin);
      const device = newDevice();
      const { node } = await ready(scene, operator, device);
      const refused = await operator.refusal("node.invoke", order(device, { timeoutMs: 300 }));
      assert.equal(refused.message, "TIMEOUT: node invoke timed out");
      const asked = await about(node, "node.invoke.request", device);
      const cancel = await about(node, "node.invoke.cancel", device);
      assert.equal(cancel.payload.invokeId, asked.payload.id);
      const late = { id: asked.payload.id, nodeId: idOf(device), ok: true };
      assert.deepEqual(await node.request("node.invoke.result", late), { ok: true, ignored: true });
    },
  },
  {
    name: "what nodes tell and ask for is answered as the schema says",
    async run(scene) {
      const operator = await scene.client(admin);
      const device = newDevice();
      const { node } = await ready(scene, operator, device);
      const told = await node.request("node.event", { event: "node.presence.alive", payload: { trigger: "manual" } });
      scene.judge.check("NodeEventResult", told, "node.event");
      assert.deepEqual(told, { ok: true, event: "node.presence.alive", handled: true, reason: "persisted" });
      const work = { nodeId: idOf(device), type: "status.request", wake: false };
      const queued = await operator.request("node.pending.enqueue", work);
      scene.judge.check("NodePendingEnqueueResult", queued, "node.pending.enqueue");
      const given = await node.request("node.pending.drain", {});
      scene.judge.check("NodePendingDrainResult", given, "node.pending.drain");
      assert.deepEqual(given.items, [queued.queued]);
    },
  },
  {
    name: "a node that is removed is closed, and throws its token away",
    async run(scene) {
      const operator = await scene.client(admin);
      const device = newDevice();
      const { node } = await ready(scene, operator, device);
      assert.deepEqual(await operator.request("node.pair.remove", { nodeId: idOf(device) }), { nodeId: idOf(device) });
      assert.deepEqual(await node.heard.untilClosed(), { code: 4001, reason: "device removed" });
      const refused = await scene.attempt(asNode(device, { token: undefined }));
      assert.equal(refused.hello, undefined);
      assert.equal(refused.errors[0].details?.code, "AUTH_DEVICE_TOKEN_MISMATCH");
      assert.equal(stored(device), undefined, "it is gone from the store");
    },
  },
];
