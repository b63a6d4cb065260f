//! Which server an admin command speaks to and with which key. The key comes from a file or the
//! environment, never from the command line, where every user of the machine could read it; and it
//! never travels in the clear to another machine unless the operator insists.

use super::error::CliError;
use reqwest::Url;
use rustix::fs::OFlags;
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokenward_core::AdminKey;
use zeroize::Zeroizing;

/// Where a server listens that was told nothing else.
const DEFAULT_PUBLIC: &str = "http://127.0.0.1:8080";
/// The same for checks and introspection.
const DEFAULT_INTERNAL: &str = "http://127.0.0.1:8081";
/// Where a server keeps its files that was told nothing else.
const DEFAULT_DATA_DIR: &str = "tokenward-data";
/// What the server writes into its data directory once it listens.
const LISTENING_FILE: &str = "listening.json";
/// The first admin key, in the data directory.
const ADMIN_KEY_FILE: &str = "admin-key";
/// Longest key file read: a key and a line break are far shorter.
const KEY_FILE_BYTES_MAX: usize = 4096;

/// Which server.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Address {
    /// The server's public address, such as https://tokens.example.com
    /// [default: that of the server that runs on --data-dir; without one, http://127.0.0.1:8080].
    #[arg(long, global = true, env = "TOKENWARD_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// The data directory of a server on this machine: tells its addresses and its first admin key
    /// [default: tokenward-data, if a server runs there and nothing else was said].
    #[arg(
        long,
        global = true,
        env = "TOKENWARD_DATA_DIR",
        hide_env_values = true
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// Trust the certificates in this PEM file too (a certificate authority of your own).
    #[arg(long, global = true, env = "TOKENWARD_CA_FILE", hide_env_values = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Send credentials over plain http to another machine. Anyone on the way can read and use them.
    #[arg(long, global = true)]
    pub(crate) insecure_http: bool,
}

/// Which server, with which key.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    #[command(flatten)]
    pub(crate) address: Address,
    /// A file that holds the admin key [default: the environment variable TOKENWARD_ADMIN_KEY, else
    /// admin-key in --data-dir].
    #[arg(
        long,
        global = true,
        env = "TOKENWARD_ADMIN_KEY_FILE",
        hide_env_values = true
    )]
    pub(crate) admin_key_file: Option<PathBuf>,
}

/// The addresses in the data directory.
#[derive(Deserialize)]
struct Listening {
    public: String,
    internal: String,
}

impl Address {
    /// The base URL of the public listener, fit to send a credential to.
    pub(crate) fn public(&self) -> Result<Url, CliError> {
        self.listener(self.url.as_deref(), DEFAULT_PUBLIC, |at| at.public)
    }

    /// The base URL of the internal listener, fit to send a credential to; `given` wins.
    pub(crate) fn internal(&self, given: Option<&str>) -> Result<Url, CliError> {
        self.listener(given, DEFAULT_INTERNAL, |at| at.internal)
    }

    fn listener(
        &self,
        given: Option<&str>,
        usual: &str,
        of: fn(Listening) -> String,
    ) -> Result<Url, CliError> {
        let text = match given {
            Some(url) => url.to_owned(),
            None => self.listening()?.map_or_else(|| usual.to_owned(), of),
        };
        self.fit(&text)
    }

    fn listening(&self) -> Result<Option<Listening>, CliError> {
        let Some(folder) = &self.data_dir else {
            return Ok(None);
        };
        let path = folder.join(LISTENING_FILE);
        let failed = |error: &dyn std::fmt::Display| {
            CliError::Failed(format!("{}: {error}", path.display()))
        };
        let text = match open_regular(&path).and_then(std::io::read_to_string) {
            Ok(text) => text,
            // Not the default address: another server may listen there, which must not get this one's key.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(CliError::Failed(format!(
                    "no server runs on {} ({LISTENING_FILE} is not there): start it, or name a server with --url",
                    folder.display()
                )));
            }
            Err(error) => return Err(failed(&error)),
        };
        let listening = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        Ok(Some(listening))
    }

    /// An address fit to send a credential to.
    pub(crate) fn fit(&self, text: &str) -> Result<Url, CliError> {
        let url = base_url(text)?;
        if url.scheme() == "http" && !is_loopback(&url) && !self.insecure_http {
            return Err(CliError::Failed(format!(
                "{url} is plain http on another machine: a key sent there can be read on the way. \
                 Use https, or insist with --insecure-http"
            )));
        }
        Ok(url)
    }
}

impl Connection {
    /// Which server with which key.
    pub(crate) fn resolve(&self) -> Result<(Url, AdminKey), CliError> {
        self.resolve_with(key_in_environment(), Path::new(DEFAULT_DATA_DIR))
    }

