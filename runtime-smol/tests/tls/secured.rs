//! A gateway that speaks TLS, and peers whose TLS is not ours.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt;
use futures_rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use futures_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use openclaw_runtime_smol::client;
use openclaw_runtime_smol::server::{Endpoint, Server, ServerLimits};

use crate::certificates::Pair;
use crate::desk::{Gateway, calm};
use crate::wire::PATIENCE;

/// Runs a test's future; a test that hangs fails instead.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let late = async {
        smol::Timer::after(3 * PATIENCE).await;
        panic!("the test hangs");
    };
    smol::block_on(test.or(late))
}

pub(crate) fn gateway(pair: &Pair) -> Gateway {
    with_limits(pair, ServerLimits::default())
}

pub(crate) fn with_limits(pair: &Pair, limits: ServerLimits) -> Gateway {
    let loopback = Endpoint {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        required: true,
    };
    let server = Server::bind(&[loopback]).unwrap();
    Gateway::on(server.with_tls(pair.credential()), calm(), limits)
}

/// A client that pins the certificate of `pair`.
pub(crate) fn pinning(gateway: &Gateway, pair: &Pair) -> client::Builder {
    client::Gateway::builder(format!("wss://{}", gateway.address))
        .tls_fingerprint(pair.credential().fingerprint())
}

/// A peer that speaks TLS and believes everybody.
pub(crate) fn peer(
    address: SocketAddr,
    version: &'static SupportedProtocolVersion,
) -> StreamOwned<ClientConnection, TcpStream> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("gateway.example").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, tcp(address))
}

pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Handshakes may take next to no time.
pub(crate) fn hasty() -> ServerLimits {
    let mut limits = ServerLimits::default();
    limits.http.head_time = Duration::from_millis(200);
    limits
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
        ]
    }
}
