//! The section `gateway.tls`: what the gateway proves itself with.

use jsonc_parser::ast::{Object, Value};

use super::ConfigFault;
use super::read::{boolean, members, unknown, word};

type Result<T> = std::result::Result<T, ConfigFault>;

/// The section `gateway.tls`: TLS on the addresses that the gateway listens on.
///
/// A leading `~` in a path stands for the home directory, and a relative one starts from the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// `gateway.tls.enabled`: whether TLS is spoken, and nothing else; false by default.
    pub enabled: bool,
    /// `gateway.tls.autoGenerate`: whether a certificate and its key are made where neither is there; true by default.
    pub auto_generate: bool,
    /// `gateway.tls.certPath`: the certificate in PEM; by default `gateway/tls/gateway-cert.pem` in the state directory.
    pub cert_path: Option<String>,
    /// `gateway.tls.keyPath`: its key in PEM; by default `gateway/tls/gateway-key.pem` in the state directory.
    pub key_path: Option<String>,
    /// `gateway.tls.caPath`: further certificates in PEM that are shown with it; none by default.
    pub ca_path: Option<String>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            auto_generate: true,
            cert_path: None,
            key_path: None,
            ca_path: None,
        }
    }
}

pub(super) fn tls(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<TlsConfig> {
    let mut config = TlsConfig::default();
    for (name, value) in members(section) {
        match name {
            "enabled" => config.enabled = boolean("gateway.tls.enabled", value)?,
            "autoGenerate" => config.auto_generate = boolean("gateway.tls.autoGenerate", value)?,
            "certPath" => config.cert_path = Some(path("gateway.tls.certPath", value)?),
            "keyPath" => config.key_path = Some(path("gateway.tls.keyPath", value)?),
            "caPath" => config.ca_path = Some(path("gateway.tls.caPath", value)?),
            _ => unknown(strangers, "gateway.tls.", name),
        }
    }
    Ok(config)
}

fn path(key: &'static str, value: &Value<'_>) -> Result<String> {
    word(key, value, "must be the path of a file in PEM", |path| {
        let path = path.trim();
        (!path.is_empty()).then(|| path.to_owned())
    })
}
