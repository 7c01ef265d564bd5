//! Who comes in through a proxy, as a running gateway's configuration says, seen from its sockets.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::Home;

mod support;

const REFUSED: &str = r#"{"error":{"message":"Proxy client attribution is required. Configure gateway.trustedProxies narrowly and make the proxy overwrite or safely rebuild forwarded client headers.","type":"proxy_attribution_required"}}"#;
const CLI: &str = r#""client":{"id":"cli","version":"1","platform":"linux","mode":"cli"},"scopes":["operator.admin"]"#;

fn socket(home: &Home) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", home.port)).unwrap();
    let patience = Some(Duration::from_secs(30));
    socket.set_read_timeout(patience).unwrap();
    socket
}

fn get(home: &Home, path: &str, fields: &str) -> String {
    let mut socket = socket(home);
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Connects with these fields in the upgrade, and returns all that it hears until it is answered.
fn connect(home: &Home, fields: &str, params: &str) -> String {
    let mut socket = socket(home);
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: localhost:{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n",
        home.port
    );
    socket.write_all(upgrade.as_bytes()).unwrap();
    let connect = format!(
        r#"{{"type":"req","id":"c","method":"connect","params":{{"minProtocol":4,"maxProtocol":4,{params}}}}}"#
    );
    let mut heard = String::new();
    let mut asked = false;
    while !heard.contains(r#""type":"res""#) && !heard.contains(" 403 ") {
        let mut buffer = [0; 4096];
        let count = socket.read(&mut buffer).unwrap();
        assert!(count > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if heard.contains("connect.challenge") && !asked {
            asked = true;
            // A mask of zeros leaves the text as it is.
            let length = u16::try_from(connect.len()).unwrap().to_be_bytes();
            let mut frame = vec![0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
            frame.extend_from_slice(connect.as_bytes());
            socket.write_all(&frame).unwrap();
        }
    }
    // Whatever of the answer is still on its way.
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    heard + &String::from_utf8_lossy(&rest)
}

#[test]
fn whom_no_trusted_proxy_names_is_not_heard() {
    let mut home = Home::new();
    home.write_config(r#"{gateway: {mode: "local", auth: {token: "t"}}}"#);
    let mut gateway = home.gateway(&[]);
    for field in [
        "X-Forwarded-For: 203.0.113.5\r\n",
        "X-Forwarded-For:\r\n",
        "Forwarded: for=127.0.0.1\r\n",
        "X-Real-IP: 127.0.0.1\r\n",
        "tailscale-user-login: ada@example.com\r\n",
    ] {
        for path in ["/", "/nowhere", "/ready", "/readyz"] {
            let answer = get(&home, path, field);
            assert!(answer.starts_with("HTTP/1.1 403 "), "{path}: {answer}");
            assert!(answer.ends_with(REFUSED), "{path}: {answer}");
        }
        let answer = get(&home, "/healthz", field);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let heard = connect(&home, field, CLI);
        assert!(heard.starts_with("HTTP/1.1 403 "), "{heard}");
        assert!(heard.ends_with(REFUSED), "{heard}");
    }
    assert!(get(&home, "/readyz", "").contains("uptimeMs"));
    gateway.wait_for("came through a proxy that is not trusted");
    home.run_line("health --token t").exits(0);
}

#[test]
fn the_configured_proxy_says_who_comes_in() {
    let mut home = Home::new();
    home.write_config(
        r#"{gateway: {mode: "local", trustedProxies: ["127.0.0.1"], auth: {
            mode: "trusted-proxy", password: "hunter2-hunter2",
            identityScopes: {"ada@example.com": ["operator.read"]},
            trustedProxy: {userHeader: "X-Forwarded-User", requiredHeaders: ["X-Edge"],
                allowUsers: ["ada@example.com"], allowLoopback: true}}}}"#,
    );
    let mut gateway = home.gateway(&[]);
    let announced = gateway.announcement.clone();
    assert!(
        announced.contains("a trusted proxy says who comes in"),
        "{announced}"
    );
    gateway.wait_for("allowLoopback is true");
    let chain = "X-Forwarded-For: 6.6.6.6, 203.0.113.5\r\n";
    let user = "X-Forwarded-User: ada@example.com\r\n";
    let with_token = format!(r#"{CLI},"auth":{{"token":"junk"}}"#);
    let heard = connect(&home, &format!("{chain}{user}X-Edge: 1\r\n"), &with_token);
    assert!(heard.contains(r#""scopes":["operator.read"]"#), "{heard}");
    for (fields, expected) in [
        (
            format!("{chain}{user}"),
            "trusted_proxy_missing_header_X-Edge",
        ),
        (
            format!("{chain}X-Forwarded-User: mallory\r\nX-Edge: 1\r\n"),
            "trusted_proxy_user_not_allowed",
        ),
        (
            format!("{chain}X-Edge: 1\r\n"),
            "trusted_proxy_user_missing",
        ),
        (format!("{user}X-Edge: 1\r\n"), "proxy_attribution_required"),
        (String::new(), "trusted_proxy_missing_header_X-Edge"),
    ] {
        let heard = connect(&home, &fields, &with_token);
        assert!(heard.contains(expected), "{fields}: {heard}");
    }
    // Commands on the gateway's host present the password.
    home.run_line("health").exits(0);
    home.run_line("devices list").exits(0);
    assert!(!get(&home, "/readyz", chain).contains("uptimeMs"));
}

#[test]
fn a_proxy_that_is_not_set_up_stops_the_start() {
    let home = Home::new();
    let mode = r#"{gateway: {mode: "local", auth: {mode: "trusted-proxy""#;
    for (rest, expected) in [
        ("}}}", "no trustedProxy config was provided"),
        (
            r#", trustedProxy: {userHeader: "x-user"}}}}"#,
            "requires gateway.trustedProxies to be configured",
        ),
        (
            r#", token: "t", trustedProxy: {userHeader: "x-user"}}}}"#,
            "a shared token is also configured",
        ),
        (
            r#", trustedProxy: {userHeader: ""}}}}"#,
            "gateway.auth.trustedProxy.userHeader: must be the name of a header",
        ),
        (
            r#"}, trustedProxies: ["10.0.0.0/33"]}}"#,
            "gateway.trustedProxies: must be a list of addresses and networks",
        ),
    ] {
        home.write_config(&format!("{mode}{rest}"));
        let done = home.run_line("gateway").exits(78);
        assert!(done.stderr.contains(expected), "{rest}: {done:?}");
    }
}

#[test]
fn a_user_of_the_tailnet_is_who_the_program_says() {
    let mut home = Home::new();
    let programs = home.path("programs");
    fs::create_dir_all(&programs).unwrap();
    let program = programs.join("tailscale");
    let script = r#"#!/bin/sh
case "$*" in
    "whois --json 100.64.0.9") echo '{"UserProfile": {"LoginName": "ada@example.com"}}';;
    "whois --json 100.64.0.8") echo garbage;;
    *) exit 1;;
esac
"#;
    // A file that this process has had open for writing cannot always be run at once: other tests fork.
    let written = Command::new("/bin/sh")
        .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""])
        .arg(&program)
        .arg(script)
        .status();
    assert!(written.unwrap().success());
    home.programs = Some(programs);
    home.write_config(
        r#"{gateway: {mode: "local", auth: {token: "t"}, tailscale: {mode: "serve"},
            controlUi: {allowedOrigins: ["https://gateway.tail.example"]}}}"#,
    );
    let mut gateway = home.gateway(&[]);
    gateway.wait_for("run: tailscale serve --bg");
    let params = r#""client":{"id":"openclaw-control-ui","version":"1","platform":"linux","mode":"ui"},
        "device":{"id":"d","publicKey":"k","signature":"s","signedAt":1,"nonce":"n"}"#;
    let served = |address: &str, login: &str| {
        format!(
            "Origin: https://gateway.tail.example\r\nX-Forwarded-For: {address}\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: gateway.tail.example\r\nTailscale-User-Login: {login}\r\n"
        )
    };
    for (address, login, expected) in [
        // Whom the program knows has to prove the device next.
        ("100.64.0.9", "ada@example.com", "DEVICE_AUTH_"),
        (
            "100.64.0.9",
            "mallory@example.com",
            "AUTH_TAILSCALE_IDENTITY_MISMATCH",
        ),
        (
            "100.64.0.8",
            "ada@example.com",
            "AUTH_TAILSCALE_WHOIS_FAILED",
        ),
        (
            "100.64.0.7",
            "ada@example.com",
            "AUTH_TAILSCALE_WHOIS_FAILED",
        ),
        (
            "100.64.0.9, 100.64.0.7",
            "ada@example.com",
            "AUTH_TAILSCALE_WHOIS_FAILED",
        ),
        ("100.64.0.9", "", "AUTH_TAILSCALE_IDENTITY_MISSING"),
    ] {
        let heard = connect(&home, &served(address, login), params);
        assert!(heard.contains(expected), "{address} {login}: {heard}");
    }
    gateway.wait_for("address=100.64.0.8 cannot be verified");
    let heard = connect(&home, "Tailscale-User-Login: ada@example.com\r\n", params);
    assert!(heard.starts_with("HTTP/1.1 403 "), "{heard}");
}

#[test]
fn a_command_behind_a_proxy_that_is_not_trusted_says_so_and_what_to_do() {
    let mut home = Home::new();
    home.write_config(r#"{gateway: {mode: "local", auth: {token: "t"}}}"#);
    let _gateway = home.gateway(&[]);
    let proxy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("ws://{}", proxy.local_addr().unwrap());
    let mut there = socket(&home);
    let passing = thread::spawn(move || {
        let (mut here, _) = proxy.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            here.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        head.truncate(head.len() - 2);
        head.extend(b"X-Forwarded-For: 203.0.113.5\r\n\r\n");
        there.write_all(&head).unwrap();
        let mut answer = Vec::new();
        there.read_to_end(&mut answer).unwrap();
        here.write_all(&answer).unwrap();
    });
    let done = home
        .run_line(&format!("health --url {url} --token t"))
        .exits(77);
    passing.join().unwrap();
    assert!(
        done.stderr.contains("proxy_attribution_required"),
        "{done:?}"
    );
    assert!(
        done.stderr
            .contains("name the proxy's address in gateway.trustedProxies"),
        "{done:?}"
    );
}
