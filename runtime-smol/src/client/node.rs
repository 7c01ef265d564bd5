//! The other side of `node.invoke`: what a node is asked to do, and how it answers.
//!
//! ```no_run
//! use openclaw_protocol_core::json::Object;
//! use openclaw_runtime_smol::client::node::{self, Asked, Denial};
//! use openclaw_runtime_smol::client::{Event, Gateway};
//!
//! # async fn serve(builder: openclaw_runtime_smol::client::Builder) -> Result<(), Box<dyn std::error::Error>> {
//! let builder = builder.client("node-host", "node").role("node").caps(["system"]);
//! let (gateway, mut events) = builder.commands(["device.info"]).connect_with_events().await?;
//! while let Some(event) = events.next().await {
//!     let Event::Push(push) = event else { continue };
//!     if let Some(Asked::Invoke(invoke)) = node::asked(&push) {
//!         let answer = match invoke.command.as_str() {
//!             "device.info" => Ok(Some(Object::new().text("model", "lamp").finish())),
//!             _ => Err(Denial::new("UNAVAILABLE", "this node has no such command")),
//!         };
//!         gateway.request(node::RESULT, invoke.ticket.answer(&answer)).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::borrow::Cow;
use std::time::Duration;

use openclaw_protocol_core::frame::from_gateway::Push;
use openclaw_protocol_core::json::{Json, Object};
use serde::Deserialize;

/// The request that carries an answer.
pub const RESULT: &str = "node.invoke.result";
/// The request that tells the gateway something about the node; a gateway that waits for approval refuses it.
pub const EVENT: &str = "node.event";

const INVOKE: &str = "node.invoke.request";
const CANCEL: &str = "node.invoke.cancel";
const RESOLVED: &str = "node.pair.resolved";

/// What a gateway wants of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asked {
    /// Do something.
    Invoke(Invoke),
    /// It cannot be read; the ticket is there so that it is answered all the same.
    Unreadable(Ticket),
    /// Nobody waits for this invoke any more.
    Cancel {
        /// Its [`Ticket::id`].
        id: String,
    },
    /// Somebody decided over what the node offers.
    Resolved {
        /// `approved`; the published gateway tells a node of nothing else.
        decision: String,
    },
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoke {
    /// What its answer goes to.
    pub ticket: Ticket,
    /// The command.
    pub command: String,
    /// What it is to be done with, if anything.
    pub params: Option<Json>,
    /// How long the gateway waits for the answer; for ever where there is none.
    pub timeout: Option<Duration>,
    /// What the caller named it; the gateway does not look for repeats.
    pub idempotency_key: Option<String>,
}

/// What an answer goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The invoke; the gateway's own, and new for each.
    pub id: String,
    /// The node.
    pub node_id: String,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// A word for programs, such as `INVALID_REQUEST`.
    pub code: Cow<'static, str>,
    /// A sentence for people.
    pub message: Cow<'static, str>,
}

/// What came of it: a payload or none, or why not.
pub type Answer = Result<Option<Json>, Denial>;

/// Reads a push; `None` where it wants nothing of a node.
#[must_use]
pub fn asked(push: &Push) -> Option<Asked> {
    match &*push.event {
        INVOKE => invoke(&push.payload),
        CANCEL => {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Wire {
                invoke_id: String,
            }
            let wire: Wire = push.payload.read().ok()?;
            Some(Asked::Cancel { id: wire.invoke_id })
        }
        RESOLVED => {
            #[derive(Deserialize)]
            struct Wire {
                decision: String,
            }
            let wire: Wire = push.payload.read().ok()?;
            Some(Asked::Resolved {
                decision: wire.decision,
            })
        }
        _ => None,
    }
}

fn invoke(payload: &Json) -> Option<Asked> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Id {
        id: String,
        node_id: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        command: String,
        #[serde(rename = "paramsJSON")]
        params: Option<String>,
        timeout_ms: Option<u64>,
        idempotency_key: Option<String>,
    }
    let Id { id, node_id } = payload.read().ok()?;
    let ticket = Ticket { id, node_id };
    let Ok(wire) = payload.read::<Wire>() else {
        return Some(Asked::Unreadable(ticket));
    };
    let params = match wire.params.map(Json::parse).transpose() {
        Ok(params) => params,
        Err(_) => return Some(Asked::Unreadable(ticket)),
    };
    Some(Asked::Invoke(Invoke {
        ticket,
        command: wire.command,
        params,
        timeout: wire
            .timeout_ms
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis),
        idempotency_key: wire.idempotency_key,
    }))
}

