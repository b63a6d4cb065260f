//! Reading for people and programs: lists, single things, the audit log. Never part of a check, and
//! never what a decision is based on.

use crate::error::StoreError;
use crate::people::{self, Invitation, Member, Session, TicketDigest};
use crate::postgres;
use crate::rows::{self, select_client};
use crate::sqlite::SqliteReaders;
use crate::statements::environment_number;
use crate::value::{Row, Value};
use std::sync::Arc;
use tokenward_core::audit::Written;
use tokenward_core::client::{AdminKeyRecord, ClientState, Product, Workspace};
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
use tokenward_core::time::Timestamp;
use uuid::Uuid;

/// Most rows of one page.
pub const PAGE_MAX: u32 = 1_000;

/// The last use of a client's tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Use {
    /// Whose.
    pub client: ClientNo,
    /// When.
    pub at: Timestamp,
    /// From which address.
    pub source: String,
    /// For which product.
    pub product: ProductNo,
}

impl Use {
    pub(crate) fn values(&self) -> Vec<Value> {
        vec![
            self.client.0.into(),
            self.at.into(),
            self.source.as_str().into(),
            self.product.0.into(),
        ]
    }
}

/// Which clients to list.
#[derive(Clone, Debug, Default)]
pub struct ClientFilter {
    /// Of this workspace.
    pub workspace: Option<WorkspaceId>,
    /// Of this environment.
    pub environment: Option<Environment>,
    /// With exactly this label.
    pub label: Option<String>,
    /// Deleted ones too.
    pub deleted: bool,
    /// Only those whose label holds this text, upper and lower case of A to Z alike.
    pub search: Option<String>,
    /// Only those restricted to this product, or to none.
    pub product: Option<ProductNo>,
    /// Only those in this state.
    pub state: Option<StateFilter>,
    /// Only those behind this one.
    pub after: Option<ClientNo>,
    /// The newest first.
    pub newest_first: bool,
    /// At most this many, at most [`PAGE_MAX`].
    pub limit: u32,
}

/// A state of clients at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateFilter {
    /// With a live token, and not disabled.
    Live(Timestamp),
    /// With a live token that ends before the second moment, and was made before the third.
    Expiring {
        /// Now.
        now: Timestamp,
        /// Ends before.
        before: Timestamp,
        /// Made before.
        made: Timestamp,
    },
    /// Whose newest token's time is over.
    Expired(Timestamp),
    /// That never had a token.
    NeverGenerated,
    /// Whose tokens were never used.
    NeverUsed,
    /// Whose tokens were used last before this moment, or never.
    UnusedSince(Timestamp),
    /// Disabled ones.
    Disabled,
    /// Deleted ones.
    Deleted,
}

/// Which audit entries to read.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only those behind this number.
    pub after: u64,
    /// The newest first, and only those before this number; 0 means from the end.
    pub newest_before: Option<u64>,
    /// Only this action.
    pub action: Option<String>,
    /// Only this actor.
    pub actor: Option<String>,
    /// Without generations by clients: then an index serves those of one client or workspace.
    pub acts_only: bool,
    /// At most this many, at most [`PAGE_MAX`].
    pub limit: u32,
    /// Of this client.
    pub client: Option<ClientId>,
    /// Of this workspace.
    pub workspace: Option<WorkspaceId>,
}

/// Connections that read; cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pool: Pool,
}

#[derive(Clone)]
enum Pool {
    Sqlite(Arc<SqliteReaders>),
    Postgres(deadpool_postgres::Pool),
}

