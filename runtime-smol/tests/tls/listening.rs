//! What a listener with TLS does with peers of every kind.

use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc::channel;
use std::thread;

use futures_rustls::rustls::version::{TLS12, TLS13};
use openclaw_runtime_smol::server::ServerLimits;
use openclaw_runtime_smol::tls::{Credential, CredentialError};

use crate::certificates::Pair;
use crate::secured::{gateway, hasty, peer, pinning, run, tcp, with_limits};
use crate::wire::{CONNECT, PATIENCE, UPGRADE, frame, text};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

#[test]
fn both_versions_are_spoken_and_their_end_is_said() {
    let pair = Pair::own("localhost");
    let gateway = gateway(&pair);
    for version in [&TLS12, &TLS13] {
        let mut peer = peer(gateway.address, version);
        peer.write_all(GET).unwrap();
        let mut answer = String::new();
        // Without close_notify this is an error.
        peer.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(peer.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        let shown = peer.conn.peer_certificates().unwrap();
        assert_eq!(shown[0].as_ref(), pair.der);
    }
}

#[test]
fn a_websocket_takes_what_came_with_its_head_and_says_its_end() {
    let gateway = gateway(&Pair::own("localhost"));
    let mut peer = peer(gateway.address, &TLS13);
    let mut first = UPGRADE.as_bytes().to_vec();
    first.extend(text(CONNECT));
    peer.write_all(&first).unwrap();
    let mut answer = Vec::new();
    let mut some = [0; 4_096];
    while !String::from_utf8_lossy(&answer).contains("hello-ok") {
        let count = peer.read(&mut some).unwrap();
        assert!(count > 0, "{:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&some[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    peer.write_all(&frame(true, 8, &1000u16.to_be_bytes()))
        .unwrap();
    // Without close_notify this is an error.
    peer.read_to_end(&mut answer).unwrap();
    assert!(gateway.ask(|desk, _, _| desk.peers[0].direct_loopback));
    gateway.until_empty();
}

#[test]
fn a_peer_that_stalls_in_the_handshake_is_dropped_in_time_and_costs_nobody_else() {
    let pair = Pair::own("localhost");
    let gateway = with_limits(&pair, hasty());
    let mut silent = tcp(gateway.address);
    let mut begun = tcp(gateway.address);
    begun.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    let mut after_tls = peer(gateway.address, &TLS13);
    while after_tls.conn.is_handshaking() {
        after_tls.conn.complete_io(&mut after_tls.sock).unwrap();
    }
    run(async {
        let client = pinning(&gateway, &pair).connect().await.unwrap();
        client.close().await;
    });
    for socket in [&mut silent, &mut begun] {
        let mut rest = Vec::new();
        let ended = socket.read_to_end(&mut rest);
        assert!(
            ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        );
    }
    let mut rest = String::new();
    after_tls.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn sockets_in_their_handshake_count_and_the_oldest_gives_way() {
    let pair = Pair::own("localhost");
    let mut limits = ServerLimits {
        http_sockets: 4,
        ..ServerLimits::default()
    };
    limits.http.head_time = 10 * PATIENCE;
    let gateway = with_limits(&pair, limits);
    let (ended, end) = channel();
    for _ in 0..5 {
        let (mut socket, ended) = (tcp(gateway.address), ended.clone());
        socket.set_read_timeout(None).unwrap();
        thread::spawn(move || {
            let read = socket.read(&mut [0]);
            ended.send(matches!(read, Ok(0) | Err(_))).unwrap();
        });
    }
    assert!(end.recv_timeout(PATIENCE).unwrap());
    run(async {
        let client = pinning(&gateway, &pair).connect().await.unwrap();
        client.close().await;
    });
}

#[test]
fn what_is_no_tls_is_hung_up_on_in_order() {
    let pair = Pair::own("localhost");
    let gateway = gateway(&pair);
    let mut long = vec![0x16, 3, 3, 0xff, 0xff];
    long.resize(100_000, 7);
    for bytes in [GET, &[0; 64], b"\x16\x03\x01\x00\x05hello", &long, b"\n"] {
        let mut socket = tcp(gateway.address);
        // It may have hung up before all of it is written.
        let _ = socket.write_all(bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        // An alert to what could be TLS, and nothing to what cannot.
        assert!(answer.is_empty() || (answer[0] == 0x15 && bytes[0] == 0x16));
    }
    run(async {
        let client = pinning(&gateway, &pair).connect().await.unwrap();
        client.close().await;
    });
}

#[test]
fn a_certificate_and_a_key_that_are_no_credential_say_why() {
    let (one, other) = (Pair::own("a"), Pair::own("b"));
    let (certificate, key) = (one.certificate.clone(), one.key_pem());
    let broken = certificate.replacen("MII", "MIA", 1);
    let strange = key.replacen("MIG", "MIA", 1);
    assert!(Credential::from_pem(certificate.as_bytes(), key.as_bytes()).is_ok());
    for (certificate, key, error) in [
        ("", &*key, CredentialError::NoCertificate),
        ("hello", &key, CredentialError::NoCertificate),
        (&key, &key, CredentialError::NoCertificate),
        (&certificate, &certificate, CredentialError::NoKey),
        (&certificate, "", CredentialError::NoKey),
        (&certificate, &strange, CredentialError::Key),
        (&certificate, &other.key_pem(), CredentialError::Mismatch),
    ] {
        let credential = Credential::from_pem(certificate.as_bytes(), key.as_bytes());
        assert_eq!(credential.unwrap_err(), error);
    }
    assert_ne!(broken, one.certificate);
    let credential = Credential::from_pem(broken.as_bytes(), key.as_bytes());
    assert_eq!(credential.unwrap_err(), CredentialError::Certificate);
}

#[test]
fn the_end_of_the_handshake_is_answered_before_anything_is_asked() {
    let gateway = gateway(&Pair::own("localhost"));
    let mut peer = peer(gateway.address, &TLS13);
    while peer.conn.is_handshaking() {
        peer.conn.complete_io(&mut peer.sock).unwrap();
    }
    while peer.conn.tls13_tickets_received() == 0 {
        assert!(peer.conn.read_tls(&mut peer.sock).unwrap() > 0);
        peer.conn.process_new_packets().unwrap();
    }
}
