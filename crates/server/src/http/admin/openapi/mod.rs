//! The OpenAPI 3.1 document of the public listener. The admin API's router is built from the same
//! operations as the document ([`Operation::by`]): a route that is not described can't be served, nor
//! one described that is not there. Limits are the core's own constants, never numbers of this room.

mod answers;
mod notification_schemas;
mod notifications;
mod operations;
mod people;
mod public;
mod schemas;

pub(super) use notifications::*;
pub(super) use operations::*;
pub(super) use people::*;

use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{HeaderValue, Method, header};
use schemas::reference;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// Where the admin API begins.
const ADMIN: &str = "/admin/v1";

/// One method of one path, described.
pub(super) struct Operation {
    method: Method,
    path: &'static str,
    described: Value,
}

/// An operation with what serves it.
pub(super) struct Route<S> {
    /// Below `/admin/v1`.
    pub(super) path: &'static str,
    /// For its one method.
    pub(super) handler: MethodRouter<S>,
    operation: Operation,
}

impl Operation {
    fn new(method: Method, path: &'static str, id: &str, tag: &str, summary: &str) -> Self {
        let described = json!({
            "operationId": id,
            "tags": [tag],
            "summary": summary,
            "parameters": [],
            "responses": {},
            "security": [],
        });
        Self {
            method,
            path,
            described,
        }
    }

    /// Longer words about it.
    fn saying(mut self, description: &str) -> Self {
        self.described["description"] = description.into();
        self
    }

    /// One of these proofs opens it.
    fn opened_by(mut self, schemes: &[&str]) -> Self {
        let one = |scheme: &&str| {
            if scheme.is_empty() {
                json!({})
            } else {
                json!({ *scheme: [] })
            }
        };
        self.described["security"] = schemes.iter().map(one).collect();
        self
    }

    fn parameter(mut self, parameter: Value) -> Self {
        if let Some(list) = self.described["parameters"].as_array_mut() {
            list.push(parameter);
        }
        self
    }

    fn path_parameter(self, name: &str, schema: Value, what: &str) -> Self {
        let parameter = json!({ "name": name, "in": "path", "required": true, "schema": schema, "description": what });
        self.parameter(parameter)
    }

    fn query(self, name: &str, schema: Value, what: &str) -> Self {
        let parameter = json!({ "name": name, "in": "query", "required": false, "schema": schema, "description": what });
        self.parameter(parameter)
    }

    fn body(mut self, kind: &str, schema: &str, required: bool) -> Self {
        let content = json!({ kind: { "schema": reference(schema) } });
        self.described["requestBody"] = json!({ "required": required, "content": content });
        self
    }

    fn answers(mut self, status: &str, response: Value) -> Self {
        self.described["responses"][status] = response;
        self
    }

    /// Answers described once for all.
    fn answers_as(mut self, shared: &[(&str, &str)]) -> Self {
        for (status, name) in shared {
            let pointer = format!("#/components/responses/{name}");
            self.described["responses"][*status] = json!({ "$ref": pointer });
        }
        self
    }

    /// What serves it.
    pub(super) fn by<H, T, S>(self, handler: H) -> Route<S>
    where
        H: Handler<T, S>,
        T: 'static,
        S: Clone + Send + Sync + 'static,
    {
        // Every method used here has a filter; one that had not would show in the first test.
        let filter = MethodFilter::try_from(self.method.clone()).unwrap_or(MethodFilter::TRACE);
        Route {
            path: self.path,
            handler: on(filter, handler),
            operation: self,
        }
    }
}

/// `GET /admin/v1/openapi.json`: for everyone, and the same for everyone.
pub(super) async fn show() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());
    let mut response = DOCUMENT.as_str().into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn document() -> Value {
    let mut paths = Map::new();
    let mut add = |prefix: &str, operation: Operation| {
        let path = format!("{prefix}{}", operation.path);
        let method = operation.method.as_str().to_lowercase();
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation.described;
    };
    for route in super::routes() {
        add(ADMIN, route.operation);
    }
    for operation in public::operations() {
        add("", operation);
    }
    json!({
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "Tokenward",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "the public listener" }],
        "tags": [
            { "name": "token", "description": "the Generate Access Token API" },
            { "name": "oauth", "description": "OAuth 2.0: client credentials, introspection, revocation, metadata" },
            { "name": "workspaces" },
            { "name": "products" },
            { "name": "clients", "description": "API clients, their client secrets and access tokens" },
            { "name": "notices", "description": "webhooks, and what was told by them and by e-mail" },
            { "name": "audit" },
            { "name": "members", "description": "who may sign in to the console, and who is invited" },
            { "name": "admin-keys" },
            { "name": "server" },
        ],
        "paths": paths,
        "components": {
            "schemas": schemas::schemas(),
            "responses": answers::responses(),
            "securitySchemes": answers::security_schemes(),
        },
    })
}

const DESCRIPTION: &str = "The public listener of Tokenward: a client secret generates access tokens, an admin key administers. \
    Every answer has the header `x-request-id`, which the server's log repeats. A request body may have at most 64 KiB, and a \
    request head that is longer is answered 431 without a body. A path that is not described here is answered 404, a method \
    that is not described 405 with the header `Allow`. Ids are UUIDs, times ISO 8601 in UTC to the second.";
