//! What clients' tokens were used for, by day and by hour: rows that are no changes, added up from what the checks
//! counted in memory. Nothing here is needed to decide anything, and a crash may lose the last seconds.

use crate::error::StoreError;
use crate::reader::Reader;
use crate::value::{Row, Statement, Value};
use tokenward_core::check::Denial;
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_core::time::Timestamp;

/// Days a count is kept: a month to look back on, and some to spare.
pub const DAYS_KEPT: u32 = 35;
/// Days a count is kept by the hour: today and yesterday, for the last 24 hours.
const HOURLY_DAYS_KEPT: u32 = 2;
/// Hours of a day.
pub const HOURS: u32 = 24;

/// What became of a check, or a token that was generated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// A check let the request pass.
    Permitted,
    /// A token was generated; no check.
    Generated,
    /// Denied: a real former token, after which a newer one was generated.
    Superseded,
    /// Denied: a real token past its time.
    Expired,
    /// Denied: a real token that was revoked.
    Revoked,
    /// Denied: the client or its workspace is disabled.
    Disabled,
    /// Denied: the client was deleted.
    Deleted,
    /// Denied: the live token is for other products.
    ProductNotAllowed,
    /// Denied: the live token is not for this address.
    AddressNotAllowed,
    /// Denied: a real token of the other environment.
    EnvironmentMismatch,
    /// The live token was returned to the holder of the secret; no check.
    Returned,
}

/// Every outcome, at the place that is its number in the tables: one may be added, none moved.
const OUTCOMES: [Outcome; 11] = [
    Outcome::Permitted,
    Outcome::Generated,
    Outcome::Superseded,
    Outcome::Expired,
    Outcome::Revoked,
    Outcome::Disabled,
    Outcome::Deleted,
    Outcome::ProductNotAllowed,
    Outcome::AddressNotAllowed,
    Outcome::EnvironmentMismatch,
    Outcome::Returned,
];

impl Outcome {
    /// What a denial of a known client's real token is counted as; none for a denial that says
    /// nothing about the client.
    #[must_use]
    pub fn of(denial: &Denial) -> Option<Self> {
        match denial {
            Denial::TokenSuperseded { .. } => Some(Self::Superseded),
            Denial::TokenExpired { .. } => Some(Self::Expired),
            Denial::TokenRevoked { .. } => Some(Self::Revoked),
            Denial::ClientDisabled => Some(Self::Disabled),
            Denial::ClientDeleted => Some(Self::Deleted),
            Denial::ProductNotAllowed => Some(Self::ProductNotAllowed),
            Denial::AddressNotAllowed => Some(Self::AddressNotAllowed),
            Denial::EnvironmentMismatch => Some(Self::EnvironmentMismatch),
            Denial::TokenMissing
            | Denial::TokenRepeated
            | Denial::TokenMalformed
            | Denial::SecretUsedAsToken
            | Denial::TokenUnknown
            | Denial::ProductUnknown => None,
        }
    }

    /// Whether it is what became of a check.
    #[must_use]
    pub fn is_check(self) -> bool {
        !matches!(self, Self::Generated | Self::Returned)
    }

    /// Its word for programs: a denial's is the code that the caller is told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "PERMIT",
            Self::Generated => "GENERATED",
            Self::Superseded => "TOKEN_SUPERSEDED",
            Self::Expired => "TOKEN_EXPIRED",
            Self::Revoked => "TOKEN_REVOKED",
            Self::Disabled => "CLIENT_DISABLED",
            Self::Deleted => "CLIENT_DELETED",
            Self::ProductNotAllowed => "PRODUCT_NOT_ALLOWED",
            Self::AddressNotAllowed => "ADDRESS_NOT_ALLOWED",
            Self::EnvironmentMismatch => "ENVIRONMENT_MISMATCH",
            Self::Returned => "RETURNED",
        }
    }

    /// Whether the token presented was a former or an ended one: its holder has missed that.
    #[must_use]
    pub fn is_stale(self) -> bool {
        matches!(self, Self::Superseded | Self::Expired | Self::Revoked)
    }

    /// Its number in the tables.
    #[must_use]
    pub fn number(self) -> u8 {
        // The order of declaration is that of `OUTCOMES`, which a test holds to.
        self as u8
    }

    /// The outcome of a number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        OUTCOMES.get(usize::from(number)).copied()
    }
}

/// How often something became of a client's tokens in a day, or in an hour of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckCount {
    /// Whose tokens.
    pub client: ClientNo,
    /// The UTC day, counted from 1970-01-01.
    pub day: u32,
    /// The hour of the day, from 0 to 23; 0 where whole days are counted.
    pub hour: u32,
    /// For which product; none for a generation.
    pub product: Option<ProductNo>,
    /// What became of it.
    pub outcome: Outcome,
    /// How often.
    pub n: u64,
}

