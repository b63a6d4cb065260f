//! What a new version fills in and SQL can't compute. Repeated at each start until nothing is left, so that a start that
//! was cut short is made up for; it must never change what a person wrote.

use crate::driver::Driver;
use crate::error::StoreError;
use crate::value::{Statement, Value};
use std::time::Duration;
use tokenward_core::label::Label;

/// Longest one step may take.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);

const WITHOUT_KEY: &str = "SELECT no, label FROM client WHERE label_key IS NULL AND deleted_at IS NULL ORDER BY no LIMIT 1000";
const SET_KEY: &str = "UPDATE client SET label_key = $1 WHERE no = $2";

/// Gives each client that is not deleted the key its label is compared by. The labels stay as they are, also those that
/// have one key.
pub(crate) async fn label_keys(driver: &mut Driver) -> Result<(), StoreError> {
    loop {
        let updates = driver.rows(WITHOUT_KEY, vec![], |row| {
            let label = Label::stored(row.text(1)?);
            let label = label.map_err(|why| StoreError::Damaged(why.0))?;
            let params: Vec<Value> = vec![label.key().into(), row.int(0)?.into()];
            Ok(Statement::one(SET_KEY, params))
        });
        let updates = updates.await?;
        if updates.is_empty() {
            return Ok(());
        }
        driver.commit(&updates, COMMIT_TIMEOUT).await?;
    }
}
