//! The built-in agent: it needs no account and no network, and says what it was told.

use std::time::Duration;

use openclaw_protocol_core::json::Object;
use smol::Timer;

use super::{AgentFault, Backend, Output, ToolStep, Turn, Work};

/// How long a word takes, about as long as a quick model takes for one.
const PACE: Duration = Duration::from_millis(15);
/// The longest that `/slow` takes.
const MAX_SLOW: Duration = Duration::from_secs(3600);
/// The most words that `/long` says.
const MAX_LONG: u32 = 100_000;

/// Repeats the message word by word.
///
/// What a message begins with drives it otherwise: `/slow 5s text` takes that long, `/fail text`
/// fails, `/long 1000` says that many words, `/tool NAME text` calls a tool of that name which
/// returns the text, `/panic` breaks, `/hang` never ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

#[derive(Debug, PartialEq, Eq)]
enum Order<'a> {
    Say(&'a str),
    Slow(Duration, &'a str),
    Long(u32),
    Fail(&'a str),
    Tool(&'a str, &'a str),
    Panic,
    Hang,
    Misread(&'static str),
}

impl Backend for Echo {
    fn provider(&self) -> &str {
        "openclaw"
    }

    fn model(&self) -> &str {
        "echo"
    }

    fn answer<'a>(&'a self, turn: Turn, output: &'a dyn Output) -> Work<'a> {
        Box::pin(async move {
            match Order::read(&turn.message) {
                Order::Say(text) => say(text, PACE, output).await,
                Order::Slow(time, text) => {
                    let words = words(text).count().max(1);
                    let pace = time / u32::try_from(words).unwrap_or(u32::MAX);
                    say(text, pace, output).await;
                }
                Order::Long(count) => {
                    for number in 1..=count {
                        let gap = if number == 1 { "" } else { " " };
                        output.text(format!("{gap}word{number}")).await;
                    }
                }
                Order::Tool(name, text) => {
                    call_tool(name, text, output).await;
                    say(text, PACE, output).await;
                }
                Order::Fail(text) => return Err(AgentFault(text.to_owned())),
                Order::Panic => panic!("the echo agent was told to panic"),
                Order::Hang => std::future::pending().await,
                Order::Misread(usage) => return Err(AgentFault(usage.to_owned())),
            }
            Ok(())
        })
    }
}

impl<'a> Order<'a> {
    fn read(message: &'a str) -> Self {
        let text = message.trim();
        let (order, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim_start();
        match order {
            "/slow" => {
                let (time, text) = rest
                    .split_once(char::is_whitespace)
                    .unwrap_or((rest, "done"));
                match duration(time) {
                    Some(time) => Self::Slow(time, text),
                    None => Self::Misread("use /slow TIME TEXT, for example: /slow 5s hello"),
                }
            }
            "/long" => match rest.parse() {
                Ok(count) if count <= MAX_LONG => Self::Long(count),
                _ => Self::Misread("use /long COUNT with a count up to 100000"),
            },
            "/tool" if rest.is_empty() => {
                Self::Misread("use /tool NAME TEXT, for example: /tool ls hello")
            }
            "/tool" => {
                let (name, text) = rest
                    .split_once(char::is_whitespace)
                    .unwrap_or((rest, "done"));
                Self::Tool(name, text)
            }
            "/fail" if rest.is_empty() => Self::Fail("the echo agent was told to fail"),
            "/fail" => Self::Fail(rest),
            "/panic" => Self::Panic,
            "/hang" => Self::Hang,
            _ => Self::Say(message),
        }
    }
}

/// Reads `500ms`, `5s` or `2m`, up to an hour.
fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(split);
    let count: u64 = count.parse().ok()?;
    let millis = match unit {
        "ms" => count,
        "s" => count.checked_mul(1_000)?,
        "m" => count.checked_mul(60_000)?,
        _ => return None,
    };
    let time = Duration::from_millis(millis);
    (time <= MAX_SLOW).then_some(time)
}

/// The words of a text, each with the space before it, so that together they are the text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let word = rest
            .find(|c: char| !c.is_whitespace())
            .unwrap_or(rest.len());
        let end = rest[word..]
            .find(char::is_whitespace)
            .map_or(rest.len(), |length| word + length);
        let (piece, left) = rest.split_at(end);
        rest = left;
        Some(piece)
    })
}

async fn call_tool(name: &str, text: &str, output: &dyn Output) {
    let id = || "call_1".to_owned();
    let start = ToolStep::Start {
        id: id(),
        name: name.to_owned(),
        args: Object::new().text("text", text).finish(),
    };
    output.tool(start).await;
    Timer::after(PACE).await;
    let content = Object::new()
        .text("type", "text")
        .text("text", text)
        .finish();
    let result = ToolStep::Result {
        id: id(),
        is_error: false,
        result: Object::new().array("content", [&content]).finish(),
    };
    output.tool(result).await;
}

async fn say(text: &str, pace: Duration, output: &dyn Output) {
    for word in words(text) {
        Timer::after(pace).await;
        output.text(word.to_owned()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_together_are_the_text() {
        for text in ["hello there", "  two  spaces ", "one", "", "\n", "é ü\t🦀"] {
            assert_eq!(words(text).collect::<String>(), text);
        }
        assert_eq!(words("a b c").count(), 3);
    }

    #[test]
    fn orders_are_read_from_the_message() {
        assert_eq!(
            Order::read("/slow 5s hello there"),
            Order::Slow(Duration::from_secs(5), "hello there")
        );
        assert_eq!(
            Order::read("/slow 20ms"),
            Order::Slow(Duration::from_millis(20), "done")
        );
        assert_eq!(Order::read("/long 1000"), Order::Long(1000));
        assert_eq!(Order::read("/hang"), Order::Hang);
        assert_eq!(Order::read(" /panic "), Order::Panic);
        assert_eq!(Order::read("/fail because"), Order::Fail("because"));
        assert_eq!(Order::read("/tool ls a b"), Order::Tool("ls", "a b"));
        assert_eq!(Order::read("/tool ls"), Order::Tool("ls", "done"));
        assert_eq!(Order::read("slowly now"), Order::Say("slowly now"));
        for wrong in [
            "/slow",
            "/slow 5",
            "/slow 5h x",
            "/slow 99999999999999999999s x",
            "/long -1",
            "/long 100001",
            "/tool",
        ] {
            assert!(matches!(Order::read(wrong), Order::Misread(_)), "{wrong}");
        }
    }
}