impl Ticket {
    /// Writes the parameters of [`RESULT`]. One answer counts; the gateway ignores a second, and one that is late.
    #[must_use]
    pub fn answer(&self, answer: &Answer) -> Object {
        let result = Object::new()
            .text("id", &self.id)
            .text("nodeId", &self.node_id)
            .boolean("ok", answer.is_ok());
        match answer {
            Ok(None) => result,
            Ok(Some(payload)) => result.text("payloadJSON", payload.as_str()),
            Err(denial) => result.object(
                "error",
                Object::new()
                    .text("code", &denial.code)
                    .text("message", &denial.message),
            ),
        }
    }
}

impl Denial {
    /// Says why not.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(event: &str, payload: &str) -> Push {
        Push {
            event: event.into(),
            payload: Json::parse(payload.to_owned()).unwrap(),
            seq: None,
            state_version: None,
        }
    }

    fn ticket() -> Ticket {
        Ticket {
            id: "i".to_owned(),
            node_id: "n".to_owned(),
        }
    }

    #[test]
    fn an_invoke_has_its_parameters_as_json_and_no_deadline_where_there_is_none() {
        let payload = r#"{"id":"i","nodeId":"n","command":"c","paramsJSON":"{\"a\":1}","timeoutMs":993,"idempotencyKey":"k","x":1}"#;
        let expected = Invoke {
            ticket: ticket(),
            command: "c".to_owned(),
            params: Some(Json::parse(r#"{"a":1}"#).unwrap()),
            timeout: Some(Duration::from_millis(993)),
            idempotency_key: Some("k".to_owned()),
        };
        assert_eq!(
            asked(&push(INVOKE, payload)),
            Some(Asked::Invoke(expected.clone()))
        );
        let bare = r#"{"id":"i","nodeId":"n","command":"c","paramsJSON":null,"timeoutMs":0}"#;
        let expected = Invoke {
            params: None,
            timeout: None,
            idempotency_key: None,
            ..expected
        };
        assert_eq!(asked(&push(INVOKE, bare)), Some(Asked::Invoke(expected)));
    }

    #[test]
    fn what_cannot_be_read_can_be_answered_if_it_says_what_it_is() {
        for payload in [
            r#"{"id":"i","nodeId":"n"}"#,
            r#"{"id":"i","nodeId":"n","command":"c","paramsJSON":"{"}"#,
            r#"{"id":"i","nodeId":"n","command":"c","timeoutMs":-1}"#,
        ] {
            let unreadable = Some(Asked::Unreadable(ticket()));
            assert_eq!(asked(&push(INVOKE, payload)), unreadable, "{payload}");
        }
        assert_eq!(asked(&push(INVOKE, r#"{"command":"c"}"#)), None);
        assert_eq!(asked(&push("tick", "{}")), None);
    }

    #[test]
    fn answers_have_the_observed_shape() {
        for (answer, expected) in [
            (Ok(None), r#"{"id":"i","nodeId":"n","ok":true}"#),
            (
                Ok(Some(Object::new().number("a", 1).finish())),
                r#"{"id":"i","nodeId":"n","ok":true,"payloadJSON":"{\"a\":1}"}"#,
            ),
            (
                Err(Denial::new("NO", "not today")),
                r#"{"id":"i","nodeId":"n","ok":false,"error":{"code":"NO","message":"not today"}}"#,
            ),
        ] {
            assert_eq!(ticket().answer(&answer).finish().as_str(), expected);
        }
    }

    #[test]
    fn whom_nobody_waits_for_and_what_was_decided_is_heard() {
        let cancel = asked(&push(CANCEL, r#"{"invokeId":"i","nodeId":"n"}"#));
        assert_eq!(cancel, Some(Asked::Cancel { id: "i".to_owned() }));
        let resolved = asked(&push(
            RESOLVED,
            r#"{"requestId":"r","decision":"approved"}"#,
        ));
        let decision = "approved".to_owned();
        assert_eq!(resolved, Some(Asked::Resolved { decision }));
    }
}
