//! Certificates for one test each.

use openclaw_runtime_smol::tls::{Credential, Roots};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

/// A certificate and its key, in DER and PEM.
pub(crate) struct Pair {
    pub(crate) der: Vec<u8>,
    pub(crate) certificate: String,
    pub(crate) key: KeyPair,
}

impl Pair {
    /// A certificate for `name` that vouches for itself.
    pub(crate) fn own(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self::of(certificate.der(), key)
    }

    fn of(der: &[u8], key: KeyPair) -> Self {
        Self {
            der: der.to_vec(),
            certificate: pem("CERTIFICATE", der),
            key,
        }
    }

    pub(crate) fn credential(&self) -> Credential {
        Credential::from_pem(self.certificate.as_bytes(), self.key_pem().as_bytes()).unwrap()
    }

    pub(crate) fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key.serialize_der())
    }
}

/// An authority that nobody knows.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_pem(pem("CERTIFICATE", self.0.der()).as_bytes()).unwrap()
    }

    pub(crate) fn issue(&self, name: &str, last_year: i32) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair::of(certificate.der(), key)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | u32::from(group.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { digit.into() } else { '=' });
        }
    }
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..text.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
