//! One connection to PostgreSQL: how it is made, what it has prepared, what notices it has heard.

use super::batch::Form;
use super::lock::Former;
use super::tls::{Encrypted, Files, Mode, Tls};
use crate::error::{StoreError, chain};
use crate::value::Value;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, SslNegotiation};
use tokio_postgres::types::ToSql;
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, SimpleQueryMessage, Socket, Statement,
};

/// How long the end of a session in good order may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Both sides notice within about twelve seconds that the other's machine is gone; otherwise a lock
/// would outlive its holder by hours.
const ALIVE_AFTER: Duration = Duration::from_secs(5);
const ALIVE_EVERY: Duration = Duration::from_secs(2);
const ALIVE_TRIES: u32 = 3;
/// The longest one connection may take. All hosts of a URL are connected to at once.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A session's own settings.
const SETTINGS: &str = "SET synchronous_commit = on; SET client_min_messages = warning;
    SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
    SELECT set_config(name, '0', false) FROM pg_settings
        WHERE name IN ('lock_timeout', 'idle_session_timeout', 'transaction_timeout')";
/// Those of a session that holds locks for which others wait: when its process stops in the middle of a transaction, the
/// session ends after two seconds, also while the server is stuck in sending to it.
const LOCKING: &str = "SET idle_in_transaction_session_timeout = '2s'; SET tcp_user_timeout = '2s'";
/// Those of a session whose statements find rows by their keys. Plans are made once and stay when a table grows, and the first
/// ones are made on empty tables, where reading all of a table looks cheaper than its index.
const BY_KEY: &str =
    "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET jit = off";
/// The statement timeout lies below the driver's patience, so that a slow statement ends with an
/// answer rather than with the connection.
pub(super) const SET_STATEMENT_TIMEOUT: &str = "SET statement_timeout = '8s'";
/// Who serves this session, and whether it may write. Asked by the simple protocol, which every pooler passes on.
const STATE: &str = "SELECT pid, backend_start::text, pg_is_in_recovery()::text,
    current_setting('transaction_read_only') FROM pg_stat_activity WHERE pid = pg_backend_pid()";

/// The schemas of the search path that hold Tokenward's tables, as the session writes their names, and whether this role
/// owns the tables; its own first.
const SCHEMAS: &str = "SELECT quote_ident(n.nspname), (c.relowner = r.oid)::text
    FROM unnest(current_schemas(false)) WITH ORDINALITY AS s (name, place)
    JOIN pg_namespace n ON n.nspname = s.name
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'head' AND c.relkind IN ('r', 'p')
    JOIN pg_roles r ON r.rolname = current_user
    ORDER BY c.relowner = r.oid DESC, s.place";

/// Where a database is: one or more servers of which one is the primary.
#[derive(Clone)]
pub(crate) struct Target {
    /// Each server, in the order of the URL.
    hosts: Vec<Server>,
    /// All of them, for messages: never with the password.
    pub(crate) place: String,
    pub(crate) database: String,
}

/// One server of a target, and how to connect to it.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    pub(super) tls: Tls,
    /// Whether it runs on this machine, as far as its address says: on a loopback address or a Unix socket.
    near: bool,
}

impl Server {
    /// Connects and authenticates.
    pub(super) async fn connect(
        &self,
    ) -> Result<(Client, Connection<Socket, Encrypted>), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }
}

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It must be able to write.
    Write,
    /// Reading on the primary is enough, also while that takes no writes.
    Read,
}

pub(super) struct Session {
    pub(super) client: Client,
    /// The process that serves this session, as `pg_stat_activity` shows it.
    pub(super) myself: Former,
    /// Set when the server sent a notice since it was last cleared.
    noticed: Arc<AtomicBool>,
    /// Woken when a notification arrives; only a session that listens gets any.
    hints: Arc<Notify>,
    prepared: HashMap<&'static str, Statement>,
    /// Other forms of statements; none where there is none.
    pub(super) forms: HashMap<(Form, &'static str), Option<Statement>>,
    /// The forms of what issuing and ending tokens writes, by which of its statements are for many rows.
    pub(super) of_tokens: HashMap<[bool; 4], Statement>,
    connection: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Closes the socket now. Left alone, the task would wait for answers that may never come.
        self.connection.abort();
    }
}

