//! The gateway's certificate: where it lies, what is wrong with it, and one of its own where there is none.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_runtime_smol::tls::{Credential, CredentialError, Fingerprint};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::config::TlsConfig;
use crate::environment::Environment;
use crate::files::{self, ReadFault};
use crate::identity::exposure;
use crate::paths::{self, PathFault, Paths};

mod generate;

/// How large a file with certificates or a key may be, in bytes.
const FILE_LIMIT: u64 = 64 << 10;

/// A certificate that is ready to be served.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate and its key.
    pub credential: Credential,
    /// Where the certificate lies.
    pub path: PathBuf,
    /// Whether it was made at this start.
    pub is_new: bool,
}

/// Where a certificate and its key are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    certificate: PathBuf,
    key: PathBuf,
    authorities: Option<PathBuf>,
    /// Whether nobody but the gateway has a reason to put anything there.
    are_own: bool,
}

impl Places {
    /// Works out the places from the section `gateway.tls`.
    ///
    /// # Errors
    /// A path begins with `~` where that stands for nothing.
    pub fn of(config: &TlsConfig, paths: &Paths, env: &Environment) -> Result<Self, PathFault> {
        let own = paths.state_dir.join("gateway").join("tls");
        let place = |given: &Option<String>, key, name| match given {
            Some(given) => paths::expand(Path::new(given), key, env),
            None => Ok(own.join(name)),
        };
        let authorities = config.ca_path.as_ref();
        let expand = |given| paths::expand(Path::new(given), "gateway.tls.caPath", env);
        Ok(Self {
            certificate: place(
                &config.cert_path,
                "gateway.tls.certPath",
                "gateway-cert.pem",
            )?,
            key: place(&config.key_path, "gateway.tls.keyPath", "gateway-key.pem")?,
            authorities: authorities.map(expand).transpose()?,
            are_own: config.cert_path.is_none() && config.key_path.is_none(),
        })
    }

    /// Returns the fingerprint of the certificate that is there; it makes none. It blocks.
    ///
    /// # Errors
    /// [`TlsFault`] says why there is none.
    pub fn fingerprint(&self) -> Result<Fingerprint, TlsFault> {
        let pem = self.read(&self.certificate, false)?;
        Fingerprint::of_pem(&pem).ok_or_else(|| TlsFault::Useless {
            path: self.certificate.clone(),
            error: CredentialError::NoCertificate,
        })
    }

    /// Reads the certificate and its key; where neither is there and `may_make` says so, it makes them first.
    ///
    /// `now` is the time since 1970. What the operator should hear goes into `warnings`. It blocks.
    ///
    /// # Errors
    /// [`TlsFault`] says which file is of no use, and why.
    pub fn open(
        &self,
        may_make: bool,
        now: Duration,
        warnings: &mut Vec<String>,
    ) -> Result<Tls, TlsFault> {
        let is_new = may_make && self.make(now)?;
        let mut certificate = self.read(&self.certificate, may_make)?;
        let key = self.read(&self.key, may_make)?;
        if let Some(path) = &self.authorities {
            certificate.push(b'\n');
            certificate.extend(self.read(path, false)?);
        }
        let credential = Credential::from_pem(&certificate, &key).map_err(|error| {
            let path = match error {
                CredentialError::NoKey | CredentialError::Key | CredentialError::Mismatch => {
                    &self.key
                }
                CredentialError::NoCertificate
                | CredentialError::Certificate
                | CredentialError::Version => &self.certificate,
            };
            TlsFault::Useless {
                path: path.clone(),
                error,
            }
        })?;
        warnings.extend(exposure("the key of the TLS certificate", &self.key));
        warnings.extend(self.out_of_days(credential.certificate(), now));
        Ok(Tls {
            credential,
            path: self.certificate.clone(),
            is_new,
        })
    }

