//! How connections end, and what those who wait are told.

use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::protocol::Message;
use async_tungstenite::tungstenite::protocol::frame::Frame;
use async_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use futures_lite::AsyncWriteExt;
use futures_lite::future::zip;
use openclaw_runtime_smol::client::{Event, Events, Gateway, Params, RequestError, Timeouts};

use crate::scripted::{gateway, run};

async fn end(events: &mut Events) -> (u16, String) {
    loop {
        match events.next().await {
            Some(Event::Closed { code, reason }) => return (code, reason),
            Some(_) => {}
            None => panic!("the events ended without a close"),
        }
    }
}

#[test]
fn a_restart_ends_requests_as_unknown_and_tells_code_and_reason() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let run = peer.asked().await;
            peer.answer(&run, r#"{"status":"accepted","runId":"r"}"#)
                .await;
            peer.asked().await;
            peer.close(1012, "service restart").await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let mut events = gateway.events();
        let mut run = gateway.run("agent", ()).await.unwrap();
        let error = gateway.request("health", ()).await;
        assert_eq!(error, Err(RequestError::Unknown));
        assert!(run.next().await.is_none());
        assert_eq!(run.finish().await, Err(RequestError::Unknown));
        let close = end(&mut events).await;
        assert_eq!(close, (1012, "service restart".to_owned()));
        let error = gateway.request("health", ()).await;
        assert_eq!(error, Err(RequestError::NotSent));
        assert!(matches!(
            gateway.run("agent", ()).await,
            Err(RequestError::NotSent)
        ));
        gateway.close().await;
        script.await;
    });
}

#[test]
fn a_silent_gateway_is_left_after_two_ticks() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome_with("50").await;
            assert_eq!(peer.closed().await, Some((4000, "tick timeout".to_owned())));
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let close = end(&mut gateway.events()).await;
        assert_eq!(close, (4000, "tick timeout".to_owned()));
        script.await;
    });
}

#[test]
fn a_gateway_that_does_not_even_read_is_left_too() {
    run(async {
        let (over, ended) = async_channel::bounded::<()>(1);
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome_with("50").await;
            let _ = ended.recv().await;
        })
        .await;
        let timeouts = Timeouts {
            close: Duration::from_millis(50),
            ..Timeouts::default()
        };
        let params = Params::of(&"x".repeat(20 << 20)).unwrap();
        let builder = Gateway::builder(url).timeouts(timeouts);
        let (gateway, mut events) = builder.connect_with_events().await.unwrap();
        let request = gateway.request("echo", params);
        let (error, close) = zip(request, end(&mut events)).await;
        assert_eq!(error, Err(RequestError::Unknown));
        assert_eq!(close.0, 4000);
        drop(over);
        script.await;
    });
}

#[test]
fn pings_and_parts_of_a_message_are_signs_of_life() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome_with("100").await;
            for _ in 0..8 {
                smol::Timer::after(Duration::from_millis(50)).await;
                peer.socket.send(Message::Ping("x".into())).await.unwrap();
            }
            // One frame, byte by byte.
            let text = br#"{"type":"event","event":"tick","payload":{},"seq":1}"#;
            let mut stream = peer.socket.into_inner();
            stream
                .write_all(&[0x81, u8::try_from(text.len()).unwrap()])
                .await
                .unwrap();
            for part in text.chunks(6) {
                smol::Timer::after(Duration::from_millis(50)).await;
                stream.write_all(part).await.unwrap();
            }
        })
        .await;
        let start = Instant::now();
        let builder = Gateway::builder(url);
        let (_gateway, mut events) = builder.connect_with_events().await.unwrap();
        assert!(matches!(events.next().await, Some(Event::Push(_))));
        assert!(start.elapsed() > Duration::from_millis(600));
        assert_eq!(end(&mut events).await.0, 1006);
        script.await;
    });
}

#[test]
fn a_message_that_is_too_large_or_not_utf8_ends_the_connection_with_a_reason() {
    run(async {
        for (message, code) in [
            (Message::Text("x".repeat(26_214_401).into()), 1009),
            (
                Message::Frame(Frame::message(
                    vec![b'"', 0xff, b'"'],
                    OpCode::Data(Data::Text),
                    true,
                )),
                1007,
            ),
            (
                Message::Frame(Frame::message(
                    vec![b'"'],
                    OpCode::Data(Data::Continue),
                    true,
                )),
                1002,
            ),
        ] {
            let (url, script) = gateway(move |mut peer| async move {
                peer.welcome().await;
                drop(peer.socket.send(message).await);
                assert_eq!(peer.closed().await.map(|(code, _)| code), Some(code));
            })
            .await;
            let builder = Gateway::builder(url);
            let (_gateway, mut events) = builder.connect_with_events().await.unwrap();
            let close = end(&mut events).await;
            assert_eq!(close.0, code);
            assert!(close.1.contains("gateway"), "{}", close.1);
            script.await;
        }
    });
}

#[test]
fn a_connection_that_is_cut_says_so() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            peer.asked().await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let mut events = gateway.events();
        assert_eq!(
            gateway.request("health", ()).await,
            Err(RequestError::Unknown)
        );
        assert_eq!(end(&mut events).await.0, 1006);
        script.await;
    });
}

#[test]
fn the_last_handle_closes_the_connection_and_a_run_is_one() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let agent = peer.asked().await;
            peer.answer(&agent, r#"{"status":"accepted","runId":"r"}"#)
                .await;
            smol::Timer::after(Duration::from_millis(50)).await;
            peer.answer(&agent, r#"{"status":"ok"}"#).await;
            assert_eq!(peer.closed().await.unwrap().0, 1000);
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let clone = gateway.clone();
        let mut events = gateway.events();
        let run = gateway.run("agent", ()).await.unwrap();
        drop((gateway, clone));
        assert!(run.finish().await.is_ok());
        assert_eq!(end(&mut events).await.0, 1000);
        script.await;
    });
}

#[test]
fn closing_waits_for_the_gateway_no_longer_than_it_may() {
    run(async {
        let (over, ended) = async_channel::bounded::<()>(1);
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let _ = ended.recv().await;
        })
        .await;
        let timeouts = Timeouts {
            close: Duration::from_millis(100),
            ..Timeouts::default()
        };
        let builder = Gateway::builder(url).timeouts(timeouts);
        let gateway = builder.connect().await.unwrap();
        let start = Instant::now();
        let (answer, ()) = zip(gateway.request("health", ()), gateway.close()).await;
        assert!(start.elapsed() >= Duration::from_millis(100));
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(answer.is_err());
        drop(over);
        script.await;
    });
}

#[test]
fn absurd_ticks_do_no_harm() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome_with("18446744073709551615").await;
            let asked = peer.asked().await;
            peer.answer(&asked, "{}").await;
            peer.closed().await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        assert!(gateway.request("health", ()).await.is_ok());
        gateway.close().await;
        script.await;
    });
}
