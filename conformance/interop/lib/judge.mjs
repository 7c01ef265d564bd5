// Judges frames by the published schema. What the schema forbids and we do all the same is in a list of exceptions;
// whatever is not in the list is a violation, and so is an entry of the list that nothing needed.

import { readFileSync } from "node:fs";
import Ajv from "ajv";

// The package does not export this file, but publishes it for exactly this use.
const schema = JSON.parse(readFileSync(new URL("../node_modules/@openclaw/gateway-protocol/protocol.schema.json", import.meta.url), "utf8"));

const extra = {
  PresenceEvent: {
    type: "object",
    required: ["presence"],
    additionalProperties: false,
    properties: { presence: { $ref: "#/definitions/PresenceList" } },
  },
  PresenceList: { type: "array", items: { $ref: "#/definitions/PresenceEntry" } },
  Health: schema.definitions.Snapshot.properties.health,
  ConnectChallenge: {
    type: "object",
    required: ["nonce", "ts"],
    properties: { nonce: { type: "string", minLength: 1 }, ts: { type: "integer", minimum: 0 } },
  },
};

const closed = (members) => ({
  type: "object",
  required: Object.keys(members),
  additionalProperties: false,
  properties: members,
});
const name = { type: "string", minLength: 1 };
const time = { type: "integer", minimum: 0 };

// Events that the schema does not define.
extra.NodeInvokeCancelEvent = closed({ invokeId: name, nodeId: name });
extra.NodePairResolvedEvent = closed({
  requestId: { type: "string" },
  nodeId: name,
  decision: { enum: ["approved", "rejected", "removed"] },
  ts: time,
});

const definitionOfEvent = {
  agent: () => "AgentEvent",
  chat: (payload) =>
    ({ status: "ChatStatusEvent", delta: "ChatDeltaEvent", final: "ChatFinalEvent", aborted: "ChatAbortedEvent", error: "ChatErrorEvent" })[
      payload?.state
    ] ?? "ChatEvent",
  "connect.challenge": () => "ConnectChallenge",
  "device.pair.requested": () => "DevicePairRequestedEvent",
  "device.pair.resolved": () => "DevicePairResolvedEvent",
  health: () => "Health",
  "node.invoke.cancel": () => "NodeInvokeCancelEvent",
  "node.invoke.request": () => "NodeInvokeRequestEvent",
  "node.pair.resolved": () => "NodePairResolvedEvent",
  presence: () => "PresenceEvent",
  shutdown: () => "ShutdownEvent",
  tick: () => "TickEvent",
};

export class Judge {
  /** `exceptionFiles`: each `{ path, stale }`, where `stale` says whether unused entries count as violations. */
  constructor(exceptionFiles) {
    this.ajv = new Ajv({ allErrors: true, strict: false, logger: false });
    this.ajv.addSchema({ $id: "protocol", definitions: { ...schema.definitions, ...extra } });
    this.exceptions = exceptionFiles.flatMap(({ path, stale }) =>
      JSON.parse(readFileSync(path, "utf8")).exceptions.map((entry) => ({ ...entry, stale, used: 0 })),
    );
    this.violations = new Set();
    this.frames = 0;
  }

  report(text) {
    this.violations.add(text);
  }

  /** Hands over what was found since the last call. */
  drain() {
    const found = [...this.violations];
    this.violations.clear();
    return found;
  }

  /** Exceptions that nothing needed. */
  unused() {
    return this.exceptions.filter((entry) => entry.used === 0);
  }

  frame(frame, conversation) {
    this.frames += 1;
    const where = conversation.name;
    if (frame?.type === "event") this.#event(frame, conversation);
    else if (frame?.type === "res") this.#answer(frame, conversation);
    else this.report(`${where}: neither an answer nor an event: ${JSON.stringify(frame).slice(0, 200)}`);
  }

  #event(frame, conversation) {
    const where = `${conversation.name}: event ${frame.event}`;
    this.check("EventFrame", frame, where);
    const definition = definitionOfEvent[frame.event]?.(frame.payload);
    if (definition) this.check(definition, frame.payload, where);
    if (conversation.features) {
      if (!conversation.features.events.includes(frame.event)) this.report(`${where}: not announced in hello-ok`);
    } else if (frame.event !== "connect.challenge") {
      this.report(`${where}: sent before hello-ok`);
    }
    if (frame.seq === undefined) return;
    if (frame.seq !== conversation.lastSeq + 1) this.report(`${where}: number ${frame.seq} after ${conversation.lastSeq}`);
    conversation.lastSeq = frame.seq;
  }

  #answer(frame, conversation) {
    const where = `${conversation.name}: answer ${JSON.stringify(frame.id)}`;
    this.check("ResponseFrame", frame, where);
    if (frame.ok === false && frame.error === undefined) this.report(`${where}: refused without an error`);
    if (frame.payload?.type !== "hello-ok") return;
    this.check("HelloOk", frame.payload, `${conversation.name}: hello-ok`);
    conversation.features = { events: [], ...frame.payload.features };
  }

  /** Validates `value` by a definition of the schema and reports what no exception covers. */
  check(definition, value, where) {
    const validate = this.ajv.getSchema(`protocol#/definitions/${definition}`);
    if (!validate) throw new Error(`the schema has no definition ${definition}`);
    if (validate(value)) return;
    for (const error of validate.errors) {
      const exception = this.exceptions.find((entry) => covers(entry, definition, error));
      if (exception) exception.used += 1;
      else this.report(`${where} breaks ${definition}: ${describe(error)}`);
    }
  }
}

function covers(exception, definition, error) {
  return (
    [exception.definition].flat().includes(definition) &&
    pattern(exception.at).test(error.instancePath) &&
    exception.keyword === error.keyword &&
    (exception.property === undefined || exception.property === subject(error))
  );
}

function pattern(at) {
  return new RegExp(`^${at.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join("[^/]+")}$`);
}

function subject(error) {
  return error.params.additionalProperty ?? error.params.missingProperty;
}

function describe(error) {
  const at = error.instancePath || "the root";
  const name = subject(error);
  return `at ${at}: ${error.message}${name === undefined ? "" : ` (${name})`}`;
}
