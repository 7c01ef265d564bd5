"""Cuts recordings of the reference gateway down to what ../replay compares.

    python3 cut.py FOLDER_OF_RECORDINGS FOLDER NAME...

Writes FOLDER/NAME.jsonl: what the client did, word for word, and of what the gateway did
one line of words a frame (`shape`). Payloads, times, names of machines and prose are left out.
Ids that the gateway chose become `$request:1`, `$invoke:1` or `$run:1`, numbered as it said them.
"""

import json
import math
import pathlib
import sys

SERVED = {"connect", "health", "status", "system-presence", "system-event", "agent", "agent.wait", "chat.abort", "set-heartbeats", "skills.bins"}
SERVED_WITH = ("device.pair.", "device.token.", "node.")
# Requests that stand for any harmless one, or that we answer under another name.
STAND_IN = {"last-heartbeat": "status", "chat.send": "agent"}
# Their moment depends on when the recorded gateway had been started.
LEFT_OUT = {"tick", "health", "update.available"}
# What is pushed of runs: somebody else's where a recording starts none.
OF_RUNS = {"agent", "chat", "heartbeat"}
PATHS = ["protocol", "auth.role", "auth.scopes", "runId", "sessionKey", "agentId", "status", "aborted", "runIds", "stopReason"]
# What is compared of devices and nodes, of what is asked of nodes and of what they answer.
OF_NODES = ["requestId", "id", "invokeId", "nodeId", "deviceId", "decision", "displayName", "role", "roles", "scopes", "approvedVia", "remoteIp", "isRepair", "silent", "caps", "commands", "permissions", "requiredApproveScopes", "approvalState", "pendingRequestId", "pendingDeclaredCaps", "pendingDeclaredCommands", "pendingDeclaredPermissions", "paired", "connected", "command", "paramsJSON", "timeoutMs", "idempotencyKey", "ok", "ignored", "payload", "payloadJSON", "event", "handled", "reason"]
LISTS = ["nodes", "pending", "paired"]

DETAILS = ["code", "reason", "authReason", "canRetryWithDeviceToken", "recommendedNextStep", "missingScope", "requiredScopes", "execution", "clientMinProtocol", "clientMaxProtocol", "expectedProtocol", "minimumProbeProtocol", "command", "nodeError", "nodeCommandDispatched", "requestId", "deviceId", "requestedRole"]


def words(value, sort_keys=True):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)


def at(value, path):
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def shape(frame, names):
    payload = frame.get("payload")
    if frame["type"] == "event":
        name = frame["event"]
        if name == "agent":
            data = payload["data"]
            detail = data.get("phase") or data.get("delta")
            return f"event agent {payload['stream']} {words(detail)}"
        if name == "chat":
            return f"event chat {payload['state']} {words(payload.get('deltaText'))}"
        direct = "" if "seq" in frame else " direct"
        return f"event {name}{direct}{of_nodes(payload, names) if name.startswith(('node.', 'device.')) else ''}"
    named = "".join(f" {path}={words(at(payload, path))}" for path in PATHS if at(payload, path) is not None)
    named += of_nodes(payload, names)
    if frame["ok"]:
        return f"res {words(frame['id'])} ok{named}"
    error = frame["error"]
    details = error.get("details") or {}
    details = "".join(f" {name}={words(details[name])}" for name in DETAILS if name in details)
    retryable = " retryable" if error.get("retryable") else ""
    return f"res {words(frame['id'])} {error['code']} {words(error['message'])}{retryable}{details}{named}"


def of_nodes(value, names):
    if not isinstance(value, dict):
        return ""
    said = ""
    for name in OF_NODES:
        if name not in value or (name in LISTS and isinstance(value[name], list)):
            continue
        one = value[name]
        if name == "requestId" and one and one not in names:
            # What was never waited for: nobody can refer to it.
            one = "$other"
        if name == "timeoutMs":
            # What is left of the time, rounded up to what was asked for.
            one = math.ceil(one / 100) * 100
        said += f" {name}={words(one)}"
    if isinstance(value.get("node"), dict):
        said += f" node={{{of_nodes(value['node'], names).strip()}}}"
    for name in LISTS:
        if isinstance(value.get(name), list):
            said += f" {name}=[{', '.join(of_nodes(one, names).strip() for one in value[name])}]"
    return said


