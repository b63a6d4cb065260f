//! One connection to PostgreSQL: how it is made, what it has prepared, what notices it has heard.

use super::lock::Former;
use crate::error::StoreError;
use crate::value::Value;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Statement};

/// How long the end of a session in good order may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// Both sides notice within about twelve seconds that the other's machine is gone; otherwise a lock
/// would outlive its holder by hours.
const ALIVE_AFTER: Duration = Duration::from_secs(5);
const ALIVE_EVERY: Duration = Duration::from_secs(2);
const ALIVE_TRIES: u32 = 3;
/// A session's own settings.
const SETTINGS: &str = "SET synchronous_commit = on; SET client_min_messages = warning;
    SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3";
/// The statement timeout lies below the driver's patience, so that a slow statement ends with an
/// answer rather than with the connection.
pub(super) const HURRY: &str = "SET statement_timeout = '8s'";

pub(super) struct Session {
    pub(super) client: Client,
    /// The process that serves this session, as `pg_stat_activity` shows it.
    pub(super) myself: Former,
    /// Set when the server sent a notice since it was last cleared.
    noticed: Arc<AtomicBool>,
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

impl Session {
    pub(super) async fn connect(config: &Config) -> Result<Self, StoreError> {
        let (client, mut connection) = config.connect(NoTls).await?;
        let noticed = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&noticed);
        let connection = tokio::spawn(async move {
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
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!("the connection to PostgreSQL ended: {error}");
                        break;
                    }
                }
            }
        });
        client.batch_execute(SETTINGS).await?;
        client.batch_execute(HURRY).await?;
        let myself =
            "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let row = client.query_one(myself, &[]).await?;
        let myself = Former {
            pid: row.get(0),
            started: row.get(1),
        };
        Ok(Self {
            client,
            myself,
            noticed,
            prepared: HashMap::new(),
            batched: HashMap::new(),
            connection,
        })
    }

    /// Ends the session in good order: its lock is free when this returns.
    pub(super) async fn close(self) {
        let unlock = self.client.batch_execute("SELECT pg_advisory_unlock_all()");
        let _ = tokio::time::timeout(FAREWELL, unlock).await;
    }

    pub(super) async fn prepare(&mut self, sql: &'static str) -> Result<Statement, StoreError> {
        if let Some(prepared) = self.prepared.get(sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(sql).await?;
        self.prepared.insert(sql, prepared.clone());
        Ok(prepared)
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

/// The settings a connection is made with; `name` is how others see it.
pub(super) fn config(url: &str, name: &str) -> Result<Config, StoreError> {
    // The parser's own error may repeat the password.
    let mut config: Config = url.parse().map_err(|_| {
        StoreError::Unavailable(
            "the database URL is not of the form postgres://user:password@host:port/name".into(),
        )
    })?;
    config
        .application_name(name)
        .connect_timeout(Duration::from_secs(5))
        .keepalives_idle(ALIVE_AFTER)
        .keepalives_interval(ALIVE_EVERY)
        .keepalives_retries(ALIVE_TRIES)
        .tcp_user_timeout(ALIVE_AFTER + ALIVE_EVERY * ALIVE_TRIES);
    Ok(config)
}

pub(super) fn borrow(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params
        .iter()
        .map(|param| param as &(dyn ToSql + Sync))
        .collect()
}
