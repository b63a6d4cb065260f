//! The events of which a webhook or a notification email of a workspace is notified, and when: one form for both.

use super::prelude::*;
use super::webhooks::webhook;
use super::workspaces;
use crate::verbs::notice_preferences::{self, Choices};
use crate::verbs::webhooks;
use tokenward_core::client::Workspace;
use tokenward_store::notices::{Delivery, EVENTS, Preferences, Target, Webhook, folded_address};

/// What happened, in words.
pub(super) fn event_words(event: &str) -> Option<&'static str> {
    Some(match event {
        "token.generated" => "Access token generated",
        "token.revoked" => "Access token revoked",
        "token.expiring" => "Access token expires in 30, 7 or 1 days",
        "token.superseded_in_use" => "Replaced access token still in use",
        "quota.reached" => "60, 80 or 100 % of a daily quota used",
        "secret.created" => "Client secret created",
        "secret.deleted" => "Client secret deleted",
        "client.created" => "API client created",
        "client.changed" => "API client changed",
        "client.disabled" => "API client disabled",
        "client.enabled" => "API client enabled",
        "client.deleted" => "API client deleted",
        "client.unused" => "API client unused for 30 days",
        _ => return None,
    })
}

/// Preferences as a sentence: what does not come at once.
pub(super) fn summary(preferences: &Preferences, target: &Target) -> String {
    let of = |wanted: Delivery| {
        let all = EVENTS.into_iter();
        let own = all.filter(|event| preferences.delivery(event, target) == wanted);
        let words: Vec<_> = own.filter_map(event_words).collect();
        words.join(", ")
    };
    let (daily, off) = (of(Delivery::Daily), of(Delivery::Off));
    let mut out = match (daily.is_empty(), off.is_empty()) {
        (true, true) => return "All notifications immediately.".to_owned(),
        _ => String::new(),
    };
    if !daily.is_empty() {
        out.push_str(&format!("In a daily email: {daily}. "));
    }
    if !off.is_empty() {
        out.push_str(&format!("Never: {off}. "));
    }
    out.push_str("Everything else immediately.");
    out
}

#[derive(Template)]
#[template(path = "console/preferences.html")]
struct PreferencesPage {
    frame: Frame,
    word: Word,
    to: String,
    mail: bool,
    action: String,
    back: String,
    fields: Vec<Field>,
    fault: Fault,
}

/// What a form is about: where it is sent, who gets the notices, and what was chosen.
struct About<'a> {
    action: String,
    to: &'a str,
    target: Target,
    chosen: &'a Preferences,
}

impl<'a> About<'a> {
    fn webhook(action: String, hook: &'a Webhook) -> Self {
        Self {
            action,
            to: &hook.url,
            target: Target::Webhook(hook.id),
            chosen: &hook.preferences,
        }
    }
}

fn form_page(
    person: &Person,
    at: &Workspace,
    about: About<'_>,
    typed: &Form,
    fault: Fault,
) -> PreferencesPage {
    let mail = about.target == Target::Mail;
    let words = |delivery: Delivery| match delivery {
        Delivery::Immediate => "Immediately",
        Delivery::Daily => "In a daily email",
        Delivery::Off => "Never",
    };
    let offered = Delivery::ALL.into_iter();
    let offered = offered.filter(|one| mail || *one != Delivery::Daily);
    let options: Vec<_> = offered
        .map(|one| (one.as_str().to_owned(), words(one).to_owned()))
        .collect();
    let field = |event: &'static str| {
        let label = event_words(event).unwrap_or(event);
        let now = about.chosen.delivery(event, &about.target).as_str();
        let field = Field::new("select", event, label, typed, &fault);
        field.options(options.clone()).or(now)
    };
    let fields = EVENTS.into_iter().map(field).collect();
    let frame = Frame::new(person, "Choose notifications", "notices").at(Place::new(at, None));
    PreferencesPage {
        word: frame.hidden_word(),
        frame,
        to: about.to.to_owned(),
        mail,
        action: about.action,
        back: format!("/console/w/{}/notices", at.id),
        fields,
        fault,
    }
}

fn chosen(form: &Form) -> impl Iterator<Item = (&str, &str)> {
    let given = EVENTS
        .into_iter()
        .map(move |event| (event, form.text(event)));
    given.filter(|(_, word)| !word.is_empty())
}

/// `GET /console/w/{workspace}/webhooks/{id}/preferences`
pub(super) async fn ask_webhook(
    Path((text, id)): Path<(String, String)>,
    SteppedUp(app, person): SteppedUp,
) -> Reply {
    let (at, hook) = webhook(&app, &person, &text, &id).await?;
    person.admin().must_administer()?;
    let action = format!("/console/w/{}/webhooks/{}/preferences", at.id, hook.id);
    let about = About::webhook(action, &hook);
    let typed = Form::default();
    page(&form_page(&person, &at, about, &typed, Fault::default()))
}

/// `POST /console/w/{workspace}/webhooks/{id}/preferences`
pub(super) async fn set_webhook(
    Path((text, id)): Path<(String, String)>,
    sent: PostedForm,
) -> Reply {
    let path = sent.path.clone();
    let (app, person, form) = sent.parts();
    let (at, hook) = webhook(&app, &person, &text, &id).await?;
    match Choices::of_webhook(chosen(&form)) {
        Ok(choices) => {
            webhooks::change(&app.data, person.admin(), hook.id, None, (None, choices)).await?;
            Ok(see(&format!(
                "/console/w/{}/notices?done=preferences",
                at.id
            )))
        }
        Err(refused) => {
            let about = About::webhook(path, &hook);
            let fault = Fault::of(refused)?;
            unprocessable(&form_page(&person, &at, about, &form, fault))
        }
    }
}

/// `GET /console/w/{workspace}/addresses?email=...`
pub(super) async fn ask_address(
    Path(text): Path<String>,
    SteppedUp(app, person): SteppedUp,
    uri: http::Uri,
) -> Reply {
    let at = workspaces::one(&app, &person, &text).await?;
    person.admin().must_administer()?;
    let email = folded_address(Form::query(&uri).text("email"));
    let all = notice_preferences::addresses(&app.data, &person.admin(), at.id).await?;
    let row = all.iter().find(|row| row.address == email);
    let row = row.ok_or(PageError::NotFound("notification email"))?;
    let about = About {
        action: format!("/console/w/{}/addresses", at.id),
        to: &row.address,
        target: Target::Mail,
        chosen: &row.preferences,
    };
    let typed = Form::default();
    page(&form_page(&person, &at, about, &typed, Fault::default()))
}

/// `POST /console/w/{workspace}/addresses`
pub(super) async fn set_address(Path(text): Path<String>, sent: PostedForm) -> Reply {
    let path = sent.path.clone();
    let (app, person, form) = sent.parts();
    let at = workspaces::one(&app, &person, &text).await?;
    let email = form.text("email");
    match Choices::of_address(chosen(&form)) {
        Ok(choices) => {
            let admin = person.admin();
            notice_preferences::set_address(&app.data, admin, at.id, email, choices).await?;
            Ok(see(&format!(
                "/console/w/{}/notices?done=preferences",
                at.id
            )))
        }
        Err(refused) => {
            let about = About {
                action: path,
                to: email,
                target: Target::Mail,
                chosen: &Preferences::default(),
            };
            let fault = Fault::of(refused)?;
            unprocessable(&form_page(&person, &at, about, &form, fault))
        }
    }
}
