//! Notices of a workspace: the webhooks that are told, and what became of everything that was sent.

use super::activity::Names;
use super::credentials::Recognised;
use super::preferences;
use super::prelude::*;
use super::workspaces;
use crate::verbs::notice_preferences::{self, Choices};
use crate::verbs::{addresses, credential_notes, notices, webhooks};
use tokenward_api::NoticeState;
use tokenward_core::client::Workspace;
use tokenward_store::notices::{Notice, NoticeAddress, Target, Webhook};

/// Notices on a page.
const PAGE: u32 = 50;

struct HookLine {
    id: String,
    url: String,
    disabled: bool,
    created: Moment,
    rotating: bool,
    /// Its preferences, in words.
    told: String,
    known: Recognised,
    /// When something was last delivered there.
    used: Option<Moment>,
}

struct AddressLine {
    email: String,
    state: &'static str,
    tone: &'static str,
    /// Its preferences, in words.
    told: String,
    /// Where that is chosen.
    choose: String,
}

struct NoticeLine {
    at: Moment,
    kind: String,
    to: String,
    client: String,
    state: &'static str,
    tone: &'static str,
    attempts: u32,
    next: Option<Moment>,
    /// Whether it waits for an email with others.
    held: bool,
    error: String,
}

#[derive(Template)]
#[template(path = "console/notices.html")]
struct NoticesPage {
    frame: Frame,
    workspace: String,
    hooks: Vec<HookLine>,
    addresses: Vec<AddressLine>,
    lines: Vec<NoticeLine>,
    older: Option<u64>,
    fields: [Field; 2],
    fault: Fault,
    manages: bool,
    mails: bool,
    word: Word,
}

async fn shown(
    app: &App,
    person: &Person,
    at: &Workspace,
    (query, typed): (&Form, &Form),
    fault: Fault,
) -> Result<NoticesPage, PageError> {
    let (admin, now) = (person.admin(), app.data.clock().wall());
    let hooks = webhooks::list(&app.data, &admin, at.id).await?;
    let after = query.text("after").parse().ok();
    let (sent, older) = notices::list(&app.data, &admin, at.id, after, PAGE).await?;
    let url = |id: Uuid| {
        let known = hooks.iter().find(|hook| hook.id == id);
        known.map_or_else(|| "deleted webhook".to_owned(), |hook| hook.url.clone())
    };
    let line = |notice: &Notice| {
        let (state, tone) = match notices::state(notice) {
            NoticeState::Delivered => ("Delivered", "good"),
            NoticeState::GivenUp => ("Failed", "bad"),
            NoticeState::Waiting | NoticeState::Unknown => match notice.attempts {
                0 => ("Pending", "idle"),
                _ => ("Retrying", "warn"),
            },
        };
        let client = notice.made.client;
        NoticeLine {
            at: Moment::new(notice.made.at, now),
            kind: notice.made.kind.clone(),
            to: match &notice.made.target {
                Target::Mail => notice.made.recipient.clone(),
                Target::Webhook(id) => url(*id),
            },
            client: client.map_or_else(String::new, |id| id.to_string()),
            state,
            tone,
            attempts: notice.attempts,
            next: notice
                .due_at
                .filter(|_| notice.attempts > 0 || notice.held)
                .map(|due| Moment::new(due, now)),
            held: notice.held && notice.attempts == 0,
            error: sentence(&notice.last_error),
        }
    };
    let frame = Frame::new(person, "Notifications", "notices")
        .at(Place::new(at, None))
        .done(query.text("done"));
    let names = match admin.must_audit() {
        Ok(()) => Some(Names::of_actors(app).await?),
        Err(_) => None,
    };
    let addresses = notice_preferences::addresses(&app.data, &admin, at.id).await?;
    let notes = credential_notes::of_webhooks(&app.data, &admin, at.id).await?;
    let field = Field::new("url", "url", "Endpoint URL", typed, &fault);
    let note = Field::new("text", "note", "Note", typed, &fault)
        .hint("What people should know about this endpoint.")
        .auto("off")
        .optional();
    Ok(NoticesPage {
        word: frame.hidden_word(),
        frame,
        workspace: at.id.to_string(),
        lines: sent.iter().map(line).collect(),
        older,
        fields: [
            field
                .hint("An HTTPS URL. Requests are signed according to the Standard Webhooks specification.")
                .auto("off"),
            note,
        ],
        fault,
        manages: admin.administers(),
        addresses: addresses.iter().map(|row| address(at, row)).collect(),
        mails: app.data.config.mail_url.is_some(),
        hooks: hooks
            .iter()
            .map(|hook| HookLine {
                id: hook.id.to_string(),
                url: hook.url.clone(),
                told: preferences::summary(&hook.preferences, &Target::Webhook(hook.id)),
                disabled: hook.disabled_at.is_some(),
                created: Moment::new(hook.created_at, now),
                known: Recognised::webhook(hook).with(notes.get(&hook.id), names.as_ref()),
                used: delivered(&sent, hook).map(|at| Moment::new(at, now)),
                rotating: hook.former.as_ref().is_some_and(|(_, till)| now < *till),
            })
            .collect(),
    })
}

