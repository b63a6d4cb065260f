//! A certificate authority for one test, and the files of a PostgreSQL cluster that speaks TLS only.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
};

use crate::postgres::{PgBuilder, PgCluster};

/// Who may connect to a cluster made by [`Authority::cluster`]: its own tools by the Unix socket, and a standby; all others
/// with TLS and SCRAM only, and the role `certified` with a certificate of the same authority.
const RULES: &str = "local all postgres trust
host replication postgres 127.0.0.1/32 trust
hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
hostssl all all 127.0.0.1/32 scram-sha-256
";

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Makes an authority of this name.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn new(name: &str) -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name = named(name);
        let key = KeyPair::generate().expect("a key");
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        Authority {
            issuer: Issuer::new(parameters, key),
            pem,
        }
    }

    /// Its own certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these hosts and URIs and its key, as PEM; valid from the begin of one year to that of another.
    /// Its common name is `issued in a test`; without other names that is its only one.
    ///
    /// # Panics
    /// When a name is none.
    #[must_use]
    pub fn issue(&self, names: &[&str], years: (i32, i32)) -> (String, String) {
        let (uris, hosts): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.contains("://"));
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        let mut parameters = CertificateParams::new(hosts).expect("names of hosts");
        for uri in uris {
            let uri = uri.try_into().expect("ASCII");
            parameters.subject_alt_names.push(SanType::URI(uri));
        }
        parameters.distinguished_name = named("issued in a test");
        parameters.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let issued = parameters.signed_by(&key, &self.issuer);
        (issued.expect("a certificate").pem(), key.serialize_pem())
    }

    /// A cluster with a certificate of this authority for `localhost`, whose database belongs to the role `app`; that role
    /// and `certified` have the password.
    ///
    /// # Panics
    /// As [`PgBuilder::start`].
    #[must_use]
    pub fn cluster(&self, password: &str) -> PgCluster {
        let (certificate, key) = self.issue(&["localhost"], (2020, 2099));
        let cluster = PgBuilder::default()
            .setting("fsync", "off")
            // Not a setting of the command line, so that a test may take it away.
            .file("postgresql.auto.conf", "ssl = on\nssl_ca_file = 'ca.pem'\n")
            .file("server.crt", &certificate)
            .file("server.key", &key)
            .file("ca.pem", &self.pem)
            .file("pg_hba.conf", RULES)
            .start();
        for role in ["app", "certified"] {
            let make = format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'");
            let _ = cluster.sql("postgres", &make);
        }
        let _ = cluster.sql("postgres", "ALTER DATABASE tokenward OWNER TO app");
        cluster
    }
}

/// A certificate that no authority has signed, and its key, in files.
#[derive(Debug)]
pub struct SelfSigned {
    /// The certificate, as PEM.
    pub pem: String,
    /// Its file.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
}

impl SelfSigned {
    /// Makes one for these hosts, in the place of any that is in the folder.
    ///
    /// # Panics
    /// When a name is none, or the folder can't be written.
    #[must_use]
    pub fn new(folder: &Path, hosts: &[&str]) -> SelfSigned {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(hosts).expect("names of hosts");
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let pem = made.cert.pem();
        std::fs::write(&certificate, &pem).expect("a writable folder");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a writable folder");
        SelfSigned {
            pem,
            certificate,
            key,
        }
    }

    /// The arguments by which a listener of the server, `public` or `internal`, uses it.
    #[must_use]
    pub fn arguments(&self, listener: &str) -> [String; 2] {
        [("certificate", &self.certificate), ("key", &self.key)]
            .map(|(what, file)| format!("--{listener}-tls-{what}={}", file.display()))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
