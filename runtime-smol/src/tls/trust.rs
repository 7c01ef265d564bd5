//! Whom a client believes to be its gateway.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use async_net::TcpStream;
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use futures_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use futures_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use futures_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use futures_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::stream::{Rationed, Stream};
use super::{Fingerprint, PROTOCOL, VERSIONS, provider};

/// Whom a client of `wss://` believes to be its gateway.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Whoever has a certificate for the name in the address from an authority that this system trusts.
    ///
    /// They are read at the first connection, from where the system keeps them or from what `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name.
    #[default]
    System,
    /// Whoever has a certificate for the name in the address from one of these authorities.
    Roots(Roots),
    /// Whoever has the certificate with this fingerprint and proves to have its key.
    ///
    /// Names, authorities and days count for nothing then.
    Pin(Fingerprint),
}

/// Authorities that a client trusts; clones share them.
#[derive(Clone)]
pub struct Roots(Arc<RootCertStore>);

impl Roots {
    /// Reads certificates of authorities in PEM; `None` if there is none in it, or one that cannot be read.
    #[must_use]
    pub fn from_pem(certificates: &[u8]) -> Option<Self> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(certificates) {
            store.add(certificate.ok()?).ok()?;
        }
        (!store.is_empty()).then(|| Self(Arc::new(store)))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}

/// Why a client does not believe a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It has another certificate than the pinned one.
    Pin {
        /// What was pinned.
        pinned: Fingerprint,
        /// What it showed.
        shown: Fingerprint,
    },
    /// No trusted authority vouches for it.
    UnknownIssuer {
        /// What it showed.
        shown: Fingerprint,
    },
    /// It is for other names than the one in the address.
    Name,
    /// Its days are over, or have not begun.
    Days,
    /// It is no certificate of a server, or a broken one.
    Unusable,
    /// It is the pinned one, and does not prove that who shows it has its key.
    Unproven,
    /// This system trusts no authority at all, or does not say which.
    NoAuthorities,
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pin { pinned, shown } => write!(
                f,
                "gateway tls fingerprint mismatch: pinned {pinned}, shown {shown}; if the gateway has a new certificate, pin the fingerprint that it prints at its start, else somebody else answers"
            ),
            Self::UnknownIssuer { shown } => write!(
                f,
                "no authority that this system trusts vouches for its certificate; if it is the gateway's own, compare {shown} with the fingerprint that the gateway prints at its start, and pin it"
            ),
            Self::Name => f.write_str(
                "its certificate is for another name than the one in the address; use that name, or pin the certificate's fingerprint",
            ),
            Self::Days => f.write_str(
                "the days of its certificate are over or have not begun; renew it, or set this host's clock",
            ),
            Self::Unusable => f.write_str(
                "its certificate cannot be used; give the gateway another one, or pin its fingerprint",
            ),
            Self::Unproven => f.write_str(
                "its certificate is the pinned one, and its key is not proven: it is of X.509 version 1 or 2, and the gateway needs one of version 3, or somebody else answers",
            ),
            Self::NoAuthorities => f.write_str(
                "this system names no authority to trust; install its certificates (often the package ca-certificates), or pin the gateway's fingerprint",
            ),
        }
    }
}

impl std::error::Error for CertificateFault {}

/// Why there is no TLS on a socket.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The peer is not who it should be.
    Distrusted(CertificateFault),
    /// The peer speaks no TLS, or none of ours, or broke off.
    Handshake(io::Error),
}

/// What a client trusts, ready for use; clones share what was made ready.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    trust: Trust,
    ready: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Authority {
    pub(crate) fn new(trust: Trust) -> Self {
        Self {
            trust,
            ready: Arc::default(),
        }
    }

    pub(crate) const fn is_pin(&self) -> bool {
        matches!(self.trust, Trust::Pin(_))
    }

    /// Shakes hands with the gateway that is to have `name`.
    pub(crate) async fn connect(
        &self,
        name: ServerName<'static>,
        socket: TcpStream,
    ) -> Result<Stream, Failed> {
        let config = self.config().await.map_err(Failed::Distrusted)?;
        let connector = TlsConnector::from(config);
        let secured = connector.connect(name, Rationed::new(socket)).await;
        secured
            .map(|stream| Stream::secured(stream.into()))
            .map_err(|error| failed(error, self.is_pin()))
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, CertificateFault> {
        if let Some(ready) = self.ready.get() {
            return Ok(Arc::clone(ready));
        }
        let believing = match &self.trust {
            Trust::Pin(pin) => Believing::Pin(*pin),
            Trust::Roots(roots) => believing(Arc::clone(&roots.0))?,
            Trust::System => believing(Arc::new(smol::unblock(system_roots).await?))?,
        };
        let config = config(believing).map_err(|_| CertificateFault::Unusable)?;
        Ok(Arc::clone(self.ready.get_or_init(|| Arc::new(config))))
    }
}

fn config(believing: Believing) -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = Verifier {
        believing,
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // Every connection looks at the certificate anew.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn believing(roots: Arc<RootCertStore>) -> Result<Believing, CertificateFault> {
    WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map(Believing::Authorities)
        .map_err(|_| CertificateFault::NoAuthorities)
}

/// It blocks.
fn system_roots() -> Result<RootCertStore, CertificateFault> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        log::debug!("an authority's certificate cannot be read: {error}");
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        return Err(CertificateFault::NoAuthorities);
    }
    Ok(store)
}

/// Looks at a gateway's certificate; that it has the key as well is looked at whomever it believes.
#[derive(Debug)]
struct Verifier {
    believing: Believing,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Believing {
    Authorities(Arc<WebPkiServerVerifier>),
    /// One certificate, whoever vouches for it.
    Pin(Fingerprint),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(certificate);
        let fault = match &self.believing {
            Believing::Pin(pinned) if shown == *pinned => {
                return Ok(ServerCertVerified::assertion());
            }
            Believing::Pin(pinned) => CertificateFault::Pin {
                pinned: *pinned,
                shown,
            },
            Believing::Authorities(verifier) => {
                match verifier.verify_server_cert(certificate, intermediates, name, ocsp, now) {
                    Err(Error::InvalidCertificate(error)) => distrust(&error, shown),
                    other => return other,
                }
            }
        };
        Err(CertificateError::Other(OtherError(Arc::new(fault))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum grows, and the rest is of no use to anybody"
)]
fn distrust(error: &CertificateError, shown: Fingerprint) -> CertificateFault {
    use CertificateError as Fault;
    match error {
        Fault::Expired
        | Fault::ExpiredContext { .. }
        | Fault::NotValidYet
        | Fault::NotValidYetContext { .. } => CertificateFault::Days,
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => CertificateFault::Name,
        // The rest that is not named is mostly a certificate that vouches for itself.
        Fault::UnknownIssuer | Fault::BadSignature | Fault::Other(_) => {
            CertificateFault::UnknownIssuer { shown }
        }
        _ => CertificateFault::Unusable,
    }
}

fn failed(error: io::Error, is_pin: bool) -> Failed {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(fault)))) => {
            let fault = fault.downcast_ref::<CertificateFault>().cloned();
            Failed::Distrusted(fault.unwrap_or(CertificateFault::Unusable))
        }
        // Such as a signature that its key has not made.
        Some(Error::InvalidCertificate(_)) => Failed::Distrusted(match is_pin {
            true => CertificateFault::Unproven,
            false => CertificateFault::Unusable,
        }),
        _ => Failed::Handshake(error),
    }
}
