//! The node host, at a gateway that says what a test wants.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::Home;
use support::node::{Lab, hello, is_gone, line_in, run};

/// What it starts runs until it is ended, and says under which number.
const ENDLESS: &str = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000";

fn payload(result: &Value) -> Value {
    assert_eq!(result["ok"], true, "{result:#}");
    serde_json::from_str(result["payloadJSON"].as_str().unwrap()).unwrap()
}

#[test]
fn it_says_what_it_is_and_offers_no_program_unasked() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let program = home.script("tool", "");
        for (more, offered) in [
            (
                String::new(),
                json!(["system.info", "system.notify", "system.which"]),
            ),
            (
                format!("--allow-run {program} --display-name desk --node-id i-1"),
                json!(["system.info", "system.notify", "system.run", "system.which"]),
            ),
            (
                "--commands system.which".to_owned(),
                json!(["system.which"]),
            ),
        ] {
            let node = home.node(&format!("{} {more}", lab.flags()));
            let (_peer, connect) = lab.accept().await;
            let params = &connect["params"];
            assert_eq!(params["client"]["id"], "node-host");
            assert_eq!(params["client"]["mode"], "node");
            assert_eq!(params["role"], "node");
            assert_eq!(params["scopes"], json!([]));
            assert_eq!(params["caps"], json!(["system"]));
            assert_eq!(params["commands"], offered);
            assert_eq!(params["auth"]["token"], "hunter2-hunter2");
            assert_eq!(params["device"]["nonce"], "n");
            if more.contains("desk") {
                assert_eq!(params["client"]["displayName"], "desk");
                assert_eq!(params["client"]["instanceId"], "i-1");
            }
            drop(node);
        }
    });
}

#[test]
fn a_program_runs_only_as_it_was_allowed() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let tool = home.script("tool", "echo \"$1|$TZ|$HOME|$PWD\"; exit 3");
        let other = home.script("other", "touch ran");
        let _node = home.node(&format!("{} --allow-run {tool}", lab.flags()));
        let mut peer = lab.welcome().await;
        let params = json!({"command": [tool, "a b;c"], "env": {"TZ": "UTC"}, "cwd": "/"});
        peer.invoke("1", "system.run", params).await;
        let ran = payload(&peer.result().await);
        let home_dir = home.path("");
        let home_dir = home_dir.to_str().unwrap().trim_end_matches('/');
        assert_eq!(
            ran,
            json!({
                "exitCode": 3, "timedOut": false, "success": false,
                "stdout": format!("a b;c|UTC|{home_dir}|/\n"), "stderr": "", "error": null,
            })
        );
        for (command, code) in [
            (json!([other]), "SYSTEM_RUN_DENIED"),
            (json!(["/bin/sh", "-c", tool]), "SYSTEM_RUN_DENIED"),
            (json!([format!("{tool} ")]), "SYSTEM_RUN_DENIED"),
            (json!([]), "INVALID_REQUEST"),
        ] {
            peer.invoke("2", "system.run", json!({ "command": command }))
                .await;
            let result = peer.result().await;
            assert_eq!(result["error"]["code"], code, "{result:#}");
        }
        assert!(!home.path("ran").exists());
    });
}

#[test]
fn every_invoke_is_answered_once_whatever_it_is() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let _node = home.node(&lab.flags());
        let mut peer = lab.welcome().await;
        peer.invoke(
            "which",
            "system.which",
            json!({"bins": ["sh", "nonesuch-x"]}),
        )
        .await;
        peer.invoke("info", "system.info", Value::Null).await;
        peer.invoke("run", "system.run", json!({"command": ["/bin/true"]}))
            .await;
        peer.invoke("unknown", "camera.snap", json!({})).await;
        peer.invoke("wrong", "system.which", json!([1])).await;
        let unreadable =
            json!({"id": "unreadable", "nodeId": "n", "command": "system.info", "paramsJSON": "{"});
        peer.push("node.invoke.request", unreadable).await;
        let large = json!({"title": "x".repeat(300_000)});
        peer.invoke("large", "system.notify", large).await;
        let mut results = BTreeMap::new();
        for _ in 0..7 {
            let result = peer.result().await;
            let id = result["id"].as_str().unwrap().to_owned();
            assert_eq!(
                results.insert(id.clone(), result),
                None,
                "{id} is answered twice"
            );
        }
        let path = payload(&results["which"])["bins"]["sh"].clone();
        assert!(path.as_str().unwrap().ends_with("/sh"), "{path}");
        assert!(payload(&results["info"])["cpuCount"].is_u64());
        for (id, code, part) in [
            ("run", "UNAVAILABLE", "--allow-run"),
            ("unknown", "UNAVAILABLE", "camera.snap"),
            ("wrong", "INVALID_REQUEST", "bins required"),
            ("unreadable", "INVALID_REQUEST", "read"),
            ("large", "INVALID_REQUEST", "bytes"),
        ] {
            let error = &results[id]["error"];
            assert_eq!(error["code"], code, "{id}: {error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(part), "{id}: {error}");
        }
    });
}