/// What the server says of a session.
pub(super) struct State {
    former: Former,
    standby: bool,
    read_only: bool,
}

/// Asks the server what a session is.
pub(super) async fn state(client: &Client) -> Result<State, StoreError> {
    let messages = client.simple_query(STATE).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |column: usize| row.and_then(|row| row.get(column)).unwrap_or_default();
    let pid = text(0).parse();
    Ok(State {
        former: Former {
            pid: pid.map_err(|_| {
                StoreError::Unavailable("the server does not name this session".into())
            })?,
            started: text(1).to_owned(),
        },
        standby: text(2) == "true",
        read_only: text(3) == "on",
    })
}

/// Makes one schema the whole search path of a session: the one that holds the tables, or the one in which they will be
/// made. Otherwise whoever may make a schema that comes earlier in the path (PostgreSQL looks into one with the role's name
/// first) could put tables of their own in the place of ours, with members and invitations in them.
///
/// # Errors
/// [`StoreError::Refused`] when several schemas have such tables and this role owns none of them.
pub(super) async fn keep_to_one_schema(client: &Client) -> Result<(), StoreError> {
    let mut found: Vec<(String, bool)> = Vec::new();
    for message in client.simple_query(SCHEMAS).await? {
        if let SimpleQueryMessage::Row(row) = message {
            let text = |column: usize| row.get(column).unwrap_or_default();
            found.push((text(0).to_owned(), text(1) == "true"));
        }
    }
    let set = match found.as_slice() {
        [] => {
            "SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false)
            WHERE current_schema() IS NOT NULL"
                .to_owned()
        }
        [(_, false), _, ..] => {
            let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            return Err(StoreError::Refused(format!(
                "the schemas {} of the database all have tables of Tokenward, and none belongs to this role. Name the \
                 right one in the database URL with options=-csearch_path%3Dname, and take away others' right to make \
                 schemas: REVOKE CREATE ON DATABASE",
                names.join(", ")
            )));
        }
        [(schema, _), ..] => format!("SET search_path = {schema}, pg_temp"),
    };
    Ok(client.batch_execute(&set).await?)
}

impl State {
    pub(super) fn pid(&self) -> i32 {
        self.former.pid
    }

    /// Whether the session can do what it is for.
    pub(super) fn serves(&self, purpose: Purpose) -> Result<(), StoreError> {
        let why = match (self.standby, self.read_only, purpose) {
            (true, _, _) => "the server is a standby and takes no writes",
            (false, true, Purpose::Write) => {
                "the server takes no writes at the moment (default_transaction_read_only is on)"
            }
            _ => return Ok(()),
        };
        Err(StoreError::Unavailable(why.into()))
    }
}

impl Session {
    /// Connects to the server of the target that serves the purpose.
    pub(super) async fn connect(target: &Target, purpose: Purpose) -> Result<Self, StoreError> {
        let attempt = |server: Server| async move {
            let connecting = tokio::time::timeout(CONNECT_MAX, Self::to(&server, purpose));
            connecting.await.unwrap_or_else(|_| {
                let why = format!("no answer within {} s", CONNECT_MAX.as_secs());
                Err(StoreError::Unavailable(why))
            })
        };
        let errors = match target.any(attempt).await {
            Ok(session) => return Ok(session),
            Err(errors) => errors,
        };
        let (mut told, mut refused) = (Vec::new(), false);
        for (host, error) in errors {
            let why = match error {
                StoreError::Unavailable(why) => why,
                StoreError::Refused(why) => {
                    refused = true;
                    why
                }
                error => return Err(error),
            };
            told.push(format!("{host}: {why}"));
        }
        let text = format!("PostgreSQL at {}", told.join("; "));
        Err(match refused {
            true => StoreError::Refused(text),
            false => StoreError::Unavailable(text),
        })
    }

