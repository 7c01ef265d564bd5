//! What one peer heard of a hub, judged when it is over.

use std::collections::BTreeMap;

use openclaw_protocol_core::scope::Role;
use openclaw_protocol_core::server::ConnId;
use serde_json::Value;

/// Something that came out of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Frame(Value),
    Ping,
    Close(u16, String),
}

/// A connection as its peer saw it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) conn: ConnId,
    pub(crate) heard: Vec<Heard>,
    /// Who is there, as far as it knows.
    pub(crate) list: Option<Value>,
    /// Its role, scopes and features, once it was let in.
    pub(crate) granted: Option<(Role, Vec<String>, Vec<String>)>,
    /// The ids of its requests.
    pub(crate) asked: Vec<String>,
    pub(crate) over: bool,
    pub(crate) mute: bool,
}

impl Peer {
    pub(crate) fn new(conn: ConnId) -> Self {
        Self {
            conn,
            heard: Vec::new(),
            list: None,
            granted: None,
            asked: Vec::new(),
            over: false,
            mute: conn.0.is_multiple_of(5),
        }
    }

    pub(crate) fn hear(&mut self, heard: Heard) {
        if let Heard::Frame(frame) = &heard {
            let lists = [
                &frame["payload"]["snapshot"]["presence"],
                &frame["payload"]["presence"],
                &frame["payload"],
            ];
            if let Some(list) = lists.into_iter().find(|list| list.is_array()) {
                self.list = Some(list.clone());
            }
        }
        self.heard.push(heard);
    }

    /// Whether it may know who is there.
    pub(crate) fn reads(&self) -> bool {
        let reading = ["operator.read", "operator.write", "operator.admin"];
        self.granted.as_ref().is_some_and(|(role, scopes, _)| {
            *role == Role::Operator && scopes.iter().any(|scope| reading.contains(&&**scope))
        })
    }

    fn frames(&self) -> impl Iterator<Item = &Value> {
        self.heard.iter().filter_map(|heard| match heard {
            Heard::Frame(frame) => Some(frame),
            Heard::Ping | Heard::Close(..) => None,
        })
    }

    fn was_closed(&self) -> bool {
        self.over
            || self
                .heard
                .iter()
                .any(|heard| matches!(heard, Heard::Close(..)))
    }

    /// Everything that must hold of what one peer heard.
    pub(crate) fn judge(&self, may_drop: bool) {
        self.judge_order();
        self.judge_numbers(may_drop);
        self.judge_audience();
        self.judge_versions();
        self.judge_answers();
    }

    /// The challenge comes first, pushes come after hello, and nothing comes after the close.
    fn judge_order(&self) {
        let close = self
            .heard
            .iter()
            .position(|heard| matches!(heard, Heard::Close(..)));
        assert!(
            close.is_none_or(|at| at + 1 == self.heard.len()),
            "{:?}",
            self.heard
        );
        let mut greeted = false;
        for (index, frame) in self.frames().enumerate() {
            let is_challenge = frame["event"] == "connect.challenge";
            assert_eq!(index == 0, is_challenge, "{frame}");
            assert!(
                greeted || frame["type"] == "res" || is_challenge,
                "{frame} before hello"
            );
            greeted |= frame["payload"]["type"] == "hello-ok";
        }
    }

    /// 1, 2, 3 … but for what was dropped; only the challenge has no number.
    fn judge_numbers(&self, may_drop: bool) {
        let mut last = 0;
        for frame in self
            .frames()
            .filter(|frame| frame["type"] == "event")
            .skip(1)
        {
            let number = frame["seq"].as_u64().expect("a number");
            let follows = if may_drop {
                number > last
            } else {
                number == last + 1
            };
            assert!(follows, "{number} after {last}");
            last = number;
        }
    }

    fn judge_audience(&self) {
        let Some((role, scopes, caps)) = &self.granted else {
            assert!(
                self.frames()
                    .all(|frame| frame["payload"]["type"] != "hello-ok")
            );
            return;
        };
        let has = |names: &[&str]| {
            *role == Role::Operator && scopes.iter().any(|scope| names.contains(&scope.as_str()))
        };
        let reads = has(&["operator.read", "operator.write", "operator.admin"]);
        for frame in self.frames() {
            let allowed = match frame["event"].as_str() {
                Some("chat" | "presence") => reads,
                Some("tools") => reads && caps.iter().any(|cap| cap == "tool-events"),
                Some("approval") => has(&["operator.approvals", "operator.admin"]),
                Some("pairing") => has(&["operator.pairing", "operator.admin"]),
                Some("config") => has(&["operator.admin"]),
                Some("brief") => !reads,
                Some("health") => frame["payload"].get("detail").is_none() || reads,
                Some(_) | None => true,
            };
            assert!(allowed, "{frame} for {role:?} with {scopes:?}");
            let snapshot = &frame["payload"]["snapshot"];
            let told = snapshot["presence"]
                .as_array()
                .is_some_and(|rows| !rows.is_empty())
                || snapshot["health"].get("detail").is_some();
            assert!(reads || !told, "{frame}");
        }
    }

    fn judge_versions(&self) {
        for name in ["presence", "health"] {
            let versions: Vec<u64> = self
                .frames()
                .filter_map(|frame| {
                    let hello = &frame["payload"]["snapshot"]["stateVersion"][name];
                    frame["stateVersion"][name].as_u64().or(hello.as_u64())
                })
                .collect();
            assert!(versions.is_sorted(), "{name} falls: {versions:?}");
        }
    }

    /// At most one first answer and then exactly one last; fewer only where the connection ended.
    fn judge_answers(&self) {
        let mut told: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for frame in self.frames().filter(|frame| frame["type"] == "res") {
            let id = frame["id"].as_str().expect("a string");
            let (firsts, lasts) = told.entry(id).or_default();
            if frame["payload"]["status"] == "accepted" {
                *firsts += 1;
            } else {
                *lasts += 1;
            }
            let ours = id.starts_with('q');
            assert!(!ours || (*firsts <= 1 && *lasts <= 1), "{frame} once more");
            assert!(
                !ours || frame["payload"]["status"] != "accepted" || *lasts == 0,
                "{frame} late"
            );
        }
        for id in &self.asked {
            let lasts = told.get(id.as_str()).map_or(0, |(_, lasts)| *lasts);
            assert!(
                lasts == 1 || self.was_closed(),
                "{id} was not answered: {:?}",
                self.heard
            );
        }
    }
}
