//! The secrets of API clients, read beside the writer. What is asked for while a query is under way is read by the next one,
//! so that a flood of wrong secrets costs the database one query for many of them.

use super::Reader;
use crate::error::StoreError;
use crate::rows;
use crate::value::{Row, Value};
use parking_lot::Mutex;
use std::sync::Arc;
use tokenward_core::client::{SECRETS, SecretRecord};
use tokenward_core::ids::{ClientId, Environment};
use tokio::sync::oneshot;

const SECRETS_BY_ID: &str =
    "SELECT environment, secret1_n, secret1_digest, secret1_key, secret1_at,
    secret2_n, secret2_digest, secret2_key, secret2_at FROM client WHERE id = $1";
/// Clients of one query at most.
const TOGETHER_MAX: usize = 256;
/// Questions that may wait: as many as decisions that may wait for the writer.
const WAITING_MAX: usize = crate::queue::WAITING_MAX;

/// What proves who holds a secret of an API client.
#[derive(Clone, Copy, Debug)]
pub struct ClientSecrets {
    /// The client's environment.
    pub environment: Environment,
    /// Its secrets, each at its position.
    pub secrets: [Option<SecretRecord>; SECRETS],
}

type Found = Result<Option<ClientSecrets>, StoreError>;

/// Questions that wait for the next query.
#[derive(Default)]
pub(super) struct Questions(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    questions: Vec<(ClientId, oneshot::Sender<Found>)>,
    /// Whether a task reads, which takes what comes meanwhile.
    is_reading: bool,
}

/// A task that reads. When it panics, the next question begins another one.
struct Reading(Arc<Questions>);

impl Drop for Reading {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.lock().is_reading = false;
        }
    }
}

impl Reader {
    /// The secrets of a client, by a query that begins after this call; none when there is no such client.
    ///
    /// # Errors
    /// Those of the query; [`StoreError::Unavailable`] when too many wait.
    pub async fn secrets(&self, id: ClientId) -> Found {
        let (reply, found) = oneshot::channel();
        let begins = {
            let mut waiting = self.questions.0.lock();
            if waiting.questions.len() >= WAITING_MAX {
                return Err(StoreError::Unavailable("too many queries wait".into()));
            }
            waiting.questions.push((id, reply));
            !std::mem::replace(&mut waiting.is_reading, true)
        };
        if begins {
            // A task of its own: a caller may go away, and others wait for its query.
            tokio::spawn(self.clone().read_secrets());
        }
        let lost = |_| Err(StoreError::Unavailable("the query was given up".into()));
        found.await.unwrap_or_else(lost)
    }

    /// Reads for those who wait until there are none.
    async fn read_secrets(self) {
        let _reading = Reading(Arc::clone(&self.questions));
        loop {
            let some: Vec<_> = {
                let mut waiting = self.questions.0.lock();
                // Who asked may be gone.
                waiting.questions.retain(|(_, reply)| !reply.is_closed());
                let count = waiting.questions.len().min(TOGETHER_MAX);
                waiting.is_reading = count > 0;
                waiting.questions.drain(..count).collect()
            };
            if some.is_empty() {
                return;
            }
            let lists = some.iter().map(|(id, _)| vec![Value::from(id.0)]).collect();
            let mut found = match self.rows_of_lists(SECRETS_BY_ID, lists, read).await {
                Ok(rows) => rows,
                Err(error) => {
                    let text = error.to_string();
                    for (_, reply) in some {
                        let _ = reply.send(Err(StoreError::Unavailable(text.clone())));
                    }
                    continue;
                }
            };
            found.sort_unstable_by_key(|(place, _)| *place);
            let mut found = found.into_iter().peekable();
            for (place, (_, reply)) in some.into_iter().enumerate() {
                let row = found.next_if(|(of, _)| *of == place);
                let _ = reply.send(row.map(|(_, secrets)| secrets).transpose());
            }
        }
    }
}

/// A row; one that can't be read is the fault of its own question only.
fn read(row: &Row<'_>) -> Result<Result<ClientSecrets, StoreError>, StoreError> {
    let secrets = || {
        Ok(ClientSecrets {
            environment: rows::environment(row.int(0)?)?,
            secrets: [rows::secret(row, 1)?, rows::secret(row, 5)?],
        })
    };
    Ok(secrets())
}
