//! A gateway and its clients, as processes.

#![cfg(unix)]

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use rustix::pty::{self, OpenptFlags};

use support::{Home, Running};

mod support;

#[test]
fn the_first_conversation_needs_no_set_up() {
    let mut home = Home::new();
    let gateway = home.gateway(&["--allow-unconfigured"]);
    let path = home.token_path();
    let token = fs::read_to_string(&path).unwrap().trim().to_owned();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let said = &gateway.announcement;
    assert!(
        said.starts_with(&format!("listening on {}", home.url())),
        "{said}"
    );
    assert!(
        said.contains(&format!("made a token for you: {}\n", path.display())),
        "{said}"
    );
    assert!(
        said.ends_with("try it: openclaw agent --message hello\n"),
        "{said}"
    );

    let done = home
        .run(["agent", "--message", "hello there"])
        .exits(0)
        .hides(&token);
    assert_eq!((&*done.stdout, &*done.stderr), ("hello there\n", ""));
    let done = home
        .run(["agent", "--message=a=b -- \"c\"  d", "--session-key=work"])
        .exits(0);
    assert_eq!(done.stdout, "a=b -- \"c\"  d\n");

    gateway.signal(Signal::TERM);
    let (code, said) = gateway.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("SIGTERM: stopping"), "{said}");
    assert!(!said.contains(&token), "{said}");

    let again = home.gateway(&["--allow-unconfigured", "--verbose"]);
    let said = &again.announcement;
    assert!(
        said.contains(&format!("\ntoken from {}\n", path.display())),
        "{said}"
    );
    again.signal(Signal::INT);
    let (code, said) = again.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(&token), "{said}");
}

#[test]
fn profiles_keep_to_themselves() {
    let mut home = Home::new();
    let gateway = home.gateway(&["--dev"]);
    assert!(
        gateway.announcement.contains("openclaw --dev agent"),
        "{}",
        gateway.announcement
    );
    assert!(home.path(".openclaw-dev/gateway-token").exists());
    let done = home.run_line("--dev agent --message hi").exits(0);
    assert_eq!(done.stdout, "hi\n");
    home.run_line("agent --message hi --dev").exits(0);
    let other = home.run_line("--profile other health").exits(77);
    assert!(
        other.stderr.contains("No token or password is set."),
        "{other:?}"
    );
    assert!(
        other.stderr.contains(".openclaw-other/gateway-token"),
        "{other:?}"
    );
}

#[test]
fn clients_say_how_the_gateway_is() {
    let mut home = Home::new();
    let _gateway = home.gateway(&["--allow-unconfigured"]);
    let url = home.url();

    let done = home.run_line("health").exits(0);
    assert!(done.stdout.starts_with("OK ("), "{done:?}");
    assert!(
        done.stdout
            .ends_with("ms)\nAgents: main (default)\nChannels: none\n"),
        "{done:?}"
    );
    assert_eq!(
        home.run_line("health --json").exits(0).document()["ok"],
        true
    );

    let done = home.run_line("gateway health").exits(0);
    assert!(done.stdout.starts_with("Gateway Health\nOK ("), "{done:?}");
    let health = home.run_line("gateway health --json").exits(0).document();
    assert_eq!(health["defaultAgentId"], "main");

    let done = home.run_line("gateway probe").exits(0);
    for line in [
        "Reachable: yes\n",
        "\nConnect: ok (",
        "\nProtocol: 4\n",
        "operator.admin",
    ] {
        assert!(done.stdout.contains(line), "{done:?}");
    }
    let probe = home.run_line("gateway probe --json").exits(0).document();
    assert_eq!(probe["ok"], true);
    assert_eq!(probe["url"], *url);
    assert_eq!(probe["urlSource"], "local loopback");
    assert_eq!(probe["protocol"], 4);
    assert_eq!(probe["scopes"].as_array().unwrap().len(), 5);

    let done = home.run_line("status").exits(0);
    assert!(
        done.stdout.contains(&format!("{url} (local loopback)")),
        "{done:?}"
    );
    assert!(
        done.stdout.contains("Runs      0 running · 0 queued\n"),
        "{done:?}"
    );
    let status = home.run_line("status --json").exits(0).document();
    assert_eq!(status["gateway"]["reachable"], true);
    assert_eq!(status["health"]["ok"], true);
    assert!(
        status["pid"].is_u64() && status["presence"].is_array(),
        "{status}"
    );
}

