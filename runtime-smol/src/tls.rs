//! TLS around sockets: a gateway's own certificate, and whom a client trusts.
//!
//! It is rustls with ring, TLS 1.2 and 1.3, and nothing of it is set up before it is needed.

mod credential;
mod fingerprint;
mod stream;
mod trust;

use std::sync::Arc;

use futures_rustls::rustls::SupportedProtocolVersion;
use futures_rustls::rustls::crypto::{CryptoProvider, ring};
use futures_rustls::rustls::version::{TLS12, TLS13};

pub use credential::{Credential, CredentialError};
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub(crate) use stream::Stream;
pub(crate) use trust::{Authority, Failed};
pub use trust::{CertificateFault, Roots, Trust};

/// The protocol behind TLS, as the handshake names it.
const PROTOCOL: &[u8] = b"http/1.1";
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
