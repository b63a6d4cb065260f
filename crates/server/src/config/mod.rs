//! Configuration in two stages: as written (flags, environment, file) and as resolved. Flags win over
//! the environment, the environment over the file, the file over the defaults.

mod sso;
mod told;
mod written;

pub use sso::Sso;
pub(crate) use sso::is_private;
pub use written::{File, ServeArgs};

use crate::host::Host;
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

impl From<CheckTokenHeader> for tokenward_tower::presented::TokenHeader {
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
}

/// The internal listener as a unix socket.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct UnixSocket {
    /// Where its file is.
    pub path: PathBuf,
    /// The file's mode: whoever may write to it may ask.
    pub mode: u32,
}

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
    /// TLS of the internal listener.
    pub internal_tls: Option<TlsFiles>,
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
    /// Networks that webhooks may lead into though they are not public.
    pub webhook_allow_networks: Vec<IpNet>,
    /// Seconds from one look round for what is to be told to the next.
    pub notice_scan_seconds: u64,
}

impl Config {
    /// Resolves what was written.
    pub fn resolve(args: ServeArgs) -> Result<Self, ConfigError> {
        let file = match &args.config {
            Some(path) => File::read(path)?,
            None => File::default(),
        };
        let named = args.data_dir.or(file.data_dir);
        let data_dir_named = named.is_some();
        let data_dir = named.unwrap_or_else(|| PathBuf::from(crate::data_dir::DEFAULT));
        let hosts = match args.environment_host.is_empty() {
            true => file.environment_hosts.unwrap_or_default(),
            false => args
                .environment_host
                .iter()
                .map(|text| host_pair(text))
                .collect::<Result<_, _>>()?,
        };
        let environment_hosts = hosts
            .into_iter()
            .map(|(host, environment)| Ok((host_name(&host)?, environment_of(&environment)?)))
            .collect::<Result<_, ConfigError>>()?;
        let proxies = match args.trusted_proxy.is_empty() {
            true => file.trusted_proxies.unwrap_or_default(),
            false => args.trusted_proxy,
        };
        let trusted_proxies = networks("trusted_proxies", &proxies)?;
        let mail_url_file = args.mail_url_file.or(file.mail_url_file);
        let mail_url = secret("mail_url", args.mail_url, mail_url_file.clone())?;
        let mail_from = args.mail_from.or(file.mail_from);
        told::check_mail(mail_url.as_deref(), mail_from.as_deref())?;
        let mail_hello_name = args.mail_hello_name.or(file.mail_hello_name);
        told::check_hello_name(mail_hello_name.as_deref())?;
        let public_url = args.public_url.or(file.public_url);
        let public_url = public_url.map(|text| told::base_url(&text)).transpose()?;
        let hooks = match args.webhook_allow_network.is_empty() {
            true => file.webhook_allow_networks.unwrap_or_default(),
            false => args.webhook_allow_network,
        };
        let webhook_allow_networks = networks("webhook_allow_networks", &hooks)?;
        let quota_per_day = args
            .quota_per_day
            .or(file.quota_per_day)
            .unwrap_or(QUOTA_PER_DAY);
        if quota_per_day == 0 {
            return Err(ConfigError("quota_per_day must be at least 1".into()));
        }
        let log = log_filter(args.log.or(file.log))?;
        let error_source = error_source(args.error_source.or(file.error_source))?;
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let check_threads = args.check_threads.or(file.check_threads).unwrap_or(threads);
        if !(1..=1024).contains(&check_threads) {
            return Err(ConfigError("check_threads must be 1 to 1024".into()));
        }
        let per_source = args
            .public_connections_per_source
            .or(file.public_connections_per_source);
        if per_source == Some(0) {
            return Err(ConfigError(
                "public_connections_per_source must be at least 1".into(),
            ));
        }
        let secret_files = [
            args.database_url_file
                .as_ref()
                .or(file.database_url_file.as_ref()),
            mail_url_file.as_ref(),
            args.internal_auth_file
                .as_ref()
                .or(file.internal_auth_file.as_ref()),
            args.sso_client_secret_file
                .as_ref()
                .or(file.sso_client_secret_file.as_ref()),
        ];
        let secret_files = secret_files.into_iter().flatten().cloned().collect();
        Ok(Self {
            secret_files,
            public: args
                .public
                .or(file.public)
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            public_idle_seconds: args
                .public_idle_seconds
                .or(file.public_idle_seconds)
                .unwrap_or(PUBLIC_IDLE_SECONDS)
                .clamp(1, 3_600),
            public_connections_per_source: per_source,
            internal: args
                .internal
                .or(file.internal)
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8081))),
            internal_unix: unix_socket(
                args.internal_unix.or(file.internal_unix),
                args.internal_unix_mode.or(file.internal_unix_mode),
            )?,
            database_url: secret(
                "database_url",
                args.database_url,
                args.database_url_file.or(file.database_url_file),
            )?,
            environment_hosts,
            trusted_proxies,
            quota_per_day,
            secret_calls_per_second: args
                .secret_calls_per_second
                .or(file.secret_calls_per_second)
                .unwrap_or(SECRET_CALLS_PER_SECOND),
            error_source,
            public_tls: tls(
                "public",
                args.public_tls_certificate.or(file.public_tls_certificate),
                args.public_tls_key.or(file.public_tls_key),
            )?,
            internal_tls: tls(
                "internal",
                args.internal_tls_certificate
                    .or(file.internal_tls_certificate),
                args.internal_tls_key.or(file.internal_tls_key),
            )?,
            digest_keys: args
                .digest_keys
                .or(file.digest_keys)
                .unwrap_or_else(|| data_dir.join(crate::data_dir::DIGEST_KEYS)),
            internal_auth: secret(
                "internal_auth",
                None,
                args.internal_auth_file.or(file.internal_auth_file),
            )?,
            issuer: args.issuer.or(file.issuer),
            sso: sso::resolve(
                args.sso_issuer.or(file.sso_issuer),
                args.sso_client_id.or(file.sso_client_id),
                args.sso_client_secret_file.or(file.sso_client_secret_file),
                args.sso_name.or(file.sso_name),
                args.sso_assume_email_verified
                    .or(file.sso_assume_email_verified),
            )?,
            ratelimit_headers: args
                .ratelimit_headers
                .or(file.ratelimit_headers)
                .unwrap_or(true),
            log,
            log_format: args
                .log_format
                .or(file.log_format)
                .unwrap_or(LogFormat::Text),
            drain_seconds: args
                .drain_seconds
                .or(file.drain_seconds)
                .unwrap_or(10)
                .min(600),
            check_threads,
            mail_url,
            mail_from,
            public_url,
            check_token_header: args
                .check_token_header
                .or(file.check_token_header)
                .unwrap_or(CheckTokenHeader::Both),
            mail_hello_name,
            webhook_allow_networks,
            notice_scan_seconds: args
                .notice_scan_seconds
                .or(file.notice_scan_seconds)
                .unwrap_or(told::NOTICE_SCAN_SECONDS)
                .max(1),
            data_dir,
            data_dir_named,
            new_digest_keys: args.new_digest_keys,
        })
    }

    /// Returns what can be used as it is and is risky: a sentence each, with what to do.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let tls = [&self.public_tls, &self.internal_tls].into_iter().flatten();
        let mut private: Vec<&PathBuf> = tls.map(|files| &files.key).collect();
        private.push(&self.digest_keys);
        private.extend(&self.secret_files);
        let open = private
            .into_iter()
            .filter(|path| crate::data_dir::is_readable_by_all(path));
        let open = open.map(|path| {
            let path = path.display();
            format!("{path}: every user of this machine can read it. Make it private with chmod 600 {path}.")
        });
        let wide = self.trusted_proxies.iter().filter(|net| is_wide(net));
        let wide = wide.map(|net| {
            format!(
                "trusted_proxies: {net} is a whole network. Every host in it can choose the address it calls from, and so \
                 pass secret_networks, token_networks and the limits on guessing. Name the proxies only, such as \
                 10.0.0.4/32."
            )
        });
        open.chain(wide).collect()
    }

    /// The environment a request's host is mapped to, if it is.
    #[must_use]
    pub fn host_environment(&self, host: Option<&Host>) -> Option<Environment> {
        self.environment_hosts.get(host?.name()).copied()
    }
}

