//! Connecting: hello, refusals, and what listens there but is no gateway.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_runtime_smol::client::{ConnectError, Device, Gateway, Stage, Timeouts, UrlError};

use crate::scripted::{bare, gateway, run};

fn hasty() -> Timeouts {
    Timeouts {
        handshake: Duration::from_millis(100),
        close: Duration::from_millis(100),
        ..Timeouts::default()
    }
}

#[test]
fn hello_says_what_the_gateway_said_and_the_gateway_hears_who_we_are() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            let connect = peer.welcome().await;
            let params = connect.params.unwrap();
            for part in [
                r#""minProtocol":3,"maxProtocol":4"#,
                r#""id":"cli""#,
                r#""mode":"cli""#,
                r#""displayName":"me""#,
                r#""instanceId":"i""#,
                r#""scopes":["operator.read"]"#,
                r#""auth":{"token":"hunter2"}"#,
            ] {
                assert!(params.as_str().contains(part), "{part}");
            }
            assert_eq!(
                peer.closed().await,
                Some((1000, "closed by the client".to_owned()))
            );
        })
        .await;
        let builder = Gateway::builder(&url)
            .token("hunter2")
            .client("cli", "cli")
            .display_name("me")
            .instance_id("i")
            .scopes(["operator.read"])
            .versions(3, 4);
        assert!(!format!("{builder:?}").contains("hunter2"));
        let gateway = builder.connect().await.unwrap();
        let hello = gateway.hello();
        assert_eq!((hello.protocol, &*hello.conn_id), (4, "c1"));
        assert_eq!(
            hello.scopes.as_deref(),
            Some(&["operator.read".to_owned()][..])
        );
        gateway.close().await;
        gateway.close().await;
        script.await;
    });
}

#[test]
fn a_device_signs_the_challenge_and_what_we_say_of_ourselves() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            let connect = peer.welcome().await;
            let params = ConnectParams::read(connect.params.as_ref()).unwrap();
            let proof = params.device.unwrap();
            assert_eq!((&*proof.id, &*proof.public_key), ("d1", "key"));
            let expected = format!(
                "signed v3|d1|cli|cli|operator|operator.read|{}|own|{}|{}|",
                proof.signed_at_ms,
                proof.nonce,
                std::env::consts::OS
            );
            assert_eq!(proof.signature, expected);
            assert!(!proof.nonce.is_empty() && proof.signed_at_ms > 0);
            assert_eq!(params.auth.device_token.as_deref(), Some("own"));
        })
        .await;
        let device = Device::new("d1", "key", |text| format!("signed {text}"));
        let builder = Gateway::builder(&url)
            .client("cli", "cli")
            .scopes(["operator.read"])
            .device_token("own")
            .device(device);
        let gateway = builder.connect().await.unwrap();
        gateway.close().await;
        script.await;
    });
}

#[test]
fn a_refusal_carries_its_code() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            let connect = peer.challenge().await;
            peer.fail(
                &connect,
                r#""error":{"code":"INVALID_REQUEST","message":"unauthorized: token missing","details":{"code":"AUTH_TOKEN_MISSING"}}"#,
            )
            .await;
            peer.close(1008, "unauthorized").await;
        })
        .await;
        let error = Gateway::builder(url).connect().await.unwrap_err();
        assert_eq!(error.message(), Some("unauthorized: token missing"));
        let ConnectError::Refused(shape) = error else {
            panic!("{error:?}");
        };
        assert_eq!(shape.detail_code().as_deref(), Some("AUTH_TOKEN_MISSING"));
        script.await;
    });
}

#[test]
fn a_close_before_hello_keeps_its_code_and_reason() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.challenge().await;
            peer.close(1013, "too many connections").await;
        })
        .await;
        let error = Gateway::builder(url).connect().await.unwrap_err();
        let ConnectError::Closed { code, reason } = error else {
            panic!("{error:?}");
        };
        assert_eq!((code, &*reason), (1013, "too many connections"));
        script.await;
    });
}

