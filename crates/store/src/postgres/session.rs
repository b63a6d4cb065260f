//! One connection to PostgreSQL: how it is made, what it has prepared, what notices it has heard.

use super::lock::Former;
use crate::error::{StoreError, chain};
use crate::value::Value;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::types::ToSql;
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls, SimpleQueryMessage, Socket, Statement,
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
    /// Each server with how to connect to it, in the order of the URL.
    hosts: Vec<(String, Config)>,
    /// All of them, for messages: never with the password.
    pub(crate) place: String,
    pub(crate) database: String,
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
    /// The form of a statement that does the work of many; none where it has none.
    pub(super) batched: HashMap<&'static str, Option<Statement>>,
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
        let attempt = |config: Config| async move {
            let connecting = tokio::time::timeout(CONNECT_MAX, Self::to(&config, purpose));
            connecting.await.unwrap_or_else(|_| {
                let why = format!("no answer within {} s", CONNECT_MAX.as_secs());
                Err(StoreError::Unavailable(why))
            })
        };
        let mut refused = Vec::new();
        for (host, error) in match target.any(attempt).await {
            Ok(session) => return Ok(session),
            Err(errors) => errors,
        } {
            match error {
                StoreError::Unavailable(why) => refused.push(format!("{host}: {why}")),
                error => return Err(error),
            }
        }
        Err(StoreError::Unavailable(format!(
            "PostgreSQL at {}",
            refused.join("; ")
        )))
    }

    async fn to(config: &Config, purpose: Purpose) -> Result<Self, StoreError> {
        let (client, connection) = config.connect(NoTls).await?;
        let noticed = Arc::new(AtomicBool::new(false));
        let hints = Arc::new(Notify::new());
        let (heard, hinted) = (Arc::clone(&noticed), Arc::clone(&hints));
        let connection = tokio::spawn(listen(connection, heard, hinted));
        let mut session = Self {
            client,
            myself: Former {
                pid: 0,
                started: String::new(),
            },
            noticed,
            hints,
            prepared: HashMap::new(),
            batched: HashMap::new(),
            connection,
        };
        session.client.batch_execute(SETTINGS).await?;
        if purpose == Purpose::Write {
            session.client.batch_execute(LOCKING).await?;
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

    /// What is woken by each of them.
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

/// Serves a connection and hears its notices and notifications.
async fn listen(
    mut connection: Connection<Socket, NoTlsStream>,
    heard: Arc<AtomicBool>,
    hinted: Arc<Notify>,
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
            Ok(AsyncMessage::Notification(_)) => hinted.notify_one(),
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

impl Target {
    /// Reads a database URL; `name` is how others see the sessions.
    pub(crate) fn parse(url: &str, name: &str) -> Result<Self, StoreError> {
        let url = readable(url)?;
        let config: Config = url.parse().map_err(|error| unreadable(&url, &error))?;
        let count = config.get_hosts().len().max(config.get_hostaddrs().len());
        if count == 0 {
            return Err(StoreError::Refused(format!("{FORM} It names no host.")));
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(StoreError::Refused(
                "the database URL has sslmode=require, but Tokenward does not encrypt its connections to PostgreSQL. Use a \
                 Unix socket, a private network or a local TLS proxy, and leave the parameter out"
                    .into(),
            ));
        }
        if config.get_ports().len() > 1 && config.get_ports().len() != count {
            return Err(StoreError::Refused(format!(
                "{FORM} It names {count} hosts and {} ports.",
                config.get_ports().len()
            )));
        }
        let hosts: Vec<_> = (0..count).map(|at| one_host(&config, at, name)).collect();
        let names: Vec<&str> = hosts.iter().map(|(host, _)| host.as_str()).collect();
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
        attempt: impl Fn(Config) -> F,
    ) -> Result<T, Vec<(&str, E)>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let attempts = self.hosts.iter().enumerate();
        let mut attempts: FuturesUnordered<_> = attempts
            .map(|(at, (_, config))| attempt(config.clone()).map(move |ended| (at, ended)))
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
            .map(|(at, error)| (self.hosts[at].0.as_str(), error))
            .collect())
    }
}

/// The settings of one of the hosts.
fn one_host(all: &Config, at: usize, name: &str) -> (String, Config) {
    let mut one = Config::new();
    let port = all
        .get_ports()
        .get(at)
        .or(all.get_ports().first())
        .copied()
        .unwrap_or(5432);
    one.port(port);
    let mut label = String::new();
    if let Some(host) = all.get_hosts().get(at) {
        match host {
            Host::Tcp(host) => {
                label.clone_from(host);
                one.host(host);
            }
            Host::Unix(path) => {
                label = path.display().to_string();
                one.host_path(path);
            }
        }
    }
    if let Some(address) = all.get_hostaddrs().get(at) {
        one.hostaddr(*address);
        if label.is_empty() {
            label = address.to_string();
        }
    }
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
        .ssl_mode(all.get_ssl_mode())
        .channel_binding(all.get_channel_binding())
        .connect_timeout(CONNECT_MAX)
        .keepalives_idle(ALIVE_AFTER)
        .keepalives_interval(ALIVE_EVERY)
        .keepalives_retries(ALIVE_TRIES)
        .tcp_user_timeout(ALIVE_AFTER + ALIVE_EVERY * ALIVE_TRIES);
    (format!("{label}:{port}"), one)
}

const FORM: &str = "the database URL is not of the form \
    postgres://user:password@host:port/name?parameter=value. In the user and the password write %40 for @, %3A for :, %2F for /, \
    %3F for ? and %25 for %.";

/// The URL as the driver's parser takes it: `target_session_attrs=primary` is what the store makes sure of anyway, and a
/// second `@` would make a part of the password a host's name, which messages show.
fn readable(url: &str) -> Result<String, StoreError> {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
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
    if !query.contains("target_session_attrs=primary") {
        return Ok(url.to_owned());
    }
    let kept: Vec<&str> = query
        .split('&')
        .filter(|part| *part != "target_session_attrs=primary")
        .collect();
    Ok(match kept.as_slice() {
        [] => before.to_owned(),
        kept => format!("{before}?{}", kept.join("&")),
    })
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
        for ((label, config), port) in target.hosts.iter().zip([5433, 5434]) {
            assert_eq!(config.get_ports(), [port]);
            assert_eq!(config.get_hosts().len(), 1);
            assert_eq!(config.get_password(), Some(&b"s@cret"[..]));
            assert_eq!(config.get_options(), Some("-csearch_path=x"));
            assert!(!label.contains("cret"));
        }
        for primary in [
            "?target_session_attrs=primary",
            "?connect_timeout=3&target_session_attrs=primary",
        ] {
            let target = Target::parse(&format!("postgres://u@h/d{primary}"), "t").unwrap();
            assert_eq!(target.place, "PostgreSQL at h:5432");
        }
    }

    #[test]
    fn an_unusable_url_is_refused_without_its_password() {
        for (url, part) in [
            ("postgres://u:hun@ter2@db/tokens", "%40"),
            ("postgres://u:hun@ter2/x@db/tokens", "%40"),
            ("postgres://u:?hun@ter2@db/tokens", "%40"),
            ("mysql://u:hunter2@db/tokens", "postgres://"),
            ("postgres://u:hunter2@db:port/tokens", "postgres://"),
            (
                "postgres://u:hunter2@db/tokens?sslrootcert=/ca.pem",
                "parameter sslrootcert",
            ),
            ("postgres://u:hunter2@db/tokens?hunter2x", "postgres://"),
            (
                "postgres://u:hunter2@a:1,b:2/t?target_session_attrs=standby",
                "read-write",
            ),
            (
                "postgres://u:hunter2@db/tokens?sslmode=require",
                "TLS proxy",
            ),
            ("postgres:///tokens", "no host"),
        ] {
            let text = refused(url);
            assert!(text.contains(part), "{url}: {text}");
            assert!(!text.contains("hun") && !text.contains("ter2"), "{text}");
        }
    }
}
