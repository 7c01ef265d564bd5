//! A connection of a command.

use std::time::Duration;

use openclaw_protocol_core::json::Json;
use openclaw_runtime_smol::client::{Gateway, Params};

use super::Target;
use crate::failure::Failure;

/// A connection to a target.
pub(crate) struct Session<'a> {
    /// The target.
    pub(crate) target: &'a Target,
    /// The connection.
    pub(crate) gateway: Gateway,
    /// How long connecting took.
    pub(crate) took: Duration,
}

impl Session<'_> {
    /// Sends a request without parameters, and waits for its answer.
    pub(crate) async fn ask(&self, method: &str) -> Result<Json, Failure> {
        self.ask_with(method, ()).await
    }

    /// Sends a request, and waits for its answer.
    pub(crate) async fn ask_with(
        &self,
        method: &str,
        params: impl Into<Params>,
    ) -> Result<Json, Failure> {
        let answer = self.gateway.request(method, params).await;
        answer.map_err(|error| {
            self.target
                .request_failure(error)
                .context("Gateway call failed")
        })
    }

    /// Says goodbye.
    pub(crate) async fn close(self) {
        self.gateway.close().await;
    }
}
