//! The sections `gateway.auth`, `gateway.remote` and `gateway.controlUi`: who may connect.

use std::collections::BTreeMap;
use std::time::Duration;

use jsonc_parser::ast::{Object, Value};
use openclaw_runtime_smol::tls::Fingerprint;

use super::read::{boolean, members, number, object, texts, unknown, word};
use super::{AuthMode, ConfigFault, proxies};
use crate::admission::origin::AllowedOrigin;
use crate::proxies::Vouching;
use crate::secret::reference::{REDACTED, SecretInput, SecretRef, Source, is_provider};
use crate::throttle::RateLimit;

type Result<T> = std::result::Result<T, ConfigFault>;

/// The section `gateway.auth`: how clients prove that they may connect.
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    /// `gateway.auth.mode`: by default whichever secret is found.
    pub mode: Option<AuthMode>,
    /// `gateway.auth.token`.
    pub token: Option<SecretInput>,
    /// `gateway.auth.password`.
    pub password: Option<SecretInput>,
    /// The section `gateway.auth.rateLimit`.
    pub rate_limit: RateLimit,
    /// The section `gateway.auth.trustedProxy`, which the mode `trusted-proxy` needs.
    pub trusted_proxy: Option<Vouching>,
    /// `gateway.auth.identityScopes`: by user, what a proxy's word for that user opens beside what a device was approved for.
    pub identity_scopes: BTreeMap<String, Vec<String>>,
    /// `gateway.auth.allowTailscale`: whether users of the tailnet need no secret; by default only where
    /// `gateway.tailscale.mode` is `serve` and the secret is a token.
    pub allow_tailscale: Option<bool>,
    /// `gateway.auth.dangerouslyAllowNoneOnNetwork`: whether mode `none` may listen on more than loopback; false by default,
    /// because then nothing keeps strangers out.
    pub none_on_network: bool,
}

/// The section `gateway.remote`: the gateway on another host that clients of this host use.
#[derive(Clone, Debug, Default)]
pub struct RemoteConfig {
    /// `gateway.remote.url`: a `ws://` or `wss://` address.
    pub url: Option<String>,
    /// `gateway.remote.token`.
    pub token: Option<SecretInput>,
    /// `gateway.remote.password`.
    pub password: Option<SecretInput>,
    /// `gateway.remote.tlsFingerprint`: the certificate that the gateway has to show; by default one that this system trusts.
    pub tls_fingerprint: Option<Fingerprint>,
}

/// The section `gateway.controlUi`: pages in browsers.
#[derive(Clone, Debug, Default)]
pub struct ControlUiConfig {
    /// `gateway.controlUi.allowedOrigins`: none by default, which leaves the pages of this host on the gateway's own port.
    pub allowed_origins: Vec<AllowedOrigin>,
}

pub(super) fn auth(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<AuthConfig> {
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
            "token" => config.token = Some(secret("gateway.auth.token", value, strangers)?),
            "password" => {
                config.password = Some(secret("gateway.auth.password", value, strangers)?);
            }
            "trustedProxy" => config.trusted_proxy = Some(proxies::vouching(value, strangers)?),
            "identityScopes" => config.identity_scopes = proxies::identity_scopes(value)?,
            "allowTailscale" => {
                config.allow_tailscale = Some(boolean("gateway.auth.allowTailscale", value)?);
            }
            "rateLimit" => {
                let section = object("gateway.auth.rateLimit", value)?;
                config.rate_limit = rate_limit(section, strangers)?;
            }
            "dangerouslyAllowNoneOnNetwork" => {
                config.none_on_network =
                    boolean("gateway.auth.dangerouslyAllowNoneOnNetwork", value)?;
            }
            _ => unknown(strangers, "gateway.auth.", name),
        }
    }
    Ok(config)
}

