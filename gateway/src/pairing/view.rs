//! Devices and requests as operators are shown them.

use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::Role;

use super::Notice;
use super::record::{Device, Face, Request};

impl Device {
    /// Writes the device; `connected` tells whether it is there now, where that is known.
    #[must_use]
    pub fn view(&self, connected: Option<bool>) -> Object {
        let mut object = Object::new()
            .text("deviceId", &self.id)
            .text("publicKey", &self.public_key);
        object = write_face(object, &self.face).maybe_text("operatorLabel", self.label.as_deref());
        let role = self.granted.last().map_or(Role::Operator, |last| last.role);
        object = object
            .text("role", role.as_str())
            .texts(
                "roles",
                self.granted.iter().map(|granted| granted.role.as_str()),
            )
            .texts("scopes", self.scopes())
            .maybe_text("remoteIp", self.remote_ip.as_deref())
            .text("approvedVia", self.approved_via.word())
            .number("createdAtMs", self.created_ms)
            .number("approvedAtMs", self.approved_ms);
        if let Some(seen) = self.seen_ms {
            object = object
                .number("lastSeenAtMs", seen)
                .text("lastSeenReason", "connect");
        }
        if let Some(connected) = connected {
            object = object.boolean("connected", connected);
        }
        let tokens = self.tokens();
        if tokens.is_empty() {
            object
        } else {
            object.array("tokens", &tokens)
        }
    }

    fn tokens(&self) -> Vec<Json> {
        let mut sorted: Vec<_> = self.granted.iter().collect();
        sorted.sort_by_key(|granted| granted.role.as_str());
        let tokens = sorted.into_iter().filter_map(|granted| {
            let token = granted.token.as_ref()?;
            let mut object = Object::new()
                .text("role", granted.role.as_str())
                .texts("scopes", &token.scopes)
                .number("createdAtMs", token.created_ms);
            if let Some(rotated) = token.rotated_ms {
                object = object.number("rotatedAtMs", rotated);
            }
            if let Some(revoked) = token.revoked_ms {
                object = object.number("revokedAtMs", revoked);
            }
            Some(object.finish())
        });
        tokens.collect()
    }
}

impl Request {
    /// Writes the request.
    #[must_use]
    pub fn view(&self) -> Object {
        let object = Object::new()
            .text("requestId", &self.id)
            .text("deviceId", &self.device_id)
            .text("publicKey", &self.public_key);
        write_face(object, &self.face)
            .text("role", self.role.as_str())
            .texts("roles", self.roles.iter().map(|role| role.as_str()))
            .texts("scopes", &self.scopes)
            .maybe_text("remoteIp", self.remote_ip.as_deref())
            .boolean("silent", false)
            .boolean("isRepair", self.is_repair)
            .number("ts", self.created_ms)
    }
}

impl Notice {
    /// The event that tells operators of it, if any does.
    #[must_use]
    pub fn event(&self, now_ms: u64) -> Option<(&'static str, Object)> {
        match self {
            Self::Requested(request) => Some(("device.pair.requested", request.view())),
            Self::Resolved {
                request_id,
                device_id,
                decision,
            } => Some((
                "device.pair.resolved",
                Object::new()
                    .text("requestId", request_id)
                    .text("deviceId", device_id)
                    .text("decision", decision)
                    .number("ts", now_ms),
            )),
            Self::Renamed => Some(("device.pair.changed", Object::new())),
            Self::Node(notice) => Some(notice.event(now_ms)),
            Self::Ended { .. } => None,
        }
    }
}

fn write_face(object: Object, face: &Face) -> Object {
    object
        .maybe_text("displayName", face.display_name.as_deref())
        .text("platform", &face.platform)
        .maybe_text("deviceFamily", face.device_family.as_deref())
        .text("clientId", &face.client_id)
        .text("clientMode", &face.client_mode)
}
