//! What else the public listener serves: the Generate Access Token API and the OAuth endpoints.

use super::Operation;
use super::answers::{header, json_answer};
use crate::http::{clear_api, oauth};
use http::Method;
use serde_json::{Value, json};
use tokenward_core::client::HANDOVER_SECONDS_MAX;

const BY_CLIENTS: [&str; 2] = ["clientSecret", "clientBasic"];

/// Every one of them.
pub(super) fn operations() -> Vec<Operation> {
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
        )
        .saying("A client sees its own tokens only; any other is inactive. With `environment` and `product`, a token that is not valid for exactly that is inactive, too; `client_ip` is the address of the token's bearer, for clients with `token_networks`. The path may name both: `/oauth2/introspect/{environment}/{product}`."),
        about_token(
            oauth::REVOKE,
            "revoke",
            "Revoke the client's own access token (RFC 7009)",
            "Revoked",
        )
        .saying(
            "A token that is unknown, or another client's, is answered alike, and nothing is done.",
        ),
        metadata(),
    ]
}

fn by_secret(method: Method, path: &'static str, id: &str, summary: &str) -> Operation {
    Operation::new(method, path, id, "token", summary)
        .opened_by(&BY_CLIENTS)
        .answers_as(&[
            ("401", "ErrorsUnauthorized"),
            ("403", "ErrorsForbidden"),
            ("429", "ErrorsTooMany"),
            ("500", "Internal"),
            ("503", "ErrorsUnavailable"),
        ])
}

/// A token answer names its generation for the next `If-Match`. The headers of the quota are still a
/// draft and may be turned off, so none may rely on them.
fn generated() -> Value {
    let mut response = json_answer("an access token", "Token");
    let text = || json!({ "type": "string" });
    response["headers"]["etag"] = header(
        "the token's generation",
        json!({ "type": "string", "pattern": "^\"[0-9]+\"$" }),
    );
    response["headers"]["cache-control"] = header("never stored", json!({ "const": "no-store" }));
    response["headers"]["ratelimit"] =
        json!({ "description": "tokens left today", "schema": text() });
    response["headers"]["ratelimit-policy"] =
        json!({ "description": "tokens a day", "schema": text() });
    response
}

fn generate(method: Method, id: &str) -> Operation {
    let if_match = json!({
        "name": "If-Match", "in": "header", "required": false,
        "schema": { "type": "string", "pattern": "^\"[0-9]{1,9}\"$" },
        "description": "generate only if the newest token is of this generation; \"0\": only if there has never been one",
    });
    let handover = json!({ "type": "integer", "minimum": 0, "maximum": HANDOVER_SECONDS_MAX });
    by_secret(method, clear_api::PATH, id, "Generate an access token")
        .saying("It revokes the live one at once, but for what the client's settings say: `on_repeat`, `handover_max_seconds`.")
        .parameter(if_match)
        .query("force", json!({ "type": "boolean" }), "make a new token where the client's policy would return the live one")
        .query("handover", handover, "seconds the token before stays good, at most the client's `handover_max_seconds`")
        .answers("200", generated())
        .answers_as(&[("400", "ErrorsInvalid"), ("412", "ErrorsMismatch")])
}

fn status() -> Operation {
    by_secret(
        Method::GET,
        clear_api::STATUS_PATH,
        "tokenStatus",
        "Where the access token stands",
    )
    .saying("Changes nothing and shows no token.")
    .answers("200", json_answer("its state", "TokenStatus"))
}

fn end_previous() -> Operation {
    let summary = "End the previous token of a hand-over";
    by_secret(
        Method::DELETE,
        clear_api::PREVIOUS_PATH,
        "endPreviousToken",
        summary,
    )
    .answers("200", json_answer("whether there was one", "PreviousEnded"))
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The credentials may stand in the form instead, so that none in the header is no error yet.
fn by_form(path: &'static str, id: &str, summary: &str, form: &str) -> Operation {
    Operation::new(Method::POST, path, id, "oauth", summary)
        .opened_by(&["clientBasic", ""])
        .body(FORM, form, true)
        .answers_as(&[
            ("400", "OAuthInvalid"),
            ("401", "OAuthUnauthorized"),
            ("403", "OAuthForbidden"),
            ("408", "OAuthTooSlow"),
            ("413", "OAuthTooLarge"),
            ("429", "OAuthTooMany"),
            ("500", "Internal"),
            ("503", "OAuthUnavailable"),
        ])
}

fn token() -> Operation {
    by_form(
        oauth::TOKEN,
        "oauthToken",
        "Generate an access token (RFC 6749, client credentials)",
        "OAuthGrant",
    )
    .answers("200", json_answer("an access token", "OAuthToken"))
}

fn about_token(path: &'static str, id: &str, summary: &str, answer: &str) -> Operation {
    by_form(path, id, summary, "OAuthAboutToken").answers("200", json_answer("the answer", answer))
}

fn metadata() -> Operation {
    Operation::new(
        Method::GET,
        oauth::METADATA,
        "oauthMetadata",
        "oauth",
        "Authorization server metadata (RFC 8414)",
    )
    .answers(
        "200",
        json_answer("what the server can do, and where", "OAuthMetadata"),
    )
    .answers_as(&[("500", "Internal"), ("503", "ErrorsUnavailable")])
}
