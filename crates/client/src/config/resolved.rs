//! The configuration resolved: every value checked, every path absolute or beside the file, every part made.
//! Nothing is fetched yet.

use super::ConfigError;
use super::written::{self, Client, ConfigFile, Destination as Place, Secret, Vault};
#[cfg(feature = "aws")]
use crate::destination::aws::AwsHome;
use crate::destination::cpi::{CpiCredential, Login as CpiLogin};
use crate::destination::credentials_folder::CredentialsFolder;
use crate::destination::dotenv::{DEFAULT_VARIABLE, DotenvHome};
use crate::destination::file::FileHome;
#[cfg(feature = "keyring")]
use crate::destination::keyring::KeyringHome;
use crate::destination::plugin::PluginHome;
use crate::destination::vault::{Connection, VaultHome, VaultSecret};
use crate::destination::{Destination, ProcessLock};
use crate::environment;
use crate::issuer::Issuer;
use crate::secret::{SecretFile, SecretSource, SecretVariable, SystemdCredential};
use crate::{Options, Policy, TokenSource};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a configuration comes to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// The API clients, by alias; at least one.
    pub clients: BTreeMap<String, Parts>,
}

/// One API client's parts.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts {
    /// Its name in the configuration.
    pub alias: String,
    /// Its tokens.
    pub source: TokenSource,
    /// The file with the bare token, where a destination keeps one.
    pub token_file: Option<PathBuf>,
    /// The environment variables that hold a client secret, of any client of the configuration: no child process of
    /// the agent inherits them.
    pub secret_variables: Arc<[String]>,
}

impl Config {
    /// The client named, or the only one.
    ///
    /// # Errors
    /// When there is none of that name, or several and none is named.
    pub fn client(&self, alias: Option<&str>) -> Result<&Parts, ConfigError> {
        let known = || self.clients.keys().cloned().collect::<Vec<_>>().join(", ");
        let mut all = self.clients.values();
        match (alias, all.next(), all.next()) {
            (Some(alias), ..) => self.clients.get(alias).ok_or_else(|| {
                ConfigError(format!(
                    "no client {alias:?} is configured; there are: {}",
                    known()
                ))
            }),
            (None, Some(only), None) => Ok(only),
            (None, ..) => Err(ConfigError(format!(
                "name one with --client; there are: {}",
                known()
            ))),
        }
    }
}

