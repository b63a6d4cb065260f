//! API clients: the list, one client's page, creating, changing, and the acts that break something.

pub(super) mod acts;
pub(super) mod bulk;
mod downloads;
pub(super) mod edit;
mod figures;
pub(super) mod list;
pub(super) mod new;
pub(super) mod one;
mod settings_form;

pub(super) use crate::http::request_host::{base_url as base, is_encrypted, is_here};

pub(super) use downloads::Sample;

use super::prelude::*;
use super::shown;
use crate::verbs::clients::{Read, show};
use crate::verbs::overview::{LONG_LIVED_MICROS, expiring_before};
use crate::verbs::usage_figures;
use tokenward_core::client::Product;
use tokenward_core::ids::ClientId;
use tokenward_store::Use;

/// The state of a client in a word and a colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    /// The word.
    pub(super) word: &'static str,
    /// `good`, `warn`, `bad` or `idle`.
    pub(super) tone: &'static str,
}

/// How a client stands at `now`.
pub(super) fn standing(read: &Read, now: Timestamp) -> Standing {
    let (client, slot) = (&read.state.client, &read.state.slot);
    let standing = |word, tone| Standing { word, tone };
    if client.deleted_at.is_some() {
        return standing("Deleted", "bad");
    }
    if client.disabled_at.is_some() {
        return standing("Disabled", "bad");
    }
    if read.state.workspace.disabled_at.is_some() {
        return standing("Workspace disabled", "bad");
    }
    match (slot.live(now), &slot.token) {
        (Some(token), _) => {
            let long = token.valid_till.is_some_and(|till| {
                till.0 - token.issued_at.0 > LONG_LIVED_MICROS && till < expiring_before(now)
            });
            match long {
                true => standing("Expiring soon", "warn"),
                false => standing("Active", "good"),
            }
        }
        (None, None) => standing("No token yet", "idle"),
        (None, Some(_)) if slot.ended.is_some() => standing("Revoked", "idle"),
        (None, Some(_)) => standing("Expired", "warn"),
    }
}

/// A client by the id in an address.
pub(super) async fn read(app: &App, person: &Person, text: &str) -> Result<Read, PageError> {
    Ok(show(&app.data, &person.admin(), id(text)?).await?)
}

/// A client, if the person may see it.
pub(super) async fn seen(
    app: &App,
    person: &Person,
    id: ClientId,
) -> Result<Option<Read>, PageError> {
    match show(&app.data, &person.admin(), id).await {
        Err(Refused::NotFound(_)) => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// The id in an address.
pub(super) fn id(text: &str) -> Result<ClientId, PageError> {
    let strict = text.len() == 36;
    let parsed = Uuid::try_parse(text).ok().filter(|_| strict);
    parsed
        .map(ClientId)
        .ok_or(PageError::NotFound("API client"))
}

/// Where a client's page is.
pub(super) fn place(read: &Read) -> Place {
    Place::new(&read.state.workspace, Some(read.state.client.environment))
}

/// The products of a client in words.
pub(super) fn product_words(read: &Read) -> String {
    match &read.state.client.settings.products {
        None => "All current and future products".to_owned(),
        Some(list) => Product::slugs(list, &read.products).join(", "),
    }
}

fn product_name(no: tokenward_core::ids::ProductNo, products: &[Product]) -> String {
    let found = products.iter().find(|product| product.no == no);
    found.map_or_else(|| "deleted product".to_owned(), |p| p.name.to_string())
}

/// A use in a sentence: when, from where, for which product. Uses are noted once a minute.
pub(super) fn last_use(read: &Read, used: Option<&Use>, now: Timestamp) -> Option<String> {
    let used = used?;
    let ago = match now.seconds_since(used.at) {
        ..60 => "within the last minute".to_owned(),
        seconds => format!("{} ago", shown::span(seconds)),
    };
    Some(format!(
        "{ago} from {} for {}",
        used.source,
        product_name(used.product, &read.products)
    ))
}

/// What ends with the live token, in sentences; empty when there is none.
pub(super) async fn what_breaks(
    app: &App,
    person: &Person,
    read: &Read,
) -> Result<Vec<String>, PageError> {
    let now = app.data.clock().wall();
    let slot = &read.state.slot;
    if slot.live(now).is_none() {
        return Ok(vec![
            "There is no active access token, so no requests are affected.".to_owned(),
        ]);
    }
    let figures =
        usage_figures::of_client(&app.data, &person.admin(), read.state.client.id, 1).await?;
    let calls = figures::calls_today(&figures);
    let today = match calls {
        0 => String::new(),
        calls => format!(
            " The API client made {} successful request{} today, with this token or earlier ones.",
            shown::count(calls),
            if calls == 1 { "" } else { "s" }
        ),
    };
    let used = match last_use(read, read.token_use(), now) {
        Some(used) => format!("was last used {used}"),
        None => "has not been used yet".to_owned(),
    };
    Ok(vec![format!(
        "The active access token (generation {}) {used}. Requests that use it are denied with 401 immediately.{today}",
        slot.generation
    )])
}

/// A moment if there is one.
fn moment(at: Option<Timestamp>, now: Timestamp) -> Option<Moment> {
    at.map(|at| Moment::new(at, now))
}
