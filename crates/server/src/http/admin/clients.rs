//! `/workspaces/{id}/clients` and `/clients`

use super::body::{Body, MaybeBody};
use super::extract::{Path, Query, Signed, id};
use super::problem::Problem;
use super::reply::{Answer, Created, Json, Versioned};
use super::views;
use crate::app::App;
use crate::verbs::settings::{Member, SettingsPatch, version};
use crate::verbs::{addresses, client_credentials, clients, credential_notes, tags};
use axum::extract::State;
use http::request::Parts;
use http::{HeaderMap, header};
use std::sync::Arc;
use tokenward_api::{
    Client, ClientCreate, ClientCreated, ClientDelete, ClientPatch, ClientSettings,
    ConfirmationMails, Page, SecretChange, SecretCreate, SecretCreated, Setting, ShownAccessToken,
    ShownClientSecret, TokenByAdmin,
};
use tokenward_core::Environment;
use tokenward_core::ids::{ClientId, ClientNo, WorkspaceId};
use tokenward_store::ClientFilter;

fn client_id(text: &str) -> Result<ClientId, Problem> {
    id(text, "client").map(ClientId)
}

fn one(app: &App, read: &clients::Read) -> Answer<Json<Client>> {
    Ok(Json(views::client(&app.data, read)))
}

/// An API client, with the version of its settings for a later `If-Match`.
fn versioned(app: &App, read: &clients::Read) -> Answer<Versioned> {
    let version = version(&read.state.client.settings);
    Ok(Versioned(views::client(&app.data, read), version))
}

/// The settings as the verbs take them.
fn written(sent: ClientSettings) -> SettingsPatch {
    fn member<T>(setting: Setting<T>) -> Member<T> {
        match setting {
            Setting::Absent => Member::Absent,
            Setting::Null => Member::Null,
            Setting::Given(value) => Member::Given(value),
        }
    }
    SettingsPatch {
        label: sent.label,
        environment: sent.environment,
        products: member(sent.products),
        token_lifetime_seconds: member(sent.token_lifetime_seconds),
        secret_networks: sent.secret_networks,
        token_networks: sent.token_networks,
        notification_emails: sent.notification_emails,
        on_repeat: sent.on_repeat,
        renew_before_seconds: sent.renew_before_seconds,
        handover_max_seconds: sent.handover_max_seconds,
    }
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
) -> Answer<Json<Page<Client>>> {
    let query = Query::read(
        &parts,
        &["limit", "cursor", "environment", "label", "tag", "deleted"],
    )?;
    let environment = query.text("environment").map(|word| {
        Environment::parse(word).ok_or_else(|| {
            Problem::invalid(Some("environment"), "This must be sandbox or production.")
        })
    });
    let label = query.text("label").map(str::to_owned);
    if label.as_ref().is_some_and(|label| label.contains('\0')) {
        return Err(Problem::invalid(Some("label"), "This isn't a label."));
    }
    let tag = query.text("tag").map(tags::parse).transpose()?;
    let filter = ClientFilter {
        environment: environment.transpose()?,
        label,
        tag: tag.map(|tag| tag.to_string()),
        deleted: query.boolean("deleted")?.unwrap_or(false),
        after: query.cursor()?.map(ClientNo),
        limit: query.limit()?,
        ..ClientFilter::default()
    };
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let (page, next) = clients::list(&app.data, &admin, workspace, filter).await?;
    let items = page
        .iter()
        .map(|read| views::client(&app.data, read))
        .collect();
    Ok(Json(views::page(items, next)))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(ClientCreate(body)): Body<ClientCreate>,
) -> Answer<Created<ClientCreated>> {
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let (read, secret) = clients::create(&app.data, admin, workspace, written(body)).await?;
    Ok(Created(ClientCreated {
        client: views::client(&app.data, &read),
        client_secret: ShownClientSecret(secret.expose()),
    }))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Versioned> {
    let read = clients::show(&app.data, &admin, client_id(&text)?).await?;
    versioned(&app, &read)
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    headers: HeaderMap,
    Body(ClientPatch(body)): Body<ClientPatch>,
) -> Answer<Versioned> {
    let versions = versions(&headers)?;
    let id = client_id(&text)?;
    let read = clients::change(&app.data, admin, id, written(body), versions).await?;
    versioned(&app, &read)
}

pub(super) async fn disable(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Json<Client>> {
    one(
        &app,
        &clients::set_disabled(&app.data, admin, client_id(&text)?, true).await?,
    )
}

pub(super) async fn enable(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Json<Client>> {
    one(
        &app,
        &clients::set_disabled(&app.data, admin, client_id(&text)?, false).await?,
    )
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    parts: Parts,
    MaybeBody(body): MaybeBody<ClientDelete>,
) -> Answer<Json<Client>> {
    let query = Query::read(&parts, &["label"])?;
    let label = match (query.text("label"), body) {
        (Some(label), None) => Some(label.to_owned()),
        (None, body) => body.map(|body| body.label),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid(
                Some("label"),
                "Give the label in the body or in the query.",
            ));
        }
    };
    one(
        &app,
        &clients::delete(&app.data, admin, client_id(&text)?, label).await?,
    )
}

pub(super) async fn ask_again(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    MaybeBody(body): MaybeBody<ConfirmationMails>,
) -> Answer<Json<Client>> {
    let email = body.and_then(|body| body.email);
    let read = addresses::ask_again(&app.data, admin, client_id(&text)?, email).await?;
    one(&app, &read)
}

pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    MaybeBody(body): MaybeBody<SecretCreate>,
) -> Answer<Created<SecretCreated>> {
    let note = body.and_then(|body| body.note).unwrap_or_default();
    let (read, n, secret) =
        client_credentials::rotate_secret(&app.data, admin, client_id(&text)?, &note).await?;
    Ok(Created(SecretCreated {
        client: views::client(&app.data, &read),
        n,
        client_secret: ShownClientSecret(secret.expose()),
    }))
}