    async fn to(server: &Server, purpose: Purpose) -> Result<Self, StoreError> {
        let (client, connection) = server.connect().await?;
        let noticed = Arc::new(AtomicBool::new(false));
        let hints = Arc::new(Notify::new());
        let (heard, hinted) = (Arc::clone(&noticed), Arc::clone(&hints));
        let own = server.config.get_application_name().unwrap_or_default();
        let connection = tokio::spawn(listen(connection, heard, hinted, own.to_owned()));
        let mut session = Self {
            client,
            myself: Former {
                pid: 0,
                started: String::new(),
            },
            noticed,
            hints,
            prepared: HashMap::new(),
            forms: HashMap::new(),
            of_tokens: HashMap::new(),
            connection,
        };
        session.client.batch_execute(SETTINGS).await?;
        if purpose == Purpose::Write {
            session.client.batch_execute(LOCKING).await?;
            session.client.batch_execute(BY_KEY).await?;
        }
        session.client.batch_execute(SET_STATEMENT_TIMEOUT).await?;
        let state = state(&session.client).await?;
        state.serves(purpose)?;
        keep_to_one_schema(&session.client).await?;
        session.myself = state.former;
        Ok(session)
    }

    /// Ends the session in good order: its lock is free when this returns.
    pub(super) async fn close(self) {
        let unlock = self.client.batch_execute("SELECT pg_advisory_unlock_all()");
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, unlock).await;
    }

    pub(super) async fn prepare(&mut self, sql: &'static str) -> Result<Statement, StoreError> {
        if let Some(prepared) = self.prepared.get(sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(sql).await?;
        self.prepared.insert(sql, prepared.clone());
        Ok(prepared)
    }

    /// Asks for the notifications of a channel.
    pub(super) async fn listen_to(&self, channel: &str) -> Result<(), StoreError> {
        let listen = format!("LISTEN {channel}");
        Ok(self.client.batch_execute(&listen).await?)
    }

    /// What is woken by each of them that another node sent.
    pub(super) fn hints(&self) -> Arc<Notify> {
        Arc::clone(&self.hints)
    }

    pub(super) fn clear_notice(&self) {
        self.noticed.store(false, Ordering::SeqCst);
    }

    /// Whether the server sent a notice since the last clearing. Notices travel in order with the
    /// answers, so one that belongs to an answer is known when the answer is.
    pub(super) fn noticed(&self) -> bool {
        self.noticed.load(Ordering::SeqCst)
    }
}

/// Serves a connection and hears its notices and notifications, but those that this node sent itself: their text is the
/// name of its sessions.
async fn listen(
    mut connection: Connection<Socket, Encrypted>,
    heard: Arc<AtomicBool>,
    hinted: Arc<Notify>,
    own: String,
) {
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        match message {
            Ok(AsyncMessage::Notice(notice)) => {
                tracing::warn!(
                    code = notice.code().code(),
                    "PostgreSQL: {}",
                    notice.message()
                );
                heard.store(true, Ordering::SeqCst);
            }
            Ok(AsyncMessage::Notification(hint)) if hint.payload() != own => hinted.notify_one(),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    "the connection to PostgreSQL ended: {}",
                    crate::error::cause(&error)
                );
                break;
            }
        }
    }
}

/// How the servers of a database URL are reached.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Transport {
    /// The file with the client's key.
    pub key: Option<PathBuf>,
    /// Servers on other machines that are reached without TLS.
    pub plain: Vec<String>,
    /// Servers whose identity nothing shows: with TLS, but no certificate is verified and no password is bound to it.
    pub unverified: Vec<String>,
}

/// Reads a database URL and the files that it names. Connects to nothing.
///
/// # Errors
/// [`StoreError::Refused`] when the URL or a file can't be used.
pub fn transport(url: &str) -> Result<Transport, StoreError> {
    let target = Target::parse(url, "tokenward")?;
    let mut found = Transport::default();
    for server in target.hosts {
        let (tls, label) = (&server.tls, server.tls.server.clone());
        if tls.mode == Mode::Disable {
            if !server.near {
                found.plain.push(label);
            }
            continue;
        }
        tls.config()
            .map_err(|fault| StoreError::Refused(format!("PostgreSQL at {fault}")))?;
        found.key = tls.files.client.clone().map(|(_, key)| key);
        let bound = server.config.get_channel_binding() == ChannelBinding::Require;
        if tls.mode == Mode::Require && tls.files.authorities.is_none() && !bound {
            found.unverified.push(label);
        }
    }
    Ok(found)
}

