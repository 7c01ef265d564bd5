//! Who is there, and when to push the list.
//!
//! There are two lists. Who asks, and who is greeted, gets everybody. Pushed are only those who have
//! settled: programs of modes `cli` and `backend` come and go, often within milliseconds, and nobody
//! need hear of one that has left before the next push could have been made anyway. Of one version
//! there is one pushed list: once it was handed out, who settles makes a new version.

mod roster;
mod row;

pub(super) use roster::Key;
pub use row::Row;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use roster::{Manner, Roster};

use super::Peer;
use crate::frame::outgoing::{Class, Publication, State};
use crate::hello::connect::Client;
use crate::hello::ok::Grant;
use crate::json::{Json, Object, array, cut};
use crate::limits::Limits;
use crate::scope::{Audience, Scope};
use crate::server::ConnId;
use crate::time::{Instant, Now};

/// The most bytes of one text of a row that a connection wrote itself.
const MAX_TEXT: usize = 128;
/// The most scopes that a row names.
const MAX_SCOPES: usize = 16;
/// How much sooner than after a push it is looked again when nobody had to be told.
const UNHEARD: u32 = 10;
/// What presence pushes may take of all connections together, in bytes per second.
const BYTES_PER_SECOND: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Presence {
    roster: Roster,
    rhythm: Duration,
    version: u64,
    /// Everybody, serialised once per version.
    list: Option<Json>,
    /// The push of the version, until it changes.
    publication: Option<Arc<Publication>>,
    /// The version of which a push was handed out last.
    handed_version: u64,
    /// The version at which everybody was shown to a newcomer last, and to somebody who asked.
    greeted_version: u64,
    asked_version: u64,
    pushed_version: u64,
    pushed_list: Option<Json>,
    /// Whether somebody may hold a list that differs from the one that was pushed last, and it is
    /// not known who.
    strayed: bool,
    /// When what has changed since the last push asks for the next one.
    wanted: Option<Instant>,
    /// When the next push may be at the earliest.
    next_push: Instant,
    /// Until then pushes have had their share of the wire; not even an announcement is pushed.
    spent_until: Instant,
}

/// Which connections a push must reach.
pub(super) struct Flush {
    unchanged_since: Option<u64>,
    version: u64,
}

impl Flush {
    /// Whether a connection that last saw `seen` must see the list again.
    pub(super) fn is_stale(&self, seen: u64) -> bool {
        seen < self.version && Some(seen) != self.unchanged_since
    }
}

impl Presence {
    pub(super) fn new(gateway: Row, limits: &Limits, now: Now) -> Self {
        let gateway = gateway.write(now.unix_ms);
        Self {
            pushed_list: Some(array([&gateway])),
            roster: Roster::new(gateway, limits),
            rhythm: limits.presence,
            version: 1,
            list: None,
            publication: None,
            handed_version: 1,
            greeted_version: 0,
            asked_version: 0,
            pushed_version: 1,
            strayed: false,
            wanted: None,
            next_push: now.at,
            spent_until: now.at,
        }
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// A newcomer is shown [`Self::list`].
    pub(super) fn greet(&mut self) {
        self.part(self.handed_version);
        self.greeted_version = self.version;
    }

    /// Everybody, for somebody who asks.
    pub(super) fn show(&mut self) -> &Json {
        self.asked_version = self.version;
        self.list()
    }

    /// Everybody.
    pub(super) fn list(&mut self) -> &Json {
        let Self { list, roster, .. } = self;
        list.get_or_insert_with(|| roster.list(false))
    }

    /// The push of the list as it is now.
    pub(super) fn publication(&mut self) -> Arc<Publication> {
        self.part(self.greeted_version);
        self.handed_version = self.version;
        let roster = &self.roster;
        let publication = self.publication.get_or_insert_with(|| {
            Arc::new(Publication {
                event: "presence",
                payload: Object::new().json("presence", &roster.list(true)).finish(),
                audience: Audience::Operators(Scope::Read),
                class: Class::State(State::Presence),
            })
        });
        Arc::clone(publication)
    }

    /// Writes the row of a new connection; none for probes.
    pub(super) fn join(
        &mut self,
        conn: ConnId,
        client: &Client,
        peer: &Peer,
        grant: &Grant,
        now: Now,
    ) -> Option<Key> {
        if client.mode == "probe" {
            return None;
        }
        let key = match (&grant.device_id, &client.instance_id) {
            (Some(device), _) => Key::Device(device.clone()),
            (None, Some(instance)) => Key::Instance(short(instance).into()),
            (None, None) => Key::Connection(conn),
        };
        let passing = matches!(&*client.mode, "cli" | "backend");
        let manner = Manner {
            passing,
            stays: grant.device_id.is_some() || matches!(&*client.mode, "ui" | "node"),
            settles: passing.then_some(now.at + self.rhythm),
        };
        self.changed();
        if !passing {
            self.want(now.at);
        }
        let row = joined_row(client, peer, grant, now);
        self.roster.join(conn, &key, row, manner, self.version, now);
        Some(key)
    }

    /// A connection left: its row goes, or says so.
    pub(super) fn leave(&mut self, conn: ConnId, key: &Key, now: Now) {
        let told = self.handed_version;
        let Some(leaver) = self.roster.leave(conn, key, told, now) else {
            return;
        };
        self.changed();
        let was_told = leaver.settled && leaver.since <= told;
        if !was_told && leaver.since <= self.asked_version {
            self.strayed = true;
        }
        if leaver.settled || leaver.since <= self.greeted_version || self.strayed {
            self.want(now.at);
        }
    }

    /// Adds or replaces the row of a beacon: keyed by its instance, else its device, else its
    /// text. That is told to everybody at once, and so is who has just come.
    pub(super) fn announce(&mut self, row: Row, now: Now) {
        let key = self.key_of(&row);
        self.settle(now.at + self.rhythm);
        self.changed();
        self.roster.announce(&key, row, self.version, now);
        self.want(now.at);
        self.next_push = self.spent_until;
    }

    fn key_of(&self, row: &Row) -> Key {
        let Some(instance) = row.instance_id.as_deref().map(short) else {
            return match &row.device_id {
                Some(device) => Key::Device(device.as_str().into()),
                None => Key::Text(row.text.as_deref().unwrap_or_default().into()),
            };
        };
        // A device that connected names its instance too; its row is kept under the device.
        match self.roster.connected_as(&instance) {
            Some(key) => key.clone(),
            None => Key::Instance(instance.into()),
        }
    }

    /// When [`Self::flush`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let push = self.wanted.map(|wanted| wanted.max(self.next_push));
        push.into_iter().chain(self.roster.deadline()).min()
    }

