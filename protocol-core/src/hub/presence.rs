//! Who is there: one row per device, instance or connection, and when to push the list.

mod row;

pub use row::Row;

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Peer;
use crate::frame::outgoing::{Class, Publication, State};
use crate::hello::connect::Client;
use crate::hello::ok::Grant;
use crate::json::{Json, Object, array, cut};
use crate::limits::Limits;
use crate::scope::{Audience, Scope};
use crate::server::ConnId;
use crate::time::{Instant, Now};

/// The newest `cli` and `backend` connections that have rows.
const PASSING_ROWS: usize = 50;
/// The most bytes of one text of a row that a connection wrote itself.
const MAX_TEXT: usize = 128;
/// The most scopes that a row names.
const MAX_SCOPES: usize = 16;
/// The part of a frame that the list may take: hello carries it beside other things.
const PART_OF_FRAME: usize = 2;
/// What presence pushes may take of all connections together, in bytes per second.
const BYTES_PER_SECOND: usize = 64 << 20;

/// What makes two announcements the same participant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Device(Box<str>),
    Instance(Box<str>),
    Connection(ConnId),
    Text(Box<str>),
}

#[derive(Debug)]
struct Entry {
    row: Row,
    json: Json,
    live: BTreeSet<ConnId>,
    /// Whether it is one of those programs that come and go, of which only the newest have rows.
    passing: bool,
    /// Whether the row stays for a while when nobody is behind it any more.
    stays: bool,
    /// The version at which the row appeared.
    since_version: u64,
    /// The version at which it was written last by somebody who came.
    written_version: u64,
    /// Until then it is one of those who may leave before anybody need hear of them.
    settles: Option<Instant>,
    /// When nobody was behind it any more; an announced row counts from its announcement.
    gone: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Presence {
    gateway: Json,
    entries: BTreeMap<Key, Entry>,
    rows: usize,
    bytes: usize,
    kept: Duration,
    rhythm: Duration,
    version: u64,
    list: Option<Json>,
    publication: Option<Arc<Publication>>,
    pushed_version: u64,
    pushed_list: Option<Json>,
    /// When what has changed since the last push asks for the next one.
    wanted: Option<Instant>,
    /// When the next push may be at the earliest.
    next_push: Instant,
    /// Until then pushes have had their share of the wire; not even an announcement is pushed.
    spent_until: Instant,
    /// When rows run out, by their keys.
    expiry: BTreeSet<(Instant, Key)>,
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
            gateway,
            entries: BTreeMap::new(),
            rows: limits.presence_rows,
            bytes: limits.frame / PART_OF_FRAME,
            kept: limits.presence_kept,
            rhythm: limits.presence,
            version: 1,
            list: None,
            publication: None,
            pushed_version: 1,
            wanted: None,
            next_push: now.at,
            spent_until: now.at,
            expiry: BTreeSet::new(),
        }
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// The list as JSON, the gateway itself first; serialised once per version.
    pub(super) fn list(&mut self) -> &Json {
        let Self {
            list,
            gateway,
            entries,
            ..
        } = self;
        list.get_or_insert_with(|| {
            array(core::iter::once(&*gateway).chain(entries.values().map(|entry| &entry.json)))
        })
    }

