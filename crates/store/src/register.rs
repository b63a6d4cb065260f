//! Entering this process as the one node that writes a database.

use crate::driver::{CommitError, Driver};
use crate::error::StoreError;
use crate::timer;
use crate::value::{Row, Statement};
use std::time::Duration;
use uuid::Uuid;

/// How much longer than its lease a node's clock may have stood still unnoticed, such as in a paused
/// virtual machine.
const PAUSE_MARGIN: Duration = Duration::from_secs(2);
/// Longest a step of the opening may take.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

const SIGN_OFF: &str = "DELETE FROM node WHERE incarnation = $1";

/// How long a start waits before it believes a predecessor's lease to be over: its term and the pause
/// margin, and 1 % for two clocks that may each be wrong by half of it.
fn wait_out(term: Duration) -> Duration {
    (term + PAUSE_MARGIN).mul_f64(1.01)
}

/// Who this node is to a shared database.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// The name kept in the data directory, which its lock makes one process's own: a row with this
    /// name was left by a process that is certainly dead.
    pub id: Uuid,
    /// This process's own name.
    pub incarnation: Uuid,
}

/// Enters this process as the database's node. From the first write on no predecessor can commit or
/// renew, whatever became of its lock; but it may still answer checks from memory, so its lease is
/// waited out, unless the data directory's lock proves it dead. Its name stays in the row until then:
/// should this start be cut short, the next one waits too.
pub(crate) async fn register(
    driver: &mut Driver,
    node: &NodeIdentity,
    term: Duration,
) -> Result<(), StoreError> {
    let (id, incarnation) = (node.id.to_string(), node.incarnation.to_string());
    let mut predecessor: Option<String> = None;
    let mut each = |_: usize, row: &Row<'_>| {
        predecessor = Some(row.text(0)?.to_owned());
        Ok(())
    };
    driver
        .query("SELECT id FROM node", &[vec![]], &mut each)
        .await?;
    let sql = "INSERT INTO node (one, id, incarnation, renewals) VALUES (1, $1, $2, 0)
        ON CONFLICT (one) DO UPDATE SET incarnation = excluded.incarnation, renewals = 0";
    let enter = Statement::one(sql, vec![id.as_str().into(), incarnation.as_str().into()]);
    driver
        .commit(&[enter], COMMIT_TIMEOUT)
        .await
        .map_err(CommitError::into_inner)?;
    if predecessor.is_none_or(|predecessor| predecessor == id) {
        return Ok(());
    }
    if driver.is_shared() {
        let wait = wait_out(term);
        tracing::warn!(
            seconds = wait.as_secs(),
            "another node used this database and did not sign off; waiting until it can no longer answer checks"
        );
        timer::pass(wait).await;
    }
    let sql = "UPDATE node SET id = $1 WHERE incarnation = $2";
    let take_over = Statement::fence(sql, vec![id.as_str().into(), incarnation.as_str().into()]);
    driver
        .commit(&[take_over], COMMIT_TIMEOUT)
        .await
        .map_err(CommitError::into_inner)
}

/// Takes this process's row away again; a row of another process stays. When the database does not take it, the next
/// start waits this one's lease out.
pub(crate) async fn sign_off(driver: &mut Driver, incarnation: &str) {
    let leave = Statement::new(SIGN_OFF, vec![incarnation.into()]);
    if driver.commit(&[leave], COMMIT_TIMEOUT).await.is_err() && driver.is_shared() {
        tracing::warn!(
            "could not sign off from the database; the next node waits until this one's lease is over"
        );
    }
}
