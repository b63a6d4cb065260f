//! `/workspaces/{id}/clients` and `/clients`

use super::prelude::*;
use super::reply::Versioned;
use crate::verbs::settings::version;
use crate::verbs::{addresses, client_credentials, clients, credential_notes, tags};
use http::{HeaderMap, header};
use tokenward_api::{
    Client, ClientCreate, ClientCreated, ClientDelete, ClientPatch, ConfirmationMails,
    SecretChange, SecretCreate, SecretCreated, ShownAccessToken, ShownClientSecret, TokenByAdmin,
};
use tokenward_core::Environment;
use tokenward_core::ids::ClientNo;
use tokenward_store::ClientFilter;

fn one(data: &Data, read: &clients::Read) -> Answer<Json<Client>> {
    Ok(Json(views::client(data, read)))
}

/// An API client, with the version of its settings for a later `If-Match`.
fn versioned(data: &Data, read: &clients::Read) -> Answer<Versioned> {
    let version = version(&read.state.client.settings);
    Ok(Versioned(views::client(data, read), version))
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

pub(super) async fn list(call: Call<String>, parts: Parts) -> Answer<Json<Page<Client>>> {
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
    let workspace = workspace_id(&call.at)?;
    let (page, next) = clients::list(&call.data, &call.admin, workspace, filter).await?;
    let items = page
        .iter()
        .map(|read| views::client(&call.data, read))
        .collect();
    Ok(Json(views::page(items, next)))
}

pub(super) async fn create(
    call: Call<String>,
    Body(ClientCreate(body)): Body<ClientCreate>,
) -> Answer<Created<ClientCreated>> {
    let workspace = workspace_id(&call.at)?;
    let (read, secret) = clients::create(&call.data, call.admin, workspace, body).await?;
    Ok(Created(ClientCreated {
        client: views::client(&call.data, &read),
        client_secret: ShownClientSecret(secret.expose()),
    }))
}

pub(super) async fn show(call: Call<String>) -> Answer<Versioned> {
    let read = clients::show(&call.data, &call.admin, client_id(&call.at)?).await?;
    versioned(&call.data, &read)
}

pub(super) async fn change(
    call: Call<String>,
    headers: HeaderMap,
    Body(ClientPatch(body)): Body<ClientPatch>,
) -> Answer<Versioned> {
    let versions = versions(&headers)?;
    let id = client_id(&call.at)?;
    let read = clients::change(&call.data, call.admin, id, body, versions).await?;
    versioned(&call.data, &read)
}

pub(super) async fn disable(call: Call<String>) -> Answer<Json<Client>> {
    one(
        &call.data,
        &clients::set_disabled(&call.data, call.admin, client_id(&call.at)?, true).await?,
    )
}

pub(super) async fn enable(call: Call<String>) -> Answer<Json<Client>> {
    one(
        &call.data,
        &clients::set_disabled(&call.data, call.admin, client_id(&call.at)?, false).await?,
    )
}

pub(super) async fn delete(
    call: Call<String>,
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
        &call.data,
        &clients::delete(&call.data, call.admin, client_id(&call.at)?, label).await?,
    )
}

pub(super) async fn ask_again(
    call: Call<String>,
    MaybeBody(body): MaybeBody<ConfirmationMails>,
) -> Answer<Json<Client>> {
    let email = body.and_then(|body| body.email);
    let read = addresses::ask_again(&call.data, call.admin, client_id(&call.at)?, email).await?;
    one(&call.data, &read)
}

pub(super) async fn rotate(
    call: Call<String>,
    MaybeBody(body): MaybeBody<SecretCreate>,
) -> Answer<Created<SecretCreated>> {
    let note = body.and_then(|body| body.note).unwrap_or_default();
    let (read, n, secret) =
        client_credentials::rotate_secret(&call.data, call.admin, client_id(&call.at)?, &note)
            .await?;
    Ok(Created(SecretCreated {
        client: views::client(&call.data, &read),
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
    call: Call<(String, String)>,
    Body(body): Body<SecretChange>,
) -> Answer<Json<Client>> {
    let (id, n) = (client_id(&call.at.0)?, secret_number(&call.at.1)?);
    let read = credential_notes::of_secret(&call.data, call.admin, id, n, &body.note).await?;
    one(&call.data, &read)
}

pub(super) async fn delete_secret(call: Call<(String, String)>) -> Answer<Json<Client>> {
    let (id, n) = (client_id(&call.at.0)?, secret_number(&call.at.1)?);
    let read = client_credentials::delete_secret(&call.data, call.admin, id, n).await?;
    one(&call.data, &read)
}

pub(super) async fn tag(call: Call<(String, String)>) -> Answer<Json<Client>> {
    let (id, tag) = (client_id(&call.at.0)?, tags::parse(&call.at.1)?);
    one(
        &call.data,
        &tags::set(&call.data, call.admin, id, tag, true).await?,
    )
}

pub(super) async fn untag(call: Call<(String, String)>) -> Answer<Json<Client>> {
    let (id, tag) = (client_id(&call.at.0)?, tags::parse(&call.at.1)?);
    one(
        &call.data,
        &tags::set(&call.data, call.admin, id, tag, false).await?,
    )
}

pub(super) async fn generate(call: Call<String>) -> Answer<Created<TokenByAdmin>> {
    let answer =
        client_credentials::generate_token(&call.data, call.admin, client_id(&call.at)?, None)
            .await?;
    Ok(Created(TokenByAdmin {
        access_token: ShownAccessToken(answer.token.expose()),
        generation: answer.generation,
        valid_till: answer.valid_till.map(views::time),
        expires_in: answer
            .valid_till
            .map(|till| till.seconds_since(answer.issued_at)),
    }))
}

pub(super) async fn revoke(call: Call<String>) -> Answer<Json<Client>> {
    let read =
        client_credentials::revoke_token(&call.data, call.admin, client_id(&call.at)?).await?;
    one(&call.data, &read)
}