#[test]
fn too_much_at_a_time_is_refused_and_a_repeat_joins() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let gate = home.script(
            "gate",
            "echo . >> begun; while ! [ -e open ]; do sleep 0.05; done",
        );
        let _node = home.node(&format!("{} --allow-run {gate}", lab.flags()));
        let mut peer = lab.welcome().await;
        let params = json!({"command": ["gate"]});
        for id in 0..16 {
            let id = id.to_string();
            peer.invoke(&id, "system.run", params.clone()).await;
            peer.invoke(&id, "system.run", params.clone()).await;
        }
        peer.invoke("more", "system.run", params).await;
        let result = peer.result().await;
        assert_eq!(result["id"], "more");
        assert_eq!(result["error"]["code"], "BUSY");
        fs::write(home.path("open"), "").unwrap();
        for _ in 0..16 {
            assert_eq!(payload(&peer.result().await)["success"], true);
        }
        let begun = fs::read_to_string(home.path("begun")).unwrap();
        assert_eq!(begun.lines().count(), 16);
        peer.invoke("last", "system.info", Value::Null).await;
        assert_eq!(peer.result().await["id"], "last");
    });
}

#[test]
fn what_nobody_waits_for_is_ended() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let program = home.script("endless", ENDLESS);
        let _node = home.node(&format!("{} --allow-run {program}", lab.flags()));
        let mut peer = lab.welcome().await;
        peer.invoke("1", "system.run", json!({"command": ["endless"]}))
            .await;
        let pid = line_in(&home.path("pid"));
        let cancel = json!({"invokeId": "1", "nodeId": "n"});
        peer.push("node.invoke.cancel", cancel.clone()).await;
        let result = peer.result().await;
        assert_eq!(result["error"]["code"], "CANCELLED", "{result:#}");
        is_gone(&pid);
        // It is forgotten: neither another cancel nor its end is answered.
        peer.push("node.invoke.cancel", cancel).await;
        peer.invoke("2", "system.info", Value::Null).await;
        assert_eq!(peer.result().await["id"], "2");
    });
}

#[test]
fn what_takes_too_long_is_ended_in_time_to_say_so() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let program = home.script("endless", &format!("echo begun; {ENDLESS}"));
        let _node = home.node(&format!("{} --allow-run {program}", lab.flags()));
        let mut peer = lab.welcome().await;
        let params = json!({"command": ["endless"]});
        peer.invoke_within("1", "system.run", params, 2_000).await;
        let ran = payload(&peer.result().await);
        assert_eq!(ran["timedOut"], true, "{ran:#}");
        assert_eq!(ran["stdout"], "begun\n");
        is_gone(&line_in(&home.path("pid")));
    });
}

#[test]
fn a_lost_connection_ends_what_runs_and_another_is_made() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let program = home.script("endless", ENDLESS);
        let mut node = home.node(&format!("{} --allow-run {program}", lab.flags()));
        let mut peer = lab.welcome().await;
        node.wait_for("connected to ws://127.0.0.1");
        peer.invoke("1", "system.run", json!({"command": ["endless"]}))
            .await;
        let pid = line_in(&home.path("pid"));
        drop(peer);
        let line = node.wait_for("disconnected");
        assert!(line.contains("; next attempt in "), "{line}");
        is_gone(&pid);
        let mut peer = lab.welcome().await;
        node.wait_for("connected to ws://127.0.0.1");
        // What ran before is not answered here.
        peer.invoke("2", "system.info", Value::Null).await;
        assert_eq!(peer.result().await["id"], "2");
    });
}

#[test]
fn a_signal_ends_it_at_once_with_what_it_runs() {
    for signal in [Signal::TERM, Signal::INT] {
        run(async {
            let (lab, home) = (Lab::new().await, Home::new());
            let program = home.script("endless", ENDLESS);
            let node = home.node(&format!("{} --allow-run {program}", lab.flags()));
            let mut peer = lab.welcome().await;
            peer.invoke("1", "system.run", json!({"command": ["endless"]}))
                .await;
            let pid = line_in(&home.path("pid"));
            let ended = node.stop(signal);
            assert_eq!(ended.code, Some(0), "{ended:#?}");
            assert!(ended.took < Duration::from_secs(1), "{ended:#?}");
            assert!(ended.out.ends_with("stopped"), "{ended:#?}");
            is_gone(&pid);
            assert!(!format!("{ended:?}").contains("hunter"), "{ended:#?}");
            drop(peer);
        });
    }
}

#[test]
fn a_signal_ends_it_while_it_waits_for_a_gateway() {
    let home = Home::new();
    let mut node = home.node(&format!("--url ws://127.0.0.1:{} --token x", home.port));
    node.wait_for("next attempt in ");
    let ended = node.stop(Signal::TERM);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.took < Duration::from_secs(1), "{ended:#?}");
}

