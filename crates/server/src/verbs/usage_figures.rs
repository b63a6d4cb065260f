//! What a client's tokens were used for, by day and in the last 24 hours: what is written and what is still counted in memory.

use super::one_client::NO_CLIENT;
use super::prelude::*;
use std::collections::BTreeMap;
use tokenward_core::client::{ClientState, Product};
use tokenward_store::counts::{CheckCount, DAYS_KEPT, HOURS, SourceUse};

/// Days told of when nobody asks for another number.
pub const DAYS_DEFAULT: u32 = 30;
/// Most days told of.
pub const DAYS_MAX: u32 = DAYS_KEPT;

/// A client's figures.
#[derive(Clone, Debug)]
pub struct UsageFigures {
    /// The client and its slot.
    pub state: ClientState,
    /// The first day told of, counted from 1970-01-01 in UTC.
    pub from_day: u32,
    /// Today, the last.
    pub today: u32,
    /// How often what became of its tokens; by day, product and outcome.
    pub counts: Vec<CheckCount>,
    /// The last hour told of, counted from 1970-01-01 in UTC.
    pub hour: u32,
    /// The same as `counts` for the last 24 hours; by hour, product and outcome.
    pub hours: Vec<CheckCount>,
    /// Who presented permitted tokens; by day and source.
    pub sources: Vec<SourceUse>,
    /// Who presented former or ended tokens; by day, source and outcome.
    pub stale: Vec<SourceUse>,
    /// All products, to name them.
    pub products: Arc<Vec<Product>>,
}

/// The figures of the last `days` days of a client that the administrator sees.
pub async fn of_client(
    data: &Data,
    admin: &Admin,
    id: ClientId,
    days: u32,
) -> Result<UsageFigures, Refused> {
    let reader = data.reader();
    let products = Arc::new(reader.products().await?);
    let (state, _) = reader.client(id).await?.ok_or(NO_CLIENT)?;
    admin.must_see_client(&state, &products)?;
    let hour = data.hour();
    let today = hour / HOURS;
    let from_day = (today + 1).saturating_sub(days.clamp(1, DAYS_MAX));
    let no = state.client.no;
    // What is written first: then a count on its way is missed for a moment, and none is told twice.
    let written = reader.check_counts(no, from_day).await?;
    let from_hour = (hour + 1).saturating_sub(HOURS);
    let by_hour = reader.hour_counts(no, from_hour).await?;
    let sources = reader.source_uses(no, from_day).await?;
    let sources = merged_sources(sources, data.counts.pending_sources(no, hour));
    let (stale, sources) = sources.into_iter().partition(|one| one.outcome.is_stale());
    let pending = data.counts.pending(no, hour);
    let in_hours = |one: &&CheckCount| one.day * HOURS + one.hour >= from_hour;
    let hours = pending.iter().filter(in_hours).copied();
    let hours = merged(by_hour.into_iter().chain(hours));
    let whole_days = pending.iter().map(|one| CheckCount { hour: 0, ..*one });
    Ok(UsageFigures {
        counts: merged(written.into_iter().chain(whole_days)),
        hour,
        hours,
        sources,
        stale,
        state,
        from_day,
        today,
        products,
    })
}

fn merged(counts: impl Iterator<Item = CheckCount>) -> Vec<CheckCount> {
    let mut sums = BTreeMap::new();
    for count in counts {
        let key = (count.day, count.hour, count.product, count.outcome);
        let sum = sums.entry(key).or_insert(CheckCount { n: 0, ..count });
        sum.n += count.n;
    }
    sums.into_values().collect()
}

fn merged_sources(written: Vec<SourceUse>, pending: Vec<SourceUse>) -> Vec<SourceUse> {
    let mut sums: BTreeMap<_, SourceUse> = BTreeMap::new();
    for one in written.into_iter().chain(pending) {
        let key = (one.day, one.source.clone(), one.outcome);
        match sums.get_mut(&key) {
            Some(sum) => {
                sum.n += one.n;
                sum.last_at = sum.last_at.max(one.last_at);
            }
            None => drop(sums.insert(key, one)),
        }
    }
    sums.into_values().collect()
}
