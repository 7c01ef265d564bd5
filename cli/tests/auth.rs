//! Who is let in by a running gateway, as its configuration says.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use support::{Done, Home};

mod support;

const SECRET: &str = "hunter2-hunter2";

/// Connects like a page of `origin` that knows the secret, and returns what it hears until a word of `until`.
fn page(home: &Home, origin: &str, until: [&str; 2]) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", home.port)).unwrap();
    let patience = Some(Duration::from_secs(30));
    socket.set_read_timeout(patience).unwrap();
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: localhost:{}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        home.port
    );
    socket.write_all(upgrade.as_bytes()).unwrap();
    let connect = format!(
        r#"{{"type":"req","id":"c","method":"connect","params":{{"minProtocol":4,"maxProtocol":4,"client":{{"id":"test","version":"1","platform":"linux","mode":"test"}},"auth":{{"token":"{SECRET}"}}}}}}"#
    );
    let mut heard = String::new();
    let mut asked = false;
    while !until.iter().any(|word| heard.contains(word)) {
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
    heard
}

#[test]
fn a_secret_in_a_file_serves_the_gateway_and_its_clients() {
    let mut home = Home::new();
    home.write_config(
        r#"{gateway: {mode: "local", auth: {token: {source: "file", provider: "box", id: "/gateway/token"}}},
            secrets: {providers: {box: {source: "file", path: "~/secrets.json"}}}}"#,
    );
    let path = home.path("secrets.json");
    let set_mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let refused = |home: &Home, line: &str, problem: &str| {
        let done = home.run_line(line).exits(78).hides(SECRET);
        let told = format!(
            "gateway.auth.token: secrets.providers.box.path: {} {problem}\n",
            path.display()
        );
        assert!(done.stderr.contains(&told), "{done:?}");
    };
    for line in ["gateway", "health"] {
        refused(&home, line, "is not there; create it, or change the path");
    }
    let document = format!(r#"{{"gateway": {{"token": "{SECRET}"}}}}"#);
    fs::write(&path, document).unwrap();
    set_mode(0o644);
    for line in ["gateway", "health"] {
        refused(&home, line, "is open to other users; run chmod 600 on it");
    }
    set_mode(0o600);
    let gateway = home.gateway(&[]);
    assert!(
        gateway
            .announcement
            .contains("token from gateway.auth.token"),
        "{}",
        gateway.announcement
    );
    home.run_line("health").exits(0).hides(SECRET);
    home.run_line(&format!("health --token {SECRET}")).exits(0);
    home.run_line("health --token wrong").exits(77);
}

#[test]
fn a_client_asks_a_program_for_the_secret_of_a_remote_gateway() {
    let mut home = Home::new();
    home.write_config(&format!(
        r#"{{gateway: {{mode: "local", auth: {{token: "{SECRET}"}}}}}}"#
    ));
    let gateway = home.gateway(&[]);
    let shell = Path::new("/bin/sh").canonicalize().unwrap();
    let config = |variable: &str| {
        format!(
            r#"{{gateway: {{mode: "remote", remote: {{url: "{}", token: {{source: "exec", provider: "vault", id: "remote"}}}}}},
                secrets: {{providers: {{vault: {{source: "exec", command: "{}", args: ["-c", 'echo "${variable}"'],
                    passEnv: ["VAULT_ANSWER"], jsonOnly: false}}}}}}}}"#,
            home.url(),
            shell.display()
        )
    };
    let health = || {
        let mut command = home.command(["health"]);
        command.env("VAULT_ANSWER", SECRET);
        Done::of(command)
    };
    home.write_config(&config("VAULT_ANSWER"));
    health().exits(0).hides(SECRET);
    home.write_config(&config("ANOTHER"));
    let done = health().exits(78).hides(SECRET);
    let told = format!(
        "gateway.remote.token: secrets.providers.vault.command: {} said nothing; run it by hand to see why\n",
        shell.display()
    );
    assert!(done.stderr.contains(&told), "{done:?}");
    drop(gateway);
}

#[test]
fn the_configured_limit_of_wrong_secrets_is_kept() {
    let mut home = Home::new();
    home.write_config(&format!(
        r#"{{gateway: {{mode: "local", auth: {{token: "{SECRET}",
            rateLimit: {{maxAttempts: 2, lockoutMs: 600000, exemptLoopback: false}}}}}}}}"#
    ));
    let _gateway = home.gateway(&[]);
    home.run_line("health").exits(0);
    for _ in 0..2 {
        let done = home.run_line("health --token wrong").exits(77);
        assert!(done.stderr.contains("token mismatch"), "{done:?}");
    }
    let done = home.run_line("health --json").exits(77).hides(SECRET);
    let error = &done.document()["error"];
    assert_eq!(
        error["message"],
        "unauthorized: too many failed authentication attempts (retry later)"
    );
    assert_eq!(error["details"]["code"], "AUTH_RATE_LIMITED");
    assert_eq!(error["retryable"], true);
    let after = error["retryAfterMs"].as_u64().unwrap();
    assert!((500_000..=600_000).contains(&after), "{after}");
}

#[test]
fn the_configured_pages_may_connect_and_no_others() {
    let mut home = Home::new();
    home.write_config(&format!(
        r#"{{gateway: {{mode: "local", auth: {{token: "{SECRET}"}},
            controlUi: {{allowedOrigins: ["https://Control.example:443/"]}}}}}}"#
    ));
    let _gateway = home.gateway(&[]);
    let own = format!("http://localhost:{}", home.port);
    let ends = ["hello-ok", "CONTROL_UI_ORIGIN_NOT_ALLOWED"];
    for (origin, end) in [
        ("https://control.example", ends[0]),
        (&*own, ends[0]),
        ("https://evil.example", ends[1]),
    ] {
        let heard = page(&home, origin, ends);
        assert!(heard.contains(end), "{origin}: {heard}");
    }
}

#[test]
fn a_gateway_without_auth_listens_on_a_network_only_where_that_is_configured() {
    let mut home = Home::new();
    home.write_config(r#"{gateway: {mode: "local", bind: "lan", auth: {mode: "none"}}}"#);
    let done = home.run_line("gateway").exits(78);
    assert!(
        done.stderr
            .contains("Refusing to bind gateway to lan without auth."),
        "{done:?}"
    );
    assert!(
        done.stderr
            .contains("gateway.auth.dangerouslyAllowNoneOnNetwork"),
        "{done:?}"
    );
    home.write_config(
        r#"{gateway: {mode: "local", bind: "lan", auth: {mode: "none", dangerouslyAllowNoneOnNetwork: true}}}"#,
    );
    let _gateway = home.gateway(&[]);
    home.run_line("health").exits(0);
}
