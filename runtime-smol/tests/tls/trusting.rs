//! Whom a client believes, and what it says to whom it does not.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use futures_rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use futures_rustls::rustls::sign::CertifiedKey;
use futures_rustls::rustls::version::{TLS12, TLS13};
use futures_rustls::rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use openclaw_runtime_smol::client::{ConnectError, Gateway, State, UrlError, Why};
use openclaw_runtime_smol::tls::{CertificateFault, Fingerprint, Trust};

use crate::certificates::{Authority, Pair};
use crate::secured::{gateway, pinning, run};

fn fault(error: ConnectError) -> CertificateFault {
    match error {
        ConnectError::Untrusted { fault, .. } => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_certificate_than_the_pinned_one_gets_nothing_of_ours() {
    let (pair, other) = (Pair::own("localhost"), Pair::own("localhost"));
    let gateway = gateway(&pair);
    run(async {
        let builder = pinning(&gateway, &other).token("hunter2");
        let error = builder.connect().await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains("tls fingerprint mismatch"), "{told}");
        assert!(
            told.contains("pin the fingerprint that it prints"),
            "{told}"
        );
        let expected = CertificateFault::Pin {
            pinned: other.credential().fingerprint(),
            shown: pair.credential().fingerprint(),
        };
        assert_eq!(fault(error), expected);
    });
    assert!(gateway.ask(|desk, _, _| desk.peers.is_empty()));
    // Nothing is heard of it even where the handshake is over for who shows the certificate.
    for version in [&TLS12, &TLS13] {
        let (address, listening) = impostor(&pair.der, &pair, version);
        run(async {
            let builder = Gateway::builder(format!("wss://{address}")).token("hunter2");
            let builder = builder.tls_fingerprint(other.credential().fingerprint());
            let fault = fault(builder.connect().await.unwrap_err());
            assert!(matches!(fault, CertificateFault::Pin { .. }), "{fault:?}");
        });
        listening.join().unwrap();
    }
}

#[test]
fn a_link_stops_trying_where_the_certificate_is_another_until_its_owner_says_so() {
    let (pair, other) = (Pair::own("localhost"), Pair::own("localhost"));
    let gateway = gateway(&pair);
    run(async {
        let link = pinning(&gateway, &other).link().start().unwrap();
        let mut states = link.states();
        loop {
            match states.next().await.unwrap() {
                State::Connecting => {}
                State::Paused { why, error } => {
                    assert_eq!(why, Why::Untrusted);
                    assert!(error.unwrap().to_string().contains("mismatch"));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        link.close().await;
    });
}

#[test]
fn the_pinned_certificate_without_its_key_is_not_enough() {
    for version in [&TLS12, &TLS13] {
        let (pair, thief) = (Pair::own("localhost"), Pair::own("localhost"));
        let (address, impostor) = impostor(&pair.der, &thief, version);
        run(async {
            let error = Gateway::builder(format!("wss://{address}"))
                .tls_fingerprint(pair.credential().fingerprint())
                .connect()
                .await
                .unwrap_err();
            let told = error.to_string();
            assert!(!told.contains("or pin"), "it is pinned: {told}");
            assert_eq!(fault(error), CertificateFault::Unproven);
        });
        impostor.join().unwrap();
    }
}

/// A server that shows a certificate with somebody's key, and is told nothing.
fn impostor(
    shown: &[u8],
    thief: &Pair,
    version: &'static SupportedProtocolVersion,
) -> (String, thread::JoinHandle<()>) {
    #[derive(Debug)]
    struct Stolen(Arc<CertifiedKey>);
    impl ResolvesServerCert for Stolen {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }
    let key = PrivatePkcs8KeyDer::from(thief.key.serialize_der());
    let key = ring::sign::any_supported_type(&key.into()).unwrap();
    let shown = vec![CertificateDer::from(shown.to_vec())];
    let stolen = Stolen(Arc::new(CertifiedKey::new(shown, key)));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(stolen));
    let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut socket).is_err() {
                return;
            }
        }
        // In TLS 1.3 it may take the client's word for granted before that has looked.
        assert!(connection.complete_io(&mut socket).is_err());
        let mut heard = Vec::new();
        let _ = connection.reader().read_to_end(&mut heard);
        assert_eq!(
            heard, b"",
            "whom the client does not believe it tells nothing"
        );
    });
    (address, thread)
}

#[test]
fn an_authority_vouches_for_names_and_days() {
    let (known, unknown) = (Authority::new(), Authority::new());
    run(async {
        for (issuer, name, last_year, expected) in [
            (&known, "127.0.0.1", 4000, None),
            (&known, "127.0.0.2", 4000, Some(CertificateFault::Name)),
            (&known, "127.0.0.1", 2021, Some(CertificateFault::Days)),
            (&unknown, "127.0.0.1", 4000, None),
        ] {
            let pair = issuer.issue(name, last_year);
            let gateway = gateway(&pair);
            let builder = Gateway::builder(format!("wss://{}", gateway.address));
            let connected = builder.trust(Trust::Roots(known.roots())).connect().await;
            let expected = if std::ptr::eq(issuer, &unknown) {
                let shown = pair.credential().fingerprint();
                Some(CertificateFault::UnknownIssuer { shown })
            } else {
                expected
            };
            match expected {
                None => connected.unwrap().close().await,
                Some(expected) => assert_eq!(fault(connected.unwrap_err()), expected),
            }
        }
    });
}

#[test]
fn nobody_vouches_for_a_certificate_of_the_gateways_own() {
    let pair = Pair::own("127.0.0.1");
    let gateway = gateway(&pair);
    run(async {
        let url = format!("wss://{}", gateway.address);
        let trust = Trust::Roots(Authority::new().roots());
        let error = Gateway::builder(url).trust(trust).connect().await;
        let shown = Fingerprint::of(&pair.der);
        let error = error.unwrap_err();
        assert!(error.to_string().contains(&shown.to_string()));
        assert_eq!(fault(error), CertificateFault::UnknownIssuer { shown });
    });
}

#[test]
fn a_pin_wants_an_address_with_tls() {
    run(async {
        let pin = Fingerprint::of(b"");
        let builder = Gateway::builder("ws://127.0.0.1:1").tls_fingerprint(pin);
        let error = builder.clone().link().start().unwrap_err();
        assert!(matches!(error, ConnectError::Url(UrlError::PinWithoutTls)));
        let error = builder.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Url(UrlError::PinWithoutTls)));
    });
}

#[test]
fn a_peer_without_tls_is_no_gateway_and_not_distrusted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let plain = thread::spawn(move || {
        use std::io::Write as _;
        let (mut socket, _) = listener.accept().unwrap();
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    run(async {
        let builder = Gateway::builder(format!("wss://{address}"));
        let pin = Fingerprint::of(b"");
        let error = builder.tls_fingerprint(pin).connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains("whether it is ws://"));
    });
    plain.join().unwrap();
}
