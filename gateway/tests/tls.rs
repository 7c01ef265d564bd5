//! A gateway's certificate: read, made, kept, and refused with what to do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use openclaw_gateway_service::config::Config;
use openclaw_gateway_service::environment::Environment;
use openclaw_gateway_service::startup::{Flags, Prepared, StartError, prepare};
use openclaw_runtime_smol::tls::Fingerprint;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use x509_cert::der::pem::{LineEnding, encode_string};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::{Certificate, Version};

/// A home with a configured gateway.
struct Home(tempfile::TempDir);

impl Home {
    fn new(tls: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.configure(tls);
        home
    }

    fn configure(&self, tls: &str) {
        let text = format!("{{gateway: {{mode: 'local', auth: {{token: 't'}}, tls: {tls}}}}}");
        fs::create_dir_all(self.path(".openclaw")).unwrap();
        fs::write(self.path(".openclaw/openclaw.json"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn own(&self, name: &str) -> PathBuf {
        self.path(".openclaw/gateway/tls").join(name)
    }

    fn start(&self) -> Result<Prepared, StartError> {
        prepare(&Flags::default(), &Environment::new(self.0.path()))
    }

    fn fingerprint(&self) -> Fingerprint {
        let prepared = self.start().unwrap();
        prepared.plan.tls.unwrap().credential.fingerprint()
    }

    /// The one line with which a start is refused, the home left out.
    fn refusal(&self) -> String {
        let error = self.start().unwrap_err();
        assert_eq!(error.exit_code(), 78);
        let text = error.to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        text.replace(&format!("{}", self.0.path().display()), "HOME")
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = self.start().unwrap().plan.warnings;
        let home = format!("{}", self.0.path().display());
        warnings
            .iter()
            .map(|line| line.replace(&home, "HOME"))
            .collect()
    }
}

fn write(path: &Path, label: &str, der: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, encode_string(label, LineEnding::LF, der).unwrap()).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Writes a certificate that ends with a year, and its key, where the gateway has its own.
fn put(home: &Home, last_year: i32) -> KeyPair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    write(
        &home.own("gateway-cert.pem"),
        "CERTIFICATE",
        certificate.der(),
    );
    write(
        &home.own("gateway-key.pem"),
        "PRIVATE KEY",
        key.serialized_der(),
    );
    key
}

const ON: &str = "{enabled: true}";

#[test]
fn the_section_is_off_unless_it_is_switched_on() {
    let parse = |tls: &str| Config::parse(&format!("{{gateway: {{tls: {tls}}}}}"), Path::new("c"));
    let tls = parse("{}").unwrap().gateway.tls;
    assert_eq!((tls.enabled, tls.auto_generate), (false, true));
    let tls = parse(
        "{enabled: true, autoGenerate: false, certPath: ' ~/c ', keyPath: 'k', caPath: 'a', minVersion: 1}",
    );
    let tls = tls.unwrap();
    assert_eq!(tls.unknown_keys(), ["gateway.tls.minVersion"]);
    let tls = tls.gateway.tls;
    assert_eq!((tls.enabled, tls.auto_generate), (true, false));
    let paths = [tls.cert_path, tls.key_path, tls.ca_path];
    assert_eq!(paths.map(|path| path.unwrap()), ["~/c", "k", "a"]);
    for wrong in [
        "{certPath: ' '}",
        "{keyPath: ''}",
        "{caPath: 1}",
        "{enabled: 'yes'}",
        "true",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    let home = Home::new("{certPath: '/nowhere'}");
    assert!(home.start().unwrap().plan.tls.is_none());
    assert!(!home.path(".openclaw/gateway").exists());
}

#[test]
fn the_remote_fingerprint_is_read_in_every_usual_spelling() {
    let parse = |text: &str| {
        let text = format!("{{gateway: {{remote: {{tlsFingerprint: {text}}}}}}}");
        Config::parse(&text, Path::new("c"))
    };
    let digits = "0F".repeat(32);
    let expected = digits.parse::<Fingerprint>().unwrap();
    for text in [
        format!("'{digits}'"),
        format!("'sha256:{}'", digits.to_lowercase()),
    ] {
        let config = parse(&text).unwrap();
        assert_eq!(config.gateway.remote.tls_fingerprint, Some(expected));
    }
    // Nothing is no fingerprint, least of all one that lets everybody in whom the system trusts.
    for wrong in ["''", "'  '", "'0f'"] {
        let error = parse(wrong).unwrap_err().to_string();
        assert!(
            error.contains("gateway.remote.tlsFingerprint: must be the SHA-256"),
            "{wrong}: {error}"
        );
    }
}

#[test]
fn where_there_is_no_certificate_one_is_made_and_kept() {
    let home = Home::new(ON);
    let first = home.start().unwrap().plan.tls.unwrap();
    assert!(first.is_new);
    assert_eq!(first.path, home.own("gateway-cert.pem"));
    let again = home.start().unwrap().plan.tls.unwrap();
    assert!(!again.is_new);
    assert_eq!(
        again.credential.fingerprint(),
        first.credential.fingerprint()
    );
    assert!(home.warnings().is_empty());

    let certificate = Certificate::from_der(first.credential.certificate()).unwrap();
    let certificate = certificate.tbs_certificate;
    assert_eq!(certificate.subject.to_string(), "CN=openclaw-gateway");
    let days = certificate.validity;
    let days = days.not_after.to_unix_duration() - days.not_before.to_unix_duration();
    assert_eq!(days.as_secs() / 86_400, 3_651);
    let kind = certificate.subject_public_key_info.algorithm.oid;
    assert_eq!(kind.to_string(), "1.2.840.10045.2.1");
    let names = first.credential.certificate();
    for name in [&b"localhost"[..], &[0x87, 4, 127, 0, 0, 1]] {
        assert!(names.windows(name.len()).any(|part| part == name));
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_what_was_made_and_a_key_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new(ON);
    home.start().unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (key, certificate) = (home.own("gateway-key.pem"), home.own("gateway-cert.pem"));
    assert_eq!((mode(key.clone()), mode(certificate)), (0o600, 0o600));
    assert_eq!(mode(home.own("")), 0o700);
    assert_eq!(fs::read_dir(home.own("")).unwrap().count(), 2);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = home.warnings();
    assert_eq!(
        warnings,
        [
            "the key of the TLS certificate HOME/.openclaw/gateway/tls/gateway-key.pem can be read by other users; run chmod 600 HOME/.openclaw/gateway/tls/gateway-key.pem"
        ]
    );
}

#[test]
fn a_start_that_ended_between_key_and_certificate_is_completed() {
    let home = Home::new(ON);
    let first = home.fingerprint();
    let key = fs::read(home.own("gateway-key.pem")).unwrap();
    fs::remove_file(home.own("gateway-cert.pem")).unwrap();
    assert_ne!(home.fingerprint(), first);
    assert_eq!(fs::read(home.own("gateway-key.pem")).unwrap(), key);
}

#[test]
fn what_only_the_operator_can_have_moved_is_left_alone() {
    let home = Home::new(ON);
    home.start().unwrap();
    fs::remove_file(home.own("gateway-key.pem")).unwrap();
    assert_eq!(
        home.refusal(),
        "gateway tls: cert/key missing: there is no HOME/.openclaw/gateway/tls/gateway-key.pem; put it there, or move the other one away and both are made"
    );
    assert!(!home.own("gateway-key.pem").exists());

    let home = Home::new("{enabled: true, certPath: '~/c.pem', keyPath: '~/k.pem'}");
    home.start().unwrap();
    fs::remove_file(home.path("c.pem")).unwrap();
    assert!(
        home.refusal()
            .starts_with("gateway tls: cert/key missing: there is no HOME/c.pem;")
    );
    assert!(!home.path("c.pem").exists());

    let home = Home::new("{enabled: true, autoGenerate: false}");
    assert_eq!(
        home.refusal(),
        "gateway tls: cert/key missing: there is no HOME/.openclaw/gateway/tls/gateway-cert.pem"
    );
    assert!(!home.path(".openclaw/gateway").exists());
}

#[test]
fn what_cannot_be_used_says_which_file_and_why() {
    let home = Home::new(ON);
    let (certificate, key) = (home.own("gateway-cert.pem"), home.own("gateway-key.pem"));
    put(&home, 4000);
    let good = home.fingerprint();
    let kept = fs::read(&certificate).unwrap();
    assert_eq!(Fingerprint::of_pem(&kept), Some(good));

    fs::write(&certificate, "hello").unwrap();
    assert_eq!(
        home.refusal(),
        "gateway tls: HOME/.openclaw/gateway/tls/gateway-cert.pem cannot be used: no certificate in PEM is in it"
    );
    fs::write(&certificate, vec![b'x'; 70_000]).unwrap();
    assert!(home.refusal().ends_with("larger than 65536 bytes"));
    fs::remove_file(&certificate).unwrap();
    fs::create_dir(&certificate).unwrap();
    assert!(home.refusal().ends_with("not a regular file"));
    fs::remove_dir(&certificate).unwrap();
    fs::write(&certificate, &kept).unwrap();

    let other = KeyPair::generate().unwrap();
    write(&key, "PRIVATE KEY", other.serialized_der());
    let refusal = home.refusal();
    assert!(
        refusal
            .ends_with("gateway-key.pem cannot be used: the private key is not the certificate's")
    );
    write(&key, "ENCRYPTED PRIVATE KEY", other.serialized_der());
    assert!(home.refusal().ends_with("or it has a passphrase"));
}

#[test]
fn a_certificate_out_of_its_days_is_served_with_a_warning() {
    let home = Home::new(ON);
    put(&home, 2021);
    assert_eq!(
        home.warnings(),
        [
            "the TLS certificate HOME/.openclaw/gateway/tls/gateway-cert.pem ended on 2021-01-01T00:00:00Z; only clients that pin it connect, so renew it"
        ]
    );
    put(&home, 4000);
    assert!(home.warnings().is_empty());
}

#[test]
fn further_certificates_have_to_be_there() {
    let home = Home::new("{enabled: true, caPath: '~/ca.pem'}");
    put(&home, 4000);
    assert_eq!(
        home.refusal(),
        "gateway tls: cert/key missing: there is no HOME/ca.pem"
    );
    fs::copy(home.own("gateway-cert.pem"), home.path("ca.pem")).unwrap();
    home.start().unwrap();
    home.configure("{enabled: true, certPath: '~somebody/c.pem'}");
    assert!(
        home.refusal()
            .starts_with("gateway tls: gateway.tls.certPath starts with")
    );
}

#[test]
fn a_certificate_of_an_older_x509_says_so() {
    let home = Home::new(ON);
    put(&home, 4000);
    let pem = fs::read(home.own("gateway-cert.pem")).unwrap();
    let (_, der) = x509_cert::der::pem::decode_vec(&pem).unwrap();
    let mut old = Certificate::from_der(&der).unwrap();
    old.tbs_certificate.extensions = None;
    for version in [Version::V1, Version::V2] {
        old.tbs_certificate.version = version;
        write(
            &home.own("gateway-cert.pem"),
            "CERTIFICATE",
            &old.to_der().unwrap(),
        );
        let refusal = home.refusal();
        assert!(
            refusal.contains(
                "gateway-cert.pem cannot be used: the certificate in it is of X.509 version 1 or 2"
            ),
            "{refusal}"
        );
    }
    write(
        &home.own("gateway-cert.pem"),
        "CERTIFICATE",
        &[0x30, 0x82, 0x30],
    );
    assert!(home.refusal().ends_with("cannot be read"));
}

#[test]
fn one_file_for_both_is_read_and_never_made() {
    let home = Home::new("{enabled: true, certPath: '~/both.pem', keyPath: '~/both.pem'}");
    assert!(
        home.refusal()
            .starts_with("gateway tls: cert/key missing: there is no HOME/both.pem")
    );
    assert!(!home.path("both.pem").exists());
    put(&home, 4000);
    let mut both = fs::read(home.own("gateway-cert.pem")).unwrap();
    both.extend(fs::read(home.own("gateway-key.pem")).unwrap());
    fs::write(home.path("both.pem"), both).unwrap();
    home.start().unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_leaves_no_key_behind() {
    for name in ["gateway-cert.pem", "gateway-key.pem"] {
        let home = Home::new(ON);
        fs::create_dir_all(home.own("")).unwrap();
        std::os::unix::fs::symlink(home.path("nowhere"), home.own(name)).unwrap();
        assert!(home.refusal().contains("cert/key missing: there is no"));
        assert_eq!(fs::read_dir(home.own("")).unwrap().count(), 1, "{name}");
        assert!(!home.path("nowhere").exists());
    }
}