def chosen(frame):
    """The ids in a frame that the gateway chose and that clients refer to."""
    payload = frame.get("payload")
    if frame.get("event") == "node.invoke.request":
        yield "invoke", payload["id"]
        params = json.loads(payload["paramsJSON"] or "null")
        if payload["command"] == "system.run" and "runId" in params:
            yield "run", params["runId"]
    if frame.get("event") in ("device.pair.requested", "node.pair.requested"):
        yield "request", payload["requestId"]
    for entry in (at(payload, "pending") or []) if frame["type"] == "res" else []:
        yield "request", entry["requestId"]
    refused = at(frame, "error.details.requestId")
    if refused:
        yield "request", refused


def without_strangers(frame, devices):
    """What a frame says of the devices of this recording; `None` if that is nothing."""
    payload = frame.get("payload")
    name = frame.get("event")
    if name and name.startswith(("node.", "device.")):
        return frame if payload.get("nodeId", payload.get("deviceId")) in devices else None
    for name in LISTS:
        if isinstance(at(payload, name), list):
            payload[name] = [one for one in payload[name] if one.get("nodeId", one.get("deviceId")) in devices]
    return frame


class Names:
    """What the ids in a recording are called."""

    def __init__(self):
        self.names, self.counts = {}, {}

    def give(self, kind, text):
        if text not in self.names:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.names[text] = f"${kind}:{self.counts[kind]}"

    def put(self, line, but=()):
        for text, name in self.names.items():
            if not name.startswith(but):
                line = line.replace(text, name)
        return line


class Cast:
    """Who takes part in a recording."""

    def __init__(self, lines):
        connects, tokens, remote = {}, set(), {}
        self.runs = False
        for line in lines:
            try:
                frame = json.loads(line.get("text", ""))
            except ValueError:
                continue
            if not isinstance(frame, dict):
                continue
            if line["dir"] == "c2s" and frame.get("method") == "connect":
                connects.setdefault(line.get("conn", ""), frame.get("params"))
            self.runs |= line["dir"] == "c2s" and frame.get("method") in ("agent", "chat.send")
            tokens.add(at(frame, "payload.auth.deviceToken"))
            if frame.get("event") == "device.pair.requested":
                # Nobody is asked about a device of this host.
                remote[frame["payload"]["deviceId"]] = frame["payload"].get("remoteIp") or "203.0.113.5"
        tokens.discard(None)
        device = {conn: at(params, "device.id") for conn, params in connects.items()}
        self.devices = [one for one in dict.fromkeys(device.values()) if one and len(one) == 64]
        self.nodes = {conn for conn, params in connects.items() if at(params, "role") == "node"}
        self.remote = {conn: remote.get(one) for conn, one in device.items()}
        # They prove a token that our gateway never gave out.
        shown = {conn: {at(params, "auth.deviceToken"), at(params, "auth.token")} for conn, params in connects.items()}
        self.unplayable = {conn for conn in connects if shown[conn] & tokens}
        times = {conn: [line["t"] for line in lines if line.get("conn") == conn] for conn in self.unplayable}
        self.unplayable_at = [(min(all), max(all) + 60) for all in times.values()]


