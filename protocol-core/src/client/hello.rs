//! What a gateway says in `hello-ok`.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::Deserialize;

use crate::json::Json;
use crate::limits::MAX_PAYLOAD;

/// What the gateway said in `hello-ok`; members that are not known stay in `raw`.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The protocol version that was chosen.
    pub protocol: u32,
    /// The gateway's version.
    pub server_version: String,
    /// The gateway's name for this connection.
    pub conn_id: String,
    /// The gateway's name for its present life, which ends when it restarts; `None` from gateways
    /// that do not say.
    pub boot_id: Option<String>,
    /// The scopes that were granted; `None` from gateways that do not say.
    pub scopes: Option<Vec<String>>,
    /// How often the gateway ticks.
    pub tick_interval: Duration,
    /// The largest frame that the gateway accepts, in bytes.
    pub max_payload: u64,
    /// The whole payload.
    pub raw: Json,
}

impl Hello {
    pub(super) fn read(raw: Json) -> Result<Self, crate::json::NotJson> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            protocol: u32,
            #[serde(default)]
            server: Option<Server>,
            #[serde(default)]
            auth: Option<Auth>,
            #[serde(default)]
            policy: Option<Policy>,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Server {
            #[serde(default)]
            version: String,
            #[serde(default)]
            conn_id: String,
            boot_id: Option<String>,
        }
        #[derive(Default, Deserialize)]
        struct Auth {
            scopes: Option<Vec<String>>,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Policy {
            tick_interval_ms: Option<u64>,
            max_payload: Option<u64>,
        }
        let wire: Wire = raw.read()?;
        let (server, auth) = (
            wire.server.unwrap_or_default(),
            wire.auth.unwrap_or_default(),
        );
        let policy = wire.policy.unwrap_or_default();
        let tick = policy.tick_interval_ms.filter(|ms| *ms > 0);
        Ok(Self {
            protocol: wire.protocol,
            server_version: server.version,
            conn_id: server.conn_id,
            boot_id: server.boot_id,
            scopes: auth.scopes,
            tick_interval: Duration::from_millis(tick.unwrap_or(30_000)),
            max_payload: policy.max_payload.unwrap_or(MAX_PAYLOAD as u64),
            raw,
        })
    }
}
