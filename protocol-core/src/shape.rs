//! What a JSON value must look like, and the first thing that is wrong with one.
//!
//! The wording of a [`Finding`] is part of the protocol: clients show and match it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;

use serde_json::{Map, Value};

use crate::json::{cut, cut_owned};

/// The longest name of a peer's that is repeated in a message, in bytes.
const MAX_NAME: usize = 120;

/// An object with a closed set of members.
#[derive(Debug)]
pub struct Object {
    /// The members, in the order in which they are checked.
    pub members: &'static [Member],
}

/// One member of an [`Object`].
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it must be.
    pub kind: Kind,
}

/// A required member.
#[must_use]
pub const fn required(name: &'static str, kind: Kind) -> Member {
    Member {
        name,
        required: true,
        kind,
    }
}

/// An optional member.
#[must_use]
pub const fn optional(name: &'static str, kind: Kind) -> Member {
    Member {
        name,
        required: false,
        kind,
    }
}

/// A string of any length.
pub const TEXT: Kind = Kind::Text {
    min: 0,
    max: usize::MAX,
};
/// A string of at least one character.
pub const NAME: Kind = Kind::Text {
    min: 1,
    max: usize::MAX,
};
/// A whole number from 0.
pub const COUNT: Kind = Kind::Integer { min: 0 };

/// What one value must be.
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {
    /// Anything.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number, as JSON Schema has it: `3.0` is one.
    Integer {
        /// The smallest that is allowed.
        min: i64,
    },
    /// A string whose number of characters lies in a range.
    Text {
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
    },
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An array, and what each of its items must be.
    List(&'static Kind),
    /// An object with known members.
    Object(&'static Object),
    /// An object with any members, and what each of their values must be.
    Map(&'static Kind),
}

impl Object {
    /// Checks `value` and reports the first thing that is wrong: a missing member, then an
    /// unexpected one, then the members in their order.
    ///
    /// # Errors
    /// The first [`Finding`].
    pub fn check(&self, value: &Value) -> Result<(), Finding> {
        self.check_at("", value)
    }

    fn check_at(&self, path: &str, value: &Value) -> Result<(), Finding> {
        let Value::Object(object) = value else {
            return Err(Finding::at(path, Expectation::Type("object")));
        };
        self.check_names(path, object)?;
        for member in self.members {
            if let Some(value) = object.get(member.name) {
                member.kind.check_at(path, member.name, value)?;
            }
        }
        Ok(())
    }

    fn check_names(&self, path: &str, object: &Map<String, Value>) -> Result<(), Finding> {
        for member in self.members {
            if member.required && !object.contains_key(member.name) {
                return Err(Finding::at(path, Expectation::Required(member.name)));
            }
        }
        match object
            .keys()
            .find(|name| !self.members.iter().any(|member| member.name == *name))
        {
            Some(name) => Err(Finding::unexpected(path, name)),
            None => Ok(()),
        }
    }
}

impl Kind {
    fn check_at(&self, parent: &str, name: &str, value: &Value) -> Result<(), Finding> {
        let fault = |expectation| Err(Finding::below(parent, name, expectation));
        match (self, value) {
            (Self::Any, _) | (Self::Boolean, Value::Bool(_)) => Ok(()),
            (Self::Boolean, _) => fault(Expectation::Type("boolean")),
            (Self::Integer { min }, _) => match integer(value) {
                None => fault(Expectation::Type("integer")),
                Some(number) if number < *min => fault(Expectation::Minimum(*min)),
                Some(_) => Ok(()),
            },
            (Self::Text { min, max }, Value::String(text)) => {
                let length = text.chars().count();
                if length < *min {
                    fault(Expectation::MinLength(*min))
                } else if length > *max {
                    fault(Expectation::MaxLength(*max))
                } else {
                    Ok(())
                }
            }
            (Self::Text { .. }, _) => fault(Expectation::Type("string")),
            (Self::OneOf(allowed), Value::String(text)) if allowed.contains(&text.as_str()) => {
                Ok(())
            }
            (Self::OneOf(_), _) => fault(Expectation::OneOf),
            (Self::List(item), Value::Array(items)) => {
                let path = join(parent, name);
                for (index, value) in items.iter().enumerate() {
                    item.check_at(&path, &format!("{index}"), value)?;
                }
                Ok(())
            }
            (Self::List(_), _) => fault(Expectation::Type("array")),
            (Self::Object(shape), _) => shape.check_at(&join(parent, name), value),
            (Self::Map(item), Value::Object(object)) => {
                let path = join(parent, name);
                for (name, value) in object {
                    item.check_at(&path, name, value)?;
                }
                Ok(())
            }
            (Self::Map(_), _) => fault(Expectation::Type("object")),
        }
    }
}

fn join(parent: &str, name: &str) -> String {
    format!("{parent}/{}", cut(name, MAX_NAME))
}

/// Reads a whole number as JSON Schema understands it: `3` and `3.0`, but not `3.5`.
#[must_use]
pub fn integer(value: &Value) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let Value::Number(number) = value else {
        return None;
    };
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    match number.as_f64() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and in range"
        )]
        Some(real) if (-LIMIT..=LIMIT).contains(&real) => {
            let whole = real as i64;
            #[expect(
                clippy::cast_precision_loss,
                clippy::float_cmp,
                reason = "exact below 2^53"
            )]
            (whole as f64 == real).then_some(whole)
        }
        _ => None,
    }
}