/// A source that presented a client's tokens in a day: permitted ones, or former and ended ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceUse {
    /// Whose tokens.
    pub client: ClientNo,
    /// The UTC day, counted from 1970-01-01.
    pub day: u32,
    /// The address they came from, or a word for all further ones.
    pub source: String,
    /// Whether it was permitted, or which kind of denial.
    pub outcome: Outcome,
    /// How often.
    pub n: u64,
    /// The last time.
    pub last_at: Timestamp,
}

const ADD_COUNT: &str =
    "INSERT INTO check_count (client, day, product, outcome, n) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (client, day, product, outcome) DO UPDATE SET n = check_count.n + excluded.n";
const ADD_HOUR: &str =
    "INSERT INTO check_hour (client, hour, product, outcome, n) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (client, hour, product, outcome) DO UPDATE SET n = check_hour.n + excluded.n";
const ADD_STALE: &str = "INSERT INTO stale_use (client, day, source, outcome, n, last_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (client, day, source, outcome) DO UPDATE SET n = stale_use.n + excluded.n,
    last_at = CASE WHEN stale_use.last_at < excluded.last_at THEN excluded.last_at ELSE stale_use.last_at END";
const FORGET_COUNTS: &str =
    "DELETE FROM check_count WHERE client >= $1 AND client < $2 AND day < $3";
const FORGET_HOURS: &str =
    "DELETE FROM check_hour WHERE client >= $1 AND client < $2 AND hour < $3";
const FORGET_STALE: &str = "DELETE FROM stale_use WHERE client >= $1 AND client < $2 AND day < $3";

const SELECT_COUNTS: &str = "SELECT client, day, product, outcome, n FROM check_count
    WHERE client = $1 AND day >= $2 ORDER BY day, product, outcome";
const SELECT_HOURS: &str = "SELECT client, hour, product, outcome, n FROM check_hour
    WHERE client = $1 AND hour >= $2 ORDER BY hour, product, outcome";
const SELECT_STALE: &str = "SELECT client, day, source, outcome, n, last_at FROM stale_use
    WHERE client = $1 AND day >= $2 ORDER BY day, source, outcome";
const SELECT_STALE_OF: &str = "SELECT client, day, source, outcome, n, last_at FROM stale_use
    WHERE client >= $1 AND client <= $2 AND day >= $3 AND outcome > 0";

/// Stands for no product: a part of the key cannot be null on both engines.
const NO_PRODUCT: i64 = -1;

/// In the order of the key: two nodes that add to the same rows wait for each other and never in a circle.
pub(crate) fn add_counts(counts: &[CheckCount]) -> Vec<Statement> {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by_key(|one| {
        (
            one.client,
            one.day,
            one.hour,
            one.product,
            one.outcome.number(),
        )
    });
    let mut days = std::collections::BTreeMap::new();
    for one in &sorted {
        let key = (one.client, one.day, one.product, one.outcome.number());
        *days.entry(key).or_insert(0) += one.n;
    }
    let days = days
        .into_iter()
        .map(|((client, day, product, outcome), n)| {
            add_count(ADD_COUNT, client, day, product, outcome, n)
        });
    let hours = sorted.into_iter().map(|one| {
        let hour = one.day * HOURS + one.hour;
        let outcome = one.outcome.number();
        add_count(ADD_HOUR, one.client, hour, one.product, outcome, one.n)
    });
    days.chain(hours).collect()
}

/// The same for sources.
pub(crate) fn add_stale_uses(uses: &[SourceUse]) -> Vec<Statement> {
    let mut sorted: Vec<_> = uses.iter().collect();
    sorted.sort_by_key(|one| (one.client, one.day, &one.source, one.outcome.number()));
    sorted.into_iter().map(add_stale).collect()
}

fn add_count(
    sql: &'static str,
    client: ClientNo,
    time: u32,
    product: Option<ProductNo>,
    outcome: u8,
    n: u64,
) -> Statement {
    let params = vec![
        client.0.into(),
        time.into(),
        product.map_or(NO_PRODUCT, |no| no.0.into()).into(),
        u32::from(outcome).into(),
        n.cast_signed().into(),
    ];
    Statement::new(sql, params)
}

fn add_stale(stale: &SourceUse) -> Statement {
    let params = vec![
        stale.client.0.into(),
        stale.day.into(),
        stale.source.as_str().into(),
        u32::from(stale.outcome.number()).into(),
        stale.n.cast_signed().into(),
        stale.last_at.into(),
    ];
    Statement::new(ADD_STALE, params)
}