impl Target {
    /// Reads a database URL; `name` is how others see the sessions.
    pub(crate) fn parse(url: &str, name: &str) -> Result<Self, StoreError> {
        let (url, tls) = readable(url)?;
        let config: Config = url.parse().map_err(|error| unreadable(&url, &error))?;
        let count = config.get_hosts().len().max(config.get_hostaddrs().len());
        if count == 0 {
            return Err(StoreError::Refused(format!("{FORM} It names no host.")));
        }
        if config.get_ports().len() > 1 && config.get_ports().len() != count {
            return Err(StoreError::Refused(format!(
                "{FORM} It names {count} hosts and {} ports.",
                config.get_ports().len()
            )));
        }
        if config.get_ssl_negotiation() == SslNegotiation::Direct {
            return Err(StoreError::Refused(
                "the database URL has sslnegotiation=direct, which Tokenward does not support: leave the parameter out".into(),
            ));
        }
        let hosts: Vec<_> = (0..count)
            .map(|at| one_host(&config, &tls, at, name))
            .collect();
        let names: Vec<&str> = hosts.iter().map(|host| host.tls.server.as_str()).collect();
        Ok(Self {
            place: format!("PostgreSQL at {}", names.join(",")),
            database: config
                .get_dbname()
                .or(config.get_user())
                .unwrap_or_default()
                .to_owned(),
            hosts,
        })
    }

    /// Makes an attempt at every server at once and returns the first that succeeds, or all errors with their hosts in the order
    /// of the URL. At once, because a server that does not answer (a primary whose machine is gone) must not delay the one that does.
    pub(super) async fn any<T, E, F>(
        &self,
        attempt: impl Fn(Server) -> F,
    ) -> Result<T, Vec<(&str, E)>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let attempts = self.hosts.iter().enumerate();
        let mut attempts: FuturesUnordered<_> = attempts
            .map(|(at, server)| attempt(server.clone()).map(move |ended| (at, ended)))
            .collect();
        let mut errors = Vec::new();
        while let Some((at, ended)) = attempts.next().await {
            match ended {
                Ok(done) => return Ok(done),
                Err(error) => errors.push((at, error)),
            }
        }
        errors.sort_by_key(|(at, _)| *at);
        let named = errors.into_iter();
        Err(named
            .map(|(at, error)| (self.hosts[at].tls.server.as_str(), error))
            .collect())
    }
}

/// What a URL says of TLS, in libpq's words.
#[derive(Default)]
struct Wanted {
    mode: Option<Mode>,
    files: Files,
}

