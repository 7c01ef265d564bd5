//! What the command says, and how it exits, when something is wrong.

#![cfg(unix)]

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;
use std::thread;
use std::time::Duration;

use support::{Done, Home, Running};

mod support;

const SECRET: &str = "hunter2-hunter2";
const CLIENTS: [&str; 9] = [
    "health",
    "status",
    "gateway health",
    "gateway probe",
    "gateway call health",
    "agent --message hi",
    "devices list",
    "devices approve",
    "qr",
];

#[test]
fn a_gateway_that_is_not_there_is_said_at_once() {
    let home = Home::new();
    for client in CLIENTS {
        let done = home.run_line(client).exits(69);
        assert!(done.took < Duration::from_secs(1), "{done:?}");
        let url = home.url();
        for line in [
            format!("Gateway not reachable at {url} (ECONNREFUSED).\n"),
            "Start it with `openclaw gateway run --allow-unconfigured`.\n".to_owned(),
            format!("Gateway target: {url}\n"),
            "Source: local loopback\n".to_owned(),
            format!("Port: {} (OPENCLAW_GATEWAY_PORT)\n", home.port),
            "Config: /".to_owned(),
        ] {
            assert!(done.stderr.contains(&line), "{line}: {done:#?}");
        }
        let document = home
            .run_line(&format!("{client} --json"))
            .exits(69)
            .document();
        assert_eq!(document["ok"], false);
        assert_eq!(document["error"]["type"], "gateway_transport_error");
        assert_eq!(document["error"]["code"], "ECONNREFUSED");
        assert_eq!(document["error"]["retryable"], true);
    }
    let probe = home.run_line("gateway probe").exits(69);
    assert!(probe.stdout.starts_with("Reachable: no\n"), "{probe:?}");
}

#[test]
fn what_listens_and_is_no_gateway_is_told_apart() {
    let home = Home::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let line = format!("health --url ws://{address} --token {SECRET} --timeout=200");
    let done = home.run_line(&line).exits(69).hides(SECRET);
    assert!(done.stderr.contains("does not answer in time"), "{done:?}");
    let document = home
        .run_line(&format!("{line} --json"))
        .exits(69)
        .document();
    assert_eq!(document["error"]["kind"], "timeout");
    assert_eq!(document["gateway"]["urlSource"], "cli --url");

    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = web.accept().unwrap();
        let _ = socket.read(&mut [0; 1024]);
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let done = home.run_line(&format!(
        "health --url=ws://{address}/?token={SECRET} --password=x"
    ));
    let done = done.exits(69).hides(SECRET);
    assert!(done.stderr.contains("HTTP status 200"), "{done:?}");
    server.join().unwrap();
}

