// A bare WebSocket for what a well-behaved client never does.

import { WebSocket } from "ws";
import { overheard } from "./tap.mjs";

let serial = 0;

/** Connect parameters of a minimal backend client. */
export function connectParams(token, changes = {}) {
  return {
    minProtocol: 4,
    maxProtocol: 4,
    client: { id: "gateway-client", version: "1.0.0", platform: "linux", mode: "backend" },
    role: "operator",
    scopes: ["operator.admin"],
    auth: { token },
    ...changes,
  };
}

export class RawSocket {
  constructor(url, options = {}) {
    serial += 1;
    this.refused = undefined;
    this.heard = overheard(`raw socket ${serial}`, (conversation) => {
      this.socket = new WebSocket(url, { perMessageDeflate: false, ...options });
      this.socket.on("error", () => {});
      this.socket.on("unexpected-response", (request, response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => {
          this.refused = { status: response.statusCode, body: Buffer.concat(chunks).toString() };
          request.destroy();
          conversation.closed(1006, `HTTP ${response.statusCode}`);
        });
      });
    });
  }

  /** Sends text as it is. */
  text(text) {
    this.socket.send(text);
  }

  json(value) {
    this.text(JSON.stringify(value));
  }

  /** Sends `text` and resolves with the next answer to arrive. */
  async ask(text, what = text.slice(0, 80)) {
    const from = this.heard.frames.length;
    this.text(text);
    return this.heard.answer(`an answer to ${what}`, from);
  }

  challenged() {
    return this.heard.until("connect.challenge", (frame) => frame.event === "connect.challenge");
  }

  async connect(params, id = "connect-1") {
    await this.challenged();
    return this.ask(JSON.stringify({ type: "req", id, method: "connect", params }), "connect");
  }

  end() {
    this.socket.terminate();
  }
}

/** Opens a bare socket that has its challenge. */
export async function challenged(url, options) {
  const raw = new RawSocket(url, options);
  await raw.challenged();
  return raw;
}

/** Opens a bare socket that was admitted. */
export async function admitted(url, token) {
  const raw = new RawSocket(url);
  const answer = await raw.connect(connectParams(token));
  if (!answer.ok) throw new Error(`connect was refused: ${JSON.stringify(answer.error)}`);
  return raw;
}
