//! What a gateway says: `res` and `event` frames, and what a client says: `req` frames.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::error_shape::ErrorShape;
use crate::json::{Json, write_number, write_text};

use super::Close;

/// Something to do to the socket, in this order and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Send this as one text message.
    Frame(Frame),
    /// Send a ping without payload.
    Ping,
    /// Send a close; nothing follows it.
    Close(Close),
}

/// A frame whose text is assembled when it is written, not while it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A request.
    Request {
        /// Its id.
        id: Box<str>,
        /// Its method.
        method: Box<str>,
        /// Its parameters.
        params: Option<Json>,
    },
    /// The answer to a request.
    Response {
        /// The id of the request.
        id: Box<str>,
        /// What became of it.
        outcome: Outcome,
    },
    /// A push.
    Event {
        /// What is pushed.
        publication: Arc<Publication>,
        /// Its number on this connection; `None` for a push that has none.
        seq: Option<u64>,
        /// The versions of the pushed state.
        state_version: Option<StateVersion>,
    },
}

/// What became of a request: a success, a failure, or a failure that still has a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it succeeded.
    pub ok: bool,
    /// What it returned.
    pub payload: Option<Json>,
    /// Why it failed.
    pub error: Option<ErrorShape>,
}

impl Outcome {
    /// A success.
    #[must_use]
    pub fn success(payload: impl Into<Json>) -> Self {
        Self {
            ok: true,
            payload: Some(payload.into()),
            error: None,
        }
    }

    /// A failure.
    #[must_use]
    pub fn failure(error: ErrorShape) -> Self {
        Self {
            ok: false,
            payload: None,
            error: Some(error),
        }
    }

    /// A failure with a payload, as failed agent runs have it.
    #[must_use]
    pub fn failure_with(payload: impl Into<Json>, error: ErrorShape) -> Self {
        Self {
            ok: false,
            payload: Some(payload.into()),
            error: Some(error),
        }
    }

    /// How much it holds, in bytes, about.
    pub(crate) fn weight(&self) -> usize {
        self.payload.as_ref().map_or(0, Json::len)
            + self.error.as_ref().map_or(0, ErrorShape::weight)
            + 32
    }
}

/// How many times each shared state has changed since the gateway started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateVersion {
    /// Changes of the presence list.
    pub presence: u64,
    /// Changes of the health snapshot.
    pub health: u64,
}

/// Something that is pushed to many connections; they share its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The name of the event.
    pub event: &'static str,
    /// Its payload.
    pub payload: Json,
    /// Who hears it.
    pub audience: crate::scope::Audience,
    /// How it behaves in a queue.
    pub class: Class,
}

/// How a push behaves while it waits to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A state: a newer one takes the place of an older one that was not sent yet.
    State(State),
    /// A part of a stream whose whole comes later: dropped first when a peer reads too slowly.
    Delta,
    /// Anything else: kept until it is sent or the connection ends.
    Ordinary,
}

/// A pushed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The presence list.
    Presence,
    /// The health snapshot.
    Health,
    /// The keepalive.
    Tick,
}

impl State {
    /// Whether its pushes carry `stateVersion`.
    #[must_use]
    pub const fn is_versioned(self) -> bool {
        matches!(self, Self::Presence | Self::Health)
    }
}

impl Frame {
    /// Writes the frame as JSON text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size_hint());
        match self {
            Self::Request { id, method, params } => {
                out.extend_from_slice(b"{\"type\":\"req\",\"id\":");
                write_text(&mut out, id);
                out.extend_from_slice(b",\"method\":");
                write_text(&mut out, method);
                if let Some(params) = params {
                    out.extend_from_slice(b",\"params\":");
                    out.extend_from_slice(params.as_bytes());
                }
            }
            Self::Response { id, outcome } => {
                out.extend_from_slice(b"{\"type\":\"res\",\"id\":");
                write_text(&mut out, id);
                out.extend_from_slice(if outcome.ok {
                    b",\"ok\":true"
                } else {
                    b",\"ok\":false"
                });
                if let Some(payload) = &outcome.payload {
                    out.extend_from_slice(b",\"payload\":");
                    out.extend_from_slice(payload.as_bytes());
                }
                if let Some(error) = &outcome.error {
                    out.extend_from_slice(b",\"error\":");
                    error.write(&mut out);
                }
            }
            Self::Event {
                publication,
                seq,
                state_version,
            } => {
                out.extend_from_slice(b"{\"type\":\"event\",\"event\":");
                write_text(&mut out, publication.event);
                out.extend_from_slice(b",\"payload\":");
                out.extend_from_slice(publication.payload.as_bytes());
                if let Some(seq) = seq {
                    out.extend_from_slice(b",\"seq\":");
                    write_number(&mut out, *seq);
                }
                if let Some(version) = state_version {
                    out.extend_from_slice(b",\"stateVersion\":{\"presence\":");
                    write_number(&mut out, version.presence);
                    out.extend_from_slice(b",\"health\":");
                    write_number(&mut out, version.health);
                    out.push(b'}');
                }
            }
        }
        out.push(b'}');
        out
    }

    /// The size of the text in bytes, about; never less than what it holds.
    #[must_use]
    pub fn size_hint(&self) -> usize {
        match self {
            Self::Request { id, method, params } => {
                id.len() + method.len() + params.as_ref().map_or(0, Json::len) + 48
            }
            Self::Response { id, outcome } => id.len() + outcome.weight() + 48,
            Self::Event { publication, .. } => publication.size_hint(),
        }
    }
}

impl Publication {
    /// The size of the frame that carries it, about; never less.
    pub(crate) fn size_hint(&self) -> usize {
        self.event.len() + self.payload.len() + 160
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Object;
    use crate::scope::Audience;
    use alloc::string::String;

    fn text(frame: &Frame) -> String {
        String::from_utf8(frame.encode()).unwrap()
    }

    #[test]
    fn members_come_in_the_observed_order() {
        let failed = Frame::Response {
            id: "a1".into(),
            outcome: Outcome::failure_with(
                Object::new().text("status", "error"),
                ErrorShape::unavailable("no").retryable_after(Some(5)),
            ),
        };
        assert_eq!(
            text(&failed),
            r#"{"type":"res","id":"a1","ok":false,"payload":{"status":"error"},"error":{"code":"UNAVAILABLE","message":"no","retryable":true,"retryAfterMs":5}}"#
        );
        let push = Frame::Event {
            publication: Arc::new(Publication {
                event: "health",
                payload: Json::empty_object(),
                audience: Audience::Everyone,
                class: Class::State(State::Health),
            }),
            seq: Some(1),
            state_version: Some(StateVersion {
                presence: 2,
                health: 3,
            }),
        };
        assert_eq!(
            text(&push),
            r#"{"type":"event","event":"health","payload":{},"seq":1,"stateVersion":{"presence":2,"health":3}}"#
        );
        let request = Frame::Request {
            id: "1".into(),
            method: "health".into(),
            params: Some(Json::empty_object()),
        };
        assert_eq!(
            text(&request),
            r#"{"type":"req","id":"1","method":"health","params":{}}"#
        );
    }
}
