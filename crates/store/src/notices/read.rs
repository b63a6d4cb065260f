//! Reading the outbox and who is told.

use super::{Listening, NewNotice, Notice, Preferences, Target, Told, Webhook};
use crate::error::StoreError;
use crate::reader::{PAGE_MAX, Reader, Use, client_and_use};
use crate::rows::{self, select_client};
use crate::value::{Row, Value};
use tokenward_core::client::ClientState;
use tokenward_core::ids::{ClientId, ClientNo, WorkspaceId};
use tokenward_core::time::Timestamp;
use uuid::Uuid;

pub(crate) const SELECT_WEBHOOKS: &str =
    "SELECT id, workspace, url, secret, former_secret, former_till, created_at, disabled_at,
    preferences FROM webhook WHERE workspace = $1 ORDER BY created_at, id";
const SELECT_WEBHOOK: &str =
    "SELECT id, workspace, url, secret, former_secret, former_till, created_at, disabled_at,
    preferences FROM webhook WHERE id = $1";
const SELECT_NOTICE: &str =
    "SELECT no, id, key, target, recipient, workspace, client, kind, body, created_at, attempts,
    due_at, done_at, last_error, held FROM notice";
/// The entries somebody may want to hear of; the engines skip the others.
const SELECT_TOLD: &str = "SELECT a.seq, a.at, a.actor, a.source, a.action, a.workspace, a.client, a.detail, a.hash, c.label,
    c.environment, c.emails FROM audit a JOIN client c ON c.id = a.client WHERE a.seq > $1 AND a.seq <= $2 AND
    (c.emails <> '' OR EXISTS (SELECT 1 FROM webhook h WHERE h.workspace = a.workspace AND h.disabled_at IS NULL))
    ORDER BY a.seq";
const LISTENING: &str =
    "SELECT (SELECT count(*) FROM (SELECT 1 FROM webhook WHERE disabled_at IS NULL LIMIT 1) AS w),
    (SELECT count(*) FROM (SELECT 1 FROM client WHERE emails <> '' LIMIT 1) AS c)";

pub(crate) fn webhook(row: &Row<'_>) -> Result<Webhook, StoreError> {
    let bytes = |column: usize| -> Result<Option<Vec<u8>>, StoreError> {
        Ok(row.bytes_or_null(column)?.map(<[u8]>::to_vec))
    };
    let till = row.int_or_null(5)?.map(Timestamp);
    Ok(Webhook {
        id: Uuid::from_bytes(row.bytes(0)?),
        workspace: WorkspaceId(Uuid::from_bytes(row.bytes(1)?)),
        url: row.text(2)?.to_owned(),
        secret: bytes(3)?.unwrap_or_default(),
        former: bytes(4)?.zip(till),
        created_at: Timestamp(row.int(6)?),
        disabled_at: row.int_or_null(7)?.map(Timestamp),
        preferences: Preferences::parse(row.text(8)?)?,
    })
}

fn notice(row: &Row<'_>) -> Result<Notice, StoreError> {
    let client = row.bytes_or_null(6)?;
    Ok(Notice {
        no: row.int(0)?.cast_unsigned(),
        made: NewNotice {
            id: Uuid::from_bytes(row.bytes(1)?),
            key: row.text(2)?.to_owned(),
            target: Target::parse(row.text(3)?)?,
            recipient: row.text(4)?.to_owned(),
            workspace: WorkspaceId(Uuid::from_bytes(row.bytes(5)?)),
            client: client
                .and_then(|bytes| Uuid::from_slice(bytes).ok())
                .map(ClientId),
            kind: row.text(7)?.to_owned(),
            body: row.text(8)?.to_owned(),
            at: Timestamp(row.int(9)?),
            // Whether it is in a mail with others is said by `held`, when by `due_at`.
            digest_at: None,
        },
        attempts: row.count(10)?,
        due_at: row.int_or_null(11)?.map(Timestamp),
        done_at: row.int_or_null(12)?.map(Timestamp),
        last_error: row.text(13)?.to_owned(),
        held: row.int(14)? != 0,
    })
}

fn told(row: &Row<'_>) -> Result<Told, StoreError> {
    let emails = row.text(11)?.split(',').filter(|text| !text.is_empty());
    Ok(Told {
        entry: rows::audit(row)?,
        label: row.text(9)?.to_owned(),
        environment: rows::environment(row.int(10)?)?,
        emails: emails.map(str::to_owned).collect(),
    })
}

