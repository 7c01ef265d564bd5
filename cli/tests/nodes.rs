//! Nodes and the commands over them, at our own gateway.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::net::{IpAddr, UdpSocket};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::node::{Node, is_gone, line_in};
use support::{Done, Gateway, Home, Running};

const SECRET: &str = "hunter2-hunter2";
const ENDLESS: &str = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000";

/// A gateway, and somewhere else a node.
struct Pair {
    host: Home,
    other: Home,
    gateway: Option<Gateway>,
}

impl Pair {
    fn new() -> Self {
        Self::listening("loopback")
    }

    fn listening(bind: &str) -> Self {
        let mut host = Home::new();
        host.write_config(&format!(
            r#"{{gateway: {{mode: "local", bind: "{bind}", auth: {{token: "{SECRET}"}},
                nodes: {{commands: {{allow: ["system.info"]}}}}}}}}"#
        ));
        let gateway = host.gateway(&[]);
        Self {
            other: Home::new(),
            host,
            gateway: Some(gateway),
        }
    }

    fn node(&self, flags: &str) -> Node {
        let flags = format!("--url {} --token {SECRET} {flags}", self.host.url());
        self.other.node(&flags)
    }

    /// Runs a command on the gateway's host.
    #[track_caller]
    fn nodes(&self, args: &[&str]) -> Done {
        let args = ["nodes"].iter().chain(args);
        self.host.run(args).hides(SECRET)
    }

    /// Starts a node, and approves what it offers.
    fn approved(&self, flags: &str) -> Node {
        let mut node = self.node(flags);
        let line = node.wait_for("waiting for approval of what it offers");
        let (_, command) = line.split_once("openclaw ").unwrap();
        self.host.run_line(command).exits(0);
        node.wait_for("approved: operators can invoke it");
        node
    }

    #[track_caller]
    fn invoke(&self, command: &str, params: &Value) -> Done {
        let params = params.to_string();
        self.nodes(&[
            "invoke",
            "--node",
            "desk",
            "--command",
            command,
            "--params",
            &params,
        ])
    }

    #[track_caller]
    fn payload(&self, command: &str, params: &Value) -> Value {
        self.invoke(command, params).exits(0).document()["payload"].clone()
    }

    fn desk(&self) -> Value {
        let status = self.nodes(&["status", "--json"]).exits(0).document();
        assert_eq!(status["nodes"].as_array().unwrap().len(), 1, "{status:#}");
        status["nodes"][0].clone()
    }
}

#[test]
fn a_node_is_tried_in_a_minute() {
    let pair = Pair::new();
    let tool = pair.other.script("tool", "echo \"$@\"");
    let mut node = pair.node(&format!("--display-name desk --allow-run {tool}"));
    let line = node.wait_for("waiting for approval of what it offers");
    let pending = pair.nodes(&["pending", "--json"]).exits(0).document();
    let id = pending[0]["requestId"].as_str().unwrap();
    assert!(
        line.ends_with(&format!("openclaw nodes approve {id}")),
        "{line}"
    );
    assert_eq!(
        pending[0]["requiredApproveScopes"],
        json!(["operator.pairing", "operator.admin"])
    );

    let early = pair
        .invoke("system.which", &json!({"bins": ["sh"]}))
        .exits(1);
    assert!(
        early
            .stderr
            .contains(&format!("openclaw nodes approve {id}")),
        "{early:#?}"
    );

    let approved = pair.nodes(&["approve", id]).exits(0);
    assert!(
        approved.stdout.starts_with("Approved desk: system."),
        "{approved:#?}"
    );
    node.wait_for("approved: operators can invoke it");
    let which = pair.payload("system.which", &json!({"bins": ["sh", "nonesuch-x"]}));
    assert_eq!(which["bins"].as_object().unwrap().len(), 1);
    assert!(pair.payload("system.info", &json!({}))["cpuCount"].is_u64());
    pair.invoke("system.notify", &json!({"title": "Tea"}))
        .exits(0);
    node.wait_for("notification: Tea");
    let ran = pair.payload("system.run", &json!({"command": ["tool", "a b", "$HOME"]}));
    assert_eq!(
        (&ran["stdout"], &ran["exitCode"]),
        (&json!("a b $HOME\n"), &json!(0))
    );
    let denied = pair
        .invoke("system.run", &json!({"command": ["/bin/sh"]}))
        .exits(1);
    assert!(denied.stderr.contains("SYSTEM_RUN_DENIED"), "{denied:#?}");

    let desk = pair.desk();
    assert_eq!(desk["approvalState"], "approved");
    assert_eq!(
        desk["commands"],
        json!(["system.info", "system.notify", "system.run", "system.which"])
    );
    let prefix = &desk["nodeId"].as_str().unwrap()[..6];
    pair.nodes(&["rename", "--node", prefix, "--name", "Lamp"])
        .exits(0);
    let text = pair.nodes(&["describe", "--node", "lamp"]).exits(0).stdout;
    assert!(text.contains("Name          Lamp\n"), "{text}");
    let ended = node.stop(Signal::TERM);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!format!("{ended:?}").contains(SECRET), "{ended:#?}");
}

