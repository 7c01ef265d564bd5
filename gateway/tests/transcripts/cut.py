"""Cuts recordings of the reference gateway down to what replay.rs compares.

    python3 cut.py FOLDER_OF_RECORDINGS FOLDER NAME...

Writes FOLDER/NAME.jsonl: what the client did, word for word, and of what the gateway did
one line of words a frame (`shape`). Payloads, times, names of machines and prose are left out.
"""

import json
import pathlib
import sys

SERVED = {"connect", "health", "status", "system-presence", "system-event", "agent", "agent.wait", "chat.abort", "set-heartbeats"}
# Requests that stand for any harmless one, or that we answer under another name.
STAND_IN = {"last-heartbeat": "status", "chat.send": "agent"}
# Their moment depends on when the recorded gateway had been started.
LEFT_OUT = {"tick", "health", "update.available"}
PATHS = ["protocol", "auth.role", "auth.scopes", "runId", "sessionKey", "agentId", "status", "aborted", "runIds", "stopReason"]

DETAILS = ["code", "reason", "authReason", "canRetryWithDeviceToken", "recommendedNextStep", "missingScope", "requiredScopes", "execution", "clientMinProtocol", "clientMaxProtocol", "expectedProtocol", "minimumProbeProtocol"]


def words(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def at(value, path):
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def shape(frame):
    payload = frame.get("payload")
    if frame["type"] == "event":
        name = frame["event"]
        if name == "agent":
            data = payload["data"]
            detail = data.get("phase") or data.get("delta")
            return f"event agent {payload['stream']} {words(detail)}"
        if name == "chat":
            return f"event chat {payload['state']} {words(payload.get('deltaText'))}"
        return f"event {name}"
    named = "".join(f" {path}={words(at(payload, path))}" for path in PATHS if at(payload, path) is not None)
    if frame["ok"]:
        return f"res {words(frame['id'])} ok{named}"
    error = frame["error"]
    details = "".join(f" {name}={words(at(error, 'details.' + name))}" for name in DETAILS if at(error, "details." + name) is not None)
    return f"res {words(frame['id'])} {error['code']} {words(error['message'])}{details}{named}"


def cut(lines, patience):
    out, hidden, origin, greeted, spoken = [], set(), None, set(), set()
    messages, told, plain = {}, set(), set()
    for line in lines:
        t, conn, text = line["t"], line.get("conn", ""), line.get("text", "")
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
                elif method and method not in SERVED and "bogus" not in method:
                    hidden.add((conn, frame.get("id")))
                    continue
                params = frame.get("params")
                if method == "agent" and isinstance(params, dict) and "idempotencyKey" in params:
                    messages[params["idempotencyKey"]] = params.get("message")
            out.append({"t": t, "conn": conn, "send": text})
        elif line["dir"] == "s2c":
            frame = json.loads(text)
            if frame.get("event") == "connect.challenge":
                opened = {"nonce": frame["payload"]["nonce"], "ms": frame["payload"]["ts"]}
                if origin:
                    opened["origin"] = origin
                out.append({"t": t, "conn": conn, "open": opened})
                continue
            if frame["type"] == "res" and (conn, frame["id"]) in hidden:
                continue
            if frame.get("event") in LEFT_OUT:
                continue
            if frame.get("event") == "agent":
                step = played(frame["payload"], messages, told)
                if step:
                    out.append({"t": t, "agent": step})
            if (conn, frame.get("id")) in plain and frame.get("ok"):
                # What it says of heartbeats is not what its stand-in says.
                frame["payload"] = None
            if at(frame, "payload.type") == "hello-ok":
                greeted.add(conn)
            out.append({"t": t, "conn": conn, "hear": shape(frame)})
        elif line["dir"] == "close":
            by_client = line["code"] == 1000 and (conn in greeted or (conn not in spoken and t < patience))
            if by_client:
                out.append({"t": t, "conn": conn, "gone": True})
            else:
                out.append({"t": t, "conn": conn, "hear": f"close {line['code']} {words(line['reason'])}"})
    out.append({"t": lines[-1]["t"]})
    return out


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
        text = "".join(words(line) + "\n" for line in cut(lines, patience))
        text = text.replace("28789", "18789").replace("⚠️ stub/stub-1 request failed (provider internal error, HTTP 500). This is usually temporary — try again shortly.", "the provider failed")
        (target / f"{name}.jsonl").write_text(text)


main()