/// The first thing that is wrong with a value: where, and what was expected there.
///
/// It never repeats the value; a member's name is cut to 120 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    path: String,
    expectation: Expectation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expectation {
    Required(&'static str),
    Unexpected(String),
    Type(&'static str),
    MinLength(usize),
    MaxLength(usize),
    MaxBytes(usize),
    OneOf,
    Constant,
    Minimum(i64),
    MaxDepth(usize),
    Readable,
}

impl Finding {
    fn at(path: &str, expectation: Expectation) -> Self {
        Self {
            path: path.to_owned(),
            expectation,
        }
    }

    fn below(parent: &str, name: &str, expectation: Expectation) -> Self {
        Self {
            path: join(parent, name),
            expectation,
        }
    }

    fn unexpected(path: &str, name: &str) -> Self {
        Self::at(
            path,
            Expectation::Unexpected(cut_owned(name.to_owned(), MAX_NAME)),
        )
    }

    /// The whole value is not an object.
    #[must_use]
    pub fn not_an_object() -> Self {
        Self::at("", Expectation::Type("object"))
    }

    /// The value nests deeper than is read.
    pub(crate) fn too_deep(limit: usize) -> Self {
        Self::at("", Expectation::MaxDepth(limit))
    }

    /// A member of the whole value is missing.
    pub(crate) fn missing(name: &'static str) -> Self {
        Self::at("", Expectation::Required(name))
    }

    /// The whole value has a member that it must not have.
    pub(crate) fn unexpected_member(name: &str) -> Self {
        Self::unexpected("", name)
    }

    /// A member of the whole value has the wrong type.
    #[must_use]
    pub fn wrong_type(name: &str, expected: &'static str) -> Self {
        Self::below("", name, Expectation::Type(expected))
    }

    /// A member of the whole value is not the constant it must be.
    pub(crate) fn not_the_constant(name: &str) -> Self {
        Self::below("", name, Expectation::Constant)
    }

    /// A member of the whole value is JSON that no program can hold: half a surrogate pair, or a
    /// number out of range. An empty name stands for the whole value.
    #[must_use]
    pub fn unreadable(name: &str) -> Self {
        if name.is_empty() {
            Self::at("", Expectation::Readable)
        } else {
            Self::below("", name, Expectation::Readable)
        }
    }

    /// A string of the whole value is empty.
    pub(crate) fn empty(name: &str) -> Self {
        Self::below("", name, Expectation::MinLength(1))
    }

    /// A string of the whole value has too many characters.
    pub(crate) fn too_long(name: &str, limit: usize) -> Self {
        Self::below("", name, Expectation::MaxLength(limit))
    }

    /// A string of the whole value takes too many bytes.
    #[must_use]
    pub fn too_large(name: &str, limit: usize) -> Self {
        Self::below("", name, Expectation::MaxBytes(limit))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), &self.expectation) {
            ("", Expectation::Unexpected(_)) => f.write_str("at root: ")?,
            ("", _) => {}
            (path, _) => write!(f, "at {path}: ")?,
        }
        match &self.expectation {
            Expectation::Required(name) => write!(f, "must have required property '{name}'"),
            Expectation::Unexpected(name) => write!(f, "unexpected property '{name}'"),
            Expectation::Type(expected) => write!(f, "must be {expected}"),
            Expectation::MinLength(limit) => {
                write!(f, "must not have fewer than {limit} characters")
            }
            Expectation::MaxLength(limit) => {
                write!(f, "must not have more than {limit} characters")
            }
            Expectation::MaxBytes(limit) => write!(f, "must not have more than {limit} bytes"),
            Expectation::OneOf => f.write_str("must be equal to one of the allowed values"),
            Expectation::Constant => f.write_str("must be equal to constant"),
            Expectation::Minimum(limit) => write!(f, "must be >= {limit}"),
            Expectation::Readable => {
                f.write_str("must hold no half of a surrogate pair and no number out of range")
            }
            Expectation::MaxDepth(limit) => {
                write!(f, "must not be nested deeper than {limit} levels")
            }
        }
    }
}

