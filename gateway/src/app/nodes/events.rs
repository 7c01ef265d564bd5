//! `node.event`: what nodes tell of themselves.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::{Class, Outcome, Publication};
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object, cut};
use openclaw_protocol_core::scope::{Audience, Scope};
use openclaw_protocol_core::server::Call;
use openclaw_protocol_core::shape::{self, Kind, NAME, TEXT, optional, required};
use openclaw_protocol_core::time::Now;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::App;
use super::super::desk::{Decided, Spoken, too_much};
use super::pairing_changed;
use crate::nodes::{Node, NodeChange};
use crate::pairing::{Chance, Decision, Pairings};
use crate::params;

/// How much later a node must say again that it is alive for that to be noted, in milliseconds.
const ALIVE_STEP_MS: u64 = 60_000;
/// How much later a host's load must come again for others to be told, in milliseconds.
const TOLD_STEP_MS: u64 = 1_000;
/// The longest that somebody is idle, in seconds.
const MAX_IDLE: u64 = 2_592_000;
const MAX_CPUS: u64 = 4_096;
const TRIGGERS: [&str; 6] = [
    "background",
    "silent_push",
    "bg_app_refresh",
    "significant_location",
    "manual",
    "connect",
];

const EVENT: shape::Object = shape::Object {
    members: &[
        required("event", NAME),
        optional("payload", Kind::Any),
        optional("payloadJSON", TEXT),
    ],
};

#[derive(Deserialize)]
struct Told {
    event: String,
    payload: Option<Box<RawValue>>,
    #[serde(rename = "payloadJSON")]
    written: Option<String>,
}

