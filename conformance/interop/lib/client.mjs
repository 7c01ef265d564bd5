// The published client, as an application would use it, with everything it reports kept.

import { createHash, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { GatewayClient } from "@openclaw/gateway-client";
import { deadline } from "./deadline.mjs";
import { overheard } from "./tap.mjs";

let serial = 0;

/** An open or refused session of the published client. */
export class Session {
  constructor({ url, token, name = "client", stopOnClose = true, ...options }) {
    this.gaps = [];
    this.closes = [];
    this.errors = [];
    this.pauses = [];
    this.settled = new Promise((resolve) => (this.settle = resolve));
    this.client = new GatewayClient({
      url,
      token,
      clientDisplayName: "interop",
      clientVersion: "1.0.0",
      ...options,
      onHelloOk: (hello) => {
        this.hello = hello;
        this.settle();
      },
      onConnectError: (error) => this.errors.push(error),
      onReconnectPaused: (info) => {
        this.pauses.push(info);
        this.settle();
      },
      onClose: (code, reason, info) => {
        this.closes.push({ code, reason, info });
        if (!stopOnClose) return;
        this.client.stop();
        this.settle();
      },
      onGap: (gap) => this.gaps.push(gap),
    });
    serial += 1;
    this.heard = overheard(`${name} ${serial}`, () => this.client.start());
  }

  request(method, params, options) {
    return this.client.request(method, params, options);
  }

  /** The error a request is refused with. */
  async refusal(method, params, options) {
    let payload;
    try {
      payload = await this.client.request(method, params, options);
    } catch (error) {
      return error;
    }
    throw new Error(`${method} was expected to be refused, but answered ${JSON.stringify(payload).slice(0, 300)}`);
  }

  async stop() {
    await this.client.stopAndWait();
  }
}

/** Opens a session and waits for hello-ok. */
export async function connected(options) {
  const session = await attempted(options);
  if (!session.hello) {
    session.client.stop();
    throw new Error(`no hello-ok: ${session.errors.map(String).join("; ")} ${JSON.stringify(session.closes)}`);
  }
  return session;
}

/** Opens a session and waits until it is admitted, paused or closed. */
export async function attempted(options) {
  const session = new Session(options);
  await deadline("the client's handshake", 15_000, session.settled);
  return session;
}

/** An ed25519 device with a token store in memory, as the client wants them. */
export function newDevice() {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const rawKey = (pem) => createPublicKey(pem).export({ format: "der", type: "spki" }).subarray(-32);
  const publicKeyPem = publicKey.export({ format: "pem", type: "spki" });
  const deviceIdentity = {
    deviceId: createHash("sha256").update(rawKey(publicKeyPem)).digest("hex"),
    publicKeyPem,
    privateKeyPem: privateKey.export({ format: "pem", type: "pkcs8" }),
  };
  const tokens = new Map();
  const cleared = [];
  const slot = ({ deviceId, role }) => `${deviceId}/${role}`;
  const hostDeps = {
    signDevicePayload: (pem, payload) => sign(null, Buffer.from(payload), pem).toString("base64url"),
    publicKeyRawBase64UrlFromPem: (pem) => rawKey(pem).toString("base64url"),
    loadDeviceAuthToken: (key) => tokens.get(slot(key)) ?? null,
    storeDeviceAuthToken: ({ token, scopes, ...key }) => tokens.set(slot(key), { token, scopes }),
    clearDeviceAuthToken: (key) => {
      cleared.push(key);
      tokens.delete(slot(key));
    },
  };
  return { deviceIdentity, hostDeps, tokens, cleared, slot };
}
