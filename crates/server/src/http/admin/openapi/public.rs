//! What else the public listener serves: the Generate Access Token API and the OAuth endpoints. Their bodies are those of
//! the wire contract, which no type of `tokenward-api` has.

use super::answers::{header, json_answer, reference};
use super::{Operation, Schemas, slug, uuid};
use crate::http::{clear_api, oauth};
use http::Method;
use serde_json::{Map, Value, json};
use tokenward_api::{Environment, Time, schema};
use tokenward_core::client::HANDOVER_SECONDS_MAX;

type Described = (Method, &'static str, Operation);

/// Every one of them.
pub(super) fn operations() -> Vec<Described> {
    vec![
        generate(Method::GET, "generateToken"),
        generate(Method::POST, "generateTokenByPost"),
        status(),
        end_previous(),
        token(),
        about_token(
            oauth::INTROSPECT,
            "introspect",
            "Ask about an access token (RFC 7662)",
            "Introspection",
            "A client sees its own tokens only; any other is inactive. With `environment` and `product`, a token that is not \
            valid for exactly that is inactive, too; `client_ip` is the address of the token's bearer, for clients with \
            `token_networks`. The path may name both: `/oauth2/introspect/{environment}/{product}`.",
        ),
        about_token(
            oauth::REVOKE,
            "revoke",
            "Revoke the client's own access token (RFC 7009)",
            "Revoked",
            "A token that is unknown, or another client's, is answered alike, and nothing is done.",
        ),
        metadata(),
    ]
}

fn by_secret(id: &str, summary: &str) -> Operation {
    let mut operation = Operation::new("token", id, summary);
    operation.opened_by(&["clientSecret", "clientBasic"]);
    operation.answers_as(&[
        ("401", "ErrorsUnauthorized"),
        ("403", "ErrorsForbidden"),
        ("429", "ErrorsTooMany"),
        ("503", "ErrorsUnavailable"),
    ]);
    operation
}

/// A token answer names its generation for the next `If-Match`. The headers of the quota are still a
/// draft and may be turned off, so none may rely on them.
fn generated() -> Value {
    let mut response = json_answer("an access token", "Token");
    let tag = json!({ "type": "string", "pattern": "^\"[0-9]+\"$" });
    let headers = &mut response["headers"];
    headers["etag"] = header("the token's generation", tag);
    headers["cache-control"] = header("never stored", json!({ "const": "no-store" }));
    headers["ratelimit"] = json!({ "description": "tokens left today", "schema": string() });
    headers["ratelimit-policy"] = json!({ "description": "tokens a day", "schema": string() });
    response
}

fn generate(method: Method, id: &str) -> Described {
    let mut operation = by_secret(id, "Generate an access token");
    operation.0["description"] =
        "It revokes the live one at once, except for what the client's settings say: `on_repeat`, \
        `handover_max_seconds`."
            .into();
    operation.parameter(
        "header",
        "If-Match",
        false,
        json!({ "type": "string", "pattern": "^\"[0-9]{1,9}\"$" }),
        "generate only if the newest token is of this generation; \"0\": only if there has never been one",
    );
    operation.parameter(
        "query",
        "force",
        false,
        json!({ "type": "boolean" }),
        "make a new token where the client's policy would return the live one",
    );
    operation.parameter(
        "query",
        "handover",
        false,
        json!({ "type": "integer", "minimum": 0, "maximum": HANDOVER_SECONDS_MAX }),
        "seconds for which the token before stays valid, at most the client's `handover_max_seconds`",
    );
    operation.answers("200", generated());
    operation.answers_as(&[("400", "ErrorsInvalid"), ("412", "ErrorsMismatch")]);
    (method, clear_api::PATH, operation)
}

fn status() -> Described {
    let mut operation = by_secret("tokenStatus", "The state of the access token");
    operation.0["description"] = "Changes nothing and shows no token.".into();
    operation.answers("200", json_answer("its state", "TokenStatus"));
    (Method::GET, clear_api::STATUS_PATH, operation)
}

fn end_previous() -> Described {
    let mut operation = by_secret(
        "endPreviousToken",
        "End the grace period of the previous token",
    );
    operation.answers("200", json_answer("whether there was one", "PreviousEnded"));
    (Method::DELETE, clear_api::PREVIOUS_PATH, operation)
}

/// The credentials may stand in the form instead, so that none in the header is no error yet.
fn by_form(id: &str, summary: &str, form: &str) -> Operation {
    let mut operation = Operation::new("oauth", id, summary);
    operation.opened_by(&["clientBasic", ""]);
    operation.body("application/x-www-form-urlencoded", reference(form), true);
    operation.answers_as(&[
        ("400", "OAuthInvalid"),
        ("401", "OAuthUnauthorized"),
        ("403", "OAuthForbidden"),
        ("408", "OAuthTooSlow"),
        ("413", "OAuthTooLarge"),
        ("429", "OAuthTooMany"),
        ("503", "OAuthUnavailable"),
    ]);
    operation
}

fn token() -> Described {
    let summary = "Generate an access token (RFC 6749, client credentials)";
    let mut operation = by_form("oauthToken", summary, "OAuthGrant");
    operation.answers("200", json_answer("an access token", "OAuthToken"));
    (Method::POST, oauth::TOKEN, operation)
}

fn about_token(
    path: &'static str,
    id: &str,
    summary: &str,
    answer: &str,
    description: &str,
) -> Described {
    let mut operation = by_form(id, summary, "OAuthAboutToken");
    operation.0["description"] = description.into();
    operation.answers("200", json_answer("the answer", answer));
    (Method::POST, path, operation)
}

fn metadata() -> Described {
    let summary = "Authorization server metadata (RFC 8414)";
    let mut operation = Operation::new("oauth", "oauthMetadata", summary);
    let answer = json_answer("what the server can do, and where", "OAuthMetadata");
    operation.answers("200", answer);
    operation.answers_as(&[("503", "ErrorsUnavailable")]);
    (Method::GET, oauth::METADATA, operation)
}

/// An object with exactly these members, these of them always.
fn object(required: Value, members: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": members })
}

/// An object with exactly these members, all of them always.
fn whole(members: Value) -> Value {
    let names = members.as_object().into_iter().flat_map(Map::keys);
    let names: Vec<String> = names.cloned().collect();
    json!({ "type": "object", "additionalProperties": false, "required": names, "properties": members })
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn texts() -> Value {
    json!({ "type": "array", "items": string() })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn time_or_null() -> Value {
    Schemas::default().of_answer::<Option<Time>>()
}

fn environment() -> Value {
    Schemas::default().of_answer::<Environment>()
}

fn access_token() -> Value {
    schema::access_token().into()
}

fn client_secret() -> Value {
    schema::client_secret().into()
}

fn errors() -> Value {
    let error = object(
        json!(["error_code", "error_message", "error_source", "error_id"]),
        json!({
            "error_code": { "type": "string", "pattern": "^[A-Z_]+$" }, "error_message": { "type": "string" },
            "error_source": { "type": "string" }, "error_id": uuid(),
            "generation": count(), "valid_till": time_or_null(), "handover_max_seconds": count(), "quota": count(),
        }),
    );
    whole(json!({ "errors": { "type": "array", "items": error, "minItems": 1, "maxItems": 1 } }))
}

fn introspection_active() -> Value {
    let members = json!({
        "active": { "const": true }, "token_type": { "const": "Bearer" }, "client_id": uuid(), "sub": uuid(),
        "workspace": uuid(), "environment": environment(), "client_label": { "type": "string" },
        "generation": { "type": "integer", "minimum": 1 }, "scope": { "type": "string" }, "aud": texts(), "token_networks": texts(),
        "iat": { "type": "integer" }, "exp": { "type": "integer" }, "iss": { "type": "string" },
    });
    let always = json!([
        "active",
        "token_type",
        "client_id",
        "sub",
        "workspace",
        "environment",
        "client_label",
        "generation",
        "scope",
        "aud",
    ]);
    object(always, members)
}

fn oauth_metadata() -> Value {
    whole(json!({
        "issuer": string(), "token_endpoint": string(), "introspection_endpoint": string(), "revocation_endpoint": string(),
        "token_endpoint_auth_methods_supported": texts(), "introspection_endpoint_auth_methods_supported": texts(),
        "revocation_endpoint_auth_methods_supported": texts(), "grant_types_supported": texts(),
        "response_types_supported": json!({ "type": "array", "items": string(), "maxItems": 0 }),
    }))
}

fn oauth_grant() -> Value {
    json!({ "type": "object", "required": ["grant_type"], "properties": {
            "grant_type": { "type": "string", "const": "client_credentials" },
            "client_id": uuid(), "client_secret": client_secret(),
            "scope": { "type": "string", "description": "products of the API client, separated by spaces; the token opens all of them whatever is named" },
            "resource": { "type": "string", "description": "a product of the API client: urn:tokenward:product:SLUG" },
        } })
}

fn oauth_token() -> Value {
    object(
        json!([
            "access_token",
            "token_type",
            "generation",
            "expires_in",
            "valid_till"
        ]),
        json!({
            "access_token": access_token(), "token_type": { "const": "Bearer" }, "generation": { "type": "integer", "minimum": 1 },
            "expires_in": { "type": "integer", "minimum": 0, "maximum": 2_147_483, "description": "at most some 24 days; valid_till is exact" },
            "valid_till": time_or_null(), "scope": { "type": "string" }, "resource": { "type": "string" },
        }),
    )
}

fn oauth_about_token() -> Value {
    json!({ "type": "object", "required": ["token"], "properties": {
            "token": { "type": "string", "minLength": 1 }, "token_type_hint": { "type": "string" },
            "environment": environment(), "product": slug(), "client_ip": { "type": "string", "minLength": 1 },
            "client_id": uuid(), "client_secret": client_secret(),
        } })
}

/// Every schema by name.
pub(super) fn schemas() -> Map<String, Value> {
    let generation = json!({ "type": "integer", "minimum": 1 });
    let token = json!({
        "access_token": access_token(), "valid_till": time_or_null(), "generation": generation,
        "expires_in": { "type": ["integer", "null"], "minimum": 0 },
        "previous_valid_till": Schemas::default().of_answer::<Time>(),
    });
    let status = json!({
        "generation": count(), "issued_at": time_or_null(), "valid_till": time_or_null(), "live": { "type": "boolean" },
        "previous_valid_till": time_or_null(), "quota": count(), "quota_left": count(),
    });
    let either = [
        reference("IntrospectionInactive"),
        reference("IntrospectionActive"),
    ];
    let all = json!({
        "Errors": errors(),
        "Token": object(json!(["access_token", "valid_till", "expires_in", "generation"]), token),
        "TokenStatus": whole(status),
        "PreviousEnded": whole(json!({ "ended": { "type": "boolean" } })),
        "OAuthGrant": oauth_grant(),
        "OAuthToken": oauth_token(),
        "OAuthAboutToken": oauth_about_token(),
        "Introspection": { "oneOf": either },
        "IntrospectionActive": introspection_active(),
        "IntrospectionInactive": whole(json!({ "active": { "const": false } })),
        "Revoked": whole(json!({})),
        "OAuthError": whole(json!({ "error": string(), "error_description": string() })),
        "OAuthMetadata": oauth_metadata(),
    });
    serde_json::from_value(all).expect("an object of schemas")
}
