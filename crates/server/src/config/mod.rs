//! Configuration in two stages: as written (flags, environment, file) and as resolved. Flags win over
//! the environment, the environment over the file, the file over the defaults.

mod acme;
pub mod callers;
pub mod data_dir;
mod environment;
pub mod host;
mod log_filter;
mod notifications;
pub(crate) mod replica_marker;
mod risks;
pub mod s3;
mod sso;
mod written;

pub use acme::Acme;
pub use environment::{unknown_variables, without_empty_variables};
pub use sso::Sso;
pub(crate) use sso::is_private;
pub use written::{DatabaseTls, ServeArgs};

use crate::config::callers::Callers;
use crate::config::host::Host;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokenward_core::Environment;
use tokenward_core::generate::QUOTA_PER_DAY;
use tokenward_core::restrictions;
use zeroize::Zeroizing;

/// A configuration that can't be used; a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// How log lines look.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Which header the check reads the access token from.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum CheckTokenHeader {
    /// Either; two tokens that differ are refused.
    Both,
    /// `x-cleartax-auth-token`: `Authorization` is somebody else's.
    XCleartaxAuthToken,
    /// A bearer in `Authorization`.
    Authorization,
}

impl From<CheckTokenHeader> for tokenward_core::token_header::TokenHeader {
    fn from(header: CheckTokenHeader) -> Self {
        match header {
            CheckTokenHeader::Both => Self::Both,
            CheckTokenHeader::XCleartaxAuthToken => Self::Own,
            CheckTokenHeader::Authorization => Self::Authorization,
        }
    }
}

/// Certificate and key of a listener.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TlsFiles {
    /// PEM, the server's certificate first.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
    /// PEM: the authorities that callers' certificates must come from; none: no caller is asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_authority: Option<PathBuf>,
}

/// The internal listener as a unix socket.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct UnixSocket {
    /// Where its file is.
    pub path: PathBuf,
    /// The file's mode: whoever may write to it may ask.
    pub mode: u32,
}

/// Longest name of a node, in bytes.
const NODE_NAME_MAX: usize = 64;
/// Calls one client secret may make a second unless configured otherwise: far beyond what workers that share a token
/// need, and little beside what the server bears.
const SECRET_CALLS_PER_SECOND: u32 = 100;

/// Everything the server needs, resolved.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Config {
    /// Where the server keeps its files.
    pub data_dir: PathBuf,
    /// Whether that folder was named, by a flag, the environment or the file.
    #[serde(skip)]
    pub data_dir_named: bool,
    /// Whether digest keys that are not the store's take over, which ends everything made with the store's.
    #[serde(skip)]
    pub new_digest_keys: bool,
    /// The listener for callers on the internet.
    pub public: SocketAddr,
    /// Seconds a public connection may stay open between requests.
    pub public_idle_seconds: u32,
    /// Public connections from one source address; none: a quarter of all.
    pub public_connections_per_source: Option<u32>,
    /// The listener for gateways and monitoring.
    pub internal: SocketAddr,
    /// The same for processes of this machine.
    pub internal_unix: Option<UnixSocket>,
    /// PostgreSQL instead of SQLite; never shown.
    #[serde(skip)]
    pub database_url: Option<Zeroizing<String>>,
    /// Hosts that serve one environment only.
    pub environment_hosts: BTreeMap<String, Environment>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Tokens per secret per UTC day.
    pub quota_per_day: u32,
    /// Calls one client secret may make a second; 0: no limit.
    pub secret_calls_per_second: u32,
    /// `error_source` in error bodies.
    pub error_source: String,
    /// TLS of the public listener.
    pub public_tls: Option<TlsFiles>,
    /// Certificates of the public listener by ACME, instead of files.
    pub acme: Option<Acme>,
    /// TLS of the internal listener.
    pub internal_tls: Option<TlsFiles>,
    /// What each name in a client certificate may ask of the internal listener.
    pub internal_callers: Callers,
    /// The file with the digest keys.
    pub digest_keys: PathBuf,
    /// A bearer token that introspection on the internal listener demands; never shown.
    #[serde(skip)]
    pub internal_auth: Option<Zeroizing<String>>,
    /// The files that secrets were read from.
    #[serde(skip)]
    pub secret_files: Vec<PathBuf>,
    /// The issuer's address in OAuth metadata; none: as the caller called it.
    pub issuer: Option<String>,
    /// Single sign-on to the console.
    pub sso: Option<Sso>,
    /// Whether answers carry the draft `RateLimit` headers.
    pub ratelimit_headers: bool,
    /// Which log lines are kept.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where traces are sent; none: where the variable of OpenTelemetry says.
    pub otlp_endpoint: Option<String>,
    /// That variable, which is for all programs of the machine; not judged, so never shown.
    #[serde(skip)]
    pub otlp_environment: Option<String>,
    /// The part of the traces that begin here which is recorded, from 0 to 1.
    pub otlp_sample_ratio: f64,
    /// Seconds a stopping server waits for requests under way.
    pub drain_seconds: u64,
    /// Threads that answer checks.
    pub check_threads: usize,
    /// The mail server; never shown: it holds a password.
    #[serde(skip)]
    pub mail_url: Option<Zeroizing<String>>,
    /// Whom letters are from.
    pub mail_from: Option<String>,
    /// The address people reach this server at, without a slash at the end, for links.
    pub public_url: Option<String>,
    /// Which header the check reads the access token from.
    pub check_token_header: CheckTokenHeader,
    /// The name this server gives itself to the mail server; none: the host name.
    pub mail_hello_name: Option<String>,
    /// What this node is called among the nodes of its database; none: the host name.
    pub node_name: Option<String>,
    /// Networks that webhooks may lead into though they are not public.
    pub webhook_allow_networks: Vec<IpNet>,
    /// Seconds from one look round for what is to be told to the next.
    pub notice_scan_seconds: u64,
    /// Public keys for which `tokenward backup` encrypts.
    pub backup_recipients: Vec<String>,
    /// The S3 service of `tokenward backup`.
    pub backup_s3: s3::S3Settings,
}

