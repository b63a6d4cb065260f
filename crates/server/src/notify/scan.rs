//! What time brings and no entry of the audit log tells: tokens that are about to expire, quotas nearly used up, former
//! tokens that keep arriving, clients that nobody uses. Looked for in pages, over clients somebody wants to
//! hear of; an event's key keeps it from being told at every look.

use super::event::Event;
use super::listeners::Listeners;
use super::{Stuck, anybody_listens};
use crate::app::App;
use serde_json::json;
use tokenward_core::client::{ClientState, SecretRecord};
use tokenward_core::time::{Clock, MICROS_PER_SECOND, SECONDS_PER_DAY, Timestamp};
use tokenward_store::Use;
use tokenward_store::counts::{Outcome, SourceUse};
use tokenward_store::notices::{AddressWrite, NoticeWrite};
use tokenward_store::people::Record;

/// Days before the end of a token at which it is told, the nearest first. Of a token that lives less than twice as
/// long nobody wants to hear it.
const EXPIRING_DAYS: [u64; 3] = [1, 7, 30];
/// Percent of the day's quota at which it is told, the highest first.
const QUOTA_PERCENT: [u64; 3] = [100, 80, 60];
/// Days without use after which a client counts as unused.
const UNUSED_DAYS: u64 = 30;
/// Seconds after which a superseded token that still arrives is not just on its way to all of its holders.
const STRAGGLER_SECONDS: u64 = 300;
/// Superseded tokens a day that are worth telling though all came early: two that take turns.
const STALE_A_DAY: u64 = 20;
/// Days an outbox entry that is over is kept; then an event that still is may be told again.
const DAYS_KEPT: u64 = 35;

/// Looks at every client that somebody wants to hear of.
pub(super) async fn look_round(app: &App) -> Result<(), Stuck> {
    if !app.data.store.is_housekeeper() {
        return Ok(());
    }
    let (reader, now, today) = (app.data.reader(), app.data.clock().wall(), app.data.today());
    let before = Timestamp(now.0 - days(DAYS_KEPT));
    let yesterday = Timestamp(now.0 - days(1));
    app.data
        .note(vec![
            Record::Notice(NoticeWrite::Forgotten { before }),
            Record::NoticeAddress(AddressWrite::AskedForgotten { before: yesterday }),
        ])
        .await?;
    if !anybody_listens(app).await? {
        return Ok(());
    }
    let mut after = None;
    loop {
        let page = reader.clients_told_of(after).await?;
        let (Some((first, _)), Some((last, _))) = (page.first(), page.last()) else {
            break;
        };
        let (first, last) = (first.client.no, last.client.no);
        let stale = reader.stale_uses_of(first, last, today).await?;
        let mut listeners = Listeners::default();
        let mut notices = Vec::new();
        for (state, used) in &page {
            let own = stale.iter().filter(|one| one.client == state.client.no);
            let own: Vec<_> = own.collect();
            for event in events(
                state,
                used.as_ref(),
                &own,
                app.data.config.quota_per_day,
                now,
            ) {
                notices.extend(listeners.notices(app, &event).await?);
            }
        }
        // In short transactions: others wait behind them.
        for some in notices.chunks(500) {
            let made = NoticeWrite::Made {
                followed: None,
                notices: some.to_vec(),
            };
            app.data.note(vec![Record::Notice(made)]).await?;
        }
        after = Some(last);
    }
    Ok(())
}

fn days(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX) * SECONDS_PER_DAY * MICROS_PER_SECOND
}

/// What is to be told of a client now.
fn events(
    state: &ClientState,
    used: Option<&Use>,
    stale: &[&SourceUse],
    quota: u32,
    now: Timestamp,
) -> Vec<Event> {
    if state.client.deleted_at.is_some()
        || state.client.disabled_at.is_some()
        || state.workspace.disabled_at.is_some()
    {
        return Vec::new();
    }
    let mut events: Vec<Event> = expiring(state, now).into_iter().collect();
    events.extend(quotas(state, quota, now));
    events.extend(superseded(state, stale, now));
    events.extend(unused(state, used, now));
    events
}

fn expiring(state: &ClientState, now: Timestamp) -> Option<Event> {
    let token = state.slot.live(now)?;
    let till = token.valid_till?;
    let lifetime = till.0 - token.issued_at.0;
    let reached = |n: &&u64| till.0 - now.0 <= days(**n) && lifetime > 2 * days(**n);
    let n = EXPIRING_DAYS.iter().find(reached)?;
    let generation = state.slot.generation;
    let facts = json!({ "days": n, "generation": generation, "valid_till": till.iso() });
    let key = format!("{generation} {n}");
    Some(Event::of_client("token.expiring", &key, state, facts, now))
}

fn quotas(state: &ClientState, quota: u32, now: Timestamp) -> Vec<Event> {
    let day = now.utc_day();
    let event = |(secret, used): (&SecretRecord, u32)| {
        let reached = |percent: &&u64| u64::from(used) * 100 >= u64::from(quota) * **percent;
        let percent = QUOTA_PERCENT.iter().find(reached).filter(|_| used > 0)?;
        let facts = json!({ "percent": percent, "used": used, "quota": quota, "n": secret.n });
        let key = format!("{} {day} {percent}", secret.n);
        Some(Event::of_client("quota.reached", &key, state, facts, now))
    };
    state.quotas(now).filter_map(event).collect()
}

fn superseded(state: &ClientState, stale: &[&SourceUse], now: Timestamp) -> Option<Event> {
    let issued_at = state.slot.token.as_ref()?.issued_at;
    let superseded = |one: &&&SourceUse| one.outcome == Outcome::Superseded;
    let arrived: Vec<_> = stale.iter().filter(superseded).collect();
    let count: u64 = arrived.iter().map(|one| one.n).sum();
    let last_at = arrived.iter().map(|one| one.last_at).max()?;
    if count < STALE_A_DAY && last_at.seconds_since(issued_at) < STRAGGLER_SECONDS {
        return None;
    }
    let sources: Vec<_> = arrived.iter().map(|one| one.source.as_str()).collect();
    let facts = json!({ "count": count, "last_at": last_at.iso(), "sources": sources });
    let key = now.utc_day().to_string();
    Some(Event::of_client(
        "token.superseded_in_use",
        &key,
        state,
        facts,
        now,
    ))
}

fn unused(state: &ClientState, used: Option<&Use>, now: Timestamp) -> Option<Event> {
    let token = state.slot.token.as_ref();
    let last = used.map(|used| used.at);
    let since = last
        .max(token.map(|token| token.issued_at))
        .unwrap_or(state.client.created_at);
    if now.0 - since.0 < days(UNUSED_DAYS) {
        return None;
    }
    let facts = json!({ "days": UNUSED_DAYS, "last_used_at": last.map(Timestamp::iso) });
    let key = since.0.to_string();
    Some(Event::of_client("client.unused", &key, state, facts, now))
}

#[cfg(test)]
mod tests;
