//! Whatever happens, in any order: the waits between attempts stay within their bounds.

mod support;

use core::time::Duration;

use openclaw_protocol_core::client::{Ending, Next, Patience, Reconnect, Why};
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::from_gateway::Push;
use openclaw_protocol_core::time::{Instant, Now};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::millis;

fn at(since_origin: Duration) -> Now {
    Now {
        at: Instant::after_origin(since_origin),
        unix_ms: 0,
    }
}

fn refusal(code: &'static str, details: Value) -> ErrorShape {
    ErrorShape::new(code, "no").with_details(support::json(details))
}

fn shutdown(payload: Value) -> Push {
    Push {
        event: "shutdown".into(),
        payload: support::json(payload),
        seq: Some(1),
        state_version: None,
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Greeted,
    Shutdown(f64),
    Unreachable,
    Closed(u16),
    Refused(Option<u64>, &'static str),
    Resumed,
}

fn happenings() -> impl Strategy<Value = Vec<(Happening, u32, u64)>> {
    let one = prop_oneof![
        Just(Happening::Greeted),
        any::<f64>().prop_map(Happening::Shutdown),
        Just(Happening::Unreachable),
        any::<u16>().prop_map(Happening::Closed),
        (
            any::<Option<u64>>(),
            prop_oneof![
                Just("{}"),
                Just(r#"{"reason":"startup-sidecars"}"#),
                Just(r#"{"canRetryWithDeviceToken":true,"code":"AUTH_TOKEN_MISMATCH"}"#),
                Just(r#"{"pauseReconnect":false}"#),
            ]
        )
            .prop_map(|(after, details)| Happening::Refused(after, details)),
        Just(Happening::Resumed),
    ];
    proptest::collection::vec((one, any::<u32>(), 0..200_000u64), 0..80)
}

proptest! {
    #[test]
    fn delays_are_always_within_bounds(happenings in happenings(), holds in any::<bool>()) {
        let patience = Patience::default();
        let mut policy = Reconnect::new(patience, holds);
        let mut passed = Duration::ZERO;
        let mut device_tries = 0;
        for (happening, jitter, ms) in happenings {
            passed += millis(ms);
            let now = at(passed);
            let next = match happening {
                Happening::Greeted => { policy.greeted(now); continue }
                Happening::Shutdown(ms) => {
                    policy.pushed(&shutdown(json!({"restartExpectedMs": ms})), now);
                    continue;
                }
                Happening::Resumed => { policy.resume(holds); device_tries = 0; continue }
                Happening::Unreachable => policy.ended(Ending::Unreachable, jitter, now),
                Happening::Closed(code) => {
                    policy.ended(Ending::Closed(&Close::new(code, "")), jitter, now)
                }
                Happening::Refused(after, details) => {
                    let details = serde_json::from_str(details).expect("JSON");
                    let mut error = refusal("UNAVAILABLE", details);
                    error.retry_after_ms = after;
                    policy.ended(Ending::Refused(&error), jitter, now)
                }
            };
            if let Next::RetryAt(at, why) = next {
                let wait = at.since(now.at);
                prop_assert!(wait >= patience.floor, "{wait:?}");
                prop_assert!(wait <= patience.longest_asked + patience.most, "{wait:?}");
                device_tries += u32::from(why == Why::TryingDeviceToken);
            }
            prop_assert!(holds || device_tries == 0);
        }
    }
}
