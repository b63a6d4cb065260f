//! The OpenAPI 3.1 document of the public listener. Bodies come from the types of the handlers (`tokenward-api`), paths
//! from the table that the router is built of ([`super::routes::routes`]): a route that is not described can't be served, nor one
//! described that is not there.

mod answers;
mod derive;
mod public;

pub(super) use answers::{described, header as answer_header};
pub(super) use derive::{Input, Output, Schemas};

use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use derive::Described;
use http::{Method, header};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use tokenward_api::TAG_BYTES_MAX;
use tokenward_store::PAGE_MAX;

/// Where the admin API begins.
const ADMIN: &str = "/admin/v1";

/// One method of one path, described.
pub(super) struct Operation(Value);

/// One method of one path, with what serves it and what describes it.
pub(super) struct Route<S> {
    method: Method,
    /// Below `/admin/v1`.
    pub(super) path: &'static str,
    /// For its one method.
    pub(super) handler: MethodRouter<S>,
    operation: Operation,
    /// Adds what the types of the handler say.
    types: fn(&mut Operation, &mut Schemas),
}

impl Operation {
    fn new(tag: &str, id: &str, summary: &str) -> Self {
        Self(json!({
            "operationId": id,
            "tags": [tag],
            "summary": summary,
            "parameters": [],
            "responses": { "500": { "$ref": "#/components/responses/Internal" } },
            "security": [],
        }))
    }

    /// One of these proofs opens it.
    pub(super) fn opened_by(&mut self, schemes: &[&str]) {
        let one = |scheme: &&str| match *scheme {
            "" => json!({}),
            scheme => json!({ scheme: [] }),
        };
        self.0["security"] = schemes.iter().map(one).collect();
    }

    fn parameter(&mut self, place: &str, name: &str, required: bool, schema: Value, about: &str) {
        let parameter = json!({ "name": name, "in": place, "required": required, "schema": schema, "description": about });
        if let Some(list) = self.0["parameters"].as_array_mut() {
            list.push(parameter);
        }
    }

    /// A body of this media type.
    pub(super) fn body(&mut self, kind: &str, schema: Value, required: bool) {
        let content = json!({ kind: { "schema": schema } });
        self.0["requestBody"] = json!({ "required": required, "content": content });
    }

    /// An answer of its own.
    pub(super) fn answers(&mut self, status: &str, response: Value) {
        self.0["responses"][status] = response;
    }

    /// Answers described once for all.
    pub(super) fn answers_as(&mut self, shared: &[(&str, &str)]) {
        for (status, name) in shared {
            let pointer = format!("#/components/responses/{name}");
            self.answers(status, json!({ "$ref": pointer }));
        }
    }

    /// Errors of the admin API, by status.
    pub(super) fn refuses(&mut self, statuses: &[&str]) {
        for status in statuses {
            let name = match *status {
                "400" => "ProblemInvalid",
                "401" => "ProblemUnauthorized",
                "403" => "ProblemForbidden",
                "404" => "ProblemNotFound",
                "408" => "ProblemTooSlow",
                "409" => "ProblemConflict",
                "412" => "ProblemMismatch",
                "413" => "ProblemTooLarge",
                "415" => "ProblemNotJson",
                "429" => "ProblemTooMany",
                "503" => "ProblemUnavailable",
                other => unreachable!("{other} has no shared answer"),
            };
            self.answers_as(&[(status, name)]);
        }
    }

    /// The parameters in the path.
    fn path_parameters(&mut self, path: &str) {
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')) {
            let (schema, about) = match name.trim_end_matches('}') {
                "n" => (
                    json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
                    "the secret's number",
                ),
                "slug" => (slug(), "the product"),
                "tag" => (tag(), "the tag"),
                _ => (
                    uuid(),
                    match path.split('/').nth(1) {
                        Some("workspaces") => "the workspace",
                        Some("clients") => "the API client",
                        Some("webhooks") => "the webhook",
                        Some("members") => "the member",
                        Some("invitations") => "the invitation",
                        _ => "the admin key",
                    },
                ),
            };
            self.parameter("path", name.trim_end_matches('}'), true, schema, about);
        }
    }
}

