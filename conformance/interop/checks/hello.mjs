// Connecting with the published client.

import assert from "node:assert/strict";
import { newDevice } from "../lib/client.mjs";

const scopes = ["operator.read", "operator.write"];

export const hello = [
  {
    name: "a client without a device connects and keeps the scopes it asked for",
    async run(scene) {
      const { hello } = await scene.client({ scopes });
      assert.equal(hello.protocol, 4);
      assert.equal(hello.auth.role, "operator");
      assert.deepEqual([...hello.auth.scopes].sort(), scopes);
      assert.ok(hello.snapshot.presence.length > 0, "the newcomer sees who is there");
      for (const method of ["health", "status", "system-presence", "agent", "agent.wait", "chat.abort"]) {
        assert.ok(hello.features.methods.includes(method), `${method} is announced`);
      }
    },
  },
  {
    name: "a client that asks for nothing special gets operator.admin",
    async run(scene) {
      const { hello } = await scene.client();
      assert.deepEqual(hello.auth.scopes, ["operator.admin"]);
    },
  },
  {
    name: "a client with a device of its own connects with its scopes",
    async run(scene) {
      const device = newDevice();
      const { hello } = await scene.client({ scopes, deviceIdentity: device.deviceIdentity, hostDeps: device.hostDeps });
      assert.deepEqual([...hello.auth.scopes].sort(), scopes);
      assert.deepEqual(device.cleared, []);
    },
  },
  {
    name: "the command line client with a device connects with its scopes",
    async run(scene) {
      const device = newDevice();
      const identity = { deviceIdentity: device.deviceIdentity, hostDeps: device.hostDeps };
      const { hello } = await scene.client({ scopes, clientName: "cli", mode: "cli", ...identity });
      assert.deepEqual([...hello.auth.scopes].sort(), scopes);
    },
  },
  {
    name: "a device that signs for somebody else is refused",
    async run(scene) {
      const device = newDevice();
      const other = newDevice();
      const forged = { ...device.deviceIdentity, privateKeyPem: other.deviceIdentity.privateKeyPem };
      const session = await scene.attempt({ deviceIdentity: forged, hostDeps: device.hostDeps });
      assert.equal(session.hello, undefined);
      assert.equal(session.errors[0].details?.code, "DEVICE_AUTH_SIGNATURE_INVALID");
    },
  },
  {
    name: "every connection has an id of its own and the same boot",
    async run(scene) {
      const [one, two] = [await scene.client(), await scene.client()];
      assert.notEqual(one.hello.server.connId, two.hello.server.connId);
      assert.equal(one.hello.server.bootId, two.hello.server.bootId);
    },
  },
  {
    name: "a client that speaks protocol 3 only is served protocol 3",
    when: (options) => !options.reference,
    async run(scene) {
      const { hello, client } = await scene.client({ minProtocol: 3, maxProtocol: 3 });
      assert.equal(hello.protocol, 3);
      assert.equal((await client.request("health")).ok, true);
    },
  },
  {
    name: "a range that includes 4 is served protocol 4",
    async run(scene) {
      for (const [minProtocol, maxProtocol] of [[3, 4], [4, 5], [1, 99]]) {
        const { hello } = await scene.client({ minProtocol, maxProtocol });
        assert.equal(hello.protocol, 4, `${minProtocol} to ${maxProtocol}`);
      }
    },
  },
];
