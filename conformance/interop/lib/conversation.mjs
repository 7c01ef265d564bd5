// What one socket heard, in order, with bounded waiting instead of sleeping.

import { deadline } from "./deadline.mjs";

export class Conversation {
  constructor(name) {
    this.name = name;
    this.frames = [];
    this.pings = 0;
    this.lastSeq = 0;
    this.features = undefined;
    this.sockets = 0;
    this.closing = undefined;
    this.waiters = new Set();
  }

  /** Called by the tap for every frame that arrived. */
  heard(frame) {
    this.frames.push(frame);
    this.wake();
  }

  /** Called by the tap when a socket of this conversation is gone. */
  closed(code, reason) {
    this.closing = { code, reason };
    this.wake();
  }

  wake() {
    for (const waiter of [...this.waiters]) waiter();
  }

  events(name, runId) {
    return this.frames.filter(
      (frame) => frame.type === "event" && frame.event === name && (runId === undefined || frame.payload?.runId === runId),
    );
  }

  /** Position of the first frame from `from` on that satisfies `predicate`, or -1. */
  position(predicate, from = 0) {
    const found = this.frames.slice(from).findIndex(predicate);
    return found < 0 ? -1 : found + from;
  }

  /** Resolves with the first frame from `from` on that satisfies `predicate`. */
  until(what, predicate, { from = 0, within = 10_000 } = {}) {
    return this.#wait(
      what,
      () => this.frames.slice(from).find(predicate),
      () => (this.closing ? `the socket closed ${this.closing.code} "${this.closing.reason}"` : undefined),
      within,
    );
  }

  /** Resolves with the next answer from `from` on. */
  answer(what, from, within) {
    return this.until(what, (frame) => frame.type === "res", { from, within });
  }

  untilClosed(what = "a close", within = 10_000) {
    return this.#wait(what, () => this.closing, () => undefined, within);
  }

  #wait(what, look, hopeless, within) {
    let settle;
    const done = new Promise((resolve, reject) => {
      settle = () => {
        const found = look();
        if (found !== undefined) return resolve(found);
        const why = hopeless();
        if (why !== undefined) reject(new Error(`${this.name}: waited for ${what}, but ${why}`));
      };
      this.waiters.add(settle);
      settle();
    });
    return deadline(`${this.name}: ${what}`, within, done).finally(() => this.waiters.delete(settle));
  }
}