    /// Makes what is missing, and says whether that was the certificate.
    ///
    /// A key without a certificate is completed only where it must be ours: a start may have ended between the two.
    fn make(&self, now: Duration) -> Result<bool, TlsFault> {
        // A link that leads nowhere is the operator's as well, and both in one file cannot be made.
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        let is_taken = self.key == self.certificate
            || is_there(&self.certificate)
            || (is_there(&self.key) && !(self.are_own && self.key.exists()));
        if is_taken {
            return Ok(false);
        }
        let fault = |path: &Path| {
            let path = path.to_owned();
            |error| TlsFault::NotMade { path, error }
        };
        let key = match files::read(&self.key, FILE_LIMIT) {
            Ok(Some((pem, _))) => pem,
            Ok(None) => {
                let pem = generate::key().map_err(fault(&self.key))?;
                if files::create_whole(&self.key, pem.as_bytes()).map_err(fault(&self.key))? {
                    pem.into_bytes()
                } else {
                    // Another start was faster.
                    self.read(&self.key, true)?
                }
            }
            Err(_) => self.read(&self.key, true)?,
        };
        let pem = generate::certificate(&key, now).map_err(fault(&self.certificate))?;
        files::create_whole(&self.certificate, pem.as_bytes()).map_err(fault(&self.certificate))
    }

    fn read(&self, path: &Path, may_make: bool) -> Result<Vec<u8>, TlsFault> {
        let path = path.to_owned();
        match files::read(&path, FILE_LIMIT) {
            Ok(Some((bytes, _))) => Ok(bytes),
            Ok(None) => Err(TlsFault::Missing { path, may_make }),
            Err(ReadFault::Unreadable(error)) => Err(TlsFault::Unreadable { path, error }),
            Err(ReadFault::NotAFile) => {
                let error = io::Error::other("not a regular file");
                Err(TlsFault::Unreadable { path, error })
            }
            Err(ReadFault::TooLarge) => {
                let error = io::Error::other(format!("larger than {FILE_LIMIT} bytes"));
                Err(TlsFault::Unreadable { path, error })
            }
        }
    }

    fn out_of_days(&self, certificate: &[u8], now: Duration) -> Option<String> {
        let certificate = Certificate::from_der(certificate).ok()?;
        let days = certificate.tbs_certificate.validity;
        let path = self.certificate.display();
        if now > days.not_after.to_unix_duration() {
            Some(format!(
                "the TLS certificate {path} ended on {}; only clients that pin it connect, so renew it",
                days.not_after
            ))
        } else if now < days.not_before.to_unix_duration() {
            Some(format!(
                "the TLS certificate {path} begins on {}; only clients that pin it connect until then",
                days.not_before
            ))
        } else {
            None
        }
    }
}

/// Why a gateway cannot speak TLS.
#[derive(Debug)]
pub enum TlsFault {
    /// A path cannot be worked out.
    Path(PathFault),
    /// A file is not there.
    Missing {
        /// The file.
        path: PathBuf,
        /// Whether both would have been made, had the other one not been there.
        may_make: bool,
    },
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What is in a file is of no use.
    Useless {
        /// The file.
        path: PathBuf,
        /// Why.
        error: CredentialError,
    },
    /// A certificate or key cannot be made.
    NotMade {
        /// The file that it would be in.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gateway tls: ")?;
        match self {
            Self::Path(fault) => fault.fmt(f),
            Self::Missing {
                path,
                may_make: true,
            } => write!(
                f,
                "cert/key missing: there is no {}; put it there, or move the other one away and both are made",
                path.display()
            ),
            Self::Missing {
                path,
                may_make: false,
            } => write!(f, "cert/key missing: there is no {}", path.display()),
            Self::Unreadable { path, error } => {
                write!(f, "{} cannot be read: {error}", path.display())
            }
            Self::Useless { path, error } => {
                write!(f, "{} cannot be used: {error}", path.display())
            }
            Self::NotMade { path, error } => {
                write!(f, "{} cannot be made: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for TlsFault {}
