//! One row of the presence list.

use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Json, Object};

/// What is known of one participant; members that are not known are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The name of its host, or of the program.
    pub host: Option<String>,
    /// Its address.
    pub ip: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its operating system.
    pub platform: Option<String>,
    /// The family of its device.
    pub device_family: Option<String>,
    /// The model of its device.
    pub model_identifier: Option<String>,
    /// How it is used.
    pub mode: Option<String>,
    /// Whose it is, where a proxy or a directory says so.
    pub user: Option<String>,
    /// How long ago it had input from its user, in seconds.
    pub last_input_seconds: Option<u64>,
    /// Why the row was written.
    pub reason: Option<String>,
    /// Tags of its own choice.
    pub tags: Vec<String>,
    /// The row in one line, for people.
    pub text: Option<String>,
    /// Its device.
    pub device_id: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// What stays the same when it reconnects.
    pub instance_id: Option<String>,
    /// Since when it is connected, in milliseconds since 1970.
    pub online_since: Option<u64>,
}

impl Row {
    pub(super) fn write(&self, ts: u64) -> Json {
        let mut object = Object::new()
            .maybe_text("host", self.host.as_deref())
            .maybe_text("ip", self.ip.as_deref())
            .maybe_text("version", self.version.as_deref())
            .maybe_text("platform", self.platform.as_deref())
            .maybe_text("deviceFamily", self.device_family.as_deref())
            .maybe_text("modelIdentifier", self.model_identifier.as_deref())
            .maybe_text("mode", self.mode.as_deref());
        if let Some(user) = &self.user {
            object = object.object("user", Object::new().text("id", user).text("email", user));
        }
        object = object.maybe_text("deviceId", self.device_id.as_deref());
        if let Some(seconds) = self.last_input_seconds {
            object = object.number("lastInputSeconds", seconds);
        }
        for (name, values) in [
            ("roles", &self.roles),
            ("scopes", &self.scopes),
            ("tags", &self.tags),
        ] {
            if !values.is_empty() {
                object = object.texts(name, values);
            }
        }
        object = object
            .maybe_text("instanceId", self.instance_id.as_deref())
            .maybe_text("reason", self.reason.as_deref());
        if let Some(since) = self.online_since {
            object = object.number("onlineSince", since);
        }
        object
            .number("ts", ts)
            .maybe_text("text", self.text.as_deref())
            .finish()
    }
}
