//! Reading for people and programs: lists, single things, the audit log, and the secrets that a call may be guessing. Never
//! part of a check, and never what a change is based on.

mod filters;
mod secrets;

pub use filters::{AuditFilter, ClientFilter, ClientOrder, StateFilter};
pub use secrets::ClientSecrets;

use crate::error::StoreError;
use crate::load::head;
use crate::people::{self, Invitation, Member, OpaqueTokenDigest, Session};
use crate::postgres;
use crate::rows::{self, select_client};
use crate::sqlite::SqliteReaders;
use crate::value::{Row, Value};
use filters::Asked;
use std::borrow::Cow;
use std::sync::Arc;
use tokenward_core::audit::AuditRecord;
use tokenward_core::client::{AdminKeyRecord, ClientState, Product, Workspace};
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
use tokenward_core::time::Timestamp;
use uuid::Uuid;

/// Most rows of one page.
pub const PAGE_MAX: u32 = 1_000;

/// The last use of a client's tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Use {
    /// The API client concerned.
    pub client: ClientNo,
    /// The time at which it happened.
    pub at: Timestamp,
    /// From which address.
    pub source: String,
    /// For which product.
    pub product: ProductNo,
    /// With the token of which generation; 0: not known.
    pub generation: u32,
}

impl Use {
    pub(crate) fn values(&self) -> Vec<Value> {
        vec![
            self.client.0.into(),
            self.at.into(),
            self.source.as_str().into(),
            self.product.0.into(),
            self.generation.into(),
        ]
    }
}

/// How many clients of a workspace and environment are in each state. Deleted ones are not counted; each other one is in
/// one state, the first that applies in the order of these fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientTotals {
    /// The workspace.
    pub workspace: WorkspaceNo,
    /// The environment.
    pub environment: Environment,
    /// The client or its workspace is disabled.
    pub disabled: u32,
    /// No token was generated.
    pub no_token: u32,
    /// The newest token was revoked.
    pub revoked: u32,
    /// The newest token's time is over.
    pub expired: u32,
    /// A long-lived token ends soon.
    pub expiring: u32,
    /// A token is live.
    pub live: u32,
}

impl ClientTotals {
    /// None in any state.
    #[must_use]
    pub fn of(workspace: WorkspaceNo, environment: Environment) -> Self {
        Self {
            workspace,
            environment,
            disabled: 0,
            no_token: 0,
            revoked: 0,
            expired: 0,
            expiring: 0,
            live: 0,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.disabled + self.no_token + self.revoked + self.expired + self.expiring + self.live
    }
}

/// Connections that read; cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pool: Pool,
    questions: Arc<secrets::Questions>,
}

#[derive(Clone)]
enum Pool {
    Sqlite(Arc<SqliteReaders>),
    Postgres(postgres::Readers),
}

