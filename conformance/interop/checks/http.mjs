// Probes over plain HTTP.

import assert from "node:assert/strict";
import { probe } from "../lib/gateway.mjs";

async function json(scene, path) {
  const { status, headers, body } = await probe(scene.gateway.http, path);
  assert.equal(status, 200);
  assert.match(headers.get("content-type"), /^application\/json/);
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  return { headers, value: JSON.parse(body) };
}

export const http = [
  {
    name: "the liveness probes say that the gateway lives",
    async run(scene) {
      for (const path of ["/health", "/healthz"]) {
        assert.deepEqual((await json(scene, path)).value, { ok: true, status: "live" });
      }
    },
  },
  {
    name: "the readiness probes say that the gateway is ready",
    async run(scene) {
      for (const path of ["/ready", "/readyz"]) {
        const { headers, value } = await json(scene, path);
        assert.deepEqual([value.ready, value.failing], [true, []]);
        assert.ok(value.uptimeMs >= 0);
        assert.equal(headers.get("cache-control"), "no-store");
      }
    },
  },
];
