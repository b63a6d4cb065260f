//! Configuration as written: the flags with their environment variables, and the file. Unknown keys
//! are errors; secrets are named only by file, but for the database's and the mail server's URL, which many
//! platforms hand over in the environment.

use super::s3::{S3Addressing, S3Settings};
use super::{CheckTokenHeader, ConfigError, LogFormat};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// TLS to PostgreSQL, under the names that libpq has for it. The database URL may hold the same as parameters.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize, serde::Serialize)]
pub struct DatabaseTls {
    /// TLS to PostgreSQL: disable, require, verify-ca or verify-full [default: verify-full; for a Unix socket or a loopback
    /// address disable]
    #[arg(long, env = "TOKENWARD_DATABASE_SSLMODE", value_name = "MODE")]
    pub database_sslmode: Option<String>,
    /// Authorities that PostgreSQL's certificate may come from (PEM) [default: system, those that this system trusts]
    #[arg(long, env = "TOKENWARD_DATABASE_SSLROOTCERT", value_name = "FILE")]
    pub database_sslrootcert: Option<PathBuf>,
    /// Client certificate for PostgreSQL (PEM)
    #[arg(long, env = "TOKENWARD_DATABASE_SSLCERT", value_name = "FILE")]
    pub database_sslcert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, env = "TOKENWARD_DATABASE_SSLKEY", value_name = "FILE")]
    pub database_sslkey: Option<PathBuf>,
    /// Whether PostgreSQL's password is bound to the TLS connection: disable, prefer or require [default: prefer]
    #[arg(long, env = "TOKENWARD_DATABASE_CHANNEL_BINDING", value_name = "MODE")]
    pub database_channel_binding: Option<String>,
}

impl DatabaseTls {
    /// The same, completed by others.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            database_sslmode: self.database_sslmode.or(other.database_sslmode),
            database_sslrootcert: self.database_sslrootcert.or(other.database_sslrootcert),
            database_sslcert: self.database_sslcert.or(other.database_sslcert),
            database_sslkey: self.database_sslkey.or(other.database_sslkey),
            database_channel_binding: self
                .database_channel_binding
                .or(other.database_channel_binding),
        }
    }

    /// Those that are given, by libpq's names.
    fn given(&self) -> Result<Vec<(&'static str, &str)>, ConfigError> {
        let texts = [
            ("sslmode", &self.database_sslmode),
            ("channel_binding", &self.database_channel_binding),
        ];
        let paths = [
            ("sslrootcert", &self.database_sslrootcert),
            ("sslcert", &self.database_sslcert),
            ("sslkey", &self.database_sslkey),
        ];
        let mut given = Vec::new();
        for (name, text) in texts {
            given.extend(text.as_deref().map(|text| (name, text)));
        }
        for (name, path) in paths {
            let Some(path) = path else { continue };
            let text = path.to_str();
            let text = text.ok_or_else(|| ConfigError(format!("database_{name} isn't UTF-8")))?;
            given.push((name, text));
        }
        Ok(given)
    }

    /// The database URL with these as its parameters.
    pub(crate) fn complete(
        &self,
        url: Option<Zeroizing<String>>,
    ) -> Result<Option<Zeroizing<String>>, ConfigError> {
        let given = self.given()?;
        match (url, given.first()) {
            (Some(url), _) => tokenward_store::url_with(&url, &given)
                .map(|url| Some(Zeroizing::new(url)))
                .map_err(|error| ConfigError(error.to_string())),
            (None, Some((name, _))) => Err(ConfigError(format!(
                "database_{name} is about PostgreSQL, and no database_url is given"
            ))),
            (None, None) => Ok(None),
        }
    }
}

