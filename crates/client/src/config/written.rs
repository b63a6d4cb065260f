//! The configuration file as written: unknown keys are errors, and a secret stands in none of them, only where it
//! can be fetched.

use crate::destination::vault::Login;
use crate::issuer::Kind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The agent's own.
    #[serde(rename = "log")]
    _log: Option<IgnoredAny>,
    #[serde(rename = "daemon")]
    _daemon: Option<IgnoredAny>,
    /// By alias.
    #[serde(default)]
    pub(crate) client: BTreeMap<String, Client>,
}

/// One API client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client {
    pub(crate) server: String,
    #[serde(default)]
    pub(crate) server_kind: Kind,
    /// A further certificate authority, PEM.
    pub(crate) authority_file: Option<PathBuf>,
    pub(crate) secret: Secret,
    /// The first is the home.
    pub(crate) destination: Vec<Destination>,
    pub(crate) margin_seconds: Option<f64>,
    pub(crate) budget_per_day: Option<u32>,
    pub(crate) patience_seconds: Option<f64>,
    pub(crate) answer_limit_seconds: Option<f64>,
    pub(crate) lease_seconds: Option<f64>,
    pub(crate) handover_seconds: Option<u64>,
    pub(crate) lock_file: Option<PathBuf>,
}

/// Where the client secret is fetched.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Secret {
    /// A file that only its owner can read.
    File(PathBuf),
    /// The name of a systemd credential.
    Credential(String),
    /// The name of an environment variable.
    Environment(String),
    /// The field `client_secret` of a document in Vault.
    Vault(Vault),
}

/// Where the token is kept.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Destination {
    /// JSON.
    File { path: PathBuf },
    /// Assignments.
    Dotenv {
        path: PathBuf,
        variable: Option<String>,
    },
    /// A User Credentials artifact of SAP Cloud Integration.
    Cpi {
        api: String,
        name: String,
        token_url: String,
        client_id: String,
        secret_file: PathBuf,
        authority_file: Option<PathBuf>,
    },
    /// A credential for systemd.
    Credential {
        folder: PathBuf,
        name: String,
        #[serde(default)]
        encrypt: bool,
    },
    /// Vault or OpenBao, KV version 2.
    Vault(Vault),
    /// AWS Secrets Manager.
    #[cfg_attr(
        not(feature = "aws"),
        expect(dead_code, reason = "read only where AWS is built in")
    )]
    Aws {
        secret_id: String,
        region: String,
        endpoint: Option<String>,
        credentials_file: Option<PathBuf>,
    },
    /// The keyring of a desktop session.
    #[cfg_attr(
        not(feature = "keyring"),
        expect(dead_code, reason = "read only where the keyring is built in")
    )]
    Keyring {
        account: String,
        lock_folder: Option<PathBuf>,
    },
    /// A program of one's own.
    Plugin { command: Vec<String> },
}

/// A place in a Vault and how to log in: exactly one of the three logins.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vault {
    pub(crate) path: String,
    pub(crate) address: String,
    pub(crate) namespace: Option<String>,
    #[serde(default = "secret")]
    pub(crate) mount: String,
    pub(crate) authority_file: Option<PathBuf>,
    /// Hosts to which a standby node may send calls on, as `host` or `host:port`.
    #[serde(default)]
    pub(crate) redirect_hosts: Vec<String>,
    pub(crate) login: Login,
}

/// Where the engine is usually mounted.
fn secret() -> String {
    "secret".to_owned()
}