/// Resolves a file that lies in `folder`.
pub(super) fn resolve(written: ConfigFile, folder: &Path) -> Result<Config, String> {
    if written.client.is_empty() {
        return Err("no client is configured; add a table [client.ALIAS]".to_owned());
    }
    let mut clients = BTreeMap::new();
    let secrets = written.client.values().map(|client| &client.secret);
    let withheld: Arc<[String]> = secrets
        .filter_map(|secret| match secret {
            Secret::Environment(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    let around = Around {
        folder,
        withheld: &withheld,
        vaults: &RefCell::default(),
    };
    for (alias, client) in written.client {
        let parts =
            parts(&alias, &client, &around).map_err(|what| format!("client.{alias}: {what}"))?;
        clients.insert(alias, parts);
    }
    Ok(Config { clients })
}

/// What is written of a login, how long its answers may take, and the connection made.
type Made = ((Vault, Duration), Arc<Connection>);

/// What the parts of all clients have in common.
#[derive(Clone, Copy)]
struct Around<'a> {
    /// Relative paths begin here.
    folder: &'a Path,
    /// The environment variables that no child process gets.
    withheld: &'a Arc<[String]>,
    /// The connections made so far, by what tells two logins apart: one login serves all that log in alike.
    vaults: &'a RefCell<Vec<Made>>,
}

fn parts(alias: &str, client: &Client, around: &Around<'_>) -> Result<Parts, String> {
    let folder = around.folder;
    if alias.len() > 64 || !is_plain(alias, "-_") {
        return Err("an alias has letters, digits, - and _".to_owned());
    }
    let policy = policy(client)?;
    let secret = secret(&client.secret, around, policy.answer_limit)?;
    let authority = authority(client.authority_file.as_deref(), folder)?;
    let issuer = Issuer::new(
        &client.server,
        client.server_kind,
        secret,
        authority.as_deref(),
        policy.answer_limit,
    )
    .map_err(|error| format!("server: {error}"))?;
    let mut places = client.destination.iter().enumerate().map(|(nth, place)| {
        destination(place, around, policy.answer_limit)
            .map_err(|what| format!("destination {}: {what}", nth + 1))
    });
    let home = places
        .next()
        .ok_or("no destination; add [[client.ALIAS.destination]]")??;
    let mut options = Options {
        copies: places.collect::<Result<_, _>>()?,
        process_lock: lock_file(alias, client, folder).map(ProcessLock::new),
        policy,
        ..Options::default()
    };
    if let Some(seconds) = client.lease_seconds {
        options.lease_ttl = duration("lease_seconds", seconds)?;
    }
    let source = TokenSource::new(issuer, home, options).map_err(|error| error.to_string())?;
    Ok(Parts {
        alias: alias.to_owned(),
        source,
        token_file: client.destination.iter().find_map(|place| match place {
            Place::Credential {
                folder: place,
                name,
                encrypt: false,
            } => Some(folder.join(place).join(name)),
            _ => None,
        }),
        secret_variables: around.withheld.clone(),
    })
}

/// Whether a name has letters, digits and these characters, and is not empty.
fn is_plain(name: &str, others: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || others.contains(letter);
    !name.is_empty() && name.chars().all(plain)
}

fn policy(client: &Client) -> Result<Policy, String> {
    let mut policy = Policy::default();
    let set = |place: &mut Duration, name: &str, value: Option<f64>| {
        if let Some(seconds) = value {
            *place = duration(name, seconds)?;
        }
        Ok::<(), String>(())
    };
    set(&mut policy.margin, "margin_seconds", client.margin_seconds)?;
    set(
        &mut policy.patience,
        "patience_seconds",
        client.patience_seconds,
    )?;
    let limit = client.answer_limit_seconds;
    set(&mut policy.answer_limit, "answer_limit_seconds", limit)?;
    policy.budget_per_day = client.budget_per_day.unwrap_or(policy.budget_per_day);
    policy.handover = Duration::from_secs(client.handover_seconds.unwrap_or(0));
    Ok(policy)
}

fn duration(name: &str, seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| *duration <= Duration::from_secs(86_400))
        .ok_or_else(|| format!("{name} is a number of seconds from 0 to a day"))
}

fn secret(
    written: &Secret,
    around: &Around<'_>,
    answer_limit: Duration,
) -> Result<Arc<dyn SecretSource>, String> {
    let folder = around.folder;
    Ok(match written {
        Secret::File(path) => Arc::new(SecretFile(folder.join(path))),
        Secret::Credential(name) => Arc::new(SystemdCredential(name.clone())),
        Secret::Environment(name) => Arc::new(SecretVariable(name.clone())),
        Secret::Vault(at) => Arc::new(VaultSecret {
            connection: vault(at, around, answer_limit)?,
            mount: at.mount.clone(),
            path: at.path.clone(),
        }),
    })
}

fn destination(
    written: &Place,
    around: &Around<'_>,
    answer_limit: Duration,
) -> Result<Arc<dyn Destination>, String> {
    let folder = around.folder;
    Ok(match written {
        Place::File { path } => Arc::new(FileHome::new(folder.join(path))),
        Place::Dotenv { path, variable } => {
            let variable = variable.as_deref().unwrap_or(DEFAULT_VARIABLE);
            let home = DotenvHome::in_file(folder.join(path), variable);
            Arc::new(home.map_err(|error| format!("variable: {error}"))?)
        }
        Place::Cpi {
            api,
            name,
            token_url,
            client_id,
            secret_file,
            authority_file,
        } => {
            let authority = authority(authority_file.as_deref(), folder)?;
            let login = CpiLogin {
                token_url: token_url.clone(),
                client_id: client_id.clone(),
                secret_file: folder.join(secret_file),
            };
            let made = CpiCredential::new(api, name, login, authority.as_deref(), answer_limit);
            Arc::new(made?)
        }
        Place::Credential {
            folder: place,
            name,
            encrypt,
        } => {
            if name.starts_with('.') || !is_plain(name, "-_.") {
                return Err("name: a credential's name has letters, digits, - _ and .".to_owned());
            }
            let (folder, withheld) = (folder.join(place), around.withheld.clone());
            Arc::new(CredentialsFolder::new(&folder, name, *encrypt, withheld))
        }
        Place::Vault(at) => Arc::new(VaultHome::new(
            vault(at, around, answer_limit)?,
            &at.mount,
            &at.path,
        )),
        #[cfg(feature = "aws")]
        Place::Aws {
            secret_id,
            region,
            endpoint,
            credentials_file,
        } => {
            let credentials = credentials_file.as_ref().map(|path| folder.join(path));
            let home = AwsHome::new(
                secret_id,
                region,
                endpoint.as_deref(),
                credentials.as_deref(),
                answer_limit,
            );
            Arc::new(home.map_err(|error| format!("endpoint: {error}"))?)
        }
        #[cfg(not(feature = "aws"))]
        Place::Aws { .. } => return Err("this program was built without AWS".to_owned()),
        #[cfg(feature = "keyring")]
        Place::Keyring {
            account,
            lock_folder,
        } => {
            if !is_plain(account, "-_") {
                return Err("account: it has letters, digits, - and _".to_owned());
            }
            let locks = match lock_folder {
                Some(path) => folder.join(path),
                None => runtime_folder()
                    .ok_or("lock_folder: name one; XDG_RUNTIME_DIR names no folder here")?,
            };
            Arc::new(KeyringHome::new(account, locks))
        }
        #[cfg(not(feature = "keyring"))]
        Place::Keyring { .. } => return Err("this program was built without keyring".to_owned()),
        Place::Plugin { command } => {
            if command.is_empty() {
                return Err("command: name a program".to_owned());
            }
            let withheld = around.withheld.clone();
            Arc::new(PluginHome::new(command.clone(), answer_limit, withheld))
        }
    })
}

fn vault(
    written: &Vault,
    around: &Around<'_>,
    answer_limit: Duration,
) -> Result<Arc<Connection>, String> {
    let folder = around.folder;
    let server = Vault {
        path: String::new(),
        mount: String::new(),
        ..written.clone()
    };
    let key = (server, answer_limit);
    let mut made = around.vaults.borrow_mut();
    if let Some((_, connection)) = made.iter().find(|(known, _)| *known == key) {
        return Ok(connection.clone());
    }
    let authority = authority(written.authority_file.as_deref(), folder)?;
    let connection = Connection::new(
        &written.address,
        written.redirect_hosts.clone(),
        written.namespace.clone(),
        written.login.clone().beside(folder),
        authority.as_deref(),
        answer_limit,
    )
    .map_err(|error| format!("address: {error}"))?;
    let connection = Arc::new(connection);
    made.push((key, connection.clone()));
    Ok(connection)
}

/// A further certificate authority.
fn authority(path: Option<&Path>, folder: &Path) -> Result<Option<Vec<u8>>, String> {
    path.map(|path| std::fs::read(folder.join(path)))
        .transpose()
        .map_err(|error| format!("authority_file: {error}"))
}

/// Where the processes of this machine that share a home elsewhere queue. Without a private folder for it there is
/// none, and the home's lease alone keeps order.
fn lock_file(alias: &str, client: &Client, folder: &Path) -> Option<PathBuf> {
    if let Some(path) = &client.lock_file {
        return Some(folder.join(path));
    }
    if !client.destination.first()?.is_elsewhere() {
        return None;
    }
    Some(runtime_folder()?.join(format!("tokenward-{alias}.lock")))
}

/// The private folder that systemd gives a service, or a login a user.
fn runtime_folder() -> Option<PathBuf> {
    ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"]
        .into_iter()
        .filter_map(environment::path)
        .find(|path| path.is_absolute() && path.is_dir())
}

impl written::Destination {
    /// Whether the place is reached over a network, so that this machine's processes had better queue first.
    fn is_elsewhere(&self) -> bool {
        match self {
            Place::File { .. }
            | Place::Dotenv { .. }
            | Place::Credential { .. }
            | Place::Keyring { .. } => false,
            Place::Vault(_) | Place::Aws { .. } | Place::Plugin { .. } | Place::Cpi { .. } => true,
        }
    }
}
