//! Health and metrics of the daemon, on an address of this machine only: generations and times, never a token.

use crate::exit::End;
use crate::logs;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use tokenward_client::config::Parts;
use tokenward_client::{Entry, clock};
use tokio::net::TcpListener;

/// A client of the daemon and how it fares.
pub(crate) struct State {
    pub(crate) parts: Parts,
    trouble: Mutex<Option<String>>,
    told: Mutex<Option<Arc<Entry>>>,
}

impl State {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            trouble: Mutex::new(None),
            told: Mutex::new(None),
        }
    }

    /// Takes note of how the last look ended.
    pub(crate) fn note(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Whether this token is another than the last one told to the destinations; from now on it is the last.
    pub(crate) fn told(&self, entry: &Arc<Entry>) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let new = !told
            .as_ref()
            .is_some_and(|last| last.token.is(&entry.token));
        *told = Some(entry.clone());
        new
    }

    /// Whether the token known has not ended.
    pub(crate) fn lives(&self) -> bool {
        let now = self.parts.source.issuer().clock().now();
        let known = self.parts.source.known();
        known.is_some_and(|entry| !entry.is_over(now))
    }

    fn seconds_left(&self) -> Option<f64> {
        let till = self.parts.source.known()?.valid_till?;
        let now = self.parts.source.issuer().clock().now();
        Some(clock::until(now, till).as_secs_f64())
    }

    fn json(&self) -> Value {
        let known = self.parts.source.known();
        let entry = known.as_ref();
        json!({
            "client": self.parts.alias,
            "living": self.lives(),
            "generation": entry.and_then(|entry| entry.generation),
            "valid_till": entry.and_then(|entry| entry.valid_till).map(|till| till.iso()),
            "seconds_left": self.seconds_left(),
            "trouble": *self.trouble.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }
}

/// Answers on this address for as long as the process lives; returns the address bound.
pub(crate) async fn serve(address: SocketAddr, states: Vec<Arc<State>>) -> Result<SocketAddr, End> {
    let failed = |error: std::io::Error| End::config(format!("daemon.listen {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(states));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(bound)
}

async fn health(Shared(states): Shared<Arc<Vec<Arc<State>>>>) -> Response {
    let status = if states.iter().all(|state| state.lives()) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let clients: Vec<Value> = states.iter().map(|state| state.json()).collect();
    let body = json!({ "clients": clients }).to_string();
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, body).into_response()
}

type Labels = Vec<(String, String)>;

/// What is counted of each client.
const COUNTERS: [(&str, &str); 5] = [
    ("generated", "Access tokens generated"),
    ("not_generated", "Attempts to generate that gave no token"),
    ("not_stored", "Attempts to store a token that failed"),
    ("refused", "Tokens that a product refused"),
    ("lease_busy", "Times another worker held the lease"),
];

async fn metrics(Shared(states): Shared<Arc<Vec<Arc<State>>>>, headers: HeaderMap) -> Response {
    let mut registry = Registry::with_prefix("tokenward_agent");
    let living = Family::<Labels, Gauge>::default();
    let generation = Family::<Labels, Gauge>::default();
    let left = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    let counters = COUNTERS.map(|(name, help)| {
        let family = Family::<Labels, Counter>::default();
        registry.register(name, help, family.clone());
        family
    });
    for state in states.iter() {
        let labels = vec![("client".to_owned(), state.parts.alias.clone())];
        living.get_or_create(&labels).set(state.lives().into());
        let known = state.parts.source.known();
        let number = known.and_then(|entry| entry.generation).unwrap_or(0);
        generation.get_or_create(&labels).set(number.into());
        if let Some(seconds) = state.seconds_left() {
            left.get_or_create(&labels).set(seconds);
        }
        let counts = state.parts.source.counts();
        let values = [
            counts.generated,
            counts.not_generated,
            counts.not_stored,
            counts.refused,
            counts.waited,
        ];
        for (family, value) in counters.iter().zip(values) {
            family.get_or_create(&labels).inc_by(value);
        }
    }
    let help = "1 while the client has a living token";
    registry.register("token_living", help, living);
    let help = "The newest token's generation";
    registry.register("token_generation", help, generation);
    registry.register("token_seconds_left", "Until the token ends", left);
    let dropped = Counter::<u64>::default();
    dropped.inc_by(logs::dropped());
    let help = "Log lines dropped because nobody read standard error in time";
    registry.register("log_lines_dropped", help, dropped);
    let accepted = headers.get_all(header::ACCEPT).iter();
    let openmetrics = accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/openmetrics-text"));
    let mut text = String::new();
    // Writing into a String cannot fail.
    let kind = if openmetrics {
        let _ = text::encode(&mut text, &registry);
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        let _ = prometheus_text::encode(&mut text, &registry);
        prometheus_text::CONTENT_TYPE
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}
