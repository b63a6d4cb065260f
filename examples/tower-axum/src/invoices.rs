//! The product API: each workspace lists and adds its own invoices, kept in memory. Whose they are comes from
//! the [`Permit`], which only the layer makes; nothing a caller writes takes part in it.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokenward_tower::{CheckLayer, Permit};
use uuid::Uuid;

/// Invoices a workspace can have here; a sample needs no more.
const INVOICES_MAX: usize = 1_000;

/// One invoice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invoice {
    /// The seller's own number for it.
    pub number: String,
    /// In paise.
    pub total: u64,
}

type Books = Arc<Mutex<HashMap<Uuid, Vec<Invoice>>>>;

/// The routes behind the layer, and the readiness probe before it.
pub fn routes(
    check: CheckLayer,
    is_ready: impl Fn() -> bool + Clone + Send + Sync + 'static,
) -> Router {
    let ready = move || async move {
        if is_ready() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    Router::new()
        .route("/v1/invoices", get(list).post(add))
        .with_state(Books::default())
        .layer(check)
        .route("/ready", get(ready))
}

async fn list(permit: Permit, State(books): State<Books>) -> Json<Vec<Invoice>> {
    let books = books.lock().unwrap_or_else(PoisonError::into_inner);
    Json(books.get(&permit.workspace()).cloned().unwrap_or_default())
}

async fn add(
    permit: Permit,
    State(books): State<Books>,
    Json(invoice): Json<Invoice>,
) -> (StatusCode, String) {
    let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
    let own = books.entry(permit.workspace()).or_default();
    if own.len() == INVOICES_MAX {
        return (StatusCode::CONFLICT, "no more invoices here".to_owned());
    }
    own.push(invoice);
    (StatusCode::CREATED, format!("by {}", permit.label()))
}
