//! Which certificate a gateway has to show.

use openclaw_gateway_service::config::{Config, TlsConfig};
use openclaw_gateway_service::environment::Environment;
use openclaw_gateway_service::paths::Paths;
use openclaw_gateway_service::tls::Places;
use openclaw_runtime_smol::tls::{CertificateFault, Fingerprint};

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
    /// What this host's own gateway reads at its start.
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
    ) -> Result<Self, Failure> {
        let configuration = |fault: &dyn std::error::Error| {
            Failure::configuration(fault.to_string())
                .hint("Commands believe the certificate of this host's gateway, and no other; the gateway makes or checks it at its start.")
        };
        let places = Places::of(config, paths, env).map_err(|fault| configuration(&fault))?;
        let fingerprint = places
            .fingerprint()
            .map_err(|fault| configuration(&fault))?;
        let source = Source::Local;
        Ok(Self {
            fingerprint,
            source,
        })
    }

    /// Adds to a failure what is to be done where another certificate is shown.
    pub(super) fn distrusted(
        &self,
        fault: &CertificateFault,
        failure: Failure,
        url: &str,
    ) -> Failure {
        let (Source::Local, CertificateFault::Pin { pinned, shown }) = (&self.source, fault) else {
            return failure.hint(self.place());
        };
        let message = format!(
            "Gateway at {url} not trusted: gateway tls fingerprint mismatch: the certificate file of this host's gateway has {pinned}, shown {shown}."
        );
        failure.reworded(message).hint(
            "If that file was renewed, the gateway still shows the certificate it was started with; restart it. If it was not, somebody else answers.",
        )
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
