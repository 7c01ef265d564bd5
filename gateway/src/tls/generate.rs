//! A certificate that vouches for itself.

use std::io;
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use x509_cert::der::pem::{self, LineEnding};

use crate::service::host_name;

const NAME: &str = "openclaw-gateway";
const KEY_LABEL: &str = "PRIVATE KEY";
const DAY: Duration = Duration::from_secs(86_400);
/// As long as clients pin it, nobody need make a new one.
const DAYS: u32 = 3650;

/// Makes a key (ECDSA, P-256) in PEM.
pub(super) fn key() -> io::Result<String> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    write(KEY_LABEL, key.serialized_der())
}

/// Makes a certificate in PEM for a key in PEM and the names of this host.
pub(super) fn certificate(key: &[u8], now: Duration) -> io::Result<String> {
    let unusable = || io::Error::other("the private key beside it cannot be used");
    let (_, der) = pem::decode_vec(key).map_err(|_| unusable())?;
    let key = KeyPair::try_from(der).map_err(|_| unusable())?;
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    names.extend(host_name().filter(|name| name.bytes().all(fits)));
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Clocks differ.
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    params.not_after = date_time_ymd(1970, 1, 1) + now + DAY * DAYS;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    write("CERTIFICATE", certificate.der())
}

fn write(label: &str, der: &[u8]) -> io::Result<String> {
    pem::encode_string(label, LineEnding::LF, der)
        .map_err(|error| io::Error::other(error.to_string()))
}