/// The settings of `tokenward serve`: flags with their environment variables, or the keys of the configuration file. Each is
/// optional. A list may be named as its flag is in the file, too. `--new-digest-keys` is meant for one start, so it is no key.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize, serde::Serialize)]
#[serde(default)]
pub struct ServeArgs {
    /// Where the server keeps its files; created if missing [default: tokenward-data]
    #[arg(long, env = "TOKENWARD_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address for callers on the internet: token API, OAuth, admin API, console [default: 127.0.0.1:8080]
    #[arg(long, env = "TOKENWARD_PUBLIC", value_name = "ADDR", value_parser = listen_address)]
    #[serde(deserialize_with = "address")]
    pub public: Option<SocketAddr>,
    /// Address for gateways and monitoring: checks, introspection, metrics, health [default: 127.0.0.1:8081]
    #[arg(long, env = "TOKENWARD_INTERNAL", value_name = "ADDR", value_parser = listen_address)]
    #[serde(deserialize_with = "address")]
    pub internal: Option<SocketAddr>,
    /// Seconds a connection to the public listener may stay open between requests; longer than a proxy in front keeps
    /// its own, so that the proxy closes first [default: 75]
    #[arg(long, env = "TOKENWARD_PUBLIC_IDLE_SECONDS", value_name = "N")]
    pub public_idle_seconds: Option<u32>,
    /// Connections to the public listener from one source address, trusted proxies excepted [default: a quarter of all]
    #[arg(
        long,
        env = "TOKENWARD_PUBLIC_CONNECTIONS_PER_SOURCE",
        value_name = "N"
    )]
    pub public_connections_per_source: Option<u32>,
    /// The same as a unix socket at this path, for gateways on this machine
    #[arg(long, env = "TOKENWARD_INTERNAL_UNIX", value_name = "PATH")]
    pub internal_unix: Option<PathBuf>,
    /// Who may use that socket: its file's mode in octal [default: 660]
    #[arg(long, env = "TOKENWARD_INTERNAL_UNIX_MODE", value_name = "MODE")]
    pub internal_unix_mode: Option<String>,
    /// Use PostgreSQL instead of the built-in SQLite
    #[arg(
        long,
        env = "TOKENWARD_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    #[serde(skip)]
    pub database_url: Option<String>,
    /// Read the database URL from a file
    #[arg(long, env = "TOKENWARD_DATABASE_URL_FILE", value_name = "FILE")]
    pub database_url_file: Option<PathBuf>,
    #[command(flatten)]
    // Read by itself: an error in a flattened key would name neither the key nor the line.
    #[serde(skip)]
    /// TLS to that database.
    pub database_tls: DatabaseTls,
    /// Configuration file (TOML)
    #[arg(long, env = "TOKENWARD_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// A host that serves one environment only, such as sandbox=api-sandbox.example.com; repeatable
    #[arg(
        long,
        alias = "environment-hosts",
        env = "TOKENWARD_ENVIRONMENT_HOST",
        value_name = "ENV=HOST",
        value_delimiter = ','
    )]
    #[serde(skip)]
    pub environment_host: Vec<String>,
    /// The same in the file: hosts, each with its environment.
    #[arg(skip)]
    #[serde(alias = "environment_host")]
    pub environment_hosts: Option<BTreeMap<String, String>>,
    /// A proxy whose X-Forwarded-For is believed; repeatable
    #[arg(
        long,
        alias = "trusted-proxies",
        env = "TOKENWARD_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    #[serde(rename = "trusted_proxies", alias = "trusted_proxy")]
    pub trusted_proxy: Vec<String>,
    /// Tokens one secret may make in a UTC day [default: 288]
    #[arg(long, env = "TOKENWARD_QUOTA_PER_DAY", value_name = "N")]
    pub quota_per_day: Option<u32>,
    /// Calls one client secret may make a second, with bursts of ten seconds' worth; 0: no limit [default: 100]
    #[arg(long, env = "TOKENWARD_SECRET_CALLS_PER_SECOND", value_name = "N")]
    pub secret_calls_per_second: Option<u32>,
    /// What error bodies name as error_source [default: CLEAR]
    #[arg(long, env = "TOKENWARD_ERROR_SOURCE", value_name = "TEXT")]
    pub error_source: Option<String>,
    /// Certificate of the public listener (PEM); read again when it changes
    #[arg(long, env = "TOKENWARD_PUBLIC_TLS_CERTIFICATE", value_name = "FILE")]
    pub public_tls_certificate: Option<PathBuf>,
    /// Key of the public listener (PEM)
    #[arg(long, env = "TOKENWARD_PUBLIC_TLS_KEY", value_name = "FILE")]
    pub public_tls_key: Option<PathBuf>,
    /// A domain of the public listener's certificate, which the server then orders and renews itself by ACME. The domain's port
    /// 443 must lead to the public listener (challenge TLS-ALPN-01); repeatable
    #[arg(
        long,
        alias = "acme-domains",
        env = "TOKENWARD_ACME_DOMAIN",
        value_name = "DOMAIN",
        value_delimiter = ','
    )]
    #[serde(rename = "acme_domains", alias = "acme_domain")]
    pub acme_domain: Vec<String>,
    /// Email address that the ACME server may write to; repeatable
    #[arg(
        long,
        env = "TOKENWARD_ACME_CONTACT",
        value_name = "EMAIL",
        value_delimiter = ','
    )]
    pub acme_contact: Vec<String>,
    /// Directory URL of the ACME server [default: Let's Encrypt, `https://acme-v02.api.letsencrypt.org/directory`]
    #[arg(long, env = "TOKENWARD_ACME_DIRECTORY", value_name = "URL")]
    pub acme_directory: Option<String>,
    /// Authorities that the ACME server's own certificate may come from (PEM) [default: those that this system trusts]
    #[arg(long, env = "TOKENWARD_ACME_AUTHORITY", value_name = "FILE")]
    pub acme_authority: Option<PathBuf>,
    /// Accept the terms of service of the ACME server; required with acme-domain [default: false]
    #[arg(long, env = "TOKENWARD_ACME_ACCEPT_TERMS", value_name = "BOOL")]
    pub acme_accept_terms: Option<bool>,
    /// Certificate of the internal listener (PEM); read again when it changes
    #[arg(long, env = "TOKENWARD_INTERNAL_TLS_CERTIFICATE", value_name = "FILE")]
    pub internal_tls_certificate: Option<PathBuf>,
    /// Key of the internal listener (PEM)
    #[arg(long, env = "TOKENWARD_INTERNAL_TLS_KEY", value_name = "FILE")]
    pub internal_tls_key: Option<PathBuf>,
    /// Authorities that the certificates of the internal listener's callers must come from (PEM); read again when it
    /// changes. Each caller may do what internal-caller gives its certificate's name
    #[arg(long, env = "TOKENWARD_INTERNAL_CLIENT_AUTHORITY", value_name = "FILE")]
    pub internal_client_authority: Option<PathBuf>,
    /// What the holder of a certificate with this name may do: ENVIRONMENT/PRODUCT (* for all), introspect, metrics or
    /// replica, such as gateway.internal=production/gst; repeatable
    #[arg(
        long,
        alias = "internal-callers",
        env = "TOKENWARD_INTERNAL_CALLER",
        value_name = "NAME=GRANT",
        value_delimiter = ','
    )]
    #[serde(skip)]
    pub internal_caller: Vec<String>,
    /// The same in the file: names, each with what it is allowed.
    #[arg(skip)]
    #[serde(alias = "internal_caller")]
    pub internal_callers: Option<BTreeMap<String, Vec<String>>>,
    /// File with the digest keys [default: DATA_DIR/digest-keys]
    #[arg(long, env = "TOKENWARD_DIGEST_KEYS", value_name = "FILE")]
    pub digest_keys: Option<PathBuf>,
    /// Start with other digest keys than the database was written with, for keys that are lost. Ends all access tokens,
    /// client secrets, admin keys and console sessions, the signing secrets of webhooks, and authenticator apps
    #[arg(long)]
    #[serde(skip)]
    pub new_digest_keys: bool,
    /// File with a bearer token that introspection on the internal listener then demands
    #[arg(long, env = "TOKENWARD_INTERNAL_AUTH_FILE", value_name = "FILE")]
    pub internal_auth_file: Option<PathBuf>,
    /// The issuer in OAuth metadata, such as `https://auth.example.com` [default: as called]
    #[arg(long, env = "TOKENWARD_ISSUER", value_name = "URL")]
    pub issuer: Option<String>,
    /// Single sign-on to the console: the OpenID Connect provider's issuer
    #[arg(long, env = "TOKENWARD_SSO_ISSUER", value_name = "URL")]
    pub sso_issuer: Option<String>,
    /// The console's client id at that provider
    #[arg(long, env = "TOKENWARD_SSO_CLIENT_ID", value_name = "ID")]
    pub sso_client_id: Option<String>,
    /// File with the console's client secret at that provider
    #[arg(long, env = "TOKENWARD_SSO_CLIENT_SECRET_FILE", value_name = "FILE")]
    pub sso_client_secret_file: Option<PathBuf>,
    /// What the sign-in page calls that provider [default: single sign-on]
    #[arg(long, env = "TOKENWARD_SSO_NAME", value_name = "TEXT")]
    pub sso_name: Option<String>,
    /// Take the addresses of that provider's users as verified when it sends no `email_verified` claim, as Microsoft
    /// Entra ID does. Only for a provider that checks or assigns every address itself [default: false]
    #[arg(long, env = "TOKENWARD_SSO_ASSUME_EMAIL_VERIFIED", value_name = "BOOL")]
    pub sso_assume_email_verified: Option<bool>,
    /// Whether token answers carry the draft RateLimit headers [default: true]
    #[arg(long, env = "TOKENWARD_RATELIMIT_HEADERS", value_name = "BOOL")]
    pub ratelimit_headers: Option<bool>,
    /// Which log lines are kept, such as info or tokenward_server=debug [default: info]
    #[arg(long, env = "TOKENWARD_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, env = "TOKENWARD_LOG_FORMAT", value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Send traces to this OpenTelemetry collector over OTLP (HTTP, protobuf), such as `http://127.0.0.1:4318`; for the
    /// program `tokenward-opentelemetry` [default: OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, env = "TOKENWARD_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// The part of the requests to the public listener that is traced when no trusted proxy says whether to, from 0 to 1
    /// [default: 1]
    #[arg(long, env = "TOKENWARD_OTLP_SAMPLE_RATIO", value_name = "RATIO")]
    pub otlp_sample_ratio: Option<f64>,
    /// Seconds a stopping server waits for requests under way [default: 10]
    #[arg(long, env = "TOKENWARD_DRAIN_SECONDS", value_name = "N")]
    pub drain_seconds: Option<u64>,
    /// Threads that answer checks [default: one a core]
    #[arg(long, env = "TOKENWARD_CHECK_THREADS", value_name = "N")]
    pub check_threads: Option<usize>,
    /// The mail server for notices, such as smtp://user:password@host:587?tls=required
    #[arg(
        long,
        env = "TOKENWARD_MAIL_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    #[serde(skip)]
    pub mail_url: Option<String>,
    /// Read the mail server's URL from a file
    #[arg(long, env = "TOKENWARD_MAIL_URL_FILE", value_name = "FILE")]
    pub mail_url_file: Option<PathBuf>,
    /// Whom notices are from, such as "Tokenward <tokens@example.com>"
    #[arg(long, env = "TOKENWARD_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
    /// The name this server gives itself to the mail server (EHLO) [default: the host name]
    #[arg(long, env = "TOKENWARD_MAIL_HELLO_NAME", value_name = "NAME")]
    pub mail_hello_name: Option<String>,
    /// What this node is called among the nodes of its database [default: the host name]
    #[arg(long, env = "TOKENWARD_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Which header checks read the access token from [default: both]
    #[arg(
        long,
        env = "TOKENWARD_CHECK_TOKEN_HEADER",
        value_name = "HEADER",
        value_enum
    )]
    pub check_token_header: Option<CheckTokenHeader>,
    /// The address people reach this server at, for links in notices
    #[arg(long, env = "TOKENWARD_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// A network that webhooks may lead into though it is not public; repeatable
    #[arg(
        long,
        alias = "webhook-allow-networks",
        env = "TOKENWARD_WEBHOOK_ALLOW_NETWORK",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    #[serde(rename = "webhook_allow_networks", alias = "webhook_allow_network")]
    pub webhook_allow_network: Vec<String>,
    /// Seconds from one look round for expiring tokens, used-up quotas and the like to the next [default: 900]
    #[arg(long, env = "TOKENWARD_NOTICE_SCAN_SECONDS", value_name = "N")]
    pub notice_scan_seconds: Option<u64>,
    /// Public keys for which `tokenward backup` encrypts; in the file only, as what follows.
    #[arg(skip)]
    pub backup_recipients: Vec<String>,
    /// The address of their S3 service.
    #[arg(skip)]
    pub backup_s3_endpoint: Option<String>,
    /// The region of their bucket.
    #[arg(skip)]
    pub backup_s3_region: Option<String>,
    /// Where the bucket's name stands.
    #[arg(skip)]
    pub backup_s3_addressing: Option<S3Addressing>,
}