/// Whether a range of trusted proxies holds more than proxies, most likely. The loopback network is one machine.
fn is_wide(net: &IpNet) -> bool {
    let (longest, is_loopback) = match net {
        IpNet::V4(net) => (24, net.addr().is_loopback() && net.prefix_len() >= 8),
        IpNet::V6(_) => (120, false),
    };
    net.prefix_len() < longest && !is_loopback
}

fn log_filter(written: Option<String>) -> Result<String, ConfigError> {
    let log = written.unwrap_or_else(|| "info".into());
    match log.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(log),
        Err(_) => Err(ConfigError(format!(
            "log: {log:?} is no filter such as `info` or `tokenward_server=debug`"
        ))),
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
    let read = |text: &String| {
        restrictions::network(text).map_err(|why| ConfigError(format!("{key}: {why}")))
    };
    texts.iter().map(read).collect()
}

fn host_pair(text: &str) -> Result<(String, String), ConfigError> {
    let (environment, host) = text.split_once('=').ok_or_else(|| {
        ConfigError(format!(
            "{text:?} is not environment=host, such as sandbox=api-sandbox.example.com"
        ))
    })?;
    Ok((host.to_owned(), environment.to_owned()))
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
    Environment::parse(text)
        .ok_or_else(|| ConfigError(format!("{text:?} is no environment: sandbox or production")))
}

/// Longer than the 60 seconds for which proxies and load balancers usually keep a connection.
const PUBLIC_IDLE_SECONDS: u32 = 75;

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
                    "internal_unix_mode: {text:?} is no mode such as 660"
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
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        _ => Err(ConfigError(format!(
            "{what}_tls_certificate and {what}_tls_key go together"
        ))),
    }
}

fn secret(
    what: &str,
    given: Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<Zeroizing<String>>, ConfigError> {
    match (given, file) {
        (Some(given), _) => Ok(Some(Zeroizing::new(given))),
        (None, Some(path)) => {
            let text = crate::data_dir::read_private(&path)
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
