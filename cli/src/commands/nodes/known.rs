//! The nodes that a gateway knows.

use openclaw_protocol_core::json::{Json, Object};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ask;
use crate::failure::Failure;
use crate::output;
use crate::target::Session;

/// How much of a name is shown, in characters.
const NAME: usize = 32;
/// How much of an id is enough to know it by, and the least that is looked for.
const SHORT_ID: usize = 12;
const PREFIX: usize = 6;
/// The most names that are told where none fits, and how much of what was typed is repeated.
const MOST_NAMES: usize = 10;
const SHOWN: usize = 80;

/// What `node.list` answers.
pub(super) struct Known {
    /// The answer as it is.
    pub(super) raw: Json,
    /// The nodes, those that are connected first.
    pub(super) nodes: Vec<Node>,
}

/// A node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    /// It as it is.
    #[serde(skip)]
    pub(super) raw: Option<Json>,
    /// Its id.
    pub(super) node_id: String,
    display_name: Option<String>,
    pub(super) platform: Option<String>,
    pub(super) version: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_mode: Option<String>,
    pub(super) device_family: Option<String>,
    pub(super) remote_ip: Option<String>,
    pub(super) caps: Vec<String>,
    pub(super) commands: Vec<String>,
    approval_state: Option<String>,
    pub(super) pending_request_id: Option<String>,
    pub(super) pending_declared_commands: Vec<String>,
    pub(super) connected_at_ms: Option<u64>,
    pub(super) last_connected_at_ms: Option<u64>,
    pub(super) last_seen_at_ms: Option<u64>,
    pub(super) paired: bool,
    pub(super) connected: bool,
}

impl Known {
    /// Asks a gateway.
    pub(super) async fn ask(session: &Session<'_>) -> Result<Self, Failure> {
        let raw = ask(session, "node.list", Object::new()).await?;
        Self::read(raw)
            .ok_or_else(|| Failure::other("The gateway's answer to node.list cannot be read."))
    }

    fn read(raw: Json) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire {
            nodes: Vec<Box<RawValue>>,
        }
        let wire: Wire = raw.read().ok()?;
        let nodes = wire.nodes.into_iter().map(|item| Node::read(item.get()));
        Some(Self {
            nodes: nodes.collect::<Option<_>>()?,
            raw,
        })
    }

    /// Finds a node by its id, its address, its name or the start of its id; of several the only one that is connected.
    pub(super) fn find(&self, typed: &str) -> Result<&Node, Failure> {
        let typed = typed.trim();
        if let Some(node) = self.nodes.iter().find(|node| node.node_id == typed) {
            return Ok(node);
        }
        let mut found: Vec<&Node> = self.nodes.iter().filter(|node| node.is(typed)).collect();
        if found.len() > 1 && found.iter().any(|node| node.connected) {
            found.retain(|node| node.connected);
        }
        let names = |nodes: &mut dyn Iterator<Item = &Node>| {
            let names: Vec<String> = nodes.take(MOST_NAMES).map(Node::name_and_id).collect();
            names.join(", ")
        };
        let shown = output::short(typed, SHOWN);
        match found.as_slice() {
            [node] => Ok(node),
            [] if self.nodes.is_empty() => Err(Failure::other(format!(
                "unknown node: {shown} (no node is known; start one with openclaw node run)"
            ))),
            [] => {
                let known = names(&mut self.nodes.iter());
                Err(Failure::other(format!(
                    "unknown node: {shown} (known: {known})"
                )))
            }
            several => {
                let matches = names(&mut several.iter().copied());
                Err(
                    Failure::other(format!("ambiguous node: {shown} (matches: {matches})"))
                        .hint("Pass more of its id."),
                )
            }
        }
    }
}

impl Node {
    /// Reads one.
    pub(super) fn read(text: &str) -> Option<Self> {
        let raw = Json::parse(text.to_owned()).ok()?;
        let node: Self = raw.read().ok()?;
        (!node.node_id.is_empty()).then_some(Self {
            raw: Some(raw),
            ..node
        })
    }

    fn is(&self, typed: &str) -> bool {
        let name = self.display_name.as_deref().map(plain);
        self.remote_ip.as_deref() == Some(typed)
            || name.is_some_and(|name| !name.is_empty() && name == plain(typed))
            || (typed.len() >= PREFIX && self.node_id.starts_with(typed))
    }

    /// Names it.
    pub(super) fn name(&self) -> String {
        match self.display_name.as_deref().map(str::trim) {
            Some(name) if !name.is_empty() => output::short(name, NAME),
            _ => self.short_id(),
        }
    }

