//! Changing a client's settings; a narrower restriction binds the live token at once. A form that was opened before
//! somebody else changed them does not undo that: it comes back with the differences.

use super::super::prelude::*;
use super::new::offered;
use super::settings_form::{self, Difference, SettingsForm};
use crate::verbs::clients::{self, Read};
use crate::verbs::settings::{self, is_wider, version};
use tokenward_api::ClientSettings;

#[derive(Template)]
#[template(path = "console/client_edit.html")]
struct EditPage {
    frame: Frame,
    id: String,
    settings: SettingsForm,
    fault: Fault,
    /// The version of the settings that the form was opened on.
    version: String,
    /// Those settings, as the form began with them.
    opened: String,
    /// What somebody else changed meanwhile.
    differences: Vec<Difference>,
}

/// The fields that say what the form was opened on.
fn on(read: &Read) -> (String, String) {
    let settings = &read.state.client.settings;
    let form = settings_form::of(settings, &read.products);
    (version(settings), form.encoded())
}

fn shown(
    person: &Person,
    read: &Read,
    form: &Form,
    (version, opened): (String, String),
    fault: Fault,
) -> EditPage {
    let products = offered(person, read.products.to_vec());
    let title = format!("Settings of {}", read.state.client.settings.label);
    EditPage {
        frame: Frame::new(person, title, "clients").at(super::place(read)),
        id: read.state.client.id.to_string(),
        settings: settings_form::shown(form, &fault, &products),
        fault,
        version,
        opened,
        differences: Vec::new(),
    }
}

/// `GET /console/clients/{id}/edit`
pub(in super::super) async fn show(Path(id): Path<String>, Member(app, person): Member) -> Reply {
    let read = super::read(&app, &person, &id).await?;
    person.admin().must_write()?;
    let form = settings_form::of(&read.state.client.settings, &read.products);
    page(&shown(&person, &read, &form, on(&read), Fault::default()))
}

/// The form once more, over what is there now.
async fn changed_meanwhile(
    app: &App,
    person: &Person,
    id: &str,
    (opened, typed): (&Form, &Form),
) -> Reply {
    let read = super::read(app, person, id).await?;
    let now = settings_form::of(&read.state.client.settings, &read.products);
    let merged = settings_form::merged(opened, &now, typed);
    let mut shown = shown(person, &read, &merged, on(&read), Fault::default());
    shown.differences = settings_form::differences(opened, &now, typed);
    with_status(StatusCode::CONFLICT, &shown)
}

/// `POST /console/clients/{id}/edit`
pub(in super::super) async fn send(Path(text): Path<String>, sent: PostedForm) -> Reply {
    let (person, form) = (&sent.person, &sent.form);
    let read = super::read(&sent.app, person, &text).await?;
    person.admin().must_write()?;
    let opened = Form::read(form.text("opened").as_bytes()).unwrap_or_default();
    let seen = form.text("version").to_owned();
    // A form that comes back is still the one that was opened then.
    let on = (seen.clone(), form.text("opened").to_owned());
    let again = |fault| unprocessable(&shown(person, &read, form, on.clone(), fault));
    let (written, faults) = settings_form::altered(&opened, form);
    let judge = |written: &ClientSettings| {
        settings::change(written, &read.state.client.settings, &read.products)
    };
    if let Some(fault) = settings_form::all_faults(&written, faults, judge) {
        return again(fault);
    }
    match judge(&written) {
        Ok(settings) if is_wider(&read.state.client.settings, &settings) => {
            sent.must_be_proved().await?;
        }
        Ok(_) => {}
        Err(refused) => return again(Fault::of(refused)?),
    }
    let id = read.state.client.id;
    let data = &sent.app.data;
    match clients::change(data, person.admin(), id, written, Some(vec![seen])).await {
        Ok(_) => Ok(see(&format!("/console/clients/{id}?done=changed"))),
        Err(Refused::Changed(_)) => {
            changed_meanwhile(&sent.app, person, &text, (&opened, form)).await
        }
        Err(refused) => again(Fault::of(refused)?),
    }
}