impl core::error::Error for Finding {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use serde_json::json;

    const INNER: Object = Object {
        members: &[
            required("id", NAME),
            optional("mode", Kind::OneOf(&["a", "b"])),
        ],
    };
    const OUTER: Object = Object {
        members: &[
            required("n", Kind::Integer { min: 1 }),
            required("inner", Kind::Object(&INNER)),
            optional("tags", Kind::List(&NAME)),
            optional("flags", Kind::Map(&Kind::Boolean)),
        ],
    };

    fn finding(value: Value) -> String {
        OUTER.check(&value).unwrap_err().to_string()
    }

    #[test]
    fn the_first_finding_is_worded_as_observed() {
        assert_eq!(finding(json!([])), "must be object");
        assert_eq!(
            finding(json!({"n": "x"})),
            "must have required property 'inner'"
        );
        assert_eq!(
            finding(json!({"n": 1, "inner": {"id": "x"}, "bogus": 1})),
            "at root: unexpected property 'bogus'"
        );
        assert_eq!(
            finding(json!({"n": 1.5, "inner": {"id": "x"}})),
            "at /n: must be integer"
        );
        assert_eq!(
            finding(json!({"n": 0, "inner": {"id": "x"}})),
            "at /n: must be >= 1"
        );
        assert_eq!(
            finding(json!({"n": 1, "inner": {}})),
            "at /inner: must have required property 'id'"
        );
        assert_eq!(
            finding(json!({"n": 1, "inner": {"id": ""}})),
            "at /inner/id: must not have fewer than 1 characters"
        );
        assert_eq!(
            finding(json!({"n": 1, "inner": {"id": "x", "mode": 7}})),
            "at /inner/mode: must be equal to one of the allowed values"
        );
        assert_eq!(
            finding(json!({"n": 1, "inner": {"id": "x"}, "tags": ["a", ""]})),
            "at /tags/1: must not have fewer than 1 characters"
        );
        assert_eq!(
            finding(json!({"n": 1, "inner": {"id": "x"}, "flags": {"f": 1}})),
            "at /flags/f: must be boolean"
        );
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_real() {
        assert_eq!(
            OUTER.check(&json!({"n": 3.0, "inner": {"id": "x"}})),
            Ok(())
        );
        assert_eq!(integer(&json!(1e300)), None);
        assert_eq!(integer(&json!(-2.0)), Some(-2));
    }

    #[test]
    fn a_long_name_of_the_peers_is_cut() {
        let mut value = json!({"n": 1, "inner": {"id": "x"}});
        value["é".repeat(100).as_str()] = json!(1);
        let text = finding(value);
        assert_eq!(
            text,
            alloc::format!("at root: unexpected property '{}'", "é".repeat(60))
        );
    }
}
