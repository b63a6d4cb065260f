//! What a token check answers to a token that somebody pastes, for the clients they may see; and which credential a pasted
//! client secret or admin key is. It travels in the body of a form, is shown on no page and written nowhere, and is not
//! counted as used.

use super::clients::seen;
use super::credentials::Recognised;
use super::prelude::*;
use crate::verbs::counted_check::{Counted, examine};
use crate::verbs::{admin_keys, credential_notes, products};
use std::net::IpAddr;
use tokenward_core::check::denial::Figure;
use tokenward_core::check::{Facts, Presented};
use tokenward_core::client::{AdminKeyRecord, Product, SecretRecord};
use tokenward_core::{AccessToken, AdminKey, ClientSecret};

/// What was found out about a token.
#[derive(Default)]
struct Answer {
    permitted: bool,
    /// The status of HTTP, the code and the sentence of the answer.
    status: u16,
    code: &'static str,
    sentence: String,
    client: String,
    label: String,
    facts: Vec<(&'static str, String)>,
    expires: Option<Moment>,
}

#[derive(Template)]
#[template(path = "console/inspect.html")]
struct InspectPage {
    frame: Frame,
    fields: Vec<Field>,
    fault: Fault,
    answer: Option<Answer>,
    known: Option<Known>,
}

/// A client secret or an admin key that was recognised.
struct Known {
    /// What it is and whether it works, as a sentence.
    sentence: String,
    works: bool,
    /// The page that shows it, and what its link says.
    address: String,
    link: String,
    facts: Vec<(&'static str, String)>,
}

/// The facts that lists show, too.
fn facts(known: &Recognised, created: Timestamp) -> Vec<(&'static str, String)> {
    let note = (!known.note.is_empty()).then(|| ("Note", known.note.clone()));
    let facts = [
        ("Fingerprint", known.fingerprint.clone()),
        ("Created", created.iso()),
    ];
    facts.into_iter().chain(note).collect()
}

/// The secret of a client that the person may see.
async fn secret(
    app: &App,
    person: &Person,
    presented: &ClientSecret,
) -> Result<Option<Known>, PageError> {
    let Some(read) = seen(app, person, presented.client()).await? else {
        return Ok(None);
    };
    let client = &read.state.client;
    let is_it = |one: &&SecretRecord| {
        let digest = app.data.keyring.secret(one.key, presented);
        digest.is_some_and(|digest| digest.matches(&one.digest))
    };
    let found = client.secrets.iter().flatten().find(is_it);
    let works = client.deleted_at.is_none()
        && client.disabled_at.is_none()
        && read.state.workspace.disabled_at.is_none();
    let label = client.settings.label.to_string();
    let (sentence, facts) = match found {
        Some(found) => {
            let note = read.notes.get(&found.n);
            let known = Recognised::secret(client, found).with(note, None);
            let state = match works {
                true => "It can request access tokens.",
                false => "It can't request access tokens at the moment.",
            };
            (
                format!("This is client secret {} of “{label}”. {state}", found.n),
                facts(&known, found.created_at),
            )
        }
        None => (
            format!(
                "This names the API client “{label}”, but is none of its client secrets: it was deleted, or a character is wrong."
            ),
            Vec::new(),
        ),
    };
    Ok(Some(Known {
        sentence,
        works: works && found.is_some(),
        address: format!("/console/clients/{}", client.id),
        link: label,
        facts,
    }))
}

/// An admin key, for operators.
async fn admin_key(
    app: &App,
    person: &Person,
    presented: &AdminKey,
) -> Result<Option<Known>, PageError> {
    if !person.admin().is_operator() {
        return Ok(None);
    }
    let all = admin_keys::list(&app.data, &person.admin()).await?;
    let is_it = |one: &&AdminKeyRecord| {
        let digest = app.data.keyring.admin(one.key, presented);
        one.id == presented.id() && digest.is_some_and(|digest| digest.matches(&one.digest))
    };
    let Some(found) = all.iter().find(is_it) else {
        return Ok(None);
    };
    let notes = credential_notes::of_admin_keys(&app.data, &person.admin()).await?;
    let known = Recognised::admin_key(found).with(notes.get(&found.id), None);
    let works = crate::auth::authority::is_in_force(found, app.data.clock().wall());
    let state = match works {
        true => "It works.",
        false => "It was revoked or has expired.",
    };
    Ok(Some(Known {
        sentence: format!("This is the admin key “{}”. {state}", found.name),
        works,
        address: "/console/admin-keys".to_owned(),
        link: "Admin keys".to_owned(),
        facts: facts(&known, found.created_at),
    }))
}

fn shown(person: &Person, all: &[Product], form: &Form, fault: Fault) -> InspectPage {
    let options = super::products::options(all);
    InspectPage {
        frame: Frame::new(person, "Test a token", "inspect"),
        fields: vec![
            Field::new("password", "token", "Access token", form, &fault)
                .hint("Paste the whole token. It is sent in the body of the form, never stored or logged. A client secret or an admin key is recognised, too.")
                .auto("off"),
            Field::new("select", "product", "Product", form, &fault).options(options),
            Field::new("text", "address", "IP address of the caller", form, &fault)
                .hint("To test allowed IP ranges, such as 203.0.113.7.")
                .auto("off")
                .optional(),
        ],
        fault,
        answer: None,
        known: None,
    }
}

/// `GET /console/inspect`
pub(super) async fn show(Member(app, person): Member) -> Reply {
    let all = products::list(&app.data).await?;
    // A link fills in no form.
    page(&shown(&person, &all, &Form::default(), Fault::default()))
}

/// The client that a pasted credential names, and the environment; or why it can't be tested.
fn read(text: &str) -> Result<AccessToken, &'static str> {
    AccessToken::parse(text).map_err(|_| {
        "This isn't an access token, or it wasn't copied completely. A token check answers TOKEN_MALFORMED."
    })
}

/// `POST /console/inspect`
pub(super) async fn send(sent: PostedForm) -> Reply {
    let (person, form) = (&sent.person, &sent.form);
    let all = products::list(&sent.app.data).await?;
    let again = |fault| unprocessable(&shown(person, &all, form, fault));
    let text = form.secret("token");
    let recognised = match (
        ClientSecret::parse(text.trim()),
        AdminKey::parse(text.trim()),
    ) {
        (Ok(presented), _) => Some(secret(&sent.app, person, &presented).await?),
        (_, Ok(presented)) => Some(admin_key(&sent.app, person, &presented).await?),
        _ => None,
    };
    match recognised {
        Some(None) => {
            let why =
                "This credential doesn't exist, or you don't have access to what it belongs to.";
            return again(Fault::new("token", why));
        }
        Some(known) => {
            let mut shown = shown(person, &all, form, Fault::default());
            shown.known = known;
            return page(&shown);
        }
        None => {}
    }
    let typed = form.text("address").trim();
    let address: Option<IpAddr> = typed.parse().ok();
    let mut faults = Faults::default();
    let read = read(text.trim());
    if let Err(why) = &read {
        faults.add("token", *why);
    }
    if address.is_none() && !typed.is_empty() {
        faults.add("address", "Enter an IPv4 or IPv6 address.");
    }
    let token = match (read, faults.all()) {
        (Ok(token), None) => token,
        (_, fault) => return again(fault.unwrap_or_default()),
    };
    let Some(seen) = seen(&sent.app, person, token.client()).await? else {
        let why = "This token doesn't belong to an API client that you have access to.";
        return again(Fault::new("token", why));
    };
    let facts = Facts {
        environment: token.environment(),
        product: form.text("product"),
        address,
    };
    let presented = Presented::One(text.trim());
    let now = sent.app.data.clock().wall();
    let mut told = vec![
        (
            "Environment",
            super::shown::environment(token.environment()).to_owned(),
        ),
        ("Product", facts.product.to_owned()),
    ];
    let mut answer = match examine(&sent.app.data, presented, &facts, Counted::No) {
        Ok(permit) => {
            told.push(("Generation", permit.generation().to_string()));
            Answer {
                permitted: true,
                status: 200,
                sentence: "The token check permits this request.".to_owned(),
                expires: permit.valid_till().map(|till| Moment::new(till, now)),
                ..Answer::default()
            }
        }
        Err(refusal) => {
            for (name, figure) in refusal.figures() {
                let name = match name {
                    "superseded_by_generation" => "Replaced by generation",
                    "superseded_at" => "Replaced",
                    "expired_at" => "Expired",
                    "revoked_at" => "Revoked",
                    other => other,
                };
                let value = match figure {
                    Figure::Number(number) => number.to_string(),
                    Figure::Time(text) => text.replace('T', " ").replace("+00:00", " UTC"),
                };
                told.push((name, value));
            }
            Answer {
                status: refusal.http_status(),
                code: refusal.code(),
                sentence: refusal.sentence().to_owned(),
                ..Answer::default()
            }
        }
    };
    answer.client = seen.state.client.id.to_string();
    answer.label = seen.state.client.settings.label.to_string();
    answer.facts = told;
    let mut shown = shown(person, &all, form, Fault::default());
    shown.answer = Some(answer);
    page(&shown)
}
