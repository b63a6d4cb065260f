//! What can be done to a client. Each act has a page that says what it breaks, and a form that does it.

use super::super::once::{Download, Snippet};
use super::super::prelude::*;
use super::super::step_up;
use super::{downloads, place, what_breaks};
use crate::http::request_host::base_url_for_secrets;
use crate::verbs::addresses::{self, State as AddressState};
use crate::verbs::clients::{self, Read};
use crate::verbs::{Conflict, client_credentials};
use http::HeaderMap;
use zeroize::Zeroizing;

/// An act, as addresses name it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Generate,
    Revoke,
    Disable,
    Enable,
    Delete,
    Rotate,
    ResendConfirmation,
    DeleteSecret(u32),
}

impl Act {
    fn parse(word: &str) -> Result<Self, PageError> {
        Ok(match word {
            "generate" => Self::Generate,
            "revoke" => Self::Revoke,
            "disable" => Self::Disable,
            "enable" => Self::Enable,
            "delete" => Self::Delete,
            "rotate" => Self::Rotate,
            "resend-confirmation" => Self::ResendConfirmation,
            other => match other.strip_prefix("delete-secret-").map(str::parse) {
                Some(Ok(n)) => Self::DeleteSecret(n),
                _ => return Err(PageError::NotFound("page")),
            },
        })
    }

    /// Whether it takes something away.
    fn destroys(self) -> bool {
        !matches!(
            self,
            Self::Generate | Self::Enable | Self::Rotate | Self::ResendConfirmation
        )
    }
}

/// Refuses to offer an act that cannot work now.
fn must_be_possible(act: Act, read: &Read, now: Timestamp) -> Result<(), PageError> {
    let client = &read.state.client;
    let has = |n: u32| client.secrets.iter().flatten().any(|secret| secret.n == n);
    let why = match act {
        _ if client.deleted_at.is_some() => "this API client was deleted",
        Act::Generate if client.disabled_at.is_some() => {
            "the API client is disabled; enable it first"
        }
        Act::Generate if read.state.workspace.disabled_at.is_some() => {
            "the workspace is disabled; an operator must enable it first"
        }
        Act::Revoke if read.state.slot.live(now).is_none() => "there is no active access token",
        Act::Disable if client.disabled_at.is_some() => "the API client is already disabled",
        Act::Enable if client.disabled_at.is_none() => "the API client is already enabled",
        Act::Rotate if client.secrets.iter().all(Option::is_some) => {
            "the API client has two client secrets; delete one first"
        }
        Act::DeleteSecret(n) if !has(n) => return Err(PageError::NotFound("client secret")),
        _ => return Ok(()),
    };
    Err(PageError::Conflict(why.to_owned()))
}

/// Whom a confirmation mail goes to.
fn resends(app: &App, read: &Read) -> String {
    if let Some(why) = addresses::unavailable(&app.data) {
        return sentence(why);
    }
    let pending = read
        .addresses
        .iter()
        .filter(|one| one.state == AddressState::Pending);
    let pending: Vec<&str> = pending.map(|one| one.email.as_str()).collect();
    match pending.is_empty() {
        true => "All notification emails of this API client are confirmed.".to_owned(),
        false => format!(
            "Sends a new confirmation link to each of these addresses. Earlier links stop working: {}.",
            pending.join(", ")
        ),
    }
}

