//! `/products`

use super::body::Body;
use super::extract::{Path, Signed};
use super::reply::{Answer, Json, NoContent, Put};
use super::views;
use crate::app::App;
use crate::verbs::products;
use axum::extract::State;
use std::sync::Arc;
use tokenward_api::{Page, Product, ProductPut};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Signed(_): Signed,
) -> Answer<Json<Page<Product>>> {
    let products = products::list(&app.data).await?;
    let items = products.iter().map(views::product).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn put(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(slug): Path<String>,
    Body(body): Body<ProductPut>,
) -> Answer<Put> {
    let (product, created) = products::put(&app.data, admin, &slug, &body.name).await?;
    Ok(Put(views::product(&product), created))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(slug): Path<String>,
) -> Answer<NoContent> {
    products::delete(&app.data, admin, &slug).await?;
    Ok(NoContent)
}
