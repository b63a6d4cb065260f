//! `/clients/{id}/usage`

use super::prelude::*;
use crate::verbs::usage_figures::{self, DAYS_DEFAULT, DAYS_MAX, UsageFigures};
use tokenward_api::{Day, Outcome, Slug, StaleUse, Usage, UsageCount, UsageSource};
use tokenward_core::client::Product;
use tokenward_core::ids::ProductNo;
use tokenward_core::time::{MICROS_PER_SECOND, SECONDS_PER_DAY, Timestamp};

pub(super) async fn show(call: Call<String>, parts: Parts) -> Answer<Json<Usage>> {
    let query = Query::read(&parts, &["days"])?;
    let days = query.number("days")?.unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_MAX).contains(&days) {
        let detail = format!("days must be 1 to {DAYS_MAX}.");
        return Err(Problem::invalid(Some("days"), detail));
    }
    let client = client_id(&call.at)?;
    let figures = usage_figures::of_client(&call.data, &call.admin, client, days).await?;
    Ok(Json(view(&figures)))
}

fn view(figures: &UsageFigures) -> Usage {
    let slug = |product: Option<ProductNo>| {
        let slugs = Product::slugs(&[product?], &figures.products);
        slugs.into_iter().next().map(Slug)
    };
    let counts = figures.counts.iter().map(|count| UsageCount {
        day: date(count.day),
        product: slug(count.product),
        outcome: Outcome::of(count.outcome.as_str()),
        count: count.n,
    });
    let stale = figures.stale.iter().map(|one| StaleUse {
        day: date(one.day),
        source: one.source.clone(),
        outcome: Outcome::of(one.outcome.as_str()),
        count: one.n,
        last_at: views::time(one.last_at),
    });
    let sources = figures.sources.iter().map(|one| UsageSource {
        day: date(one.day),
        source: one.source.clone(),
        count: one.n,
        last_at: views::time(one.last_at),
    });
    Usage {
        from: date(figures.from_day),
        to: date(figures.today),
        counts: counts.collect(),
        sources: sources.collect(),
        stale_uses: stale.collect(),
    }
}

/// A day as ISO 8601 has it.
fn date(day: u32) -> Day {
    let mut text = Timestamp(i64::from(day) * SECONDS_PER_DAY * MICROS_PER_SECOND).iso();
    text.truncate("0000-00-00".len());
    Day(text)
}
