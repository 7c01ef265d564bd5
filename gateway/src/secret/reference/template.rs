//! Text with variables of the environment in it.

use std::fmt;

use super::{Problem, variable};
use crate::environment::Environment;

/// Text in which `${NAME}` stands for a variable, and `$${NAME}` for itself.
#[derive(Clone)]
pub struct Template(Vec<Piece>);

#[derive(Clone)]
enum Piece {
    Text(String),
    Variable(String),
}

impl Template {
    /// Reads a text; `None` if nothing in it stands for something else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        let mut found = false;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some((name, after)) = from.strip_prefix("$${").and_then(name) {
                found = true;
                plain.push_str(&format!("${{{name}}}"));
                rest = after;
            } else if let Some((name, after)) = from.strip_prefix("${").and_then(name) {
                found = true;
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Variable(name.to_owned()));
                rest = after;
            } else {
                plain.push('$');
                rest = &from[1..];
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        found.then_some(Self(pieces))
    }

    pub(super) fn fill(&self, env: &Environment) -> Result<String, Problem> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Variable(name) => text.push_str(&variable(name, env)?),
            }
        }
        Ok(text)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(..)")
    }
}

/// Takes a name and its closing brace from the beginning of `text`.
fn name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('}')?;
    let good = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name
            .bytes()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    good.then_some((name, rest))
}