/// The settings of one of the hosts.
fn one_host(all: &Config, wanted: &Wanted, at: usize, name: &str) -> Server {
    let mut one = Config::new();
    let port = all
        .get_ports()
        .get(at)
        .or(all.get_ports().first())
        .copied()
        .unwrap_or(5432);
    one.port(port);
    let (mut label, mut near, mut socket) = (String::new(), false, false);
    let address = all.get_hostaddrs().get(at);
    match all.get_hosts().get(at) {
        Some(Host::Tcp(host)) => {
            label.clone_from(host);
            near = host == "localhost" || host.parse().is_ok_and(|host: IpAddr| is_loopback(host));
            one.host(host);
        }
        Some(Host::Unix(path)) => {
            label = path.display().to_string();
            socket = true;
            one.host_path(path);
        }
        None => {}
    }
    if let Some(address) = address {
        near = is_loopback(*address);
        one.hostaddr(*address);
        if label.is_empty() {
            label = address.to_string();
            // What a certificate must name, when nothing else is given.
            one.host(&label);
        }
    }
    let binding = all.get_channel_binding();
    let asked = wanted.files != Files::default() || binding == ChannelBinding::Require;
    let mode = match (wanted.mode, all.get_ssl_mode()) {
        // The bytes of a Unix socket do not leave the machine, and PostgreSQL speaks no TLS there.
        _ if socket => Mode::Disable,
        (Some(mode), _) => mode,
        // Of a connection string that is no URL.
        (None, SslMode::Disable) => Mode::Disable,
        (None, SslMode::Require) => Mode::Require,
        (None, _) if near && !asked => Mode::Disable,
        (None, _) => Mode::VerifyFull,
    };
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(database) = all.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    one.application_name(name)
        .ssl_mode(match mode {
            Mode::Disable => SslMode::Disable,
            _ => SslMode::Require,
        })
        .channel_binding(binding)
        .connect_timeout(CONNECT_MAX)
        .keepalives_idle(ALIVE_AFTER)
        .keepalives_interval(ALIVE_EVERY)
        .keepalives_retries(ALIVE_TRIES)
        .tcp_user_timeout(ALIVE_AFTER + ALIVE_EVERY * ALIVE_TRIES);
    let tls = Tls {
        server: format!("{label}:{port}"),
        mode,
        files: wanted.files.clone(),
    };
    Server {
        config: one,
        tls,
        near: near || socket,
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

const FORM: &str = "the database URL is not of the form \
    postgres://user:password@host:port/name?parameter=value. In the user and the password write %40 for @, %3A for :, %2F for /, \
    %3F for ? and %25 for %.";

/// The place of the `?` before a URL's parameters.
fn query_at(url: &str) -> Option<usize> {
    // The driver's parser ends the password at the first @, whatever stands before it.
    let hosts = url.find('@').unwrap_or_default();
    url[hosts..].find('?').map(|at| hosts + at)
}

/// The names and values of a URL's parameters, as they are written.
fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = query_at(url).map_or("", |at| &url[at + 1..]);
    query.split('&').filter_map(|part| part.split_once('='))
}

/// A database URL with further parameters, which it must not hold with other values.
///
/// # Errors
/// [`StoreError::Refused`] when it holds one of them with another value, or is no URL.
pub fn url_with(url: &str, more: &[(&str, &str)]) -> Result<String, StoreError> {
    let mut url = url.to_owned();
    for (name, value) in more {
        if !url.contains("://") {
            return Err(StoreError::Refused(FORM.to_owned()));
        }
        let found = parameters(&url).filter(|(known, _)| known == name).last();
        match found.map(|(_, there)| decoded(there)) {
            Some(there) if there == *value => continue,
            Some(_) => {
                return Err(StoreError::Refused(format!(
                    "the database URL and the setting database_{name} both say what {name} is, and differ: keep one of them"
                )));
            }
            None => {}
        }
        url.push(if query_at(&url).is_some() { '&' } else { '?' });
        let value =
            percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
        let _ = write!(url, "{name}={value}");
    }
    Ok(url)
}

fn decoded(value: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(value).decode_utf8_lossy()
}

/// Takes what the driver's parser does not know out of a URL: libpq's parameters of TLS, and `target_session_attrs=primary`,
/// which the store makes sure of anyway.
fn split(url: &str) -> Result<(String, Wanted), StoreError> {
    let mut found: HashMap<&str, Cow<'_, str>> = HashMap::new();
    let Some(at) = query_at(url) else {
        return Ok((url.to_owned(), Wanted::default()));
    };
    let mut kept = Vec::new();
    for part in url[at + 1..].split('&') {
        match part.split_once('=') {
            Some((name @ ("sslmode" | "sslrootcert" | "sslcert" | "sslkey"), value)) => {
                let value = decoded(value);
                if !value.is_empty() {
                    found.insert(name, value);
                }
            }
            _ if part == "target_session_attrs=primary" => {}
            _ => kept.push(part),
        }
    }
    let get = |name: &str| found.get(name).map(AsRef::as_ref);
    let read = |why: String| StoreError::Refused(format!("the database URL: {why}"));
    let wanted = Wanted {
        mode: get("sslmode").map(Mode::parse).transpose().map_err(read)?,
        files: Files::new(get("sslrootcert"), get("sslcert"), get("sslkey")).map_err(read)?,
    };
    let before = &url[..at];
    let url = match kept.as_slice() {
        [] => before.to_owned(),
        kept => format!("{before}?{}", kept.join("&")),
    };
    Ok((url, wanted))
}

/// The URL as the driver's parser takes it, and what it says of TLS. A second `@` would make a part of the password a host's
/// name, which messages show.
fn readable(url: &str) -> Result<(String, Wanted), StoreError> {
    let before = url.split_once('?').map_or(url, |(before, _)| before);
    // The driver's parser ends the password at the first @, whatever stands before it, and the hosts at the next / or ?.
    let hosts = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('@'))
        .and_then(|(_, rest)| rest.split(['/', '?']).next());
    if before.contains("://") && before.matches('@').count() > 1
        || hosts.is_some_and(|hosts| hosts.contains('@'))
    {
        return Err(StoreError::Refused(format!(
            "{FORM} It holds more than one @ before the parameters."
        )));
    }
    for wanted in ["read-only", "standby", "prefer-standby"] {
        if url.contains(&format!("target_session_attrs={wanted}")) {
            return Err(StoreError::Refused(format!(
                "the database URL asks for target_session_attrs={wanted}, but Tokenward writes: leave the parameter out, or \
                 use read-write"
            )));
        }
    }
    split(url)
}

