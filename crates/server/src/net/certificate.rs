//! The certificate of a listener: read at the start, again when its files change, and at SIGHUP. A pair that can't be used
//! leaves the one in use in place. That of the public listener may come by ACME instead.

use crate::clock::SystemClock;
use crate::config::TlsFiles;
use parking_lot::{Mutex, RwLock};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::{Clock as _, MICROS_PER_SECOND, Timestamp};
use tokio_rustls::TlsAcceptor;

/// From so many seconds before its end a certificate is warned of: time for a person to renew it.
const ENDS_SOON: i64 = 14 * 86_400;

/// The certificate in use, shared by all listeners of one address.
pub(crate) struct Tls {
    source: Source,
    pair: RwLock<Pair>,
}

/// Where the certificate comes from.
enum Source {
    Files(TlsFiles, Box<Mutex<Watched>>),
    /// By ACME, for these domains.
    Ordered(Vec<String>),
}

/// What identifies the content of certificate, key and authorities, without reading them: of each file, behind all symbolic links, the
/// device, the inode, the size and the time of its last change. None for a file that is not there.
type Identity = [Option<(u64, u64, u64, i64, i64)>; 3];

/// How far the files are known.
#[derive(Clone, Copy)]
struct Watched {
    /// When they were last looked at.
    seen: Identity,
    /// When they were last read.
    read: Identity,
}

fn identity(files: &TlsFiles) -> Identity {
    let of = |path: &Path| {
        let about = std::fs::metadata(path).ok()?;
        Some((
            about.dev(),
            about.ino(),
            about.size(),
            about.ctime(),
            about.ctime_nsec(),
        ))
    };
    let authority = files.client_authority.as_deref();
    [
        of(&files.certificate),
        of(&files.key),
        authority.and_then(of),
    ]
}

/// A certificate with its key, ready for use.
#[derive(Clone)]
struct Pair {
    acceptor: TlsAcceptor,
    /// From when and till when it is valid, in seconds since 1970; none while none has been issued.
    valid: Option<(i64, i64)>,
}

