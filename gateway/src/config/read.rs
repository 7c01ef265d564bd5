//! From JSON5 text to the typed configuration.

use std::fmt::Write as _;

use jsonc_parser::ast::{Object, ObjectPropName, Value};
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{AuthConfig, AuthMode, Bind, Config, ConfigFault, GatewayConfig, Mode, RemoteConfig};
use super::{heartbeat, limits};
use crate::secret::Secret;

/// How much of an unknown key's name is kept, in bytes.
const NAME_LIMIT: usize = 120;

/// The largest whole number that a float holds exactly, as all below it.
const EXACT: f64 = 9_007_199_254_740_992.0;

type Result<T> = std::result::Result<T, ConfigFault>;

pub(super) fn config(text: &str) -> Result<Config> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // JSON5 wants the comma, and a missing one is more often a slip than a style.
    let options = ParseOptions {
        allow_missing_commas: false,
        ..ParseOptions::default()
    };
    let parsed =
        parse_to_ast(text, &CollectOptions::default(), &options).map_err(|error| syntax(&error))?;
    let root = match &parsed.value {
        Some(Value::Object(root)) => root,
        Some(_) | None => return Err(ConfigFault::NotAnObject),
    };
    let mut config = Config::default();
    for (name, value) in members(root) {
        match name {
            "gateway" => {
                config.gateway = gateway(object("gateway", value)?, &mut config.unknown_keys)?;
            }
            "agents" => {
                let section = object("agents", value)?;
                config.heartbeat = heartbeat::agents(section, &mut config.unknown_keys)?;
            }
            _ => unknown(&mut config.unknown_keys, "", name),
        }
    }
    Ok(config)
}

