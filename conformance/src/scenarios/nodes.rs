//! Nodes: how they come in, what is asked of them, and what they say.
//!
//! Every scenario has nodes of its own and removes them.

mod approval;
mod endings;
mod events;
mod invokes;
mod later;
mod older;
mod pending;

use super::pairing::{does, id_of, is_ok, lists, request_of};
use super::{ADMIN, Scenario};
use crate::bench::{Bench, Trouble};
use crate::conn::{Conn, is_push};
use crate::device::{Device, Layout};
use crate::json::Value;
use crate::object;

/// All scenarios of nodes in the order in which they are played.
pub(super) fn scenarios() -> Vec<Scenario> {
    [
        approval::SCENARIOS,
        later::SCENARIOS,
        invokes::SCENARIOS,
        endings::SCENARIOS,
        events::SCENARIOS,
        pending::SCENARIOS,
        older::SCENARIOS,
    ]
    .concat()
}

/// A command that every gateway lets a node on Linux have.
const NOTIFY: &str = "system.notify";
/// One that starts programs.
const WHICH: &str = "system.which";
/// One that no gateway knows.
const UNHEARD_OF: &str = "conformance.unheard-of";

/// What a node says of itself when it connects.
#[derive(Clone, Copy)]
struct Offer<'a> {
    client: &'a str,
    /// Its platform and the family of its device.
    machine: (&'a str, &'a str),
    caps: &'a [&'a str],
    commands: &'a [&'a str],
    permissions: &'a [(&'a str, bool)],
}

const HOST: Offer<'_> = Offer {
    client: "node-host",
    machine: ("linux", "Linux"),
    caps: &["system"],
    commands: &[NOTIFY],
    permissions: &[],
};

/// A node of the judge's own.
struct Node {
    device: Device,
    id: String,
    name: String,
}

/// What a scenario of nodes plays with.
struct Stage<'a> {
    bench: &'a Bench,
    admin: Conn<'a>,
    node: Node,
    /// Another node.
    other: Node,
}

impl Node {
    fn new(bench: &Bench) -> Self {
        let device = bench.new_device();
        Self {
            id: id_of(&device),
            name: bench.name("node"),
            device,
        }
    }

    /// Connects; returns the conversation and the answer.
    fn knock<'b>(&self, bench: &'b Bench, offer: Offer<'_>) -> Result<(Conn<'b>, Value), Trouble> {
        let (platform, family) = offer.machine;
        let client = object! {
            "id": offer.client, "displayName": self.name.as_str(), "version": "1.2.3",
            "platform": platform, "deviceFamily": family, "mode": "node",
        };
        let mut permissions = object! {};
        for (name, allowed) in offer.permissions {
            permissions = permissions.with(name, *allowed);
        }
        let params = bench
            .params(&[])
            .with("role", "node")
            .with("client", client);
        let params = params
            .with("caps", offer.caps)
            .with("commands", offer.commands)
            .with("permissions", permissions);
        let mut conn = bench.open()?;
        let claim = self.device.claim(&conn.challenge()?);
        let proof = self.device.prove(&claim, &params, Layout::V3);
        let answer = conn.ask("connect", params.with("device", proof))?;
        Ok((conn, answer))
    }

    /// Connects, after an approval of its device where the gateway asks for one.
    fn come<'b>(
        &self,
        bench: &'b Bench,
        admin: &mut Conn<'_>,
        offer: Offer<'_>,
    ) -> Result<Conn<'b>, Trouble> {
        let (mut conn, mut answer) = self.knock(bench, offer)?;
        if let Some(request) = request_of(&answer, "not-paired") {
            does(admin, "device.pair.approve", object! {"requestId": request})?;
            (conn, answer) = self.knock(bench, offer)?;
        }
        conn.welcomed(&answer)?;
        Ok(conn)
    }

    /// Connects, and has all that it offers approved.
    fn ready<'b>(
        &self,
        bench: &'b Bench,
        admin: &mut Conn<'_>,
        offer: Offer<'_>,
    ) -> Result<Conn<'b>, Trouble> {
        let conn = self.come(bench, admin, offer)?;
        if bench.options.protocol >= 4
            && let Some(request) = self.waiting(admin)?
        {
            does(admin, "node.pair.approve", object! {"requestId": request})?;
        }
        Ok(conn)
    }

    /// Removes it.
    fn clear(&self, admin: &mut Conn<'_>) {
        // It may be gone already.
        let device = object! {"deviceId": self.id.as_str()};
        let _ = admin.ask("device.pair.remove", device);
    }

    /// The request for what it offers, if one waits.
    fn waiting(&self, admin: &mut Conn<'_>) -> Result<Option<String>, Trouble> {
        let list = does(admin, "node.pair.list", object! {})?;
        let row = self.row(&list, "payload.pending");
        Ok(row.and_then(|row| row.text("requestId")).map(str::to_owned))
    }

    /// Its row in a list.
    fn row<'v>(&self, answer: &'v Value, path: &str) -> Option<&'v Value> {
        let mut rows = answer.list(path).unwrap_or(&[]).iter();
        rows.find(|row| row.text("nodeId") == Some(&self.id))
    }

    /// How it is described to somebody.
    fn described(&self, conn: &mut Conn<'_>) -> Result<Value, Trouble> {
        let answer = conn.ask("node.describe", object! {"nodeId": self.id.as_str()})?;
        Ok(answer.at("payload").cloned().unwrap_or(Value::Null))
    }

    /// Takes the next push of this event that is about it.
    fn told(&self, conn: &mut Conn<'_>, bench: &Bench, event: &str) -> Result<Value, Trouble> {
        let push = conn.take(bench.patience(), |frame| {
            is_push(frame, event) && frame.text("payload.nodeId") == Some(&self.id)
        })?;
        Ok(push.unwrap_or(Value::Null))
    }

    /// The parameters of `node.invoke` for a command of it.
    fn order(&self, bench: &Bench, command: &str) -> Value {
        object! {
            "nodeId": self.id.as_str(),
            "command": command,
            "idempotencyKey": bench.name("invoke"),
        }
    }

    /// Answers an invocation; returns what the gateway says to that.
    fn reply(&self, conn: &mut Conn<'_>, asked: &Value, outcome: Value) -> Result<Value, Trouble> {
        let id = asked.text("payload.id").unwrap_or("");
        let result = outcome.with("id", id).with("nodeId", self.id.as_str());
        conn.ask("node.invoke.result", result)
    }
}

