//! Recordings of the reference gateway, replayed: the same client, and gateways that say the same
//! but where `deviations.txt` names the difference and its reason. `v3` holds those of a reference
//! that spoke protocol 3, replayed with its clients' range.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_gateway_service::agents::ToolStep;
use openclaw_protocol_core::hub::Peer;
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::server::ConnId;
use serde_json::Value;
use support::{Do, Settings, World, local, millis, seconds};

const NOTHING: &str = "nothing";
/// What of a payload is compared, where it is there.
const PATHS: [&str; 10] = [
    "/protocol",
    "/auth/role",
    "/auth/scopes",
    "/runId",
    "/sessionKey",
    "/agentId",
    "/status",
    "/aborted",
    "/runIds",
    "/stopReason",
];
/// What of an error's details is compared, where it is there.
const DETAILS: [&str; 12] = [
    "code",
    "reason",
    "authReason",
    "canRetryWithDeviceToken",
    "recommendedNextStep",
    "missingScope",
    "requiredScopes",
    "execution",
    "clientMinProtocol",
    "clientMaxProtocol",
    "expectedProtocol",
    "minimumProbeProtocol",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

/// One line of a cut recording.
struct Step {
    at: Duration,
    conn: String,
    line: Value,
}

fn read(path: &Path) -> Vec<Step> {
    let text = fs::read_to_string(path).expect("a transcript");
    let step = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        Step {
            at: millis(line["t"].as_u64().expect("a time")),
            conn: line["conn"].as_str().unwrap_or("").to_owned(),
            line,
        }
    };
    text.lines().map(step).collect()
}

/// What each connection heard, in the words of `cut.py`.
type Heard = BTreeMap<String, Vec<String>>;

fn recorded(steps: &[Step]) -> Heard {
    let mut heard = Heard::new();
    for step in steps {
        let lines = heard.entry(step.conn.clone()).or_default();
        lines.extend(step.line["hear"].as_str().map(str::to_owned));
    }
    heard
}

fn replayed(steps: &[Step]) -> Heard {
    let first = steps.iter().find(|step| step.line["open"].is_object());
    let first = first.expect("a connection");
    let began = first.line["open"]["ms"].as_u64().expect("a time");
    let mut world = World::with(Settings {
        beginning_ms: began - first.at.as_millis() as u64,
        ..Settings::default()
    });
    let mut conns = BTreeMap::new();
    for step in steps {
        world.advance(step.at.saturating_sub(world.passed()));
        act(&mut world, &mut conns, step);
    }
    // What we say later than the reference is still heard.
    world.advance(seconds(5));
    conns
        .into_iter()
        .map(|(name, conn)| {
            let mut lines: Vec<String> = world.hear(conn).iter().filter_map(shape).collect();
            if let Some((code, reason)) = world.close(conn) {
                lines.push(format!("close {code} {}", Value::from(reason)));
            }
            (name, lines)
        })
        .collect()
}

fn act(world: &mut World, conns: &mut BTreeMap<String, ConnId>, step: &Step) {
    let line = &step.line;
    if line["open"].is_object() {
        let peer = Peer {
            origin: line["open"]["origin"].as_str().map(Into::into),
            ..local()
        };
        let nonce = line["open"]["nonce"].as_str().expect("a nonce");
        let conn = world.open_with(peer, nonce);
        conns.insert(step.conn.clone(), conn);
    } else if let Some(text) = line["send"].as_str() {
        world.say_bytes(conns[&step.conn], text.to_owned());
    } else if line["gone"] == true {
        world.cut(conns[&step.conn]);
    } else if line["agent"].is_object() {
        let agent = |what: &str| line["agent"][what].as_str();
        let message = agent("message").expect("a message");
        if let Some(text) = agent("say") {
            world.agent_says(message, text);
        } else if let (Some(name), Some(id)) = (agent("calls"), agent("as")) {
            let call = ToolStep::Start {
                id: id.to_owned(),
                name: name.to_owned(),
                args: Json::empty_object(),
            };
            world.agent_does(message, Do::Use(call));
        } else if let Some(id) = agent("returns") {
            let result = ToolStep::Result {
                id: id.to_owned(),
                is_error: false,
                result: Json::null(),
            };
            world.agent_does(message, Do::Use(result));
        } else if line["agent"]["end"] == "well" {
            world.agent_does(message, Do::Finish);
        } else {
            world.agent_does(message, Do::Fail("the provider failed"));
        }
    }
}

/// One frame in the words of `cut.py`; `None` for what is left out there too.
fn shape(frame: &Value) -> Option<String> {
    let payload = &frame["payload"];
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    if frame["type"] == "event" {
        let first = |one: &Value, other: &Value| if one.is_null() { other } else { one }.clone();
        return match word(&frame["event"]).as_str() {
            "connect.challenge" | "tick" | "health" => None,
            "agent" => {
                let data = &payload["data"];
                let detail = first(&data["phase"], &data["delta"]);
                Some(format!("event agent {} {detail}", word(&payload["stream"])))
            }
            "chat" => {
                let state = word(&payload["state"]);
                Some(format!("event chat {state} {}", payload["deltaText"]))
            }
            other => Some(format!("event {other}")),
        };
    }
    let named: String = PATHS
        .iter()
        .filter_map(|path| {
            let value = payload.pointer(path)?;
            Some(format!(" {}={value}", path[1..].replace('/', ".")))
        })
        .collect();
    let id = &frame["id"];
    if frame["ok"] == true {
        return Some(format!("res {id} ok{named}"));
    }
    let error = &frame["error"];
    let code = word(&error["code"]);
    let details: String = DETAILS
        .iter()
        .filter_map(|name| Some(format!(" {name}={}", error["details"].get(name)?)))
        .collect();
    Some(format!(
        "res {id} {code} {}{details}{named}",
        error["message"]
    ))
}

