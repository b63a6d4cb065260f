//! What handlers are handed: the call of an administrator, ids and queries, each refused with a problem document
//! when it can't be read. Bodies are next door.

use super::openapi::{Input, Operation, Schemas};
use super::prelude::*;
use crate::app::App;
use crate::auth::authority::Admin;
use crate::auth::refused_credentials;
use crate::http::denied;
use crate::verbs::{Refused, admin_keys};
use axum::extract::{ConnectInfo, FromRequestParts, Path};
use http::header;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use tokenward_core::AdminKey;
use tokenward_core::time::Clock as _;
use tokenward_core::token_header::scheme;
use tokenward_store::Credential;
use uuid::Uuid;

/// A call of an administrator, whose key came as a bearer.
pub(super) struct Call<P = ()> {
    /// The server.
    pub(super) app: Arc<App>,
    /// Its part that acts may touch.
    pub(super) data: Arc<Data>,
    pub(super) admin: Admin,
    /// What stands in the path; what is no UTF-8 is nothing's name.
    pub(super) at: P,
}

impl<P: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Call<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let unknown = || Problem::from(admin_keys::NotAdmitted::Unknown);
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip());
        let source = app.caller_address(peer.ok_or_else(unknown)?, &parts.headers);
        let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(unknown());
        };
        let key = value
            .to_str()
            .ok()
            .and_then(|text| scheme(text, "bearer"))
            .ok_or_else(unknown)?;
        if let Ok(claimed) = AdminKey::from_chosen(key) {
            refused_credentials::claims("actor", format_args!("admin-key:{}", claimed.id()));
        }
        let admitted = admin_keys::admit(&app.people, key, source).await;
        let admin = admitted.inspect_err(|not| {
            let code = match not {
                admin_keys::NotAdmitted::Unknown => "ADMIN_KEY_INVALID",
                admin_keys::NotAdmitted::Throttled(_) => "TOO_MANY_ATTEMPTS",
                admin_keys::NotAdmitted::Unavailable => return,
            };
            refused_credentials::note(&app.people, "admin_key", source, None, code);
        })?;
        denied::asks(&parts.extensions, app, || admin.clone());
        if let Credential::AdminKey(id) = &admin.credential {
            app.data
                .admin_uses
                .note(*id, app.data.clock().wall(), source);
        }
        let Path(at) = Path::<P>::from_request_parts(parts, app)
            .await
            .map_err(|_| Refused::NotFound("address"))?;
        Ok(Self {
            data: Arc::clone(&app.data),
            app: Arc::clone(app),
            admin,
            at,
        })
    }
}

impl<P> Input for Call<P> {
    fn describe(operation: &mut Operation, _: &mut Schemas) {
        operation.opened_by(&["adminKey"]);
        operation.refuses(&["401", "429", "503"]);
    }
}

/// A UUID in the path; anything else is not found.
pub(super) fn id(text: &str, what: &'static str) -> Result<Uuid, Problem> {
    let strict = text.len() == 36;
    let parsed = Uuid::try_parse(text).ok().filter(|_| strict);
    parsed.ok_or_else(|| Refused::NotFound(what).into())
}

/// The workspace in the path.
pub(super) fn workspace_id(text: &str) -> Result<WorkspaceId, Problem> {
    id(text, "workspace").map(WorkspaceId)
}

/// The API client in the path.
pub(super) fn client_id(text: &str) -> Result<ClientId, Problem> {
    id(text, "client").map(ClientId)
}

/// The query; unknown or repeated parameters are refused.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query that may have these parameters.
    pub(super) fn read(parts: &Parts, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let detail = format!(
                    "There is no parameter of that name; there are: {}.",
                    known.join(", ")
                );
                return Err(Problem::invalid(
                    Some(&name.chars().take(64).collect::<String>()),
                    detail,
                ));
            }
            if pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(Problem::invalid(
                    Some(&name),
                    "The parameter was given twice.",
                ));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter of a type; `what` it must be.
    fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Problem> {
        let parse = |text: &str| text.parse().map_err(|_| Problem::invalid(Some(name), what));
        self.text(name).map(parse).transpose()
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.parsed(name, "This must be a number.")
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.parsed(name, "This must be true or false.")
    }

    pub(super) fn uuid(&self, name: &str) -> Result<Option<Uuid>, Problem> {
        self.parsed(name, "This must be a UUID.")
    }

    /// `limit`: 1 to 1,000, 100 when absent.
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        let limit = self.number("limit")?.unwrap_or(100);
        if (1..=tokenward_store::PAGE_MAX).contains(&limit) {
            Ok(limit)
        } else {
            Err(Problem::invalid(
                Some("limit"),
                format!("limit must be 1 to {}.", tokenward_store::PAGE_MAX),
            ))
        }
    }

    /// `cursor`: as a page before gave it.
    pub(super) fn cursor(&self) -> Result<Option<u32>, Problem> {
        let wrong = || {
            Problem::invalid(
                Some("cursor"),
                "cursor must be the next_cursor of a page before.",
            )
        };
        let parse = |text: &str| {
            text.strip_prefix('c')
                .and_then(|text| text.parse().ok())
                .ok_or_else(wrong)
        };
        self.text("cursor").map(parse).transpose()
    }
}
