//! The command against what is no client: it always ends in time, says why, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn judged(command: &str, more: &[&str]) -> Done {
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_openclaw-conformance"))
        .args(["client", "--timeout", "1", "--command", command])
        .args(more)
        .output()
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn is_unusable(command: &str, why: &str) {
    let done = judged(command, &[]);
    assert_eq!(done.code, Some(2), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains(why), "{}", done.stderr);
}

#[test]
fn a_command_that_cannot_be_started_is_named() {
    is_unusable("no-such-client --fast", "cannot be started");
    is_unusable("no-such-client --fast", "no-such-client");
    is_unusable("/", "cannot be started");
}

#[test]
fn a_client_that_ends_before_it_connects_is_told_with_its_own_words() {
    is_unusable("echo out of luck >&2; exit 7", "ended with 7");
    is_unusable("echo out of luck >&2; exit 7", "out of luck");
    is_unusable("true", "ended with 0, before it connected");
}

#[test]
fn a_client_that_quotes_the_token_is_told_without_it() {
    // The second is cut in its middle.
    for said in [
        "\\\"$OPENCLAW_GATEWAY_TOKEN\\\"",
        "$OPENCLAW_GATEWAY_TOKEN$(printf %390s)end",
    ] {
        let done = judged(&format!("echo \"{said}\" >&2; exit 7"), &[]);
        assert_eq!(done.code, Some(2), "{}", done.stderr);
        assert!(done.stderr.contains("token>"), "{}", done.stderr);
        assert!(!done.stderr.contains("conformance-"), "{}", done.stderr);
    }
}

#[test]
fn a_client_that_never_connects_is_ended_with_whatever_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("pid");
    let command = format!("sleep 600 & echo $! > '{}'; wait", note.display());
    is_unusable(&command, "never connects");
    assert!(is_gone(&fs::read_to_string(note).unwrap()));
}

/// Waits until a process is no more.
fn is_gone(pid: &str) -> bool {
    let stat = format!("/proc/{}/stat", pid.trim());
    soon(|| !fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")))
}

fn soon(reached: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    while !reached() && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    reached()
}

#[test]
fn a_judge_that_is_interrupted_leaves_no_client_behind() {
    for (signal, name) in [
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::HUP, "SIGHUP"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("pid");
        let command = format!("sleep 4321 & echo $! > '{}'; wait", note.display());
        let judge = Command::new(env!("CARGO_BIN_EXE_openclaw-conformance"))
            .args(["client", "--timeout", "60", "--command", &command])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = || fs::read_to_string(&note).unwrap_or_default();
        assert!(soon(|| pid().ends_with('\n')));
        let own = i32::try_from(judge.id()).unwrap();
        kill_process(Pid::from_raw(own).unwrap(), signal).unwrap();
        let output = judge.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(name), "{told}");
        assert!(is_gone(&pid()), "{name}");
    }
}

#[test]
fn a_client_that_prints_without_end_floods() {
    is_unusable("yes", "prints without end");
}

/// Speaks to the place in the environment with the shell of the judge.
fn spoken(talk: &str) -> String {
    let connect = r#"exec 3<>"/dev/tcp/127.0.0.1/${OPENCLAW_GATEWAY_URL##*:}"; "#;
    format!("bash -c '{connect}{talk}'")
}

#[test]
fn what_speaks_no_websocket_is_no_client() {
    let smtp = spoken(r#"echo "EHLO example" >&3; sleep 600"#);
    is_unusable(&smtp, "does not ask for a WebSocket");
    let silent = spoken("sleep 600");
    is_unusable(
        &silent,
        "does not ask for a WebSocket: nothing came in time",
    );
    let endless = spoken(r#"while echo "GET / HTTP/1.1" >&3; do :; done"#);
    is_unusable(&endless, "does not ask for a WebSocket");
}

#[test]
fn a_client_that_floods_after_the_upgrade_is_not_listened_to_for_ever() {
    let upgrade = r#"printf "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" >&3; "#;
    // Empty messages, masked with nothing.
    let empty = r#"for i in 1 2 3 4 5 6 7 8 9 10; do m="$m\x81\x82\x00\x00\x00\x00{}"; done; while printf "$m" >&3; do :; done"#;
    let flood = spoken(&format!("{upgrade}{empty}"));
    is_unusable(&flood, "cannot be judged");
    let quiet = spoken(&format!("{upgrade}sleep 600"));
    is_unusable(&quiet, "no request connect in time");
}

#[test]
fn a_client_that_is_wrong_about_its_arguments_is_not_started() {
    for args in [
        &["--protocol", "5"][..],
        &["--timeout", "NaN"],
        &["--only", "HSK-001"],
        &["--format", "yaml"],
        &["--baseline", "no/such/file"],
    ] {
        let done = judged("exit 7", args);
        assert_eq!(done.code, Some(2), "{args:?}");
        assert!(
            !done.stderr.contains("ended with 7"),
            "{args:?}: {}",
            done.stderr
        );
        assert!(!done.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_judgement_of_nothing_is_no_success() {
    for args in [
        &["--only", "LIV-105/ends"][..],
        &["--only", "REQ-104", "--only", "LIV-105/ends"],
    ] {
        let done = judged("exit 7", args);
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.stdout);
        let stderr = &done.stderr;
        assert!(stderr.contains("needs --slow"), "{args:?}: {stderr}");
    }
}

#[test]
fn the_conversation_of_a_judgement_that_cannot_begin_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let transcripts = dir.path().join("t");
    let smtp = spoken(r#"printf "EHLO example\r\n\r\n" >&3; sleep 600"#);
    let done = judged(&smtp, &["--transcripts", transcripts.to_str().unwrap()]);
    assert_eq!(done.code, Some(2), "{}", done.stdout);
    let told = fs::read_to_string(transcripts.join("preflight.txt")).unwrap();
    assert!(told.contains("a connection comes"), "{told}");
    assert!(told.contains("EHLO example"), "{told}");
    assert!(told.contains("asks for no WebSocket"), "{told}");
}
