//! The certificate of the public listener by ACME (RFC 8555): ordered, proven with TLS-ALPN-01 (RFC 8737) on the listener itself,
//! kept in the data directory and renewed when a third of its time is left.

use super::Tls;
use crate::config::Acme;
use crate::config::data_dir;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls_acme::acme::{Auth, Order};
use rustls_acme::{
    AccountCache, AcmeConfig, AcmeState, CertCache, EventError, EventOk, OrderError,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::BuilderVerifierExt as _;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::hex;
use zeroize::Zeroizing;

/// The protocol of the challenge.
pub(super) const PROTOCOL: &[u8] = rustls_acme::acme::ACME_TLS_ALPN_NAME;

/// An order that takes longer than this, and [`ORDER_OF_DOMAIN`] for each domain, is given up: requests to the ACME server have no
/// timeout of their own.
const ORDER: Duration = Duration::from_secs(30 * 60);
/// The library waits some 30 seconds for each domain's validation.
const ORDER_OF_DOMAIN: Duration = Duration::from_secs(60);
/// The library doubles the pause after each failure, from one second, so many times.
const DOUBLINGS: u32 = 16;
/// Whether a renewal is due is looked at so often at least: the clock may have been set.
const REST: Duration = Duration::from_secs(86_400);
/// Longest reason in a log line, in characters.
const REASON_MAX: usize = 500;

/// Orders the certificate of one listener.
pub(crate) struct Orders {
    settings: Acme,
    client: Arc<ClientConfig>,
    kept: Kept,
    state: AcmeState<std::io::Error, std::io::Error>,
}

impl Orders {
    /// Reads the authorities of the ACME server; touches nothing in the data directory.
    ///
    /// # Errors
    /// When they can't be read; a sentence.
    pub(crate) fn new(settings: Acme, data_dir: &Path) -> Result<Self, String> {
        let client = Arc::new(client(settings.authority.as_deref())?);
        let nothing = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
        let kept = Kept {
            folder: data_dir.join(data_dir::ACME),
            tls: Arc::new(Tls::ordered(settings.domains.clone(), nothing)),
            last: Arc::default(),
        };
        let state = state(&settings, &client, &kept);
        Ok(Self {
            settings,
            client,
            kept,
            state,
        })
    }

    /// The certificate that is ordered.
    pub(crate) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.kept.tls)
    }

    /// Makes the folder, and takes the certificate of an earlier order into use.
    ///
    /// # Errors
    /// When the folder can't be used: without it every start would order a new certificate.
    pub(crate) async fn open(&mut self) -> Result<(), data_dir::DataDirError> {
        data_dir::private_folder(&self.kept.folder)?;
        let kept = certificate_file(
            &self.kept.folder,
            &self.settings.domains,
            &self.settings.directory,
        );
        if kept.symlink_metadata().is_ok() {
            // The first event is that of the certificate of an earlier order.
            let event = self.state.next().await;
            self.tell(event, 0);
        } else {
            tracing::info!(
                domains = self.kept.tls.name(),
                directory = self.settings.directory,
                "waiting for a certificate from the ACME server; until then TLS connections to the public listener are refused. \
                 Port 443 of each domain must lead to it"
            );
        }
        Ok(())
    }

    /// Orders and renews until dropped.
    pub(crate) async fn run(mut self) {
        let domains = u32::try_from(self.settings.domains.len()).unwrap_or(u32::MAX);
        let limit = ORDER + ORDER_OF_DOMAIN * domains;
        let (mut failures, mut rest) = (0, self.rest());
        loop {
            // The library rests, too, so it says nothing in this time.
            match tokio::time::timeout(rest + limit, self.state.next()).await {
                Ok(event) => {
                    let pause = self.tell(event, failures);
                    failures = if pause.is_some() {
                        failures + 1
                    } else {
                        failures
                    };
                    rest = pause.unwrap_or_else(|| self.rest());
                    if self.rest() > Duration::ZERO {
                        failures = 0;
                    }
                }
                Err(_) if self.rest() > Duration::ZERO => rest = self.rest(),
                Err(_) => {
                    tracing::warn!(
                        domains = self.kept.tls.name(),
                        directory = self.settings.directory,
                        "the ACME server has not answered within {} minutes; ordering anew",
                        limit.as_secs() / 60
                    );
                    self.state = state(&self.settings, &self.client, &self.kept);
                    (failures, rest) = (0, Duration::ZERO);
                }
            }
        }
    }

    /// How long the certificate in use is not ordered again, at most [`REST`].
    fn rest(&self) -> Duration {
        self.kept.tls.until_third().min(REST)
    }

    /// Logs an event. Returns after which pause an order that failed is tried again.
    fn tell(
        &self,
        event: Option<Result<EventOk, EventError<std::io::Error, std::io::Error>>>,
        failures: u32,
    ) -> Option<Duration> {
        let (domains, directory) = (self.kept.tls.name(), &self.settings.directory);
        match event? {
            Ok(EventOk::DeployedCachedCert) => {
                tracing::info!(
                    domains,
                    till = self.kept.tls.valid_till_iso(),
                    "certificate of an earlier order taken"
                );
            }
            Ok(EventOk::DeployedNewCert) => {
                tracing::info!(domains, %directory, "certificate issued by the ACME server");
            }
            Ok(EventOk::CertCacheStore) => {
                tracing::info!(
                    domains,
                    till = self.kept.tls.valid_till_iso(),
                    "certificate kept in the data directory"
                );
            }
            Ok(EventOk::AccountCacheStore) => {}
            Err(EventError::Order(error)) => {
                let pause = Duration::from_secs(1 << failures.min(DOUBLINGS));
                tracing::warn!(
                    domains,
                    %directory,
                    "no certificate from the ACME server: {}. The next attempt is in {} s",
                    reason(&error),
                    pause.as_secs()
                );
                return Some(pause);
            }
            Err(error) => tracing::warn!(domains, "{}", short(&error.to_string())),
        }
        None
    }
}

