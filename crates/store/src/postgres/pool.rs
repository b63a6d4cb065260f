//! The pool that reads beside the writer, for people, for programs and for calls with a secret that may be guessed.

use super::session::{self, Purpose, Server, Target, state};
use super::{STATEMENT_TIMEOUT, batch};
use crate::error::{StoreError, chain};
use crate::value::{Row, Value};
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

/// Whether the server shows a renewal or a later one.
const SHOWS: &str = "SELECT 1 FROM node WHERE incarnation = $1 AND attempt >= $2";
/// Connections for reading: enough for the console, few beside a server's hundred.
const READERS: usize = 4;
/// Set after connecting, not while: a pooler refuses options it does not know, and a server that is asked for a session
/// that only reads may be refused for a session that writes. Each plan is made for the tables as they are: one that was made for
/// short tables reads all of them.
const SETTINGS: &str = "SET statement_timeout = '10s'; SET default_transaction_read_only = on;
    SET plan_cache_mode = force_custom_plan";

/// A renewal that was acknowledged: a server that shows it, or a later one, has what was durable before it.
#[derive(Clone, Debug)]
struct Bound {
    incarnation: String,
    attempt: i64,
}

/// The connections that read. Each leads to a server that showed the first renewal of the session that keeps the lease: a
/// server that was the primary before may answer for ever, and is believed for one lease at the longest.
#[derive(Clone)]
pub(crate) struct Readers(Arc<Shared>);

struct Shared {
    target: Target,
    bound: Arc<Mutex<Option<Bound>>>,
    /// Replaced whole, so that a connection that is in use is not used again.
    pool: Mutex<Pool>,
}

impl Readers {
    /// For the database at this URL; they connect when first used.
    pub(crate) fn new(url: &str) -> Result<Self, StoreError> {
        let target = Target::parse(url, "tokenward reader")?;
        let bound = Arc::default();
        let pool = Mutex::new(pool(&target, &bound)?);
        Ok(Self(Arc::new(Shared {
            target,
            bound,
            pool,
        })))
    }

    /// From now on only servers that show this renewal are read. To be called before anything rests on the lease that it gives.
    pub(crate) fn bind(&self, incarnation: String, attempt: i64) -> Result<(), StoreError> {
        *self.0.bound.lock() = Some(Bound {
            incarnation,
            attempt,
        });
        self.renew()
    }

    /// Gives all connections up.
    pub(crate) fn renew(&self) -> Result<(), StoreError> {
        let fresh = pool(&self.0.target, &self.0.bound)?;
        *self.0.pool.lock() = fresh;
        Ok(())
    }

    fn current(&self) -> Pool {
        self.0.pool.lock().clone()
    }
}

/// Makes sure that a connection may be read through, and sets it up.
async fn suits(client: &Client, bound: &Mutex<Option<Bound>>) -> Result<(), StoreError> {
    state(client).await?.serves(Purpose::Read)?;
    session::keep_to_one_schema(client).await?;
    client.batch_execute(SETTINGS).await?;
    let bound = bound.lock().clone();
    let Some(Bound {
        incarnation,
        attempt,
    }) = bound
    else {
        return Ok(());
    };
    let found = client.query_opt(SHOWS, &[&incarnation, &attempt]).await?;
    let behind = || {
        StoreError::Unavailable(
            "the server is not the one that this node renews its lease on".into(),
        )
    };
    found.map(|_| ()).ok_or_else(behind)
}

/// Connects to the server that is no standby, and on which the lease is renewed.
struct Connector {
    target: Target,
    bound: Arc<Mutex<Option<Bound>>>,
}

impl deadpool_postgres::Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        Box::pin(async move {
            let attempt = |server: Server| async move {
                let (client, connection) = server.connect().await.map_err(Err)?;
                let serving = tokio::spawn(async move { drop(connection.await) });
                match suits(&client, &self.bound).await {
                    Ok(()) => Ok((client, serving)),
                    Err(_) => Err(Ok((client, serving))),
                }
            };
            let refused = match self.target.any(attempt).await {
                Ok(connected) => return Ok(connected),
                Err(refused) => refused,
            };
            // A target has at least one host; one that does not suit is refused by the pool's hook.
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

fn pool(target: &Target, bound: &Arc<Mutex<Option<Bound>>>) -> Result<Pool, StoreError> {
    let connector = Connector {
        target: target.clone(),
        bound: Arc::clone(bound),
    };
    let manager = Manager::from_connect(Config::new(), connector, ManagerConfig::default());
    let bound = Arc::clone(bound);
    let check = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let bound = Arc::clone(&bound);
        Box::pin(async move {
            let suits = suits(client, &bound).await;
            suits.map_err(|error| HookError::message(error.to_string()))
        })
    });
    Pool::builder(manager)
        .max_size(READERS)
        .post_create(check)
        .wait_timeout(Some(STATEMENT_TIMEOUT))
        .create_timeout(Some(STATEMENT_TIMEOUT))
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Takes a row with the place of its parameter list.
type EachRow<'a> = &'a mut (dyn FnMut(usize, &Row<'_>) -> Result<(), StoreError> + Send);

/// Reads the rows of a query for each of these parameter lists through the pool. A connection that fails before the first row
/// is thrown away and another one asked once: it may have died unnoticed, or lead to a server that is no longer the primary.
pub(crate) async fn read(
    readers: &Readers,
    sql: &str,
    lists: &[Vec<Value>],
    each: EachRow<'_>,
) -> Result<(), StoreError> {
    let pool = readers.current();
    let mut read = 0_usize;
    let mut counted = |place: usize, row: &Row<'_>| {
        read += 1;
        each(place, row)
    };
    let client = get(&pool).await?;
    let Err(error) = run(&client, sql, lists, &mut counted).await else {
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
    readers.renew()?;
    if read > 0 {
        return Err(error);
    }
    run(&get(&readers.current()).await?, sql, lists, each).await
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
    lists: &[Vec<Value>],
    each: EachRow<'_>,
) -> Result<(), StoreError> {
    let one = client.prepare_cached(sql).await?;
    if let [params] = lists {
        let mut rows = pin!(client.query_raw(&one, session::borrow(params)).await?);
        while let Some(row) = rows.try_next().await? {
            each(0, &Row::Postgres(&row))?;
        }
        return Ok(());
    }
    let many = client
        .prepare_cached(&batch::query_of_lists(sql, &one)?)
        .await?;
    for (place, row) in batch::ask(client, batch::question_of_many(many, lists)).await? {
        each(place, &Row::Postgres(&row))?;
    }
    Ok(())
}
