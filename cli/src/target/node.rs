//! A connection as a node.

use openclaw_protocol_core::json::Json;
use openclaw_runtime_smol::client::{Builder, ConnectError, RequestError};
use serde_json::Value;

use super::device::given;
use super::refusal::{details, request_id};
use super::{REQUEST, Role, Target};
use crate::failure::Failure;

/// What a node connects with.
pub(crate) struct Node {
    /// It, ready but for what it offers.
    pub(crate) builder: Builder,
    /// The device.
    pub(crate) device_id: String,
    /// The token that the device presents, where there is no secret.
    pub(crate) token: Option<String>,
}

impl Target {
    /// Prepares a connection as a node. It blocks.
    pub(crate) fn node(&self) -> Result<Node, Failure> {
        let (builder, device_id) = self.introduction(REQUEST)?;
        let builder = builder.client("node-host", "node").role(Role::Node.word());
        let token = self.stored().map(|(_, stored)| stored.token.clone());
        Ok(Node {
            builder,
            device_id,
            token,
        })
    }

    /// Keeps the token that came with hello, and returns it where the device presents no secret. It blocks.
    pub(crate) fn welcomed(&self, device_id: &str, hello: &Json) -> Option<String> {
        self.own.as_ref()?.keep(device_id, hello);
        given(hello, Role::Node).filter(|_| self.secret.is_none())
    }

    /// Returns the command that approves the device, where that is what a refusal asks for.
    pub(crate) fn approves_device(&self, error: &ConnectError) -> Option<String> {
        let ConnectError::Refused(shape) = error else {
            return None;
        };
        if shape.detail_code().as_deref() != Some("PAIRING_REQUIRED") {
            return None;
        }
        let command = match request_id(&details(shape)) {
            Some(id) => format!("{} devices approve {id}", self.there()),
            None => format!("{} devices list", self.there()),
        };
        Some(command)
    }

    /// Returns the command that approves what the node offers, where a refusal says that this is missing.
    pub(crate) fn approves_node(&self, error: &RequestError) -> Option<String> {
        let RequestError::Answered { error, .. } = error else {
            return None;
        };
        if error.detail_code().as_deref() != Some("PAIRING_CHANGED") {
            return None;
        }
        let details: Value = details(error);
        let command = match request_id(&details) {
            Some(id) => format!("{} nodes approve {id}", self.there()),
            None => format!("{} nodes pending", self.there()),
        };
        Some(command)
    }

    /// Says why there is no connection, and drops a token that opens nothing any more. It blocks.
    pub(crate) fn turned_away(&self, error: &ConnectError) -> Failure {
        self.connect_failure(error)
    }
}