/// What is wrong with a URL, without any part of it that may be the password's.
fn unreadable(url: &str, error: &tokio_postgres::Error) -> StoreError {
    let text = chain(error);
    // What stands behind the last @ and a ? is a parameter's name, never a part of the password.
    let query = url
        .rsplit_once('@')
        .map_or(url, |(_, rest)| rest)
        .split_once('?');
    let named = query.and_then(|(_, query)| {
        let names = query
            .split('&')
            .filter_map(|part| part.split_once('='))
            .map(|(name, _)| name);
        names.into_iter().find(|name| {
            text.contains(&format!("`{name}`"))
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
    });
    StoreError::Refused(match named {
        Some(name) => format!(
            "the database URL has the parameter {name}, which Tokenward does not know or whose value it cannot use: correct it or leave it out"
        ),
        None => FORM.to_owned(),
    })
}

pub(super) fn borrow(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params
        .iter()
        .map(|param| param as &(dyn ToSql + Sync))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match Target::parse(url, "test") {
            Err(StoreError::Refused(text)) => text,
            other => panic!("{url}: {:?}", other.map(|target| target.place)),
        }
    }

    #[test]
    fn every_host_of_a_url_is_a_server_of_its_own() {
        let target = Target::parse(
            "postgres://u:s%40cret@db1:5433,db2:5434/tokens?target_session_attrs=read-write&options=-csearch_path%3Dx",
            "tokenward",
        )
        .unwrap();
        assert_eq!(target.place, "PostgreSQL at db1:5433,db2:5434");
        assert_eq!(target.database, "tokens");
        for (Server { config, tls, .. }, port) in target.hosts.iter().zip([5433, 5434]) {
            assert_eq!(config.get_ports(), [port]);
            assert_eq!(config.get_hosts().len(), 1);
            assert_eq!(config.get_password(), Some(&b"s@cret"[..]));
            assert_eq!(config.get_options(), Some("-csearch_path=x"));
            assert!(!tls.server.contains("cret"));
        }
        for rest in ["", "connect_timeout=3&"] {
            let url = format!("postgres://u@h/d?{rest}target_session_attrs=primary");
            assert_eq!(
                Target::parse(&url, "t").unwrap().place,
                "PostgreSQL at h:5432"
            );
        }
    }

    #[test]
    fn an_unusable_url_is_refused_without_its_password() {
        let secret = |rest: &str| format!("postgres://u:{rest}");
        for (url, part) in [
            (secret("hun@ter2@db/tokens"), "%40"),
            (secret("hun@ter2/x@db/tokens"), "%40"),
            (secret("?hun@ter2@db/tokens"), "%40"),
            ("mysql://u:hunter2@db/tokens".into(), "postgres://"),
            (secret("hunter2@db:port/tokens"), "postgres://"),
            (secret("hunter2@db/t?sslcrl=/ca.pem"), "parameter sslcrl"),
            (secret("hunter2@db/t?sslcert=/c.pem"), "go together"),
            (
                secret("hunter2@db/t?sslnegotiation=direct"),
                "does not support",
            ),
            (secret("hunter2@db/tokens?hunter2x"), "postgres://"),
            (
                secret("hunter2@a:1,b:2/t?target_session_attrs=standby"),
                "read-write",
            ),
            (
                secret("hunter2@db/t?sslmode=prefer"),
                "falls back to an unencrypted connection",
            ),
            (secret("hunter2@db/t?sslmode=hunter2"), "sslmode is none of"),
            ("postgres:///tokens".into(), "no host"),
        ] {
            let text = refused(&url);
            assert!(text.contains(part), "{url}: {text}");
            assert!(!text.contains("hun") && !text.contains("ter2"), "{text}");
        }
    }

    #[test]
    fn tls_is_verified_by_default_for_other_machines() {
        use Mode::{Disable, Require, VerifyCa, VerifyFull};
        for (url, mode) in [
            ("postgres://u@db/t", VerifyFull),
            ("postgres://u@10.0.0.4/t", VerifyFull),
            ("postgres://u@localhost.example/t", VerifyFull),
            ("postgres://u@db/t?sslmode=", VerifyFull),
            ("postgres://u@db/t?hostaddr=10.0.0.4", VerifyFull),
            ("host=db user=u", VerifyFull),
            ("host=db user=u sslmode=disable", Disable),
            ("postgres://u@localhost/t", Disable),
            ("postgres://u@127.0.0.9/t", Disable),
            ("postgres://u@[::1]/t", Disable),
            ("postgres://u@[::ffff:127.0.0.1]/t", Disable),
            ("postgres://u@db/t?hostaddr=127.0.0.1", Disable),
            ("postgres:///t?user=u&hostaddr=::1", Disable),
            ("postgres://u@%2Frun%2Fpostgresql/t", Disable),
            ("postgres://u@%2Frun/t?sslmode=verify-full", Disable),
            // What is said is done, and what is only for TLS asks for it.
            ("postgres://u@db/t?sslmode=disable", Disable),
            ("postgres://u@localhost/t?sslmode=require", Require),
            ("postgres://u@db/t?sslmode=verify-ca", VerifyCa),
            ("postgres://u@localhost/t?sslrootcert=/ca", VerifyFull),
            ("postgres://u@[::1]/t?channel_binding=require", VerifyFull),
            (
                "postgres://u@localhost/t?channel_binding=require",
                VerifyFull,
            ),
            ("postgres://u:p?sslmode=disable@db/t", VerifyFull),
        ] {
            let target = Target::parse(url, "t").unwrap();
            assert_eq!(target.hosts[0].tls.mode, mode, "{url}");
        }
        let two = Target::parse("postgres://u@localhost,db/t", "t").unwrap();
        let modes: Vec<_> = two.hosts.iter().map(|host| host.tls.mode).collect();
        assert_eq!(modes, [Disable, VerifyFull]);
    }

    #[test]
    fn paths_of_a_url_are_percent_decoded() {
        let path = "/etc/a b&c@d/ca.pem";
        let with = [("sslrootcert", path), ("sslmode", "verify-ca")];
        let url = url_with("postgres://u:a?b@db/t?connect_timeout=3", &with).unwrap();
        let target = Target::parse(&url, "t").unwrap();
        let tls = &target.hosts[0].tls;
        assert_eq!(tls.mode, Mode::VerifyCa);
        let authorities = tls.files.authorities.as_deref();
        assert_eq!(authorities, Some(std::path::Path::new(path)));
        assert_eq!(target.hosts[0].config.get_password(), Some(&b"a?b"[..]));
        // The same again changes nothing, another value is refused.
        assert_eq!(url_with(&url, &[("sslmode", "verify-ca")]).unwrap(), url);
        let differs = url_with(&url, &[("sslmode", "disable")]).unwrap_err();
        assert!(differs.to_string().contains("database_sslmode"));
        let first = url_with("postgres://u@db/t", &[("sslmode", "disable")]).unwrap();
        assert_eq!(first, "postgres://u@db/t?sslmode=disable");
    }

    #[test]
    fn servers_without_a_shown_identity_are_named() {
        for (parameters, plain, unverified) in [
            ("sslmode=disable", "db:5432", ""),
            ("sslmode=require", "", "db:5432 localhost:5432"),
            ("sslmode=require&channel_binding=require", "", ""),
        ] {
            let found = transport(&format!("postgres://u@db,localhost/t?{parameters}")).unwrap();
            assert_eq!(found.plain.join(" "), plain, "{parameters}");
            assert_eq!(found.unverified.join(" "), unverified, "{parameters}");
        }
        let missing = transport("postgres://u:hunter2@db/t?sslrootcert=/no/ca.pem").unwrap_err();
        let told = missing.to_string();
        let expected = "PostgreSQL at db:5432: /no/ca.pem (sslrootcert) can't be read";
        assert!(told.contains(expected), "{told}");
    }
}
