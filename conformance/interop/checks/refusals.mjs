// Connections that must not be admitted.

import assert from "node:assert/strict";
import { newDevice } from "../lib/client.mjs";
import { connectParams } from "../lib/raw.mjs";

const wrong = "not-the-secret";

async function refused(raw, params) {
  const answer = await raw.connect(params);
  assert.equal(answer.ok, false);
  return { error: answer.error, close: await raw.heard.untilClosed() };
}

export const refusals = [
  {
    name: "a wrong token is refused so that the client stops asking",
    async run(scene) {
      const session = await scene.attempt({ token: wrong, stopOnClose: false });
      assert.equal(session.hello, undefined);
      assert.equal(session.errors[0].details?.code, "AUTH_TOKEN_MISMATCH");
      assert.equal(session.pauses[0]?.code, 1008);
      assert.equal(session.pauses[0]?.detailCode, "AUTH_TOKEN_MISMATCH");
    },
  },
  {
    name: "a wrong token closes 1008 with the reason of the refusal",
    async run(scene) {
      const { error, close } = await refused(scene.raw(), connectParams(wrong));
      assert.equal(error.code, "INVALID_REQUEST");
      assert.equal(error.details.code, "AUTH_TOKEN_MISMATCH");
      assert.equal(error.details.authReason, "token_mismatch");
      assert.equal(close.code, 1008);
      assert.ok(close.reason.length > 0 && error.message.startsWith(close.reason), `the close says "${close.reason}"`);
    },
  },
  {
    name: "a wrong token does not cost a client its device token",
    async run(scene) {
      const device = newDevice();
      const identity = { clientName: "cli", mode: "cli", deviceIdentity: device.deviceIdentity, hostDeps: device.hostDeps };
      await scene.client(identity);
      const slot = device.slot({ deviceId: device.deviceIdentity.deviceId, role: "operator" });
      assert.ok(device.tokens.has(slot));
      await scene.attempt({ ...identity, token: wrong, stopOnClose: false });
      assert.deepEqual(device.cleared, []);
      assert.ok(device.tokens.has(slot));
    },
  },
  {
    name: "no secret and no device is refused",
    async run(scene) {
      const { error, close } = await refused(scene.raw(), connectParams(undefined, { auth: undefined }));
      assert.equal(error.code, "NOT_PAIRED");
      assert.equal(error.details.code, "DEVICE_IDENTITY_REQUIRED");
      assert.deepEqual(close, { code: 1008, reason: "device identity required" });
    },
  },
  {
    name: "a range without a common version is refused with both ranges",
    async run(scene) {
      const { error, close } = await refused(scene.raw(), connectParams(scene.gateway.token, { minProtocol: 5, maxProtocol: 9 }));
      assert.equal(error.details.code, "PROTOCOL_MISMATCH");
      assert.equal(error.details.clientMinProtocol, 5);
      assert.equal(error.details.clientMaxProtocol, 9);
      assert.equal(error.details.expectedProtocol, 4);
      const numbers = new Set(JSON.stringify(error).match(/\d+/g));
      assert.ok(["3", "4", "5", "9"].every((number) => numbers.has(number)), `names both ranges: ${JSON.stringify(error)}`);
      assert.equal(close.code, 1002);
      assert.match(close.reason, /^protocol mismatch/);
    },
  },
  {
    name: "the published client stops when no version is common",
    async run(scene) {
      const session = await scene.attempt({ minProtocol: 5, maxProtocol: 9, stopOnClose: false });
      assert.equal(session.pauses[0]?.detailCode, "PROTOCOL_MISMATCH");
    },
  },
  {
    name: "connect parameters that lack the client are refused by name",
    async run(scene) {
      const { error, close } = await refused(scene.raw(), connectParams(scene.gateway.token, { client: undefined }));
      assert.match(error.message, /^invalid connect params: must have required property 'client'/);
      assert.equal(close.code, 1008);
    },
  },
  {
    name: "a page of a foreign origin is refused",
    async run(scene) {
      const raw = scene.raw({ headers: { Origin: "https://elsewhere.example" } });
      const { error, close } = await refused(raw, connectParams(scene.gateway.token));
      assert.equal(error.details.code, "CONTROL_UI_ORIGIN_NOT_ALLOWED");
      assert.equal(close.code, 1008);
    },
  },
  {
    name: "a connection through an unknown proxy is refused before the upgrade",
    async run(scene) {
      const raw = scene.raw({ headers: { "X-Forwarded-For": "192.0.2.7" } });
      await raw.heard.untilClosed("the refusal of the upgrade");
      assert.equal(raw.refused?.status, 403);
      assert.equal(JSON.parse(raw.refused.body).error.type, "proxy_attribution_required");
    },
  },
];