    /// The key: flag or its variable, the environment, the data directory. The default data directory
    /// counts only when nothing else was said: a folder that happens to lie here must never decide
    /// where a key from elsewhere is sent.
    fn resolve_with(
        &self,
        environment: Option<Zeroizing<String>>,
        default: &Path,
    ) -> Result<(Url, AdminKey), CliError> {
        let mut address = self.address.clone();
        let nothing_said = address.url.is_none()
            && address.data_dir.is_none()
            && self.admin_key_file.is_none()
            && environment.is_none();
        if nothing_said && default.join(LISTENING_FILE).exists() {
            address.data_dir = Some(default.to_owned());
        }
        let key = match (&self.admin_key_file, environment, &address.data_dir) {
            (Some(path), _, _) => key_from_file(path, File::open(path))?,
            (None, Some(text), _) => {
                parse_key(&text, "the environment variable TOKENWARD_ADMIN_KEY")?
            }
            (None, None, Some(folder)) => {
                let path = folder.join(ADMIN_KEY_FILE);
                key_from_file(&path, open_regular(&path))?
            }
            (None, None, None) => {
                return Err(CliError::Failed(
                    "no admin key: name a file with --admin-key-file or TOKENWARD_ADMIN_KEY_FILE, \
                     set TOKENWARD_ADMIN_KEY, or name the server's data directory with --data-dir"
                        .to_owned(),
                ));
            }
        };
        Ok((address.public()?, key))
    }
}

/// Reads an address with or without a scheme; one that means every interface means this machine.
fn base_url(text: &str) -> Result<Url, CliError> {
    let bad = |why: String| CliError::Usage(format!("{text:?} is no address of a server: {why}"));
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let mut url = Url::parse(&whole).map_err(|error| bad(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("it must begin with https:// or http://".to_owned()));
    }
    let more = [url.password(), url.query(), url.fragment()];
    if !url.username().is_empty() || more.iter().any(Option::is_some) {
        return Err(bad(
            "it must hold neither user, password, ? nor #".to_owned()
        ));
    }
    match address(&url) {
        Some(IpAddr::V4(ip)) if ip.is_unspecified() => set_host(&mut url, "127.0.0.1"),
        Some(IpAddr::V6(ip)) if ip.is_unspecified() => set_host(&mut url, "[::1]"),
        _ => {}
    }
    Ok(url)
}

fn set_host(url: &mut Url, host: &str) {
    // Cannot fail: the URL has a host and the new one is an address.
    let _ = url.set_host(Some(host));
}

fn address(url: &Url) -> Option<IpAddr> {
    url.host_str()?
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

/// Whether what is sent to this URL stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match address(url) {
        Some(address) => address.to_canonical().is_loopback(),
        None => url.host_str() == Some("localhost"),
    }
}

/// Opens a file of the data directory. A pipe, a device, a socket or a folder in its place is refused at once.
fn open_regular(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is not a regular file")),
    }
}

fn is_readable_by_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0)
}

fn key_from_file(path: &Path, opened: std::io::Result<File>) -> Result<AdminKey, CliError> {
    use std::io::Write as _;
    let name = path.display();
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX + 1));
    opened
        .and_then(|file| {
            file.take(KEY_FILE_BYTES_MAX as u64)
                .read_to_string(&mut text)
        })
        .map_err(|error| {
            CliError::Failed(format!(
                "no admin key could be read from {name}: {error}. Name the key's file with --admin-key-file"
            ))
        })?;
    if is_readable_by_all(path) {
        // The act goes on: an operator may need it now.
        let _ = writeln!(
            std::io::stderr(),
            "warning: {name}: every user of this machine can read it. Make it private with chmod 600 {name}"
        );
    }
    parse_key(&text, &name.to_string())
}

