//! Who is listed: one row per device, instance or connection.
//!
//! An entry has the connections behind it, what somebody announced of it, and how it was left; its
//! row is the first of these that there is: the announcement, the newest connection (of a program
//! that stays, if there is one), the row that was left. So whoever comes and goes for a moment under
//! the name of somebody else leaves that row as it was.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::row::Row;
use crate::json::{Json, array};
use crate::limits::Limits;
use crate::server::ConnId;
use crate::time::{Instant, Now};

/// The newest `cli` and `backend` connections that have rows.
const PASSING_ROWS: usize = 50;
/// The part of a frame that the list may take: hello carries it beside other things.
const PART_OF_FRAME: usize = 2;

/// What makes two announcements the same participant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::hub) enum Key {
    Device(Box<str>),
    Instance(Box<str>),
    Connection(ConnId),
    Text(Box<str>),
}

/// Rows, and when they run out.
#[derive(Debug)]
pub(super) struct Roster {
    gateway: Json,
    entries: BTreeMap<Key, Entry>,
    most: usize,
    most_bytes: usize,
    kept: Duration,
    /// How often somebody came.
    arrivals: u64,
    /// Who came later than this one was in no pushed list yet.
    told: u64,
    /// When rows run out that nobody is behind any more, by their keys.
    expiry: BTreeSet<(Instant, Key)>,
    /// When those who have just come and may leave at once are taken for staying.
    settling: BTreeSet<(Instant, Key, ConnId)>,
}

#[derive(Debug, Default)]
struct Entry {
    seats: BTreeMap<ConnId, Seat>,
    beacon: Option<(Told, Instant)>,
    left: Option<Told>,
    /// When the beacon or what was left runs out; only while nobody sits there.
    expires: Option<Instant>,
    /// When it was written last by somebody who came: a count.
    written: u64,
}

#[derive(Clone, Debug)]
struct Told {
    row: Row,
    json: Json,
    written_ms: u64,
}

impl Told {
    fn new(row: Row, now: Now) -> Self {
        Self::written(row, now.unix_ms)
    }

    fn written(row: Row, written_ms: u64) -> Self {
        let json = row.write(written_ms);
        Self {
            row,
            json,
            written_ms,
        }
    }

    /// The same of somebody who is other things as well: a device that is operator and node.
    fn with(&self, others: &[&Row]) -> Option<Self> {
        let mut row = self.row.clone();
        for other in others {
            add(&mut row.roles, &other.roles);
            add(&mut row.scopes, &other.scopes);
        }
        (row != self.row).then(|| Self::written(row, self.written_ms))
    }
}

fn add(names: &mut Vec<String>, more: &[String]) {
    for name in more {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
}

/// A connection behind an entry.
#[derive(Debug)]
struct Seat {
    told: Told,
    manner: Manner,
    /// The count of its arrival.
    arrival: u64,
    settles: Option<Instant>,
}

/// What is to be expected of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// It is one of those programs that come and go, of which only the newest have rows.
    pub(super) passing: bool,
    /// Its row stays for a while when it has left.
    pub(super) stays: bool,
    /// Until then it may leave without anybody having heard of it.
    pub(super) settles: Option<Instant>,
}

impl Entry {
    /// Its row; or, of what has settled, its row. It names what every connection behind it is and may.
    fn told(&self, settled_only: bool) -> Option<Cow<'_, Told>> {
        let beacon = self.beacon.as_ref().map(|(told, _)| told);
        let seat = self.seat(settled_only).map(|seat| &seat.told);
        if let (None, Some(first)) = (beacon, seat)
            && self.seats.len() > 1
        {
            let others: Vec<&Row> = self
                .seated(settled_only)
                .map(|(_, seat)| &seat.told.row)
                .collect();
            if let Some(merged) = first.with(&others) {
                return Some(Cow::Owned(merged));
            }
        }
        beacon.or(seat).or(self.left.as_ref()).map(Cow::Borrowed)
    }

    fn seat(&self, settled_only: bool) -> Option<&Seat> {
        self.seated(settled_only)
            .max_by_key(|(conn, seat)| (!seat.manner.passing, **conn))
            .map(|(_, seat)| seat)
    }

    fn seated(&self, settled_only: bool) -> impl Iterator<Item = (&ConnId, &Seat)> {
        let seats = self.seats.iter();
        seats.filter(move |(_, seat)| !settled_only || seat.settles.is_none())
    }

    fn is_passing(&self) -> bool {
        let passing = self.seats.values().all(|seat| seat.manner.passing);
        passing && self.beacon.is_none() && self.left.is_none()
    }
}

impl Roster {
    pub(super) fn new(gateway: Json, limits: &Limits) -> Self {
        Self {
            gateway,
            entries: BTreeMap::new(),
            most: limits.presence_rows,
            most_bytes: limits.frame / PART_OF_FRAME,
            kept: limits.presence_kept,
            arrivals: 0,
            told: 0,
            expiry: BTreeSet::new(),
            settling: BTreeSet::new(),
        }
    }

    /// The rows, the gateway's own first: of everybody, or of those who have settled.
    pub(super) fn list(&self, settled_only: bool) -> Json {
        let entries = self.entries.values();
        let told: Vec<Cow<'_, Told>> = entries
            .filter_map(|entry| entry.told(settled_only))
            .collect();
        let rows = told.iter().map(|told| &told.json);
        array(core::iter::once(&self.gateway).chain(rows))
    }

