//! Which certificate a gateway has to show.

use openclaw_gateway_service::config::{Config, TlsConfig};
use openclaw_gateway_service::environment::Environment;
use openclaw_gateway_service::paths::Paths;
use openclaw_gateway_service::tls::Places;
use openclaw_runtime_smol::tls::Fingerprint;

use crate::args::ClientFlags;
use crate::failure::Failure;

/// A certificate that a gateway has to show, and who says so.
pub(super) struct Pin {
    pub(super) fingerprint: Fingerprint,
    source: Source,
}

enum Source {
    Flag,
    Remote,
    Local,
}

impl Pin {
    /// Reads `--tls-fingerprint`.
    pub(super) fn flag(flags: &ClientFlags) -> Result<Option<Self>, Failure> {
        let Some(text) = &flags.tls_fingerprint else {
            return Ok(None);
        };
        let fingerprint = text.parse().map_err(|_| {
            Failure::usage(
                "Invalid --tls-fingerprint. Use the SHA-256 fingerprint of a certificate: 64 hexadecimal digits, with colons or without.",
            )
        })?;
        let source = Source::Flag;
        Ok(Some(Self {
            fingerprint,
            source,
        }))
    }

    /// Takes what the configuration says of the gateway elsewhere.
    pub(super) fn remote(config: Option<&Config>) -> Option<Self> {
        let fingerprint = config?.gateway.remote.tls_fingerprint?;
        let source = Source::Remote;
        Some(Self {
            fingerprint,
            source,
        })
    }

    /// Takes the certificate of this host's own gateway from where it lies. It blocks.
    pub(super) fn local(
        config: &TlsConfig,
        paths: &Paths,
        env: &Environment,
    ) -> Result<Option<Self>, Failure> {
        let places = Places::of(config, paths, env)
            .map_err(|fault| Failure::configuration(fault.to_string()))?;
        let source = Source::Local;
        Ok(places.fingerprint().map(|fingerprint| Self {
            fingerprint,
            source,
        }))
    }

    /// Says where the fingerprint comes from.
    pub(super) fn place(&self) -> String {
        let place = match self.source {
            Source::Flag => "--tls-fingerprint",
            Source::Remote => "gateway.remote.tlsFingerprint",
            Source::Local => "the certificate file of this host's gateway",
        };
        format!("The fingerprint came from {place}.")
    }

    /// Returns the flags that say the same to another command.
    pub(super) fn flags(&self) -> String {
        format!(" --tls-fingerprint {}", self.fingerprint)
    }
}
