//! The operations of the admin API that tell what goes on: usage figures.

use super::Operation;
use super::answers::json_answer;
use super::operations::client;
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
