//! The devices of a gateway, and who waits.

use std::time::Duration;

use openclaw_gateway_service::pairing::scopes;
use openclaw_protocol_core::json::{Json, Object};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::access::{Access, Kind};
use crate::failure::Failure;
use crate::output;
use crate::target::Target;

/// How much of a name is shown, in characters.
const NAME: usize = 32;
/// How much of a device's id is enough to know it by.
const SHORT_ID: usize = 12;

/// What `device.pair.list` answers.
pub(super) struct Listing {
    /// The answer as it is.
    pub(super) raw: Json,
    /// The requests that wait, the newest first.
    pub(super) pending: Vec<Request>,
    /// The devices that are paired, the newest first.
    pub(super) paired: Vec<Device>,
}

/// A request that waits.
pub(super) struct Request {
    /// It as it is.
    pub(super) raw: Json,
    said: Asked,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    request_id: String,
    device_id: String,
    display_name: Option<String>,
    role: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    remote_ip: Option<String>,
    #[serde(default)]
    is_repair: bool,
    #[serde(default)]
    ts: u64,
}

/// A device that is paired.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device {
    /// Its id.
    pub(super) device_id: String,
    display_name: Option<String>,
    operator_label: Option<String>,
    client_id: Option<String>,
    role: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    /// From where it connected, where that is not this host.
    pub(super) remote_ip: Option<String>,
    /// Its tokens.
    #[serde(default)]
    pub(super) tokens: Vec<Token>,
}

/// What is told of a token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token {
    /// Its role.
    pub(super) role: String,
    /// What it opens.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    revoked_at_ms: Option<u64>,
}

impl Listing {
    /// Asks a gateway.
    pub(super) async fn ask(target: &Target, within: Duration) -> Result<Self, Failure> {
        let scopes = target.scopes_over_devices();
        let raw = super::call(target, &scopes, within, "device.pair.list", Object::new()).await?;
        Self::read(raw).ok_or_else(|| {
            Failure::other("The gateway's answer to device.pair.list cannot be read.")
        })
    }

    fn read(raw: Json) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire {
            pending: Vec<Box<RawValue>>,
            paired: Vec<Device>,
        }
        let wire: Wire = raw.read().ok()?;
        let request = |item: Box<RawValue>| {
            let raw = Json::parse(item.get().to_owned()).ok()?;
            let said = raw.read().ok()?;
            Some(Request { raw, said })
        };
        let pending = wire.pending.into_iter().map(request);
        Some(Self {
            pending: pending.collect::<Option<_>>()?,
            paired: wire.paired,
            raw,
        })
    }

    /// Finds a request.
    pub(super) fn request(&self, id: &str) -> Option<&Request> {
        self.pending
            .iter()
            .find(|request| request.id() == id.trim())
    }

    /// Finds a device.
    pub(super) fn device(&self, id: &str) -> Option<&Device> {
        self.paired
            .iter()
            .find(|device| device.device_id == id.trim())
    }

    /// Returns the newest request.
    pub(super) fn newest(&self) -> Option<&Request> {
        self.pending.iter().max_by_key(|request| request.said.ts)
    }

    /// Tells what a request is.
    pub(super) fn kind(&self, request: &Request) -> Kind {
        let Some(device) = self.device(request.device_id()) else {
            return Kind::New;
        };
        let (asked, approved) = (request.access(), device.access());
        if asked
            .roles
            .iter()
            .any(|role| !approved.roles.contains(role))
        {
            Kind::Role
        } else if scopes::missing(approved.scopes, asked.scopes).is_some() {
            Kind::Scope
        } else {
            Kind::Again
        }
    }
}

impl Request {
    /// Returns its id.
    pub(super) fn id(&self) -> &str {
        &self.said.request_id
    }

    /// Returns the device that it is of.
    pub(super) fn device_id(&self) -> &str {
        &self.said.device_id
    }

    /// Returns from where it came, where that is not the gateway's host.
    pub(super) fn remote_ip(&self) -> Option<&str> {
        self.said.remote_ip.as_deref()
    }

