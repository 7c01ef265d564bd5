//! Peers that are silent, and peers that do not read.

use std::time::{Duration, Instant};

use openclaw_protocol_core::frame::outgoing::Class;
use openclaw_protocol_core::limits::Limits;

use crate::desk::{Gateway, calm};
use crate::wire::{PING, PONG, frame, request};

fn impatient() -> Limits {
    Limits {
        ping: Duration::from_millis(50),
        silence: Duration::from_millis(400),
        close: Duration::from_millis(50),
        ..calm()
    }
}

#[test]
fn a_peer_that_answers_no_ping_is_dropped_after_the_silence() {
    let gateway = Gateway::with(impatient());
    let start = Instant::now();
    let mut client = gateway.client();
    let mut pings = 0;
    let (code, reason) = loop {
        let frame = client.frame();
        if frame.opcode == PING {
            pings += 1;
            continue;
        }
        let (code, reason) = frame.payload.split_at(2);
        break (code.to_vec(), String::from_utf8(reason.to_vec()).unwrap());
    };
    assert_eq!(
        (&*code, &*reason),
        (&1008u16.to_be_bytes()[..], "nothing received for too long")
    );
    assert!(pings >= 4, "{pings}");
    assert!(start.elapsed() >= Duration::from_millis(400));
    client.gone();
    gateway.until_empty();
}

/// As long as a busy machine may leave a peer that does its part without time to do it.
fn patient() -> Limits {
    Limits {
        silence: Duration::from_secs(2),
        ..impatient()
    }
}

#[test]
fn a_peer_that_only_answers_pings_stays() {
    let gateway = Gateway::with(patient());
    let mut client = gateway.client();
    let end = Instant::now() + Duration::from_millis(2_500);
    while Instant::now() < end {
        let ping = client.frame();
        assert_eq!(
            ping.opcode,
            PING,
            "{:?}",
            String::from_utf8_lossy(&ping.payload)
        );
        client.send(frame(true, PONG, &ping.payload));
    }
    client.ask("health", "{}");
}

#[test]
fn a_peer_in_the_middle_of_a_long_message_is_not_silent() {
    let gateway = Gateway::with(patient());
    let mut client = gateway.client();
    let bytes = request("long", "measure", &format!(r#""{}""#, "x".repeat(300)));
    // Real time must pass here: it is what is tested.
    for piece in bytes.chunks(20) {
        client.send(piece);
        std::thread::sleep(Duration::from_millis(150));
    }
    client.answer("long");
}

#[test]
fn a_peer_that_reads_a_long_answer_slowly_is_pinged_between_its_fragments_and_stays() {
    let gateway = Gateway::with(Limits {
        ping: Duration::from_millis(50),
        silence: Duration::from_secs(2),
        ..calm()
    });
    let mut client = gateway.client();
    client.send(request("q", "big", "20000000"));
    let (mut pings, mut fragments) = (0, 0);
    let start = Instant::now();
    loop {
        let heard = client.frame();
        if heard.opcode == PING {
            pings += 1;
            client.send(frame(true, PONG, &heard.payload));
            continue;
        }
        if heard.last {
            break;
        }
        fragments += 1;
        // Real time must pass here, more of it than a silent peer has.
        if fragments <= 250 {
            std::thread::sleep(Duration::from_millis(12));
        }
    }
    assert!(fragments > 250 && pings > 3, "{fragments}, {pings}");
    assert!(start.elapsed() > Duration::from_secs(3));
    client.ask("health", "{}");
}

#[test]
fn a_peer_that_reads_nothing_is_dropped_as_a_slow_consumer() {
    let gateway = Gateway::with(Limits {
        outbox: 1 << 20,
        close: Duration::from_millis(50),
        ..calm()
    });
    let mut other = gateway.client();
    let mut client = gateway.client();
    let (heard, hears) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        // The other reads everything, in order, and is not closed.
        loop {
            let text = other.text();
            if text.contains(r#""id":"bye""#) {
                return other;
            }
            if text.starts_with(r#"{"type":"event","event":"news""#) {
                heard.send(()).unwrap();
            }
        }
    });
    let mut published = 0;
    while gateway.connections() > 1 {
        assert!(published < 2_000, "nobody was closed");
        gateway.publish(64 << 10, Class::Ordinary);
        published += 1;
        hears.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    gateway.until(|_, hub| hub.connections() == 1);
    // What was on its way still comes, then the end, without our reading ever having been waited for.
    client.gone();
    gateway.ask(|_, hub, now| {
        use openclaw_protocol_core::frame::outgoing::Publication;
        hub.broadcast(
            Publication {
                event: "news",
                payload: openclaw_protocol_core::json::Object::new()
                    .text("id", "bye")
                    .finish(),
                audience: openclaw_protocol_core::scope::Audience::Everyone,
                class: Class::Ordinary,
            },
            now,
        );
    });
    let mut other = reading.join().unwrap();
    other.ask("health", "{}");
}

#[test]
fn the_socket_of_a_peer_that_never_reads_again_is_let_go() {
    let gateway = Gateway::with(Limits {
        close: Duration::from_millis(50),
        ..calm()
    });
    let mut deaf = gateway.client();
    deaf.send(request("q", "big", "20000000"));
    gateway.until(|desk, _| desk.requests == 1);
    gateway.ask(|_, hub, now| {
        hub.close_all(&openclaw_protocol_core::frame::Close::new(4000, "go"), now);
    });
    gateway.until_empty();
    // As long as somebody holds the other end, what is sent there arrives.
    let late = Instant::now() + crate::wire::PATIENCE;
    while std::io::Write::write_all(&mut deaf.stream, &frame(true, PING, b"")).is_ok() {
        assert!(Instant::now() < late, "the socket is still held");
        std::thread::yield_now();
    }
}

#[test]
fn a_slow_consumer_that_reads_again_sees_why_it_was_closed() {
    let gateway = Gateway::with(Limits {
        outbox: 4 << 20,
        close: Duration::from_secs(10),
        ..calm()
    });
    let mut client = gateway.client();
    gateway.ask(|_, hub, now| {
        use openclaw_protocol_core::frame::outgoing::Publication;
        for _ in 0..200 {
            hub.broadcast(
                Publication {
                    event: "news",
                    payload: openclaw_protocol_core::json::Object::new()
                        .text("filler", &"x".repeat(64 << 10))
                        .finish(),
                    audience: openclaw_protocol_core::scope::Audience::Everyone,
                    class: Class::Ordinary,
                },
                now,
            );
        }
    });
    assert_eq!(client.closed(), (1008, "slow consumer".to_owned()));
}