pub(crate) type Decode<T> = fn(&Row<'_>) -> Result<T, StoreError>;

impl Reader {
    pub(crate) fn sqlite(readers: SqliteReaders) -> Self {
        Self {
            pool: Pool::Sqlite(Arc::new(readers)),
        }
    }

    pub(crate) fn postgres(pool: deadpool_postgres::Pool) -> Self {
        Self {
            pool: Pool::Postgres(pool),
        }
    }

    /// Rows of a query, decoded.
    pub(crate) async fn rows<T: Send + 'static>(
        &self,
        sql: String,
        params: Vec<Value>,
        decode: Decode<T>,
    ) -> Result<Vec<T>, StoreError> {
        match &self.pool {
            Pool::Sqlite(readers) => {
                let readers = Arc::clone(readers);
                let read = move || {
                    let mut out = Vec::new();
                    let mut each = |_: usize, row: &Row<'_>| {
                        out.push(decode(row)?);
                        Ok(())
                    };
                    readers.query(&sql, params, &mut each)?;
                    Ok(out)
                };
                let joined = tokio::task::spawn_blocking(read).await;
                joined.map_err(|error| StoreError::Unavailable(error.to_string()))?
            }
            Pool::Postgres(pool) => {
                let mut out = Vec::new();
                let mut each = |row: &Row<'_>| {
                    out.push(decode(row)?);
                    Ok(())
                };
                postgres::read(pool, &sql, &params, &mut each).await?;
                Ok(out)
            }
        }
    }

    /// One client, its slot, workspace and last use.
    pub async fn client(
        &self,
        id: ClientId,
    ) -> Result<Option<(ClientState, Option<Use>)>, StoreError> {
        let sql = select_client!(and_use, "WHERE c.id = $1").to_owned();
        Ok(self
            .rows(sql, vec![id.0.into()], client_and_use)
            .await?
            .pop())
    }

    /// Clients in the order of their creation.
    pub async fn clients(
        &self,
        filter: &ClientFilter,
    ) -> Result<Vec<(ClientState, Option<Use>)>, StoreError> {
        let mut asked = Asked::default();
        if let Some(workspace) = filter.workspace {
            asked.and("w.id =", workspace.0);
        }
        if let Some(environment) = filter.environment {
            asked.and("c.environment =", environment_number(environment));
        }
        if let Some(label) = &filter.label {
            asked.and("c.label =", label.as_str());
        }
        if let Some(after) = filter.after {
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
        if let Some(state) = filter.state {
            asked.state(state);
        }
        let order = if filter.newest_first {
            "c.no DESC"
        } else {
            "c.no"
        };
        let sql = asked.sql(select_client!(and_use, ""), order, filter.limit);
        self.rows(sql, asked.params, client_and_use).await
    }

    /// One workspace.
    pub async fn workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let sql = format!("{} WHERE id = $1", rows::SELECT_WORKSPACES);
        Ok(self
            .rows(sql, vec![id.0.into()], |row| rows::workspace(row, 0))
            .await?
            .pop())
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

    /// One admin key.
    pub async fn admin_key(&self, id: Uuid) -> Result<Option<AdminKeyRecord>, StoreError> {
        let sql = format!("{} WHERE id = $1", rows::SELECT_ADMIN_KEYS);
        Ok(self
            .rows(sql, vec![id.into()], rows::admin_key)
            .await?
            .pop())
    }

    /// Every member; there are few.
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        let sql = format!("{} ORDER BY email", people::SELECT_MEMBERS);
        self.rows(sql, vec![], people::member).await
    }

    /// One member.
    pub async fn member(&self, id: Uuid) -> Result<Option<Member>, StoreError> {
        let sql = format!("{} WHERE id = $1", people::SELECT_MEMBERS);
        let found = self.rows(sql, vec![id.into()], people::member).await?;
        Ok(found.into_iter().next())
    }

    /// The member who signs in with an address in lower case.
    pub async fn member_by_email(&self, email: &str) -> Result<Option<Member>, StoreError> {
        let sql = format!("{} WHERE email = $1", people::SELECT_MEMBERS);
        let found = self.rows(sql, vec![email.into()], people::member).await?;
        Ok(found.into_iter().next())
    }

    /// Every invitation not used, those whose time is over too.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, StoreError> {
        let sql = format!("{} ORDER BY created_at, id", people::SELECT_INVITATIONS);
        self.rows(sql, vec![], people::invitation).await
    }

    /// The session a cookie names.
    pub async fn session(&self, digest: &TicketDigest) -> Result<Option<Session>, StoreError> {
        let sql = format!("{} WHERE digest = $1", people::SELECT_SESSIONS);
        let params = vec![digest.as_slice().into()];
        Ok(self.rows(sql, params, people::session).await?.pop())
    }

    /// Every session of a member, the last used first.
    pub async fn sessions(&self, member: Uuid) -> Result<Vec<Session>, StoreError> {
        let select = people::SELECT_SESSIONS;
        let sql = format!("{select} WHERE member = $1 ORDER BY seen_at DESC, id");
        self.rows(sql, vec![member.into()], people::session).await
    }

    /// Audit entries in order.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Written>, StoreError> {
        let mut asked = Asked::default();
        if filter.after > 0 || filter.newest_before.is_none() {
            asked.and("seq >", filter.after.cast_signed());
        }
        if let Some(before) = filter.newest_before.filter(|before| *before > 0) {
            asked.and("seq <", before.cast_signed());
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

    /// The audit head: the number and hash of the last entry, and the last change's number.
    pub async fn head(&self) -> Result<(u64, [u8; 32], u64), StoreError> {
        let sql = "SELECT audit_seq, audit_hash, change_number FROM head".to_owned();
        let decode: Decode<_> = |row| {
            Ok((
                row.int(0)?.cast_unsigned(),
                row.bytes(1)?,
                row.int(2)?.cast_unsigned(),
            ))
        };
        let head = self.rows(sql, vec![], decode).await?.pop();
        head.ok_or_else(|| StoreError::Damaged("the head row is missing".into()))
    }
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
        }),
    };
    Ok((state, last))
}