async fn confirm(
    app: &App,
    person: &Person,
    read: &Read,
    act: Act,
    word: &str,
    fault: Fault,
) -> Result<ConfirmPage, PageError> {
    let label = read.state.client.settings.label.to_string();
    let id = read.state.client.id;
    let secrets = read.state.client.secrets.iter().flatten().count();
    let broken = what_breaks(app, person, read).await?;
    let breaks_and = |more: &[&str]| {
        let more = more.iter().map(|line| (*line).to_owned());
        broken.iter().cloned().chain(more).collect()
    };
    let (title, says, button): (String, Vec<String>, &'static str) = match act {
        Act::Generate => (
            format!("Generate access token for “{label}”"),
            breaks_and(&["The new token is shown once, on the next page. It doesn't count towards the daily quota of a client secret."]),
            "Generate access token",
        ),
        Act::Revoke => (
            format!("Revoke access token of “{label}”"),
            breaks_and(&["No new token is created. Its client secrets still work and can request a new token at any time. To stop that, disable or delete the API client."]),
            "Revoke token",
        ),
        Act::Disable => (
            format!("Disable API client “{label}”"),
            breaks_and(&["Its secrets and token are denied until you enable it. Then the same token works again until it expires."]),
            "Disable API client",
        ),
        Act::Enable => (
            format!("Enable API client “{label}”"),
            vec!["Its secrets work again, and its token works again until it expires.".to_owned()],
            "Enable API client",
        ),
        Act::Delete => (
            format!("Delete API client “{label}”"),
            breaks_and(&[
                &format!("Its {secrets} client secret{} can't request tokens any more.", if secrets == 1 { "" } else { "s" }),
                "This can't be undone. A new API client has a new secret, which you must give to every system that uses this one.",
            ]),
            "Delete API client",
        ),
        Act::Rotate => (
            format!("Rotate client secret of “{label}”"),
            vec![
                "Creates a second client secret. The current one keeps working, so that you can update every system first.".to_owned(),
                "When all systems use the new secret, delete the old one. An API client has at most two secrets.".to_owned(),
            ],
            "Create secret",
        ),
        Act::ResendConfirmation => (
            format!("Resend confirmation email of “{label}”"),
            vec![resends(app, read)],
            "Resend confirmation email",
        ),
        Act::DeleteSecret(n) => {
            let rest = match secrets {
                0 | 1 => "It is the only client secret: no token can be requested until you create a new one. The active token keeps working.",
                _ => "Systems that still use it can't request tokens any more. The other secret and the active token keep working.",
            };
            (format!("Delete client secret {n} of “{label}”"), vec![rest.to_owned()], "Delete client secret")
        }
    };
    let empty = Form::default();
    let typed = "Type the API client name to confirm";
    let fields = match act {
        Act::Delete => vec![Field::new("text", "label", typed, &empty, &fault).auto("off")],
        Act::Rotate => vec![
            Field::new("text", "note", "Note", &empty, &fault)
                .hint("What people should know about the new secret, such as who asked for it.")
                .auto("off")
                .optional(),
        ],
        _ => Vec::new(),
    };
    let hidden = match act {
        Act::Generate => vec![("generation", read.state.slot.generation.to_string())],
        _ => Vec::new(),
    };
    Ok(ConfirmPage {
        says,
        fault,
        fields,
        hidden,
        dangerous: act.destroys(),
        ..ConfirmPage::of(
            Frame::new(person, title, "clients").at(place(read)),
            (&[], button),
            format!("/console/clients/{id}/{word}"),
            format!("/console/clients/{id}"),
        )
    })
}

/// `GET /console/clients/{id}/{act}`
pub(in super::super) async fn show(
    Path((id, word)): Path<(String, String)>,
    Member(app, person): Member,
) -> Reply {
    let act = Act::parse(&word)?;
    let read = super::read(&app, &person, &id).await?;
    person.admin().must_write()?;
    must_be_possible(act, &read, app.data.clock().wall())?;
    step_up::first(&app, &person, &format!("/console/clients/{id}/{word}"))?;
    page(&confirm(&app, &person, &read, act, &word, Fault::default()).await?)
}

/// `POST /console/clients/{id}/{act}`
pub(in super::super) async fn send(
    Path((id, word)): Path<(String, String)>,
    headers: HeaderMap,
    sent: PostedForm,
) -> Reply {
    let act = Act::parse(&word)?;
    let (app, person, form) = sent.parts();
    let (admin, client) = (person.admin(), super::id(&id)?);
    let data = &app.data;
    let (done, told) = match act {
        Act::Generate => return generate(&app, &person, &id, &form).await,
        Act::Rotate => return rotate(&app, &person, &id, &form, &headers).await,
        Act::Revoke => {
            let done = client_credentials::revoke_token(data, admin, client).await;
            (done, "revoked")
        }
        Act::Disable => {
            let done = clients::set_disabled(data, admin, client, true).await;
            (done, "disabled")
        }
        Act::Enable => {
            let done = clients::set_disabled(data, admin, client, false).await;
            (done, "enabled")
        }
        Act::ResendConfirmation => {
            let done = addresses::ask_again(data, admin, client, None).await;
            (done, "asked")
        }
        Act::DeleteSecret(n) => {
            let done = client_credentials::delete_secret(data, admin, client, n).await;
            (done, "secret-deleted")
        }
        Act::Delete => {
            let typed = form.text("label").to_owned();
            let done = clients::delete(data, admin, client, Some(typed)).await;
            (done, "deleted")
        }
    };
    match done {
        Ok(_) => Ok(see(&format!("/console/clients/{client}?done={told}"))),
        Err(refused @ Refused::Conflict(Conflict::LabelMismatch, _)) => {
            let read = super::read(&app, &person, &id).await?;
            let fault = Fault::of(refused)?;
            unprocessable(&confirm(&app, &person, &read, act, &word, fault).await?)
        }
        Err(refused) => Err(refused.into()),
    }
}

