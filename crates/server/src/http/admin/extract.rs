//! What handlers are handed: the administrator, ids, queries and bodies, each refused with a problem
//! document when it can't be read.

use super::problem::Problem;
use crate::addresses;
use crate::app::App;
use crate::http::credentials;
use crate::verbs::admin_keys;
use crate::verbs::authority::Admin;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use http::header;
use http::request::Parts;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// The administrator whose key came as a bearer.
pub(super) struct Signed(pub(super) Admin);

impl FromRequestParts<Arc<App>> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let unknown = || Problem::from(admin_keys::NotAdmitted::Unknown);
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip());
        let source = addresses::caller(
            peer.ok_or_else(unknown)?,
            &parts.headers,
            &app.config.trusted_proxies,
        );
        let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(unknown());
        };
        let key = value
            .to_str()
            .ok()
            .and_then(|text| credentials::scheme(text, "bearer"))
            .ok_or_else(unknown)?;
        Ok(Self(admin_keys::admit(app, key, source).await?))
    }
}

/// A UUID in the path; anything else is not found.
pub(super) fn id(text: &str, what: &'static str) -> Result<Uuid, Problem> {
    let strict = text.len() == 36;
    let parsed = Uuid::try_parse(text).ok().filter(|_| strict);
    parsed.ok_or_else(|| crate::verbs::Refused::NotFound(what).into())
}

/// A JSON body; unknown members are refused by the type.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, app).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => {
                Err(Problem::invalid(None, readable(&error.body_text())))
            }
            Err(JsonRejection::JsonSyntaxError(error)) => {
                Err(Problem::invalid(None, readable(&error.body_text())))
            }
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::unsupported_media(
                "Send Content-Type: application/json.",
            )),
            Err(JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(error)))
                if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Err(Problem::too_large())
            }
            Err(_) => Err(Problem::invalid(None, "The body could not be read.")),
        }
    }
}

/// The library's sentence, cut to a length; it repeats names the caller sent, never our insides.
fn readable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
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

    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| Problem::invalid(Some(name), "This must be a number."))
        };
        self.text(name).map(parse).transpose()
    }

    pub(super) fn uuid(&self, name: &str) -> Result<Option<Uuid>, Problem> {
        let parse = |text: &str| {
            Uuid::try_parse(text).map_err(|_| Problem::invalid(Some(name), "This must be a UUID."))
        };
        self.text(name).map(parse).transpose()
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
