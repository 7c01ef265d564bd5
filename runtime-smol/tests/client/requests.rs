//! Requests, runs, and what becomes of those that nobody waits for.

use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::client::{Gateway, Params, RequestError};

use crate::scripted::{gateway, run};

/// A JSON string of `bytes` bytes that is not all the same.
fn large(bytes: usize) -> Json {
    let text: String = ('a'..='z').cycle().take(bytes - 2).collect();
    Json::parse(format!("\"{text}\"")).unwrap()
}

#[test]
fn a_request_is_answered() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            for params in [None, Some(r#"{"a":"b"}"#), Some("[1,2]"), None] {
                let asked = peer.asked().await;
                assert_eq!(asked.method, "health");
                assert_eq!(asked.params.as_ref().map(Json::as_str), params);
                peer.answer(&asked, r#"{"ok":true}"#).await;
            }
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        for params in [
            Params::from(()),
            Object::new().text("a", "b").into(),
            Params::of(&[1, 2]).unwrap(),
            None.into(),
        ] {
            let answer = gateway.request("health", params).await.unwrap();
            assert_eq!(answer.as_str(), r#"{"ok":true}"#);
        }
        script.await;
    });
}

#[test]
fn answers_find_their_requests_in_any_order() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let mut asked = Vec::new();
            for _ in 0..100 {
                asked.push(peer.asked().await);
            }
            for asked in asked.iter().rev() {
                let payload = format!("\"{}\"", asked.method);
                peer.answer(asked, &payload).await;
            }
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let requests: Vec<_> = (0..100)
            .map(|number| {
                let gateway = gateway.clone();
                smol::spawn(async move {
                    let method = format!("method-{number}");
                    let answer = gateway.request(&method, ()).await.unwrap();
                    assert_eq!(answer.as_str(), format!("\"{method}\""));
                })
            })
            .collect();
        for request in requests {
            request.await;
        }
        script.await;
    });
}

#[test]
fn a_failure_keeps_its_error_and_its_payload() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let asked = peer.asked().await;
            peer.fail(
                &asked,
                r#""payload":{"runId":"r"},"error":{"code":"UNAVAILABLE","message":"secret words","retryable":true,"retryAfterMs":7}"#,
            )
            .await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let failure = gateway.request("agent", ()).await.unwrap_err();
        assert_eq!(failure.message(), Some("secret words"));
        assert!(!format!("{failure} {failure:?}").contains("secret"));
        let RequestError::Answered { error, payload } = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(
            (&*error.code, error.retry_after_ms),
            ("UNAVAILABLE", Some(7))
        );
        assert_eq!(payload.unwrap().as_str(), r#"{"runId":"r"}"#);
        script.await;
    });
}

#[test]
fn a_request_without_an_answer_times_out() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let late = peer.asked().await;
            let next = peer.asked().await;
            peer.answer(&late, "1").await;
            peer.answer(&next, "2").await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let error = gateway
            .request_within("slow", (), Duration::from_millis(50))
            .await;
        assert_eq!(error, Err(RequestError::TimedOut));
        let answer = gateway.request("quick", ()).await.unwrap();
        assert_eq!(answer.as_str(), "2");
        script.await;
    });
}