/// Where two lists differ: what one has, what the other has in its place, or nothing.
fn differences(one: &[String], other: &[String]) -> Vec<(String, String)> {
    let mut common = vec![vec![0_usize; other.len() + 1]; one.len() + 1];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            common[i][j] = if one[i] == other[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let (mut gone, mut new, mut all) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let same = i < one.len() && j < other.len() && one[i] == other[j];
        if same || (i == one.len() && j == other.len()) {
            pair_up(&mut gone, &mut new, &mut all);
            if !same {
                return all;
            }
            (i, j) = (i + 1, j + 1);
        } else if j == other.len() || (i < one.len() && common[i + 1][j] >= common[i][j + 1]) {
            gone.push(one[i].clone());
            i += 1;
        } else {
            new.push(other[j].clone());
            j += 1;
        }
    }
}

fn pair_up(gone: &mut Vec<String>, new: &mut Vec<String>, all: &mut Vec<(String, String)>) {
    // Like goes with like: an answer with that to the same request, or the only one with the only
    // one; a close with a close.
    let words = |line: &str, count| line.split(' ').take(count).collect::<Vec<_>>().join(" ");
    let alone = gone.len() == 1 && new.len() == 1;
    for line in gone.drain(..) {
        let one_suffices = line.starts_with("close ") || (alone && line.starts_with("res "));
        let count = if one_suffices { 1 } else { 2 };
        let like = new
            .iter()
            .position(|other| words(other, count) == words(&line, count));
        let instead = like.map_or_else(|| NOTHING.to_owned(), |index| new.remove(index));
        all.push((line, instead));
    }
    all.extend(new.drain(..).map(|line| (NOTHING.to_owned(), line)));
}

/// One line of `deviations.txt`.
struct Deviation {
    transcript: String,
    theirs: String,
    ours: String,
    text: String,
    used: bool,
}

fn deviations(folder: &Path) -> Vec<Deviation> {
    let text = fs::read_to_string(folder.join("deviations.txt")).expect("deviations");
    let is_line = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    text.lines()
        .filter(is_line)
        .map(|line| {
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [transcript, theirs, ours, reason] = parts[..] else {
                panic!("a deviation has four parts: {line}");
            };
            assert!(!reason.is_empty(), "a deviation has a reason: {line}");
            Deviation {
                transcript: transcript.to_owned(),
                theirs: theirs.to_owned(),
                ours: ours.to_owned(),
                text: line.to_owned(),
                used: false,
            }
        })
        .collect()
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = text.strip_prefix(parts.next().unwrap_or("")) else {
        return false;
    };
    let mut rest = rest;
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(part) => rest.is_empty() || text.ends_with(part),
    }
}

/// Replays every recording of a folder against its own list of deviations, and counts them.
fn replay(folder: &Path) -> usize {
    let mut known = deviations(folder);
    let mut unknown = Vec::new();
    let mut count = 0;
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("transcripts")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    for path in files {
        count += 1;
        let name = path.file_stem().expect("a name").to_string_lossy();
        let steps = read(&path);
        let (theirs, ours) = (recorded(&steps), replayed(&steps));
        for (conn, heard) in &ours {
            for (gone, new) in differences(&theirs[conn], heard) {
                let mut found = false;
                for one in &mut known {
                    if fits(&one.transcript, &name)
                        && fits(&one.theirs, &gone)
                        && fits(&one.ours, &new)
                    {
                        one.used = true;
                        found = true;
                    }
                }
                if !found {
                    unknown.push(format!("{name} | {gone} | {new} | "));
                }
            }
        }
    }
    let unused: Vec<_> = known.iter().filter(|one| !one.used).collect();
    let unused: Vec<_> = unused.iter().map(|one| one.text.as_str()).collect();
    assert!(
        unknown.is_empty() && unused.is_empty(),
        "not written down:\n{}\nwritten down and not seen:\n{}",
        unknown.join("\n"),
        unused.join("\n")
    );
    count
}

#[test]
fn recordings_of_the_reference_replay_but_for_the_deviations_that_are_written_down() {
    let count = replay(&folder());
    assert!(count > 100, "{count} transcripts");
}

#[test]
fn recordings_of_protocol_3_replay_but_for_the_deviations_that_are_written_down() {
    let count = replay(&folder().join("v3"));
    assert!(count > 30, "{count} transcripts");
}

#[test]
fn differences_are_told_line_by_line() {
    let list = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
    let pairs = |one, other| differences(&list(one), &list(other));
    assert_eq!(pairs("a,b,c", "a,b,c"), []);
    let same = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(
        pairs("a,close 1 x,c", "a,close 2 y,c"),
        [same("close 1 x", "close 2 y")]
    );
    assert_eq!(pairs("a,b,c", "a,c"), [same("b", NOTHING)]);
    assert_eq!(pairs("a,c", "a,b,c"), [same(NOTHING, "b")]);
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("*b", "ba", false),
        ("a*c", "abc", true),
        ("a*c", "acb", false),
        ("*", "", true),
        ("post-*", "presence", false),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
}