async fn generate(app: &App, person: &Person, id: &str, form: &Form) -> Reply {
    let seen = form.text("generation").parse().ok();
    // Sent twice, from two tabs or by a nervous finger, only the first makes a token.
    let seen = Some(seen.ok_or(PageError::Malformed("the form is incomplete"))?);
    let made =
        client_credentials::generate_token(&app.data, person.admin(), super::id(id)?, seen).await;
    let answer = match made {
        Ok(answer) => answer,
        Err(refused @ Refused::Conflict(Conflict::GenerationMismatch, _)) => {
            let read = super::read(app, person, id).await?;
            let fault = Fault::of(refused)?;
            return unprocessable(
                &confirm(app, person, &read, Act::Generate, "generate", fault).await?,
            );
        }
        Err(refused) => return Err(refused.into()),
    };
    let read = super::read(app, person, id).await?;
    let token = answer.token.expose();
    let call = format!(
        "curl -H 'x-cleartax-auth-token: {}' \"$PRODUCT_URL\"",
        token.as_str()
    );
    page(&OncePage {
        frame: Frame::new(person, "Copy the access token", "clients").at(place(&read)),
        heading: format!("Access token generated (generation {})", answer.generation),
        explanation: "Copy it now; you won't be able to see it again. The previous token is revoked. Send the token in the header x-cleartax-auth-token.",
        what: "Access token",
        downloads: vec![Download {
            label: "Download .env",
            file: "access-token.env".to_owned(),
            text: Zeroizing::new(format!("CLEARTAX_AUTH_TOKEN={}\n", token.as_str())),
        }],
        tests: tests(&read),
        snippets: vec![Snippet {
            label: "Call a product API (set PRODUCT_URL to its address)",
            text: Zeroizing::new(call),
        }],
        secrets: vec![token],
        next: format!("/console/clients/{id}"),
        ..OncePage::default()
    })
}

/// The products that a client's token gives access to.
pub(super) fn tests(read: &Read) -> Vec<(String, String)> {
    let allowed = read.state.client.settings.products.as_deref();
    let products = read.products.iter();
    let products = products.filter(|product| allowed.is_none_or(|list| list.contains(&product.no)));
    super::super::products::options(products)
}

async fn rotate(app: &App, person: &Person, id: &str, form: &Form, headers: &HeaderMap) -> Reply {
    let (admin, note) = (person.admin(), form.text("note"));
    let made = client_credentials::rotate_secret(&app.data, admin, super::id(id)?, note).await;
    let (read, n, secret) = match made {
        Ok(made) => made,
        Err(refused @ Refused::Invalid(..)) => {
            let read = super::read(app, person, id).await?;
            let fault = Fault::of(refused)?;
            let again = confirm(app, person, &read, Act::Rotate, "rotate", fault).await?;
            return unprocessable(&again);
        }
        Err(refused) => return Err(refused.into()),
    };
    let made = read.state.client.secrets.iter().flatten();
    let made = made.into_iter().find(|secret| secret.n == n);
    let (exposed, base) = (secret.expose(), base_url_for_secrets(app, headers));
    let client = &read.state.client;
    page(&OncePage {
        frame: Frame::new(person, "Copy the client secret", "clients").at(place(&read)),
        heading: format!("Client secret {n} of “{}” created", client.settings.label),
        fingerprint: made.map_or_else(String::new, |made| made.digest.fingerprint()),
        explanation: "Copy it now; you won't be able to see it again. The other secret keeps working until you delete it.",
        what: "Client secret",
        downloads: downloads::downloads(client, &exposed, &base),
        snippets: downloads::snippets(client, &exposed, &base),
        samples: downloads::samples(client, &base),
        secrets: vec![exposed],
        next: format!("/console/clients/{id}"),
        ..OncePage::default()
    })
}
