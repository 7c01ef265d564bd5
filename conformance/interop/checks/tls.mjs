// TLS, on a gateway of its own that makes its certificate.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startGateway } from "../lib/gateway.mjs";

const SCOPES = ["operator.read"];
const CONFIG = { gateway: { mode: "local", tls: { enabled: true } } };

/** The checks share one gateway, which `stop` ends. */
export function tls(gateway, options) {
  let started;
  const secure = () => (started ??= start(gateway, options));
  const when = () => Boolean(gateway.binary);
  const connect = async (scene, changes) => {
    const { url, token } = await secure();
    return scene.client({ url, token, scopes: SCOPES, ...changes });
  };
  const attempt = async (scene, changes) => {
    const { url, token } = await secure();
    const session = await scene.attempt({ url, token, scopes: SCOPES, ...changes });
    assert.equal(session.hello, undefined);
    return session.errors.map((error) => error.message).join("; ");
  };
  const within = options.reference ? 180_000 : 30_000;
  const checks = [
    {
      name: "a client that pins the gateway's certificate connects over TLS, however it writes the fingerprint",
      async run(scene) {
        const { colons, digits } = await secure();
        for (const tlsFingerprint of [colons, digits, `sha256:${digits.toUpperCase()}`]) {
          const client = await connect(scene, { tlsFingerprint });
          assert.deepEqual(client.hello.auth.scopes, SCOPES);
          assert.equal((await client.request("health")).ok, true);
        }
      },
    },
    {
      name: "a client that pins another certificate does not connect",
      async run(scene) {
        assert.match(await attempt(scene, { tlsFingerprint: "0f".repeat(32) }), /fingerprint mismatch/);
      },
    },
    {
      name: "a client without a pin does not believe a certificate that vouches for itself",
      async run(scene) {
        assert.match(await attempt(scene, {}), /self-signed certificate/);
      },
    },
    {
      name: "a client without TLS is hung up on where TLS is spoken",
      async run(scene) {
        const { url } = await secure();
        assert.match(await attempt(scene, { url: url.replace("wss:", "ws:") }), /socket hang up|ECONNRESET/);
      },
    },
    {
      name: "the fingerprint that the gateway prints is its certificate's",
      when: () => when() && !options.reference,
      async run() {
        const { digits, output } = await secure();
        assert.ok(output().includes(` ${digits}\n`), output());
      },
    },
  ].map((check) => ({ when, within, ...check }));
  return { checks, stop: async () => (await started?.catch(() => undefined))?.stop() };
}

async function start(gateway, options) {
  const { binary, readyWithin } = gateway;
  const secured = await startGateway(binary, { readyWithin, verbose: options.verbose, config: CONFIG });
  const certificate = new X509Certificate(readFileSync(join(secured.state, "gateway/tls/gateway-cert.pem")));
  const colons = certificate.fingerprint256;
  return { ...secured, colons, digits: colons.replaceAll(":", "").toLowerCase() };
}
