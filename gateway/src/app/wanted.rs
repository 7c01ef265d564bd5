//! What somebody asks for who asks for an agent turn.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::MAX_IDENTIFIER;
use openclaw_protocol_core::idempotency::{self, Key};
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::shape::{self, COUNT, Finding, Kind, NAME, TEXT, optional, required};
use serde::Deserialize;
use serde_json::Value;

use crate::agents::Turn;
use crate::digest;
use crate::params;

/// How long a run may take that names no limit of its own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(48 * 3600);

const AGENT: shape::Object = shape::Object {
    members: &[
        required("message", NAME),
        required("idempotencyKey", NAME),
        optional("agentId", NAME),
        optional("sessionKey", TEXT),
        optional("timeout", COUNT),
        optional("thinking", TEXT),
        optional("lane", TEXT),
        optional("label", Kind::Text { min: 1, max: 512 }),
        optional("deliver", Kind::Boolean),
        optional("bestEffortDeliver", Kind::Boolean),
    ],
};

/// Members of the published parameters that ask for what this gateway cannot do yet.
const NOT_YET: [&str; 38] = [
    "provider",
    "model",
    "to",
    "replyTo",
    "sessionId",
    "expectedExistingSessionId",
    "attachments",
    "channel",
    "replyChannel",
    "accountId",
    "replyAccountId",
    "threadId",
    "groupId",
    "groupChannel",
    "groupSpace",
    "cwd",
    "cleanupBundleMcpOnRunEnd",
    "modelRun",
    "promptMode",
    "extraSystemPrompt",
    "bootstrapContextMode",
    "bootstrapContextRunKind",
    "acpTurnSource",
    "internalRuntimeHandoffId",
    "internalExecutionIdentityRetry",
    "internalExecutionIdentityRecoveryAttempt",
    "execApprovalFollowupExpectedSessionId",
    "internalEvents",
    "inputProvenance",
    "suppressPromptPersistence",
    "sessionEffects",
    "sourceReplyDeliveryMode",
    "disableMessageTool",
    "swarmCollector",
    "swarmOutputSchema",
    "forceRestartSafeTools",
    "forceCodeModeTools",
    "voiceWakeTrigger",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentParams {
    message: String,
    idempotency_key: String,
    agent_id: Option<String>,
    session_key: Option<String>,
    timeout: Option<params::Whole>,
    #[serde(default)]
    deliver: bool,
}

/// A turn that somebody asks for, checked.
pub(super) struct Wanted {
    pub(super) key: Key,
    pub(super) digest: idempotency::Digest,
    pub(super) turn: Turn,
    pub(super) timeout: Duration,
}

impl Wanted {
    pub(super) fn read(principal: &Arc<str>, params: Option<&Json>) -> Result<Self, ErrorShape> {
        let value = params::value("agent", params)?;
        if let Some(name) = asks_for_what_is_not_there(&value) {
            return Err(ErrorShape::unavailable(format!(
                "agent parameter {name} is not supported by this gateway yet; leave it out"
            )));
        }
        let digest = digest::of_params(&value, "idempotencyKey");
        let wanted: AgentParams = params::read_value("agent", &AGENT, value)?;
        if wanted.idempotency_key.len() > MAX_IDENTIFIER {
            let finding = Finding::too_large("idempotencyKey", MAX_IDENTIFIER);
            return Err(params::invalid("agent", &finding));
        }
        if wanted.deliver {
            return Err(ErrorShape::unavailable(
                "agent parameter deliver is not supported by this gateway yet: it has no channels",
            ));
        }
        let session_key = params::session_key(
            "agent",
            wanted.session_key.as_deref(),
            wanted.agent_id.as_deref(),
        )?;
        let timeout = wanted
            .timeout
            .map(params::Whole::get)
            .filter(|seconds| *seconds > 0)
            .map_or(DEFAULT_TIMEOUT, Duration::from_secs)
            .min(DEFAULT_TIMEOUT);
        Ok(Self {
            digest,
            key: Key {
                principal: Arc::clone(principal),
                method: "agent",
                key: wanted.idempotency_key.into(),
            },
            turn: Turn {
                message: wanted.message,
                session_key,
                agent_id: params::DEFAULT_AGENT.to_owned(),
            },
            timeout,
        })
    }
}

fn asks_for_what_is_not_there(params: &Value) -> Option<&'static str> {
    let members = params.as_object()?;
    NOT_YET.into_iter().find(|name| members.contains_key(*name))
}
