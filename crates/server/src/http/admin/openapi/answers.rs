//! The answers of the document that many operations share, in each of the three error forms, and how
//! callers prove themselves.

use super::{Schemas, uuid};
use crate::http::credentials::SECRET_HEADER;
use serde_json::{Value, json};

/// A header of an answer.
pub(in crate::http::admin) fn header(what: &str, schema: Value) -> Value {
    json!({ "description": what, "required": true, "schema": schema })
}

pub(super) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// An answer with a body of one media type.
pub(in crate::http::admin) fn described(what: &str, kind: &str, schema: Value) -> Value {
    json!({
        "description": what,
        "headers": { "x-request-id": header("the request's id in the log", uuid()) },
        "content": { kind: { "schema": schema } },
    })
}

/// An answer of JSON.
pub(super) fn json_answer(what: &str, schema: &str) -> Value {
    described(what, "application/json", reference(schema))
}

fn with_headers(mut response: Value, headers: Value) -> Value {
    if let (Some(all), Value::Object(more)) = (response["headers"].as_object_mut(), headers) {
        all.extend(more);
    }
    response
}

/// Every shared answer by name: one set for each of the three error forms.
pub(super) fn responses(schemas: &mut Schemas) -> Value {
    let problem_schema = schemas.of_answer::<tokenward_api::Problem>();
    let wait = || json!({ "retry-after": header("seconds to wait", json!({ "type": "integer", "minimum": 1 })) });
    let challenge = || json!({ "www-authenticate": header("how to prove oneself", json!({ "type": "string" })) });
    let problem = |what: &str| described(what, "application/problem+json", problem_schema.clone());
    let clear = |what: &str| json_answer(what, "Errors");
    let oauth = |what: &str| json_answer(what, "OAuthError");
    // What breaks outside a handler (a panic, a request not answered in time) is told in Clear's form.
    let either = |kind: &str, schema: &str| {
        let mut both = described(
            "not available at the moment; try again",
            "application/json",
            reference("Errors"),
        );
        match kind {
            "application/json" => {
                both["content"][kind]["schema"] =
                    json!({ "anyOf": [reference(schema), reference("Errors")] });
            }
            kind => both["content"][kind] = json!({ "schema": reference(schema) }),
        }
        with_headers(both, wait())
    };
    json!({
        "ProblemInvalid": problem("the request can't be taken"),
        "ProblemUnauthorized": with_headers(problem("no valid admin key"), challenge()),
        "ProblemForbidden": problem("the admin key's role does not allow it"),
        "ProblemNotFound": problem("there is no such thing, or not for this admin key"),
        "ProblemConflict": problem("the state does not allow it; `code` says why"),
        "ProblemMismatch": problem("it was changed after the version that `If-Match` names"),
        "ProblemTooSlow": problem("the body did not arrive in time"),
        "ProblemTooLarge": problem("the body is too large"),
        "ProblemNotJson": problem("the body is not JSON"),
        "ProblemTooMany": with_headers(problem("too many wrong admin keys from this address"), wait()),
        "ProblemUnavailable": either("application/problem+json", "Problem"),
        "Internal": clear("a fault of ours; `error_id` names it in the log"),
        "ErrorsInvalid": clear("the request can't be taken"),
        "ErrorsUnauthorized": with_headers(clear("no valid client secret; `error_code` says why"), challenge()),
        "ErrorsForbidden": clear("the address is not allowed"),
        "ErrorsMismatch": with_headers(
            clear("another token was generated meanwhile; nothing was changed"),
            json!({ "etag": header("the generation of the newest token", json!({ "type": "string" })) }),
        ),
        "ErrorsTooMany": with_headers(clear("the quota of the day is used up, or too many wrong secrets"), wait()),
        "ErrorsUnavailable": either("application/json", "Errors"),
        "OAuthInvalid": oauth("invalid_request, unsupported_grant_type or invalid_scope"),
        "OAuthUnauthorized": with_headers(oauth("invalid_client"), challenge()),
        "OAuthForbidden": oauth("unauthorized_client: the address is not allowed"),
        "OAuthTooSlow": oauth("the body did not arrive in time"),
        "OAuthTooLarge": oauth("the body is too large"),
        "OAuthTooMany": with_headers(oauth("temporarily_unavailable: the quota of the day is used up, or too many wrong secrets"), wait()),
        "OAuthUnavailable": either("application/json", "OAuthError"),
    })
}

/// How callers prove themselves.
pub(super) fn security_schemes() -> Value {
    json!({
        "adminKey": { "type": "http", "scheme": "bearer", "description": "an admin key" },
        "clientSecret": { "type": "apiKey", "in": "header", "name": SECRET_HEADER, "description": "a client secret" },
        "clientBasic": { "type": "http", "scheme": "basic", "description": "the client's id and a client secret" },
    })
}
