//! Admin keys: what programs manage this server with. Shown once, revoked here.

use super::activity::Names;
use super::credentials::Recognised;
use super::prelude::*;
use super::role_form::{self, Words};
use crate::verbs::{admin_keys, credential_notes};
use tokenward_api::FIRST_KEY;
use tokenward_core::client::LIFETIME_SECONDS_MAX;

/// Most days a key lives: as long as a token may.
const DAYS_MAX: u64 = LIFETIME_SECONDS_MAX as u64 / 86_400;

struct Line {
    id: String,
    name: String,
    role: String,
    created: Moment,
    ends: Option<Moment>,
    used: Option<Moment>,
    used_from: String,
    known: Recognised,
    /// Whether it can be revoked: it works, and is not the last operator's key without an end.
    revocable: bool,
    /// `Active`, `Expired` or `Revoked`.
    state: &'static str,
    tone: &'static str,
}

#[derive(Template)]
#[template(path = "console/admin_keys.html")]
struct KeysPage {
    frame: Frame,
    /// The id of the key that the first start made, while it is active.
    first: Option<String>,
    first_name: &'static str,
    first_revocable: bool,
    lines: Vec<Line>,
}

#[derive(Template)]
#[template(path = "console/admin_key_new.html")]
struct NewPage {
    frame: Frame,
    fields: Vec<Field>,
    fault: Fault,
}

/// `GET /console/admin-keys`
pub(super) async fn list(Member(app, person): Member, uri: http::Uri) -> Reply {
    let query = Form::query(&uri);
    let all = admin_keys::list(&app.data, &person.admin()).await?;
    let uses = admin_keys::last_uses(&app.data).await?;
    let now = app.data.clock().wall();
    let notes = credential_notes::of_admin_keys(&app.data, &person.admin()).await?;
    let names = Names::of_actors(&app).await?;
    let (mut lines, mut words) = (Vec::new(), Words::new(&app));
    for key in &all {
        let over = key.expires_at.is_some_and(|end| end <= now);
        let (state, tone) = match (key.revoked_at, over) {
            (Some(_), _) => ("Revoked", "bad"),
            (None, true) => ("Expired", "warn"),
            (None, false) => ("Active", "good"),
        };
        let used = uses.get(&key.id);
        let revocable = (key.revoked_at, over) == (None, false);
        lines.push(Line {
            id: key.id.to_string(),
            name: key.name.to_string(),
            role: words.of(&key.role).await?,
            created: Moment::new(key.created_at, now),
            known: Recognised::admin_key(key).with(notes.get(&key.id), Some(&names)),
            ends: key.expires_at.map(|end| Moment::new(end, now)),
            used: used.map(|(at, _)| Moment::new(*at, now)),
            used_from: used.map_or_else(String::new, |(_, source)| source.clone()),
            revocable: revocable && !admin_keys::is_last(key, &all),
            state,
            tone,
        });
    }
    let first = all.iter().find(|key| {
        key.name.as_str() == FIRST_KEY
            && key.revoked_at.is_none()
            && key.expires_at.is_none_or(|end| now < end)
    });
    page(&KeysPage {
        frame: Frame::new(&person, "Admin keys", "keys").done(query.text("done")),
        first_revocable: first.is_some_and(|key| !admin_keys::is_last(key, &all)),
        first: first.map(|key| key.id.to_string()),
        first_name: FIRST_KEY,
        lines,
    })
}

async fn new_page(
    app: &App,
    person: &Person,
    form: &Form,
    fault: Fault,
) -> Result<NewPage, PageError> {
    let mut fields = vec![
        Field::new("text", "name", "Name", form, &fault)
            .hint("What the key is for, such as “deployment pipeline”.")
            .auto("off")
            .first(),
    ];
    fields.extend(role_form::fields(app, person, form, &fault).await?);
    let days = Field::new("number", "days", "Expires after (days)", form, &fault);
    fields.push(
        days.hint("Leave empty for a key that never expires.")
            .digits()
            .optional(),
    );
    fields.push(
        Field::new("text", "note", "Note", form, &fault)
            .hint("What people should know about it, such as where it is used.")
            .auto("off")
            .optional(),
    );
    Ok(NewPage {
        frame: Frame::new(person, "Create admin key", "keys"),
        fields,
        fault,
    })
}

