// One connection watched while everything else happens, and a silent one.

import assert from "node:assert/strict";
import { deadline } from "../lib/deadline.mjs";

const HANDSHAKE_MS = 15_000;
const TICK_MS = 30_000;
const HEALTH_MS = 60_000;
const PING_MS = 25_000;

/** Opens the connections to watch; `checks()` judges them when their time is over. */
export async function watch(scene) {
  const { watchMs, quick } = scene.options;
  const client = await scene.client({ name: "watcher", scopes: ["operator.read"] });
  const silent = await scene.challenged();
  const since = Date.now();
  const over = new Promise((resolve) => setTimeout(resolve, watchMs));

  const pushed = (name) => client.heard.events(name).length;
  return [
    {
      name: `a connection watched for ${watchMs / 1000} s hears no gap`,
      within: watchMs + 10_000,
      async run() {
        await deadline("the end of the watch", watchMs + 5_000, over);
        assert.deepEqual(client.gaps, []);
        assert.deepEqual(client.closes, []);
        assert.equal(client.heard.sockets, 1);
        assert.equal((await client.request("health")).ok, true);
        const watched = Date.now() - since;
        const least = (interval) => Math.max(0, Math.floor((watched - 5_000) / interval));
        assert.ok(pushed("tick") >= least(TICK_MS), `${pushed("tick")} ticks in ${watched} ms`);
        assert.ok(pushed("health") >= least(HEALTH_MS), `${pushed("health")} health pushes in ${watched} ms`);
        assert.ok(client.heard.pings >= least(PING_MS * 1.5), `${client.heard.pings} pings in ${watched} ms`);
      },
    },
    {
      name: "a connection that says nothing is closed after the handshake's time",
      when: () => !quick,
      within: HANDSHAKE_MS + 10_000,
      async run() {
        const close = await silent.heard.untilClosed("the end of the handshake's time", HANDSHAKE_MS + 5_000);
        assert.equal(close.code, scene.ours ? 1008 : 1000);
        if (scene.ours) assert.notEqual(close.reason, "");
      },
    },
  ];
}
