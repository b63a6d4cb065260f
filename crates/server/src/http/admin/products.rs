//! `/products`

use super::body::Body;
use super::extract::{Path, Signed};
use super::problem::Answer;
use super::views;
use crate::app::App;
use crate::verbs::products;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

/// Body of a put.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Put {
    name: String,
}

pub(super) async fn list(State(app): State<Arc<App>>, Signed(_): Signed) -> Answer {
    let items = products::list(&app.data)
        .await?
        .iter()
        .map(views::product)
        .collect();
    Ok(views::answer(StatusCode::OK, &views::page(items, None)))
}

pub(super) async fn put(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(slug): Path<String>,
    Body(body): Body<Put>,
) -> Answer {
    let (product, created) = products::put(&app.data, admin, &slug, &body.name).await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(views::answer(status, &views::product(&product)))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(slug): Path<String>,
) -> Answer {
    products::delete(&app.data, admin, &slug).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
