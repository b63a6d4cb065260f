//! The pool that reads for people and programs.

use super::STATEMENT_TIMEOUT;
use super::session::{self, Purpose, Server, Target, state};
use crate::error::{StoreError, chain};
use crate::value::{Row, Value};
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use std::pin::pin;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

/// Connections for reading: enough for the console, few beside a server's hundred.
const READERS: usize = 4;
/// Set after connecting, not while: a pooler refuses options it does not know, and a server that is asked for a session
/// that only reads may be refused for a session that writes.
const SETTINGS: &str = "SET statement_timeout = '10s'; SET default_transaction_read_only = on";

/// Connects to the server that is no standby.
struct Connector(Target);

impl deadpool_postgres::Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        Box::pin(async {
            let attempt = |server: Server| async move {
                let (client, connection) = server.connect().await.map_err(Err)?;
                let serving = tokio::spawn(async move { drop(connection.await) });
                let serves = state(&client)
                    .await
                    .and_then(|state| state.serves(Purpose::Read));
                match serves {
                    Ok(()) => Ok((client, serving)),
                    Err(_) => Err(Ok((client, serving))),
                }
            };
            let refused = match self.0.any(attempt).await {
                Ok(connected) => return Ok(connected),
                Err(refused) => refused,
            };
            // A target has at least one host; a standby is refused by the pool's hook.
            match refused.into_iter().next_back() {
                Some((_, last)) => last,
                None => Config::new()
                    .connect(NoTls)
                    .await
                    .map(|(client, _)| (client, tokio::spawn(async {}))),
            }
        })
    }
}

/// The pool; it connects when first used.
pub(crate) fn readers(url: &str) -> Result<Pool, StoreError> {
    let target = Target::parse(url, "tokenward reader")?;
    let manager = Manager::from_connect(Config::new(), Connector(target), ManagerConfig::default());
    let set_up = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move {
            let state = state(client)
                .await
                .map_err(|error| HookError::message(error.to_string()))?;
            let serves = state.serves(Purpose::Read);
            serves.map_err(|error| HookError::message(error.to_string()))?;
            let kept = session::keep_to_one_schema(client).await;
            kept.map_err(|error| HookError::message(error.to_string()))?;
            client
                .batch_execute(SETTINGS)
                .await
                .map_err(HookError::Backend)
        })
    });
    Pool::builder(manager)
        .max_size(READERS)
        .post_create(set_up)
        .wait_timeout(Some(STATEMENT_TIMEOUT))
        .create_timeout(Some(STATEMENT_TIMEOUT))
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Reads rows through the pool. A connection that fails before the first row is thrown away and another one asked once:
/// it may have died unnoticed, or lead to a server that is no longer the primary.
pub(crate) async fn read(
    pool: &Pool,
    sql: &str,
    params: &[Value],
    each: &mut (dyn FnMut(&Row<'_>) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let mut read = 0_usize;
    let mut counted = |row: &Row<'_>| {
        read += 1;
        each(row)
    };
    let client = get(pool).await?;
    let Err(error) = run(&client, sql, params, &mut counted).await else {
        return Ok(());
    };
    let sound = state(&client)
        .await
        .and_then(|state| state.serves(Purpose::Read));
    if sound.is_ok() {
        return Err(error);
    }
    drop(Object::take(client));
    // Those beside it died with it.
    pool.retain(|_, _| false);
    if read > 0 {
        return Err(error);
    }
    run(&get(pool).await?, sql, params, each).await
}

async fn get(pool: &Pool) -> Result<Object, StoreError> {
    let got = pool.get().await;
    got.map_err(|error| match error {
        PoolError::Backend(error) => error.into(),
        error => StoreError::Unavailable(chain(&error)),
    })
}

async fn run(
    client: &Object,
    sql: &str,
    params: &[Value],
    each: &mut (dyn FnMut(&Row<'_>) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let statement = client.prepare_cached(sql).await?;
    let mut rows = pin!(
        client
            .query_raw(&statement, session::borrow(params))
            .await?
    );
    while let Some(row) = rows.try_next().await? {
        each(&Row::Postgres(&row))?;
    }
    Ok(())
}