#[test]
fn a_run_has_an_ack_its_own_events_and_a_final() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let agent = peer.asked().await;
            peer.answer(&agent, r#"{"status":"accepted","runId":"r1"}"#)
                .await;
            peer.push("agent", r#"{"runId":"r1","n":1}"#, 1).await;
            peer.push("agent", r#"{"runId":"other","n":2}"#, 2).await;
            peer.push("tick", r#"{"runId":"r1"}"#, 3).await;
            peer.push("chat", r#"{"runId":"r1","n":3}"#, 4).await;
            peer.answer(&agent, r#"{"status":"ok","runId":"r1"}"#).await;
            peer.push("agent", r#"{"runId":"r1","n":4}"#, 5).await;
            peer.closed().await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let mut run = gateway.run("agent", Json::empty_object()).await.unwrap();
        assert_eq!(run.id(), Some("r1"));
        assert!(run.accepted().is_some());
        let mut heard = Vec::new();
        while let Some(push) = run.next().await {
            heard.push(format!("{} {}", push.event, push.payload.as_str()));
        }
        assert_eq!(
            heard,
            [
                r#"agent {"runId":"r1","n":1}"#,
                r#"chat {"runId":"r1","n":3}"#
            ]
        );
        assert_eq!(run.missed(), 0);
        let last = run.finish().await.unwrap();
        assert_eq!(last.as_str(), r#"{"status":"ok","runId":"r1"}"#);
        gateway.close().await;
        script.await;
    });
}

#[test]
fn events_before_the_ack_are_found_by_the_idempotency_key() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let agent = peer.asked().await;
            peer.push("agent", r#"{"runId":"k1"}"#, 1).await;
            peer.answer(&agent, r#"{"status":"accepted","runId":"k1"}"#)
                .await;
            peer.fail(
                &agent,
                r#""payload":{"status":"error"},"error":{"code":"UNAVAILABLE","message":"m"}"#,
            )
            .await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let params = Object::new().text("idempotencyKey", "k1");
        let mut run = gateway.run("agent", params).await.unwrap();
        assert!(run.next().await.is_some());
        assert!(run.next().await.is_none());
        let failure = run.finish().await.unwrap_err();
        assert!(matches!(
            failure,
            RequestError::Answered {
                payload: Some(_),
                ..
            }
        ));
        script.await;
    });
}

#[test]
fn a_run_may_be_finished_or_refused_at_once() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let stored = peer.asked().await;
            peer.answer(&stored, r#"{"status":"ok","runId":"old"}"#)
                .await;
            let refused = peer.asked().await;
            peer.fail(&refused, r#""error":{"code":"FORBIDDEN","message":"no"}"#)
                .await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let mut run = gateway.run("agent", ()).await.unwrap();
        assert_eq!((run.id(), run.accepted()), (Some("old"), None));
        assert!(run.next().await.is_none());
        assert!(run.finish().await.is_ok());
        let error = gateway.run("agent", ()).await.unwrap_err();
        assert!(matches!(error, RequestError::Answered { .. }));
        script.await;
    });
}

#[test]
fn twenty_megabytes_go_both_ways_at_once() {
    run(async {
        let text = large(20 << 20);
        let expected = text.clone();
        let (url, script) = gateway(move |mut peer| async move {
            peer.welcome().await;
            // Sent before anything is read: a client that could not read while it writes would
            // stand still with us.
            peer.push("agent", expected.as_str(), 1).await;
            let asked = peer.asked().await;
            assert!(asked.params.as_ref() == Some(&expected));
            peer.answer(&asked, expected.as_str()).await;
        })
        .await;
        let builder = Gateway::builder(url);
        let (gateway, mut events) = builder.connect_with_events().await.unwrap();
        let (answer, pushed) = zip(gateway.request("echo", text.clone()), events.next()).await;
        assert!(answer.unwrap() == text);
        assert!(pushed.is_some());
        script.await;
    });
}

#[test]
fn a_request_over_the_gateways_limit_is_not_sent() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            assert_eq!(peer.asked().await.method, "small");
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let error = gateway.request("large", large(26_214_400)).await;
        assert!(matches!(error, Err(RequestError::TooLarge { .. })));
        let error = gateway.request("small", ()).await;
        assert_eq!(error, Err(RequestError::Unknown));
        script.await;
    });
}

#[test]
fn what_nobody_waits_for_is_forgotten() {
    run(async {
        let (got, forgotten) = async_channel::bounded::<()>(1);
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let dropped = peer.asked().await;
            drop(got);
            let next = peer.asked().await;
            assert_eq!(next.method, "second");
            peer.answer(&dropped, "1").await;
            peer.answer(&next, "2").await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let first = async {
            gateway.request("first", ()).await.unwrap();
        };
        let dropped = async {
            let _ = forgotten.recv().await;
        };
        futures_lite::FutureExt::or(first, dropped).await;
        assert_eq!(gateway.request("second", ()).await.unwrap().as_str(), "2");
        script.await;
    });
}

#[test]
fn what_is_dropped_before_the_connection_takes_it_is_not_sent() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let asked = peer.asked().await;
            assert_eq!(asked.method, "second");
            peer.answer(&asked, "2").await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        // The global executor has one thread: while it waits here, the connection's task does not
        // run.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (held, holding) = async_channel::bounded::<()>(1);
        let hold = smol::spawn(async move {
            drop(held);
            wait.recv().unwrap_err();
        });
        let _ = holding.recv().await;
        assert!(poll_once(gateway.request("first", ())).await.is_none());
        drop(go);
        hold.await;
        assert_eq!(gateway.request("second", ()).await.unwrap().as_str(), "2");
        script.await;
    });
}
