//! Changing a client's settings; a narrower restriction binds the live token at once.

use super::super::form::{Fault, Form};
use super::super::frame::Frame;
use super::super::reply::{Reply, page, see, unprocessable};
use super::super::session::{Member, Sent};
use super::new::offered;
use super::settings_form::{self, SettingsForm};
use crate::app::App;
use crate::verbs::clients::{self, Read};
use crate::verbs::sign_in::Person;
use askama::Template;
use axum::extract::{Path, State};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "console/client_edit.html")]
struct EditPage {
    frame: Frame,
    id: String,
    settings: SettingsForm,
    fault: Fault,
}

fn shown(person: &Person, read: &Read, form: &Form, fault: Fault) -> EditPage {
    let products = offered(person, read.products.to_vec());
    let title = format!("Settings of {}", read.state.client.settings.label);
    EditPage {
        frame: Frame::new(person, title, "clients").at(super::place(read)),
        id: read.state.client.id.to_string(),
        settings: settings_form::shown(form, &fault, &products),
        fault,
    }
}

/// `GET /console/clients/{id}/edit`
pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Member(person): Member,
) -> Reply {
    let read = super::read(&app, &person, &id).await?;
    person.admin().must_write()?;
    let form = settings_form::of(&read.state.client.settings, &read.products);
    page(&shown(&person, &read, &form, Fault::default()))
}

/// `POST /console/clients/{id}/edit`
pub(in super::super) async fn send(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    sent: Sent,
) -> Reply {
    let Sent { person, form, .. } = sent;
    let read = super::read(&app, &person, &id).await?;
    let again = |fault| unprocessable(&shown(&person, &read, &form, fault));
    let written = match settings_form::written(&form) {
        Ok(written) => written,
        Err(fault) => return again(fault),
    };
    let id = read.state.client.id;
    match clients::change(&app, person.admin(), id, written).await {
        Ok(_) => Ok(see(&format!("/console/clients/{id}?done=changed"))),
        Err(refused) => again(Fault::of(refused)?),
    }
}