    /// The push of the list; made once per version.
    pub(super) fn publication(&mut self) -> Arc<Publication> {
        if let Some(publication) = &self.publication {
            return Arc::clone(publication);
        }
        let publication = Arc::new(Publication {
            event: "presence",
            payload: Object::new().json("presence", self.list()).finish(),
            audience: Audience::Operators(Scope::Read),
            class: Class::State(State::Presence),
        });
        self.publication = Some(Arc::clone(&publication));
        publication
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
            (None, Some(instance)) => Key::Instance(cut(instance, MAX_TEXT).into()),
            (None, None) => Key::Connection(conn),
        };
        let row = joined_row(client, peer, grant, now);
        let json = row.write(now.unix_ms);
        let passing = matches!(&*client.mode, "cli" | "backend");
        // Most of these leave at once, and nobody need hear that they were there.
        let settled = if passing {
            now.at + self.rhythm
        } else {
            now.at
        };
        self.changed(settled);
        let version = self.version;
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry {
            row: Row::default(),
            json: Json::null(),
            live: BTreeSet::new(),
            passing: false,
            stays: false,
            since_version: version,
            written_version: version,
            settles: None,
            gone: None,
        });
        entry.written_version = version;
        entry.passing = passing;
        entry.settles = (passing && entry.since_version == version).then_some(settled);
        entry.stays = grant.device_id.is_some() || matches!(&*client.mode, "ui" | "node");
        entry.live.insert(conn);
        if let Some(gone) = entry.gone.take() {
            self.expiry.remove(&(gone + self.kept, key.clone()));
        }
        entry.row = row;
        entry.json = json;
        self.drop_surplus();
        Some(key)
    }

    /// A connection left: its row goes, or says so.
    pub(super) fn leave(&mut self, conn: ConnId, key: &Key, now: Now) {
        let pushed = self.pushed_version;
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.live.remove(&conn);
        if !entry.live.is_empty() {
            return;
        }
        let unheard_of = entry.since_version > pushed;
        if !entry.stays || unheard_of {
            self.entries.remove(key);
        } else {
            entry.gone = Some(now.at);
            self.expiry.insert((now.at + self.kept, key.clone()));
            entry.row.reason = Some("disconnect".into());
            entry.json = entry.row.write(now.unix_ms);
        }
        self.changed(if unheard_of {
            now.at + self.rhythm
        } else {
            now.at
        });
    }

    /// Adds or replaces the row of a beacon: keyed by its instance, else its device, else its
    /// text. Of a connected instance or device it is the row, and stays that.
    pub(super) fn announce(&mut self, mut row: Row, now: Now) {
        let key = self.key_of(&row);
        if let Some(known) = self
            .entries
            .get(&key)
            .filter(|entry| !entry.live.is_empty())
        {
            row.online_since = known.row.online_since;
            row.device_id = row.device_id.or_else(|| known.row.device_id.clone());
            row.instance_id = row.instance_id.or_else(|| known.row.instance_id.clone());
        }
        let json = row.write(now.unix_ms);
        self.changed(now.at);
        let version = self.version;
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry {
            row: Row::default(),
            json: Json::null(),
            live: BTreeSet::new(),
            passing: false,
            stays: true,
            since_version: version,
            written_version: version,
            settles: None,
            gone: None,
        });
        if let Some(gone) = entry.gone.take() {
            self.expiry.remove(&(gone + self.kept, key.clone()));
        }
        if entry.live.is_empty() {
            entry.gone = Some(now.at);
            self.expiry.insert((now.at + self.kept, key));
        }
        entry.written_version = version;
        entry.row = row;
        entry.json = json;
        self.drop_surplus();
        self.next_push = self.spent_until;
    }

    fn key_of(&self, row: &Row) -> Key {
        let Some(instance) = &row.instance_id else {
            return match &row.device_id {
                Some(device) => Key::Device(device.as_str().into()),
                None => Key::Text(row.text.as_deref().unwrap_or_default().into()),
            };
        };
        // A device that connected names its instance too; its row is kept under the device.
        let connected = self.entries.iter().find(|(_, entry)| {
            !entry.live.is_empty() && entry.row.instance_id.as_ref() == Some(instance)
        });
        connected.map_or_else(
            || Key::Instance(instance.as_str().into()),
            |(key, _)| key.clone(),
        )
    }

    /// When the list must be pushed, or when a row has been kept long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let expiry = self.expiry.first().map(|(at, _)| *at);
        let push = self.wanted.map(|wanted| wanted.max(self.next_push));
        push.into_iter().chain(expiry).min()
    }

    /// Drops rows that were kept long enough and says who must see the list now, if anybody.
    pub(super) fn flush(&mut self, now: Now) -> Option<Flush> {
        while let Some(&(at, _)) = self.expiry.first()
            && at <= now.at
        {
            if let Some((_, key)) = self.expiry.pop_first() {
                self.entries.remove(&key);
                self.changed(at);
            }
        }
        if self.wanted?.max(self.next_push) > now.at {
            return None;
        }
        self.wanted = self.postponed(now);
        if self.wanted.is_some() {
            return None;
        }
        let list = self.list().clone();
        let unchanged = self.pushed_list.as_ref() == Some(&list);
        let flush = Flush {
            unchanged_since: unchanged.then_some(self.pushed_version),
            version: self.version,
        };
        self.pushed_version = self.version;
        self.pushed_list = Some(list);
        Some(flush)
    }

    /// When to look again, if all that differs from what was pushed last is who has just come and
    /// may be about to leave.
    fn postponed(&self, now: Now) -> Option<Instant> {
        let unsettled = |entry: &Entry| entry.settles.filter(|settles| *settles > now.at);
        let next = self.entries.values().filter_map(unsettled).min()?;
        let settled = self
            .entries
            .values()
            .filter(|entry| unsettled(entry).is_none());
        let rows = core::iter::once(&self.gateway).chain(settled.map(|entry| &entry.json));
        (self.pushed_list == Some(array(rows))).then_some(next)
    }

    /// The list was pushed, at a cost of so many bytes: the next push waits accordingly.
    pub(super) fn pushed(&mut self, bytes: usize, now: Now) {
        let stretched = Duration::from_millis((bytes / (BYTES_PER_SECOND / 1000)) as u64);
        self.spent_until = now.at + stretched;
        self.next_push = now.at + self.rhythm.max(stretched);
    }

    /// The list is another one now, which asks for a push at `wanted`.
    fn changed(&mut self, wanted: Instant) {
        self.wanted = Some(self.wanted.map_or(wanted, |before| before.min(wanted)));
        self.version += 1;
        self.list = None;
        self.publication = None;
    }

    /// Keeps the list within its bounds: surplus rows of programs that come and go are dropped
    /// first, then rows without a connection, then the oldest; never the last one.
    fn drop_surplus(&mut self) {
        let passing = self.entries.values().filter(|entry| entry.passing).count();
        if passing > PASSING_ROWS {
            self.drop_oldest(|entry| entry.passing);
        }
        while self.entries.len() > 1
            && (self.entries.len() + 1 > self.rows || self.list_bytes() > self.bytes)
            && (self.drop_oldest(|entry| entry.passing)
                || self.drop_oldest(|entry| entry.gone.is_some())
                || self.drop_oldest(|_| true))
        {}
    }

    /// The size of the list.
    fn list_bytes(&self) -> usize {
        let rows = self.entries.values().map(|entry| entry.json.len() + 1);
        rows.sum::<usize>() + self.gateway.len() + 2
    }

    fn drop_oldest(&mut self, which: impl Fn(&Entry) -> bool) -> bool {
        let oldest = self
            .entries
            .iter()
            .filter(|(_, entry)| which(entry))
            .min_by_key(|(_, entry)| entry.written_version)
            .map(|(key, _)| key.clone());
        let Some((key, entry)) = oldest.and_then(|key| self.entries.remove_entry(&key)) else {
            return false;
        };
        if let Some(gone) = entry.gone {
            self.expiry.remove(&(gone + self.kept, key));
        }
        true
    }
}

/// The row of a connection, from what it says of itself: each text is cut and freed of control
/// characters, whose escapes are long, so that five hundred rows fit into a hello many times over.
fn joined_row(client: &Client, peer: &Peer, grant: &Grant, now: Now) -> Row {
    let short = |text: &str| -> String {
        let shown = text.chars().filter(|c| !c.is_control());
        cut(&shown.collect::<String>(), MAX_TEXT).to_owned()
    };
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
