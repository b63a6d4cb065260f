//! Bodies as handlers are handed them: whole, of bounded length, in bounded time, or refused with a
//! problem document. Never read before the caller is known to be an administrator.

use super::openapi::{Input, Operation, Schemas};
use super::problem::Problem;
use crate::app::App;
use crate::http::body::{self, BodyError};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A body as it came.
struct BodyBytes(Zeroizing<Vec<u8>>);

impl FromRequest<Arc<App>> for BodyBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let read = body::read(&parts.headers, body).await;
        read.map(Self).map_err(|error| match error {
            BodyError::TooLarge => Problem::too_large(),
            BodyError::TooSlow => Problem::too_slow(),
            BodyError::CutOff => Problem::invalid(None, "The body could not be read."),
        })
    }
}

/// A JSON body; unknown members are refused by the type.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let json = is_json(request.headers());
        let BodyBytes(bytes) = BodyBytes::from_request(request, app).await?;
        if !json {
            return Err(Problem::unsupported_media(
                "Send Content-Type: application/json.",
            ));
        }
        Self::of(&bytes)
    }
}

impl<T: JsonSchema> Input for Body<T> {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        let schema = schemas.of_request::<T>();
        operation.body("application/json", schema, true);
        operation.refuses(&["400", "413", "415"]);
    }
}

/// A JSON body that may be left out, of whatever media type it is said to be.
pub(super) struct MaybeBody<T>(pub(super) Option<T>);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let BodyBytes(bytes) = BodyBytes::from_request(request, app).await?;
        let body = (!bytes.is_empty()).then(|| Body::of(&bytes)).transpose()?;
        Ok(Self(body.map(|Body(body)| body)))
    }
}

impl<T: JsonSchema> Input for MaybeBody<T> {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        let schema = schemas.of_request::<T>();
        operation.body("application/json", schema, false);
        operation.refuses(&["400", "408", "413"]);
    }
}

impl<T: DeserializeOwned> Body<T> {
    /// Reads an object. The JSON reader would take an array as well, member by member in the order of
    /// the type's fields: a contract that nobody wrote.
    fn of(bytes: &[u8]) -> Result<Self, Problem> {
        let first = bytes.trim_ascii_start().first();
        if first.is_some_and(|byte| *byte == b'[') {
            return Err(Problem::invalid(None, "The body must be a JSON object."));
        }
        match axum::Json::from_bytes(bytes) {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => {
                Err(Problem::invalid(None, readable(&error.body_text())))
            }
            Err(JsonRejection::JsonSyntaxError(error)) => {
                Err(Problem::invalid(None, readable(&error.body_text())))
            }
            Err(_) => Err(Problem::invalid(None, "The body could not be read.")),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The JSON reader's sentence without the web library's words around it and without places in the text,
/// cut to a length; it repeats names the caller sent, never our insides.
fn readable(text: &str) -> String {
    const AROUND: [&str; 2] = [
        "Failed to deserialize the JSON body into the target type: ",
        "Failed to parse the request body as JSON: ",
    ];
    let text = AROUND
        .iter()
        .find_map(|around| text.strip_prefix(around))
        .unwrap_or(text);
    let text = text
        .rsplit_once(" at line ")
        .map_or(text, |(before, _)| before);
    text.chars().filter(|c| !c.is_control()).take(600).collect()
}
