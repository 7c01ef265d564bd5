//! The commands over nodes, at a gateway that says what a test wants.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::{Value, json};
use support::node::{Lab, Peer, run};
use support::{Done, Home, Running};

const DESK: &str = "4c9c56e568a699f39a9aa434092d05ee057b65f6b70026d2645d8ce20ccc995a";
const ATTIC: &str = "596cb165157a8763da4044671db84afcdd0430b140e77d50f0e99787912ee89d";

fn nodes() -> Value {
    json!({"ts": 1, "nodes": [
        {
            "nodeId": DESK, "displayName": "Bob's Desk", "platform": "linux", "version": "1",
            "clientId": "node-host", "clientMode": "node", "caps": ["system"], "commands": [],
            "approvalState": "pending-approval", "pendingRequestId": "req-1",
            "pendingDeclaredCommands": ["system.which"], "paired": true, "connected": true, "novelty": 1.50,
        },
        {
            "nodeId": ATTIC, "displayName": "attic\u{202e}", "remoteIp": "10.0.0.7",
            "commands": ["system.notify"], "approvalState": "approved", "paired": true, "connected": false,
        },
    ]})
}

fn requests() -> Value {
    json!({"pending": [{
        "requestId": "req-1", "nodeId": DESK, "displayName": "Bob's Desk", "commands": ["system.which"],
        "requiredApproveScopes": ["operator.pairing", "operator.admin"], "ts": 1,
    }], "paired": []})
}

/// A command that runs at a gateway.
struct Asking {
    lab: Lab,
    home: Home,
}

impl Asking {
    async fn new() -> Self {
        Self {
            lab: Lab::new().await,
            home: Home::new(),
        }
    }

    fn start(&self, args: &[&str]) -> Running {
        let url = self.lab.url();
        let more = ["--url", &url, "--token", "hunter2-hunter2"];
        let args = ["nodes"].iter().chain(args).chain(&more);
        Running::start(self.home.command(args))
    }

    async fn welcome(&self) -> Peer {
        let (mut peer, connect) = self.lab.accept().await;
        let hello = json!({
            "type": "hello-ok", "protocol": 4, "server": {"version": "9.9", "connId": "c1"},
            "features": {}, "auth": {"role": "operator", "scopes": connect["params"]["scopes"]},
            "policy": {"maxPayload": 1 << 20, "maxBufferedBytes": 1 << 20, "tickIntervalMs": 30_000},
        });
        peer.answer(&connect, hello).await;
        peer
    }

    /// Runs a command that asks for the nodes, and then for one thing.
    async fn asks(
        &self,
        args: &[&str],
        method: &str,
        answer: Result<Value, Value>,
    ) -> (Done, Value) {
        let running = self.start(args);
        let mut peer = self.welcome().await;
        let request = peer.asked("node.list").await;
        peer.answer(&request, nodes()).await;
        let request = peer.asked(method).await;
        match answer {
            Ok(payload) => peer.answer(&request, payload).await,
            Err(error) => peer.fail_with(&request, error).await,
        }
        drop(peer);
        let done = running.wait().hides("hunter2");
        (done, request["params"].clone())
    }
}

#[test]
fn an_invoke_says_what_was_typed_and_prints_what_came_of_it() {
    run(async {
        let asking = Asking::new().await;
        let answer = json!({"ok": true, "nodeId": DESK, "command": "c", "payload": {"a": 1}, "payloadJSON": "{\"a\":1}"});
        let args = [
            "invoke",
            "--node",
            "BOB S DESK",
            "--command",
            "system.which",
            "--params",
            r#"{"bins":["ls"]}"#,
            "--invoke-timeout",
            "1234",
            "--idempotency-key",
            "k-1",
        ];
        let (done, params) = asking.asks(&args, "node.invoke", Ok(answer.clone())).await;
        assert_eq!(
            params,
            json!({
                "nodeId": DESK, "command": "system.which", "params": {"bins": ["ls"]},
                "timeoutMs": 1234, "idempotencyKey": "k-1",
            })
        );
        assert_eq!(done.exits(0).document(), answer);

        let bare = ["invoke", "--node", DESK, "--command", "x"];
        let (_, first) = asking.asks(&bare, "node.invoke", Ok(json!({}))).await;
        let (_, second) = asking.asks(&bare, "node.invoke", Ok(json!({}))).await;
        assert_eq!(
            (&first["params"], &first["timeoutMs"]),
            (&json!({}), &json!(15_000))
        );
        assert_ne!(first["idempotencyKey"], second["idempotencyKey"]);
    });
}

