//! What the gateway pushes.

use openclaw_runtime_smol::client::{Event, Gap, Gateway};

use crate::scripted::{gateway, run};

#[test]
fn a_subscription_from_the_start_hears_everything() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            peer.push("health", "{}", 1).await;
            peer.push("tick", "{}", 2).await;
            peer.close(1000, "").await;
        })
        .await;
        let builder = Gateway::builder(url);
        let (gateway, mut events) = builder.connect_with_events().await.unwrap();
        let mut heard = Vec::new();
        while let Some(event) = events.next().await {
            heard.push(match event {
                Event::Push(push) => format!("{} {:?}", push.event, push.seq),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(heard[..2], ["health Some(1)", "tick Some(2)"]);
        assert!(heard[2].starts_with("Closed"));
        assert_eq!(heard.len(), 3);
        let mut late = gateway.events();
        assert!(matches!(
            late.next().await,
            Some(Event::Closed { code: 1000, .. })
        ));
        assert!(late.next().await.is_none());
        script.await;
    });
}

#[test]
fn a_gap_is_told_before_the_push_that_reveals_it() {
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            peer.push("tick", "{}", 1).await;
            peer.push("tick", "{}", 4).await;
            peer.closed().await;
        })
        .await;
        let builder = Gateway::builder(url);
        let (gateway, mut events) = builder.connect_with_events().await.unwrap();
        assert!(matches!(events.next().await, Some(Event::Push(_))));
        let Some(Event::Gap(gap)) = events.next().await else {
            panic!("no gap");
        };
        assert_eq!(
            gap,
            Gap {
                expected: 2,
                received: 4
            }
        );
        assert!(matches!(events.next().await, Some(Event::Push(_))));
        drop(gateway);
        script.await;
    });
}

#[test]
fn a_slow_subscriber_is_told_what_it_missed_and_holds_nobody_up() {
    const PUSHES: u64 = 3_000;
    run(async {
        let (url, script) = gateway(|mut peer| async move {
            peer.welcome().await;
            let asked = peer.asked().await;
            for seq in 1..=PUSHES {
                peer.push("tick", "{}", seq).await;
            }
            peer.answer(&asked, "{}").await;
            peer.closed().await;
        })
        .await;
        let gateway = Gateway::builder(url).connect().await.unwrap();
        let mut slow = gateway.events();
        gateway.request("go", ()).await.unwrap();
        drop(gateway);
        let (mut pushed, mut lagged) = (0, 0);
        while let Some(event) = slow.next().await {
            match event {
                Event::Push(push) => {
                    pushed += 1;
                    assert_eq!(push.seq, Some(pushed));
                }
                Event::Lagged(count) => lagged += count,
                Event::Closed { code, .. } => assert_eq!(code, 1000),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((pushed, lagged), (1_024, PUSHES - 1_024));
        script.await;
    });
}
