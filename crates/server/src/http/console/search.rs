//! The search box: an id from an answer or a log leads to what it belongs to. It is sent as a form, so that a pasted
//! token stands in no address and no log; the secret part of one is never looked at.

use super::prelude::*;
use crate::metering::denials::Denied;
use tokenward_core::ids::ClientId;

/// A denied request as shown.
pub(super) struct DeniedLine {
    pub(super) at: Moment,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) environment: String,
    pub(super) product: String,
    pub(super) source: String,
    pub(super) error_id: String,
    pub(super) request_id: String,
    pub(super) proved: bool,
    /// The client's id and name; empty when the request names none.
    pub(super) client: String,
    pub(super) label: String,
}

impl DeniedLine {
    pub(super) fn new(denied: Denied, label: &str, now: Timestamp) -> Self {
        Self {
            at: Moment::new(denied.at, now),
            code: denied.code,
            message: denied.message,
            environment: denied.environment,
            product: denied.product,
            source: denied.source,
            error_id: denied.error_id.to_string(),
            request_id: denied
                .request_id
                .map_or_else(String::new, |id| id.to_string()),
            proved: denied.proved,
            client: denied.client.map_or_else(String::new, |id| id.to_string()),
            label: label.to_owned(),
        }
    }
}

#[derive(Template)]
#[template(path = "console/search.html")]
struct SearchPage {
    frame: Frame,
    /// Whether something was looked for.
    asked: bool,
    found: Option<DeniedLine>,
}

/// The id in what was typed: alone, or in the public part of a token, a client secret or a client secret's name.
fn id(text: &str) -> Option<Uuid> {
    let whole = Uuid::try_parse(text).ok();
    // `[sandbox.]1.<client>_...` and `tw-secret.<environment>.<client>. ...`
    whole.or_else(|| {
        let pieces = text.split(['.', '_']);
        pieces
            .filter(|piece| piece.len() == 36)
            .find_map(|piece| Uuid::try_parse(piece).ok())
    })
}

/// A client's name, if the person may see it.
async fn label(app: &App, person: &Person, id: ClientId) -> Result<Option<String>, PageError> {
    let seen = super::clients::seen(app, person, id).await?;
    Ok(seen.map(|read| read.state.client.settings.label.to_string()))
}

/// A denied request, for those who may see its client; for those who see the whole server one without a client too.
async fn denied(app: &App, person: &Person, id: Uuid) -> Result<Option<DeniedLine>, PageError> {
    let Some(found) = app.data.denials.find(id) else {
        return Ok(None);
    };
    let label = match found.client {
        Some(client) => label(app, person, client).await?,
        None => None,
    };
    let sees_all = person.admin().must_see_settings().is_ok();
    let visible = sees_all || label.is_some();
    let label = label.unwrap_or_default();
    let mut line = DeniedLine::new(found, &label, app.data.clock().wall());
    if label.is_empty() {
        line.client = String::new();
    }
    Ok(visible.then_some(line))
}

fn shown(person: &Person, asked: bool, found: Option<DeniedLine>) -> Reply {
    page(&SearchPage {
        frame: Frame::new(person, "Search", "search"),
        asked,
        found,
    })
}

/// `GET /console/search`
pub(super) async fn show(Member(_, person): Member) -> Reply {
    shown(&person, false, None)
}

/// `POST /console/search`
pub(super) async fn send(sent: PostedForm) -> Reply {
    let (person, form): (&Person, &Form) = (&sent.person, &sent.form);
    let text = form.secret("q");
    let Some(id) = id(text.trim()) else {
        return shown(person, true, None);
    };
    if label(&sent.app, person, ClientId(id)).await?.is_some() {
        return Ok(see(&format!("/console/clients/{id}")));
    }
    shown(person, true, denied(&sent.app, person, id).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_found_alone_and_in_the_public_part_of_a_credential() {
        let text = "0198c0de-0000-7000-8000-00000000000a";
        let known = Uuid::try_parse(text).ok();
        let secret = "f".repeat(64);
        for typed in [
            text.to_owned(),
            format!("1.{text}"),
            format!("sandbox.1.{text}_{secret}"),
            format!("tw-secret.production.{text}.{secret}"),
        ] {
            assert_eq!(id(&typed), known, "{typed}");
        }
        assert_eq!(id("erp"), None);
        assert_eq!(id(""), None);
    }
}
