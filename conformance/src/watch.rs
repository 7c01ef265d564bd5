//! What must hold in every conversation, whatever it is about.

use crate::bench::Bench;
use crate::json::Value;

/// The checks that are made throughout; no scenario owns them.
pub const THROUGHOUT: [&str; 13] = [
    "FRM-006/throughout",
    "FRM-008/throughout",
    "FRM-009/throughout",
    "EVT-001/throughout",
    "EVT-003/throughout",
    "EVT-005/throughout",
    "EVT-006/throughout",
    "EVT-007/throughout",
    "STA-001/throughout",
    "CLO-002/throughout",
    "CLO-003/throughout",
    "CLO-004/throughout",
    "CLO-005/throughout",
];

const VERSIONS: [&str; 2] = ["presence", "health"];

/// What was seen of one conversation.
#[derive(Debug, Default)]
pub struct Watch {
    welcomed: bool,
    /// Whether a node speaks, which is told some things alone.
    pub is_node: bool,
    last: i64,
    versions: [i64; 2],
    events: Option<Vec<Value>>,
}

impl Watch {
    /// Looks at a message.
    pub fn see(&mut self, bench: &Bench, frame: &Value) {
        match frame.text("type") {
            Some("res") => self.answer(bench, frame),
            Some("event") => self.push(bench, frame),
            _ => bench.judge(
                "FRM-006/throughout",
                Err(format!("neither answer nor push: {frame}")),
            ),
        }
    }

    fn answer(&mut self, bench: &Bench, frame: &Value) {
        let error = frame.at("error");
        let shaped = match frame.flag("ok") {
            Some(true) => error.is_none() && frame.at("payload").is_some(),
            Some(false) => error.is_some_and(|error| {
                error.text("code").is_some_and(|code| !code.is_empty())
                    && error.text("message").is_some_and(|text| !text.is_empty())
                    && (error.at("retryable").is_none() || error.flag("retryable").is_some())
                    && error
                        .at("retryAfterMs")
                        .is_none_or(|_| error.integer("retryAfterMs").is_some())
            }),
            None => false,
        };
        let shaped = shaped && frame.at("id").is_some();
        bench.check("FRM-006/throughout", shaped, || frame.to_string());
        if frame.text("payload.type") == Some("hello-ok") {
            self.welcomed = true;
            self.events = frame.list("payload.features.events").map(<[Value]>::to_vec);
            self.versions(bench, frame.at("payload.snapshot.stateVersion"));
        }
    }

    fn push(&mut self, bench: &Bench, frame: &Value) {
        let event = frame.text("event").unwrap_or("");
        bench.check("FRM-009/throughout", !event.is_empty(), || {
            frame.to_string()
        });
        if event == "connect.challenge" && self.last == 0 {
            return;
        }
        bench.check("EVT-003/throughout", self.welcomed, || {
            format!("before hello-ok came {frame}")
        });
        if !self.welcomed {
            return;
        }
        self.number(bench, frame, event);
        if let Some(events) = &self.events {
            let listed = events.iter().any(|own| own.is(event));
            bench.check("EVT-006/throughout", listed, || {
                format!("{event} is not listed")
            });
        }
        if VERSIONS.contains(&event) {
            let version = frame.at("stateVersion");
            let there = VERSIONS
                .iter()
                .all(|name| version.is_some_and(|version| version.integer(name).is_some()));
            bench.check("EVT-005/throughout", there, || frame.to_string());
            self.versions(bench, version);
        }
    }

    fn number(&mut self, bench: &Bench, frame: &Value, event: &str) {
        let seq = frame.integer("seq").unwrap_or(0);
        if bench.options.protocol < 4 {
            // Tool pushes had no number then.
            if frame.at("seq").is_some() {
                bench.check("EVT-007/throughout", seq > self.last, || {
                    format!("{event} has {seq} after {}", self.last)
                });
                self.last = seq;
            }
            return;
        }
        if self.is_node && frame.at("seq").is_none() {
            // It is for this node alone.
            return;
        }
        bench.check("EVT-001/throughout", seq == self.last + 1, || {
            format!("{event} has {seq} after {}", self.last)
        });
        self.last = seq.max(self.last);
    }

    fn versions(&mut self, bench: &Bench, found: Option<&Value>) {
        for (name, last) in VERSIONS.iter().zip(&mut self.versions) {
            if let Some(version) = found.and_then(|found| found.integer(name)) {
                bench.check("STA-001/throughout", version >= *last, || {
                    format!("the {name} version was {last} and is {version}")
                });
                *last = version;
            }
        }
    }
}
