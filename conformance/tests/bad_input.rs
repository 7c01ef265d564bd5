//! The command against what is no gateway: it always ends in time and says why.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn command(args: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_openclaw-conformance"))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Listens with a peer of this kind and judges it.
fn judged(peer: fn(TcpStream)) -> Done {
    judged_with(peer, &[])
}

fn judged_with(peer: fn(TcpStream), more: &[&str]) -> Done {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || peer(stream));
        }
    });
    let began = Instant::now();
    let args = ["gateway", "--url", &url, "--timeout", "0.5"];
    let done = command(&[&args[..], more].concat());
    assert!(began.elapsed() < Duration::from_secs(30));
    done
}

fn is_unusable(done: &Done, why: &str) {
    assert_eq!(done.code, Some(2), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains(why), "{}", done.stderr);
}

fn read_head(stream: &mut TcpStream) {
    let mut chunk = [0; 4096];
    let _ = stream.read(&mut chunk);
}

fn upgrade(stream: &mut TcpStream) {
    read_head(stream);
    let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
}

#[test]
fn wrong_arguments_are_the_fault_of_who_typed_them() {
    let url = "ws://127.0.0.1:1";
    for args in [
        &[][..],
        &["client"],
        &["client", "--command", "true", "--protocol", "2"],
        &["gateway"],
        &["gateway", "--url", "http://127.0.0.1:1"],
        &["gateway", "--url", url, "--protocol", "5"],
        &["gateway", "--url", url, "--timeout", "-1"],
        &["gateway", "--url", url, "--timeout", "NaN"],
        &["gateway", "--url", url, "--only", "XYZ"],
        &["gateway", "--url", url, "--format", "yaml"],
        &["gateway", "--url", url, "--baseline", "no/such/file"],
    ] {
        let done = command(args);
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.stderr);
        assert!(!done.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_closed_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    is_unusable(&command(&["gateway", "--url", &url]), "nobody listens on");
}

#[test]
fn a_peer_that_never_answers_is_not_waited_for_for_ever() {
    let done = judged(|mut stream| {
        let mut chunk = [0; 4096];
        while stream.read(&mut chunk).is_ok_and(|count| count > 0) {}
    });
    is_unusable(&done, "never answers");
}

#[test]
fn a_peer_that_upgrades_and_says_nothing_is_no_gateway() {
    let done = judged(|mut stream| {
        upgrade(&mut stream);
        thread::sleep(Duration::from_secs(60));
    });
    is_unusable(&done, "does not answer connect");
}

#[test]
fn a_web_server_is_no_gateway() {
    let done = judged(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    is_unusable(&done, "is no gateway: the upgrade was answered 404");
}

#[test]
fn what_speaks_no_http_is_no_gateway() {
    let done = judged(|mut stream| {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        read_head(&mut stream);
    });
    is_unusable(&done, "is no gateway: what came is no HTTP answer");
}

#[test]
fn tls_is_told_from_silence() {
    let done = judged(|mut stream| {
        let mut first = [0];
        let _ = stream.read(&mut first);
        if first[0] == 0x16 {
            // An alert: handshake failure.
            let _ = stream.write_all(b"\x15\x03\x03\x00\x02\x02\x28");
        }
    });
    is_unusable(&done, "speaks TLS");
}

#[test]
fn a_flood_is_not_swallowed() {
    let done = judged(|mut stream| {
        upgrade(&mut stream);
        let frame = [&[0x81, 126, 0xff, 0xff][..], &[b' '; 65_535]].concat();
        while stream.write_all(&frame).is_ok() {}
    });
    assert_eq!(done.code, Some(2), "{}{}", done.stdout, done.stderr);
    let done = judged(|mut stream| {
        upgrade(&mut stream);
        let frames = b"\x81\x02{}".repeat(10_000);
        while stream.write_all(&frames).is_ok() {}
    });
    assert_eq!(done.code, Some(2), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("floods"), "{}", done.stderr);
}

#[test]
fn a_wrong_token_is_told_before_a_hundred_failures() {
    let gateway = support::Gateway::new();
    let url = format!("ws://{}", gateway.address);
    let done = command(&["gateway", "--url", &url, "--token", "wrong"]);
    is_unusable(&done, "connect was refused");
    assert!(!done.stderr.contains(support::TOKEN));
}

#[test]
fn a_judgement_of_nothing_is_no_success() {
    for (more, needs) in [
        (&["--only", "EVT-004"][..], "needs --slow"),
        (&["--only", "EVT-007", "--slow"], "needs --protocol 3"),
    ] {
        let args = ["gateway", "--url", "ws://127.0.0.1:1"];
        let done = command(&[&args[..], more].concat());
        is_unusable(&done, needs);
    }
}

#[test]
fn the_conversation_of_a_judgement_that_cannot_begin_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let transcripts = dir.path().join("t");
    let gateway = support::Gateway::new();
    let url = format!("ws://{}", gateway.address);
    let shown = transcripts.to_str().unwrap();
    let args = [
        "gateway",
        "--url",
        &url,
        "--token",
        "wrong-token",
        "--transcripts",
        shown,
    ];
    is_unusable(&command(&args), "connect was refused");
    let told = transcript(&transcripts, "preflight.txt");
    assert!(told.contains("connect.challenge"), "{told}");
    assert!(told.contains("connect was refused"), "{told}");
    assert!(!told.contains("wrong-token"), "{told}");
}

#[test]
fn a_gateway_that_quotes_the_token_is_told_without_it() {
    let done = judged_with(
        |mut stream| {
            upgrade(&mut stream);
            let mut chunk = [0; 4096];
            let _ = stream.read(&mut chunk);
            let text = r#"{"type":"res","id":"preflight","ok":false,"error":{"code":"NO","message":"not \u0022quoted\u0022\\too-secret"}}"#;
            let mut frame = vec![0x81, u8::try_from(text.len()).unwrap()];
            frame.extend_from_slice(text.as_bytes());
            let _ = stream.write_all(&frame);
            thread::sleep(Duration::from_secs(5));
        },
        &["--token", "\"quoted\"\\too-secret"],
    );
    is_unusable(&done, "<token>");
    assert!(!done.stderr.contains("quoted"), "{}", done.stderr);
    assert!(!done.stderr.contains("too-secret"), "{}", done.stderr);
}

#[test]
fn a_baseline_is_held_both_ways_and_every_format_is_written() {
    let gateway = support::Gateway::new();
    let url = format!("ws://{}", gateway.address);
    let dir = tempfile::tempdir().unwrap();
    let judge = |more: &[&str]| {
        let args = [
            "gateway",
            "--url",
            &url,
            "--token",
            support::TOKEN,
            "--only",
            "HSK-01",
        ];
        command(&[&args[..], more].concat())
    };
    assert_eq!(judge(&[]).code, Some(0));
    let path = dir.path().join("baseline");
    std::fs::write(&path, "HSK-010/challenge a reason that is gone\n").unwrap();
    let done = judge(&["--baseline", path.to_str().unwrap()]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.stdout
            .contains("expected to fail: HSK-010/challenge (pass)")
    );
    let transcripts = dir.path().join("t");
    let json = judge(&[
        "--format",
        "json",
        "--transcripts",
        transcripts.to_str().unwrap(),
    ]);
    assert!(
        json.stdout.starts_with("{\"expected\":true"),
        "{}",
        json.stdout
    );
    assert!(
        judge(&["--format", "junit"])
            .stdout
            .contains("failures=\"0\"")
    );
    let told = transcript(&transcripts, "challenge.txt");
    assert!(told.contains("connect.challenge"), "{told}");
    assert!(!transcript(&transcripts, "hello.txt").contains(support::TOKEN));
}

fn transcript(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn the_list_names_every_check() {
    let done = command(&["list"]);
    assert_eq!(done.code, Some(0));
    assert!(done.stdout.lines().any(|line| line == "RUN-001/ack"));
}