/// Conditions and their parameters.
#[derive(Default)]
struct Asked {
    conditions: Vec<String>,
    params: Vec<Value>,
}

impl Asked {
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.params.push(value.into());
        self.conditions
            .push(format!("{condition} ${}", self.params.len()));
    }

    /// A text that holds another, whatever characters that has.
    fn holds(&mut self, text: &str, part: &str) {
        let escaped = part
            .replace('!', "!!")
            .replace('%', "!%")
            .replace('_', "!_");
        self.params.push(format!("%{escaped}%").into());
        let at = self.params.len();
        self.conditions
            .push(format!("{text} LIKE ${at} ESCAPE '!'"));
    }

    /// Clients in a state.
    fn state(&mut self, state: StateFilter) {
        const LIVE: &str = "s.digest IS NOT NULL AND s.ended IS NULL AND c.disabled_at IS NULL";
        match state {
            StateFilter::Live(now) => {
                self.text(LIVE);
                self.and("coalesce(s.valid_till, 9223372036854775807) >", now.0);
            }
            StateFilter::Expiring { now, before, made } => {
                self.text(LIVE);
                self.and("s.valid_till >", now.0);
                self.and("s.valid_till <", before.0);
                self.and("s.issued_at <", made.0);
            }
            StateFilter::Expired(now) => {
                self.text("s.digest IS NOT NULL AND s.ended IS NULL");
                self.and("s.valid_till <=", now.0);
            }
            StateFilter::NeverGenerated => self.text("s.generation = 0"),
            StateFilter::NeverUsed => self.text("u.at IS NULL"),
            StateFilter::UnusedSince(before) => self.and("coalesce(u.at, 0) <", before.0),
            StateFilter::Disabled => self.text("c.disabled_at IS NOT NULL"),
            StateFilter::Deleted => self.text("c.deleted_at IS NOT NULL"),
        }
    }

    fn text(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    fn sql(&self, select: &str, order: &str, limit: u32) -> String {
        let conditions = match self.conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", self.conditions.join(" AND ")),
        };
        let limit = limit.clamp(1, PAGE_MAX);
        format!("{select}{conditions} ORDER BY {order} LIMIT {limit}")
    }
}
