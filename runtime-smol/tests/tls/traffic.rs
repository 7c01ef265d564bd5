//! Messages of every size, and many connections.

use futures_rustls::rustls::version::TLS13;
use openclaw_protocol_core::frame::outgoing::Class;
use openclaw_protocol_core::json::Object;

use crate::certificates::Pair;
use crate::secured::{gateway, peer, pinning, run};

#[test]
fn messages_of_every_size_arrive_whole_both_ways() {
    let pair = Pair::own("localhost");
    let gateway = gateway(&pair);
    run(async {
        let client = pinning(&gateway, &pair).connect().await.unwrap();
        for bytes in [1, 4_095, 16_384, 65_536, 65_537, 1 << 20, 20 << 20] {
            let sent = Object::new().text("x", &"x".repeat(bytes)).finish();
            let expected = sent.as_str().len();
            let measured = client.request("measure", sent).await.unwrap();
            assert_eq!(measured.as_str(), format!(r#"{{"bytes":{expected}}}"#));
            let size = openclaw_protocol_core::json::Json::of(&bytes).unwrap();
            let big = client.request("big", size).await.unwrap();
            assert!(big.len() > bytes && big.len() < bytes + 100);
        }
        let echoed = Object::new().text("x", "x").finish();
        let answer = client.request("echo", echoed.clone()).await.unwrap();
        assert_eq!(answer.as_str(), echoed.as_str());
        client.close().await;
    });
    gateway.until_empty();
}

#[test]
fn many_are_connected_at_once_and_all_hear_what_is_said() {
    const CLIENTS: usize = 200;
    let pair = Pair::own("localhost");
    let gateway = gateway(&pair);
    run(async {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let connected = pinning(&gateway, &pair).connect_with_events().await;
            clients.push(connected.unwrap());
        }
        assert_eq!(gateway.connections(), CLIENTS);
        gateway.publish(100_000, Class::Ordinary);
        for (_, events) in &mut clients {
            let event = format!("{:?}", events.next().await.unwrap());
            assert!(event.contains("news"), "{event}");
        }
    });
    gateway.until_empty();
}

#[test]
fn a_peer_that_reads_nothing_is_closed_and_nobody_else_notices() {
    use std::io::Write as _;

    let pair = Pair::own("localhost");
    let gateway = gateway(&pair);
    let mut deaf = peer(gateway.address, &TLS13);
    deaf.write_all(crate::wire::UPGRADE.as_bytes()).unwrap();
    deaf.write_all(&crate::wire::text(crate::wire::CONNECT))
        .unwrap();
    gateway.until(|_, hub| hub.connections() == 1);
    run(async {
        let client = pinning(&gateway, &pair).connect().await.unwrap();
        let mut published = 0;
        while gateway.connections() == 2 {
            assert!(published < 2_000, "it is never closed");
            gateway.publish(256 << 10, Class::Ordinary);
            published += 1;
            client.request("health", ()).await.unwrap();
        }
        client.close().await;
    });
    gateway.until_empty();
}
