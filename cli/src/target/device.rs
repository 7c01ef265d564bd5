//! This host's own device, for gateways on other hosts.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use openclaw_gateway_service::identity::{IDENTITY_FILE, Identity, exposure};
use openclaw_protocol_core::json::Json;
use openclaw_runtime_smol::client::Device;
use serde::Deserialize;

use super::address;
use super::tokens::{Stored, Tokens, TokensFault};
use crate::failure::Failure;
use crate::output;

/// As what somebody connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A command.
    Operator,
    /// A node, which is always a device.
    Node,
}

impl Role {
    /// Returns the word on the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Node => "node",
        }
    }
}

/// What the state directory has for one gateway on another host.
pub(super) struct Own {
    state_dir: PathBuf,
    gateway: String,
    role: Role,
    tokens: Tokens,
    /// The token that the gateway gave, where no secret was named for it.
    pub(super) stored: Option<Stored>,
}

impl Own {
    /// Prepares for a gateway; a token is looked for where there is no secret. It blocks.
    pub(super) fn of(
        state_dir: &Path,
        url: &str,
        has_secret: bool,
        role: Role,
    ) -> Result<Self, Failure> {
        let tokens = Tokens::of(state_dir);
        let exposed = [
            exposure("the identity file", &state_dir.join(IDENTITY_FILE)),
            exposure("the file of device tokens", tokens.path()),
        ];
        for warning in exposed.into_iter().flatten() {
            output::complain(&format!("Warning: {warning}"));
        }
        let gateway = address::name(url);
        let stored = if has_secret {
            None
        } else {
            tokens
                .find(&gateway, role.word())
                .map_err(|fault| Failure::configuration(fault.to_string()))?
        };
        Ok(Self {
            state_dir: state_dir.to_owned(),
            gateway,
            role,
            tokens,
            stored,
        })
    }

    /// Reads the key, or makes it. It blocks.
    pub(super) fn identity(&self) -> Result<Identity, Failure> {
        Identity::of(&self.state_dir, now_ms())
            .map_err(|error| Failure::configuration(error.to_string()))
    }

    /// Returns where the tokens lie.
    pub(super) fn tokens_path(&self) -> &Path {
        self.tokens.path()
    }

    /// Keeps the token that came with hello. It blocks.
    pub(super) fn keep(&self, device_id: &str, hello: &Json) {
        if let Ok(Hello { auth }) = hello.read() {
            self.store(device_id, auth);
        }
    }

    /// Keeps the token that this device was given in place of its own, if it was. It blocks.
    pub(super) fn keep_rotated(&self, answer: &Json) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Rotated {
            device_id: String,
            #[serde(flatten)]
            given: Given,
        }
        let Ok(rotated) = answer.read::<Rotated>() else {
            return;
        };
        let own = self.identity();
        if own.is_ok_and(|identity| identity.device_id() == rotated.device_id) {
            self.store(&rotated.device_id, rotated.given);
        }
    }

    /// Forgets a token that opens nothing any more. It blocks.
    pub(super) fn forget(&self, token: &str) {
        tell(self.tokens.drop(&self.gateway, self.role.word(), token));
    }

    fn store(&self, device_id: &str, given: Given) {
        let Some(token) = given.token.filter(|_| given.role == self.role.word()) else {
            return;
        };
        let new = Stored {
            device_id: device_id.to_owned(),
            token,
            scopes: given.scopes,
            stored_at_ms: now_ms(),
        };
        tell(self.tokens.put(&self.gateway, self.role.word(), new));
    }
}

#[derive(Deserialize)]
struct Hello {
    auth: Given,
}

/// What a gateway gives to a device.
#[derive(Deserialize)]
struct Given {
    role: String,
    #[serde(alias = "deviceToken")]
    token: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
}

/// Returns the token for a role that came with hello.
pub(super) fn given(hello: &Json, role: Role) -> Option<String> {
    let Hello { auth } = hello.read().ok()?;
    auth.token.filter(|_| auth.role == role.word())
}

/// Returns what operators may know this host by.
pub(crate) fn host_name() -> Option<String> {
    #[cfg(unix)]
    {
        let system = rustix::system::uname();
        let name = system.nodename().to_str().ok()?;
        Some(name.to_owned()).filter(|name| !name.is_empty())
    }
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").ok()
}

/// Lets a key sign for a connection.
pub(super) fn signer(identity: Identity) -> Device {
    let (id, key) = (
        identity.device_id().to_owned(),
        identity.public_key().to_owned(),
    );
    Device::new(id, key, move |text| identity.sign(text))
}

/// The command did what it should all the same.
fn tell(kept: Result<(), TokensFault>) {
    if let Err(fault) = kept {
        output::complain(&format!("Warning: {fault}"));
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
