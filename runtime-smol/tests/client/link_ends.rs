//! What keeps a link from connecting, and how it ends.

use std::time::{Duration, Instant};

use futures_lite::future::{poll_once, zip};
use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::client::{
    ConnectError, Credentials, Event, Gateway, Patience, RequestError, State, Why,
};

use crate::link::{QUICK, builder, link, next, ready, waits_because};
use crate::scripted::{Asked, Lab, run};

const MISMATCH: &str = r#"{"code":"INVALID_REQUEST","message":"m","details":{"code":"AUTH_TOKEN_MISMATCH","canRetryWithDeviceToken":true}}"#;

fn auth(connect: &Asked) -> Json {
    #[derive(serde::Deserialize)]
    struct Params {
        auth: std::collections::BTreeMap<String, String>,
    }
    let params: Params = connect.params.as_ref().unwrap().read().unwrap();
    Json::of(&params.auth).unwrap()
}

#[test]
fn refused_credentials_pause_until_the_owner_changes_them() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        lab.refuse(MISMATCH).await;
        let State::Paused {
            why: Why::Credentials,
            error: Some(error),
        } = next(&mut states).await
        else {
            panic!("a pause was expected");
        };
        assert_eq!(error.message(), Some("m"));
        let answer = link.request("status", ()).await;
        assert_eq!(answer, Err(RequestError::NotSent), "at once");
        link.resume_with(Credentials {
            token: Some("better".to_owned()),
            ..Credentials::default()
        });
        let mut peer = lab.accept().await;
        let connect = peer.welcome().await;
        assert_eq!(auth(&connect).as_str(), r#"{"token":"better"}"#);
        ready(&mut states).await;
    });
}

#[test]
fn an_approval_is_waited_for_by_the_owner() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        let pairing = r#"{"code":"NOT_PAIRED","message":"m","details":{"code":"PAIRING_REQUIRED","requestId":"r"}}"#;
        for _ in 0..2 {
            lab.refuse(pairing).await;
            let state = next(&mut states).await;
            let paused = matches!(
                state,
                State::Paused {
                    why: Why::Pairing,
                    ..
                }
            );
            assert!(paused, "{state:?}");
            link.resume();
        }
        let _peer = lab.welcome().await;
        ready(&mut states).await;
    });
}

#[test]
fn a_device_token_is_tried_once_and_alone() {
    run(async {
        let lab = Lab::new().await;
        let builder = builder(&lab).device_token("own").link().patience(QUICK);
        let link = builder.start().unwrap();
        let mut states = link.states();
        let configured = lab.refuse(MISMATCH).await;
        assert_eq!(auth(&configured).as_str(), r#"{"token":"secret"}"#);
        assert_eq!(waits_because(&mut states).await, Why::TryingDeviceToken);
        let own = lab.refuse(MISMATCH).await;
        assert_eq!(auth(&own).as_str(), r#"{"deviceToken":"own"}"#);
        let state = next(&mut states).await;
        assert!(matches!(state, State::Paused { .. }), "{state:?}");
    });
}

#[test]
fn a_protocol_that_does_not_fit_stops_the_link() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let (mut states, mut events) = (link.states(), link.events());
        lab.refuse(
            r#"{"code":"INVALID_REQUEST","message":"m","details":{"code":"PROTOCOL_MISMATCH"}}"#,
        )
        .await;
        let state = next(&mut states).await;
        let stopped = matches!(
            state,
            State::Stopped {
                why: Why::Version,
                ..
            }
        );
        assert!(stopped, "{state:?}");
        assert!(states.next().await.is_none());
        assert!(matches!(events.next().await, Some(Event::Closed { .. })));
        assert!(events.next().await.is_none());
        let answer = link.request("status", ()).await;
        assert_eq!(answer, Err(RequestError::NotSent));
        assert!(link.states().next().await.unwrap().is_final());
        link.resume();
        link.close().await;
        link.drain().await;
    });
}