impl Stage<'_> {
    /// Removes the nodes.
    fn clear(&mut self) {
        for node in [&self.node, &self.other] {
            node.clear(&mut self.admin);
        }
    }

    /// What operators are shown of the node once it fits; the last that they were shown where it never does.
    fn shown(&mut self, fits: impl Fn(&Value) -> bool) -> Result<Value, Trouble> {
        let until = self.bench.deadline(self.bench.patience());
        loop {
            let entry = self.node.described(&mut self.admin)?;
            if fits(&entry) || std::time::Instant::now() >= until {
                return Ok(entry);
            }
            self.admin.settle()?;
        }
    }
}

/// Plays with nodes of the judge's own, and removes them whatever came of that.
fn staged(
    bench: &Bench,
    scenario: &Scenario,
    play: fn(&mut Stage<'_>) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut stage = match set_up(bench)? {
        Ok(stage) => stage,
        Err(why) => {
            for check in scenario.checks {
                bench.not_applicable(check, why);
            }
            return Ok(());
        }
    };
    let played = play(&mut stage);
    stage.clear();
    played
}

/// A stage, or why this gateway has no nodes.
fn set_up(bench: &Bench) -> Result<Result<Stage<'_>, &'static str>, Trouble> {
    if bench.options.token.is_empty() {
        return Ok(Err("no token was given: the gateway asks for none"));
    }
    let admin = bench.operator(ADMIN)?;
    let has = ["node.invoke", "device.pair.list"];
    if !has.into_iter().all(|method| lists(&admin, method)) {
        return Ok(Err(
            "the gateway lists no node.invoke, or no device.pair.list",
        ));
    }
    Ok(Ok(Stage {
        bench,
        admin,
        node: Node::new(bench),
        other: Node::new(bench),
    }))
}

/// A node that stays while others are judged.
pub(super) struct Guest<'a> {
    bench: &'a Bench,
    node: Node,
    pub(super) conn: Conn<'a>,
}

impl<'a> Guest<'a> {
    /// Comes in and has all that it offers approved; there is none where the gateway has no nodes.
    pub(super) fn come(bench: &'a Bench) -> Result<Option<Self>, Trouble> {
        let Ok(mut stage) = set_up(bench)? else {
            return Ok(None);
        };
        let conn = stage.node.ready(bench, &mut stage.admin, HOST)?;
        let node = stage.node;
        Ok(Some(Self { bench, node, conn }))
    }

    /// Goes, and is forgotten.
    pub(super) fn leave(self) -> Result<(), Trouble> {
        drop(self.conn);
        let mut admin = self.bench.operator(ADMIN)?;
        self.node.clear(&mut admin);
        Ok(())
    }
}

/// Takes the next invocation that a node is asked for.
fn asked(conn: &mut Conn<'_>, bench: &Bench) -> Result<Value, Trouble> {
    let push = conn.take(bench.patience(), |frame| {
        is_push(frame, "node.invoke.request")
    })?;
    let push = push.ok_or_else(|| Trouble("the node is asked nothing".to_owned()))?;
    alone(bench, &push);
    Ok(push)
}

/// A time after which an invocation that the node was not asked for is answered before nobody waits for it.
fn soon(bench: &Bench) -> Value {
    let half = bench.patience() / 2;
    Value::Number(half.as_millis().to_string())
}

/// Judges a push that is for one node alone.
fn alone(bench: &Bench, push: &Value) {
    bench.check("NOD-008/number", push.at("seq").is_none(), || {
        push.to_string()
    });
}

/// Whether it is refused with this code, and this code in its details.
fn refused(answer: &Value, code: &str, detail: &str) -> bool {
    answer.flag("ok") == Some(false)
        && answer.text("error.code") == Some(code)
        && answer.text("error.details.code") == Some(detail)
}

/// Whether it is refused because the pairing of the node does not hold, or does not hold any more.
fn unpaired(answer: &Value) -> bool {
    refused(answer, "UNAVAILABLE", "PAIRING_CHANGED")
        && answer.flag("error.retryable") == Some(true)
}

/// Whether it is refused with this message.
fn says(answer: &Value, code: &str, message: &str) -> bool {
    answer.flag("ok") == Some(false)
        && answer.text("error.code") == Some(code)
        && answer.text("error.message") == Some(message)
}

/// Whether there is a list of these texts, in this order.
fn is_list(value: &Value, path: &str, texts: &[&str]) -> bool {
    value.at(path) == Some(&Value::from(texts))
}

/// A result that says this.
fn done(payload: Value) -> Value {
    object! {"ok": true, "payload": payload}
}

/// A result that is a failure.
fn failed(code: &str, message: &str) -> Value {
    object! {"ok": false, "error": object! {"code": code, "message": message}}
}
