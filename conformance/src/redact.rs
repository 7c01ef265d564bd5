//! Keeps a secret out of what is written down.

/// What stands in the secret's place.
const PLACE: &str = "<token>";
/// The fewest characters by which a secret is known that was cut by an end of the text.
const KNOWN: usize = 6;
/// The most backslashes that are taken for the escape of one character.
const MOST: usize = 64;

/// The text without the secret: neither as it is nor escaped as JSON or Rust do, once or more often.
///
/// A part of the secret that the beginning or the end of the text has cut goes as well, so a text is redacted before
/// it is cut.
#[must_use]
pub fn redact(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    if let Some(length) = begins_with_its_end(text, secret) {
        out.push_str(PLACE);
        rest = &text[length..];
    }
    while let Some(c) = rest.chars().next() {
        match matched(rest, secret) {
            Match::Whole(length) => {
                out.push_str(PLACE);
                rest = &rest[length..];
            }
            Match::Cut(count) if count >= KNOWN => {
                out.push_str(PLACE);
                break;
            }
            Match::Cut(_) | Match::None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// A text of at most so many characters, without the secret.
#[must_use]
pub fn shown(text: &str, secret: &str, most: usize) -> String {
    let clean = redact(text, secret);
    match clean.char_indices().nth(most) {
        Some((end, _)) => clean[..end].to_owned(),
        None => clean,
    }
}

/// The length of the longest proper end of the secret that the text begins with.
fn begins_with_its_end(text: &str, secret: &str) -> Option<usize> {
    let ends = secret.char_indices().skip(1).map(|(at, _)| &secret[at..]);
    ends.take_while(|end| end.chars().count() >= KNOWN)
        .find_map(|end| match matched(text, end) {
            Match::Whole(length) => Some(length),
            Match::Cut(_) | Match::None => None,
        })
}

enum Match {
    /// The text begins with the secret, which is as long there.
    Whole(usize),
    /// The text ends within the secret, after so many of its characters.
    Cut(usize),
    None,
}

/// Backslashes are not counted: how many there are depends on how often the text was escaped.
fn matched(text: &str, secret: &str) -> Match {
    let mut rest = text;
    let mut wants_backslash = false;
    for (count, c) in secret.chars().enumerate() {
        if c == '\\' {
            wants_backslash = true;
            continue;
        }
        let after = backslashes(rest);
        let escaped = after.len() < rest.len();
        let literal = (escaped || !wants_backslash)
            .then(|| after.strip_prefix(c))
            .flatten();
        let found = literal.or_else(|| spelled(after, c).filter(|_| escaped));
        let Some(next) = found else {
            // The end may be within an escape.
            let cut = after.is_empty() || escaped && after.len() < 12 && after.starts_with('u');
            return if cut { Match::Cut(count) } else { Match::None };
        };
        rest = next;
        wants_backslash = false;
    }
    if wants_backslash {
        let after = backslashes(rest);
        if after.len() == rest.len() {
            return Match::None;
        }
        rest = after;
    }
    Match::Whole(text.len() - rest.len())
}

/// What follows the backslashes that a text begins with, as they are or spelled.
fn backslashes(text: &str) -> &str {
    let mut rest = text;
    for place in 0..MOST {
        let after = rest.strip_prefix('\\').or_else(|| {
            let five = rest.get(..5).filter(|_| place > 0)?;
            five.eq_ignore_ascii_case("u005c").then(|| &rest[5..])
        });
        match after {
            Some(after) => rest = after,
            None => break,
        }
    }
    rest
}

/// What follows a character that is spelled so after a backslash.
fn spelled(text: &str, c: char) -> Option<&str> {
    let short = match c {
        '\n' => 'n',
        '\t' => 't',
        '\r' => 'r',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        other => other,
    };
    if let Some(rest) = text.strip_prefix(short) {
        return Some(rest);
    }
    let hex = text.strip_prefix('u')?;
    if let Some(braced) = hex.strip_prefix('{') {
        let end = braced.bytes().take(7).position(|byte| byte == b'}')?;
        let (digits, rest) = (&braced[..end], &braced[end + 1..]);
        return (u32::from_str_radix(digits, 16) == Ok(u32::from(c))).then_some(rest);
    }
    let mut units = [0; 2];
    let mut rest = hex;
    for (place, unit) in c.encode_utf16(&mut units).iter().enumerate() {
        if place > 0 {
            rest = rest.trim_start_matches('\\').strip_prefix('u')?;
        }
        let digits = rest.get(..4)?;
        if u16::from_str_radix(digits, 16) != Ok(*unit) {
            return None;
        }
        rest = &rest[4..];
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Value;

    const SECRET: &str = "se\"cr\\et \u{1}/\u{e9}\u{1f980}";

    #[test]
    fn a_secret_goes_however_often_it_is_escaped() {
        let json = Value::from(SECRET).to_string();
        let twice = Value::from(json.as_str()).to_string();
        let debug = format!("{SECRET:?}");
        let debugged = format!("{json:?}");
        let spelled = r#""\u0073e\u0022cr\u005Cet \u0001\/\u00e9\ud83e\udd80""#.to_owned();
        for text in [SECRET.to_owned(), json, twice, debug, debugged, spelled] {
            let shown = redact(&format!("<{text}> and {text}"), SECRET);
            assert!(!shown.contains("cr"), "{text}: {shown}");
            assert_eq!(shown.matches(PLACE).count(), 2, "{text}: {shown}");
            assert!(shown.contains(" and "), "{shown}");
        }
    }

    #[test]
    fn a_secret_goes_before_the_text_is_cut() {
        for before in 0..30 {
            let text = format!("{}{SECRET}{}", "x".repeat(before), "y".repeat(30));
            let shown = shown(&text, SECRET, 20);
            assert!(!shown.contains("se") && !shown.contains("et"), "{shown}");
            assert!(shown.chars().count() <= 20);
        }
    }

    #[test]
    fn a_part_that_an_end_of_the_text_cut_goes_as_well() {
        let secret = "conformance-secret";
        assert_eq!(redact("says conforman", secret), "says <token>");
        assert_eq!(redact("nce-secret, it says", secret), "<token>, it says");
        assert_eq!(redact("says con", secret), "says con");
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "",
            "\\",
            "a \\u005c \"b\" \u{1f980}",
            "secreT",
            "conformance",
        ] {
            assert_eq!(redact(text, "secret"), text);
            assert_eq!(redact(text, ""), text);
        }
        assert_eq!(redact("aaa", "a"), "<token><token><token>");
        assert_eq!(redact("\\\\", "\\"), PLACE);
    }
}