fn rate_limit(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<RateLimit> {
    let mut limit = RateLimit::default();
    for (name, value) in members(section) {
        match name {
            "maxAttempts" => {
                let attempts = number("gateway.auth.rateLimit.maxAttempts", value, 1, 1000)?;
                limit.attempts = usize::try_from(attempts).unwrap_or(usize::MAX);
            }
            "windowMs" => {
                let window = number("gateway.auth.rateLimit.windowMs", value, 1, 86_400_000)?;
                limit.window = Duration::from_millis(window);
            }
            "lockoutMs" => {
                let lockout = number("gateway.auth.rateLimit.lockoutMs", value, 0, 604_800_000)?;
                limit.lockout = Duration::from_millis(lockout);
            }
            "exemptLoopback" => {
                limit.exempt_loopback = boolean("gateway.auth.rateLimit.exemptLoopback", value)?;
            }
            _ => unknown(strangers, "gateway.auth.rateLimit.", name),
        }
    }
    Ok(limit)
}

pub(super) fn remote(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<RemoteConfig> {
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
            "token" => config.token = Some(secret("gateway.remote.token", value, strangers)?),
            "password" => {
                config.password = Some(secret("gateway.remote.password", value, strangers)?);
            }
            "tlsFingerprint" => {
                config.tls_fingerprint = Some(word(
                    "gateway.remote.tlsFingerprint",
                    value,
                    "must be the SHA-256 fingerprint of a certificate; to trust whom this system does, remove the key",
                    |word| word.parse().ok(),
                )?);
            }
            _ => unknown(strangers, "gateway.remote.", name),
        }
    }
    Ok(config)
}

pub(super) fn control_ui(
    section: &Object<'_>,
    strangers: &mut Vec<String>,
) -> Result<ControlUiConfig> {
    let mut config = ControlUiConfig::default();
    for (name, value) in members(section) {
        match name {
            "allowedOrigins" => {
                config.allowed_origins = texts(
                    "gateway.controlUi.allowedOrigins",
                    value,
                    r#"must be a list of origins such as "https://control.example.com" without a path, or "*""#,
                    AllowedOrigin::parse,
                )?;
            }
            _ => unknown(strangers, "gateway.controlUi.", name),
        }
    }
    Ok(config)
}

fn secret(
    key: &'static str,
    value: &Value<'_>,
    strangers: &mut Vec<String>,
) -> Result<SecretInput> {
    let expectation = match value {
        Value::StringLit(text) => match SecretInput::new(&text.value) {
            Some(input) if input.text().is_some_and(|text| text.expose() == REDACTED) => {
                "is the placeholder of a redacted configuration; write the secret itself"
            }
            Some(input) => return Ok(input),
            None => "must not be empty; set it or remove the key",
        },
        Value::Object(section) => {
            return reference(key, section, strangers).map(SecretInput::Reference);
        }
        Value::NumberLit(_) | Value::BooleanLit(_) | Value::Array(_) | Value::NullKeyword(_) => {
            "must be a string, or a reference such as {source: \"env\", id: \"NAME\"}"
        }
    };
    Err(fault(key, expectation))
}

fn reference(
    key: &'static str,
    section: &Object<'_>,
    strangers: &mut Vec<String>,
) -> Result<SecretRef> {
    let (mut source, mut provider, mut id) = (None, None, None);
    for (name, value) in members(section) {
        let text = || value.as_string_lit().map(|text| text.value.to_string());
        match name {
            "source" => source = text().as_deref().and_then(Source::from_word),
            "provider" => {
                let name = text().filter(|name| is_provider(name)).ok_or_else(|| {
                    fault(
                        key,
                        "provider must be one of the names in secrets.providers",
                    )
                })?;
                provider = Some(name);
            }
            "id" => id = text(),
            _ => unknown(strangers, &format!("{key}."), name),
        }
    }
    let source = source.ok_or_else(|| fault(key, r#"source must be "env", "file" or "exec""#))?;
    let id = id.unwrap_or_default().trim().to_owned();
    match source.fault_of_id(&id) {
        Some(expectation) => Err(fault(key, expectation)),
        None => Ok(SecretRef {
            source,
            provider,
            id,
        }),
    }
}

fn fault(key: &'static str, expectation: &'static str) -> ConfigFault {
    ConfigFault::Value {
        key: key.into(),
        expectation: expectation.into(),
    }
}