/// Keys that are accepted though they are not names of [`ServeArgs`]'s fields.
const ALIASES: [&str; 5] = [
    "acme_domain",
    "environment_host",
    "internal_caller",
    "trusted_proxy",
    "webhook_allow_network",
];

impl ServeArgs {
    /// Reads a file's text. Unknown keys are errors that name the key that was probably meant.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        // A byte order mark is no part of TOML, and editors add one unasked.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let toml = |error: toml::de::Error| ConfigError(error.to_string().trim_end().to_owned());
        let table: toml::Table = toml::from_str(text).map_err(toml)?;
        let known = Self::keys();
        match table.keys().find(|key| !known.contains(key)) {
            Some(key) => Err(ConfigError(unknown_key(key, &known))),
            None => Ok(Self {
                database_tls: toml::from_str(text).map_err(toml)?,
                ..toml::from_str(text).map_err(toml)?
            }),
        }
    }

    /// Every key, as the fields are named, and the other names of some.
    fn keys() -> Vec<String> {
        let fields = [
            serde_json::to_value(Self::default()),
            serde_json::to_value(DatabaseTls::default()),
        ];
        let fields = fields.into_iter().flatten();
        let maps = fields.filter_map(|fields| fields.as_object().cloned());
        let names = maps.flat_map(|map| map.into_iter().map(|(name, _)| name));
        names.chain(ALIASES.map(str::to_owned)).collect()
    }

    /// The S3 service of `tokenward backup`, as far as the file says.
    pub(crate) fn backup_s3(&self) -> S3Settings {
        S3Settings {
            endpoint: self.backup_s3_endpoint.clone(),
            region: self.backup_s3_region.clone(),
            addressing: self.backup_s3_addressing,
        }
    }

    /// The same, with the settings of `file` where these say nothing.
    pub(super) fn or(self, file: Self) -> Self {
        let flags = self;
        macro_rules! completed {
            ($($setting:ident)*) => { Self { $($setting: flags.$setting.or(file.$setting),)* } };
        }
        completed! {
            data_dir public internal public_idle_seconds public_connections_per_source internal_unix
            internal_unix_mode database_url database_url_file database_tls config environment_host
            environment_hosts trusted_proxy quota_per_day secret_calls_per_second error_source
            public_tls_certificate public_tls_key acme_domain acme_contact acme_directory acme_authority
            acme_accept_terms internal_tls_certificate internal_tls_key internal_client_authority
            internal_caller internal_callers digest_keys new_digest_keys internal_auth_file issuer sso_issuer
            sso_client_id sso_client_secret_file sso_name sso_assume_email_verified ratelimit_headers log
            log_format otlp_endpoint otlp_sample_ratio drain_seconds check_threads mail_url mail_url_file
            mail_from mail_hello_name node_name check_token_header public_url webhook_allow_network
            notice_scan_seconds backup_recipients backup_s3_endpoint backup_s3_region backup_s3_addressing
        }
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
        Self::parse(&text).map_err(|error| ConfigError(format!("{}: {error}", path.display())))
    }
}