impl Config {
    /// The settings that should be the same on all nodes of a database, none of them secret: what a caller meets must not
    /// depend on the node.
    #[must_use]
    pub fn shared_settings(&self) -> BTreeMap<String, String> {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let list = |networks: &[IpNet]| {
            let mut texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
            texts.sort();
            texts.join(", ")
        };
        let hosts = self.environment_hosts.iter();
        let hosts: Vec<String> = hosts
            .map(|(host, environment)| format!("{host}={environment}"))
            .collect();
        let sso = self.sso.as_ref().map(|sso| sso.issuer.clone());
        let authority = self.internal_tls.as_ref();
        let authority = authority.is_some_and(|tls| tls.client_authority.is_some());
        let callers = self.internal_callers.iter();
        let callers: Vec<String> = callers
            .flat_map(|(name, grants)| grants.iter().map(move |grant| format!("{name}={grant}")))
            .collect();
        let configured = |yes: bool| if yes { "configured" } else { "" }.to_owned();
        [
            (
                "check_token_header",
                format!("{:?}", self.check_token_header),
            ),
            ("environment_hosts", hosts.join(", ")),
            ("error_source", self.error_source.clone()),
            ("internal_auth", configured(self.internal_auth.is_some())),
            ("internal_callers", callers.join(", ")),
            ("internal_client_authority", configured(authority)),
            ("issuer", optional(&self.issuer)),
            ("mail_from", optional(&self.mail_from)),
            ("mail_url", configured(self.mail_url.is_some())),
            ("public_url", optional(&self.public_url)),
            ("quota_per_day", self.quota_per_day.to_string()),
            ("ratelimit_headers", self.ratelimit_headers.to_string()),
            (
                "secret_calls_per_second",
                self.secret_calls_per_second.to_string(),
            ),
            ("sso_issuer", sso.unwrap_or_default()),
            ("trusted_proxies", list(&self.trusted_proxies)),
            ("webhook_allow_networks", list(&self.webhook_allow_networks)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Whether the public listener speaks TLS.
    #[must_use]
    pub fn public_has_tls(&self) -> bool {
        self.public_tls.is_some() || self.acme.is_some()
    }

    /// Resolves what was written.
    pub fn resolve(args: ServeArgs) -> Result<Self, ConfigError> {
        let args = match &args.config {
            Some(path) => ServeArgs::read(path).map(|file| args.or(file))?,
            None => args,
        };
        let backup_s3 = args.backup_s3();
        let data_dir_named = args.data_dir.is_some();
        let data_dir = args
            .data_dir
            .unwrap_or_else(|| PathBuf::from(crate::config::data_dir::DEFAULT));
        let environment_hosts = hosts(&args.environment_host, args.environment_hosts)?;
        let trusted_proxies = networks("trusted_proxies", &args.trusted_proxy)?;
        let secret_files = [
            &args.database_url_file,
            &args.mail_url_file,
            &args.internal_auth_file,
            &args.sso_client_secret_file,
        ];
        let secret_files = secret_files.into_iter().flatten().cloned().collect();
        let mail_url = secret("mail_url", args.mail_url, args.mail_url_file)?;
        notifications::check_hello_name(args.mail_hello_name.as_deref())?;
        let public_url = args.public_url.as_deref();
        let public_url = public_url.map(notifications::base_url).transpose()?;
        let hooks = &args.webhook_allow_network;
        let webhook_allow_networks = networks("webhook_allow_networks", hooks)?;
        let quota_per_day = args.quota_per_day.unwrap_or(QUOTA_PER_DAY);
        if quota_per_day == 0 {
            return Err(ConfigError("quota_per_day must be at least 1".into()));
        }
        let log = log_filter(args.log)?;
        if let Some(endpoint) = &args.otlp_endpoint {
            notifications::url("otlp_endpoint", endpoint, COLLECTOR)?;
        }
        let otlp_sample_ratio = args.otlp_sample_ratio.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&otlp_sample_ratio) {
            return Err(ConfigError("otlp_sample_ratio must be 0 to 1".into()));
        }
        let error_source = error_source(args.error_source)?;
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let check_threads = args.check_threads.unwrap_or(threads);
        if !(1..=1024).contains(&check_threads) {
            return Err(ConfigError("check_threads must be 1 to 1024".into()));
        }
        if args.public_connections_per_source == Some(0) {
            return Err(ConfigError(
                "public_connections_per_source must be at least 1".into(),
            ));
        }
        let idle = args.public_idle_seconds;
        let idle = idle.unwrap_or(PUBLIC_IDLE_SECONDS).into();
        let idle = within("public_idle_seconds", idle, 1..=PUBLIC_IDLE_SECONDS_MAX)?;
        let public_idle_seconds = u32::try_from(idle).unwrap_or(PUBLIC_IDLE_SECONDS);
        let drain_seconds = args.drain_seconds.unwrap_or(10);
        let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let public = args.public.unwrap_or(here(8080));
        let internal = args.internal.unwrap_or(here(8081));
        different_addresses(public, internal)?;
        if let Some(issuer) = &args.issuer {
            notifications::url("issuer", issuer, "https://auth.example.com")?;
        }
        let public_tls = tls("public", args.public_tls_certificate, args.public_tls_key)?;
        let acme = acme::Written {
            domains: args.acme_domain,
            contact: args.acme_contact,
            directory: args.acme_directory,
            authority: args.acme_authority,
            accept_terms: args.acme_accept_terms,
        };
        let acme = acme::resolve(acme, public_tls.is_some())?;
        let internal_callers = callers::callers(&args.internal_caller, args.internal_callers)?;
        let database_url = secret("database_url", args.database_url, args.database_url_file)?;
        let internal_tls = tls(
            "internal",
            args.internal_tls_certificate,
            args.internal_tls_key,
        )?;
        Ok(Self {
            public,
            internal,
            public_idle_seconds,
            public_connections_per_source: args.public_connections_per_source,
            internal_unix: unix_socket(args.internal_unix, args.internal_unix_mode)?,
            database_url: args.database_tls.complete(database_url)?,
            environment_hosts,
            trusted_proxies,
            quota_per_day,
            secret_calls_per_second: args
                .secret_calls_per_second
                .unwrap_or(SECRET_CALLS_PER_SECOND),
            error_source,
            public_tls,
            acme,
            internal_tls: callers::complete(
                internal_tls,
                args.internal_client_authority,
                &internal_callers,
            )?,
            internal_callers,
            digest_keys: args
                .digest_keys
                .unwrap_or_else(|| data_dir.join(crate::config::data_dir::DIGEST_KEYS)),
            internal_auth: secret("internal_auth", None, args.internal_auth_file)?,
            issuer: args.issuer,
            sso: sso::resolve(
                args.sso_issuer,
                args.sso_client_id,
                args.sso_client_secret_file,
                args.sso_name,
                args.sso_assume_email_verified,
            )?,
            ratelimit_headers: args.ratelimit_headers.unwrap_or(true),
            log,
            log_format: args.log_format.unwrap_or(LogFormat::Text),
            otlp_endpoint: args.otlp_endpoint,
            otlp_environment: environment::opentelemetry_endpoint(),
            otlp_sample_ratio,
            drain_seconds: within("drain_seconds", drain_seconds, 0..=DRAIN_SECONDS_MAX)?,
            check_threads,
            mail_url,
            mail_from: args.mail_from,
            public_url,
            check_token_header: args.check_token_header.unwrap_or(CheckTokenHeader::Both),
            mail_hello_name: args.mail_hello_name,
            node_name: node_name(args.node_name)?,
            webhook_allow_networks,
            backup_recipients: args.backup_recipients,
            backup_s3,
            notice_scan_seconds: within(
                "notice_scan_seconds",
                args.notice_scan_seconds
                    .unwrap_or(notifications::NOTICE_SCAN_SECONDS),
                1..=NOTICE_SCAN_SECONDS_MAX,
            )?,
            data_dir,
            secret_files,
            data_dir_named,
            new_digest_keys: args.new_digest_keys,
        })
    }

    /// The address of the collector of traces, if there is one.
    ///
    /// # Errors
    /// When the variable of OpenTelemetry holds none.
    pub fn collector(&self) -> Result<Option<&str>, ConfigError> {
        let (endpoint, variable) = (&self.otlp_endpoint, &self.otlp_environment);
        if let (None, Some(text)) = (endpoint, variable) {
            notifications::url(environment::OPENTELEMETRY_ENDPOINT, text, COLLECTOR)?;
        }
        Ok(endpoint.as_deref().or(variable.as_deref()))
    }

    /// The environment a request's host is mapped to, if it is.
    #[must_use]
    pub fn host_environment(&self, host: Option<&Host>) -> Option<Environment> {
        self.environment_hosts.get(host?.name()).copied()
    }
}

/// A collector on this machine, on the port that OTLP over HTTP has.
const COLLECTOR: &str = "http://127.0.0.1:4318";

/// A stop that waits longer is killed by every supervisor there is.
const DRAIN_SECONDS_MAX: u64 = 600;
/// A day: tokens that expire within one would not be told of before they end.
const NOTICE_SCAN_SECONDS_MAX: u64 = 86_400;

fn within(key: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> Result<u64, ConfigError> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(ConfigError(format!(
        "{key} must be {least} to {most} seconds"
    )))
}

/// Refuses two listeners that would take each other's port. Port 0 asks the system for a free one.
fn different_addresses(public: SocketAddr, internal: SocketAddr) -> Result<(), ConfigError> {
    let (one, other) = (public.ip(), internal.ip());
    let overlap = one == other || one.is_unspecified() || other.is_unspecified();
    if public.port() == internal.port() && public.port() != 0 && overlap {
        return Err(ConfigError(format!(
            "public ({public}) and internal ({internal}) listen on the same port. Give each a port of its own"
        )));
    }
    Ok(())
}

/// Whether a value says nothing: set empty, as Compose and Helm do for what is not set.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn log_filter(written: Option<String>) -> Result<String, ConfigError> {
    let log = written.unwrap_or_else(|| "info".into());
    log_filter::check(&log).map_err(|why| ConfigError(format!("log: {why}")))?;
    Ok(log)
}

/// The name of a node: a word of a log line, and a cell of a table.
fn node_name(name: Option<String>) -> Result<Option<String>, ConfigError> {
    let visible = |name: &String| {
        (1..=NODE_NAME_MAX).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic())
    };
    match name {
        Some(name) if !visible(&name) => Err(ConfigError(format!(
            "node_name: {name:?} isn't 1 to {NODE_NAME_MAX} visible ASCII characters without spaces"
        ))),
        name => Ok(name),
    }
}

