//! Who is there, and when to push the list.
//!
//! There are two lists. Who asks, and who is greeted, gets everybody. Pushed are only those who have
//! settled: programs of modes `cli` and `backend` come and go, often within milliseconds, and nobody
//! need hear of one that has left before the next push could have been made anyway.
//!
//! Every list that is handed out has a number, the same for the same rows, and the hub keeps of each
//! connection the number of the list that it holds. So after any change it is enough to look, once
//! in a while, who holds another list than the one that would be pushed now.

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
/// How much sooner than after a push it is looked when nobody had, or is likely, to be told.
const UNHEARD: u32 = 10;
/// The shortest time between two pushes.
const SHORTEST: Duration = Duration::from_millis(1);
/// What presence pushes may take of all connections together, in bytes per second.
const BYTES_PER_SECOND: usize = 64 << 20;

/// The number of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListId(u64);

/// A list as it is handed out.
#[derive(Clone, Debug)]
struct List {
    id: ListId,
    json: Json,
}

#[derive(Debug)]
pub(super) struct Presence {
    roster: Roster,
    rhythm: Duration,
    /// Everybody.
    everybody: List,
    /// Those who have settled: the list that is pushed.
    settled: List,
    /// Whether the lists are older than the roster.
    stale: bool,
    last_id: u64,
    /// The push of `settled`, once it was made.
    publication: Option<Arc<Publication>>,
    /// The state version of the list that was named last, `named`.
    version: u64,
    named: ListId,
    /// The one that was pushed last, and whether another one was then.
    pushed: List,
    moved: bool,
    /// When to look who holds another list.
    wanted: Option<Instant>,
    /// When to look at the earliest.
    next_push: Instant,
    /// Until then pushes have had their share of the wire; not even an announcement is pushed.
    spent_until: Instant,
}

impl Presence {
    pub(super) fn new(gateway: Row, limits: &Limits, now: Now) -> Self {
        let gateway = gateway.write(now.unix_ms);
        let alone = List {
            id: ListId(0),
            json: array([&gateway]),
        };
        Self {
            roster: Roster::new(gateway, limits),
            rhythm: limits.presence.max(SHORTEST),
            everybody: alone.clone(),
            settled: alone.clone(),
            stale: false,
            last_id: 0,
            publication: None,
            version: 1,
            named: ListId(0),
            pushed: alone,
            moved: false,
            wanted: None,
            next_push: now.at,
            spent_until: now.at,
        }
    }

    /// The state version of the list that was named last.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// The state version to hand a list out with: another one than the list before had.
    pub(super) fn name(&mut self, id: ListId) -> u64 {
        if id != self.named {
            self.named = id;
            self.version += 1;
        }
        self.version
    }

    /// Everybody.
    pub(super) fn everybody(&mut self) -> (ListId, &Json) {
        self.refresh();
        (self.everybody.id, &self.everybody.json)
    }

    /// The list that a push would carry now.
    pub(super) fn settled(&mut self) -> ListId {
        self.refresh();
        self.settled.id
    }

    /// The push of [`Self::settled`].
    pub(super) fn publication(&mut self) -> Arc<Publication> {
        self.refresh();
        self.roster.tell();
        let list = &self.settled.json;
        let publication = self.publication.get_or_insert_with(|| {
            Arc::new(Publication {
                event: "presence",
                payload: Object::new().json("presence", list).finish(),
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
        let row = joined_row(client, peer, grant, now);
        self.roster.join(conn, &key, row, manner, now);
        self.stale = true;
        self.want(if passing { self.later(now) } else { now.at });
        Some(key)
    }

    /// A connection left: its row goes, or says so.
    pub(super) fn leave(&mut self, conn: ConnId, key: &Key, now: Now) {
        let settled = self.is_settled(conn, Some(key));
        self.roster.leave(conn, key, now);
        self.stale = true;
        self.want(if settled { now.at } else { self.later(now) });
    }

    /// Adds or replaces the row of a beacon: keyed by its instance, else its device, else its
    /// text. That is told to everybody at once, and so is who has just come.
    pub(super) fn announce(&mut self, row: Row, now: Now) {
        let key = self.key_of(&row);
        self.roster.settle(now.at + self.rhythm);
        self.roster.announce(&key, row, now);
        self.stale = true;
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

    /// When [`Self::look`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let push = self.wanted.map(|wanted| wanted.max(self.next_push));
        push.into_iter().chain(self.roster.deadline()).min()
    }

    /// Drops rows that were kept long enough and takes those for staying who are still there;
    /// where it is time to look who holds another list, returns the one that they should hold.
    pub(super) fn look(&mut self, now: Now) -> Option<ListId> {
        let expired = self.roster.drop_expired(now.at);
        if self.roster.settle(now.at) || expired {
            self.stale = true;
            self.want(now.at);
        }
        if self.wanted?.max(self.next_push) > now.at {
            return None;
        }
        self.wanted = None;
        self.moved = self.settled() != self.pushed.id;
        if self.moved && self.roster.settle(now.at + self.rhythm / 2) {
            // Who has been there for a while need not wait for a push of their own.
            self.stale = true;
        }
        self.refresh();
        self.pushed = self.settled.clone();
        Some(self.pushed.id)
    }

    /// Whether a connection may be pushed to: one that has just come, and may leave at once, has
    /// its hello.
    pub(super) fn is_settled(&self, conn: ConnId, key: Option<&Key>) -> bool {
        key.is_none_or(|key| self.roster.is_settled(conn, key))
    }

    /// The list was pushed, at a cost of so many bytes in all: the next push waits accordingly.
    pub(super) fn pushed(&mut self, bytes: usize, now: Now) {
        let stretched = Duration::from_millis((bytes / (BYTES_PER_SECOND / 1000)) as u64);
        if bytes > 0 {
            self.spent_until = now.at + stretched;
            self.next_push = now.at + self.rhythm.max(stretched);
        } else if self.moved {
            self.next_push = self.later(now);
        }
    }

    /// When to look after what most likely nobody has to be told of.
    fn later(&self, now: Now) -> Instant {
        now.at + self.rhythm / UNHEARD
    }

    fn want(&mut self, at: Instant) {
        self.wanted = Some(self.wanted.map_or(at, |before| before.min(at)));
    }

    /// Brings the lists up to date; what is the same keeps its number.
    fn refresh(&mut self) {
        if !core::mem::take(&mut self.stale) {
            return;
        }
        let settled = self.roster.list(true);
        if settled != self.settled.json {
            self.publication = None;
            self.settled = if settled == self.everybody.json {
                self.everybody.clone()
            } else if settled == self.pushed.json {
                self.pushed.clone()
            } else {
                self.numbered(settled)
            };
        }
        let everybody = if self.roster.is_unsettled() {
            self.roster.list(false)
        } else {
            self.settled.json.clone()
        };
        if everybody == self.settled.json {
            self.everybody = self.settled.clone();
        } else if everybody != self.everybody.json {
            self.everybody = self.numbered(everybody);
        }
    }

    fn numbered(&mut self, json: Json) -> List {
        self.last_id += 1;
        List {
            id: ListId(self.last_id),
            json,
        }
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
        user: grant.user.as_deref().map(short),
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
