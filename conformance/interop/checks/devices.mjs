// Devices with the published client: its identity, its token store, what it does when a token is taken back.

import assert from "node:assert/strict";
import { newDevice } from "../lib/client.mjs";

const read = ["operator.read"];
const write = ["operator.read", "operator.write"];

function asCli(device, changes = {}) {
  return { clientName: "cli", mode: "cli", scopes: read, deviceIdentity: device.deviceIdentity, hostDeps: device.hostDeps, ...changes };
}

function stored(device) {
  return device.tokens.get(device.slot({ deviceId: device.deviceIdentity.deviceId, role: "operator" }));
}

export const devices = [
  {
    name: "a device is paired on this host and keeps the token that it is given",
    async run(scene) {
      const device = newDevice();
      const { hello } = await scene.client(asCli(device));
      assert.equal(stored(device)?.token, hello.auth.deviceToken);
      assert.deepEqual(stored(device).scopes, read);
      const again = await scene.client(asCli(device));
      assert.equal(again.hello.auth.deviceToken, hello.auth.deviceToken, "it stays the same");
    },
  },
  {
    name: "a device with its token needs no secret",
    async run(scene) {
      const device = newDevice();
      await scene.client(asCli(device));
      const { hello } = await scene.client(asCli(device, { token: undefined }));
      assert.deepEqual(hello.auth.scopes, read);
      assert.deepEqual(device.cleared, []);
    },
  },
  {
    name: "a wrong secret is mended by the client with its device token",
    async run(scene) {
      const device = newDevice();
      await scene.client(asCli(device));
      const { hello } = await scene.client(asCli(device, { token: "not-the-secret", stopOnClose: false }));
      assert.deepEqual(hello.auth.scopes, read);
      assert.deepEqual(device.cleared, []);
    },
  },
  {
    name: "more scopes come with another token, which the client stores",
    async run(scene) {
      const device = newDevice();
      await scene.client(asCli(device));
      const before = stored(device).token;
      const { hello } = await scene.client(asCli(device, { scopes: write }));
      assert.notEqual(stored(device).token, before);
      assert.equal(stored(device).token, hello.auth.deviceToken);
      const alone = await scene.client(asCli(device, { token: undefined, scopes: write }));
      assert.deepEqual(alone.hello.auth.scopes, write);
    },
  },
  {
    name: "a device that changed is let in once an operator approves it",
    async run(scene) {
      const device = newDevice();
      const operator = await scene.client({ scopes: ["operator.admin"] });
      await scene.client(asCli(device, { platform: "linux" }));
      const moved = asCli(device, { platform: "darwin" });
      const session = await scene.attempt({ ...moved, stopOnClose: false });
      assert.equal(session.hello, undefined);
      const { details } = session.errors[0];
      assert.equal(details.code, "PAIRING_REQUIRED");
      assert.equal(details.reason, "metadata-upgrade");
      assert.match(session.closes[0].reason, new RegExp(`requestId: ${details.requestId}`));
      const approved = await operator.request("device.pair.approve", { requestId: details.requestId });
      assert.equal(approved.device.platform, "darwin");
      const { hello } = await scene.client(moved);
      assert.equal(stored(device).token, hello.auth.deviceToken);
    },
  },
  {
    name: "a client throws a token away that was taken back, and its socket ends",
    async run(scene) {
      const device = newDevice();
      const operator = await scene.client({ scopes: ["operator.admin"] });
      const session = await scene.client(asCli(device));
      const params = { deviceId: device.deviceIdentity.deviceId, role: "operator" };
      const revoked = await operator.request("device.token.revoke", params);
      assert.ok(revoked.revokedAtMs > 0);
      assert.deepEqual(await session.heard.untilClosed(), { code: 4001, reason: "device removed" });
      const refused = await scene.attempt(asCli(device, { token: undefined }));
      assert.equal(refused.hello, undefined);
      assert.equal(refused.errors[0].details?.code, "AUTH_DEVICE_TOKEN_MISMATCH");
      assert.equal(stored(device), undefined, "it is gone from the store");
    },
  },
  {
    name: "what operators are told of devices is what the schema says",
    async run(scene) {
      const operator = await scene.client({ scopes: ["operator.admin"] });
      const device = newDevice();
      await scene.client(asCli(device));
      const { deviceId } = device.deviceIdentity;
      const { paired } = await operator.request("device.pair.list", {});
      const row = paired.find((one) => one.deviceId === deviceId);
      assert.equal(row.connected, true);
      assert.equal(row.approvedVia, "silent");
      assert.ok(!JSON.stringify(paired).includes(stored(device).token));
      const rotated = await operator.request("device.token.rotate", { deviceId, role: "operator" });
      scene.judge.check("DeviceTokenRotateResult", rotated, "device.token.rotate");
      const code = await operator.request("device.pair.setupCode", { publicUrl: "wss://gateway.example" });
      scene.judge.check("DevicePairSetupCodeResult", code, "device.pair.setupCode");
      assert.deepEqual(await operator.request("device.pair.rename", { deviceId, label: "Kitchen" }), { deviceId, label: "Kitchen" });
      assert.deepEqual(await operator.request("device.pair.remove", { deviceId }), { deviceId });
    },
  },
];