    /// Returns enough of its id to know it by.
    pub(super) fn short_id(&self) -> String {
        let id = self.node_id.chars().take(SHORT_ID).collect::<String>();
        output::line(&id)
    }

    fn name_and_id(&self) -> String {
        format!("{} {}", self.name(), self.short_id())
    }

    /// Returns the state of its approval, as the gateway says it.
    pub(super) fn approval(&self) -> &str {
        self.approval_state.as_deref().unwrap_or("")
    }

    /// Says how it is.
    pub(super) fn status(&self) -> String {
        let mut parts = vec![if self.paired { "paired" } else { "unpaired" }];
        parts.push(if self.connected {
            "connected"
        } else {
            "disconnected"
        });
        match self.approval() {
            "pending-approval" => parts.push("approval pending"),
            "pending-reapproval" => parts.push("approval of more pending"),
            "unapproved" => parts.push("unapproved"),
            _ => {}
        }
        parts.join(" · ")
    }

    /// Says what it is.
    pub(super) fn detail(&self) -> String {
        let parts = [
            self.client_id.as_deref(),
            self.platform.as_deref(),
            self.device_family.as_deref(),
            self.version.as_deref(),
        ];
        let parts: Vec<&str> = parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        parts.join(" · ")
    }

    /// Returns when it was there last, in milliseconds since 1970.
    pub(super) fn last_ms(&self) -> Option<u64> {
        let times = [
            self.connected_at_ms.filter(|_| self.connected),
            self.last_connected_at_ms,
            self.last_seen_at_ms,
        ];
        times.into_iter().flatten().next()
    }
}

/// A name as it is compared: letters and digits, the rest as one dash.
fn plain(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric());
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(nodes: &[&str]) -> Known {
        let text = format!(r#"{{"ts":1,"nodes":[{}]}}"#, nodes.join(","));
        Known::read(Json::parse(text).unwrap()).unwrap()
    }

    fn found(known: &Known, typed: &str) -> Result<String, String> {
        match known.find(typed) {
            Ok(node) => Ok(node.node_id.clone()),
            Err(failure) => Err(failure.report()),
        }
    }

    #[test]
    fn a_node_is_found_by_whatever_names_it() {
        let known = known(&[
            r#"{"nodeId":"abcdef0123","displayName":"Bob's Desk","remoteIp":"10.0.0.7","connected":true}"#,
            r#"{"nodeId":"abcdef9999","displayName":"attic"}"#,
        ]);
        for typed in [
            "abcdef0123",
            "10.0.0.7",
            "bob s desk",
            "BOB'S-DESK",
            "abcdef01",
            " abcdef0123 ",
        ] {
            assert_eq!(found(&known, typed).as_deref(), Ok("abcdef0123"), "{typed}");
        }
        let unknown = found(&known, "abcde").unwrap_err();
        assert_eq!(
            unknown,
            "unknown node: abcde (known: Bob's Desk abcdef0123, attic abcdef9999)"
        );
        assert!(found(&known, "").is_err());
        assert!(found(&known, "desk").is_err());
    }

    #[test]
    fn of_several_the_one_that_is_there_is_meant() {
        let node = |id: &str, connected: bool| {
            format!(r#"{{"nodeId":"{id}","displayName":"desk","connected":{connected}}}"#)
        };
        let (old, new, other) = (
            node("aaaaaaa1", false),
            node("aaaaaaa2", true),
            node("b", true),
        );
        assert_eq!(
            found(&known(&[&old, &new]), "desk").as_deref(),
            Ok("aaaaaaa2")
        );
        let ambiguous = found(&known(&[&old, &new, &other]), "desk").unwrap_err();
        assert!(
            ambiguous.starts_with("ambiguous node: desk (matches: desk aaaaaaa2, desk b)"),
            "{ambiguous}"
        );
        let ambiguous = found(&known(&[&old, &node("aaaaaaa3", false)]), "aaaaaaa").unwrap_err();
        assert!(ambiguous.starts_with("ambiguous"), "{ambiguous}");
    }

    #[test]
    fn an_answer_of_another_shape_is_not_guessed_at() {
        for text in [
            "null",
            "{}",
            r#"{"nodes":[{}]}"#,
            r#"{"nodes":[{"nodeId":7}]}"#,
        ] {
            assert!(
                Known::read(Json::parse(text.to_owned()).unwrap()).is_none(),
                "{text}"
            );
        }
    }
}