fn unknown_key(key: &str, known: &[String]) -> String {
    let file = format!("{key}_file");
    if known.contains(&file) {
        return format!(
            "{key} holds a password and isn't accepted in this file. Write it into a file of its own and name that \
             file with {file}, or set TOKENWARD_{}",
            key.to_uppercase()
        );
    }
    let names = known.iter().map(String::as_str);
    match meant(key, names.filter(|name| !ALIASES.contains(name))) {
        Some(meant) => format!("unknown key {key:?}. Did you mean {meant:?}?"),
        None => format!(
            "unknown key {key:?}. `tokenward serve --help` lists the settings; a key is the flag's name with _ for -"
        ),
    }
}

/// The known name that was probably meant by an unknown one.
pub(super) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this, two names have hardly more than their length in common.
    const ALIKE: f64 = 0.85;
    let rated = known.map(|one| (strsim::jaro_winkler(name, one), one));
    let best = rated.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(alike, _)| *alike >= ALIKE)
        .map(|(_, one)| one)
}

/// What can be left out, and is then completed. An [`Option`] has the same of its own.
trait Or {
    fn or(self, other: Self) -> Self;
}

impl<T> Or for Vec<T> {
    fn or(self, other: Self) -> Self {
        if self.is_empty() { other } else { self }
    }
}