#[test]
fn a_gateway_that_is_starting_is_tried_again() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        lab.refuse(r#"{"code":"UNAVAILABLE","message":"m","retryable":true,"retryAfterMs":100,"details":{"reason":"startup-sidecars"}}"#)
            .await;
        assert_eq!(waits_because(&mut states).await, Why::Starting);
        let _peer = lab.welcome().await;
        ready(&mut states).await;
    });
}

#[test]
fn an_announced_restart_is_waited_for_unless_the_owner_resumes() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        let mut peer = lab.welcome().await;
        ready(&mut states).await;
        peer.push("shutdown", r#"{"restartExpectedMs":60000}"#, 1)
            .await;
        peer.close(1012, "service restart").await;
        let State::Waiting { until, why, .. } = next(&mut states).await else {
            panic!("waiting was expected");
        };
        assert_eq!(why, Why::Restarting);
        let left = until.saturating_duration_since(Instant::now());
        assert!(left > Duration::from_secs(50), "{left:?}");
        link.resume();
        let _peer = lab.welcome().await;
        ready(&mut states).await;
    });
}

#[test]
fn a_gateway_that_fell_silent_is_left_for_a_new_connection() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let (mut states, mut events) = (link.states(), link.events());
        let mut silent = lab.accept().await;
        silent.welcome_with("40").await;
        ready(&mut states).await;
        assert_eq!(waits_because(&mut states).await, Why::Lost);
        let _peer = lab.welcome().await;
        ready(&mut states).await;
        let interrupted = events.next().await.unwrap();
        let silence = matches!(interrupted, Event::Interrupted { code: 4000, .. });
        assert!(silence, "{interrupted:?}");
    });
}

#[test]
fn what_is_open_is_drained_and_nothing_new_is_taken() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        let script = async {
            let mut peer = lab.welcome().await;
            let asked = peer.asked().await;
            peer.answer(&asked, r#"{"runId":"k","status":"accepted"}"#)
                .await;
            (peer, asked)
        };
        let params = Object::new().text("idempotencyKey", "k");
        let (run, (peer, _)) = zip(link.run("agent", params), script).await;
        let mut drain = Box::pin(link.drain());
        assert!(poll_once(&mut drain).await.is_none());
        assert!(matches!(link.state(), State::Draining));
        let refused = link.request("status", ()).await;
        assert_eq!(refused, Err(RequestError::NotSent));
        drop(peer);
        let script = async {
            let mut peer = lab.welcome().await;
            let asked = peer.asked().await;
            assert_eq!(asked.method, "agent", "runs are still joined");
            peer.answer(&asked, r#"{"status":"ok"}"#).await;
            peer.closed().await
        };
        let ((), closed) = zip(drain, script).await;
        assert_eq!(closed.unwrap().0, 1000);
        run.unwrap().finish().await.unwrap();
        ready(&mut states).await;
        assert!(matches!(states.next().await, Some(State::Draining)));
        assert!(matches!(states.next().await, Some(State::Closed)));
        assert!(states.next().await.is_none());
    });
}

#[test]
fn closing_ends_what_waits() {
    run(async {
        let mut lab = Lab::new().await;
        lab.go();
        let link = builder(&lab).link().patience(Patience::default());
        let link = link.start().unwrap();
        let waiting = link.request("status", ());
        let (answer, ()) = zip(waiting, link.close()).await;
        assert_eq!(answer, Err(RequestError::NotSent));
        assert!(matches!(link.state(), State::Closed));
        assert!(matches!(
            link.events().next().await,
            Some(Event::Closed { .. })
        ));
    });
}

#[test]
fn a_link_that_nobody_holds_closes() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let (mut states, events) = (link.states(), link.events());
        let mut peer = lab.welcome().await;
        ready(&mut states).await;
        drop((link, events));
        assert_eq!(peer.closed().await.unwrap().0, 1000);
        assert!(matches!(states.next().await, Some(State::Closed)));
    });
}

#[test]
fn what_needs_no_gateway_to_be_wrong_is_said_at_once() {
    let url = Gateway::builder("https://host").link().start();
    assert!(matches!(url, Err(ConnectError::Url(_))));
    let params = Gateway::builder("ws://host").client("nobody", "cli").link();
    assert!(matches!(params.start(), Err(ConnectError::Params(_))));
}