impl Tls {
    /// Reads all files.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, String> {
        let identity = identity(&files);
        let pair = RwLock::new(read(&files)?);
        let watched = Box::new(Mutex::new(Watched {
            seen: identity,
            read: identity,
        }));
        Ok(Self {
            source: Source::Files(files, watched),
            pair,
        })
    }

    /// One that comes by ACME. Until a certificate is there, every handshake is refused.
    pub(super) fn ordered(domains: Vec<String>, by: Arc<dyn ResolvesServerCert>) -> Self {
        let acceptor = resolved(by);
        Self {
            source: Source::Ordered(domains),
            pair: RwLock::new(Pair {
                acceptor,
                valid: None,
            }),
        }
    }

    /// Takes the certificates of `by` from now on.
    pub(super) fn ordered_by(&self, by: Arc<dyn ResolvesServerCert>) {
        self.pair.write().acceptor = resolved(by);
    }

    /// Notes when the certificate of this PEM text is valid, which is in use.
    pub(super) fn note_valid(&self, pem: &[u8]) -> Result<(), String> {
        let first = CertificateDer::from_pem_slice(pem).map_err(|error| error.to_string())?;
        let valid = validity(&first).map_err(|error| error.to_string())?;
        self.pair.write().valid = Some(valid);
        Ok(())
    }

    /// Reads them again; connections under way keep what they have. None when there are no files.
    pub(crate) fn reload(&self) -> Option<Result<(), String>> {
        let Source::Files(files, watched) = &self.source else {
            return None;
        };
        let identity = identity(files);
        *watched.lock() = Watched {
            seen: identity,
            read: identity,
        };
        Some(read(files).map(|fresh| *self.pair.write() = fresh))
    }

    /// Reads them again if they have changed and are complete, as far as that shows: they are the same as at the last look.
    /// None when there was nothing to do; what can't be used is told once. `now` is in seconds since 1970.
    pub(crate) fn look(&self, now: i64) -> Option<Result<(), String>> {
        let Source::Files(files, watched) = &self.source else {
            return None;
        };
        let identity = identity(files);
        let mut watched = watched.lock();
        let still = std::mem::replace(&mut watched.seen, identity) == identity;
        if !still || watched.read == identity {
            return None;
        }
        watched.read = identity;
        drop(watched);
        Some(read(files).and_then(|fresh| {
            let till = fresh.valid.map_or(i64::MAX, |(_, till)| till);
            if now > till && self.valid_till().is_some_and(|till| now <= till) {
                let file = files.certificate.display();
                return Err(format!(
                    "the new certificate {file} expired at {}",
                    date(till)
                ));
            }
            *self.pair.write() = fresh;
            Ok(())
        }))
    }

    /// The same as [`Tls::valid_till`] for people.
    pub(crate) fn valid_till_iso(&self) -> Option<String> {
        self.valid_till().map(date)
    }

    /// The file of the certificate, or its domains.
    pub(crate) fn name(&self) -> String {
        match &self.source {
            Source::Files(files, _) => files.certificate.display().to_string(),
            Source::Ordered(domains) => domains.join(", "),
        }
    }

    /// What is to be done about a certificate that has ended, or will.
    fn renewal(&self) -> &'static str {
        match self.source {
            Source::Files(..) => "Renew it: the server takes the new file by itself",
            Source::Ordered(_) => {
                "The server orders a new one by ACME; the log says why that has failed so far"
            }
        }
    }

    /// From so many seconds before its end a certificate is warned of. One that comes by ACME is ordered again when a third of
    /// its time is left, so that a short one is not warned of from its first day.
    fn soon(&self, (from, till): (i64, i64)) -> i64 {
        match self.source {
            Source::Files(..) => ENDS_SOON,
            Source::Ordered(_) => ENDS_SOON.min((till - from) / 4),
        }
    }

    /// That the certificate in use ends soon; none while it is valid for two weeks, or when it has ended.
    pub(crate) fn ends_soon(&self, now: i64) -> Option<String> {
        let valid = self.pair.read().valid?;
        let (_, till) = valid;
        (now <= till && till - now < self.soon(valid)).then(|| {
            format!(
                "the certificate {} ends at {}, in {} days. {}",
                self.name(),
                date(till),
                (till - now) / 86_400,
                self.renewal()
            )
        })
    }

    /// Till when the certificate in use is valid, in seconds since 1970; none while none has been issued.
    pub(crate) fn valid_till(&self) -> Option<i64> {
        self.pair.read().valid.map(|(_, till)| till)
    }

    /// How long more than a third of the certificate's time is left.
    pub(super) fn until_third(&self) -> Duration {
        let now = SystemClock.wall().unix_seconds();
        let left = self
            .pair
            .read()
            .valid
            .map(|(from, till)| till - (till - from) / 3 - now);
        Duration::from_secs(left.unwrap_or_default().try_into().unwrap_or_default())
    }

    /// Why callers will refuse the certificate in use at this time, in seconds since 1970; none if they will not.
    pub(crate) fn out_of_time(&self, now: i64) -> Option<String> {
        let (from, till) = self.pair.read().valid?;
        let file = self.name();
        if now > till {
            let till = date(till);
            return Some(format!(
                "the certificate {file} expired at {till}: callers refuse it. {}",
                self.renewal()
            ));
        }
        (now < from).then(|| {
            let from = date(from);
            format!("the certificate {file} is not valid before {from}: callers refuse it. Check it and the clock")
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.pair.read().acceptor.clone()
    }
}

/// From when and till when a certificate is valid, in seconds since 1970.
fn validity(certificate: &CertificateDer<'_>) -> Result<(i64, i64), impl std::fmt::Display> {
    x509_parser::parse_x509_certificate(certificate).map(|(_, parsed)| {
        let validity = parsed.validity();
        let (from, till) = (validity.not_before, validity.not_after);
        (from.timestamp(), till.timestamp())
    })
}

/// Answers with the certificates of `by`, the challenge of an ACME server among them.
fn resolved(by: Arc<dyn ResolvesServerCert>) -> TlsAcceptor {
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(by);
    config.alpn_protocols = protocols();
    config.alpn_protocols.push(super::acme::PROTOCOL.to_vec());
    TlsAcceptor::from(Arc::new(config))
}

fn protocols() -> Vec<Vec<u8>> {
    vec![
        b"h2".to_vec(),
        b"http/1.1".to_vec(),
        tokenward_core::attach::ALPN.to_vec(),
    ]
}

fn date(seconds: i64) -> String {
    Timestamp(seconds.saturating_mul(MICROS_PER_SECOND)).iso()
}

fn read(files: &TlsFiles) -> Result<Pair, String> {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            format!(
                "{certificate} can't be read as a certificate: {}",
                pem(&error)
            )
        })?;
    let Some(first) = certificates.first() else {
        let swapped = PrivateKeyDer::from_pem_file(&files.certificate).is_ok();
        let hint = if swapped {
            " It holds a private key: are the names of certificate and key swapped?"
        } else {
            " Name a file in PEM form, with a line -----BEGIN CERTIFICATE-----"
        };
        return Err(format!("{certificate} holds no certificate.{hint}"));
    };
    let valid = validity(first).map_err(|error| {
        format!("the first certificate in {certificate} can't be read: {error}")
    })?;
    let private = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => {
            let swapped = CertificateDer::from_pem_file(&files.key).is_ok();
            let hint = if swapped {
                " It holds a certificate: are the names of certificate and key swapped?"
            } else {
                " Name a file in PEM form, with a line -----BEGIN PRIVATE KEY-----; an encrypted key is not accepted"
            };
            format!("{key} holds no private key.{hint}")
        }
        error => format!("{key} can't be read as a private key: {}", pem(&error)),
    })?;
    let verifier = files.client_authority.as_deref().map(authorities);
    let verifier = verifier
        .transpose()?
        .unwrap_or_else(WebPkiClientVerifier::no_client_auth);
    let mut config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, private)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "the key {key} does not belong to the certificate {certificate}. Name the key the certificate was issued for"
            ),
            error => format!("{certificate} and {key} can't be used: {error}"),
        })?;
    if files.client_authority.is_some() {
        // A resumed session would not verify the client's certificate again, and accept one that has expired.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = protocols();
    Ok(Pair {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        valid: Some(valid),
    })
}