fn address(at: &Workspace, row: &NoticeAddress) -> AddressLine {
    let (state, tone) = match addresses::state(Some(row)) {
        addresses::State::Confirmed => ("Confirmed", "good"),
        addresses::State::Stopped => ("Stopped by its owner", "idle"),
        addresses::State::Pending | addresses::State::Unknown => ("Not confirmed", "warn"),
    };
    let email: String = form_urlencoded::byte_serialize(row.address.as_bytes()).collect();
    AddressLine {
        email: row.address.clone(),
        state,
        tone,
        told: preferences::summary(&row.preferences, &Target::Mail),
        choose: format!("/console/w/{}/addresses?email={email}", at.id),
    }
}

/// When something was last delivered to a webhook, of these notices.
fn delivered(sent: &[Notice], hook: &Webhook) -> Option<Timestamp> {
    let own = |notice: &&Notice| notice.made.target == Target::Webhook(hook.id);
    let own = sent.iter().filter(own);
    own.filter_map(|notice| notice.done_at).max()
}

/// `GET /console/w/{workspace}/notices`
pub(super) async fn show(
    Path(text): Path<String>,
    Member(app, person): Member,
    uri: http::Uri,
) -> Reply {
    let at = workspaces::one(&app, &person, &text).await?;
    let query = Form::query(&uri);
    // A link fills in no form.
    let forms = (&query, &Form::default());
    page(&shown(&app, &person, &at, forms, Fault::default()).await?)
}

fn once(
    person: &Person,
    at: &Workspace,
    (hook, secret): (Webhook, zeroize::Zeroizing<String>),
) -> Reply {
    page(&OncePage {
        frame: Frame::new(person, "Copy the signing secret", "notices").at(Place::new(at, None)),
        heading: "Webhook added".to_owned(),
        fingerprint: tokenward_core::digest::credential_fingerprint(&hook.secret),
        explanation: "Copy the signing secret now; you won't be able to see it again. Your endpoint verifies notifications with it; any Standard Webhooks library does that.",
        what: "Signing secret",
        secrets: vec![secret],
        next: format!("/console/w/{}/notices", at.id),
        ..OncePage::default()
    })
}