/// The number of a secret in a path.
fn secret_number(text: &str) -> Result<u32, Problem> {
    let parsed = text.parse();
    parsed.map_err(|_| Problem::from(crate::verbs::Refused::NotFound("secret")))
}

pub(super) async fn change_secret(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path((text, n)): Path<(String, String)>,
    Body(body): Body<SecretChange>,
) -> Answer<Json<Client>> {
    let (id, n) = (client_id(&text)?, secret_number(&n)?);
    let read = credential_notes::of_secret(&app.data, admin, id, n, &body.note).await?;
    one(&app, &read)
}

pub(super) async fn delete_secret(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path((text, n)): Path<(String, String)>,
) -> Answer<Json<Client>> {
    let (id, n) = (client_id(&text)?, secret_number(&n)?);
    let read = client_credentials::delete_secret(&app.data, admin, id, n).await?;
    one(&app, &read)
}

pub(super) async fn tag(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path((text, tag)): Path<(String, String)>,
) -> Answer<Json<Client>> {
    let (id, tag) = (client_id(&text)?, tags::parse(&tag)?);
    one(&app, &tags::set(&app.data, admin, id, tag, true).await?)
}

pub(super) async fn untag(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path((text, tag)): Path<(String, String)>,
) -> Answer<Json<Client>> {
    let (id, tag) = (client_id(&text)?, tags::parse(&tag)?);
    one(&app, &tags::set(&app.data, admin, id, tag, false).await?)
}

pub(super) async fn generate(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Created<TokenByAdmin>> {
    let answer =
        client_credentials::generate_token(&app.data, admin, client_id(&text)?, None).await?;
    Ok(Created(TokenByAdmin {
        access_token: ShownAccessToken(answer.token.expose()),
        generation: answer.generation,
        valid_till: answer.valid_till.map(views::time),
        expires_in: answer
            .valid_till
            .map(|till| till.seconds_since(answer.issued_at)),
    }))
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Json<Client>> {
    let read = client_credentials::revoke_token(&app.data, admin, client_id(&text)?).await?;
    one(&app, &read)
}
