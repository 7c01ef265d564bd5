//! The methods over devices.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::{Role, Scopes};
use openclaw_protocol_core::server::Call;
use openclaw_protocol_core::shape::{self, Kind, NAME, optional, required};
use openclaw_protocol_core::time::Now;
use serde::Deserialize;

use super::App;
use super::desk::{Decided, Errand, Spoken, too_much};
use crate::methods::{DeviceMethod, Method};
use crate::pairing::{Decision, Device, MAX_LABEL, Manager, Pairings};
use crate::params;

const NOTHING: shape::Object = shape::Object { members: &[] };
const REQUEST: shape::Object = shape::Object {
    members: &[required("requestId", NAME)],
};
const DEVICE: shape::Object = shape::Object {
    members: &[required("deviceId", NAME)],
};
const LABEL: Kind = Kind::Text {
    min: 1,
    max: MAX_LABEL,
};
const RENAME: shape::Object = shape::Object {
    members: &[required("deviceId", NAME), required("label", LABEL)],
};
const TOKEN: shape::Object = shape::Object {
    members: &[required("deviceId", NAME), required("role", NAME)],
};
const ROTATE: shape::Object = shape::Object {
    members: &[
        required("deviceId", NAME),
        required("role", NAME),
        optional("scopes", Kind::List(&NAME)),
    ],
};

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfRequest {
    request_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfDevice {
    device_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rename {
    device_id: String,
    label: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfToken {
    device_id: String,
    role: String,
    scopes: Option<Vec<String>>,
}

impl App {
    /// Answers a request that reads of devices.
    pub(super) fn read_devices(
        &mut self,
        method: Method,
        own: Option<&str>,
        params: Option<&Json>,
        now: Now,
    ) -> Result<Outcome, ErrorShape> {
        if method == Method::GatewayIdentity {
            return Ok(Outcome::success(
                Object::new()
                    .text("deviceId", self.identity.device_id())
                    .text("publicKey", self.identity.public_key()),
            ));
        }
        let _: Nothing = params::read("device.pair.list", &NOTHING, params)?;
        // What it says depends on these alone: requests are over to the second.
        let moment = (self.desk.version(), now.unix_ms / 1_000);
        if let (None, Some((of, list))) = (own, &self.listed)
            && *of == moment
        {
            return Ok(Outcome::success(list.clone()));
        }
        let pairings = self.desk.pairings();
        let visible = |id: &str| own.is_none_or(|own| own == id);
        let pending: Vec<Json> = pairings
            .requests(now.unix_ms)
            .into_iter()
            .rev()
            .filter(|request| visible(&request.device_id))
            .map(|request| request.view().finish())
            .collect();
        let mut devices: Vec<&Device> = pairings
            .devices()
            .filter(|device| visible(&device.id))
            .collect();
        devices.sort_by_key(|device| std::cmp::Reverse(device.approved_ms));
        let paired: Vec<Json> = devices
            .into_iter()
            .map(|device| device.view(Some(self.desk.is_there(&device.id))).finish())
            .collect();
        let list = Object::new()
            .array("pending", &pending)
            .array("paired", &paired)
            .finish();
        if own.is_none() {
            self.listed = Some((moment, list.clone()));
        }
        Ok(Outcome::success(list))
    }

    /// Answers a request that changes something about devices, once the change lasts.
    pub(super) fn change_devices(
        &mut self,
        hub: &mut Hub,
        call: Call,
        method: DeviceMethod,
        params: Option<&Json>,
        now: Now,
    ) {
        let scopes = match hub.session(call.conn()) {
            Some(session) if !self.desk.is_full() => session.scopes.clone(),
            _ => {
                return hub.reply(call, Outcome::failure(too_much()), now);
            }
        };
        let by_token = self.desk.manager(call.conn(), &scopes).token_of;
        let manager = OwnedManager {
            token_of: by_token.map(str::to_owned),
            scopes,
        };
        match read(method, params) {
            Ok(change) => {
                let by = call.conn();
                self.desk
                    .decide(hub, Some(by), errand(call, change, manager), now);
            }
            Err(error) => hub.reply(call, Outcome::failure(error), now),
        }
    }
}

/// A change as it was asked for.
enum Asked {
    Approve(String),
    Reject(String),
    Remove(String),
    Rename(Rename),
    Rotate(OfToken),
    Revoke(OfToken),
}

fn read(method: DeviceMethod, params: Option<&Json>) -> Result<Asked, ErrorShape> {
    let request = |name, params| {
        params::read(name, &REQUEST, params).map(|request: OfRequest| request.request_id)
    };
    match method {
        DeviceMethod::Approve => request("device.pair.approve", params).map(Asked::Approve),
        DeviceMethod::Reject => request("device.pair.reject", params).map(Asked::Reject),
        DeviceMethod::Rename => {
            params::read("device.pair.rename", &RENAME, params).map(Asked::Rename)
        }
        DeviceMethod::Rotate => {
            params::read("device.token.rotate", &ROTATE, params).map(Asked::Rotate)
        }
        DeviceMethod::Revoke => {
            params::read("device.token.revoke", &TOKEN, params).map(Asked::Revoke)
        }
        DeviceMethod::Remove => params::read("device.pair.remove", &DEVICE, params)
            .map(|device: OfDevice| Asked::Remove(device.device_id)),
    }
}

/// Who asked, as it was when they did.
struct OwnedManager {
    scopes: Scopes,
    token_of: Option<String>,
}

fn errand(call: Call, asked: Asked, manager: OwnedManager) -> Errand {
    Box::new(move |pairings, chance, now| {
        let now_ms = now.unix_ms;
        let by = Manager {
            scopes: &manager.scopes,
            token_of: manager.token_of.as_deref(),
        };
        let decided = match &asked {
            Asked::Approve(id) => pairings.approve(id, by, chance, now_ms).map(|decision| {
                decision.map(|approved| {
                    Object::new()
                        .text("requestId", &approved.request_id)
                        .object("device", approved.device.view(None))
                })
            }),
            Asked::Reject(id) => pairings.reject(id, by, now_ms).map(|decision| {
                decision.map(|device_id| {
                    Object::new()
                        .text("requestId", id)
                        .text("deviceId", &device_id)
                })
            }),
            Asked::Remove(id) => pairings
                .remove(id, by, now_ms)
                .map(|decision| decision.map(|()| Object::new().text("deviceId", id))),
            Asked::Rename(Rename { device_id, label }) => {
                pairings.rename(device_id, label, by).map(|decision| {
                    decision.map(|label| {
                        Object::new()
                            .text("deviceId", device_id)
                            .text("label", &label)
                    })
                })
            }
            Asked::Rotate(of) => rotate(pairings, of, by, chance, now_ms),
            Asked::Revoke(of) => {
                pairings
                    .revoke(&of.device_id, &of.role, by, now_ms)
                    .map(|decision| {
                        decision.map(|role: Role| {
                            Object::new()
                                .text("deviceId", &of.device_id)
                                .text("role", role.as_str())
                                .number("revokedAtMs", now_ms)
                        })
                    })
            }
        };
        match decided {
            Ok(decision) => decision.spoken(|payload| Spoken::Answer {
                call,
                outcome: Outcome::success(payload),
            }),
            Err(error) => Decided::refused(call, error),
        }
    })
}

fn rotate(
    pairings: &Pairings,
    of: &OfToken,
    by: Manager<'_>,
    chance: &crate::pairing::Chance,
    now_ms: u64,
) -> Result<Decision<Object>, ErrorShape> {
    let wanted = of.scopes.as_deref();
    let decision = pairings.rotate(&of.device_id, &of.role, wanted, by, chance, now_ms)?;
    Ok(decision.map(|rotated| {
        let delivery = match rotated.token {
            Some(_) => "in-band",
            None => "withheld-cross-device",
        };
        Object::new()
            .text("deviceId", &rotated.device_id)
            .text("role", rotated.role.as_str())
            .maybe_text("token", rotated.token.as_deref())
            .texts("scopes", &rotated.scopes)
            .number("rotatedAtMs", rotated.rotated_ms)
            .text("tokenDelivery", delivery)
    }))
}