/// Verifies certificates of callers. A caller without one is accepted here: what it may ask is decided at each request.
fn authorities(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let file = path.display();
    let broken = |error: &dyn std::fmt::Display| {
        format!("internal_client_authority: {file} can't be read as certificates: {error}")
    };
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| broken(&pem(&error)))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| broken(&pem(&error)))?;
        roots.add(certificate).map_err(|error| broken(&error))?;
    }
    if roots.is_empty() {
        return Err(format!(
            "internal_client_authority: {file} holds no certificate. Name a file in PEM form with the authority of the \
             callers' certificates"
        ));
    }
    let builder = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated();
    builder.build().map_err(|error| broken(&error))
}

/// The system's own words for a file that can't be opened.
pub(super) fn pem(error: &rustls_pki_types::pem::Error) -> String {
    match error {
        rustls_pki_types::pem::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// Writes a certificate that is valid from 2020 to the begin of `year`, and its key, into a folder.
#[cfg(test)]
pub(crate) fn certificate_for_tests(folder: &Path, year: i32) -> TlsFiles {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = parameters.self_signed(&key).unwrap();
    let files = TlsFiles {
        certificate: folder.join("tls.crt"),
        key: folder.join("tls.key"),
        client_authority: None,
    };
    std::fs::write(&files.certificate, made.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_certificate_is_warned_of_when_its_renewal_is_overdue() {
        let folder = tempfile::tempdir().unwrap();
        let files = certificate_for_tests(folder.path(), 2030);
        let nothing = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
        let tls = Tls::ordered(vec!["a.example".to_owned()], nothing);
        // Nothing ends while nothing is there.
        assert_eq!(tls.valid_till(), None);
        assert_eq!(tls.out_of_time(NOW), None);
        assert_eq!(tls.ends_soon(NOW), None);
        let mut parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2024, 7, 1);
        parameters.not_after = rcgen::date_time_ymd(2024, 7, 9);
        let made = parameters.self_signed(&rcgen::KeyPair::generate().unwrap());
        tls.note_valid(made.unwrap().pem().as_bytes()).unwrap();
        let till = tls.valid_till().unwrap();
        assert_eq!(tls.ends_soon(till - 2 * 86_400), None);
        let soon = tls.ends_soon(till - 2 * 86_400 + 1).unwrap();
        assert!(
            soon.contains("a.example") && soon.contains("ACME"),
            "{soon}"
        );
        let ended = tls.out_of_time(till + 1).unwrap();
        assert!(
            ended.contains("a.example") && ended.contains("ACME"),
            "{ended}"
        );
        // One in files is warned of for two weeks, and files are read.
        assert!(tls.reload().is_none() && tls.look(NOW).is_none());
        assert_eq!(Tls::open(files).unwrap().reload(), Some(Ok(())));
    }

    /// A day in 2024.
    const NOW: i64 = 1_720_000_000;

    fn year(tls: &Tls) -> String {
        tls.valid_till_iso().unwrap()[..4].to_owned()
    }

    #[test]
    fn changed_pair_is_read_when_it_is_still_and_a_broken_one_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = certificate_for_tests(folder.path(), 2030);
        let tls = Tls::open(files.clone()).unwrap();
        assert_eq!(tls.look(NOW), None);
        certificate_for_tests(folder.path(), 2031);
        // It may not be whole yet.
        assert_eq!(tls.look(NOW), None);
        assert_eq!(year(&tls), "2030");
        assert_eq!(tls.look(NOW), Some(Ok(())));
        assert_eq!(year(&tls), "2031");
        assert_eq!(tls.look(NOW), None);

        // A key of another certificate, then none, then an expired pair.
        let other = tempfile::tempdir().unwrap();
        let other = certificate_for_tests(other.path(), 2032);
        let broken: [(&dyn Fn(), &str); 3] = [
            (
                &|| assert!(std::fs::copy(&other.key, &files.key).unwrap() > 0),
                "does not belong",
            ),
            (
                &|| std::fs::remove_file(&files.key).unwrap(),
                "No such file",
            ),
            (
                &|| drop(certificate_for_tests(folder.path(), 2023)),
                "expired at 2023-01-01",
            ),
        ];
        for (break_it, words) in broken {
            break_it();
            assert_eq!(tls.look(NOW), None);
            let told = tls.look(NOW).unwrap().unwrap_err();
            assert!(told.contains(words), "{told}");
            assert_eq!(tls.look(NOW), None);
            assert_eq!(year(&tls), "2031");
        }
        certificate_for_tests(folder.path(), 2033);
        assert_eq!(tls.look(NOW), None);
        assert_eq!(tls.look(NOW), Some(Ok(())));
        assert_eq!(year(&tls), "2033");
    }

    /// Kubernetes mounts a secret as links to a folder that is itself a link, and exchanges that.
    #[test]
    fn folder_that_a_link_leads_to_is_exchanged() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, year) in [("..one", 2030), ("..two", 2031)] {
            std::fs::create_dir(at(name)).unwrap();
            certificate_for_tests(&at(name), year);
        }
        symlink("..one", at("..data")).unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), at(name)).unwrap();
        }
        let files = TlsFiles {
            certificate: at("tls.crt"),
            key: at("tls.key"),
            client_authority: None,
        };
        let tls = Tls::open(files).unwrap();
        assert_eq!((tls.look(NOW), year(&tls).as_str()), (None, "2030"));
        symlink("..two", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(tls.look(NOW), None);
        assert_eq!(tls.look(NOW), Some(Ok(())));
        assert_eq!(year(&tls), "2031");
    }
}
