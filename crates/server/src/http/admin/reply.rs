//! What handlers return: a body of the API with its status. Nobody may store one.

use super::openapi::{self, Operation, Output, Schemas};
use super::problem::Problem;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tokenward_api::{Client, Product};

/// What a handler answers.
pub(super) type Answer<T> = Result<T, Problem>;

/// 200 with a body.
pub(super) struct Json<T>(pub(super) T);

/// 201 with a body.
pub(super) struct Created<T>(pub(super) T);

/// 202 with a body.
pub(super) struct Accepted<T>(pub(super) T);

/// 204.
pub(super) struct NoContent;

/// 200 with an API client and the version of its settings, for a later `If-Match`.
pub(super) struct Versioned(pub(super) Client, pub(super) String);

/// 201 or 200 with a product, by whether it is new.
pub(super) struct Put(pub(super) Product, pub(super) bool);

/// Members of an object are in the order of their names, as ever.
fn body(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_value(body).expect("a body of the API is JSON");
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body.to_string()).into_response()
}

fn describe<T: JsonSchema>(status: &str, operation: &mut Operation, schemas: &mut Schemas) {
    let about = schemas.about::<T>();
    let schema = schemas.of_answer::<T>();
    operation.answers(
        status,
        openapi::described(&about, "application/json", schema),
    );
}

macro_rules! with_body {
    ($name:ident, $status:expr) => {
        impl<T: Serialize> IntoResponse for $name<T> {
            fn into_response(self) -> Response {
                body($status, &self.0)
            }
        }

        impl<T: JsonSchema> Output for $name<T> {
            fn describe(operation: &mut Operation, schemas: &mut Schemas) {
                describe::<T>($status.as_str(), operation, schemas);
            }
        }
    };
}

with_body!(Json, StatusCode::OK);
with_body!(Created, StatusCode::CREATED);
with_body!(Accepted, StatusCode::ACCEPTED);

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Output for NoContent {
    fn describe(operation: &mut Operation, _: &mut Schemas) {
        operation.answers("204", json!({ "description": "done" }));
    }
}

impl IntoResponse for Versioned {
    fn into_response(self) -> Response {
        let tag = [(header::ETAG, format!("\"{}\"", self.1))];
        (tag, body(StatusCode::OK, &self.0)).into_response()
    }
}

impl Output for Versioned {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        let about = schemas.about::<Client>();
        let schema = schemas.of_answer::<Client>();
        let mut answer = openapi::described(&about, "application/json", schema);
        let tag = json!({ "type": "string", "pattern": "^\"[0-9a-f]{32}\"$" });
        answer["headers"]["etag"] = openapi::answer_header("the version of the settings", tag);
        operation.answers("200", answer);
    }
}

impl IntoResponse for Put {
    fn into_response(self) -> Response {
        let status = if self.1 {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        body(status, &self.0)
    }
}

impl Output for Put {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        describe::<Product>("200", operation, schemas);
        describe::<Product>("201", operation, schemas);
    }
}