fn error_source(written: Option<String>) -> Result<String, ConfigError> {
    let source = written.unwrap_or_else(|| "CLEAR".into());
    if source.is_empty() || source.len() > 64 || source.chars().any(char::is_control) {
        return Err(ConfigError(
            "error_source must be 1 to 64 characters".into(),
        ));
    }
    Ok(source)
}

fn networks(key: &str, texts: &[String]) -> Result<Vec<IpNet>, ConfigError> {
    let texts = texts.iter().filter(|text| !is_blank(text));
    let read = |text: &String| {
        restrictions::network(text.trim()).map_err(|why| ConfigError(format!("{key}: {why}")))
    };
    texts.map(read).collect()
}

/// The hosts that serve one environment only: those of the flags, else those of the file.
fn hosts(
    flags: &[String],
    file: Option<BTreeMap<String, String>>,
) -> Result<BTreeMap<String, Environment>, ConfigError> {
    let pairs: Vec<(String, String)> = match flags.is_empty() {
        true => file.unwrap_or_default().into_iter().collect(),
        false => {
            let flags = flags.iter().filter(|text| !is_blank(text));
            flags
                .map(|text| host_pair(text))
                .collect::<Result<_, _>>()?
        }
    };
    pairs.into_iter().map(host_and_environment).collect()
}