    /// Tells whether the device was paired before.
    pub(super) fn is_repair(&self) -> bool {
        self.said.is_repair
    }

    /// Returns when it was made, in milliseconds since 1970.
    pub(super) fn ts(&self) -> u64 {
        self.said.ts
    }

    /// Names the device, and tells from where it is.
    pub(super) fn name(&self) -> String {
        let name = match self.said.display_name.as_deref() {
            Some(name) => output::short(name, NAME),
            None => short_id(self.device_id()),
        };
        match self.remote_ip() {
            Some(ip) => format!("{name} · {}", output::short(ip, NAME)),
            None => name,
        }
    }

    /// Returns what it asks for.
    pub(super) fn access(&self) -> Access<'_> {
        Access {
            roles: roles(&self.said.roles, self.said.role.as_deref()),
            scopes: &self.said.scopes,
        }
    }
}

impl Device {
    /// Names it as well as it is known.
    pub(super) fn name(&self) -> String {
        let names = [&self.operator_label, &self.display_name, &self.client_id];
        let name = names.into_iter().find_map(|name| name.as_deref());
        name.map_or_else(
            || short_id(&self.device_id),
            |name| output::short(name, NAME),
        )
    }

    /// Returns what it was approved for; a role whose token was taken back is none.
    pub(super) fn access(&self) -> Access<'_> {
        let revoked = |role: &str| {
            self.tokens
                .iter()
                .any(|token| token.role == role && token.is_revoked())
        };
        let mut roles = roles(&self.roles, self.role.as_deref());
        roles.retain(|role| !revoked(role));
        Access {
            roles,
            scopes: &self.scopes,
        }
    }
}

impl Token {
    /// Tells whether it was taken back.
    pub(super) fn is_revoked(&self) -> bool {
        self.revoked_at_ms.is_some()
    }
}

/// Returns what a device is known by.
pub(super) fn short_id(device_id: &str) -> String {
    output::short(device_id, SHORT_ID)
}

fn roles<'a>(roles: &'a [String], role: Option<&'a str>) -> Vec<&'a str> {
    if roles.is_empty() {
        role.into_iter().collect()
    } else {
        roles.iter().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(paired: &str) -> Listing {
        let text = format!(
            r#"{{"pending":[
                {{"requestId":"r2","deviceId":"d","roles":["operator"],"scopes":["operator.read"],"ts":2,"x":1.50}},
                {{"requestId":"r3","deviceId":"e","role":"node","displayName":"a\u202eb","ts":3}}
            ],"paired":[{paired}]}}"#
        );
        Listing::read(Json::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn a_request_is_judged_by_what_its_device_was_approved_for() {
        for (paired, kind) in [
            ("", Kind::New),
            (r#"{"deviceId":"d","roles":["node"]}"#, Kind::Role),
            (
                r#"{"deviceId":"d","roles":["operator"],"tokens":[{"role":"operator","revokedAtMs":1}]}"#,
                Kind::Role,
            ),
            (r#"{"deviceId":"d","role":"operator"}"#, Kind::Scope),
            (
                r#"{"deviceId":"d","role":"operator","scopes":["operator.write"]}"#,
                Kind::Again,
            ),
        ] {
            let listing = listing(paired);
            let request = listing.request(" r2 ").unwrap();
            assert_eq!(listing.kind(request), kind, "{paired}");
        }
    }

    #[test]
    fn what_is_told_of_a_request_stays_as_it_is() {
        let listing = listing("");
        let newest = listing.newest().unwrap();
        assert_eq!((newest.id(), &*newest.name()), ("r3", "a\u{fffd}b"));
        assert!(newest.access().is_for_admins());
        let older = listing.request("r2").unwrap();
        assert!(older.raw.as_str().contains(r#""x":1.50"#));
        assert_eq!(
            older.access().words(),
            "roles: operator; scopes: operator.read"
        );
    }

    #[test]
    fn an_answer_of_another_shape_is_not_guessed_at() {
        for text in ["null", "{}", r#"{"pending":[{}],"paired":[]}"#] {
            assert!(Listing::read(Json::parse(text.to_owned()).unwrap()).is_none());
        }
    }
}