    pub(super) fn join(&mut self, conn: ConnId, key: &Key, row: Row, manner: Manner, now: Now) {
        self.arrivals += 1;
        let entry = self.entries.entry(key.clone()).or_default();
        if !manner.passing {
            entry.beacon = None;
            entry.left = None;
        }
        entry.written = self.arrivals;
        let seat = Seat {
            told: Told::new(row, now),
            manner,
            arrival: self.arrivals,
            settles: manner.settles,
        };
        entry.seats.insert(conn, seat);
        if let Some(at) = manner.settles {
            self.settling.insert((at, key.clone(), conn));
        }
        if entry.left.is_none() {
            self.expire(key, None);
        }
        self.drop_surplus();
    }

    /// Those who have settled were told to others.
    pub(super) const fn tell(&mut self) {
        self.told = self.arrivals;
    }

    /// A connection left: with the last one of an entry its row goes; or stays for a while and says
    /// so, if somebody had heard of it.
    pub(super) fn leave(&mut self, conn: ConnId, key: &Key, now: Now) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let row = entry.told(false).map(|told| told.row.clone());
        let Some(seat) = entry.seats.remove(&conn) else {
            return;
        };
        if let Some(at) = seat.settles {
            self.settling.remove(&(at, key.clone(), conn));
        }
        if !entry.seats.is_empty() {
            return;
        }
        if seat.manner.stays && seat.settles.is_none() && seat.arrival <= self.told {
            let mut row = row.unwrap_or_default();
            row.reason = Some("disconnect".into());
            entry.beacon = None;
            entry.left = Some(Told::new(row, now));
            self.expire(key, Some(now.at + self.kept));
        } else if let Some((_, at)) = entry.beacon {
            self.expire(key, Some(at + self.kept));
        } else if entry.left.is_none() {
            self.entries.remove(key);
        }
    }

    /// Writes the row of a beacon. Of somebody who is connected it is the row, and stays that.
    pub(super) fn announce(&mut self, key: &Key, mut row: Row, now: Now) {
        self.arrivals += 1;
        let kept = now.at + self.kept;
        let entry = self.entries.entry(key.clone()).or_default();
        if let Some(seat) = entry.seat(false) {
            let known = &seat.told.row;
            row.online_since = known.online_since;
            row.device_id = row.device_id.or_else(|| known.device_id.clone());
            row.instance_id = row.instance_id.or_else(|| known.instance_id.clone());
        }
        entry.beacon = Some((Told::new(row, now), now.at));
        entry.left = None;
        entry.written = self.arrivals;
        let expires = entry.seats.is_empty().then_some(kept);
        self.expire(key, expires);
        self.drop_surplus();
    }

    /// The key of the participant who is connected under an instance's name.
    pub(super) fn connected_as(&self, instance: &str) -> Option<&Key> {
        let is_named = |seat: &Seat| seat.told.row.instance_id.as_deref() == Some(instance);
        self.entries
            .iter()
            .find(|(_, entry)| entry.seats.values().any(is_named))
            .map(|(key, _)| key)
    }

    /// When a row runs out or settles.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let expiry = self.expiry.first().map(|(at, _)| *at);
        let settling = self.settling.first().map(|(at, ..)| *at);
        expiry.into_iter().chain(settling).min()
    }

    /// Drops the rows that have run out; returns whether there were any.
    pub(super) fn drop_expired(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((at, key)) = self.expiry.first().cloned()
            && at <= now
        {
            self.expiry.remove(&(at, key.clone()));
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.expires = None;
                entry.left = None;
                if entry.seats.is_empty() {
                    self.entries.remove(&key);
                }
            }
            any = true;
        }
        any
    }

    /// Takes those for staying who have been there long enough; returns whether there are any.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((at, key, conn)) = self.settling.first().cloned()
            && at <= now
        {
            self.settling.remove(&(at, key.clone(), conn));
            let entry = self.entries.get_mut(&key);
            if let Some(seat) = entry.and_then(|entry| entry.seats.get_mut(&conn)) {
                seat.settles = None;
                any = true;
            }
        }
        any
    }

    /// Whether a connection has been there long enough to be told of.
    pub(super) fn is_settled(&self, conn: ConnId, key: &Key) -> bool {
        let seat = self
            .entries
            .get(key)
            .and_then(|entry| entry.seats.get(&conn));
        seat.is_none_or(|seat| seat.settles.is_none())
    }

    /// Whether somebody is there who may leave at once.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.settling.is_empty()
    }

    fn expire(&mut self, key: &Key, at: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let before = core::mem::replace(&mut entry.expires, at);
        if let Some(before) = before {
            self.expiry.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.expiry.insert((at, key.clone()));
        }
    }

    /// Keeps the list within its bounds: surplus rows of programs that come and go are dropped
    /// first, then rows without a connection, then the oldest; never the last one.
    fn drop_surplus(&mut self) {
        let passing = self.entries.values().filter(|entry| entry.is_passing());
        if passing.count() > PASSING_ROWS {
            self.drop_oldest(Entry::is_passing);
        }
        while self.entries.len() > 1
            && (self.entries.len() + 1 > self.most || self.bytes() > self.most_bytes)
            && (self.drop_oldest(Entry::is_passing)
                || self.drop_oldest(|entry| entry.seats.is_empty())
                || self.drop_oldest(|_| true))
        {}
    }

    /// The size of the list.
    fn bytes(&self) -> usize {
        let told = self.entries.values().filter_map(|entry| entry.told(false));
        told.map(|told| told.json.len() + 1).sum::<usize>() + self.gateway.len() + 2
    }

    fn drop_oldest(&mut self, which: impl Fn(&Entry) -> bool) -> bool {
        let oldest = self
            .entries
            .iter()
            .filter(|(_, entry)| which(entry))
            .min_by_key(|(_, entry)| entry.written)
            .map(|(key, _)| key.clone());
        let Some((key, entry)) = oldest.and_then(|key| self.entries.remove_entry(&key)) else {
            return false;
        };
        if let Some(expires) = entry.expires {
            self.expiry.remove(&(expires, key));
        }
        true
    }
}
