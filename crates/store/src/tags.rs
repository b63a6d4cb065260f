//! Words by which people group API clients. Rows that no check asks for, written with the audit entry of the act.

use crate::error::StoreError;
use crate::reader::Reader;
use crate::value::{Row, Statement};
use tokenward_core::ids::{ClientNo, WorkspaceNo};
use tokenward_core::label::Slug;

/// Tags that a list offers to filter by.
const OFFERED: u32 = 100;

/// A write of these rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TagWrite {
    /// A client gets a tag, if it does not have it.
    Added(ClientNo, Slug),
    /// A client loses a tag, if it has it.
    Removed(ClientNo, Slug),
}

const ADD: &str =
    "INSERT INTO client_tag (client, tag) VALUES ($1, $2) ON CONFLICT (client, tag) DO NOTHING";
const REMOVE: &str = "DELETE FROM client_tag WHERE client = $1 AND tag = $2";

/// What a write does to the tables.
pub(crate) fn statements(write: &TagWrite) -> Vec<Statement> {
    let (sql, client, tag) = match write {
        TagWrite::Added(client, tag) => (ADD, client, tag),
        TagWrite::Removed(client, tag) => (REMOVE, client, tag),
    };
    vec![Statement::new(
        sql,
        vec![client.0.into(), tag.as_str().into()],
    )]
}

fn tag(row: &Row<'_>) -> Result<(ClientNo, String), StoreError> {
    Ok((ClientNo(row.count(0)?), row.text(1)?.to_owned()))
}

impl Reader {
    /// The tags of some clients, in alphabetical order.
    pub async fn tags(&self, clients: &[ClientNo]) -> Result<Vec<(ClientNo, String)>, StoreError> {
        if clients.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<String> = clients.iter().map(|no| no.0.to_string()).collect();
        let sql = format!(
            "SELECT client, tag FROM client_tag WHERE client IN ({}) ORDER BY client, tag",
            numbers.join(", ")
        );
        self.rows(sql, vec![], tag).await
    }

    /// Tags of clients of a workspace that are not deleted, in alphabetical order. From one tag to the next by the index:
    /// neither many clients nor many of one tag make it slow.
    pub async fn tags_of_workspace(
        &self,
        workspace: WorkspaceNo,
    ) -> Result<Vec<String>, StoreError> {
        let sql = format!(
            "WITH RECURSIVE known (tag) AS (
                SELECT min(tag) FROM client_tag UNION ALL
                SELECT (SELECT min(g.tag) FROM client_tag g WHERE g.tag > known.tag) FROM known WHERE known.tag IS NOT NULL
            )
            SELECT tag FROM known WHERE tag IS NOT NULL AND EXISTS (
                SELECT 1 FROM client_tag g JOIN client c ON c.no = g.client
                WHERE g.tag = known.tag AND c.workspace = $1 AND c.deleted_at IS NULL
            ) ORDER BY tag LIMIT {OFFERED}"
        );
        let decode = |row: &Row<'_>| Ok(row.text(0)?.to_owned());
        self.rows(sql, vec![workspace.0.into()], decode).await
    }
}