def cut(lines, patience):
    out, hidden, origin, greeted, spoken = [], set(), None, set(), set()
    messages, told, plain = {}, set(), set()
    cast, names = Cast(lines), Names()
    for device in cast.devices:
        names.give("device", device)
    for line in lines:
        t, conn, text = line["t"], line.get("conn", ""), line.get("text", "")
        if conn in cast.unplayable:
            continue
        if line["dir"] == "note" and text.startswith("{"):
            origin = json.loads(text).get("headers", {}).get("Origin")
        elif line["dir"] == "c2s":
            try:
                frame = json.loads(text)
            except ValueError:
                frame = None
            spoken.add(conn)
            if isinstance(frame, dict) and isinstance(frame.get("method"), str):
                method = frame["method"]
                if method in STAND_IN and (method != "chat.send" or "message" in frame["params"]):
                    text = text.replace(f'"method":"{method}"', f'"method":"{STAND_IN[method]}"')
                    if method == "last-heartbeat":
                        plain.add((conn, frame.get("id")))
                    method = STAND_IN[method]
                elif method and not served(method) and "bogus" not in method and conn not in cast.nodes:
                    hidden.add((conn, frame.get("id")))
                    continue
                params = frame.get("params")
                if method == "agent" and isinstance(params, dict) and "idempotencyKey" in params:
                    messages[params["idempotencyKey"]] = params.get("message")
            out.append({"t": t, "conn": conn, "send": names.put(text, but="$device")})
        elif line["dir"] == "s2c":
            frame = json.loads(text)
            if frame.get("event") == "connect.challenge":
                opened = {"nonce": frame["payload"]["nonce"], "ms": frame["payload"]["ts"]}
                if origin:
                    opened["origin"] = origin
                if cast.remote.get(conn):
                    opened["from"] = cast.remote[conn]
                out.append({"t": t, "conn": conn, "open": opened})
                continue
            if frame["type"] == "res" and (conn, frame["id"]) in hidden:
                continue
            if frame.get("event") in LEFT_OUT or (frame.get("event") in OF_RUNS and not cast.runs):
                continue
            if frame.get("event") == "presence" and any(begin <= t <= end for begin, end in cast.unplayable_at):
                continue
            frame = without_strangers(frame, cast.devices)
            if frame is None:
                continue
            for kind, one in chosen(frame):
                names.give(kind, one)
            if frame.get("event") == "agent":
                step = played(frame["payload"], messages, told)
                if step:
                    out.append({"t": t, "agent": step})
            if (conn, frame.get("id")) in plain and frame.get("ok"):
                # What it says of heartbeats is not what its stand-in says.
                frame["payload"] = None
            if at(frame, "payload.type") == "hello-ok":
                greeted.add(conn)
            out.append({"t": t, "conn": conn, "hear": frame})
        elif line["dir"] == "close":
            by_client = line["code"] == 1000 and (conn in greeted or (conn not in spoken and t < patience))
            if by_client:
                out.append({"t": t, "conn": conn, "gone": True})
            else:
                out.append({"t": t, "conn": conn, "hear": f"close {line['code']} {words(line['reason'])}"})
    out.append({"t": lines[-1]["t"]})
    for line in out:
        if isinstance(line.get("hear"), dict):
            line["hear"] = shape(line["hear"], names.names)
        if "hear" in line:
            line["hear"] = names.put(line["hear"])
    return out


def served(method):
    return method in SERVED or method.startswith(SERVED_WITH)


def played(payload, messages, told):
    """What the agent did, seen from what was pushed of it; once however many listened."""
    message = messages.get(payload["runId"])
    key = (payload["runId"], payload["seq"])
    if message is None or key in told:
        return None
    told.add(key)
    data = payload["data"]
    if payload["stream"] == "assistant" and data.get("delta"):
        return {"message": message, "say": data["delta"]}
    if payload["stream"] in ("item", "tool") and "toolCallId" in data:
        # Protocol 3 has no `item`; where there is one, the other says the same.
        phase = (payload["runId"], data["toolCallId"], data["phase"] == "start")
        if phase in told:
            return None
        told.add(phase)
        if data["phase"] == "start":
            return {"message": message, "calls": data["name"], "as": data["toolCallId"]}
        return {"message": message, "returns": data["toolCallId"]}
    if payload["stream"] == "lifecycle" and data.get("phase") in ("finishing", "end") and "error" not in data:
        # Protocol 3 has no `finishing`; where there is one, the end that follows it says nothing new.
        ended = (payload["runId"], "end")
        if ended in told or data.get("aborted"):
            return None
        told.add(ended)
        return {"message": message, "end": "well"}
    if payload["stream"] == "lifecycle" and data.get("phase") == "error" and not data.get("aborted"):
        return {"message": message, "end": "badly"}
    return None


def main():
    source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    # How long that gateway waited for a handshake: who says nothing and is closed earlier left by itself.
    patience = 2900 if target.name == "v3" else 14000
    for name in sys.argv[3:]:
        lines = [json.loads(line) for line in (source / f"{name}.jsonl").read_text().splitlines()]
        text = "".join(words(line, sort_keys=False) + "\n" for line in cut(lines, patience))
        text = text.replace("28789", "18789").replace("⚠️ stub/stub-1 request failed (provider internal error, HTTP 500). This is usually temporary — try again shortly.", "the provider failed")
        (target / f"{name}.jsonl").write_text(text)


main()