impl Or for bool {
    fn or(self, other: Self) -> Self {
        self || other
    }
}

/// Reads the address of a listener, for clap and for the file alike.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| {
        format!(
            "{text:?} isn't an address to listen on. Give an IP address and a port, such as 127.0.0.1:8080 or [::]:8080; \
             host names aren't accepted"
        )
    })
}

fn address<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    use serde::Deserialize as _;
    let text = Option::<String>::deserialize(from)?;
    let read = |text: String| listen_address(&text).map_err(serde::de::Error::custom);
    text.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        ServeArgs::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn unknown_key_names_the_key_that_was_meant() {
        for (written, words) in [
            ("quota_per_dya = 5", "Did you mean \"quota_per_day\"?"),
            ("trusted_proxys = []", "Did you mean \"trusted_proxies\"?"),
            ("public-url = \"x\"", "Did you mean \"public_url\"?"),
            (
                "database_url = \"postgres://u:p@h/d\"",
                "name that file with database_url_file",
            ),
            (
                "mail_url = \"smtp://h\"",
                "name that file with mail_url_file",
            ),
            (
                "wholly_unlike = 1",
                "`tokenward serve --help` lists the settings",
            ),
            ("public = \"localhost:8080\"", "host names aren't accepted"),
        ] {
            let told = refusal(written);
            assert!(told.contains(words), "{written}: {told}");
            assert!(!told.contains("u:p@h"), "{told}");
        }
    }

    #[test]
    fn lists_have_the_name_of_their_flag_too() {
        let text = "trusted_proxy = [\"10.0.0.1\"]\nwebhook_allow_network = []\n[environment_host]\n\"a.example\" = \"sandbox\"";
        let file = ServeArgs::parse(text).unwrap();
        assert_eq!(file.trusted_proxy, ["10.0.0.1"]);
        assert_eq!(file.environment_hosts.unwrap()["a.example"], "sandbox");
        let known = ServeArgs::keys();
        for alias in ALIASES {
            assert!(known.contains(&alias.to_owned()), "{alias}");
            // Each alias is one that is accepted.
            let value = if ["environment_host", "internal_caller"].contains(&alias) {
                "{}"
            } else {
                "[]"
            };
            assert!(
                ServeArgs::parse(&format!("{alias} = {value}")).is_ok(),
                "{alias}"
            );
        }
    }

    #[test]
    fn byte_order_mark_is_no_error() {
        assert_eq!(
            ServeArgs::parse("\u{feff}quota_per_day = 5")
                .unwrap()
                .quota_per_day,
            Some(5)
        );
    }
}