#[test]
fn whoever_is_refused_learns_what_to_do() {
    run(async {
        let asking = Asking::new().await;
        let not_connected = json!({"code": "UNAVAILABLE", "message": "node not connected", "details": {"code": "NOT_CONNECTED"}});
        let waits = json!({"code": "UNAVAILABLE", "message": "node pairing changed", "retryable": true, "details": {"code": "PAIRING_CHANGED"}});
        let scope = json!({"code": "FORBIDDEN", "message": "missing scope: operator.admin", "details": {"code": "MISSING_SCOPE", "missingScope": "operator.admin"}});
        let undeclared = json!({"code": "INVALID_REQUEST", "message": "node command not allowed", "details": {"reason": "command not declared by node", "command": "x"}});
        let forbidden = json!({"code": "INVALID_REQUEST", "message": "node command not allowed", "details": {"reason": "command not allowlisted", "command": "x"}});
        for (node, error, part) in [
            (ATTIC, not_connected, "openclaw node run"),
            (
                DESK,
                waits,
                "openclaw nodes approve req-1 --url ws://127.0.0.1",
            ),
            (DESK, scope, "It takes operator.admin"),
            (ATTIC, undeclared, "It offers: system.notify"),
            (ATTIC, forbidden, "gateway.nodes.commands"),
        ] {
            let args = ["invoke", "--node", node, "--command", "x"];
            let (done, _) = asking.asks(&args, "node.invoke", Err(error)).await;
            let done = done.exits(1);
            assert!(done.stderr.contains(part), "no {part:?}: {done:#?}");
            assert_eq!(done.stdout, "");
        }
    });
}

#[test]
fn a_node_that_nobody_knows_is_asked_nothing() {
    run(async {
        let asking = Asking::new().await;
        for (node, part) in [
            (
                "cellar",
                "unknown node: cellar (known: Bob's Desk 4c9c56e568a6, attic",
            ),
            ("4c9c5", "unknown node: 4c9c5 "),
        ] {
            let running = asking.start(&["remove", "--node", node]);
            let mut peer = asking.welcome().await;
            let request = peer.asked("node.list").await;
            peer.answer(&request, nodes()).await;
            assert_eq!(peer.heard().await, None);
            let done = running.wait().exits(1);
            assert!(done.stderr.contains(part), "{done:#?}");
        }
    });
}

#[test]
fn a_request_is_approved_by_its_id_alone() {
    run(async {
        let asking = Asking::new().await;
        let running = asking.start(&["approve", "req-1"]);
        let mut peer = asking.welcome().await;
        let request = peer.asked("node.pair.list").await;
        peer.answer(&request, requests()).await;
        let mut peer = asking.welcome().await;
        let request = peer.asked("node.pair.approve").await;
        assert_eq!(request["params"], json!({"requestId": "req-1"}));
        peer.answer(&request, json!({"requestId": "req-1", "node": {}}))
            .await;
        drop(peer);
        let done = running.wait().exits(0);
        assert_eq!(done.stdout, "Approved Bob's Desk: system.which\n");

        let running = asking.start(&["approve", "req"]);
        let mut peer = asking.welcome().await;
        let request = peer.asked("node.pair.list").await;
        peer.answer(&request, requests()).await;
        assert_eq!(peer.heard().await, None);
        let done = running.wait().exits(1);
        let expected = "No pending node request matches req. Run openclaw nodes pending";
        assert!(done.stderr.contains(expected), "{done:#?}");
    });
}