fn parse_key(text: &str, source: &str) -> Result<AdminKey, CliError> {
    AdminKey::parse(text.trim()).map_err(|_| {
        CliError::Failed(format!(
            "{source} holds no admin key: one begins with tw-admin. and ends with its checksum"
        ))
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one setting that must not be a flag, so the reader of flags can't read it"
)]
fn key_in_environment() -> Option<Zeroizing<String>> {
    std::env::var("TOKENWARD_ADMIN_KEY")
        .ok()
        .filter(|text| !text.trim().is_empty())
        .map(Zeroizing::new)
}

/// Whether a person wants colours (the NO_COLOR convention, and terminals that know none).
#[expect(
    clippy::disallowed_methods,
    reason = "a convention about terminals, no setting of ours"
)]
pub(crate) fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn data_dir() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let listening =
            r#"{"public":"http://0.0.0.0:4000","internal":"http://127.0.0.1:4001","pid":7}"#;
        std::fs::write(folder.path().join("listening.json"), listening).unwrap();
        let key = AdminKey::from_random(Uuid::from_u128(7), [7; 28]).expose();
        std::fs::write(folder.path().join("admin-key"), format!("{}\n", *key)).unwrap();
        folder
    }

    fn at(folder: &tempfile::TempDir) -> Connection {
        let mut at = Connection::default();
        at.address.data_dir = Some(folder.path().to_owned());
        at
    }

    fn key(at: &Connection) -> Result<AdminKey, CliError> {
        let nowhere = Path::new("there is no such folder");
        at.resolve_with(None, nowhere).map(|(_, key)| key)
    }

    #[test]
    fn the_default_folder_counts_only_when_nothing_else_was_said() {
        let folder = data_dir();
        let (url, _) = Connection::default()
            .resolve_with(None, folder.path())
            .unwrap();
        assert_eq!(url.port(), Some(4000));
        let text = AdminKey::from_random(Uuid::from_u128(8), [8; 28]).expose();
        let (url, key) = Connection::default()
            .resolve_with(Some(text), folder.path())
            .unwrap();
        assert_eq!((url.port(), key.id()), (Some(8080), Uuid::from_u128(8)));
    }

    #[test]
    fn the_data_directory_gives_address_and_key() {
        let folder = data_dir();
        let at = at(&folder);
        let [public, internal] = [at.address.public(), at.address.internal(None)];
        assert_eq!(public.unwrap().as_str(), "http://127.0.0.1:4000/");
        assert_eq!(internal.unwrap().as_str(), "http://127.0.0.1:4001/");
        assert_eq!(key(&at).unwrap().id(), Uuid::from_u128(7));
        let mut told = at.address;
        told.url = Some("http://localhost:5".to_owned());
        assert_eq!(told.public().unwrap().as_str(), "http://localhost:5/");
    }

    #[test]
    fn the_defaults_hold_only_where_no_data_directory_is_named() {
        let at = Address::default();
        assert_eq!(at.public().unwrap().as_str(), "http://127.0.0.1:8080/");
        let internal = at.internal(None).unwrap();
        assert_eq!(internal.as_str(), "http://127.0.0.1:8081/");
        // The key of a server that does not run must not go to another one.
        let folder = tempfile::tempdir().unwrap();
        let without = self::at(&folder);
        for refused in [without.address.public(), without.address.internal(None)] {
            let Err(CliError::Failed(told)) = refused else {
                panic!("{refused:?}")
            };
            assert!(told.contains("no server runs on"), "{told}");
        }
        let mut named = without.address.clone();
        named.url = Some("localhost:5".to_owned());
        assert_eq!(named.public().unwrap().as_str(), "http://localhost:5/");
        assert!(key(&without).is_err());
    }

    #[test]
    fn no_key_goes_in_the_clear_to_another_machine() {
        let check = |url: &str, insecure_http: bool, fits: bool| {
            let at = Address {
                url: Some(url.to_owned()),
                insecure_http,
                ..Address::default()
            };
            assert_eq!(at.public().is_ok(), fits, "{url}");
        };
        check("http://127.8.0.1:80", false, true);
        check("http://[::1]:80", false, true);
        check("http://[::ffff:127.0.0.1]:80", false, true);
        check("http://localhost", false, true);
        check("127.0.0.1:8080", false, true);
        check("https://tokens.example.com", false, true);
        check("http://tokens.example.com", false, false);
        check("http://localhost.example.com", false, false);
        check("http://127.0.0.1.example.com", false, false);
        check("http://10.0.0.7", false, false);
        check("tokens.example.com", false, false);
        check("http://10.0.0.7", true, true);
    }

    #[test]
    fn what_is_no_address_is_a_usage_error() {
        for text in " ftp://x https://user:pw@x https://x/?q https://x/#f http:// ::".split(' ') {
            let error = base_url(text).unwrap_err();
            assert!(matches!(error, CliError::Usage(_)), "{text}: {error:?}");
        }
    }

    #[test]
    fn a_damaged_key_file_is_named_and_its_content_is_not() {
        let folder = data_dir();
        let path = folder.path().join("admin-key");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.replace_range(60..61, "z");
        std::fs::write(&path, &text).unwrap();
        let at = Connection {
            admin_key_file: Some(path.clone()),
            ..Connection::default()
        };
        let Err(CliError::Failed(told)) = key(&at) else {
            panic!("accepted")
        };
        assert!(
            told.contains(&path.display().to_string()) && !told.contains(&text[..40]),
            "{told}"
        );
    }
}