pub(crate) type Decode<T> = fn(&Row<'_>) -> Result<T, StoreError>;

/// The numbers of clients, with everything that a filter and an order look at.
const FOUND: &str =
    "SELECT c.no FROM client c JOIN slot s ON s.client = c.no JOIN workspace w ON w.no = c.workspace
    LEFT JOIN client_use u ON u.client = c.no";

impl Reader {
    pub(crate) fn sqlite(readers: SqliteReaders) -> Self {
        Self {
            pool: Pool::Sqlite(Arc::new(readers)),
            questions: Arc::default(),
        }
    }

    /// Those of a shared database.
    pub(crate) fn shared(&self) -> Option<postgres::Readers> {
        match &self.pool {
            Pool::Sqlite(_) => None,
            Pool::Postgres(readers) => Some(readers.clone()),
        }
    }

    pub(crate) fn postgres(pool: postgres::Readers) -> Self {
        Self {
            pool: Pool::Postgres(pool),
            questions: Arc::default(),
        }
    }

    /// Rows of a query, decoded.
    pub(crate) async fn rows<T: Send + 'static>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
        decode: Decode<T>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.rows_of_lists(sql, vec![params], decode).await?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// The row of a query that finds one at most.
    pub(crate) async fn row<T: Send + 'static>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
        decode: Decode<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, params, decode).await?.pop())
    }

    /// Rows of a query for each of many parameter lists, each with the place of its list.
    async fn rows_of_lists<T: Send + 'static>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        lists: Vec<Vec<Value>>,
        decode: Decode<T>,
    ) -> Result<Vec<(usize, T)>, StoreError> {
        let (sql, mut out) = (sql.into(), Vec::new());
        match &self.pool {
            Pool::Sqlite(readers) => {
                let readers = Arc::clone(readers);
                let read = move || {
                    let mut each = |place: usize, row: &Row<'_>| {
                        out.push((place, decode(row)?));
                        Ok(())
                    };
                    readers.query(&sql, &lists, &mut each)?;
                    Ok(out)
                };
                let joined = tokio::task::spawn_blocking(read).await;
                joined.map_err(|error| StoreError::Unavailable(error.to_string()))?
            }
            Pool::Postgres(pool) => {
                let mut each = |place: usize, row: &Row<'_>| {
                    out.push((place, decode(row)?));
                    Ok(())
                };
                postgres::read(pool, &sql, &lists, &mut each).await?;
                Ok(out)
            }
        }
    }

    /// One client, its slot, workspace and last use.
    pub async fn client(
        &self,
        id: ClientId,
    ) -> Result<Option<(ClientState, Option<Use>)>, StoreError> {
        let sql = select_client!(and_use, "WHERE c.id = $1");
        self.row(sql, vec![id.0.into()], client_and_use).await
    }

    /// Clients in the order of their creation.
    pub async fn clients(
        &self,
        filter: &ClientFilter,
    ) -> Result<Vec<(ClientState, Option<Use>)>, StoreError> {
        let mut asked = wanted(filter);
        let order = match filter.order {
            None if filter.newest_first => "c.no DESC",
            None => "c.no",
            Some(ClientOrder::Label) => "c.label_key, c.no",
            Some(ClientOrder::Used) => "coalesce(u.at, 0) DESC, c.no DESC",
            Some(ClientOrder::Unused) => "coalesce(u.at, 0), c.no",
            Some(ClientOrder::Ends) => {
                "CASE WHEN s.ended IS NULL THEN coalesce(s.valid_till, 9223372036854775806) ELSE 9223372036854775807 END, c.no"
            }
        };
        let all = select_client!(and_use, "");
        let sql = match filter.order {
            None => asked.sql(all, order, filter.limit),
            // An engine sorts a hundred thousand numbers many times faster than as many whole clients.
            Some(_) => {
                let numbers = asked.sql(FOUND, order, filter.limit);
                asked.params.push(filter.offset.into());
                let offset = asked.params.len();
                format!("{all} WHERE c.no IN ({numbers} OFFSET ${offset}) ORDER BY {order}")
            }
        };
        self.rows(sql, asked.params, client_and_use).await
    }

    /// How many clients a filter finds, counted to one more than `most`. Where a list begins and ends means nothing here.
    pub async fn client_count(&self, filter: &ClientFilter, most: u32) -> Result<u32, StoreError> {
        let filter = ClientFilter {
            after: None,
            ..filter.clone()
        };
        let asked = wanted(&filter);
        let from = "client c JOIN slot s ON s.client = c.no JOIN workspace w ON w.no = c.workspace
            LEFT JOIN client_use u ON u.client = c.no";
        let sql = asked.count(from, most);
        let found = self.row(sql, asked.params, |row| row.count(0));
        Ok(found.await?.unwrap_or(0))
    }

    /// How many clients are in each state at `now`, by workspace and environment, of one workspace or of all. A token counts
    /// as expiring when it ends before `before` and lives longer than `lived_micros`.
    pub async fn client_totals(
        &self,
        workspace: Option<WorkspaceNo>,
        now: Timestamp,
        before: Timestamp,
        lived_micros: i64,
    ) -> Result<Vec<ClientTotals>, StoreError> {
        let mut params: Vec<Value> = vec![now.0.into(), before.0.into(), lived_micros.into()];
        let mut only = String::new();
        if let Some(workspace) = workspace {
            params.push(workspace.0.into());
            only.push_str("AND c.workspace = $4 ");
        }
        let sql = format!(
            "SELECT workspace, environment, state, COUNT(*) FROM (
                SELECT c.workspace AS workspace, c.environment AS environment, CAST(CASE
                    WHEN c.disabled_at IS NOT NULL OR w.disabled_at IS NOT NULL THEN 0
                    WHEN s.digest IS NULL THEN 1
                    WHEN s.ended IS NOT NULL THEN 2
                    WHEN s.valid_till <= $1 THEN 3
                    WHEN s.valid_till < $2 AND s.valid_till - s.issued_at > $3 THEN 4
                    ELSE 5 END AS BIGINT) AS state
                FROM client c JOIN slot s ON s.client = c.no JOIN workspace w ON w.no = c.workspace
                WHERE c.deleted_at IS NULL {only}
            ) AS states GROUP BY workspace, environment, state ORDER BY workspace, environment"
        );
        let decode: Decode<_> = |row| {
            let environment = rows::environment(row.int(1)?)?;
            Ok((
                WorkspaceNo(row.count(0)?),
                environment,
                row.int(2)?,
                row.count(3)?,
            ))
        };
        let mut all: Vec<ClientTotals> = Vec::new();
        for (workspace, environment, state, n) in self.rows(sql, params, decode).await? {
            let same = all
                .last()
                .is_some_and(|last| (last.workspace, last.environment) == (workspace, environment));
            if !same {
                all.push(ClientTotals::of(workspace, environment));
            }
            let totals = all.last_mut().expect("one was pushed");
            match state {
                0 => totals.disabled = n,
                1 => totals.no_token = n,
                2 => totals.revoked = n,
                3 => totals.expired = n,
                4 => totals.expiring = n,
                _ => totals.live = n,
            }
        }
        Ok(all)
    }

    /// One workspace.
    pub async fn workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let sql = format!("{} WHERE id = $1", rows::SELECT_WORKSPACES);
        let decode: Decode<_> = |row| rows::workspace(row, 0);
        self.row(sql, vec![id.0.into()], decode).await
    }

    /// Workspaces in the order of their creation.
    pub async fn workspaces(
        &self,
        after: Option<WorkspaceNo>,
        limit: u32,
    ) -> Result<Vec<Workspace>, StoreError> {
        let mut asked = Asked::default();
        if let Some(after) = after {
            asked.and("no >", after.0);
        }
        let sql = asked.sql(rows::SELECT_WORKSPACES, "no", limit);
        self.rows(sql, asked.params, |row| rows::workspace(row, 0))
            .await
    }

    /// Every product; there are few.
    pub async fn products(&self) -> Result<Vec<Product>, StoreError> {
        let sql = format!("{} ORDER BY slug", rows::SELECT_PRODUCTS);
        self.rows(sql, vec![], rows::product).await
    }

    /// Every admin key, revoked ones too.
    pub async fn admin_keys(&self) -> Result<Vec<AdminKeyRecord>, StoreError> {
        let sql = format!("{} ORDER BY created_at, id", rows::SELECT_ADMIN_KEYS);
        self.rows(sql, vec![], rows::admin_key).await
    }

    /// When admin keys were last used and from where, by their id.
    pub async fn admin_key_uses(&self) -> Result<Vec<(Uuid, Timestamp, String)>, StoreError> {
        let sql = people::SELECT_ADMIN_KEY_USES;
        self.rows(sql, vec![], people::admin_key_use).await
    }

    /// One admin key.
    pub async fn admin_key(&self, id: Uuid) -> Result<Option<AdminKeyRecord>, StoreError> {
        let params = vec![id.into()];
        self.row(rows::ADMIN_KEY_BY_ID, params, rows::admin_key)
            .await
    }

    /// Every member; there are few.
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        let sql = format!("{} ORDER BY email", people::SELECT_MEMBERS);
        self.rows(sql, vec![], people::member).await
    }

    /// One member.
    pub async fn member(&self, id: Uuid) -> Result<Option<Member>, StoreError> {
        let params = vec![id.into()];
        self.row(people::MEMBER_BY_ID, params, people::member).await
    }

    /// The member who signs in with an address in lower case.
    pub async fn member_by_email(&self, email: &str) -> Result<Option<Member>, StoreError> {
        let params = vec![email.into()];
        self.row(people::MEMBER_BY_EMAIL, params, people::member)
            .await
    }

    /// Every invitation not used, those whose time is over too.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, StoreError> {
        let sql = format!("{} ORDER BY created_at, id", people::SELECT_INVITATIONS);
        self.rows(sql, vec![], people::invitation).await
    }

    /// The session a cookie names.
    pub async fn session(&self, digest: &OpaqueTokenDigest) -> Result<Option<Session>, StoreError> {
        let sql = format!("{} WHERE digest = $1", people::SELECT_SESSIONS);
        let params = vec![digest.as_slice().into()];
        self.row(sql, params, people::session).await
    }

    /// Every session of a member, the last used first.
    pub async fn sessions(&self, member: Uuid) -> Result<Vec<Session>, StoreError> {
        let select = people::SELECT_SESSIONS;
        let sql = format!("{select} WHERE member = $1 ORDER BY seen_at DESC, id");
        self.rows(sql, vec![member.into()], people::session).await
    }

    /// Audit entries in order.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        let mut asked = Asked::default();
        if filter.after > 0 || filter.newest_before.is_none() {
            asked.and("seq >", filter.after.cast_signed());
        }
        if let Some(before) = filter.newest_before.filter(|before| *before > 0) {
            asked.and("seq <", before.cast_signed());
        }
        if let Some(through) = filter.through {
            asked.and("seq <=", through.cast_signed());
        }
        if let Some(action) = &filter.action {
            asked.and("action =", action.as_str());
        }
        if let Some(actor) = &filter.actor {
            asked.and("actor =", actor.as_str());
        }
        if filter.acts_only {
            asked.text("action <> 'token.generate'");
        }
        if let Some(client) = filter.client {
            asked.and("client =", client.0);
        }
        if let Some(workspace) = filter.workspace {
            asked.and("workspace =", workspace.0);
        }
        let select =
            "SELECT seq, at, actor, source, action, workspace, client, detail, hash FROM audit";
        let order = match filter.newest_before {
            Some(_) => "seq DESC",
            None => "seq",
        };
        let sql = asked.sql(select, order, filter.limit);
        self.rows(sql, asked.params, rows::audit).await
    }

    /// The number of the first audit entry at or after a moment; one more than the last one's where there is none. The
    /// log is in the order of time, but for what the clocks of several nodes differ by, and a few looks by number find the place.
    pub async fn audit_from(&self, at: Timestamp) -> Result<u64, StoreError> {
        let (mut low, mut high) = (1, self.head().await?.0 + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let sql = "SELECT seq, at FROM audit WHERE seq >= $1 ORDER BY seq LIMIT 1";
            let decode: Decode<_> = |row| Ok((row.int(0)?.cast_unsigned(), row.int(1)?));
            let middle_row = vec![middle.cast_signed().into()];
            match self.row(sql, middle_row, decode).await? {
                Some((seq, time)) if time < at.0 => low = seq + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The audit head: the number and hash of the last entry, and the last change's number.
    pub async fn head(&self) -> Result<(u64, [u8; 32], u64), StoreError> {
        let sql = concat!("SELECT audit_seq, audit_hash, change_number FROM ", head!());
        let decode: Decode<_> = |row| {
            Ok((
                row.int(0)?.cast_unsigned(),
                row.bytes(1)?,
                row.int(2)?.cast_unsigned(),
            ))
        };
        let head = self.row(sql, vec![], decode).await?;
        head.ok_or_else(|| StoreError::Damaged("the head row is missing".into()))
    }
}

/// The conditions of a list of clients.
fn wanted(filter: &ClientFilter) -> Asked {
    let mut asked = Asked::default();
    if let Some(workspace) = filter.workspace {
        asked.and("w.id =", workspace.0);
    }
    if let Some(environment) = filter.environment {
        asked.and("c.environment =", u32::from(environment.number()));
    }
    if let Some(label) = &filter.label {
        asked.and("c.label =", label.as_str());
    }
    if let Some(after) = filter.after.filter(|_| filter.order.is_none()) {
        let beyond = if filter.newest_first {
            "c.no <"
        } else {
            "c.no >"
        };
        asked.and(beyond, after.0);
    }
    if !filter.deleted && filter.state != Some(StateFilter::Deleted) {
        asked.text("c.deleted_at IS NULL");
    }
    if let Some(search) = &filter.search {
        asked.holds("lower(c.label)", &search.to_ascii_lowercase());
    }
    if let Some(product) = filter.product {
        let one = format!(",{},", product.0);
        asked.holds(&format!("coalesce(c.products, '{one}')"), &one);
    }
    if let (Some(workspace), Some(tag)) = (filter.workspace, &filter.tag) {
        asked.tag(workspace, tag);
    }
    if let Some(state) = filter.state {
        asked.state(state);
    }
    asked
}

pub(crate) fn client_and_use(row: &Row<'_>) -> Result<(ClientState, Option<Use>), StoreError> {
    let state = rows::client_state(row)?;
    let last = match row.int_or_null(rows::USE)? {
        None => None,
        Some(at) => Some(Use {
            client: state.client.no,
            at: Timestamp(at),
            source: row.text(rows::USE + 1)?.to_owned(),
            product: ProductNo(row.count(rows::USE + 2)?),
            generation: row.count(rows::USE + 3)?,
        }),
    };
    Ok((state, last))
}
