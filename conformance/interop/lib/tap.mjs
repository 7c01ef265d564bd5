// Hears every frame that reaches this process, also those of the published client, without touching that client:
// the client opens its sockets through `ws`, and `ws` tells its listeners through `emit`.
// Which conversation a socket belongs to follows from the asynchronous context it was opened in.

import { AsyncLocalStorage } from "node:async_hooks";
import { WebSocket } from "ws";
import { Conversation } from "./conversation.mjs";

const opening = new AsyncLocalStorage();
const owners = new WeakMap();

/** Runs `open`; every socket opened by it, now or on a reconnect, is heard in the conversation returned. */
export function overheard(name, open) {
  const conversation = new Conversation(name);
  opening.run(conversation, open, conversation);
  return conversation;
}

/** Starts hearing; `judge.frame` is shown every frame. */
export function install(judge) {
  const emit = WebSocket.prototype.emit;
  WebSocket.prototype.emit = function overhear(event, ...rest) {
    const conversation = owner(this);
    if (conversation) hear(judge, conversation, event, rest);
    return Reflect.apply(emit, this, [event, ...rest]);
  };
}

function owner(socket) {
  let conversation = owners.get(socket);
  if (conversation === undefined) {
    conversation = opening.getStore();
    if (conversation) {
      owners.set(socket, conversation);
      conversation.sockets += 1;
      conversation.lastSeq = 0;
      conversation.features = undefined;
    }
  }
  return conversation;
}

function hear(judge, conversation, event, [first, second]) {
  if (event === "ping") conversation.pings += 1;
  if (event === "close") conversation.closed(first, String(second));
  if (event !== "message") return;
  const isBinary = second;
  let frame;
  try {
    frame = JSON.parse(String(first));
  } catch {
    judge.report(`${conversation.name}: a frame that is not JSON: ${String(first).slice(0, 200)}`);
    return;
  }
  if (isBinary) judge.report(`${conversation.name}: a binary frame`);
  judge.frame(frame, conversation);
  conversation.heard(frame);
}
