//! Where decisions over devices are taken, stored, and only then spoken.
//!
//! One decision at a time is on its way to the disk; the others wait for it, because they may depend on it. What needs no
//! storing is decided at once.

mod spoken;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use openclaw_protocol_core::frame::outgoing::{Class, Publication};
use openclaw_protocol_core::frame::{Close, close_code};
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::scope::{Audience, Role, Scope, Scopes};
use openclaw_protocol_core::server::{Applicant, ConnId};
use openclaw_protocol_core::time::Now;
use openclaw_runtime_smol::random;
use openclaw_runtime_smol::server::Handle;
use smol::Executor;

use super::Command;
use super::nodes::Newcomer;
use crate::nodes::NodeNotice;
use crate::pairing::{Chance, Change, Manager, Notice, Pairings};

pub(super) use spoken::{Decided, Errand, News, Spoken, refuse, too_much};

/// The most decisions that wait for the disk.
const MAX_WAITING: usize = 1_024;

/// What a [`Ledger`] is doing.
pub type Writing = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Where changes last.
pub trait Ledger: Send + Sync {
    /// Makes changes, all or none; done when they outlive a power cut. The error is one line for the log.
    fn write(&self, changes: Vec<Change>) -> Writing;
}

/// A device that is there.
#[derive(Clone, Debug)]
pub(super) struct Entrant {
    pub(super) device_id: String,
    pub(super) role: Role,
    /// Whether a token of its own is all that it showed.
    pub(super) by_token: bool,
    /// Whether what let it in holds no more: its socket is closing.
    ended: bool,
}

pub(super) struct Desk {
    pairings: Pairings,
    ledger: Arc<dyn Ledger>,
    waiting: VecDeque<(Option<ConnId>, Errand)>,
    /// What is being stored.
    written: Option<Decided>,
    /// The connections that are a device's.
    there: BTreeMap<ConnId, Entrant>,
    /// The nodes among them that came since somebody asked, and the connections that were ended.
    news: Vec<News>,
    /// How many there are of each device.
    counts: BTreeMap<String, usize>,
    /// Rises with every change of what is known, and of who is there.
    version: u64,
    executor: Arc<Executor<'static>>,
    handle: Handle<Command>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("waiting", &self.waiting.len())
            .field("there", &self.there.len())
            .finish_non_exhaustive()
    }
}

impl Desk {
    pub(super) fn new(
        pairings: Pairings,
        ledger: Arc<dyn Ledger>,
        executor: Arc<Executor<'static>>,
        handle: Handle<Command>,
    ) -> Self {
        Self {
            pairings,
            ledger,
            waiting: VecDeque::new(),
            written: None,
            there: BTreeMap::new(),
            news: Vec::new(),
            counts: BTreeMap::new(),
            version: 0,
            executor,
            handle,
        }
    }

    pub(super) fn pairings(&self) -> &Pairings {
        &self.pairings
    }

    /// Whether a connection of a device is there.
    pub(super) fn is_there(&self, device_id: &str) -> bool {
        self.counts.contains_key(device_id)
    }

    /// What rises with every change of what is known, and of who is there.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Who asks, when it comes to devices.
    pub(super) fn manager<'a>(&'a self, conn: ConnId, scopes: &'a Scopes) -> Manager<'a> {
        let entrant = self.there.get(&conn).filter(|entrant| entrant.by_token);
        Manager {
            scopes,
            token_of: entrant.map(|entrant| entrant.device_id.as_str()),
        }
    }

    /// The device of a connection.
    pub(super) fn device_of(&self, conn: ConnId) -> Option<&str> {
        let entrant = self.there.get(&conn)?;
        Some(&entrant.device_id)
    }

    /// What became of connections since this was asked last.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Whether one more decision may wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }

    /// Whether nothing is on its way to the disk.
    pub(super) fn is_idle(&self) -> bool {
        self.written.is_none() && self.waiting.is_empty()
    }

    /// Takes a decision, at once or when those before it last; one that `by` asked for only if they still may by then.
    pub(super) fn decide(&mut self, hub: &mut Hub, by: Option<ConnId>, errand: Errand, now: Now) {
        self.waiting.push_back((by, errand));
        self.go_on(hub, now);
    }

    /// Lets a device in.
    pub(super) fn enter(
        &mut self,
        hub: &mut Hub,
        applicant: Applicant,
        grant: Box<Grant>,
        by_token: bool,
        node: Option<Box<Newcomer>>,
        now: Now,
    ) {
        let conn = applicant.conn();
        let _ = hub.admit(applicant, &grant, now);
        // A connection may be gone by now; then there is nobody to let in.
        if hub.session(conn).is_none() {
            return;
        }
        let Some(device_id) = grant.device_id else {
            return;
        };
        *self.counts.entry(device_id.to_string()).or_default() += 1;
        self.version += 1;
        if let Some(newcomer) = node {
            self.news.push(News::Came {
                conn,
                node_id: device_id.to_string(),
                newcomer,
            });
        }
        let entrant = Entrant {
            device_id: device_id.into(),
            role: grant.role,
            by_token,
            ended: false,
        };
        self.there.insert(conn, entrant);
    }

