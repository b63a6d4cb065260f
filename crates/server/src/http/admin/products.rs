//! `/products`

use super::prelude::*;
use super::reply::Put;
use crate::verbs::products;
use tokenward_api::{Product, ProductPut};

pub(super) async fn list(call: Call) -> Answer<Json<Page<Product>>> {
    let products = products::list(&call.data).await?;
    let items = products.iter().map(views::product).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn put(call: Call<String>, Body(body): Body<ProductPut>) -> Answer<Put> {
    let (product, created) = products::put(&call.data, call.admin, &call.at, &body.name).await?;
    Ok(Put(views::product(&product), created))
}

pub(super) async fn delete(call: Call<String>) -> Answer<NoContent> {
    products::delete(&call.data, call.admin, &call.at).await?;
    Ok(NoContent)
}
