//! What is written, and how.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use openclaw_protocol_core::json::Json;

mod table;

pub(crate) use table::Table;

/// Writes one JSON document to standard output.
pub(crate) fn json(document: &Json) -> io::Result<()> {
    text(&format!("{}\n", pretty(document)))
}

/// Writes to standard output.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes lines for people to standard error; where that fails, nobody can be told.
pub(crate) fn complain(lines: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless(lines));
}

/// Returns a text without what would steer a terminal; line ends and tabs stay.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(steers) {
        let mark = |c| if steers(c) { '\u{fffd}' } else { c };
        text.chars().map(mark).collect::<String>().into()
    } else {
        text.into()
    }
}

/// Returns a text on one line, in which every character is seen where it stands.
pub(crate) fn line(text: &str) -> String {
    let mark = |c: char| match c {
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
        // What has no width or turns the direction could make one name look like another.
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => '\u{fffd}',
        '\u{2060}'..='\u{206f}' | '\u{feff}' => '\u{fffd}',
        c => c,
    };
    text.chars().map(mark).collect()
}

/// Returns the start of a text on one line, with a mark where more of it was.
pub(crate) fn short(text: &str, most: usize) -> String {
    let text = line(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns a JSON text with a member or an item to a line; names, order and spelling stay.
pub(crate) fn pretty(json: &Json) -> String {
    let text = json.as_str();
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            if c.is_control() {
                // JSON lets some stand as they are; a terminal may not like them.
                out += &format!("\\u{:04x}", u32::from(c));
            } else {
                out.push(c);
            }
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            ' ' | '\n' | '\r' | '\t' => {}
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                match chars.next_if(|c| matches!(c, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        break_line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Returns a time in its two largest units.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Returns how long ago something was, in its largest unit.
pub(crate) fn age(ms: u64) -> String {
    match ms / 60_000 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes @ 60..1_440 => format!("{} h ago", minutes / 60),
        minutes => format!("{} d ago", minutes / 1_440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_spread_over_lines_and_otherwise_kept() {
        let json = Json::parse(
            r#" {"z":1.50, "a":[ ] ,"b":{ },"c":["x, {y}: \"[\\",{"d":null}],"é\u0000":1e9}"#,
        )
        .unwrap();
        let expected = r#"{
  "z": 1.50,
  "a": [],
  "b": {},
  "c": [
    "x, {y}: \"[\\",
    {
      "d": null
    }
  ],
  "é\u0000": 1e9
}"#;
        assert_eq!(pretty(&json), expected);
        let steering = Json::parse("\"\u{9b}1m\u{7f}\"").unwrap();
        assert_eq!(pretty(&steering), r#""\u009b1m\u007f""#);
        for small in ["1", "\"a\"", "[]", "null"] {
            assert_eq!(pretty(&Json::parse(small).unwrap()), small);
        }
    }

    #[test]
    fn what_steers_a_terminal_is_marked() {
        assert_eq!(harmless("a\tb\nc"), "a\tb\nc");
        assert_eq!(
            harmless("\u{1b}[31m\u{9b}1m\r"),
            "\u{fffd}[31m\u{fffd}1m\u{fffd}"
        );
        assert_eq!(line("a\nb\u{7}"), "a b ");
        assert_eq!(line("ab\u{202e}dc"), "ab\u{fffd}dc");
        assert_eq!(short("añb", 2), "añ…");
        assert_eq!(short("añb", 3), "añb");
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (61, "1 min 1 s"),
            (7_380, "2 h 3 min"),
            (200_000, "2 d 7 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn ages_have_one_unit() {
        for (ms, text) in [
            (59_999, "just now"),
            (60_000, "1 min ago"),
            (3_600_000, "1 h ago"),
            (86_400_000, "1 d ago"),
        ] {
            assert_eq!(age(ms), text);
        }
    }
}