    /// Drops rows that were kept long enough, takes those for staying who are still there, and says
    /// who must see the list now, if anybody.
    pub(super) fn flush(&mut self, now: Now) -> Option<Flush> {
        if self.roster.drop_expired(now.at) {
            self.changed();
            self.want(now.at);
        }
        if self.settle(now.at) {
            self.want(now.at);
        }
        if self.wanted?.max(self.next_push) > now.at {
            return None;
        }
        self.wanted = None;
        // Who has been there for a while need not wait for a push of their own.
        self.settle(now.at + self.rhythm / 2);
        self.part(self.greeted_version);
        let list = self.roster.list(true);
        let strayed = core::mem::take(&mut self.strayed);
        let unchanged = !strayed && self.pushed_list.as_ref() == Some(&list);
        let flush = Flush {
            unchanged_since: unchanged.then_some(self.pushed_version),
            version: self.version,
        };
        self.pushed_version = self.version;
        self.pushed_list = Some(list);
        Some(flush)
    }

    /// Whether a connection may be pushed to: one that has just come, and may leave at once, has
    /// its hello.
    pub(super) fn is_settled(&self, conn: ConnId, key: Option<&Key>) -> bool {
        key.is_none_or(|key| self.roster.is_settled(conn, key))
    }

    /// The list was pushed, at a cost of so many bytes in all: the next push waits accordingly.
    pub(super) fn pushed(&mut self, bytes: usize, now: Now) {
        let stretched = Duration::from_millis((bytes / (BYTES_PER_SECOND / 1000)) as u64);
        self.spent_until = now.at + stretched;
        let rhythm = if bytes == 0 {
            self.rhythm / UNHEARD
        } else {
            self.rhythm
        };
        self.next_push = now.at + rhythm.max(stretched);
    }

    /// Takes those for staying who have been there for the whole rhythm at `at`.
    fn settle(&mut self, at: Instant) -> bool {
        let settled = self.roster.settle(at);
        if settled.iter().any(|since| *since <= self.handed_version) {
            self.changed();
        }
        if !settled.is_empty() {
            self.publication = None;
        }
        !settled.is_empty()
    }

    /// The list that is handed out next is not that of `version`: while somebody has not settled,
    /// newcomers are shown another one than is pushed.
    fn part(&mut self, version: u64) {
        if version == self.version && self.roster.is_unsettled() {
            self.changed();
        }
    }

    fn changed(&mut self) {
        self.version += 1;
        self.list = None;
        self.publication = None;
    }

    fn want(&mut self, at: Instant) {
        self.wanted = Some(self.wanted.map_or(at, |before| before.min(at)));
    }
}

/// A text of a row: cut, and freed of control characters, whose escapes are long.
fn short(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    cut(&shown.collect::<String>(), MAX_TEXT).to_owned()
}

/// The row of a connection, from what it says of itself: each text is short, so that five hundred
/// rows fit into a hello many times over.
fn joined_row(client: &Client, peer: &Peer, grant: &Grant, now: Now) -> Row {
    let maybe = |text: &Option<String>| text.as_deref().map(short);
    let host = short(client.display_name.as_ref().unwrap_or(&client.id));
    let ip = (!peer.address.is_loopback()).then(|| peer.address.to_string());
    let at = ip.as_ref().map(|ip| format!(" ({ip})")).unwrap_or_default();
    Row {
        text: Some(format!("Node: {host}{at} · mode {}", client.mode)),
        host: Some(host),
        ip,
        version: Some(short(&client.version)),
        platform: Some(short(&client.platform)),
        device_family: maybe(&client.device_family),
        model_identifier: maybe(&client.model_identifier),
        mode: Some(client.mode.clone()),
        last_input_seconds: None,
        reason: Some("connect".into()),
        tags: Vec::new(),
        device_id: grant.device_id.as_deref().map(short),
        roles: Vec::from([grant.role.as_str().to_owned()]),
        scopes: grant.scopes.names().take(MAX_SCOPES).map(short).collect(),
        instance_id: maybe(&client.instance_id),
        online_since: Some(now.unix_ms),
    }
}
