//! What nodes ask to be approved for.

use std::collections::BTreeMap;

use openclaw_protocol_core::json::{Json, Object};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ask;
use crate::failure::Failure;
use crate::output;
use crate::target::{PAIRING, Session};

/// How much of a name is shown, in characters.
const NAME: usize = 32;

/// A request that waits.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    /// It as it is.
    #[serde(skip)]
    pub(super) raw: Option<Json>,
    /// Its id.
    pub(super) request_id: String,
    /// The node that it is of.
    pub(super) node_id: String,
    display_name: Option<String>,
    /// From where it came, where that is not the gateway's host.
    pub(super) remote_ip: Option<String>,
    /// What the node offers.
    #[serde(default)]
    pub(super) commands: Vec<String>,
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    permissions: BTreeMap<String, bool>,
    #[serde(default)]
    required_approve_scopes: Vec<String>,
    /// When it was made, in milliseconds since 1970.
    #[serde(default)]
    pub(super) ts: u64,
}

impl Request {
    /// Asks a gateway for those that wait, the newest first.
    pub(super) async fn all(session: &Session<'_>) -> Result<Vec<Self>, Failure> {
        let answer = ask(session, "node.pair.list", Object::new()).await?;
        Self::read(&answer)
            .ok_or_else(|| Failure::other("The gateway's answer to node.pair.list cannot be read."))
    }

    fn read(answer: &Json) -> Option<Vec<Self>> {
        #[derive(Deserialize)]
        struct Wire {
            pending: Vec<Box<RawValue>>,
        }
        let wire: Wire = answer.read().ok()?;
        let request = |item: Box<RawValue>| {
            let raw = Json::parse(item.get().to_owned()).ok()?;
            let request: Self = raw.read().ok()?;
            Some(Self {
                raw: Some(raw),
                ..request
            })
        };
        wire.pending.into_iter().map(request).collect()
    }

    /// Names the node.
    pub(super) fn name(&self) -> String {
        let name = self.display_name.as_deref().unwrap_or(&self.node_id);
        output::short(name, NAME)
    }

    /// Says what the node offers.
    pub(super) fn offer(&self) -> String {
        let mut offer = if self.commands.is_empty() {
            "no commands".to_owned()
        } else {
            self.commands.join(", ")
        };
        if !self.caps.is_empty() {
            offer += &format!("; caps: {}", self.caps.join(", "));
        }
        let granted = self.permissions.iter().filter(|(_, granted)| **granted);
        let granted: Vec<&str> = granted.map(|(name, _)| name.as_str()).collect();
        if !granted.is_empty() {
            offer += &format!("; permissions: {}", granted.join(", "));
        }
        output::line(&offer)
    }

    /// Returns what it takes to approve it; only names of scopes are taken from the gateway.
    pub(super) fn scopes(&self) -> Vec<&str> {
        let mut scopes = vec![PAIRING];
        let needed = self.required_approve_scopes.iter().map(String::as_str);
        let fits = |byte: u8| byte.is_ascii_lowercase() || b"._".contains(&byte);
        for scope in
            needed.filter(|scope| scope.starts_with("operator.") && scope.bytes().all(fits))
        {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_takes_to_approve_comes_with_the_request() {
        let text = r#"{"pending":[
            {"requestId":"r","nodeId":"n","displayName":"desk","commands":["system.run"],
             "requiredApproveScopes":["operator.pairing","operator.admin","x y"],"ts":5},
            {"requestId":"q","nodeId":"m"}],"paired":[]}"#;
        let requests = Request::read(&Json::parse(text.to_owned()).unwrap()).unwrap();
        assert_eq!(requests[0].scopes(), ["operator.pairing", "operator.admin"]);
        assert_eq!(requests[0].offer(), "system.run");
        assert_eq!(requests[1].scopes(), ["operator.pairing"]);
        assert_eq!(
            (requests[1].name(), requests[1].offer()),
            ("m".to_owned(), "no commands".to_owned())
        );
        assert!(Request::read(&Json::null()).is_none());
    }
}
