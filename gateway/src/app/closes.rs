//! How connections have ended since the gateway was started.

use std::collections::BTreeMap;

use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::json::{Json, Object};

/// How many causes are told apart; further ones are counted together.
const CAUSES: usize = 64;
/// What further causes are counted under.
const OTHER: &str = "other";

#[derive(Debug, Default)]
pub(super) struct Closes {
    left: u64,
    by_cause: BTreeMap<(u16, Box<str>), u64>,
}

impl Closes {
    /// A connection is over, closed by the gateway or left by its peer.
    pub(super) fn count(&mut self, close: Option<&Close>) {
        let Some(close) = close else {
            self.left += 1;
            return;
        };
        let cause = (close.code, cause(close.reason()).into());
        if let Some(count) = self.by_cause.get_mut(&cause) {
            *count += 1;
        } else if self.by_cause.len() < CAUSES {
            self.by_cause.insert(cause, 1);
        } else {
            *self.by_cause.entry((close.code, OTHER.into())).or_default() += 1;
        }
    }

    /// Those that their peers left.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }

    /// Those that the gateway closed, by code and reason.
    pub(super) fn by_cause(&self) -> Vec<Json> {
        let entry = |((code, reason), count): (&(u16, Box<str>), &u64)| {
            Object::new()
                .number("code", u64::from(*code))
                .text("reason", reason)
                .number("count", *count)
                .finish()
        };
        self.by_cause.iter().map(entry).collect()
    }
}

/// A reason without what it says of this one peer: the place in its message, its request, its words.
fn cause(reason: &str) -> &str {
    [": at ", " (requestId", " for requested roles: "]
        .into_iter()
        .fold(reason, |rest, mark| rest.split(mark).next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_make_up_causes_without_end() {
        let mut closes = Closes::default();
        for place in 0..1_000 {
            let reason = format!("invalid connect params: at /{place}: must be string");
            closes.count(Some(&Close::new(1008, reason)));
            for reason in [
                format!("pairing required: more scopes (requestId: {place}"),
                format!("invalid scope for requested roles: {place}"),
            ] {
                closes.count(Some(&Close::new(1008, reason)));
            }
        }
        for number in 0..1_000 {
            closes.count(Some(&Close::new(1008, format!("cause {number}"))));
        }
        closes.count(Some(&Close::new(1009, "cause 999")));
        let counted = closes.by_cause();
        assert_eq!(counted.len(), CAUSES + 2);
        let has = |entry: &str| counted.iter().any(|json| json.as_str() == entry);
        assert!(has(
            r#"{"code":1008,"reason":"invalid connect params","count":1000}"#
        ));
        assert!(has(r#"{"code":1008,"reason":"other","count":939}"#));
        assert!(has(r#"{"code":1009,"reason":"other","count":1}"#));
        assert_eq!(closes.left(), 0);
    }
}