/// `POST /console/w/{workspace}/notices`: a new webhook.
pub(super) async fn create(Path(text): Path<String>, sent: PostedForm) -> Reply {
    let (app, person, form) = sent.parts();
    let at = workspaces::one(&app, &person, &text).await?;
    let mut faults = Faults::default();
    let (url, note) = (form.text("url").trim(), form.text("note"));
    faults.take(webhooks::url(&app.data, url))?;
    faults.take(credential_notes::parse(note))?;
    if let Some(fault) = faults.all() {
        let forms = (&Form::default(), &form);
        return unprocessable(&shown(&app, &person, &at, forms, fault).await?);
    }
    let chosen = (note, Choices::default());
    match webhooks::create(&app.data, person.admin(), at.id, url, chosen).await {
        Ok(made) => once(&person, &at, made),
        Err(refused) => {
            let fault = Fault::of(refused)?;
            let forms = (&Form::default(), &form);
            unprocessable(&shown(&app, &person, &at, forms, fault).await?)
        }
    }
}

/// A webhook of the workspace in the address.
pub(super) async fn webhook(
    app: &App,
    person: &Person,
    place: &str,
    text: &str,
) -> Result<(Workspace, Webhook), PageError> {
    let at = workspaces::one(app, person, place).await?;
    let id = Uuid::try_parse(text).map_err(|_| PageError::NotFound("webhook"))?;
    let own = webhooks::list(&app.data, &person.admin(), at.id).await?;
    let found = own.into_iter().find(|hook| hook.id == id);
    Ok((at, found.ok_or(PageError::NotFound("webhook"))?))
}

/// `GET /console/w/{workspace}/webhooks/{id}/{act}`
pub(super) async fn ask(
    Path((text, id, act)): Path<(String, String, String)>,
    SteppedUp(app, person): SteppedUp,
) -> Reply {
    let (at, hook) = webhook(&app, &person, &text, &id).await?;
    person.admin().must_administer()?;
    let (verb, button, says): (_, _, &[&str]) = match act.as_str() {
        "delete" => (
            "Delete webhook",
            "Delete webhook",
            &[
                "This URL gets no more notifications, and its signing secret is deleted. Notifications that wait for delivery are dropped.",
                "This can't be undone. A new webhook for the same URL has a new signing secret.",
            ],
        ),
        "disable" => (
            "Disable webhook",
            "Disable webhook",
            &[
                "This URL gets no notifications until the webhook is enabled again. Events in the meantime are not sent later.",
            ],
        ),
        "enable" => (
            "Enable webhook",
            "Enable webhook",
            &["This URL gets notifications about every API client in the workspace again."],
        ),
        "rotate" => (
            "Rotate the signing secret of webhook",
            "Rotate signing secret",
            &[
                "The new secret is shown once, on the next page.",
                "For 24 hours notifications carry signatures by both secrets, so that you can update your receiver.",
            ],
        ),
        _ => return Err(PageError::NotFound("page")),
    };
    let title = format!("{verb} “{}”", hook.url);
    page(&ConfirmPage::of(
        Frame::new(&person, title, "notices").at(Place::new(&at, None)),
        (says, button),
        format!("/console/w/{}/webhooks/{}/{act}", at.id, hook.id),
        format!("/console/w/{}/notices", at.id),
    ))
}

/// `POST /console/w/{workspace}/webhooks/{id}/{act}`
pub(super) async fn act(
    Path((text, id, act)): Path<(String, String, String)>,
    sent: PostedForm,
) -> Reply {
    let (person, admin) = (&sent.person, sent.person.admin());
    let (at, hook) = webhook(&sent.app, person, &text, &id).await?;
    let id = hook.id;
    let data = &sent.app.data;
    let done = match act.as_str() {
        "rotate" => return once(person, &at, webhooks::rotate(data, admin, id).await?),
        "test" => {
            webhooks::test(data, admin, id).await?;
            "webhook-test"
        }
        "disable" | "enable" => {
            webhooks::set_disabled(data, admin, id, act == "disable").await?;
            "webhook"
        }
        "delete" => {
            webhooks::delete(data, admin, id).await?;
            "webhook-deleted"
        }
        _ => return Err(PageError::NotFound("page")),
    };
    Ok(see(&format!("/console/w/{}/notices?done={done}", at.id)))
}
