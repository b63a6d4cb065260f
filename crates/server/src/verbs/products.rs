//! Products: read, put, delete.

use super::prelude::*;
use super::roles;
use crate::audit::detail;
use tokenward_core::client::Product;
use tokenward_core::label::Slug;

/// Every product; names are no secret among administrators.
pub async fn list(data: &Data) -> Result<Vec<Product>, Refused> {
    Ok(data.reader().products().await?)
}

/// The slug of a product as written.
pub fn slug(text: &str) -> Result<Slug, Refused> {
    Slug::parse(text).map_err(|why| Refused::Invalid("slug", why.0))
}

/// Creates a product, or renames it; answers whether it was created. A slug that a role still names from a product
/// deleted before is refused.
pub async fn put(
    data: &Data,
    admin: Admin,
    text: &str,
    written: &str,
) -> Result<(Product, bool), Refused> {
    admin.must_operate()?;
    let slug = slug(text)?;
    let text = written.to_owned();
    let wants = ReadSet {
        products: true,
        admin_keys: true,
        people: true,
        ..ReadSet::default()
    };
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        let old = view.products.iter().find(|product| product.slug == slug);
        let unchanged = |old: &&Product| old.name.as_str() == text;
        if let Some(old) = old.filter(unchanged) {
            return Ok((Decided::nothing(), (old.clone(), false)));
        }
        let name = super::name(&text)?;
        let product = match old {
            Some(old) if old.name == name => return Ok((Decided::nothing(), (old.clone(), false))),
            Some(old) => Product {
                name,
                ..old.clone()
            },
            None if roles::named(&slug, view) => return Err(still_named()),
            None => Product {
                no: view.next.product,
                slug,
                name,
                created_at: view.now,
            },
        };
        let detail =
            json!({ "slug": product.slug, "name": product.name, "created": old.is_none() });
        let detail = match old {
            Some(old) => {
                let name = |product: &Product| json!({ "name": product.name });
                detail::with_changes(detail, &name(old), &name(&product))
            }
            None => detail,
        };
        let entry = acting.entry("product.put", None, None, &detail);
        let changes = vec![Change::ProductPut {
            product: product.clone(),
        }];
        Ok((Decided::changes(changes, entry), (product, old.is_none())))
    });
    decided.await
}

/// Roles name products by slug: a new product with the slug of a deleted one would belong to the old one's admins.
fn still_named() -> Refused {
    let why = "the role of an admin key, a member or an invitation names this product; revoke or change it first";
    Refused::Conflict(Conflict::ProductInUse, why.into())
}

/// Deletes a product that no client and no role names.
pub async fn delete(data: &Data, admin: Admin, text: &str) -> Result<(), Refused> {
    admin.must_operate()?;
    let unknown = Refused::NotFound("product");
    let slug = Slug::parse(text).map_err(|_| unknown.clone())?;
    let mut products = data.reader().products().await?.into_iter();
    let product = products.find(|product| product.slug == slug);
    let product = product.ok_or(unknown)?;
    let wants = ReadSet {
        products: true,
        admin_keys: true,
        people: true,
        product_use: Some(product.no),
        ..ReadSet::default()
    };
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        if !view.products.iter().any(|known| known.no == product.no) {
            return Err(Refused::NotFound("product"));
        }
        if view.product_users > 0 {
            let users = view.product_users;
            let why = format!("{users} API clients are restricted to this product");
            return Err(Refused::Conflict(Conflict::ProductInUse, why));
        }
        if roles::named(&product.slug, view) {
            return Err(still_named());
        }
        let detail = json!({ "slug": product.slug, "name": product.name });
        let entry = acting.entry("product.delete", None, None, &detail);
        let changes = vec![Change::ProductDeleted {
            product: product.no,
        }];
        Ok((Decided::changes(changes, entry), ()))
    });
    decided.await
}
