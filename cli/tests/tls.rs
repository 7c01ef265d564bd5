//! A gateway with TLS, and commands that talk to it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::Signal;
use serde_json::Value;
use support::{Gateway, Home};

const CONFIG: &str = "{gateway: {mode: 'local', auth: {token: 'hunter2'}, tls: {enabled: true}}}";

fn home() -> Home {
    let home = Home::new();
    home.write_config(CONFIG);
    home
}

fn fingerprint(gateway: &Gateway) -> String {
    let said = &gateway.announcement;
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("TLS fingerprint (SHA-256) "));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn commands_of_this_host_speak_tls_by_themselves() {
    let mut home = home();
    let gateway = home.gateway(&[]);
    let said = &gateway.announcement;
    let url = format!("wss://127.0.0.1:{}", home.port);
    assert!(said.contains(&format!("listening on {url}")), "{said}");
    let path = home.path(".openclaw/gateway/tls/gateway-cert.pem");
    assert!(
        said.contains(&format!(
            "made a TLS certificate for you: {}",
            path.display()
        )),
        "{said}"
    );
    let first = fingerprint(&gateway);
    let health = home.run_line("health").exits(0);
    assert!(health.stdout.starts_with("OK ("), "{health:?}");
    let status = home.run_line("status --json").exits(0).document();
    assert_eq!(status["gateway"]["url"], *url);
    let reply = home.run_line("agent --message hello").exits(0);
    assert_eq!(reply.stdout, "hello\n");

    gateway.signal(Signal::TERM);
    let (code, said) = gateway.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("PRIVATE"), "{said}");
    let gateway = home.gateway(&[]);
    assert!(gateway.announcement.contains("TLS certificate from "));
    assert_eq!(fingerprint(&gateway), first);
}

#[test]
fn a_pin_lets_in_one_certificate_and_no_other() {
    let mut home = home();
    let gateway = home.gateway(&[]);
    let (url, pin) = (
        format!("wss://127.0.0.1:{}", home.port),
        fingerprint(&gateway),
    );
    let health = |pin: &str| home.run_line(&format!("health --url {url} --token hunter2 {pin}"));
    health(&format!("--tls-fingerprint {pin}")).exits(0);
    health(&format!("--tls-fingerprint sha256:{}", pin.to_uppercase())).exits(0);

    let wrong = "0f".repeat(32);
    let refused = health(&format!("--tls-fingerprint {wrong}"))
        .exits(77)
        .hides("hunter2");
    assert!(
        refused.stderr.contains("tls fingerprint mismatch"),
        "{refused:?}"
    );
    assert!(
        refused.stderr.contains(&pin) && refused.stderr.contains(&wrong),
        "{refused:?}"
    );
    assert!(
        refused
            .stderr
            .contains("The fingerprint came from --tls-fingerprint.")
    );
    let document = health(&format!("--json --tls-fingerprint {wrong}"))
        .exits(77)
        .document();
    assert_eq!(document["error"]["code"], "TLS_FINGERPRINT_MISMATCH");
    assert_eq!(document["error"]["retryable"], false);

    let unpinned = health("").exits(77);
    assert!(unpinned.stderr.contains("pin it"), "{unpinned:?}");
    let syntax = health("--tls-fingerprint 0f").exits(2);
    assert!(
        syntax.stderr.starts_with("Invalid --tls-fingerprint."),
        "{syntax:?}"
    );
    let plain = url.replace("wss", "ws");
    let line = format!("health --url {plain} --token hunter2 --tls-fingerprint {pin}");
    let plain = home.run_line(&line).exits(2);
    assert!(plain.stderr.contains("requires wss://"), "{plain:?}");
    // What speaks no TLS gets nothing from a port that does.
    let plain = home.run_line(&format!(
        "health --url ws://127.0.0.1:{} --token hunter2",
        home.port
    ));
    let plain = plain.exits(69);
    assert!(plain.stderr.contains("wants TLS"), "{plain:?}");
}

#[test]
fn a_configured_gateway_elsewhere_is_pinned_or_vouched_for() {
    let mut there = home();
    let gateway = there.gateway(&[]);
    let url = format!("wss://localhost:{}", there.port);
    let here = Home::new();
    let configure = |pin: &str| {
        here.write_config(&format!(
            "{{gateway: {{mode: 'remote', remote: {{url: '{url}', token: 'hunter2'{pin}}}}}}}"
        ));
    };
    configure(&format!(", tlsFingerprint: '{}'", fingerprint(&gateway)));
    here.run_line("health").exits(0);
    configure(&format!(", tlsFingerprint: '{}'", "0f".repeat(32)));
    let refused = here.run_line("health").exits(77);
    assert!(
        refused
            .stderr
            .contains("came from gateway.remote.tlsFingerprint."),
        "{refused:?}"
    );
    configure("");
    here.run_line("health").exits(77);
    // The certificate that the gateway made vouches for itself where the system trusts it.
    let certificate = there.path(".openclaw/gateway/tls/gateway-cert.pem");
    let mut trusting = here.command(["health"]);
    trusting.env("SSL_CERT_FILE", &certificate);
    support::Done::of(trusting).exits(0);
}

