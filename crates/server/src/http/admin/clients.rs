//! `/workspaces/{id}/clients` and `/clients`

use super::body::{Body, Sent};
use super::extract::{Path, Query, Signed, id};
use super::problem::{Answer, Problem};
use super::views;
use crate::app::App;
use crate::verbs::settings::{Written, version};
use crate::verbs::{addresses, client_credentials, clients};
use axum::extract::State;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokenward_core::Environment;
use tokenward_core::ids::{ClientId, ClientNo, WorkspaceId};
use tokenward_core::time::Timestamp;
use tokenward_store::ClientFilter;

fn client_id(text: &str) -> Result<ClientId, Problem> {
    id(text, "client").map(ClientId)
}

fn one(app: &App, status: StatusCode, read: &clients::Read) -> Answer {
    Ok(views::answer(status, &views::client(app, read)))
}

/// An API client, with the version of its settings for a later `If-Match`.
fn versioned(app: &App, read: &clients::Read) -> Answer {
    let mut response = views::answer(StatusCode::OK, &views::client(app, read));
    let tag = format!("\"{}\"", version(&read.state.client.settings));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// The versions that `If-Match` names; none when it is absent or names any. What a proxy has weakened counts.
fn versions(headers: &HeaderMap) -> Result<Option<Vec<String>>, Problem> {
    let mut versions = Vec::new();
    let mut named = false;
    for value in headers.get_all(header::IF_MATCH) {
        named = true;
        let text = value.to_str().unwrap_or("");
        for tag in text.split(',').map(str::trim) {
            if tag == "*" {
                return Ok(None);
            }
            let plain = tag.strip_prefix("W/").unwrap_or(tag);
            let plain = plain
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"'));
            let plain = plain.ok_or_else(|| {
                Problem::invalid(
                    None,
                    "If-Match must hold ETags in quotes, as GET answers them.",
                )
            })?;
            versions.push(plain.to_owned());
        }
    }
    Ok(named.then_some(versions))
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    parts: Parts,
) -> Answer {
    let query = Query::read(
        &parts,
        &["limit", "cursor", "environment", "label", "deleted"],
    )?;
    let environment = query.text("environment").map(|word| {
        Environment::parse(word).ok_or_else(|| {
            Problem::invalid(Some("environment"), "This must be sandbox or production.")
        })
    });
    let filter = ClientFilter {
        environment: environment.transpose()?,
        label: query.text("label").map(str::to_owned),
        deleted: query.boolean("deleted")?.unwrap_or(false),
        after: query.cursor()?.map(ClientNo),
        limit: query.limit()?,
        ..ClientFilter::default()
    };
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let (page, next) = clients::list(&app.data, &admin, workspace, filter).await?;
    let items = page.iter().map(|read| views::client(&app, read)).collect();
    Ok(views::answer(StatusCode::OK, &views::page(items, next)))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<Written>,
) -> Answer {
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let (read, secret) = clients::create(&app.data, admin, workspace, body).await?;
    let body =
        json!({ "client": views::client(&app, &read), "client_secret": secret.expose().as_str() });
    Ok(views::answer(StatusCode::CREATED, &body))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let read = clients::show(&app.data, &admin, client_id(&text)?).await?;
    versioned(&app, &read)
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    headers: HeaderMap,
    Body(body): Body<Written>,
) -> Answer {
    let versions = versions(&headers)?;
    let id = client_id(&text)?;
    let read = clients::change(&app.data, admin, id, body, versions).await?;
    versioned(&app, &read)
}

pub(super) async fn disable(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    one(
        &app,
        StatusCode::OK,
        &clients::set_disabled(&app.data, admin, client_id(&text)?, true).await?,
    )
}

pub(super) async fn enable(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    one(
        &app,
        StatusCode::OK,
        &clients::set_disabled(&app.data, admin, client_id(&text)?, false).await?,
    )
}

/// Body of a deletion; the label may stand in the query instead.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    label: String,
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    parts: Parts,
    Sent(body): Sent,
) -> Answer {
    let query = Query::read(&parts, &["label"])?;
    let label = match (query.text("label"), body.is_empty()) {
        (Some(label), true) => Some(label.to_owned()),
        (None, true) => None,
        (None, false) => {
            let Body(Delete { label }) = Body::of(&body)?;
            Some(label)
        }
        (Some(_), false) => {
            return Err(Problem::invalid(
                Some("label"),
                "Give the label in the body or in the query.",
            ));
        }
    };
    one(
        &app,
        StatusCode::OK,
        &clients::delete(&app.data, admin, client_id(&text)?, label).await?,
    )
}

/// Body of a request for confirmation mails; without one, every address that is pending gets one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskAgain {
    email: Option<String>,
}

pub(super) async fn ask_again(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let email = match body.is_empty() {
        true => None,
        false => {
            let Body(AskAgain { email }) = Body::of(&body)?;
            email
        }
    };
    let read = addresses::ask_again(&app.data, admin, client_id(&text)?, email).await?;
    one(&app, StatusCode::OK, &read)
}

pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let (read, n, secret) =
        client_credentials::rotate_secret(&app.data, admin, client_id(&text)?).await?;
    let body = json!({ "client": views::client(&app, &read), "n": n, "client_secret": secret.expose().as_str() });
    Ok(views::answer(StatusCode::CREATED, &body))
}

pub(super) async fn delete_secret(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path((text, n)): Path<(String, String)>,
) -> Answer {
    let n = n
        .parse()
        .map_err(|_| Problem::from(crate::verbs::Refused::NotFound("secret")))?;
    one(
        &app,
        StatusCode::OK,
        &client_credentials::delete_secret(&app.data, admin, client_id(&text)?, n).await?,
    )
}

pub(super) async fn generate(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let answer =
        client_credentials::generate_token(&app.data, admin, client_id(&text)?, None).await?;
    let body = json!({
        "access_token": answer.token.expose().as_str(),
        "generation": answer.generation,
        "valid_till": answer.valid_till.map(Timestamp::iso),
        "expires_in": answer.valid_till.map(|till| till.seconds_since(answer.issued_at)),
    });
    Ok(views::answer(StatusCode::CREATED, &body))
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let read = client_credentials::revoke_token(&app.data, admin, client_id(&text)?).await?;
    let body: Value = views::client(&app, &read);
    Ok(views::answer(StatusCode::OK, &body))
}
