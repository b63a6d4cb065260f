//! Creating a client; its secret is in the answer and nowhere else.

use super::super::prelude::*;
use super::downloads;
use super::settings_form::{self, SettingsForm};
use crate::http::request_host::base_url_for_secrets;
use crate::verbs::settings;
use crate::verbs::{clients, products};
use http::HeaderMap;
use tokenward_api::ClientSettings;
use tokenward_core::client::{Product, Role, Workspace};
use tokenward_core::ids::Environment;

#[derive(Template)]
#[template(path = "console/client_new.html")]
struct NewPage {
    frame: Frame,
    base: String,
    settings: SettingsForm,
    fault: Fault,
    no_products: bool,
}

/// The products somebody may give to a client.
pub(super) fn offered(person: &Person, all: Vec<Product>) -> Vec<Product> {
    match &person.member.role {
        Role::ProductAdmin { products, .. } => all
            .into_iter()
            .filter(|product| products.contains(&product.slug))
            .collect(),
        _ => all,
    }
}

fn shown(
    person: &Person,
    (workspace, environment): (&Workspace, Environment),
    form: &Form,
    fault: Fault,
    products: &[Product],
) -> NewPage {
    let word = environment.as_str();
    NewPage {
        frame: Frame::new(person, "Create API client", "clients")
            .at(Place::new(workspace, Some(environment))),
        base: format!("/console/w/{}/{word}", workspace.id),
        settings: settings_form::shown(form, &fault, products),
        fault,
        no_products: products.is_empty(),
    }
}

/// `GET /console/w/{workspace}/{environment}/new`
pub(in super::super) async fn show(
    Path((workspace, environment)): Path<(String, String)>,
    SteppedUp(app, person): SteppedUp,
) -> Reply {
    let (workspace, environment) =
        super::list::place(&app, &person, &workspace, &environment).await?;
    person.admin().must_write()?;
    let products = offered(&person, products::list(&app.data).await?);
    let (form, fault) = (settings_form::blank(), Fault::default());
    let at = (&workspace, environment);
    page(&shown(&person, at, &form, fault, &products))
}

/// `POST /console/w/{workspace}/{environment}/new`
pub(in super::super) async fn send(
    Path((workspace, environment)): Path<(String, String)>,
    headers: HeaderMap,
    sent: PostedForm,
) -> Reply {
    let (app, person, form) = sent.parts();
    let (workspace, environment) =
        super::list::place(&app, &person, &workspace, &environment).await?;
    let all = products::list(&app.data).await?;
    let products = offered(&person, all.clone());
    let at = (&workspace, environment);
    let again = |fault| unprocessable(&shown(&person, at, &form, fault, &products));
    let (mut written, faults) = settings_form::written(&form);
    let judge = |written: &ClientSettings| settings::create(written, &all);
    if let Some(fault) = settings_form::all_faults(&written, faults, judge) {
        return again(fault);
    }
    written.environment = Some(environment.as_str().to_owned());
    let (read, secret) =
        match clients::create(&app.data, person.admin(), workspace.id, written).await {
            Ok(created) => created,
            Err(refused) => return again(Fault::of(refused)?),
        };
    let (client, base) = (&read.state.client, base_url_for_secrets(&app, &headers));
    let exposed = secret.expose();
    page(&OncePage {
        frame: Frame::new(&person, "Copy the client secret", "clients").at(super::place(&read)),
        heading: format!("API client “{}” created", client.settings.label),
        fingerprint: client.secrets[0].map_or_else(String::new, |made| made.digest.fingerprint()),
        explanation: "Copy the client secret now; you won't be able to see it again. Use it to request access tokens; it gives no access to product APIs itself.",
        what: "Client secret",
        downloads: downloads::downloads(client, &exposed, &base),
        snippets: downloads::snippets(client, &exposed, &base),
        samples: downloads::samples(client, &base),
        secrets: vec![exposed],
        next: format!("/console/clients/{}", client.id),
        ..OncePage::default()
    })
}
