//! What people recognise credentials by: how each begins, a fingerprint of what is stored of it, a note, and who made it.
//! The form that changes the note.

use super::activity::Names;
use super::prelude::*;
use crate::verbs::credential_notes::{self, Noted};
use tokenward_core::client::{AdminKeyRecord, ApiClient, SecretRecord};
use tokenward_core::credential::{ADMIN_PREFIX, SECRET_PREFIX};
use tokenward_core::digest::credential_fingerprint;
use tokenward_core::ids::ClientId;
use tokenward_store::CredentialNote;
use tokenward_store::notices::Webhook;

/// What a webhook's signing secret begins with (Standard Webhooks).
const WEBHOOK_PREFIX: &str = "whsec_";
/// Characters of an id that tell it from others of one list.
const ID_CHARS: usize = 8;

/// What a credential is recognised by.
pub(super) struct Recognised {
    /// How it begins; nothing of it is secret.
    pub(super) begins: String,
    pub(super) fingerprint: String,
    pub(super) note: String,
    /// Who made it; empty when not known, or not for this person.
    pub(super) made_by: String,
    /// Where the note is changed.
    pub(super) edit: String,
}

impl Recognised {
    fn new(begins: String, fingerprint: String, edit: String) -> Self {
        Self {
            begins,
            fingerprint,
            note: String::new(),
            made_by: String::new(),
            edit,
        }
    }

    /// A secret of a client.
    pub(super) fn secret(client: &ApiClient, secret: &SecretRecord) -> Self {
        let id = client.id.to_string();
        let environment = client.environment.as_str();
        let begins = format!("{SECRET_PREFIX}{environment}.{}…", &id[..ID_CHARS]);
        let edit = format!("/console/credentials/secret/{id}/{}", secret.n);
        Self::new(begins, secret.digest.fingerprint(), edit)
    }

    /// An admin key. One that somebody chose begins otherwise.
    pub(super) fn admin_key(key: &AdminKeyRecord) -> Self {
        let id = key.id.to_string();
        let begins = format!("{ADMIN_PREFIX}{}…", &id[..ID_CHARS]);
        let edit = format!("/console/credentials/admin-key/{id}/0");
        Self::new(begins, key.digest.fingerprint(), edit)
    }

    /// The signing secret of a webhook.
    pub(super) fn webhook(webhook: &Webhook) -> Self {
        let edit = format!("/console/credentials/webhook/{}/0", webhook.id);
        let fingerprint = credential_fingerprint(&webhook.secret);
        Self::new(format!("{WEBHOOK_PREFIX}…"), fingerprint, edit)
    }

    /// With its note, and who made it where `names` are given.
    pub(super) fn with(mut self, note: Option<&CredentialNote>, names: Option<&Names>) -> Self {
        if let Some(note) = note {
            self.note.clone_from(&note.note);
            if let Some(names) = names.filter(|_| !note.made_by.is_empty()) {
                self.made_by = names.who(&note.made_by);
            }
        }
        self
    }
}

/// The credential that an address names, what it is called, and the page that shows it.
async fn named(
    app: &App,
    person: &Person,
    (kind, id, n): (&str, &str, &str),
) -> Result<(Noted, String, String), PageError> {
    let missing = PageError::NotFound("page");
    let (Ok(id), Ok(n)) = (Uuid::try_parse(id), n.parse::<u32>()) else {
        return Err(missing);
    };
    Ok(match kind {
        "secret" => (
            Noted::Secret(ClientId(id), n),
            format!("Note of client secret {n}"),
            format!("/console/clients/{id}"),
        ),
        "admin-key" => (
            Noted::AdminKey(id),
            "Note of an admin key".to_owned(),
            "/console/admin-keys".to_owned(),
        ),
        "webhook" => {
            let place = credential_notes::webhook_place(&app.data, &person.admin(), id).await?;
            (
                Noted::Webhook(id),
                "Note of a webhook".to_owned(),
                format!("/console/w/{place}/notices"),
            )
        }
        _ => return Err(missing),
    })
}

fn asks(
    person: &Person,
    path: (&str, &str, &str),
    (title, back): (String, String),
    form: &Form,
    fault: Fault,
) -> ConfirmPage {
    let field = Field::new("text", "note", "Note", form, &fault)
        .hint("What people should know about it, such as where it is used. Never the credential itself.")
        .auto("off")
        .optional()
        .first();
    let (kind, id, n) = path;
    let action = format!("/console/credentials/{kind}/{id}/{n}");
    let area = match kind {
        "secret" => "clients",
        "admin-key" => "keys",
        _ => "notices",
    };
    let frame = Frame::new(person, title, area);
    ConfirmPage {
        fields: vec![field],
        fault,
        dangerous: false,
        ..ConfirmPage::of(frame, (&[], "Save note"), action, back)
    }
}

/// `GET /console/credentials/{kind}/{id}/{n}`
pub(super) async fn ask(
    Path((kind, id, n)): Path<(String, String, String)>,
    Member(app, person): Member,
) -> Reply {
    person.admin().must_write()?;
    let path = (kind.as_str(), id.as_str(), n.as_str());
    let (noted, title, back) = named(&app, &person, path).await?;
    let note = credential_notes::read(&app.data, &person.admin(), noted).await?;
    let form = Form::of([("note", note)]);
    page(&asks(&person, path, (title, back), &form, Fault::default()))
}

/// `POST /console/credentials/{kind}/{id}/{n}`
pub(super) async fn change(
    Path((kind, id, n)): Path<(String, String, String)>,
    sent: PostedForm,
) -> Reply {
    let (app, person, form) = sent.parts();
    let path = (kind.as_str(), id.as_str(), n.as_str());
    let (noted, title, back) = named(&app, &person, path).await?;
    let text = form.text("note");
    match credential_notes::change(&app.data, person.admin(), noted, text).await {
        Ok(()) => Ok(see(&format!("{back}?done=note"))),
        Err(refused) => {
            let fault = Fault::of(refused)?;
            unprocessable(&asks(&person, path, (title, back), &form, fault))
        }
    }
}