#[test]
fn a_closed_port_is_unreachable_at_once() {
    run(async {
        let listener = async_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        for url in [
            format!("ws://{address}"),
            format!("ws://localhost:{}", address.port()),
        ] {
            let start = Instant::now();
            let error = Gateway::builder(url).connect().await.unwrap_err();
            assert!(start.elapsed() < Duration::from_secs(1));
            let ConnectError::Unreachable { target, error } = error else {
                panic!("{error:?}");
            };
            assert!(target.ends_with(&address.port().to_string()));
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn a_plain_http_server_is_no_gateway() {
    run(async {
        let (url, script) = bare(|mut stream| async move {
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope")
                .await
                .unwrap();
        })
        .await;
        let error = Gateway::builder(url).connect().await.unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
        assert!(matches!(
            error,
            ConnectError::NotAGateway {
                status: Some(404),
                ..
            }
        ));
        script.await;
    });
}

#[test]
fn garbage_a_tls_alert_and_a_hangup_are_no_gateway() {
    run(async {
        for text in [
            &b"SSH-2.0-OpenSSH_9.9\r\n"[..],
            b"\x15\x03\x01\x00\x02\x02\x46",
            b"",
        ] {
            let (url, script) = bare(move |mut stream| async move {
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(text).await.unwrap();
            })
            .await;
            let error = Gateway::builder(url).connect().await.unwrap_err();
            assert!(error.to_string().contains("TLS"), "{error}");
            assert!(matches!(
                error,
                ConnectError::NotAGateway { status: None, .. }
            ));
            script.await;
        }
    });
}

#[test]
fn what_never_answers_the_handshake_is_given_up() {
    run(async {
        let (url, script) = bare(|mut stream| async move {
            let mut request = Vec::new();
            stream.read_to_end(&mut request).await.unwrap();
        })
        .await;
        let error = Gateway::builder(url).timeouts(hasty()).connect().await;
        assert!(matches!(
            error,
            Err(ConnectError::Timeout {
                waiting_for: Stage::Upgrade
            })
        ));
        script.await;
    });
}

#[test]
fn a_gateway_without_challenge_or_without_hello_is_given_up() {
    run(async {
        for (challenges, reason) in [
            (false, (1008, "connect challenge timeout".to_owned())),
            (true, (4000, "connect timeout".to_owned())),
        ] {
            let (url, script) = gateway(move |mut peer| async move {
                if challenges {
                    peer.challenge().await;
                }
                assert_eq!(peer.closed().await, Some(reason));
            })
            .await;
            let error = Gateway::builder(url).timeouts(hasty()).connect().await;
            assert!(matches!(
                error,
                Err(ConnectError::Timeout {
                    waiting_for: Stage::Hello
                })
            ));
            script.await;
        }
    });
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    run(async {
        let error = Gateway::builder("https://host")
            .connect()
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Url(UrlError::Scheme)));
        assert!(error.to_string().contains("write it as wss://"));
        let builder = Gateway::builder("ws://127.0.0.1:1").client("nobody", "cli");
        let error = builder.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Params(_)), "{error:?}");
    });
}

#[test]
fn a_connect_that_is_dropped_ends_the_connection() {
    run(async {
        let (reached, challenged) = async_channel::bounded::<()>(1);
        let (url, script) = gateway(|mut peer| async move {
            peer.challenge().await;
            drop(reached);
            assert_eq!(peer.closed().await.unwrap().0, 1000);
        })
        .await;
        let connect = async { Gateway::builder(url).connect().await.map(drop).unwrap() };
        let dropped = async {
            let _ = challenged.recv().await;
        };
        futures_lite::FutureExt::or(connect, dropped).await;
        script.await;
    });
}

#[test]
fn a_gateway_that_does_not_trust_the_proxy_is_a_gateway() {
    run(async {
        for (kind, is_it) in [("proxy_attribution_required", true), ("forbidden", false)] {
            let body = format!(r#"{{"error":{{"message":"hunter2","type":"{kind}"}}}}"#);
            let length = body.len();
            let (url, script) = bare(move |mut stream| async move {
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\n\r\n");
                let answer = head + &body;
                stream.write_all(answer.as_bytes()).await.unwrap();
            })
            .await;
            let error = Gateway::builder(url).connect().await.unwrap_err();
            let told = error.to_string();
            assert_eq!(matches!(error, ConnectError::Unattributable { .. }), is_it);
            assert_eq!(told.contains("gateway.trustedProxies"), is_it, "{told}");
            assert!(!told.contains("hunter2"), "{told}");
            script.await;
        }
    });
}
