//! What a gateway proves itself with.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_net::TcpStream;
use futures_lite::FutureExt;
use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::crypto::ring::Ticketer;
use futures_rustls::rustls::server::NoServerSessionStorage;
use futures_rustls::rustls::{Error, ServerConfig};
use smol::Timer;

use super::stream::{Rationed, Stream};
use super::{Fingerprint, PROTOCOL, VERSIONS, provider};
use crate::http;

/// A certificate with those that vouch for it, and its private key; clones share them.
///
/// `Debug` shows the fingerprint only.
#[derive(Clone)]
pub struct Credential {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

/// Why a certificate and a key are no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// There is no certificate in PEM.
    NoCertificate,
    /// The certificate cannot be read.
    Certificate,
    /// The certificate is of an older version of X.509 than 3, which nobody accepts any more.
    Version,
    /// There is no private key in PEM; one behind a passphrase is none.
    NoKey,
    /// The private key is of no kind that can be used.
    Key,
    /// The private key is another certificate's.
    Mismatch,
}

impl Credential {
    /// Reads a certificate, perhaps with those that vouch for it behind it, and its key, both in PEM.
    ///
    /// The key may be RSA, ECDSA (P-256, P-384) or Ed25519. Whether the certificate is in its days is not looked at.
    ///
    /// # Errors
    /// [`CredentialError`] says which of the two is of no use.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, CredentialError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| CredentialError::NoCertificate)?;
        let own = chain
            .first()
            .cloned()
            .ok_or(CredentialError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CredentialError::NoKey)?;
        let provider = provider();
        if provider
            .key_provider
            .load_private_key(key.clone_key())
            .is_err()
        {
            return Err(CredentialError::Key);
        }
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&VERSIONS)
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|error| {
            if let Error::InconsistentKeys(_) = error {
                CredentialError::Mismatch
            } else if is_old(&own) {
                CredentialError::Version
            } else {
                CredentialError::Certificate
            }
        })?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // What is kept for a peer that comes back is kept by that peer. Its ticket also acknowledges the handshake at once:
        // a peer whose system gathers small writes would wait 40 ms for that before it sends its head.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        if let Ok(ticketer) = Ticketer::new() {
            config.ticketer = ticketer;
        }
        Ok(Self {
            config: Arc::new(config),
            certificate: own,
        })
    }

    /// The fingerprint of the certificate, for clients to pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// The certificate in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Shakes hands on an accepted socket, within the time that a head may take.
    ///
    /// A peer that speaks no TLS that we do is told so in TLS, one that speaks none is told nothing; its socket ends in order.
    pub(crate) async fn accept(
        &self,
        socket: TcpStream,
        limits: &http::Limits,
    ) -> io::Result<Stream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let accepted = async {
            let accepted = acceptor.accept(Rationed::doubtful(socket)).into_fallible();
            Some(accepted.await)
        };
        let late = async {
            Timer::after(limits.head_time).await;
            None
        };
        match accepted.or(late).await {
            Some(Ok(stream)) => Ok(Stream::secured(stream.into())),
            Some(Err((error, socket))) => {
                http::close::close(socket, b"", true, limits.linger_time).await;
                Err(error)
            }
            None => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the TLS handshake took too long",
            )),
        }
    }
}

/// Tells whether a certificate in DER has a version before 3, which it says ahead of everything else.
fn is_old(certificate: &[u8]) -> bool {
    let content = |der| of_sequence(of_sequence(der)?);
    match content(certificate) {
        // The serial number comes first where there is no version.
        Some([0x02, ..]) => true,
        Some([0xa0, 3, 0x02, 1, version, ..]) => *version < 2,
        Some(_) | None => false,
    }
}

/// Returns what follows the tag and the length of a sequence.
fn of_sequence(der: &[u8]) -> Option<&[u8]> {
    let (length, rest) = der.strip_prefix(&[0x30])?.split_first()?;
    match length.checked_sub(0x80) {
        Some(more) => rest.get(usize::from(more)..),
        None => Some(rest),
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.fingerprint())
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => "no certificate in PEM is in it",
            Self::Certificate => "the certificate in it cannot be read",
            Self::Version => "the certificate in it is of X.509 version 1 or 2, and only 3 can be used; make it anew with extensions, such as with openssl req -x509 -addext subjectAltName=DNS:NAME",
            Self::NoKey => "no private key in PEM is in it, or it has a passphrase",
            Self::Key => "the private key in it is of no kind that can be used; use RSA, ECDSA (P-256, P-384) or Ed25519",
            Self::Mismatch => "the private key is not the certificate's",
        })
    }
}

impl std::error::Error for CredentialError {}
