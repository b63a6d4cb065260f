//! Whether a database suits Tokenward at all, asked once at a start: what would otherwise show as a puzzling fault far from
//! its cause, or as two nodes at once, is refused with a sentence that says what to do.

use super::session::{Purpose, Server, Session, Target, state};
use crate::error::StoreError;
use crate::schema;
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;

/// Connections made to find a pooler out; the first one does unless the pooler hands its sessions round.
const PROBES: usize = 2;
/// The longest a probe may take.
const PROBE: Duration = Duration::from_secs(3);

/// Refuses a pooler that hands sessions from client to client, before anything that needs a session of one's own.
pub(super) async fn pooler(target: &Target, session: &Session) -> Result<(), StoreError> {
    let refused = || {
        StoreError::Refused(format!(
            "{} is a connection pooler that gives each transaction another session (pool_mode=transaction or statement). \
             Tokenward needs sessions of its own: name PostgreSQL's own host and port in the database URL, or set \
             pool_mode=session for this database",
            target.place
        ))
    };
    let mut held = Vec::new();
    for _ in 0..PROBES {
        // Without a second connection nothing is shown either way.
        let Some(probe) = probe(target).await else {
            break;
        };
        if probe.1 == session.myself.pid
            || state(&session.client).await?.pid() != session.myself.pid
        {
            return Err(refused());
        }
        held.push(probe);
    }
    Ok(())
}

/// A connection within a transaction, and the process that serves it; it ends when dropped.
async fn probe(target: &Target) -> Option<(tokio_postgres::Client, i32)> {
    let attempt = |server: Server| async move {
        let (client, connection) = server.connect().await?;
        tokio::spawn(async move { drop(connection.await) });
        // Statement pooling refuses to begin; the answer tells the process all the same.
        let _ = client.batch_execute("BEGIN").await;
        let state = state(&client).await?;
        state.serves(Purpose::Write)?;
        Ok::<_, StoreError>((client, state.pid()))
    };
    let probing = async { target.any(attempt).await.ok() };
    tokio::time::timeout(PROBE, probing).await.ok().flatten()
}

/// Refuses a database of another encoding, or one whose tables this role may not use.
pub(super) async fn database(target: &Target, session: &Session) -> Result<(), StoreError> {
    let encoding = one(session, "SHOW server_encoding").await?;
    if encoding != "UTF8" {
        let name = &target.database;
        return Err(StoreError::Refused(format!(
            "the database {name:?} has the encoding {encoding}, and Tokenward needs UTF8: create another one with \
             CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )));
    }
    let tables: Vec<String> = schema::tables()
        .into_iter()
        .map(|name| format!("('{name}')"))
        .collect();
    let lacking = format!(
        "SELECT coalesce(string_agg(p.name || ' on ' || t.name, ', ' ORDER BY t.name, p.name), '')
         FROM (VALUES {}) AS t (name), (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS p (name)
         WHERE to_regclass(t.name) IS NOT NULL AND NOT has_table_privilege(to_regclass(t.name), p.name)",
        tables.join(", ")
    );
    let lacking = one(session, &lacking).await?;
    if !lacking.is_empty() {
        let role = one(session, "SELECT current_user").await?;
        return Err(StoreError::Refused(format!(
            "the role {role:?} lacks privileges in the database {:?}: {lacking}. Grant them, or make the role the tables' owner",
            target.database
        )));
    }
    Ok(())
}

/// The one value a query answers.
async fn one(session: &Session, sql: &str) -> Result<String, StoreError> {
    let messages = session.client.simple_query(sql).await?;
    let value = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(value.unwrap_or_default().to_owned())
}
