//! `/clients/{id}/usage`

use super::extract::{Path, Query, Signed, id};
use super::problem::{Answer, Problem};
use super::views;
use crate::app::App;
use crate::verbs::usage_figures::{self, DAYS_DEFAULT, DAYS_MAX, UsageFigures};
use axum::extract::State;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};
use std::sync::Arc;
use tokenward_core::ids::{ClientId, ProductNo};
use tokenward_core::time::{MICROS_PER_SECOND, SECONDS_PER_DAY, Timestamp};

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    parts: Parts,
) -> Answer {
    let query = Query::read(&parts, &["days"])?;
    let days = query.number("days")?.unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_MAX).contains(&days) {
        let detail = format!("days must be 1 to {DAYS_MAX}.");
        return Err(Problem::invalid(Some("days"), detail));
    }
    let client = ClientId(id(&text, "client")?);
    let figures = usage_figures::of_client(&app.data, &admin, client, days).await?;
    Ok(views::answer(StatusCode::OK, &view(&figures)))
}

fn view(figures: &UsageFigures) -> Value {
    let slug = |product: Option<ProductNo>| {
        product
            .and_then(|no| tokenward_core::client::Product::slugs(&[no], &figures.products).pop())
    };
    let counts = figures.counts.iter().map(|count| {
        json!({
            "day": date(count.day),
            "product": slug(count.product),
            "outcome": count.outcome.as_str(),
            "count": count.n,
        })
    });
    let stale = figures.stale.iter().map(|one| {
        json!({
            "day": date(one.day),
            "source": one.source,
            "outcome": one.outcome.as_str(),
            "count": one.n,
            "last_at": one.last_at.iso(),
        })
    });
    let sources = figures.sources.iter().map(|one| {
        json!({
            "day": date(one.day),
            "source": one.source,
            "count": one.n,
            "last_at": one.last_at.iso(),
        })
    });
    json!({
        "from": date(figures.from_day),
        "to": date(figures.today),
        "counts": counts.collect::<Vec<_>>(),
        "sources": sources.collect::<Vec<_>>(),
        "stale_uses": stale.collect::<Vec<_>>(),
    })
}

/// A day as ISO 8601 has it.
fn date(day: u32) -> String {
    let mut text = Timestamp(i64::from(day) * SECONDS_PER_DAY * MICROS_PER_SECOND).iso();
    text.truncate("0000-00-00".len());
    text
}