#[test]
fn any_method_can_be_called() {
    let mut home = Home::new();
    let _gateway = home.gateway(&["--allow-unconfigured"]);

    let done = home.run_line("gateway call health").exits(0);
    let json = done.stdout.strip_prefix("Gateway call: health\n").unwrap();
    assert!(json.starts_with("{\n  \"ok\": true,"), "{json}");
    serde_json::from_str::<serde_json::Value>(json).unwrap();

    let wait = [
        "gateway",
        "call",
        "agent.wait",
        r#"--params={"runId": "x", "timeoutMs": 0}"#,
        "--json",
    ];
    assert_eq!(home.run(wait).exits(0).document()["status"], "timeout");

    let run = r#"{"message":"one two","idempotencyKey":"k"}"#;
    let accepted = home
        .run(["gateway", "call", "agent", "--params", run, "--json"])
        .exits(0);
    assert_eq!(accepted.document()["status"], "accepted");
    let last = home.run([
        "gateway",
        "call",
        "agent",
        "--params",
        run,
        "--expect-final",
        "--json",
    ]);
    assert_eq!(
        last.exits(0).document()["result"]["payloads"][0]["text"],
        "one two"
    );

    let done = home.run_line("gateway call bogus").exits(1);
    assert_eq!(done.stderr, "Gateway call failed: unknown method: bogus\n");
    let bogus = home
        .run_line("gateway call bogus --json")
        .exits(1)
        .document();
    let expected = serde_json::json!({"ok": false, "error": {
        "type": "gateway_request_error", "code": "INVALID_REQUEST",
        "message": "unknown method: bogus", "retryable": false,
    }});
    assert_eq!(bogus, expected);
}

#[test]
fn a_run_that_fails_is_a_failure() {
    let mut home = Home::new();
    let _gateway = home.gateway(&["--allow-unconfigured"]);
    let done = home.run_line("agent --message /fail").exits(1);
    assert_eq!(done.stdout, "");
    assert_eq!(
        done.stderr,
        "Agent run failed: the echo agent was told to fail\n"
    );
    let failed = home
        .run_line("agent --message /fail --json")
        .exits(1)
        .document();
    assert_eq!(failed["ok"], false);
    assert_eq!(failed["error"]["code"], "UNAVAILABLE");
    assert_eq!(failed["payload"]["status"], "error");
    let late = home.run_line("agent --message /hang --timeout 1").exits(1);
    assert!(late.stderr.contains("timed out"), "{late:?}");
    home.run_line("agent --message hi --agent bogus").exits(1);

    let first = home
        .run_line("agent --message hi --json --idempotency-key=k")
        .exits(0);
    let second = home
        .run_line("agent --message hi --json --idempotency-key=k")
        .exits(0);
    assert_eq!(first.document()["runId"], "k");
    assert_eq!(first.stdout, second.stdout);
}

#[test]
fn a_terminal_sees_the_reply_once_as_it_grows() {
    let mut home = Home::new();
    let _gateway = home.gateway(&["--allow-unconfigured"]);
    let main = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&main).unwrap();
    pty::unlockpt(&main).unwrap();
    let name = pty::ptsname(&main, Vec::new()).unwrap();
    let terminal = OpenOptions::new()
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();

    let mut command = home.command(["agent", "--message", "/slow 400ms one two three"]);
    let client = Running::with_stdout(command.stdout(terminal));
    // The parent's copy of the terminal; the last one that is closed ends the reading.
    drop(command);
    let mut seen = Vec::new();
    let mut pieces = 0;
    let mut buffer = [0; 256];
    let mut main = File::from(main);
    while let Ok(count @ 1..) = main.read(&mut buffer) {
        pieces += 1;
        seen.extend_from_slice(&buffer[..count]);
    }
    client.wait().exits(0);
    assert_eq!(String::from_utf8(seen).unwrap(), "one two three\r\n");
    assert!(pieces > 1, "it came all at once");
}

#[test]
fn clients_hear_of_the_end_of_a_stopping_gateway() {
    let mut home = Home::new();
    let mut gateway = home.gateway(&["--allow-unconfigured"]);
    let client = Running::start(home.command(["agent", "--message", "/hang"]));
    gateway.wait_for("accepted session=");
    gateway.signal(Signal::TERM);
    gateway.wait_for("SIGTERM: stopping; ");
    gateway.signal(Signal::TERM);
    let (code, said) = gateway.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("SIGTERM: stopping at once"), "{said}");
    let done = client.wait().exits(1);
    assert_eq!(done.stderr, "Agent run failed: gateway stopping\n");
}

#[test]
fn a_lost_connection_says_that_the_run_may_go_on() {
    let mut home = Home::new();
    let mut gateway = home.gateway(&["--allow-unconfigured"]);
    let args = ["agent", "--message", "/hang", "--idempotency-key", "it's"];
    let client = Running::start(home.command(args));
    let json = Running::start(home.command(["agent", "--message=/hang", "--json"]));
    gateway.wait_for("accepted session=");
    gateway.wait_for("accepted session=");
    gateway.signal(Signal::KILL);
    gateway.end();
    let done = client.wait().exits(1);
    assert!(
        done.stderr.contains("The run may still be going on.\n"),
        "{done:?}"
    );
    let hint =
        r#"openclaw gateway call agent.wait --params '{"runId":"it'\''s","timeoutMs":5000}'"#;
    assert!(done.stderr.contains(hint), "{done:?}");
    let lost = json.wait().exits(1).document();
    assert_eq!(lost["error"]["code"], "OUTCOME_UNKNOWN");
    assert_eq!(lost["runId"].as_str().map(str::len), Some(36));
}
