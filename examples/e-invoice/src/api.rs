//! The routes of two products, and errors for everything else.
//!
//! Each product's routes have its [`Gate`] as their state and take a [`Caller`] as their first argument. That is all
//! of the access control; a route without it has no caller to name in its answer. No body is read before the caller
//! is admitted.

use std::{future::Future, io, net::SocketAddr};

use axum::{
    Json, Router,
    extract::{
        ConnectInfo, DefaultBodyLimit, FromRequestParts, Path,
        rejection::{JsonRejection, PathRejection},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    admission::{Caller, Gate, Refusal},
    errors::refuse,
};

/// Largest request body.
pub const BODY_MAX_BYTES: usize = 64 * 1024;
/// Most characters in an invoice number.
const NUMBER_CHARS_MAX: usize = 16;

/// Where Tokenward is and what is served here.
#[derive(Clone, Debug)]
pub struct Config {
    /// Tokenward's internal listener, such as `http://127.0.0.1:8081`.
    pub tokenward: String,
    /// The environment this instance serves: `sandbox` or `production`.
    pub environment: String,
    /// The product slug that opens `/e-invoice`.
    pub product: String,
    /// The product slug that opens `/gst`.
    pub gst_product: String,
}

/// Serves both products on `listener` until `shutdown` resolves, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = router(config)
        .map_err(io::Error::other)?
        .into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown)
        .await
}

fn router(config: &Config) -> Result<Router, reqwest::Error> {
    let gate = |product: &str| Gate::new(&config.tokenward, &config.environment, product);
    let e_invoice = Router::new()
        .route("/e-invoice/v1/invoices", post(register_invoice))
        .method_not_allowed_fallback(wrong_method)
        .with_state(gate(&config.product)?);
    let gst = Router::new()
        .route("/gst/v1/gstins/{gstin}", get(describe_gstin))
        .method_not_allowed_fallback(wrong_method)
        .with_state(gate(&config.gst_product)?);
    Ok(e_invoice
        .merge(gst)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES)))
}

impl FromRequestParts<Gate> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, gate: &Gate) -> Result<Self, Response> {
        let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
            let reason = "served without the caller's address".to_owned();
            return Err(Refusal::Unavailable { reason }.into_response());
        };
        gate.admit(&parts.headers, *peer)
            .await
            .map_err(IntoResponse::into_response)
    }
}

/// An invoice, as far as this sample looks at it. Unknown fields are refused: a misspelled one would be lost.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invoice {
    number: String,
}

async fn register_invoice(caller: Caller, body: Result<Json<Invoice>, JsonRejection>) -> Response {
    match body {
        Ok(Json(invoice)) if (1..=NUMBER_CHARS_MAX).contains(&invoice.number.chars().count()) => {
            Json(json!({"number": invoice.number, "admitted": caller})).into_response()
        }
        Ok(_) => {
            let message = format!("an invoice number has 1 to {NUMBER_CHARS_MAX} characters");
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            refuse(status, "INVALID_NUMBER", &message, Some("number"))
        }
        Err(rejection) => {
            let code = match rejection.status() {
                StatusCode::UNSUPPORTED_MEDIA_TYPE => "UNSUPPORTED_MEDIA_TYPE",
                StatusCode::PAYLOAD_TOO_LARGE => "BODY_TOO_LARGE",
                _ => "INVALID_JSON",
            };
            refuse(rejection.status(), code, &rejection.body_text(), None)
        }
    }
}

async fn describe_gstin(caller: Caller, gstin: Result<Path<String>, PathRejection>) -> Response {
    let shaped =
        |text: &String| text.len() == 15 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match gstin.map(|Path(text)| text) {
        Ok(gstin) if shaped(&gstin) => {
            let facts = json!({"gstin": gstin, "pan": gstin[2..12], "admitted": caller});
            Json(facts).into_response()
        }
        _ => {
            let message = "a GSTIN has 15 letters and digits";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            refuse(status, "INVALID_GSTIN", message, Some("gstin"))
        }
    }
}

async fn wrong_method(path: axum::extract::OriginalUri) -> Response {
    let allowed = if path.path().starts_with("/gst/") {
        "GET, HEAD"
    } else {
        "POST"
    };
    let message = format!("use {allowed} here");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = refuse(status, "METHOD_NOT_ALLOWED", &message, None);
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn not_found() -> Response {
    let routes = "the routes are POST /e-invoice/v1/invoices and GET /gst/v1/gstins/{gstin}";
    refuse(StatusCode::NOT_FOUND, "NOT_FOUND", routes, None)
}
