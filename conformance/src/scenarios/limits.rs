//! How large a message may be.

use std::time::Duration;

use super::{READ, Scenario, scenario};
use crate::bench::{Bench, Ending, May, Trouble};
use crate::conn::{Conn, is_answer, request};
use crate::object;
use crate::wire::{self, Frame};

pub(super) const SCENARIOS: &[Scenario] = &[scenario(
    "message sizes",
    &[
        "LIM-002/before-hello",
        "LIM-002/after-hello",
        "LIM-007/before-hello",
        "LIM-007/after-hello",
    ],
    sizes,
)];

const BEFORE_HELLO: usize = 65_536;
/// More than this is not sent, whatever is announced.
const MOST: usize = 32 << 20;

/// A request of exactly this many bytes; what is too much is white space.
fn padded(text: &str, length: usize) -> Frame {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(length, b' ');
    Frame {
        // Nothing changes with this mask, which saves both sides the work.
        mask: Some([0; 4]),
        ..Frame::client(wire::TEXT, bytes)
    }
}

/// Sends the beginning first, so that the close is not lost with what nobody reads.
fn too_large(conn: &mut Conn<'_>, frame: &Frame) -> Result<Ending, Trouble> {
    let bytes = frame.encode();
    let (first, rest) = bytes.split_at(1_000);
    conn.send_bytes(first)?;
    if conn.ending_within(Duration::from_millis(500))? == Ending::Open {
        conn.send_bytes(rest)?;
    }
    conn.ending()
}

fn sizes(bench: &Bench) -> Result<(), Trouble> {
    let text = request("full", "connect", bench.params(READ));
    let mut conn = bench.open()?;
    conn.send_frame(&padded(&text, BEFORE_HELLO))?;
    let answer = conn.take(bench.patience(), |frame| is_answer(frame, "full"))?;
    let ok = answer.is_some_and(|answer| answer.flag("ok") == Some(true));
    bench.check("LIM-007/before-hello", ok, || {
        format!("a connect of {BEFORE_HELLO} bytes is not taken")
    });
    let mut conn = bench.open()?;
    let ending = too_large(&mut conn, &padded(&text, BEFORE_HELLO + 1))?;
    let after = format!("{} bytes before hello", BEFORE_HELLO + 1);
    bench.ends("LIM-002/before-hello", &after, &ending, &[May::Close(1009)]);

    let mut conn = bench.operator(READ)?;
    let policy = conn
        .hello
        .as_ref()
        .and_then(|hello| hello.integer("policy.maxPayload"));
    let most = policy.and_then(|most| usize::try_from(most).ok());
    let Some(most) = most.filter(|most| (1..MOST).contains(most)) else {
        return Err(Trouble(format!("maxPayload is {policy:?}")));
    };
    let text = request("large", "health", object! {});
    conn.send_frame(&padded(&text, most))?;
    let answer = conn.take(bench.patience() * 3, |frame| is_answer(frame, "large"))?;
    bench.check("LIM-007/after-hello", answer.is_some(), || {
        format!("a request of {most} bytes is not answered")
    });
    let mut conn = bench.operator(READ)?;
    let ending = too_large(&mut conn, &padded(&text, most + 1))?;
    let after = format!("{} bytes", most + 1);
    bench.ends("LIM-002/after-hello", &after, &ending, &[May::Close(1009)]);
    Ok(())
}
