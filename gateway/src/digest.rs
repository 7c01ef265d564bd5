//! What two requests have in common that ask for the same.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Hashes parameters without one of their members: the same for the same content, in whatever
/// order its members come and however it is spaced.
#[must_use]
pub(crate) fn of_params(params: &Value, without: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    feed(&mut hash, params, Some(without));
    hash.finalize().into()
}

/// Feeds one value with a tag and a length, so that no two values look alike.
fn feed(hash: &mut Sha256, value: &Value, without: Option<&str>) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Number(number) => text(hash, b"#", &number.to_string()),
        Value::String(string) => text(hash, b"s", string),
        Value::Array(items) => {
            hash.update(b"a");
            hash.update(items.len().to_be_bytes());
            for item in items {
                feed(hash, item, None);
            }
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members
                .iter()
                .filter(|(name, _)| Some(name.as_str()) != without)
                .collect();
            hash.update(b"o");
            hash.update(sorted.len().to_be_bytes());
            sorted.sort_by_key(|(name, _)| *name);
            for (name, value) in sorted {
                text(hash, b"k", name);
                feed(hash, value, None);
            }
        }
    }
}

fn text(hash: &mut Sha256, tag: &[u8], text: &str) {
    hash.update(tag);
    hash.update(text.len().to_be_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &'static str) -> [u8; 32] {
        of_params(&serde_json::from_str(text).unwrap(), "key")
    }

    #[test]
    fn the_order_of_members_does_not_matter() {
        assert_eq!(
            digest(r#"{"a":1,"b":{"c":[1,2],"d":null},"key":"x"}"#),
            digest(r#"{ "key":"y", "b":{"d":null,"c":[1,2]}, "a":1 }"#)
        );
    }

    #[test]
    fn different_content_differs() {
        let all = [
            r#"{"a":"1"}"#,
            r#"{"a":1}"#,
            r#"{"a":[1]}"#,
            r#"{"a":[1,null]}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"ab":1}"#,
            r#"{"a":true}"#,
            r#"{"a":false}"#,
            r#"{}"#,
        ];
        for one in all {
            for other in all {
                assert_eq!(digest(one) == digest(other), one == other, "{one} {other}");
            }
        }
    }
}