fn host_pair(text: &str) -> Result<(String, String), ConfigError> {
    let (environment, host) = text.trim().split_once('=').ok_or_else(|| {
        ConfigError(format!(
            "{text:?} is not environment=host, such as sandbox=api-sandbox.example.com"
        ))
    })?;
    Ok((host.trim().to_owned(), environment.trim().to_owned()))
}

/// A host and its environment, whichever stands first: a flag has `sandbox=HOST`, the file `HOST = "sandbox"`.
fn host_and_environment(
    (host, environment): (String, String),
) -> Result<(String, Environment), ConfigError> {
    let (host, environment) = match (Environment::parse(&host), Environment::parse(&environment)) {
        (Some(_), None) => (environment, host),
        _ => (host, environment),
    };
    Ok((host_name(&host)?, environment_of(&environment)?))
}

fn host_name(text: &str) -> Result<String, ConfigError> {
    let host = Host::parse(text).filter(|host| !host.has_port());
    host.map(|host| host.name().to_owned()).ok_or_else(|| {
        ConfigError(format!(
            "environment_hosts: {text:?} isn't a valid host name; give a name or an address without a port"
        ))
    })
}

fn environment_of(text: &str) -> Result<Environment, ConfigError> {
    Environment::parse(text).ok_or_else(|| {
        ConfigError(format!(
            "{text:?} isn't a valid environment. Use sandbox or production"
        ))
    })
}

