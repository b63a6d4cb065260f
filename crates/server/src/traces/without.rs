//! A program without the feature `opentelemetry`: it sends no traces, and says so where they are configured.

use super::{Ended, Span};
use crate::config::Config;
use crate::metering::metrics::Spans;
use tokenward_core::time::Timestamp;

const BUILD: &str =
    "Build it with: cargo build --release --locked -p tokenward --features opentelemetry";

/// There is none.
#[derive(Debug)]
pub(super) enum Exporter {}

impl Exporter {
    pub(super) fn send(&self, _: Span, _: Ended, _: Timestamp) {
        match *self {}
    }

    pub(super) fn stop(&self) {
        match *self {}
    }
}

pub(super) fn start(config: &Config, _: &Spans) -> Result<Option<Exporter>, String> {
    check(config).map(|()| None)
}

/// A configured `otlp_endpoint` is refused: ignored, it would only be noticed by the missing spans.
pub(super) fn check(config: &Config) -> Result<(), String> {
    match config.otlp_endpoint {
        Some(_) => Err(format!(
            "otlp_endpoint is set, and this program was built without OpenTelemetry. {BUILD}, or remove otlp_endpoint"
        )),
        None => Ok(()),
    }
}

/// The variable of all programs of a machine must not stop one of them.
pub(super) fn risk(config: &Config) -> Option<String> {
    config.otlp_environment.as_ref().map(|_| {
        format!(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and this program was built without OpenTelemetry, so it sends no traces. {BUILD}"
        )
    })
}
