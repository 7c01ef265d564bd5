//! Validated JSON text that is passed on without being parsed again, and a writer for our own.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The deepest nesting of arrays and objects that is read.
pub const MAX_DEPTH: usize = 64;

/// One JSON value as the text it arrived in or was written as.
///
/// Cloning shares the text. `Debug` shows its size only, since payloads may hold what must not be
/// logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// The value `null`.
    #[must_use]
    pub const fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }

    /// The value `{}`.
    #[must_use]
    pub const fn empty_object() -> Self {
        Self(Bytes::from_static(b"{}"))
    }

    /// Takes text that was already found to be one valid JSON value.
    pub(crate) const fn from_valid(text: Bytes) -> Self {
        Self(text)
    }

    /// Takes text that was just written. What it holds is what [`Self::len`] says and every bound
    /// counts on: the room that a growing text took in advance is given back.
    fn written(mut text: Vec<u8>) -> Self {
        const SMALL: usize = 1024;
        if text.capacity() > text.len() + SMALL {
            text.shrink_to_fit();
        }
        Self(Bytes::from(text))
    }

    /// Checks that `text` is one JSON value, nested at most [`MAX_DEPTH`] deep.
    ///
    /// # Errors
    /// [`NotJson`] otherwise.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, NotJson> {
        let text = text.into();
        let valid = depth_is_bounded(&text)
            // Ignored strings are not checked to be UTF-8 by serde_json itself.
            && core::str::from_utf8(&text)
                .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        if valid { Ok(Self(text)) } else { Err(NotJson) }
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// [`NotJson`] when `value` has no JSON form (a map whose keys are no strings).
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, NotJson> {
        serde_json::to_vec(value)
            .map(Self::written)
            .map_err(|_| NotJson)
    }

    /// Reads the value as `T`.
    ///
    /// # Errors
    /// [`NotJson`] when the value has another shape than `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, NotJson> {
        serde_json::from_slice(&self.0).map_err(|_| NotJson)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The JSON text, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The JSON text as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("null")
    }

    /// The size of the text in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a JSON value is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        object.finish()
    }
}

/// The text is not one JSON value of bounded depth, or has another shape than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the expected JSON; check its syntax and shape")
    }
}

impl core::error::Error for NotJson {}

/// Writes one JSON object, member by member, in the order of the calls.
///
/// ```
/// use openclaw_protocol_core::json::Object;
/// let payload = Object::new().text("status", "accepted").number("acceptedAt", 5).finish();
/// assert_eq!(payload.as_str(), r#"{"status":"accepted","acceptedAt":5}"#);
/// ```
#[derive(Debug)]
pub struct Object(Vec<u8>);

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl Object {
    /// Starts an empty object.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::from(*b"{"))
    }

    fn key(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        write_text(&mut self.0, name);
        self.0.push(b':');
    }

    /// Adds a string.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.key(name);
        write_text(&mut self.0, value);
        self
    }

    /// Adds a string when there is one.
    #[must_use]
    pub fn maybe_text(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds a whole number.
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.key(name);
        write_number(&mut self.0, value);
        self
    }

    /// Adds `true` or `false`.
    #[must_use]
    pub fn boolean(mut self, name: &str, value: bool) -> Self {
        self.key(name);
        self.0
            .extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// Adds a value that is JSON already.
    #[must_use]
    pub fn json(mut self, name: &str, value: &Json) -> Self {
        self.key(name);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// Adds an object.
    #[must_use]
    pub fn object(mut self, name: &str, value: Object) -> Self {
        self.key(name);
        self.0.extend_from_slice(&value.0);
        self.0.push(b'}');
        self
    }

    /// Adds the members of another object; anything else adds nothing.
    #[must_use]
    pub fn members_of(mut self, value: &Json) -> Self {
        let text = value.as_str().trim();
        let inner = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        if let Some(inner) = inner.filter(|inner| !inner.trim().is_empty()) {
            if self.0.len() > 1 {
                self.0.push(b',');
            }
            self.0.extend_from_slice(inner.as_bytes());
        }
        self
    }

    /// Adds an array of strings.
    #[must_use]
    pub fn texts<T: AsRef<str>>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        self.key(name);
        self.0.push(b'[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            write_text(&mut self.0, value.as_ref());
        }
        self.0.push(b']');
        self
    }

    /// Adds an array of values that are JSON already.
    #[must_use]
    pub fn array<'a>(mut self, name: &str, values: impl IntoIterator<Item = &'a Json>) -> Self {
        self.key(name);
        write_array(&mut self.0, values);
        self
    }

    /// The finished object.
    #[must_use]
    pub fn finish(mut self) -> Json {
        self.0.push(b'}');
        Json::written(self.0)
    }
}

/// Writes an array of values that are JSON already.
#[must_use]
pub fn array<'a>(values: impl IntoIterator<Item = &'a Json>) -> Json {
    let mut text = Vec::new();
    write_array(&mut text, values);
    Json::written(text)
}

fn write_array<'a>(out: &mut Vec<u8>, values: impl IntoIterator<Item = &'a Json>) {
    out.push(b'[');
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b']');
}

/// Writes a whole number in decimal.
pub(crate) fn write_number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes a JSON string, quotes included (RFC 8259, section 7).
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x00..=0x1f => b'u',
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..index]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            out.extend_from_slice(&[
                b'0',
                b'0',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
        start = index + 1;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

/// How many bytes a text takes as a JSON string, quotes included.
#[must_use]
pub fn text_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0x00..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 2
}

/// Whether arrays and objects in `text` nest at most [`MAX_DEPTH`] deep.
///
/// Counts brackets outside strings; for text that is not JSON the answer means nothing, but is
/// still given in one pass.
pub(crate) fn depth_is_bounded(text: &[u8]) -> bool {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for &byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Cuts `text` to at most `limit` bytes, at a character.
#[must_use]
pub fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Cuts an owned string to at most `limit` bytes, at a character.
pub(crate) fn cut_owned(mut text: String, limit: usize) -> String {
    let end = cut(&text, limit).len();
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn our_strings_read_back_as_they_were() {
        let all: String = (0..=0x7f_u8)
            .map(char::from)
            .chain("é\u{2028}🦀".chars())
            .collect();
        let mut out = Vec::new();
        write_text(&mut out, &all);
        let back: String = serde_json::from_slice(&out).unwrap();
        assert_eq!(text_len(&all), out.len());
        assert_eq!(back, all);
    }

    #[test]
    fn our_numbers_read_back_as_they_were() {
        for value in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    #[test]
    fn brackets_inside_strings_do_not_count_as_depth() {
        let mut text = String::from("\"");
        text.push_str(&"[".repeat(MAX_DEPTH + 1));
        text.push_str("\\\"[\"");
        assert!(depth_is_bounded(text.as_bytes()));
    }

    #[test]
    fn one_level_too_deep_is_refused() {
        let nested = |depth: usize| {
            let mut text = "[".repeat(depth);
            text.push_str(&"]".repeat(depth));
            text
        };
        assert!(Json::parse(nested(MAX_DEPTH)).is_ok());
        assert_eq!(Json::parse(nested(MAX_DEPTH + 1)), Err(NotJson));
    }

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("añb", 3), "añ");
    }
}
