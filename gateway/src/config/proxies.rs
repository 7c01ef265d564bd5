//! What is believed of proxies: `gateway.trustedProxies`, `gateway.tailscale`, `gateway.auth.trustedProxy` and
//! `gateway.auth.identityScopes`.

use std::collections::BTreeMap;

use jsonc_parser::ast::{Object, Value};
use openclaw_protocol_core::scope::Scope;

use super::ConfigFault;
use super::read::{boolean, fault, members, object, texts, unknown, word};
use crate::proxies::forwarded::Network;
use crate::proxies::{Tailscale, Vouching};

type Result<T> = std::result::Result<T, ConfigFault>;

const VOUCHING: &str = "gateway.auth.trustedProxy";
const IDENTITY_SCOPES: &str = "gateway.auth.identityScopes";
const HEADER: &str = r#"must be the name of a header such as "x-forwarded-user""#;

const NOT_OF_USERS: &str = r#"has another meaning in every request and names no user; use a header that only the proxy sets, such as "x-forwarded-user""#;
/// Headers that say something else, whoever sends them.
const OTHERS: [&str; 30] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "pragma",
    "proxy-authorization",
    "referer",
    "tailscale-funnel-request",
    "tailscale-headers-info",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "user-agent",
    "via",
    "cf-connecting-ip",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-openclaw-scopes",
    "x-real-ip",
];

pub(super) fn trusted(value: &Value<'_>) -> Result<Vec<Network>> {
    texts(
        "gateway.trustedProxies",
        value,
        r#"must be a list of addresses and networks such as "10.0.0.2" or "10.0.0.0/8""#,
        Network::parse,
    )
}

pub(super) fn tailscale(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<Tailscale> {
    let mut mode = Tailscale::Off;
    for (name, value) in members(section) {
        match name {
            "mode" => {
                mode = word(
                    "gateway.tailscale.mode",
                    value,
                    r#"must be "off", "serve" or "funnel""#,
                    Tailscale::from_word,
                )?;
            }
            _ => unknown(strangers, "gateway.tailscale.", name),
        }
    }
    Ok(mode)
}

pub(super) fn vouching(value: &Value<'_>, strangers: &mut Vec<String>) -> Result<Vouching> {
    let mut vouching = Vouching::default();
    for (name, value) in members(object(VOUCHING, value)?) {
        let key = || format!("{VOUCHING}.{name}");
        match name {
            "userHeader" => {
                vouching.user_header = word(key(), value, HEADER, header)?;
                if !names_users(&vouching.user_header) {
                    return Err(fault(key(), NOT_OF_USERS));
                }
            }
            "requiredHeaders" => {
                let expectation = r#"must be a list of headers such as "x-forwarded-proto""#;
                vouching.required_headers = texts(key(), value, expectation, header)?;
            }
            "allowUsers" => {
                let expectation = "must be a list of users, none of them blank";
                vouching.allow_users = texts(key(), value, expectation, filled)?;
            }
            "allowLoopback" => vouching.allow_loopback = boolean(key(), value)?,
            _ => unknown(strangers, &format!("{VOUCHING}."), name),
        }
    }
    Ok(vouching)
}

pub(super) fn identity_scopes(value: &Value<'_>) -> Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (user, value) in members(object(IDENTITY_SCOPES, value)?) {
        let expectation = r#"must be a list of scopes such as "operator.read""#;
        let key = format!("{IDENTITY_SCOPES}.{user}");
        // Names without an `@` are compared as they are.
        let is_it = |name: &&String| {
            *name == user || (user.contains('@') && name.to_lowercase() == user.to_lowercase())
        };
        if let Some(other) = found.keys().find(is_it) {
            let expectation = format!(
                "names the same user as {IDENTITY_SCOPES}.{other}, because addresses are compared in any case; keep one of the two"
            );
            return Err(fault(key, expectation));
        }
        let known = |name: &str| Scope::from_name(name).map(|scope| scope.as_str().to_owned());
        found.insert(user.to_owned(), texts(key, value, expectation, known)?);
    }
    Ok(found)
}

impl Tailscale {
    fn from_word(word: &str) -> Option<Self> {
        [Self::Off, Self::Serve, Self::Funnel]
            .into_iter()
            .find(|mode| mode.word() == word)
    }

    /// Returns the word that files use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Serve => "serve",
            Self::Funnel => "funnel",
        }
    }
}

/// Reads the name of a header: what else stands here would be looked for in vain.
fn header(text: &str) -> Option<String> {
    let is_of_a_name =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(is_of_a_name)).then(|| text.to_owned())
}

/// Tells whether a field of this name is free to carry a user.
fn names_users(header: &str) -> bool {
    let name = header.to_ascii_lowercase();
    !OTHERS.contains(&name.as_str()) && !name.starts_with("sec-")
}

fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