fn gateway(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<GatewayConfig> {
    let mut config = GatewayConfig::default();
    for (name, value) in members(section) {
        match name {
            "mode" => {
                config.mode = Some(word(
                    "gateway.mode",
                    value,
                    r#"must be "local" or "remote""#,
                    |word| match word {
                        "local" => Some(Mode::Local),
                        "remote" => Some(Mode::Remote),
                        _ => None,
                    },
                )?);
            }
            "port" => config.port = Some(port("gateway.port", value)?),
            "bind" => {
                config.bind = Some(word(
                    "gateway.bind",
                    value,
                    r#"must be "loopback", "lan", "tailnet", "auto" or "custom""#,
                    Bind::from_word,
                )?);
            }
            "auth" => config.auth = auth(object("gateway.auth", value)?, strangers)?,
            "remote" => config.remote = remote(object("gateway.remote", value)?, strangers)?,
            "limits" => {
                config.limits = limits::limits(object("gateway.limits", value)?, strangers)?;
            }
            _ => unknown(strangers, "gateway.", name),
        }
    }
    Ok(config)
}

fn auth(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<AuthConfig> {
    let mut config = AuthConfig::default();
    for (name, value) in members(section) {
        match name {
            "mode" => {
                config.mode = Some(word(
                    "gateway.auth.mode",
                    value,
                    r#"must be "none", "token", "password" or "trusted-proxy""#,
                    AuthMode::from_word,
                )?);
            }
            "token" => config.token = Some(secret("gateway.auth.token", value)?),
            "password" => config.password = Some(secret("gateway.auth.password", value)?),
            _ => unknown(strangers, "gateway.auth.", name),
        }
    }
    Ok(config)
}

fn remote(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<RemoteConfig> {
    let mut config = RemoteConfig::default();
    for (name, value) in members(section) {
        match name {
            "url" => {
                config.url = Some(word(
                    "gateway.remote.url",
                    value,
                    "must be a ws:// or wss:// address",
                    |word| {
                        let host = word
                            .strip_prefix("ws://")
                            .or_else(|| word.strip_prefix("wss://"))?;
                        (!host.is_empty()).then(|| word.to_owned())
                    },
                )?);
            }
            "token" => config.token = Some(secret("gateway.remote.token", value)?),
            "password" => config.password = Some(secret("gateway.remote.password", value)?),
            _ => unknown(strangers, "gateway.remote.", name),
        }
    }
    Ok(config)
}

pub(super) fn members<'o>(
    object: &'o Object<'_>,
) -> impl Iterator<Item = (&'o str, &'o Value<'o>)> {
    object.properties.iter().map(|property| {
        let name = match &property.name {
            ObjectPropName::String(name) => name.value.as_ref(),
            ObjectPropName::Word(name) => name.value,
        };
        (name, &property.value)
    })
}

pub(super) fn object<'v>(key: &'static str, value: &'v Value<'v>) -> Result<&'v Object<'v>> {
    value.as_object().ok_or(ConfigFault::Value {
        key,
        expectation: "must be an object".into(),
    })
}

pub(super) fn word<T>(
    key: &'static str,
    value: &Value<'_>,
    expectation: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T> {
    value
        .as_string_lit()
        .and_then(|text| read(&text.value))
        .ok_or_else(|| ConfigFault::Value {
            key,
            expectation: expectation.into(),
        })
}

fn secret(key: &'static str, value: &Value<'_>) -> Result<Secret> {
    let expectation = match value {
        Value::StringLit(text) => match Secret::new(&text.value) {
            Some(secret) => return Ok(secret),
            None => "must not be empty; set it or remove the key",
        },
        Value::Object(_) => {
            "references to secrets are not supported yet; write the text here, or use the environment"
        }
        Value::NumberLit(_) | Value::BooleanLit(_) | Value::Array(_) | Value::NullKeyword(_) => {
            "must be a string"
        }
    };
    Err(ConfigFault::Value {
        key,
        expectation: expectation.into(),
    })
}

fn port(key: &'static str, value: &Value<'_>) -> Result<u16> {
    value
        .as_number_lit()
        .and_then(|number| integer(number.value))
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0)
        .ok_or(ConfigFault::Value {
            key,
            expectation: "must be an integer from 1 to 65535".into(),
        })
}

/// Reads a whole number in any of JSON5's spellings.
pub(super) fn integer(number: &str) -> Option<u64> {
    let number = number.strip_prefix('+').unwrap_or(number);
    if let Some(digits) = number
        .strip_prefix("0x")
        .or_else(|| number.strip_prefix("0X"))
    {
        return u64::from_str_radix(digits, 16).ok();
    }
    if let Ok(number) = number.parse() {
        return Some(number);
    }
    // 18789.0 and 1.8789e4 are whole numbers too.
    let number: f64 = number.parse().ok()?;
    let fits = number.fract() == 0.0 && (0.0..=EXACT).contains(&number);
    fits.then_some(number as u64)
}

pub(super) fn unknown(strangers: &mut Vec<String>, section: &str, name: &str) {
    let mut path = section.to_owned();
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-'));
    let cut = &name[..name.floor_char_boundary(NAME_LIMIT)];
    if plain {
        path.push_str(cut);
    } else {
        // Writing into a string does not fail.
        let _ = write!(path, "{cut:?}");
    }
    if cut.len() < name.len() {
        path.push('…');
    }
    strangers.push(path);
}

fn syntax(error: &ParseError) -> ConfigFault {
    ConfigFault::Syntax {
        line: error.line_display(),
        column: error.column_display(),
        message: message(error.kind()),
    }
}

// Our own words, because the parser's may repeat a part of a string, and that string may be a secret.
fn message(kind: &ParseErrorKind) -> &'static str {
    use ParseErrorKind as Kind;
    match kind {
        Kind::ExpectedColonAfterObjectKey => "expected a colon after the key",
        Kind::ExpectedObjectValue => "expected a value after the colon",
        Kind::ExpectedComma => "expected a comma",
        Kind::ExpectedDigit
        | Kind::ExpectedDigitFollowingNegativeSign
        | Kind::ExpectedPlusMinusOrDigitInNumberLiteral
        | Kind::BareDecimalPointNumbersNotAllowed
        | Kind::HexadecimalNumbersNotAllowed
        | Kind::NonFiniteNumbersNotAllowed
        | Kind::UnaryPlusNumbersNotAllowed => "broken number",
        Kind::ExpectedStringObjectProperty => "expected a key",
        Kind::MultipleRootJsonValues => "unexpected text after the end",
        Kind::String(_) | Kind::SingleQuotedStringsNotAllowed => {
            "broken string: bad escape or missing quote"
        }
        Kind::TrailingCommasNotAllowed | Kind::UnexpectedComma => "unexpected comma",
        Kind::UnexpectedCloseBrace => "unexpected }",
        Kind::UnexpectedCloseBracket => "unexpected ]",
        Kind::UnexpectedColon => "unexpected colon",
        Kind::UnexpectedWord => "text must be in quotes",
        // The parser gives up on a bare word as a whole when a bracket or comma touches its end.
        Kind::UnexpectedToken => "unexpected character, or text without quotes",
        Kind::UnexpectedTokenInObject | Kind::CommentsNotAllowed => "unexpected character",
        Kind::UnterminatedArray => "this [ is never closed",
        Kind::UnterminatedObject => "this { is never closed",
        Kind::UnterminatedCommentBlock => "this /* is never closed",
        Kind::NestingDepthExceeded => "nested too deeply",
        Kind::Custom(_) => "not JSON5",
    }
}