#[test]
fn a_setup_code_carries_the_fingerprint() {
    let mut home = home();
    let gateway = home.gateway(&["--bind", "lan"]);
    let code = home.run_line("qr --json").exits(0).document();
    let url = code["gatewayUrl"].as_str().unwrap();
    assert!(url.starts_with("wss://"), "{code}");
    assert_eq!(code["access"], "full");
    let carried: Value =
        serde_json::from_slice(&decode(code["setupCode"].as_str().unwrap())).unwrap();
    assert_eq!(carried["url"], code["gatewayUrl"]);
    assert_eq!(carried["tlsFingerprint"], fingerprint(&gateway));
}

/// Reads base64url.
fn decode(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut known, mut bytes) = (0u32, 0, Vec::new());
    for byte in text.bytes() {
        let digit = DIGITS.iter().position(|digit| *digit == byte).unwrap();
        bits = bits << 6 | digit as u32;
        known += 6;
        if known >= 8 {
            known -= 8;
            bytes.push((bits >> known) as u8);
        }
    }
    bytes
}

#[test]
fn a_broken_certificate_stops_the_start_as_every_fault_of_the_configuration_does() {
    let home = home();
    fs::write(home.path("c.pem"), "hello").unwrap();
    fs::write(home.path("k.pem"), "hunter2").unwrap();
    home.write_config(
        "{gateway: {mode: 'local', auth: {token: 't'}, tls: {enabled: true, certPath: '~/c.pem', keyPath: '~/k.pem'}}}",
    );
    let refused = home.run_line("gateway").exits(78).hides("hunter2");
    let expected = format!(
        "gateway tls: {} cannot be used: no certificate in PEM is in it\n",
        home.path("c.pem").display()
    );
    assert_eq!(refused.stderr, expected);
}

#[test]
fn plain_http_on_the_port_gets_nothing() {
    let mut home = home();
    let _gateway = home.gateway(&[]);
    let mut socket = TcpStream::connect(("127.0.0.1", home.port)).unwrap();
    socket
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"");
    home.run_line("health").exits(0);
}

#[test]
fn a_certificate_that_was_renewed_under_a_running_gateway_says_to_restart_it() {
    let mut home = home();
    let _gateway = home.gateway(&[]);
    let certificate = home.path(".openclaw/gateway/tls/gateway-cert.pem");
    let mut other = self::home();
    let _other = other.gateway(&[]);
    fs::copy(
        other.path(".openclaw/gateway/tls/gateway-cert.pem"),
        &certificate,
    )
    .unwrap();
    let refused = home.run_line("health").exits(77);
    let expected = "the gateway still shows the certificate it was started with; restart it";
    assert!(refused.stderr.contains(expected), "{refused:?}");
    assert!(
        !refused.stderr.contains("pin the fingerprint"),
        "{refused:?}"
    );
    let document = home.run_line("health --json").exits(77).document();
    assert_eq!(document["error"]["code"], "TLS_FINGERPRINT_MISMATCH");
}

#[test]
fn a_certificate_of_this_host_that_cannot_be_read_is_no_reason_to_trust_others() {
    let mut home = home();
    let _gateway = home.gateway(&[]);
    let certificate = home.path(".openclaw/gateway/tls/gateway-cert.pem");
    let kept = home.path("kept.pem");
    fs::copy(&certificate, &kept).unwrap();
    for (content, expected) in [
        (None, "cert/key missing: there is no "),
        (Some("hello"), "no certificate in PEM is in it"),
    ] {
        match content {
            Some(content) => fs::write(&certificate, content).unwrap(),
            None => fs::remove_file(&certificate).unwrap(),
        }
        // The system would vouch for what is shown.
        let mut trusting = home.command(["health"]);
        trusting.env("SSL_CERT_FILE", &kept);
        let refused = support::Done::of(trusting).exits(78);
        assert!(refused.stderr.contains(expected), "{refused:?}");
    }
}

#[test]
fn further_certificates_of_the_configuration_are_shown() {
    let authority = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let [root_key, between_key, own_key] = [0; 3].map(|_| KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    authority(&mut params);
    params.distinguished_name.push(DnType::CommonName, "root");
    let root = CertifiedIssuer::self_signed(params, root_key).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    authority(&mut params);
    params
        .distinguished_name
        .push(DnType::CommonName, "between");
    let between = CertifiedIssuer::signed_by(params, between_key, &root).unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = params.signed_by(&own_key, &between).unwrap();

    let mut there = Home::new();
    let write = |name: &str, label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        fs::write(there.path(name), pem).unwrap();
    };
    write("root.pem", "CERTIFICATE", root.der());
    write("between.pem", "CERTIFICATE", between.der());
    write("own.pem", "CERTIFICATE", own.der());
    write("key.pem", "PRIVATE KEY", own_key.serialized_der());
    for (further, code) in [("", 77), (", caPath: '~/between.pem'", 0)] {
        there.write_config(&format!(
            "{{gateway: {{mode: 'local', auth: {{token: 'hunter2'}}, tls: {{enabled: true, certPath: '~/own.pem', keyPath: '~/key.pem'{further}}}}}}}"
        ));
        let _gateway = there.gateway(&[]);
        let url = format!("wss://localhost:{}", there.port);
        let line = format!("health --url {url} --token hunter2");
        let mut trusting = there.command(line.split(' '));
        trusting.env("SSL_CERT_FILE", there.path("root.pem"));
        support::Done::of(trusting).exits(code);
    }
}
