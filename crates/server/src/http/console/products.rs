//! Products: what access tokens open. The list, adding, renaming, deleting.

use super::prelude::*;
use crate::verbs::products;
use tokenward_core::client::Product;

struct Line {
    slug: String,
    name: String,
    created: Moment,
}

#[derive(Template)]
#[template(path = "console/products.html")]
struct ProductsPage {
    frame: Frame,
    lines: Vec<Line>,
    fields: Vec<Field>,
    fault: Fault,
    operates: bool,
    /// The slug of the product that is renamed; empty when one is added.
    edited: String,
}

fn shown(person: &Person, all: &[Product], form: &Form, fault: Fault, done: &str) -> ProductsPage {
    let line = |product: &Product| Line {
        slug: product.slug.to_string(),
        name: product.name.to_string(),
        created: Moment::plain(product.created_at),
    };
    let edited = all
        .iter()
        .map(|product| product.slug.to_string())
        .find(|slug| slug == form.text("edited"))
        .unwrap_or_default();
    let slug = Field::new("text", "slug", "Slug", form, &fault)
        .hint("Used in the gateway check URL, such as e-invoice; can't be changed.")
        .auto("off");
    let name = Field::new("text", "name", "Name", form, &fault).auto("off");
    let fields = match edited.is_empty() {
        true => vec![slug, name],
        false => vec![name],
    };
    ProductsPage {
        frame: Frame::new(person, "Products", "products").done(done),
        lines: all.iter().map(line).collect(),
        fields,
        fault,
        operates: person.admin().is_operator(),
        edited,
    }
}

/// Products to choose from: their slugs and names.
pub(super) fn options<'a>(
    products: impl IntoIterator<Item = &'a Product>,
) -> Vec<(String, String)> {
    let products = products.into_iter();
    products
        .map(|product| (product.slug.to_string(), product.name.to_string()))
        .collect()
}

/// `GET /console/products`
pub(super) async fn list(Member(app, person): Member, uri: http::Uri) -> Reply {
    let query = Form::query(&uri);
    let all = products::list(&app.data).await?;
    let done = query.text("done");
    // A link names a product to rename and fills in nothing else.
    let renamed = all
        .iter()
        .find(|product| product.slug.as_str() == query.text("edit"));
    let form = renamed.map_or_else(Form::default, |product| {
        Form::of([
            ("edited", product.slug.to_string()),
            ("name", product.name.to_string()),
        ])
    });
    page(&shown(&person, &all, &form, Fault::default(), done))
}

/// `POST /console/products`
pub(super) async fn put(sent: PostedForm) -> Reply {
    let (app, person, form) = sent.parts();
    let (slug, name) = (form.text("slug").trim(), form.text("name").trim());
    person.admin().must_operate()?;
    let mut faults = Faults::default();
    faults.take(products::slug(slug))?;
    faults.take(crate::verbs::name(name))?;
    let put = match faults.all() {
        Some(fault) => Err(Ok(fault)),
        None => {
            let put = products::put(&app.data, person.admin(), slug, name).await;
            put.map_err(Fault::of)
        }
    };
    match put {
        Ok(_) => Ok(see("/console/products?done=product")),
        Err(fault) => {
            let fault = fault?;
            let all = products::list(&app.data).await?;
            unprocessable(&shown(&person, &all, &form, fault, ""))
        }
    }
}

fn confirm(person: &Person, slug: &str, fault: Fault) -> ConfirmPage {
    let says = [
        "Gateways that check tokens for this product deny every request.",
        "You can't delete a product while an API client is restricted to it.",
    ];
    ConfirmPage {
        heading: format!("Delete product “{slug}”"),
        fault,
        ..ConfirmPage::of(
            Frame::new(person, "Delete product", "products"),
            (&says, "Delete product"),
            format!("/console/products/{slug}/delete"),
            "/console/products".to_owned(),
        )
    }
}

/// `GET /console/products/{slug}/delete`
pub(super) async fn ask(Path(slug): Path<String>, SteppedUp(_, person): SteppedUp) -> Reply {
    person.admin().must_operate()?;
    page(&confirm(&person, &slug, Fault::default()))
}

/// `POST /console/products/{slug}/delete`
pub(super) async fn delete(Path(slug): Path<String>, sent: PostedForm) -> Reply {
    match products::delete(&sent.app.data, sent.person.admin(), &slug).await {
        Ok(()) => Ok(see("/console/products?done=product-deleted")),
        Err(refused) => {
            let fault = Fault::of(refused)?;
            // What is in use is not offered again.
            let refused = ConfirmPage {
                offered: false,
                ..confirm(&sent.person, &slug, fault)
            };
            unprocessable(&refused)
        }
    }
}