/// Longer than the 60 seconds for which proxies and load balancers usually keep a connection.
const PUBLIC_IDLE_SECONDS: u32 = 75;
/// An hour: longer ones only hold descriptors.
const PUBLIC_IDLE_SECONDS_MAX: u64 = 3_600;

/// Owner and group, as for most sockets of a daemon: a gateway joins the group.
const UNIX_MODE: u32 = 0o660;

fn unix_socket(
    path: Option<PathBuf>,
    mode: Option<String>,
) -> Result<Option<UnixSocket>, ConfigError> {
    let mode = match &mode {
        None => UNIX_MODE,
        Some(text) => u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .ok_or_else(|| {
                ConfigError(format!(
                    "internal_unix_mode: {text:?} isn't a valid mode. Use octal digits, such as 660"
                ))
            })?,
    };
    Ok(path.map(|path| UnixSocket { path, mode }))
}

fn tls(
    what: &str,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsFiles>, ConfigError> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
            certificate,
            key,
            client_authority: None,
        })),
        _ => Err(ConfigError(format!(
            "{what}_tls_certificate and {what}_tls_key go together"
        ))),
    }
}

/// A secret given directly, or read from a file; blanks around it do not count.
///
/// # Errors
/// When the file can't be read or is empty.
pub(crate) fn secret(
    what: &str,
    given: Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<Zeroizing<String>>, ConfigError> {
    match (given, file) {
        (Some(given), _) => Ok(Some(Zeroizing::new(given.trim().to_owned()))),
        (None, Some(path)) => {
            let text = std::fs::File::open(&path)
                .and_then(crate::config::data_dir::read_secret)
                .map_err(|error| ConfigError(format!("{what}_file {}: {error}", path.display())))?;
            let text = Zeroizing::new(text.trim().to_owned());
            if text.is_empty() {
                return Err(ConfigError(format!(
                    "{what}_file {} is empty",
                    path.display()
                )));
            }
            Ok(Some(text))
        }
        (None, None) => Ok(None),
    }
}
