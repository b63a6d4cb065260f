//! Health and metrics of the daemon, on an address of this machine only: generations and times, never a token.

use crate::exit::End;
use crate::logs;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::net::SocketAddr;
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

async fn metrics(
    Shared(states): Shared<Arc<Vec<Arc<State>>>>,
    headers: axum::http::HeaderMap,
) -> Response {
    let mut registry = Registry::with_prefix("tokenward_agent");
    let living = Family::<Labels, Gauge>::default();
    let generation = Family::<Labels, Gauge>::default();
    let left = Family::<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
    let counters: [(&str, &str, Family<Labels, Counter>); 5] = [
        ("generated", "Access tokens generated", Family::default()),
        (
            "not_generated",
            "Attempts to generate that gave no token",
            Family::default(),
        ),
        (
            "not_stored",
            "Attempts to store a token that failed",
            Family::default(),
        ),
        (
            "refused",
            "Tokens that a product refused",
            Family::default(),
        ),
        (
            "lease_busy",
            "Times another worker held the lease",
            Family::default(),
        ),
    ];
    registry.register(
        "token_living",
        "1 while the client has a living token",
        living.clone(),
    );
    registry.register(
        "token_generation",
        "The newest token's generation",
        generation.clone(),
    );
    registry.register("token_seconds_left", "Until the token ends", left.clone());
    for (name, help, family) in &counters {
        registry.register(*name, *help, family.clone());
    }
    for state in states.iter() {
        let labels = vec![("client".to_owned(), state.parts.alias.clone())];
        living.get_or_create(&labels).set(state.lives().into());
        let number = state
            .parts
            .source
            .known()
            .and_then(|entry| entry.generation);
        generation
            .get_or_create(&labels)
            .set(number.unwrap_or(0).into());
        if let Some(seconds) = state.seconds_left() {
            left.get_or_create(&labels).set(seconds);
        }
        let counts = state.parts.source.figures().counts();
        let values = [
            counts.generated,
            counts.not_generated,
            counts.not_stored,
            counts.refused,
            counts.waited,
        ];
        for ((_, _, family), value) in counters.iter().zip(values) {
            family.get_or_create(&labels).inc_by(value);
        }
    }
    let dropped = Counter::<u64>::default();
    dropped.inc_by(logs::dropped());
    registry.register(
        "log_lines_dropped",
        "Log lines dropped because nobody read standard error in time",
        dropped,
    );
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, &registry);
    let accepted = headers.get_all(header::ACCEPT).iter();
    let openmetrics = accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/openmetrics-text"));
    let kind = if openmetrics {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        text = prometheus_text(&text);
        "text/plain; version=0.0.4; charset=utf-8"
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

/// OpenMetrics as Prometheus's text format 0.0.4, for scrapers that know no other: counters are described under their
/// samples' names, and the end is not marked.
fn prometheus_text(openmetrics: &str) -> String {
    let counters: Vec<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some("#"), Some(what)) = (words.next(), words.next()) else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let (name, rest) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if matches!(what, "HELP" | "TYPE") {
            let total = if counters.contains(&name) {
                "_total"
            } else {
                ""
            };
            text.push_str(&format!("# {what} {name}{total} {rest}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_format_describes_counters_by_their_samples_names() {
        let openmetrics = "# HELP a_made Tokens made.\n# TYPE a_made counter\na_made_total{client=\"x\"} 3\n\
            # HELP a_left Left.\n# TYPE a_left gauge\n# UNIT a_left seconds\na_left 1.5\n# EOF\n";
        let text = "# HELP a_made_total Tokens made.\n# TYPE a_made_total counter\na_made_total{client=\"x\"} 3\n\
            # HELP a_left Left.\n# TYPE a_left gauge\na_left 1.5\n";
        assert_eq!(prometheus_text(openmetrics), text);
    }
}