fn state(
    settings: &Acme,
    client: &Arc<ClientConfig>,
    kept: &Kept,
) -> AcmeState<std::io::Error, std::io::Error> {
    let state = AcmeConfig::new_with_client_config(&settings.domains, Arc::clone(client))
        .contact(&settings.contact)
        .directory(&settings.directory)
        .cache(kept.clone())
        .state();
    kept.tls.ordered_by(state.resolver());
    state
}

/// How the ACME server's own certificate is verified.
fn client(authority: Option<&Path>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder();
    let Some(path) = authority else {
        let builder = builder.with_platform_verifier().map_err(|error| {
            format!("the authorities that this system trusts can't be read: {error}")
        })?;
        return Ok(builder.with_no_client_auth());
    };
    let broken = |error: &dyn std::fmt::Display| {
        format!(
            "acme_authority: {} can't be read as certificates: {error}",
            path.display()
        )
    };
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| broken(&super::certificate::pem(&error)))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| broken(&super::certificate::pem(&error)))?;
        roots.add(certificate).map_err(|error| broken(&error))?;
    }
    if roots.is_empty() {
        return Err(format!(
            "acme_authority: {} holds no certificate. Name a file in PEM form with the authority of the ACME server's certificate",
            path.display()
        ));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What an ACME server says against an order, or what stood in its way.
fn reason(error: &OrderError) -> String {
    let text = match error {
        OrderError::BadAuth(auth) => refused(auth),
        OrderError::BadOrder(order) | OrderError::ProcessingTimeout(order) => unissued(order),
        error => {
            // The last one says what happened; those before it only where.
            let mut last: &dyn std::error::Error = error;
            while let Some(source) = last.source() {
                last = source;
            }
            last.to_string()
        }
    };
    short(&text)
}

fn refused(auth: &Auth) -> String {
    let rustls_acme::acme::Identifier::Dns(domain) = &auth.identifier;
    let details = auth.challenges.iter().filter_map(|challenge| {
        let problem = challenge.error.as_ref()?;
        problem.detail.clone().or_else(|| problem.typ.clone())
    });
    let details: Vec<String> = details.collect();
    format!("the validation of {domain} failed: {}", details.join("; "))
}

fn unissued(order: &Order) -> String {
    let detail = order
        .error
        .as_ref()
        .and_then(|problem| problem.detail.clone());
    format!(
        "the order is not fulfilled ({:?}): {}",
        order.status,
        detail.unwrap_or_else(|| "no reason is given".to_owned())
    )
}

/// Text of another server as part of a log line.
fn short(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(REASON_MAX).collect()
}

/// Account keys and certificates in the data directory, each file under a name of what it belongs to.
#[derive(Clone)]
struct Kept {
    folder: PathBuf,
    tls: Arc<Tls>,
    /// The certificate that serves, with its key: an order that begins anew takes it from here when its file could not be written.
    last: Arc<Mutex<Option<Zeroizing<Vec<u8>>>>>,
}

fn file(folder: &Path, what: &str, of: &[String], directory: &str, end: &str) -> PathBuf {
    let mut digest = Sha256::new();
    for text in of.iter().map(String::as_str).chain([directory]) {
        digest.update(text);
        digest.update([0]);
    }
    let name = hex::encode(&digest.finalize()[..8]);
    folder.join(format!("{what}-{}.{end}", *name))
}

fn certificate_file(folder: &Path, domains: &[String], directory: &str) -> PathBuf {
    file(folder, "certificate", domains, directory, "pem")
}

fn account_file(folder: &Path, contact: &[String], directory: &str) -> PathBuf {
    file(folder, "account", contact, directory, "der")
}

/// An error that names the file.
fn of_file(path: &Path, error: impl std::fmt::Display) -> std::io::Error {
    std::io::Error::other(format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let bytes = data_dir::read_own(path).map_err(|error| of_file(path, error))?;
    Ok(bytes.map(|bytes| bytes.to_vec()))
}

#[async_trait::async_trait]
impl CertCache for Kept {
    type EC = std::io::Error;

    async fn load_cert(
        &self,
        domains: &[String],
        directory: &str,
    ) -> std::io::Result<Option<Vec<u8>>> {
        let path = certificate_file(&self.folder, domains, directory);
        let Some(pem) = read(&path)? else {
            return Ok(self.last.lock().as_ref().map(|pem| pem.to_vec()));
        };
        self.tls
            .note_valid(&pem)
            .map_err(|error| of_file(&path, error))?;
        *self.last.lock() = Some(Zeroizing::new(pem.clone()));
        Ok(Some(pem))
    }

    async fn store_cert(
        &self,
        domains: &[String],
        directory: &str,
        pem: &[u8],
    ) -> std::io::Result<()> {
        let path = certificate_file(&self.folder, domains, directory);
        self.tls
            .note_valid(pem)
            .map_err(|error| of_file(&path, error))?;
        *self.last.lock() = Some(Zeroizing::new(pem.to_vec()));
        data_dir::replace(&path, pem).map_err(std::io::Error::other)
    }
}

#[async_trait::async_trait]
impl AccountCache for Kept {
    type EA = std::io::Error;

    async fn load_account(
        &self,
        contact: &[String],
        directory: &str,
    ) -> std::io::Result<Option<Vec<u8>>> {
        read(&account_file(&self.folder, contact, directory))
    }

    async fn store_account(
        &self,
        contact: &[String],
        directory: &str,
        key: &[u8],
    ) -> std::io::Result<()> {
        let path = account_file(&self.folder, contact, directory);
        data_dir::replace(&path, key).map_err(std::io::Error::other)
    }
}
