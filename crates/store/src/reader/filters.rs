//! What a list is asked for, and the conditions that makes.

use super::PAGE_MAX;
use crate::value::Value;
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId};
use tokenward_core::time::Timestamp;

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
    /// Only those with this tag; `workspace` must be named, too.
    pub tag: Option<String>,
    /// In which order, where another is asked for than that of their creation; `after` and `newest_first` then mean nothing.
    pub order: Option<ClientOrder>,
    /// Without this many of the first, where `order` is asked for.
    pub offset: u32,
    /// At most this many, at most [`PAGE_MAX`].
    pub limit: u32,
}

/// An order of clients other than that of their creation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientOrder {
    /// By the key that labels are compared by.
    Label,
    /// The last used first, those never used last.
    Used,
    /// The longest unused first, those never used before them.
    Unused,
    /// The first whose token ends first, those without an end last.
    Ends,
}

/// A state of clients at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateFilter {
    /// With a live token, and not disabled.
    Live(Timestamp),
    /// With a live token that ends before a moment, of those that live longer than a span.
    Expiring {
        /// Now.
        now: Timestamp,
        /// Ends before.
        before: Timestamp,
        /// Microseconds from its making to its end.
        lived_micros: i64,
    },
    /// Whose newest token's time is over.
    Expired(Timestamp),
    /// That never had a token.
    NeverGenerated,
    /// Whose tokens were never used.
    NeverUsed,
    /// Whose tokens were used last before this moment, or never.
    UnusedSince(Timestamp),
    /// Whose newest token was revoked.
    Revoked,
    /// That were issued at least this many tokens with one secret on a day.
    QuotaUsed {
        /// The day, counted from 1970-01-01 in UTC.
        day: u32,
        /// The number of tokens.
        least: u32,
    },
    /// For which somebody presented a former or ended token since this day.
    StaleSince(u32),
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
    /// Only those up to this number.
    pub through: Option<u64>,
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

/// Conditions and their parameters.
#[derive(Default)]
pub(super) struct Asked {
    conditions: Vec<String>,
    pub(super) params: Vec<Value>,
}

impl Asked {
    pub(super) fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.params.push(value.into());
        self.conditions
            .push(format!("{condition} ${}", self.params.len()));
    }

    /// A text that holds another, whatever characters that has.
    pub(super) fn holds(&mut self, text: &str, part: &str) {
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
    pub(super) fn state(&mut self, state: StateFilter) {
        const LIVE: &str = "s.digest IS NOT NULL AND s.ended IS NULL AND c.disabled_at IS NULL";
        match state {
            StateFilter::Live(now) => {
                self.text(LIVE);
                self.and("coalesce(s.valid_till, 9223372036854775807) >", now.0);
            }
            StateFilter::Expiring {
                now,
                before,
                lived_micros,
            } => {
                self.text(LIVE);
                self.and("s.valid_till >", now.0);
                self.and("s.valid_till <", before.0);
                self.and("s.valid_till - s.issued_at >", lived_micros);
            }
            StateFilter::Expired(now) => {
                self.text("s.digest IS NOT NULL AND s.ended IS NULL");
                self.and("s.valid_till <=", now.0);
            }
            StateFilter::NeverGenerated => self.text("s.generation = 0"),
            StateFilter::NeverUsed => self.text("u.at IS NULL"),
            StateFilter::UnusedSince(before) => self.and("coalesce(u.at, 0) <", before.0),
            StateFilter::Revoked => {
                self.text("s.digest IS NOT NULL AND s.ended IS NOT NULL");
            }
            StateFilter::QuotaUsed { day, least } => {
                self.params.extend([day.into(), least.into()]);
                let (day, least) = (self.params.len() - 1, self.params.len());
                let used = |place: u8| {
                    format!(
                        "(s.quota{place}_day = ${day} AND s.quota{place}_used >= ${least} AND c.secret{place}_n IS NOT NULL)"
                    )
                };
                self.text(&format!("({} OR {})", used(1), used(2)));
            }
            StateFilter::StaleSince(day) => {
                self.params.push(day.into());
                let day = self.params.len();
                self.text(&format!(
                    "EXISTS (SELECT 1 FROM stale_use t WHERE t.client = c.no AND t.day >= ${day} AND t.outcome > 0)"
                ));
            }
            StateFilter::Disabled => self.text("c.disabled_at IS NOT NULL"),
            StateFilter::Deleted => self.text("c.deleted_at IS NOT NULL"),
        }
    }

    /// Clients of a workspace with a tag.
    pub(super) fn tag(&mut self, workspace: WorkspaceId, tag: &str) {
        self.params.extend([workspace.0.into(), tag.into()]);
        let (workspace, tag) = (self.params.len() - 1, self.params.len());
        self.text(&format!(
            "c.no IN (SELECT g.client FROM client_tag g JOIN workspace gw ON gw.no = g.workspace
            WHERE gw.id = ${workspace} AND g.tag = ${tag})"
        ));
    }

    pub(super) fn text(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    fn conditions(&self) -> String {
        match self.conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", self.conditions.join(" AND ")),
        }
    }

    pub(super) fn sql(&self, select: &str, order: &str, limit: u32) -> String {
        let conditions = self.conditions();
        let limit = limit.clamp(1, PAGE_MAX);
        format!("{select}{conditions} ORDER BY {order} LIMIT {limit}")
    }

    /// How many rows there are, counted to one more than `most`.
    pub(super) fn count(&self, from: &str, most: u32) -> String {
        let conditions = self.conditions();
        let limit = most.saturating_add(1);
        format!("SELECT count(*) FROM (SELECT 1 FROM {from}{conditions} LIMIT {limit}) AS counted")
    }
}