/// Forgets what is older than `before` of the clients from `first` to before `end`: only they are read.
pub(crate) fn forget(first: ClientNo, end: ClientNo, before: u32) -> Vec<Statement> {
    let params = |before: u32| -> Vec<Value> { vec![first.0.into(), end.0.into(), before.into()] };
    let hour = (before + DAYS_KEPT + 1).saturating_sub(HOURLY_DAYS_KEPT) * HOURS;
    vec![
        Statement::new(FORGET_COUNTS, params(before)),
        Statement::new(FORGET_HOURS, params(hour)),
        Statement::new(FORGET_STALE, params(before)),
    ]
}

fn outcome(row: &Row<'_>, column: usize) -> Result<Outcome, StoreError> {
    let number = row.int(column)?;
    let known = u8::try_from(number).ok().and_then(Outcome::from_number);
    known.ok_or_else(|| StoreError::Damaged(format!("outcome {number}")))
}

fn check_count(row: &Row<'_>) -> Result<CheckCount, StoreError> {
    Ok(CheckCount {
        client: ClientNo(row.count(0)?),
        day: row.count(1)?,
        hour: 0,
        product: u32::try_from(row.int(2)?).ok().map(ProductNo),
        outcome: outcome(row, 3)?,
        n: row.int(4)?.cast_unsigned(),
    })
}

fn stale_use(row: &Row<'_>) -> Result<SourceUse, StoreError> {
    Ok(SourceUse {
        client: ClientNo(row.count(0)?),
        day: row.count(1)?,
        source: row.text(2)?.to_owned(),
        outcome: outcome(row, 3)?,
        n: row.int(4)?.cast_unsigned(),
        last_at: Timestamp(row.int(5)?),
    })
}

impl Reader {
    /// What was counted of a client since a day, by day.
    pub async fn check_counts(
        &self,
        client: ClientNo,
        from_day: u32,
    ) -> Result<Vec<CheckCount>, StoreError> {
        let params = vec![client.0.into(), from_day.into()];
        self.rows(SELECT_COUNTS, params, check_count).await
    }

    /// What was counted of a client since an hour, counted from 1970-01-01, by hour.
    pub async fn hour_counts(
        &self,
        client: ClientNo,
        from_hour: u32,
    ) -> Result<Vec<CheckCount>, StoreError> {
        let params = vec![client.0.into(), from_hour.into()];
        let decode = |row: &Row<'_>| {
            let read = check_count(row)?;
            Ok(CheckCount {
                day: read.day / HOURS,
                hour: read.day % HOURS,
                ..read
            })
        };
        self.rows(SELECT_HOURS, params, decode).await
    }

    /// Who presented a client's tokens since a day, permitted, former and ended ones, by day.
    pub async fn source_uses(
        &self,
        client: ClientNo,
        from_day: u32,
    ) -> Result<Vec<SourceUse>, StoreError> {
        let params = vec![client.0.into(), from_day.into()];
        self.rows(SELECT_STALE, params, stale_use).await
    }

    /// Who presented former or ended tokens, not permitted ones, of any of these clients since a day.
    pub async fn stale_uses_of(
        &self,
        first: ClientNo,
        last: ClientNo,
        from_day: u32,
    ) -> Result<Vec<SourceUse>, StoreError> {
        let params = vec![first.0.into(), last.0.into(), from_day.into()];
        self.rows(SELECT_STALE_OF, params, stale_use).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_found_again_by_its_number() {
        for (at, outcome) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(usize::from(outcome.number()), at);
            assert_eq!(Outcome::from_number(outcome.number()), Some(outcome));
        }
        assert_eq!(Outcome::from_number(OUTCOMES.len() as u8), None);
    }

    #[test]
    fn a_denial_is_counted_under_the_code_the_caller_is_told() {
        let at = Timestamp(0);
        for (denial, counted) in [
            (Denial::TokenSuperseded { generation: 1, at }, true),
            (Denial::TokenExpired { at }, true),
            (Denial::TokenRevoked { at: None }, true),
            (Denial::ClientDisabled, true),
            (Denial::ClientDeleted, true),
            (Denial::ProductNotAllowed, true),
            (Denial::AddressNotAllowed, true),
            (Denial::EnvironmentMismatch, true),
            (Denial::TokenUnknown, false),
            (Denial::TokenMissing, false),
            (Denial::ProductUnknown, false),
        ] {
            let outcome = Outcome::of(&denial);
            assert_eq!(outcome.is_some(), counted, "{denial:?}");
            assert!(outcome.is_none_or(|outcome| outcome.as_str() == denial.code()));
        }
    }
}
