//! What was heard, in a few words.

use serde_json::Value;

/// One line a frame: what kind it is and what it says, without times and texts.
pub(crate) fn story(frames: &[Value]) -> Vec<String> {
    frames.iter().map(line).collect()
}

/// The same for what concerns runs, leaving out ticks, health and presence.
pub(crate) fn story_of(frames: &[Value]) -> Vec<String> {
    story(frames)
        .into_iter()
        .filter(|line| !matches!(line.as_str(), "tick" | "health" | "presence"))
        .collect()
}

fn line(frame: &Value) -> String {
    let payload = &frame["payload"];
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    if frame["type"] == "res" {
        let id = word(&frame["id"]);
        let status = match (&payload["status"], &frame["error"]["code"]) {
            (_, Value::String(code)) => code.clone(),
            (Value::String(status), _) => status.clone(),
            (_, _) => "ok".to_owned(),
        };
        return format!("res {id} {status}");
    }
    let event = word(&frame["event"]);
    match event.as_str() {
        "agent" if payload["stream"] == "lifecycle" => {
            format!("agent {}", word(&payload["data"]["phase"]))
        }
        "agent" => format!("agent {}", word(&payload["stream"])),
        "chat" => format!("chat {}", word(&payload["state"])),
        _ => event,
    }
}

/// The payloads of the pushes of one name, of one run.
pub(crate) fn events<'a>(frames: &'a [Value], name: &str, run: &str) -> Vec<&'a Value> {
    frames
        .iter()
        .filter(|frame| frame["event"] == name && frame["payload"]["runId"] == run)
        .map(|frame| &frame["payload"])
        .collect()
}

/// How many lines of a story are one of `which`.
pub(crate) fn count(story: &[String], which: &[&str]) -> usize {
    story
        .iter()
        .filter(|line| which.contains(&line.as_str()))
        .count()
}

/// The last answer to one request.
pub(crate) fn final_of<'a>(frames: &'a [Value], id: &str) -> &'a Value {
    frames
        .iter()
        .rfind(|frame| frame["type"] == "res" && frame["id"] == id)
        .unwrap_or_else(|| panic!("{id} was not answered: {frames:?}"))
}

/// The error of an answer as `CODE message`.
pub(crate) fn errors(answer: &Value) -> String {
    let error = &answer["error"];
    let word = |value: &Value| value.as_str().unwrap_or("").to_owned();
    format!("{} {}", word(&error["code"]), word(&error["message"]))
}

/// The scopes that a newcomer was granted.
pub(crate) fn scopes_of(hello: &Value) -> &Value {
    &hello["payload"]["auth"]["scopes"]
}