#[test]
fn tables_say_how_nodes_are_and_what_to_do() {
    run(async {
        let asking = Asking::new().await;
        let lists = |args: &'static [&'static str]| {
            let asking = &asking;
            async move {
                let running = asking.start(args);
                let mut peer = asking.welcome().await;
                while let Some(request) = peer.heard().await {
                    let answer = if request["method"] == "node.list" {
                        nodes()
                    } else {
                        requests()
                    };
                    peer.answer(&request, answer).await;
                }
                running.wait().exits(0)
            }
        };
        let status = lists(&["status"]).await.stdout;
        for part in [
            "Known: 2 · Paired: 2 · Connected: 1\n",
            "4c9c56e568a6",
            "approval pending",
            "Approval pending for Bob's Desk. Run openclaw nodes approve req-1",
            "attic\u{fffd}",
        ] {
            assert!(status.contains(part), "no {part:?}: {status}");
        }
        let connected = lists(&["status", "--connected"]).await.stdout;
        assert!(!connected.contains("attic"), "{connected}");
        assert_eq!(lists(&["status", "--json"]).await.document(), nodes());
        let list = lists(&["list"]).await.stdout;
        assert!(
            list.starts_with("Pending: 1 · Paired: 2\n\nPending\nRequest"),
            "{list}"
        );
        let document = lists(&["list", "--json", "--connected"]).await.document();
        assert_eq!(document["pending"], requests()["pending"]);
        assert_eq!(document["paired"], json!([nodes()["nodes"][0]]));
        let pending = lists(&["pending"]).await.stdout;
        assert!(
            pending.contains("operator.pairing, operator.admin"),
            "{pending}"
        );
        let document = lists(&["pending", "--json"]).await.document();
        assert_eq!(document, requests()["pending"]);
    });
}

#[test]
fn changes_are_made_to_the_node_that_was_meant() {
    run(async {
        let asking = Asking::new().await;
        let (done, params) = asking
            .asks(
                &["rename", "--node", "10.0.0.7", "--name", " Lamp "],
                "node.rename",
                Ok(json!({"nodeId": ATTIC, "displayName": "Lamp"})),
            )
            .await;
        assert_eq!(params, json!({"nodeId": ATTIC, "displayName": "Lamp"}));
        assert_eq!(done.exits(0).stdout, format!("Renamed {ATTIC} → Lamp\n"));
        let (done, params) = asking
            .asks(
                &["remove", "--node", "596cb1"],
                "node.pair.remove",
                Ok(json!({"nodeId": ATTIC})),
            )
            .await;
        assert_eq!(params, json!({"nodeId": ATTIC}));
        assert_eq!(done.exits(0).stdout, format!("Removed {ATTIC}\n"));
        let mut described = nodes()["nodes"][0].clone();
        described["ts"] = json!(1);
        let (done, params) = asking
            .asks(
                &["describe", "--node", DESK],
                "node.describe",
                Ok(described),
            )
            .await;
        assert_eq!(params, json!({"nodeId": DESK}));
        let text = done.exits(0).stdout;
        for part in [
            "Name          Bob's Desk\n",
            "Commands\n  none\n",
            "Asks for\n  system.which\n",
            "nodes approve req-1",
        ] {
            assert!(text.contains(part), "no {part:?}: {text}");
        }
    });
}

#[test]
fn what_is_typed_wrong_asks_nobody() {
    let home = Home::new();
    for (args, part) in [
        (
            &["invoke", "--node", "n", "--command", "c", "--params", "[1]"][..],
            "JSON object",
        ),
        (
            &["invoke", "--node", "n", "--command", "c", "--params", "{"],
            "valid JSON",
        ),
        (&["invoke", "--node", "n", "--command", " "], "--command"),
        (
            &[
                "invoke",
                "--node",
                "n",
                "--command",
                "c",
                "--invoke-timeout",
                "0",
            ],
            "--invoke-timeout",
        ),
        (
            &[
                "invoke",
                "--node",
                "n",
                "--command",
                "c",
                "--idempotency-key",
                "",
            ],
            "--idempotency-key",
        ),
        (&["rename", "--node", "n", "--name", " "], "--name"),
        (&["approve"], "requestId"),
    ] {
        let done = home.run(["nodes"].iter().chain(args)).exits(2);
        assert!(done.stderr.contains(part), "{args:?}: {done:#?}");
    }
}