    /// Whether who asked for something is still there, with what let them in still in force.
    fn may_still(&self, hub: &Hub, by: ConnId) -> bool {
        hub.session(by).is_some() && self.there.get(&by).is_none_or(|entrant| !entrant.ended)
    }

    /// What was on its way to the disk is there, or is not.
    pub(super) fn written(&mut self, hub: &mut Hub, result: Result<(), String>, now: Now) {
        let Some(mut decided) = self.written.take() else {
            return;
        };
        match result {
            Ok(()) => {
                for change in std::mem::take(&mut decided.changes) {
                    self.pairings.apply(change);
                }
                self.version += 1;
                self.speak(hub, decided, now);
            }
            Err(why) => {
                log::error!("devices: {why}");
                self.say(hub, decided.spoken.failed(), now);
            }
        }
        self.go_on(hub, now);
    }

    pub(super) fn forget_connection(&mut self, conn: ConnId) {
        let Some(gone) = self.there.remove(&conn) else {
            return;
        };
        self.version += 1;
        if let Entry::Occupied(mut count) = self.counts.entry(gone.device_id) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn go_on(&mut self, hub: &mut Hub, now: Now) {
        while self.written.is_none() {
            let Some((by, errand)) = self.waiting.pop_front() else {
                return;
            };
            let (chance, drawn) = match chance() {
                Ok(chance) => (chance, true),
                Err(error) => {
                    log::error!("devices: no random numbers to be had: {error}");
                    (Chance::none(), false)
                }
            };
            let mut decided = errand(&self.pairings, &chance, now);
            if by.is_some_and(|by| !self.may_still(hub, by)) {
                decided = decided.denied();
            }
            if decided.changes.is_empty() {
                self.speak(hub, decided, now);
            } else if drawn {
                self.store(decided);
            } else {
                self.say(hub, decided.spoken.failed(), now);
            }
        }
    }

    fn store(&mut self, decided: Decided) {
        let writing = self.ledger.write(decided.changes.clone());
        self.written = Some(decided);
        let mut guard = Guard(Some(self.handle.clone()));
        let storing = async move {
            let result = writing.await;
            if let Some(handle) = guard.0.take() {
                let _ = handle.send(Command::Stored(result)).await;
            }
        };
        self.executor.spawn(storing).detach();
    }

    fn speak(&mut self, hub: &mut Hub, decided: Decided, now: Now) {
        let Decided {
            spoken, notices, ..
        } = decided;
        for notice in &notices {
            if let Some((event, payload)) = notice.event(now.unix_ms) {
                let payload = payload.finish();
                if let Notice::Node(NodeNotice::Resolved {
                    node_id,
                    decision: "approved",
                    ..
                }) = notice
                {
                    self.news.push(News::Approved {
                        node_id: node_id.clone(),
                        event,
                        payload: payload.clone(),
                    });
                }
                let publication = Publication {
                    event,
                    payload,
                    audience: Audience::Operators(Scope::Pairing),
                    class: Class::Ordinary,
                };
                hub.broadcast(publication, now);
            }
        }
        self.say(hub, spoken, now);
        for notice in notices {
            if let Notice::Ended {
                device_id,
                role,
                reason,
            } = notice
            {
                self.end(hub, &device_id, role, reason, now);
            }
        }
    }

    fn say(&mut self, hub: &mut Hub, spoken: Spoken, now: Now) {
        match spoken {
            Spoken::Admit {
                applicant,
                grant,
                by_token,
                node,
            } => self.enter(hub, applicant, grant, by_token, node, now),
            Spoken::Refuse { applicant, error } => refuse(hub, applicant, error, now),
            Spoken::Answer { call, outcome } => hub.reply(call, outcome, now),
        }
    }

    /// Ends what a device has open; whoever asked for it has its answer already.
    fn end(&mut self, hub: &mut Hub, device_id: &str, role: Option<Role>, reason: &str, now: Now) {
        let mut ended = Vec::new();
        for (conn, entrant) in &mut self.there {
            if entrant.device_id == device_id && role.is_none_or(|role| entrant.role == role) {
                entrant.ended = true;
                ended.push(*conn);
            }
        }
        for conn in ended {
            self.news.push(News::Ended(conn));
            hub.close(conn, Close::new(close_code::REVOKED, reason), now);
        }
    }
}

fn chance() -> std::io::Result<Chance> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(std::io::Error::from)?;
    Ok(Chance {
        request_id: random::uuid()?,
        surface_id: random::uuid()?,
        salt,
    })
}

/// Says that nothing was stored even if the storing is dropped half-way.
struct Guard(Option<Handle<Command>>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            let why = "the writing was abandoned".to_owned();
            let _ = handle.send_last_words(Command::Stored(Err(why)));
        }
    }
}
