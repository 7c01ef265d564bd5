// Runs checks one after another and says what became of each.

import { attempted, connected } from "./client.mjs";
import { deadline } from "./deadline.mjs";
import { admitted, challenged, RawSocket } from "./raw.mjs";

const CHECK_MS = 20_000;
const REFERENCE_CHECK_MS = 45_000;

export class Runner {
  constructor({ gateway, options, judge }) {
    this.gateway = gateway;
    this.options = options;
    this.judge = judge;
    this.passed = 0;
    this.failed = 0;
    this.skipped = 0;
  }

  async run(checks) {
    const usual = this.options.reference ? REFERENCE_CHECK_MS : CHECK_MS;
    for (const { name, run, when = () => true, within = usual } of checks) {
      if (this.options.only && !name.includes(this.options.only)) continue;
      if (!when(this.options, this.gateway)) {
        this.skipped += 1;
        console.log(`skip  ${name}`);
        continue;
      }
      await this.#one(name, run, within);
    }
  }

  /** Counts a finding that belongs to no single check. */
  verdict(name, problems) {
    if (problems.length === 0) {
      this.passed += 1;
      console.log(`ok    ${name}`);
      return;
    }
    this.failed += 1;
    console.log(`FAIL  ${name}`);
    for (const problem of problems) console.log(`        ${problem.replaceAll("\n", "\n        ")}`);
  }

  async #one(name, run, within) {
    const scene = new Scene(this.gateway, this.options, this.judge);
    const problems = [];
    try {
      await deadline("the check", within, run(scene));
    } catch (error) {
      problems.push(error.code === "ERR_ASSERTION" ? error.message : String(error.stack ?? error));
    }
    await scene.end();
    problems.push(...this.judge.drain());
    this.verdict(name, problems);
  }
}

/** What a check works with; whatever it opens is closed after it. */
export class Scene {
  #open = [];

  constructor(gateway, options, judge) {
    this.gateway = gateway;
    this.options = options;
    this.judge = judge;
    this.ours = !options.reference;
  }

  get url() {
    return this.gateway.url;
  }

  /** The published client, admitted. */
  async client(changes = {}) {
    return this.#kept(await connected(this.#clientOptions(changes)));
  }

  /** The published client, admitted or not. */
  async attempt(changes = {}) {
    return this.#kept(await attempted(this.#clientOptions(changes)));
  }

  /** A bare socket that was admitted. */
  async admitted() {
    return this.#kept(await admitted(this.url, this.gateway.token));
  }

  /** A bare socket that has its challenge. */
  async challenged(options) {
    return this.#kept(await challenged(this.url, options));
  }

  /** A bare socket, not waited for. */
  raw({ path = "", ...options } = {}) {
    return this.#kept(new RawSocket(this.url + path, options));
  }

  async end() {
    await Promise.allSettled(this.#open.map((one) => (one.stop ? one.stop() : one.end())));
  }

  #clientOptions(changes) {
    return { url: this.url, token: this.gateway.token, ...changes };
  }

  #kept(one) {
    this.#open.push(one);
    return one;
  }
}