/// `handler` serves `method` of `path`.
pub(super) fn route<H, T, U, S>(method: Method, path: &'static str, handler: H) -> Route<S>
where
    H: Handler<T, S> + Described<U>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    Route {
        handler: on(filter(&method), handler),
        types: <H as Described<U>>::describe,
        operation: Operation::new("", "", ""),
        method,
        path,
    }
}

/// The document itself, whose handler takes and returns no type of the API.
pub(super) fn document_route<S: Clone + Send + Sync + 'static>() -> Route<S> {
    let route = Route {
        method: Method::GET,
        path: "/openapi.json",
        handler: on(MethodFilter::GET, show),
        operation: Operation::new("", "", ""),
        types: |_, _| (),
    };
    let mut route = route.named("server", "showDocument", "This document");
    let schema = json!({ "type": "object", "required": ["openapi"] });
    let answer = json!({ "description": "this document", "content": { "application/json": { "schema": schema } } });
    route.operation.answers("200", answer);
    route
}

fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).expect("the methods of the table have a filter")
}

impl<S> Route<S> {
    /// Its tag, its id and a short sentence.
    pub(super) fn named(mut self, tag: &str, id: &str, summary: &str) -> Self {
        self.operation = Operation::new(tag, id, summary);
        self.operation.path_parameters(self.path);
        self
    }

    /// A longer description.
    pub(super) fn saying(mut self, description: &str) -> Self {
        self.operation.0["description"] = description.into();
        self
    }

    /// Errors beside those that follow from the types: 403 where it needs a role.
    pub(super) fn refuses(mut self, statuses: &[&str]) -> Self {
        self.operation.refuses(statuses);
        self
    }

    /// A parameter of the query.
    pub(super) fn query(mut self, name: &str, schema: Value, about: &str) -> Self {
        self.operation
            .parameter("query", name, false, schema, about);
        self
    }

    /// A header of the request.
    pub(super) fn header(mut self, name: &str, schema: Value, about: &str) -> Self {
        self.operation
            .parameter("header", name, false, schema, about);
        self
    }

    /// A list of which a part is asked for.
    pub(super) fn limited(self) -> Self {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": 100 });
        self.query("limit", limit, "how many at most")
            .refuses(&["400"])
    }

    /// A list in pages.
    pub(super) fn paged(self, cursor: &str) -> Self {
        let cursor = json!({ "type": "string", "pattern": cursor });
        self.limited()
            .query("cursor", cursor, "`next_cursor` of the page before")
    }
}

pub(super) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// A product's slug.
pub(super) fn slug() -> Value {
    Schemas::default().of_answer::<tokenward_api::Slug>()
}

/// A client's tag: written as a slug, and shorter.
pub(super) fn tag() -> Value {
    let mut schema = slug();
    schema["maxLength"] = TAG_BYTES_MAX.into();
    schema
}

/// `GET /admin/v1/openapi.json`: for everyone, and the same for everyone.
async fn show() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, DOCUMENT.as_str()).into_response()
}

fn document() -> Value {
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    let mut add = |path: String, method: &Method, operation: Operation| {
        let method = method.as_str().to_lowercase();
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation.0;
    };
    for mut route in super::routes::routes() {
        (route.types)(&mut route.operation, &mut schemas);
        add(
            format!("{ADMIN}{}", route.path),
            &route.method,
            route.operation,
        );
    }
    for (method, path, operation) in public::operations() {
        add(path.to_owned(), &method, operation);
    }
    let responses = answers::responses(&mut schemas);
    let mut components = schemas.into_components();
    components.extend(public::schemas());
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
            { "name": "notices", "description": "webhooks, and the notices sent by webhook and e-mail" },
            { "name": "audit" },
            { "name": "members", "description": "who may sign in to the console, and who is invited" },
            { "name": "admin-keys" },
            { "name": "server" },
        ],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": responses,
            "securitySchemes": answers::security_schemes(),
        },
    })
}

const DESCRIPTION: &str = "The public listener of Tokenward: a client secret generates access tokens, an admin key administers. \
    Every answer has the header `x-request-id`, which the server's log repeats. A request body may have at most 64 KiB, and a \
    request head that is longer is answered 431 without a body. A path that is not described here is answered 404, a method \
    that is not described 405 with the header `Allow`. Ids are UUIDs, times ISO 8601 in UTC to the second.";
