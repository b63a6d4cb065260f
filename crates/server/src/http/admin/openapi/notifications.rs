//! The operations of the admin API that tell what goes on: usage figures, webhooks, notices.

use super::Operation;
use super::answers::json_answer;
use super::operations::{CONFLICT, FORBIDDEN, NOT_FOUND, client, limited, signed, with_body};
use super::schemas::uuid;
use crate::verbs::usage_figures::{DAYS_DEFAULT, DAYS_MAX};
use http::Method;
use serde_json::json;

pub(in crate::http::admin) fn show_usage() -> Operation {
    let days =
        json!({ "type": "integer", "minimum": 1, "maximum": DAYS_MAX, "default": DAYS_DEFAULT });
    client(
        Method::GET,
        "/clients/{id}/usage",
        "showUsage",
        "What an API client's tokens were used for, by day",
    )
    .saying(
        "Days are those of UTC. A crash of the server may lose the counts of its last seconds. \
        What is not counted for a product has product null.",
    )
    .query("days", days, "how many days, today included")
    .answers("200", json_answer("the figures", "Usage"))
    .answers_as(&[("400", "ProblemInvalid")])
}

const NOTICES: &str = "notices";

pub(in crate::http::admin) fn list_webhooks() -> Operation {
    let summary = "Webhooks of a workspace";
    signed(
        Method::GET,
        "/workspaces/{id}/webhooks",
        "listWebhooks",
        NOTICES,
        summary,
    )
    .path_parameter("id", uuid(), "the workspace")
    .answers("200", json_answer("all of them", "WebhookPage"))
    .answers_as(&[FORBIDDEN, NOT_FOUND])
}

pub(in crate::http::admin) fn create_webhook() -> Operation {
    let summary = "Tell an address what happens to the workspace's API clients";
    let operation = signed(
        Method::POST,
        "/workspaces/{id}/webhooks",
        "createWebhook",
        NOTICES,
        summary,
    );
    with_body(operation, "WebhookCreate")
        .saying(
            "Messages are signed as the Standard Webhooks specification has it. The secret is shown here and never again. \
            `TOO_MANY_WEBHOOKS`.",
        )
        .path_parameter("id", uuid(), "the workspace")
        .answers("201", json_answer("created", "WebhookWithSecret"))
        .answers_as(&[FORBIDDEN, NOT_FOUND, CONFLICT])
}

fn webhook(method: Method, path: &'static str, id: &str, summary: &str) -> Operation {
    signed(method, path, id, NOTICES, summary)
        .path_parameter("id", uuid(), "the webhook")
        .answers_as(&[FORBIDDEN, NOT_FOUND])
}

pub(in crate::http::admin) fn change_webhook() -> Operation {
    let operation = webhook(
        Method::PATCH,
        "/webhooks/{id}",
        "changeWebhook",
        "Disable or enable a webhook",
    );
    with_body(operation, "WebhookChange")
        .saying("What waits for a disabled webhook is given up.")
        .answers("200", json_answer("the webhook afterwards", "Webhook"))
}

pub(in crate::http::admin) fn delete_webhook() -> Operation {
    webhook(
        Method::DELETE,
        "/webhooks/{id}",
        "deleteWebhook",
        "Delete a webhook",
    )
    .saying("What waits for it is given up.")
    .answers("204", json!({ "description": "deleted" }))
}

pub(in crate::http::admin) fn rotate_webhook() -> Operation {
    webhook(
        Method::POST,
        "/webhooks/{id}/secret",
        "rotateWebhookSecret",
        "Give a webhook a new secret",
    )
    .saying("Shown here and never again. For a day messages bear the signature of the secret before, too.")
    .answers("201", json_answer("rotated", "WebhookWithSecret"))
}

pub(in crate::http::admin) fn test_webhook() -> Operation {
    webhook(
        Method::POST,
        "/webhooks/{id}/test",
        "testWebhook",
        "Send a webhook a message to try it",
    )
    .saying("What became of it stands among the notices. `WEBHOOK_DISABLED`.")
    .answers("202", json_answer("on its way", "NoticeMade"))
    .answers_as(&[CONFLICT])
}

pub(in crate::http::admin) fn list_notices() -> Operation {
    let summary = "What was told of a workspace's API clients, newest first";
    let cursor = json!({ "type": "string", "pattern": "^n[0-9]{1,18}$" });
    limited(signed(
        Method::GET,
        "/workspaces/{id}/notices",
        "listNotices",
        NOTICES,
        summary,
    ))
    .query("cursor", cursor, "`next_cursor` of the page before")
    .path_parameter("id", uuid(), "the workspace")
    .answers("200", json_answer("a page", "NoticePage"))
    .answers_as(&[FORBIDDEN, NOT_FOUND])
}