#[test]
fn what_is_offered_more_waits_and_the_rest_goes_on() {
    let pair = Pair::new();
    let node = pair.approved("--display-name desk --commands system.which");
    node.stop(Signal::TERM);
    let mut node = pair.node("--display-name desk --commands system.which,system.notify");
    node.wait_for("connected to ");
    let which = json!({"bins": ["sh"]});
    pair.invoke("system.which", &which).exits(0);
    pair.invoke("system.notify", &json!({"title": "Tea"}))
        .exits(1);
    let desk = pair.desk();
    assert_eq!(desk["approvalState"], "pending-reapproval");
    let id = desk["pendingRequestId"].as_str().unwrap();
    pair.nodes(&["approve", id]).exits(0);
    pair.invoke("system.notify", &json!({"title": "Tea"}))
        .exits(0);
    node.wait_for("notification: Tea");
}

#[test]
fn what_runs_ends_with_its_node_and_whoever_waits_hears_of_it() {
    let pair = Pair::new();
    let program = pair.other.script("endless", ENDLESS);
    let node = pair.approved(&format!("--display-name desk --allow-run {program}"));
    let waiting = Running::start(pair.host.command([
        "nodes",
        "invoke",
        "--node",
        "desk",
        "--command",
        "system.run",
        "--params",
        r#"{"command":["endless"]}"#,
    ]));
    let pid = line_in(&pair.other.path("pid"));
    let ended = node.stop(Signal::INT);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    is_gone(&pid);
    let done = waiting.wait().exits(1);
    assert!(done.stderr.contains("DISCONNECTED"), "{done:#?}");
    let done = pair
        .invoke("system.run", &json!({"command": ["endless"]}))
        .exits(1);
    assert!(done.stderr.contains("openclaw node run"), "{done:#?}");
}

#[test]
fn what_takes_longer_than_was_given_ends() {
    let pair = Pair::new();
    let program = pair.other.script("endless", ENDLESS);
    let _node = pair.approved(&format!("--display-name desk --allow-run {program}"));
    let args = [
        "invoke",
        "--node",
        "desk",
        "--command",
        "system.run",
        "--params",
        r#"{"command":["endless"]}"#,
        "--invoke-timeout",
        "2000",
    ];
    let ran = pair.nodes(&args).exits(0).document();
    assert_eq!(ran["payload"]["timedOut"], true, "{ran:#}");
    is_gone(&line_in(&pair.other.path("pid")));
}

#[test]
fn a_node_comes_back_to_a_gateway_that_restarts() {
    let mut pair = Pair::new();
    let mut node = pair.approved("--display-name desk");
    let gateway = pair.gateway.take().unwrap();
    gateway.signal(Signal::TERM);
    gateway.end();
    node.wait_for("disconnected: the gateway restarts; next attempt in ");
    pair.gateway = Some(pair.host.gateway(&[]));
    node.wait_for("connected to ");
    node.wait_for("approved: operators can invoke it");
    pair.invoke("system.which", &json!({"bins": ["sh"]}))
        .exits(0);
}

#[test]
fn what_waits_for_a_node_outlives_a_gateway_that_is_killed() {
    let mut pair = Pair::new();
    let node = pair.approved("--display-name desk");
    let params = json!({"nodeId": pair.desk()["nodeId"], "type": "location.request"});
    let enqueue = |pair: &Pair| {
        let params = params.to_string();
        let args = [
            "gateway",
            "call",
            "node.pending.enqueue",
            "--params",
            &params,
            "--json",
        ];
        pair.host.run(args).exits(0).document()["queued"].clone()
    };
    let queued = enqueue(&pair);
    assert!(queued["id"].is_string(), "{queued:#}");
    node.stop(Signal::TERM);
    let gateway = pair.gateway.take().unwrap();
    gateway.signal(Signal::KILL);
    gateway.end();
    pair.gateway = Some(pair.host.gateway(&[]));
    assert_eq!(enqueue(&pair), queued, "it is the same that waits");
    assert_eq!(pair.desk()["approvalState"], "approved");
}

#[test]
fn a_node_that_is_removed_ends_and_asks_anew() {
    let pair = Pair::new();
    let node = pair.approved("--display-name desk");
    pair.nodes(&["remove", "--node", "desk"]).exits(0);
    let ended = node.end();
    assert_eq!(ended.code, Some(77), "{ended:#?}");
    assert!(ended.log.contains("removed this node"), "{ended:#?}");
    let _node = pair.approved("--display-name desk");
    pair.invoke("system.which", &json!({"bins": ["sh"]}))
        .exits(0);
}

/// Nothing is sent: the system only says which address it would send from.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn a_node_of_another_host_is_approved_twice_and_comes_back_on_its_own_token() {
    let Some(address) = own_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let pair = Pair::listening("lan");
    let url = format!("ws://{address}:{}", pair.host.port);
    let mut node = pair
        .other
        .node(&format!("--url {url} --token {SECRET} --display-name desk"));
    for what in ["of this device", "of what it offers"] {
        let line = node.wait_for(&format!("waiting for approval {what}"));
        let (_, command) = line.split_once("openclaw ").unwrap();
        pair.host.run_line(command).exits(0);
    }
    node.wait_for("approved: operators can invoke it");
    node.stop(Signal::TERM);
    let mut node = pair.other.node(&format!("--url {url} --display-name desk"));
    node.wait_for("approved: operators can invoke it");
    pair.invoke("system.which", &json!({"bins": ["sh"]}))
        .exits(0);
    assert_eq!(pair.desk()["remoteIp"], address.to_string());
}
