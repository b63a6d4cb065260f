//! The pool that reads for people and programs.

use super::{PATIENCE, session};
use crate::error::StoreError;
use crate::value::{Row, Value};
use futures_util::TryStreamExt;
use std::pin::pin;
use tokio_postgres::NoTls;

/// Connections for reading: enough for the console, few beside a server's hundred.
const READERS: usize = 4;

/// The pool; it connects when first used.
pub(crate) fn readers(url: &str) -> Result<deadpool_postgres::Pool, StoreError> {
    let mut config = session::config(url, "tokenward reader")?;
    let own = config.get_options().unwrap_or_default();
    let options = format!("{own} -c statement_timeout=10s -c default_transaction_read_only=on");
    config.options(options.trim());
    let manager = deadpool_postgres::Manager::new(config, NoTls);
    deadpool_postgres::Pool::builder(manager)
        .max_size(READERS)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Reads rows through the pool.
pub(crate) async fn read(
    pool: &deadpool_postgres::Pool,
    sql: &str,
    params: &[Value],
    each: &mut (dyn FnMut(&Row<'_>) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let client = pool
        .get()
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
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