#[test]
fn it_says_that_what_it_offers_waits_and_that_it_was_approved() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let mut node = home.node(&lab.flags());
        let (mut peer, connect) = lab.accept().await;
        peer.answer(&connect, hello(1 << 20)).await;
        let event = peer.asked("node.event").await;
        let details = json!({"code": "PAIRING_CHANGED", "requestId": "req-1"});
        peer.fail(&event, "UNAVAILABLE", details).await;
        let line = node.wait_for("waiting for approval of what it offers");
        assert!(line.ends_with("openclaw nodes approve req-1"), "{line}");
        let resolved =
            json!({"requestId": "req-1", "nodeId": "n", "decision": "approved", "ts": 1});
        peer.push("node.pair.resolved", resolved).await;
        let event = peer.asked("node.event").await;
        peer.answer(&event, json!({"ok": true})).await;
        node.wait_for("approved: operators can invoke it");
    });
}

#[test]
fn a_device_that_is_not_approved_says_how_and_comes_in_by_itself_afterwards() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let mut node = home.node(&lab.flags());
        let waits = json!({"code": "PAIRING_REQUIRED", "requestId": "req-1"});
        lab.refuse("NOT_PAIRED", waits.clone()).await;
        let line = node.wait_for("waiting for approval of this device");
        assert!(line.ends_with("openclaw devices approve req-1"), "{line}");
        lab.refuse("NOT_PAIRED", waits).await;
        let _peer = lab.welcome().await;
        node.wait_for("connected to ");
        let ended = node.stop(Signal::TERM);
        let times = ended.out.matches("waiting for approval").count();
        assert_eq!(times, 1, "{ended:#?}");
    });
}

#[test]
fn its_own_token_is_kept_and_is_enough_until_it_opens_nothing() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let mut node = home.node(&lab.flags());
        let peer = lab.welcome().await;
        node.wait_for("approved");
        drop(peer);
        node.stop(Signal::TERM);
        let file = home.path(".openclaw/identity/device-auth.json");
        let kept = || fs::read_to_string(&file).unwrap();
        assert!(kept().contains("hunter3-hunter3"));

        let alone = format!("--url {}", lab.url());
        let node = home.node(&alone);
        let details = json!({"code": "AUTH_DEVICE_TOKEN_MISMATCH"});
        let connect = lab.refuse("INVALID_REQUEST", details).await;
        assert_eq!(
            connect["params"]["auth"],
            json!({"deviceToken": "hunter3-hunter3"})
        );
        let ended = node.end();
        assert_eq!(ended.code, Some(77), "{ended:#?}");
        assert!(ended.log.contains("opens nothing any more"), "{ended:#?}");
        assert!(!format!("{ended:?}").contains("hunter"), "{ended:#?}");
        assert!(!kept().contains("hunter3-hunter3"));
        assert_eq!(home.node(&alone).end().code, Some(2));
    });
}

#[test]
fn a_notification_is_shown_and_steers_no_terminal() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let mut node = home.node(&lab.flags());
        let mut peer = lab.welcome().await;
        let params = json!({"title": "Tea\u{1b}[31m", "body": "is\nready"});
        peer.invoke("1", "system.notify", params).await;
        let result = peer.result().await;
        assert_eq!(result, json!({"id": "1", "nodeId": "n", "ok": true}));
        let line = node.wait_for("notification");
        assert_eq!(line, "notification: Tea [31m: is ready");
    });
}

#[test]
fn an_answer_that_the_gateway_does_not_take_is_answered_with_that() {
    run(async {
        let (lab, home) = (Lab::new().await, Home::new());
        let program = home.script("talk", "head -c 5000 /dev/zero | tr '\\0' x");
        let _node = home.node(&format!("{} --allow-run {program}", lab.flags()));
        let mut peer = lab.welcome_with(4_096).await;
        peer.invoke("1", "system.run", json!({"command": ["talk"]}))
            .await;
        let result = peer.result().await;
        assert_eq!(result["error"]["code"], "PAYLOAD_TOO_LARGE", "{result:#}");
    });
}

#[test]
fn what_cannot_be_allowed_or_is_not_there_is_a_wrong_command_line() {
    let home = Home::new();
    for (flags, part) in [
        ("--allow-run uptime", "absolute"),
        ("--allow-run /nonesuch-program", "cannot be allowed"),
        ("--commands system.run", "--allow-run"),
        ("--commands camera.snap", "camera.snap"),
        ("--url ws://127.0.0.1:1 --host h", "exclude"),
        ("--port 0", "--port"),
        ("--host 10.0.0.1", "credentials"),
    ] {
        let done = home.run_line(&format!("node run {flags}")).exits(2);
        assert!(done.stderr.contains(part), "{flags}: {done:#?}");
    }
    for program in ["uptime", "/nonesuch-program"] {
        home.write_config(&format!(r#"{{nodeHost: {{allowRun: ["{program}"]}}}}"#));
        let done = home.run_line("node run").exits(78);
        assert!(done.stderr.contains("nodeHost.allowRun"), "{done:#?}");
    }
}
