//! Words by which people group API clients. Rows that no check asks for, written with the audit entry of the act.

use crate::error::StoreError;
use crate::reader::Reader;
use crate::value::{self, Row, Statement};
use tokenward_core::ids::{ClientNo, WorkspaceNo};
use tokenward_core::label::Slug;

/// Tags that a list offers to filter by.
const OFFERED: u32 = 100;

/// A write of these rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TagWrite {
    /// A client of a workspace gets a tag, if it does not have it.
    Added(ClientNo, WorkspaceNo, Slug),
    /// A client loses a tag, if it has it.
    Removed(ClientNo, Slug),
}

const ADD: &str = "INSERT INTO client_tag (client, tag, workspace) VALUES ($1, $2, $3)
    ON CONFLICT (client, tag) DO NOTHING";
const REMOVE: &str = "DELETE FROM client_tag WHERE client = $1 AND tag = $2";

/// What a write does to the tables.
pub(crate) fn statements(write: &TagWrite) -> Vec<Statement> {
    let statement = match write {
        TagWrite::Added(client, workspace, tag) => {
            let row = vec![client.0.into(), tag.as_str().into(), workspace.0.into()];
            Statement::new(ADD, row)
        }
        TagWrite::Removed(client, tag) => {
            Statement::new(REMOVE, vec![client.0.into(), tag.as_str().into()])
        }
    };
    vec![statement]
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
        let (places, numbers) = value::list(clients.iter().map(|no| no.0.into()).collect());
        let sql = format!(
            "SELECT client, tag FROM client_tag WHERE client IN ({places}) ORDER BY client, tag"
        );
        self.rows(sql, numbers, tag).await
    }

    /// Tags of clients of a workspace that are not deleted, in alphabetical order. From one tag to the next by the index:
    /// neither many clients nor other workspaces make it slow.
    pub async fn tags_of_workspace(
        &self,
        workspace: WorkspaceNo,
    ) -> Result<Vec<String>, StoreError> {
        let sql = format!(
            "WITH RECURSIVE known (tag) AS (
                SELECT min(tag) FROM client_tag WHERE workspace = $1 UNION ALL
                SELECT (SELECT min(g.tag) FROM client_tag g WHERE g.workspace = $1 AND g.tag > known.tag)
                FROM known WHERE known.tag IS NOT NULL
            )
            SELECT tag FROM known WHERE tag IS NOT NULL AND EXISTS (
                SELECT 1 FROM client_tag g JOIN client c ON c.no = g.client
                WHERE g.workspace = $1 AND g.tag = known.tag AND c.deleted_at IS NULL
            ) LIMIT {OFFERED}"
        );
        let decode = |row: &Row<'_>| Ok(row.text(0)?.to_owned());
        let mut tags = self.rows(sql, vec![workspace.0.into()], decode).await?;
        tags.sort();
        Ok(tags)
    }
}