#[test]
fn a_wrong_secret_is_refused_and_never_shown() {
    let mut home = Home::new();
    home.write_config(r#"{gateway: {mode: "local", auth: {token: "the-right-token"}}}"#);
    let gateway = home.gateway(&["--verbose"]);
    assert!(
        gateway
            .announcement
            .contains("token from gateway.auth.token"),
        "{}",
        gateway.announcement
    );
    let checked = |done: Done| done.exits(77).hides(SECRET).hides("the-right-token");
    let done = checked(home.run_line(&format!("health --token {SECRET}")));
    assert!(done.stderr.contains("gateway token mismatch"), "{done:?}");
    assert!(
        done.stderr.contains("The token came from --token.\n"),
        "{done:?}"
    );

    let mut command = home.command(["gateway", "probe", "--json"]);
    command.env("OPENCLAW_GATEWAY_TOKEN", SECRET);
    let probe = checked(Done::of(command)).document();
    assert_eq!(probe["ok"], false);
    assert_eq!(probe["error"]["type"], "gateway_request_error");
    assert_eq!(probe["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH");
    let url = home.url();
    let agent = format!("agent --message hi --json --url {url} --password={SECRET}");
    assert_eq!(checked(home.run_line(&agent)).document()["ok"], false);

    home.run_line("health").exits(0).hides("the-right-token");
    home.run_line("status").exits(0).hides("the-right-token");
    gateway.signal(rustix::process::Signal::TERM);
    let (code, said) = gateway.end();
    assert_eq!(code, Some(0));
    assert!(
        !said.contains(SECRET) && !said.contains("the-right-token"),
        "{said}"
    );
}

#[test]
fn a_wrong_command_line_exits_2() {
    let home = Home::new();
    for (line, message) in [
        ("bogus", "does not know the command \"bogus\""),
        (
            "health --bogus=hunter2-hunter2",
            "Unrecognized argument: --bogus\n",
        ),
        ("health extra", "Unrecognized argument: extra"),
        ("agent", "--message"),
        (
            "agent --message",
            "No value provided for option '--message'",
        ),
        (
            "agent --message=",
            "Invalid --message. It must not be empty.",
        ),
        ("health --timeout=-5", "Invalid --timeout."),
        ("health --timeout=", "Invalid --timeout."),
        ("agent --message hi --timeout 0", "Invalid --timeout."),
        ("health --token=", "Invalid --token. It must not be empty."),
        (
            "health --token hunter2-hunter2 --token=hunter2-hunter2",
            "--token is given twice",
        ),
        (
            "health --token hunter2-hunter2 --password x",
            "exclude each other",
        ),
        (
            "health --url ws://127.0.0.1:1",
            "gateway url override requires explicit credentials\nFix: pass --token",
        ),
        (
            "health --url https://host --token hunter2-hunter2",
            "write it as wss://",
        ),
        (
            "health --url ws://u:hunter2-hunter2@host --token x",
            "credentials in it",
        ),
        (
            "devices reject",
            "requestId\nopenclaw devices reject --help shows what it takes.\n",
        ),
        ("devices remove", "deviceId"),
        ("devices rename --device x", "--name"),
        ("devices rename --device x --name=", "Invalid --name."),
        ("devices rotate --device x", "--role"),
        (
            "devices rotate --device x --role y --scope a --no-scopes",
            "--scope and --no-scopes exclude each other",
        ),
        (
            "devices clear --pending",
            "Refusing to clear pairing table without --yes\n",
        ),
        (
            "devices bogus",
            "does not know the command \"devices bogus\"",
        ),
        ("qr --url=", "Invalid --url."),
        (
            "qr --token hunter2-hunter2 --password x",
            "exclude each other",
        ),
        ("--profile=../x health", "Invalid --profile."),
        (
            "gateway call health --params {bad",
            "Gateway call failed: --params must be valid JSON.\n",
        ),
        ("gateway --port 0", "Invalid --port."),
        ("gateway run --port=-1", "Invalid --port."),
        ("gateway --bind bogus", "Invalid --bind."),
        ("gateway --auth=bogus", "Invalid --auth."),
        ("gateway --force", "--force is not there yet"),
        (
            "gateway install",
            "openclaw gateway install is not there yet.",
        ),
        ("doctor", "openclaw doctor is not there yet."),
    ] {
        let done = home.run_line(line).exits(2).hides(SECRET);
        assert!(done.stderr.contains(message), "{line}: {done:#?}");
        assert_eq!(done.stdout, "", "{line}");
        if !line.starts_with("gateway -") && !line.starts_with("gateway run") {
            let document = home
                .run_line(&format!("--json {line}"))
                .exits(2)
                .hides(SECRET);
            assert_eq!(document.document()["error"]["code"], "USAGE", "{line}");
        }
    }
    let done = home
        .run([
            OsString::from("health"),
            OsString::from_vec(vec![b'-', 0xff]),
        ])
        .exits(2);
    assert!(
        done.stderr.contains("argument 2 is not UTF-8 text"),
        "{done:?}"
    );
}

#[test]
fn a_wrong_configuration_exits_78() {
    let home = Home::new();
    let refused = |home: &Home, line: &str, message: &str| {
        let done = home.run_line(line).exits(78).hides(SECRET);
        assert!(done.stderr.contains(message), "{line}: {done:#?}");
    };
    refused(&home, "gateway", "Missing config.");
    home.write_config(&format!(
        r#"{{gateway: {{mode: "local", auth: {{token: "{SECRET}""#
    ));
    refused(&home, "gateway", "Invalid config at /");
    refused(&home, "health", "Invalid config at /");
    let document = home.run_line("health --json").exits(78).document();
    assert_eq!(document["error"]["code"], "CONFIGURATION");
    home.write_config(r#"{gateway: {mode: "remote"}}"#);
    refused(
        &home,
        "gateway",
        "Gateway start blocked: set gateway.mode=local",
    );
    refused(&home, "health", "gateway.remote.url is not set");
    home.write_config(r#"{gateway: {mode: "remote", remote: {url: "localhost:1"}}}"#);
    refused(&home, "health", "gateway.remote.url");
    home.write_config(r#"{gateway: {mode: "local"}}"#);
    refused(
        &home,
        "gateway --bind lan",
        "Refusing to bind gateway to lan without auth.",
    );
    refused(
        &home,
        "gateway --auth password",
        "no password is configured",
    );

    let mut command = home.command(["health"]);
    command.env("OPENCLAW_GATEWAY_PORT", "x");
    Done::of(command).exits(78);
}

#[test]
fn a_remote_gateway_is_named_with_its_source() {
    let home = Home::new();
    let url = home.url();
    home.write_config(&format!(
        r#"{{gateway: {{mode: "remote", remote: {{url: "{url}", token: "{SECRET}"}}}}}}"#
    ));
    let done = home.run_line("health").exits(69).hides(SECRET);
    assert!(
        done.stderr.contains("Source: config gateway.remote.url\n"),
        "{done:?}"
    );
    assert!(!done.stderr.contains("Start it"), "{done:?}");
}

#[test]
fn a_busy_port_exits_1_and_names_it() {
    let mut home = Home::new();
    let _gateway = home.gateway(&["--allow-unconfigured"]);
    let done = home.run_line("gateway --allow-unconfigured").exits(1);
    let message = format!(
        "Gateway failed to start: another gateway instance is already listening on {} | listen EADDRINUSE",
        home.url()
    );
    assert!(done.stderr.contains(&message), "{done:?}");
    assert!(done.stderr.contains("pass another --port"), "{done:?}");
    assert_eq!(done.stdout, "");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut home = Home::new();
    let _gateway = home.gateway(&["--allow-unconfigured"]);
    for line in [
        "--help",
        "health",
        "status --json",
        "agent --message hi",
        "gateway call health",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = home.command(line.split_whitespace());
        let client = Running::with_stdout(command.stdout(writer));
        let done = client.wait().exits(0);
        assert_eq!(done.stderr, "", "{line}");
    }
    if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
        let mut command = home.command(["health"]);
        let done = Running::with_stdout(command.stdout(full)).wait().exits(1);
        assert!(
            done.stderr.contains("cannot write to standard output"),
            "{done:?}"
        );
    }
}

#[test]
fn a_host_without_a_home_is_no_reason_to_panic() {
    let home = Home::new();
    let mut command = home.command(["health"]);
    command
        .env_remove("HOME")
        .env("OPENCLAW_STATE_DIR", home.path("state"));
    let done = Done::of(command).exits(69);
    assert!(done.stderr.contains("state/openclaw.json"), "{done:?}");
}

#[test]
fn help_and_version_need_nothing() {
    let home = Home::new();
    for line in [
        "",
        "--help",
        "gateway --help",
        "gateway run -h",
        "agent --help",
        "help",
    ] {
        let done = home.run_line(line).exits(0);
        assert!(done.stdout.contains("Usage: openclaw"), "{done:?}");
        assert!(done.stdout.contains("77  refused"), "{done:?}");
        assert_eq!(done.stderr, "");
    }
    let done = home.run_line("--version").exits(0);
    assert_eq!(
        done.stdout,
        format!("OpenClaw {}\n", env!("CARGO_PKG_VERSION"))
    );
}
