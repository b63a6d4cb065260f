//! The HTTP face: two products behind their gates, and an envelope for everything else.
//!
//! Each product's routes have the gate as their state and take a [`Caller`] as their first argument; that
//! is the whole of the access control, and a route that forgot it would have nobody to name in its answer.
//! No body is read before the caller is admitted.

use std::{future::Future, io, net::SocketAddr};

use axum::{
    Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts, Path, rejection::BytesRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    admission::{Caller, Gate, Refusal},
    errors::{Problem, refuse},
    gstin::Gstin,
    invoice::{Invoice, InvoiceBody},
};

/// Largest request body: a thousand items of generous text fit.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

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

async fn register_invoice(
    caller: Caller,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let invoice = match read_invoice(&headers, body) {
        Ok(invoice) => invoice,
        Err(refusal) => return refusal,
    };
    let answer = json!({
        "irn": invoice.irn().as_str(),
        "document": {
            "type": invoice.kind.code(),
            "number": invoice.number.as_str(),
            "date": invoice.date.to_string(),
            "financial_year": invoice.financial_year().to_string(),
        },
        "seller_gstin": invoice.seller.as_str(),
        "buyer_gstin": invoice.buyer.as_str(),
        "values": {
            "taxable": invoice.values.taxable.to_string(),
            "cgst": invoice.values.cgst.to_string(),
            "sgst": invoice.values.sgst.to_string(),
            "igst": invoice.values.igst.to_string(),
            "total": invoice.values.total().to_string(),
        },
        "admitted": caller.facts(),
    });
    Json(answer).into_response()
}

#[expect(
    clippy::result_large_err,
    reason = "the refusal is the response itself and is returned at once"
)]
fn read_invoice(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Invoice, Response> {
    let one = |status, code, message: String| refuse(status, vec![Problem::new(code, message)]);
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(one(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "send the invoice with Content-Type: application/json".to_owned(),
        ));
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => one(
            StatusCode::PAYLOAD_TOO_LARGE,
            "BODY_TOO_LARGE",
            "an invoice has at most 1 MiB".to_owned(),
        ),
        _ => one(
            StatusCode::BAD_REQUEST,
            "BODY_UNREADABLE",
            "the request body ended early".to_owned(),
        ),
    })?;
    // The message speaks of the caller's own text: what was expected, line and column.
    let body: InvoiceBody = serde_json::from_slice(&body)
        .map_err(|why| one(StatusCode::BAD_REQUEST, "INVALID_JSON", why.to_string()))?;
    body.try_into()
        .map_err(|problems| refuse(StatusCode::UNPROCESSABLE_ENTITY, problems))
}

async fn describe_gstin(
    caller: Caller,
    gstin: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Response {
    let parsed = match &gstin {
        Ok(Path(text)) => Gstin::parse(text).map_err(|why| why.to_string()),
        Err(_) => Err("the path is not UTF-8".to_owned()),
    };
    match parsed {
        Ok(gstin) => Json(json!({
            "gstin": gstin.as_str(),
            "state_code": gstin.state_code(),
            "state": gstin.state_name(),
            "pan": gstin.pan(),
            "admitted": caller.facts(),
        }))
        .into_response(),
        Err(why) => refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            vec![Problem::at("gstin", "INVALID_GSTIN", why)],
        ),
    }
}

async fn wrong_method(path: axum::extract::OriginalUri) -> Response {
    let allowed = if path.path().starts_with("/gst/") {
        "GET, HEAD"
    } else {
        "POST"
    };
    let problem = Problem::new("METHOD_NOT_ALLOWED", format!("use {allowed} here"));
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, vec![problem]);
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn not_found() -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        vec![Problem::new(
            "NOT_FOUND",
            "here are POST /e-invoice/v1/invoices and GET /gst/v1/gstins/{gstin}",
        )],
    )
}
