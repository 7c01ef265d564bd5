//! What a client knows of its gateway's state.

use alloc::boxed::Box;
use alloc::string::String;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::hello::Hello;
use super::recovery::{Answer, Fetch, Recovery};
use crate::error_shape::ErrorShape;
use crate::frame::from_gateway::Push;
use crate::frame::outgoing::StateVersion;
use crate::json::Json;
use crate::time::{Instant, Now};

/// The presence list and health as the gateway last told them over one connection, and the way
/// back after pushes were lost.
///
/// Hello and each push carry the whole of what they are about, so the newest always replaces what
/// was there. What comes with an older version than is known is dropped, and so is an answer to a
/// question that was asked before the last push of its kind: answers carry no version.
#[derive(Clone, Debug)]
pub struct Mirror {
    presence: Part,
    health: Part,
    told: StateVersion,
    recovery: Recovery,
}

#[derive(Clone, Debug)]
struct Part {
    value: Option<Json>,
    version: u64,
    /// Something newer came since it was asked for.
    overtaken: bool,
}

impl Mirror {
    /// What the gateway said when it let us in.
    #[must_use]
    pub fn new(hello: &Hello) -> Self {
        #[derive(Default, Deserialize)]
        struct Welcome {
            #[serde(default)]
            snapshot: Snapshot,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Snapshot {
            presence: Option<Box<RawValue>>,
            health: Option<Box<RawValue>>,
            state_version: Versions,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Versions {
            presence: u64,
            health: u64,
        }
        let Snapshot {
            presence,
            health,
            state_version,
        } = hello
            .raw
            .read::<Welcome>()
            .map_or_else(|_| Snapshot::default(), |welcome| welcome.snapshot);
        let part = |value: Option<Box<RawValue>>, version| Part {
            value: value.and_then(own),
            version,
            overtaken: false,
        };
        Self {
            presence: part(presence, state_version.presence),
            health: part(health, state_version.health),
            told: StateVersion {
                presence: state_version.presence,
                health: state_version.health,
            },
            recovery: Recovery::new(hello),
        }
    }

    /// The presence list, an array; `None` if it was never told.
    #[must_use]
    pub const fn presence(&self) -> Option<&Json> {
        self.presence.value.as_ref()
    }

    /// The health snapshot; `None` if it was never told.
    #[must_use]
    pub const fn health(&self) -> Option<&Json> {
        self.health.value.as_ref()
    }

    /// The highest versions that the gateway named.
    #[must_use]
    pub const fn versions(&self) -> StateVersion {
        self.told
    }

    /// Whether pushes were lost and not made up for yet.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.recovery.is_suspect()
    }

    /// The gateway pushed something.
    pub fn handle_push(&mut self, push: &Push) {
        #[derive(Deserialize)]
        struct Presence {
            presence: Box<RawValue>,
        }
        let versions = push.state_version.unwrap_or(self.told);
        match &*push.event {
            "presence" => {
                let list = push.payload.read::<Presence>().ok();
                if let Some(list) = list.and_then(|list| own(list.presence)) {
                    self.presence.told(list, versions.presence);
                }
            }
            "health" => self.health.told(push.payload.clone(), versions.health),
            _ => {}
        }
        self.told.presence = self.told.presence.max(versions.presence);
        self.told.health = self.told.health.max(versions.health);
    }

    /// Pushes were lost.
    pub fn handle_gap(&mut self, now: Now) {
        self.recovery.handle_gap(now);
    }

    /// What to ask the gateway now; tell [`Self::handle_answer`] what became of it.
    pub fn poll_fetch(&mut self) -> Option<Fetch> {
        let fetch = self.recovery.poll_fetch()?;
        self.part(fetch).overtaken = false;
        Some(fetch)
    }

    /// A fetch was answered with a payload, was refused, or (`None`) was not answered.
    pub fn handle_answer(
        &mut self,
        fetch: Fetch,
        answer: Option<Result<Json, &ErrorShape>>,
        now: Now,
    ) {
        let answer = match answer {
            Some(Ok(payload)) => {
                let told = match fetch {
                    Fetch::Health => self.told.health,
                    Fetch::Presence => self.told.presence,
                };
                let part = self.part(fetch);
                if !part.overtaken {
                    part.value = Some(payload);
                    part.version = told;
                }
                Answer::Fetched
            }
            Some(Err(error)) => Answer::Refused(error),
            None => Answer::Lost,
        };
        self.recovery.handle_answer(fetch, answer, now);
    }

    /// Whether everything was made up for since this was last asked: then call
    /// [`Connection::resynced`](super::Connection::resynced).
    pub const fn poll_resynced(&mut self) -> bool {
        self.recovery.poll_resynced()
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.recovery.poll_timeout()
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.recovery.handle_timeout(now);
    }

    const fn part(&mut self, fetch: Fetch) -> &mut Part {
        match fetch {
            Fetch::Health => &mut self.health,
            Fetch::Presence => &mut self.presence,
        }
    }
}

impl Part {
    fn told(&mut self, value: Json, version: u64) {
        if version >= self.version {
            self.value = Some(value);
            self.version = version;
            self.overtaken = true;
        }
    }
}

/// A copy, so that a small part does not keep the whole message.
fn own(raw: Box<RawValue>) -> Option<Json> {
    Json::parse(String::from(Box::<str>::from(raw))).ok()
}