#[derive(Deserialize)]
struct Alive {
    trigger: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Activity {
    idle_seconds: Option<params::Whole>,
    action: Option<String>,
    source: Option<Source>,
    saturated: Option<bool>,
}

/// What has seen that somebody is active.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Source {
    App,
    System,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stats {
    cpu_count: params::Whole,
    load_average: Option<[f64; 3]>,
    memory_total_bytes: params::Whole,
    memory_free_bytes: params::Whole,
    disk_total_bytes: Option<params::Whole>,
    disk_available_bytes: Option<params::Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfRun {
    run_id: Option<String>,
    session_key: Option<String>,
    command: Option<String>,
    exit_code: Option<i64>,
}

impl App {
    /// A node tells something of itself.
    pub(super) fn take_event(
        &mut self,
        hub: &mut Hub,
        call: Call,
        params: Option<&Json>,
        now: Now,
    ) {
        let told = match read(params) {
            Ok(told) => told,
            Err(error) => return hub.reply(call, Outcome::failure(error), now),
        };
        let nodes = self.desk.pairings().nodes();
        let Some(attached) = self.fleet.approved(nodes, call.conn()) else {
            let error = pairing_changed(super::WHILE_INVOKED);
            let attached = self.fleet.of_connection(call.conn());
            let waiting = attached.and_then(|attached| nodes.waiting(&attached.node_id));
            let error = match waiting {
                // The one answer by which a node learns what its operator has to approve.
                Some(waiting) => error.with_details(
                    Object::new()
                        .text("code", "PAIRING_CHANGED")
                        .text("requestId", &waiting.id),
                ),
                None => error,
            };
            return hub.reply(call, Outcome::failure(error), now);
        };
        let node_id = attached.node_id.clone();
        let payload = payload(&told).filter(is_object);
        let handled = match told.event.as_str() {
            "node.presence.alive" => {
                return match payload.and_then(|payload| payload.read::<Alive>().ok()) {
                    Some(alive) => self.note_alive(hub, call, node_id, alive, now),
                    None => {
                        let outcome = handled(&told.event, false, "invalid_payload");
                        hub.reply(call, outcome, now);
                    }
                };
            }
            "node.presence.activity" => self.note_activity(hub, &node_id, payload.as_ref(), now),
            "node.host.stats" => self.note_stats(hub, &node_id, payload.as_ref(), now),
            "exec.started" | "exec.finished" | "exec.denied" => {
                match self.note_run(call.conn(), &told.event, payload.as_ref(), now) {
                    true => {
                        let outcome = Outcome::success(Object::new().boolean("ok", true));
                        return hub.reply(call, outcome, now);
                    }
                    false => (false, "unmatched_exec_event"),
                }
            }
            _ => (false, "unsupported_event"),
        };
        let shown = cut(&told.event, 120);
        hub.reply(call, self::handled(shown, handled.0, handled.1), now);
    }

    fn note_alive(&mut self, hub: &mut Hub, call: Call, node_id: String, alive: Alive, now: Now) {
        if self.desk.is_full() {
            return hub.reply(call, Outcome::failure(too_much()), now);
        }
        let told = alive.trigger.as_deref().map(str::trim);
        let trigger = TRIGGERS
            .into_iter()
            .find(|trigger| told == Some(trigger))
            .unwrap_or("background");
        let conn = call.conn();
        let errand = move |pairings: &Pairings, _: &Chance, now: Now| -> Decided {
            alive_noted(pairings, &node_id, trigger, now.unix_ms).spoken(|reason| Spoken::Answer {
                call,
                outcome: handled("node.presence.alive", true, reason),
            })
        };
        self.desk.decide(hub, Some(conn), Box::new(errand), now);
    }

    fn note_activity(
        &mut self,
        hub: &mut Hub,
        node_id: &str,
        payload: Option<&Json>,
        now: Now,
    ) -> (bool, &'static str) {
        let nodes = self.desk.pairings().nodes();
        let current = self.fleet.current(node_id);
        let may = current.is_some_and(|(_, attached)| {
            let permissions = attached.effective(nodes).permissions;
            permissions.get("accessibility") == Some(&true)
        });
        let is_app = current.is_some_and(|(_, attached)| attached.is_app());
        if !may {
            return (false, "permission_required");
        }
        let Some(activity) = payload.and_then(|payload| payload.read::<Activity>().ok()) else {
            return (false, "invalid_payload");
        };
        let idle = activity.idle_seconds.map(params::Whole::get);
        let by_app = activity.source == Some(Source::App);
        if by_app && !is_app {
            return (false, "stale_connection");
        }
        let seen = self.fleet.remember(node_id);
        let active = match (activity.action.as_deref(), idle) {
            (Some("clear"), None) if seen.active.is_none() => return (true, "already_clear"),
            (Some("clear"), None) => None,
            (None, Some(idle)) if idle <= MAX_IDLE => {
                let at = now.unix_ms.saturating_sub(idle * 1_000);
                let before = seen.active.filter(|_| seen.active_by_app == by_app);
                // What counts no further than it does says nothing new.
                let at = match before {
                    Some((before, _)) if activity.saturated == Some(true) => before,
                    Some((before, _)) => before.max(at),
                    None => at,
                };
                Some((at, now.unix_ms))
            }
            _ => return (false, "invalid_payload"),
        };
        seen.active_by_app = by_app;
        seen.active = active;
        let mut payload = Object::new().text("nodeId", node_id);
        for (name, at) in [
            ("lastActiveAtMs", active.map(|(at, _)| at)),
            ("presenceUpdatedAtMs", active.map(|(_, at)| at)),
        ] {
            payload = match at {
                Some(at) => payload.number(name, at),
                None => payload.json(name, &Json::null()),
            };
        }
        broadcast(hub, "node.presence", payload, now);
        match active {
            Some(_) => (true, "updated"),
            None => (true, "cleared"),
        }
    }

    fn note_stats(
        &mut self,
        hub: &mut Hub,
        node_id: &str,
        payload: Option<&Json>,
        now: Now,
    ) -> (bool, &'static str) {
        let stats = payload.and_then(|payload| payload.read::<Stats>().ok());
        let Some(stats) = stats.filter(Stats::is_sound) else {
            return (false, "invalid_payload");
        };
        let stats = stats.view(now.unix_ms).finish();
        let seen = self.fleet.remember(node_id);
        seen.host_stats = Some(stats.clone());
        if now.unix_ms.saturating_sub(seen.stats_told_ms) < TOLD_STEP_MS {
            return (true, "updated");
        }
        seen.stats_told_ms = now.unix_ms;
        let payload = Object::new()
            .text("nodeId", node_id)
            .json("hostStats", &stats);
        broadcast(hub, "node.hostStats", payload, now);
        (true, "updated")
    }

    /// A node tells how a program goes; whether it was asked to run it.
    fn note_run(
        &mut self,
        conn: openclaw_protocol_core::server::ConnId,
        event: &str,
        payload: Option<&Json>,
        now: Now,
    ) -> bool {
        let of_run: Option<OfRun> = payload.and_then(|payload| payload.read().ok());
        let Some(of_run) = of_run else { return false };
        let (Some(run_id), Some(attached)) = (of_run.run_id, self.fleet.attached.get_mut(&conn))
        else {
            return false;
        };
        let own = format!("node-{}", attached.node_id);
        let session = of_run.session_key.as_deref().filter(|key| *key != own);
        let is_over = event != "exec.started";
        if !attached.running.tell(&run_id, session, is_over, now.at) {
            return false;
        }
        let exit = of_run.exit_code.map(|code| format!(" exit={code}"));
        log::info!(
            "node={} {event} run={} command={:?}{}",
            attached.node_id,
            cut(&run_id, 64),
            cut(of_run.command.as_deref().unwrap_or_default(), 120),
            exit.unwrap_or_default()
        );
        true
    }
}

fn read(params: Option<&Json>) -> Result<Told, ErrorShape> {
    const METHOD: &str = "node.event";
    let value = params::value(METHOD, params)?;
    EVENT
        .check(&value)
        .map_err(|finding| params::invalid(METHOD, &finding))?;
    let empty = Json::empty_object();
    let unreadable = |_| params::invalid(METHOD, &shape::Finding::unreadable(""));
    params.unwrap_or(&empty).read().map_err(unreadable)
}

/// What was written as text counts before what was written as it is.
fn payload(told: &Told) -> Option<Json> {
    match (&told.written, &told.payload) {
        (Some(written), _) => Json::parse(written.clone()).ok(),
        (None, Some(payload)) => Json::parse(payload.get().to_owned()).ok(),
        (None, None) => None,
    }
}

fn is_object(json: &Json) -> bool {
    json.as_str().trim_start().starts_with('{')
}

fn handled(event: &str, handled: bool, reason: &str) -> Outcome {
    Outcome::success(
        Object::new()
            .boolean("ok", true)
            .text("event", event)
            .boolean("handled", handled)
            .text("reason", reason),
    )
}

fn alive_noted(
    pairings: &Pairings,
    node_id: &str,
    trigger: &str,
    now_ms: u64,
) -> Decision<&'static str> {
    let Some(node) = pairings.nodes().node(node_id) else {
        return Decision::of("persist_failed");
    };
    let is_fresh = |(at, _): &(u64, String)| now_ms.saturating_sub(*at) < ALIVE_STEP_MS;
    if node.alive.as_ref().is_some_and(is_fresh) {
        return Decision::of("throttled");
    }
    let node = Node {
        alive: Some((now_ms, trigger.to_owned())),
        ..node.clone()
    };
    let mut decision = Decision::of("persisted");
    let change = NodeChange::Put(Box::new(node));
    decision.changes.push(change.into());
    decision
}

impl Stats {
    fn is_sound(&self) -> bool {
        let disks = (&self.disk_total_bytes, &self.disk_available_bytes);
        let disks = match disks {
            (Some(total), Some(available)) => available.get() <= total.get(),
            (None, None) => true,
            _ => false,
        };
        (1..=MAX_CPUS).contains(&self.cpu_count.get())
            && self.memory_free_bytes.get() <= self.memory_total_bytes.get()
            && disks
    }

    fn view(&self, now_ms: u64) -> Object {
        let mut object = Object::new().number("cpuCount", self.cpu_count.get());
        if let Some(load) = self.load_average.and_then(|load| Json::of(&load).ok()) {
            object = object.json("loadAverage", &load);
        }
        object = object
            .number("memoryTotalBytes", self.memory_total_bytes.get())
            .number("memoryFreeBytes", self.memory_free_bytes.get());
        for (name, bytes) in [
            ("diskTotalBytes", self.disk_total_bytes),
            ("diskAvailableBytes", self.disk_available_bytes),
        ] {
            if let Some(bytes) = bytes {
                object = object.number(name, bytes.get());
            }
        }
        object.number("updatedAtMs", now_ms)
    }
}

fn broadcast(hub: &mut Hub, event: &'static str, payload: Object, now: Now) {
    let publication = Publication {
        event,
        payload: payload.finish(),
        audience: Audience::Operators(Scope::Read),
        // The next one says it again; who reads too slowly can do without.
        class: Class::Delta,
    };
    hub.broadcast(publication, now);
}