/// `GET /console/admin-keys/new`
pub(super) async fn ask(SteppedUp(app, person): SteppedUp) -> Reply {
    person.admin().must_operate()?;
    page(&new_page(&app, &person, &Form::default(), Fault::default()).await?)
}

/// Seconds until the key expires, if it does.
fn expires_in(form: &Form) -> Result<Option<u64>, Refused> {
    match form.text("days").trim() {
        "" => Ok(None),
        days => {
            let days = days
                .parse()
                .ok()
                .filter(|days| (1..=DAYS_MAX).contains(days));
            let why = format!("must be 1 to {DAYS_MAX} days");
            Ok(Some(days.ok_or(Refused::Invalid("days", why))? * 86_400))
        }
    }
}

/// `POST /console/admin-keys/new`
pub(super) async fn create(sent: PostedForm) -> Reply {
    let (app, person, form) = sent.parts();
    let (name, note) = (form.text("name").trim(), form.text("note"));
    let mut faults = Faults::default();
    faults.take(crate::verbs::name(name))?;
    let role = role_form::role(&form, &mut faults)?;
    let seconds = faults.take(expires_in(&form))?;
    faults.take(credential_notes::parse(note))?;
    let made = match (role, seconds, faults.all()) {
        (Some(role), Some(seconds), None) => {
            let made = admin_keys::create(&app.data, person.admin(), name, role, seconds, note);
            made.await.map_err(Fault::of)
        }
        (.., fault) => Err(Ok(fault.unwrap_or_default())),
    };
    let (record, key) = match made {
        Ok(made) => made,
        Err(fault) => {
            return unprocessable(&new_page(&app, &person, &form, fault?).await?);
        }
    };
    page(&OncePage {
        frame: Frame::new(&person, "Copy the admin key", "keys"),
        heading: format!("Admin key “{}” created", record.name),
        fingerprint: record.digest.fingerprint(),
        explanation: "Copy it now; you won't be able to see it again. Send it as Authorization: Bearer to /admin/v1, or save it in a file that TOKENWARD_ADMIN_KEY_FILE names for the tokenward command.",
        what: "Admin key",
        secrets: vec![key.expose()],
        next: "/console/admin-keys".to_owned(),
        ..OncePage::default()
    })
}

/// `GET /console/admin-keys/{id}/revoke`
pub(super) async fn ask_revoke(
    Path(text): Path<String>,
    SteppedUp(app, person): SteppedUp,
) -> Reply {
    let id = Uuid::try_parse(&text).map_err(|_| PageError::NotFound("admin key"))?;
    let all = admin_keys::list(&app.data, &person.admin()).await?;
    let others = all.clone();
    let key = all.into_iter().find(|key| key.id == id);
    let key = key.ok_or(PageError::NotFound("admin key"))?;
    if key.revoked_at.is_some() {
        return Err(PageError::Conflict("this admin key was revoked".to_owned()));
    }
    if admin_keys::is_last(&key, &others) {
        return Err(PageError::Conflict(admin_keys::LAST.to_owned()));
    }
    let role = Words::new(&app).of(&key.role).await?;
    let title = format!("Revoke admin key “{}”", key.name);
    let says = [
        "Programs that use this key get 401 immediately.",
        "This can't be undone. Create a new admin key and give it to those programs first.",
        &format!("Role of this key: {role}."),
    ];
    page(&ConfirmPage::of(
        Frame::new(&person, title, "keys"),
        (&says, "Revoke admin key"),
        format!("/console/admin-keys/{id}/revoke"),
        "/console/admin-keys".to_owned(),
    ))
}

/// `POST /console/admin-keys/{id}/revoke`
pub(super) async fn revoke(Path(text): Path<String>, sent: PostedForm) -> Reply {
    let id = Uuid::try_parse(&text).map_err(|_| PageError::NotFound("admin key"))?;
    admin_keys::revoke(&sent.app.data, sent.person.admin(), id).await?;
    Ok(see("/console/admin-keys?done=key-revoked"))
}