impl Reader {
    /// Up to which audit entry notices were made.
    pub async fn followed(&self) -> Result<u64, StoreError> {
        let sql = "SELECT seq FROM notice_cursor";
        let seq = self.row(sql, vec![], |row| Ok(row.int(0)?.cast_unsigned()));
        Ok(seq.await?.unwrap_or(0))
    }

    /// Whether anybody wants to hear anything.
    pub async fn listening(&self) -> Result<Listening, StoreError> {
        let decode = |row: &Row<'_>| {
            Ok(Listening {
                webhooks: row.int(0)? > 0,
                emails: row.int(1)? > 0,
            })
        };
        let found = self.row(LISTENING, vec![], decode).await?;
        found.ok_or_else(|| StoreError::Damaged("a count without a row".into()))
    }

    /// The audit entries behind `after` up to `until` about clients that somebody may want to hear of.
    pub async fn told(&self, after: u64, until: u64) -> Result<Vec<Told>, StoreError> {
        let params: Vec<Value> = vec![after.cast_signed().into(), until.cast_signed().into()];
        self.rows(SELECT_TOLD, params, told).await
    }

    /// Clients not deleted that somebody may want to hear of, in the order of their creation.
    pub async fn clients_told_of(
        &self,
        after: Option<ClientNo>,
    ) -> Result<Vec<(ClientState, Option<Use>)>, StoreError> {
        let sql = concat!(
            select_client!(
                and_use,
                "WHERE c.no > $1 AND c.deleted_at IS NULL AND (c.emails <> '' OR EXISTS
                (SELECT 1 FROM webhook h WHERE h.workspace = w.id AND h.disabled_at IS NULL)) ORDER BY c.no LIMIT "
            ),
            "1000"
        );
        let after = after.map_or(-1, |no| i64::from(no.0));
        self.rows(sql, vec![after.into()], client_and_use).await
    }

    /// Every webhook of a workspace.
    pub async fn webhooks(&self, workspace: WorkspaceId) -> Result<Vec<Webhook>, StoreError> {
        let params = vec![workspace.0.into()];
        self.rows(SELECT_WEBHOOKS, params, webhook).await
    }

    /// One webhook.
    pub async fn webhook(&self, id: Uuid) -> Result<Option<Webhook>, StoreError> {
        self.row(SELECT_WEBHOOK, vec![id.into()], webhook).await
    }

    /// Notices of a workspace, the newest first, those before `before`.
    pub async fn notices(
        &self,
        workspace: WorkspaceId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Notice>, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let sql = format!(
            "{SELECT_NOTICE} WHERE workspace = $1 AND no < $2 ORDER BY no DESC LIMIT {limit}"
        );
        let before = before.map_or(i64::MAX, u64::cast_signed);
        self.rows(sql, vec![workspace.0.into(), before.into()], notice)
            .await
    }

    /// The next target behind `after` for which a notice is due, or will be. Each is found by one look into
    /// an index, however many notices wait for those before it.
    pub async fn next_target(&self, after: Option<&Target>) -> Result<Option<Target>, StoreError> {
        let sql = "SELECT min(target) FROM notice WHERE due_at IS NOT NULL AND target > $1";
        let after = after.map_or_else(String::new, Target::text);
        let decode = |row: &Row<'_>| row.text_or_null(0)?.map(Target::parse).transpose();
        Ok(self.row(sql, vec![after.into()], decode).await?.flatten())
    }

    /// The notices to an address that were held back and are due by `now`, the oldest first.
    pub async fn held(
        &self,
        recipient: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Notice>, StoreError> {
        let sql = format!(
            "{SELECT_NOTICE} WHERE target = 'mail' AND due_at <= $1 AND recipient = $2 AND held = 1 ORDER BY no LIMIT {limit}"
        );
        self.rows(sql, vec![now.into(), recipient.into()], notice)
            .await
    }

    /// The notices due for a target, the longest due first.
    pub async fn due(
        &self,
        target: &Target,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Notice>, StoreError> {
        let sql = format!(
            "{SELECT_NOTICE} WHERE target = $1 AND due_at <= $2 ORDER BY due_at, no LIMIT {limit}"
        );
        self.rows(sql, vec![target.text().into(), now.into()], notice)
            .await
    }
}
