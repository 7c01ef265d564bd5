//! From JSON5 text to the typed configuration.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use jsonc_parser::ast::{Object, ObjectPropName, Value};
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{Bind, Config, ConfigFault, GatewayConfig, Mode, NodeHostConfig};
use super::{auth, heartbeat, limits, nodes, proxies, secrets, tls};

/// How much of an unknown key's name is kept, in bytes.
const NAME_LIMIT: usize = 120;

/// The largest whole number that a float holds exactly, as all below it.
const EXACT: f64 = 9_007_199_254_740_992.0;

pub(super) type Result<T> = std::result::Result<T, ConfigFault>;

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
            "secrets" => {
                let section = object("secrets", value)?;
                config.secrets = secrets::secrets(section, &mut config.unknown_keys)?;
            }
            "nodeHost" => {
                let section = object("nodeHost", value)?;
                config.node_host = node_host(section, &mut config.unknown_keys)?;
            }
            _ => unknown(&mut config.unknown_keys, "", name),
        }
    }
    Ok(config)
}

fn node_host(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<NodeHostConfig> {
    let mut config = NodeHostConfig::default();
    for (name, value) in members(section) {
        match name {
            "allowRun" => {
                config.allow_run = texts(
                    "nodeHost.allowRun",
                    value,
                    r#"must be a list of absolute paths such as "/usr/bin/uptime""#,
                    |path| Path::new(path).is_absolute().then(|| path.to_owned()),
                )?;
            }
            _ => unknown(strangers, "nodeHost.", name),
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
            "auth" => config.auth = auth::auth(object("gateway.auth", value)?, strangers)?,
            "remote" => {
                config.remote = auth::remote(object("gateway.remote", value)?, strangers)?;
            }
            "controlUi" => {
                let section = object("gateway.controlUi", value)?;
                config.control_ui = auth::control_ui(section, strangers)?;
            }
            "nodes" => {
                config.commands = nodes::nodes(object("gateway.nodes", value)?, strangers)?;
            }
            "tls" => config.tls = tls::tls(object("gateway.tls", value)?, strangers)?,
            "trustedProxies" => config.trusted_proxies = proxies::trusted(value)?,
            "allowRealIpFallback" => {
                config.real_ip_fallback = boolean("gateway.allowRealIpFallback", value)?;
            }
            "tailscale" => {
                let section = object("gateway.tailscale", value)?;
                config.tailscale = proxies::tailscale(section, strangers)?;
            }
            "limits" => {
                config.limits = limits::limits(object("gateway.limits", value)?, strangers)?;
            }
            _ => unknown(strangers, "gateway.", name),
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

pub(super) fn object<'v>(
    key: impl Into<Cow<'static, str>>,
    value: &'v Value<'v>,
) -> Result<&'v Object<'v>> {
    let object = value.as_object();
    object.ok_or_else(|| fault(key, "must be an object"))
}

pub(super) fn word<T>(
    key: impl Into<Cow<'static, str>>,
    value: &Value<'_>,
    expectation: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T> {
    value
        .as_string_lit()
        .and_then(|text| read(&text.value))
        .ok_or_else(|| fault(key, expectation))
}

pub(super) fn texts<T>(
    key: impl Into<Cow<'static, str>>,
    value: &Value<'_>,
    expectation: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>> {
    let read_one = |value: &Value<'_>| read(&value.as_string_lit()?.value);
    let list = value.as_array();
    list.and_then(|list| list.elements.iter().map(read_one).collect())
        .ok_or_else(|| fault(key, expectation))
}

pub(super) fn boolean(key: impl Into<Cow<'static, str>>, value: &Value<'_>) -> Result<bool> {
    let word = value.as_boolean_lit();
    word.map(|word| word.value)
        .ok_or_else(|| fault(key, "must be true or false"))
}

pub(super) fn number(
    key: impl Into<Cow<'static, str>>,
    value: &Value<'_>,
    min: u64,
    max: u64,
) -> Result<u64> {
    value
        .as_number_lit()
        .and_then(|number| integer(number.value))
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| fault(key, format!("must be an integer from {min} to {max}")))
}

fn port(key: &'static str, value: &Value<'_>) -> Result<u16> {
    let port = number(key, value, 1, u16::MAX.into())?;
    // The range says so.
    Ok(u16::try_from(port).unwrap_or(u16::MAX))
}

pub(super) fn fault(
    key: impl Into<Cow<'static, str>>,
    expectation: impl Into<Cow<'static, str>>,
) -> ConfigFault {
    ConfigFault::Value {
        key: key.into(),
        expectation: expectation.into(),
    }
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
