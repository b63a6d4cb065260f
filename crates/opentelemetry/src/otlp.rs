//! Sends spans over OTLP (HTTP, protobuf), in batches, on a thread of its own. It must never hold up who ends a span: what
//! finds no room is dropped and counted.

use bytes::BytesMut;
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokenward_core::time::{Clock as _, Timestamp};
use tokenward_server::clock::SystemClock;
use tokenward_server::logs::Limit;
use tokenward_server::metering::metrics::Spans;
use tokenward_server::traces::{self, Ended, Exporter, Kind, Span, Value};
use tokio::runtime::Handle;

/// Spans that may wait for the collector, those on their way to it included.
const WAITING_MAX: usize = 4_096;
/// Spans of one request to the collector.
const BATCH: usize = 512;
/// Spans are sent after this time, if there is no batch before.
const DELAY: Duration = Duration::from_secs(1);
/// The collector must answer in this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the collector's answer: a count and a sentence.
const ANSWER_MAX: usize = 64 * 1024;
/// How long a stop waits for what is not sent yet.
const STOP: Duration = Duration::from_secs(2);

/// Lines about a collector that is away, in a minute.
static FAILED: Limit = Limit::new(1, 60);

/// What log lines are written under: the name that filters of the server know.
const LOG: &str = "tokenward_server::traces";

/// Where spans are sent to, under an endpoint (OTLP 1.9, "OTLP/HTTP Request").
const PATH: &str = "v1/traces";

/// Makes what sends spans to a collector.
pub(crate) struct Otlp;

impl traces::Otlp for Otlp {
    fn check(&self, endpoint: &str) -> Result<(), String> {
        exporter(endpoint).map(drop)
    }

    /// Starts the thread that sends.
    fn start(
        &self,
        endpoint: &str,
        node: Option<String>,
        spans: &Spans,
    ) -> Result<Box<dyn Exporter>, String> {
        let mut inner = exporter(endpoint)?;
        inner.set_resource(&resource(node));
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Counted {
            inner,
            waiting: Arc::clone(&waiting),
            spans: spans.clone(),
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_MAX)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let scope = InstrumentationScope::builder("tokenward");
        Ok(Box::new(Batches {
            processor: BatchSpanProcessor::new(counted, batches),
            waiting,
            spans: spans.clone(),
            scope: scope.with_version(env!("CARGO_PKG_VERSION")).build(),
        }))
    }
}

/// Takes spans.
#[derive(Debug)]
struct Batches {
    processor: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    spans: Spans,
    scope: InstrumentationScope,
}

impl Exporter for Batches {
    /// Sends a span that ended at `at`, or drops it when too many wait.
    fn send(&self, span: &Span, ended: Ended, at: Timestamp) {
        let room = |waiting: usize| (waiting < WAITING_MAX).then_some(waiting + 1);
        let took = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        if took.is_err() {
            self.spans.lost.inc();
            return;
        }
        let id = opentelemetry::SpanId::from_bytes(span.id());
        let trace = opentelemetry::TraceId::from_bytes(span.trace_id());
        let attributes = ended.attributes.into_iter();
        let attribute = |(key, value)| match value {
            Value::Text(text) => KeyValue::new(key, text),
            Value::Number(number) => KeyValue::new(key, number),
        };
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                trace,
                id,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: span.parent().map_or(
                opentelemetry::SpanId::INVALID,
                opentelemetry::SpanId::from_bytes,
            ),
            parent_span_is_remote: span.is_remote(),
            span_kind: match ended.kind {
                Kind::Server => SpanKind::Server,
                Kind::Internal => SpanKind::Internal,
            },
            name: ended.name,
            start_time: time(span.began()),
            end_time: time(at),
            attributes: attributes.map(attribute).collect(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: match ended.failed {
                true => Status::error(""),
                false => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Sends what waits, for a short time.
    fn stop(&self) {
        let _ = self.processor.shutdown_with_timeout(STOP);
        let left = self.waiting.load(Ordering::Relaxed);
        if left > 0 {
            tracing::warn!(target: LOG, spans = left, "the collector did not take all spans");
        }
    }
}

fn time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(at.0).unwrap_or(0))
}

/// The exporter for the configured endpoint. Headers, compression and the timeout are those of the usual variables
/// (`OTEL_EXPORTER_OTLP_HEADERS` and so on), which it reads itself.
fn exporter(endpoint: &str) -> Result<opentelemetry_otlp::SpanExporter, String> {
    let failed = |why: String| format!("otlp_endpoint {endpoint}: {why}");
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_TIMEOUT)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let sender = Sender {
        http,
        runtime: Handle::try_current().ok(),
    };
    opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(sender)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/{PATH}", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| failed(error.to_string()))
}

/// What this process says of itself; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say it otherwise.
fn resource(node: Option<String>) -> Resource {
    let read = Resource::builder().build();
    let has = |key: &'static str| read.get(&Key::from_static_str(key));
    let name = has("service.name");
    let named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let mut resource = Resource::builder();
    if !named {
        resource = resource.with_service_name("tokenward");
    }
    let node = node.filter(|_| has("service.instance.id").is_none());
    if let Some(node) = node {
        resource = resource.with_attribute(KeyValue::new("service.instance.id", node));
    }
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    resource.with_attribute(version).build()
}

/// Sends requests on the server's runtime: the thread that waits for them has none.
#[derive(Debug)]
struct Sender {
    http: reqwest::Client,
    /// None while the configuration is only checked.
    runtime: Option<Handle>,
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let runtime = self.runtime.as_ref().ok_or("no runtime")?;
        let (http, request) = (self.http.clone(), reqwest::Request::try_from(request)?);
        runtime.spawn(exchange(http, request)).await?
    }
}

async fn exchange(
    http: reqwest::Client,
    request: reqwest::Request,
) -> Result<Response<Bytes>, HttpError> {
    let mut response = http.execute(request).await?;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err("the collector's answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = Response::new(body.freeze());
    *answer.status_mut() = response.status();
    std::mem::swap(answer.headers_mut(), response.headers_mut());
    Ok(answer)
}

/// Counts what was sent and what was not.
#[derive(Debug)]
struct Counted {
    inner: opentelemetry_otlp::SpanExporter,
    waiting: Arc<AtomicUsize>,
    spans: Spans,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.inner.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        match &sent {
            Ok(()) => drop(self.spans.exported.inc_by(count as u64)),
            Err(error) => {
                self.spans.lost.inc_by(count as u64);
                if let Some(left_out) = FAILED.admit(SystemClock.boot()) {
                    let left_out = (left_out > 0).then_some(left_out);
                    tracing::warn!(
                        target: LOG,
                        spans = count,
                        left_out,
                        "spans are lost, the collector at otlp_endpoint did not take them: {error}"
                    );
                }
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
