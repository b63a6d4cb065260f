//! Traces of requests: which are recorded, and what is sent of them. A span holds a fixed set of attributes; it must never
//! hold a credential, a cookie, a query, a body, or a path as the caller wrote it.
//!
//! Spans are sent by the program `tokenward-opentelemetry`, which installs an [`Otlp`]; in `tokenward` there is none.

use crate::clock::SystemClock;
use crate::config::Config;
use crate::logs::Limit;
use crate::metering::metrics::Spans;
use crate::random;
use crate::trace_context::{SpanId, TraceContext, TraceId};
use http::HeaderMap;
use std::borrow::Cow;
use std::sync::OnceLock;
use tokenward_core::time::{Clock, Timestamp};
use tokio::task_local;

/// What a span calls a method that no standard defines (semantic conventions for HTTP spans).
pub(crate) const OTHER_METHOD: &str = "_OTHER";

/// Requests recorded in a second. Who calls a gateway may decide what it sends as `traceparent`, and what is recorded costs
/// time; the rest is counted as lost.
static RECORDED: Limit = Limit::new(1_000, 1);

task_local! {
    static CURRENT: Option<Span>;
}

static OTLP: OnceLock<&'static dyn Otlp> = OnceLock::new();

/// How to get the program that sends traces.
const BUILD: &str = "Build the program that sends them with: cargo build --release --locked -p tokenward-opentelemetry";

/// Makes what sends spans to a collector over OTLP.
pub trait Otlp: Sync {
    /// Whether spans can be sent to this address.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn check(&self, endpoint: &str) -> Result<(), String>;

    /// Begins to send to this address, as the node of this name, and counts what is sent.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn start(
        &self,
        endpoint: &str,
        node: Option<String>,
        spans: &Spans,
    ) -> Result<Box<dyn Exporter>, String>;
}

/// Sends spans.
pub trait Exporter: std::fmt::Debug + Send + Sync {
    /// Sends a span that ended at `at`. It must not wait.
    fn send(&self, span: &Span, ended: Ended, at: Timestamp);

    /// Sends what waits, and ends.
    fn stop(&self);
}

/// Lets this program send traces, from its beginning on.
pub fn install(otlp: &'static dyn Otlp) {
    let _ = OTLP.set(otlp);
}

/// A span under way.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    /// Whether the parent is a span of another process.
    is_remote: bool,
    began: Timestamp,
}

impl Span {
    fn new(trace: TraceId, parent: Option<SpanId>, is_remote: bool) -> Self {
        Self {
            trace,
            id: random::bytes(),
            parent,
            is_remote,
            began: SystemClock.wall(),
        }
    }

    /// The trace it belongs to.
    pub(crate) fn trace(&self) -> TraceId {
        self.trace
    }

    /// The id of the trace it belongs to.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace.0
    }

    /// Its own id.
    #[must_use]
    pub fn id(&self) -> [u8; 8] {
        self.id
    }

    /// The id of the span that it is a part of.
    #[must_use]
    pub fn parent(&self) -> Option<[u8; 8]> {
        self.parent
    }

    /// Whether that is a span of another process.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.is_remote
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// A span below it, from `began` on.
    fn child(&self, began: Timestamp) -> Self {
        Self {
            began,
            ..Self::new(self.trace, Some(self.id), false)
        }
    }
}

/// What a span stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An answer to a request.
    Server,
    /// A part of it.
    Internal,
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

/// What is known of a span at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// Its name: one of few.
    pub name: Cow<'static, str>,
    /// What it stands for.
    pub kind: Kind,
    /// Whether it ended with a fault of ours.
    pub failed: bool,
    /// By the semantic conventions of OpenTelemetry, where they have a name for it.
    pub attributes: Vec<(&'static str, Value)>,
}

/// Records spans and hands them to the exporter.
#[derive(Debug)]
pub(crate) struct Traces {
    exporter: Box<dyn Exporter>,
    /// Of traces that begin here, those whose number is below this are recorded.
    below: u64,
    spans: Spans,
}

impl Traces {
    /// Starts exporting, where an endpoint is configured.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn start(config: &Config, spans: &Spans) -> Result<Option<Self>, String> {
        let Some(otlp) = OTLP.get() else {
            return check(config).map(|()| None);
        };
        let endpoint = config.collector().map_err(|error| error.to_string())?;
        let Some(endpoint) = endpoint else {
            return Ok(None);
        };
        let node = config.node_name.clone().or_else(crate::net::host_name);
        let exporter = otlp.start(endpoint, node, spans)?;
        // As other tracers decide: by 63 bits of the trace id.
        let below = (config.otlp_sample_ratio * (1_u64 << 63) as f64) as u64;
        let spans = spans.clone();
        Ok(Some(Self {
            exporter,
            below,
            spans,
        }))
    }

    /// The span of a request in a trace that its caller records, as these headers say.
    #[inline]
    pub(crate) fn joined(&self, headers: &HeaderMap) -> Option<Span> {
        TraceContext::recorded(headers).and_then(|context| self.join(context))
    }

    /// The span of a request: in its caller's trace, if it names one; else in one of its own, if that is recorded.
    pub(crate) fn joined_or_begun(&self, context: Option<TraceContext>) -> Option<Span> {
        match context {
            Some(context) if context.is_sampled => self.join(context),
            Some(_) => None,
            None => self.begin(),
        }
    }

    fn join(&self, context: TraceContext) -> Option<Span> {
        self.admit()
            .then(|| Span::new(context.trace, Some(context.parent), true))
    }

    fn begin(&self) -> Option<Span> {
        let trace: [u8; 16] = random::bytes();
        let [.., a, b, c, d, e, f, g, h] = trace;
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        (number < self.below && self.admit()).then(|| Span::new(TraceId(trace), None, false))
    }

    /// Whether one more request may be recorded in this second.
    fn admit(&self) -> bool {
        let admitted = RECORDED.admit(SystemClock.boot()).is_some();
        if !admitted {
            self.spans.lost.inc();
        }
        admitted
    }

    /// Ends a span and sends it.
    pub(crate) fn end(&self, span: Span, ended: Ended) {
        self.exporter.send(&span, ended, SystemClock.wall());
    }

    /// Sends what a decision waited for: its turn with the writer until `taken`, then the commit.
    pub(crate) fn decided(&self, parent: Span, waited: &Waited, failed: bool) {
        let now = SystemClock.wall();
        let send = |name: &'static str, from: Timestamp, till: Timestamp, failed: bool| {
            let ended = Ended {
                name: name.into(),
                kind: Kind::Internal,
                failed,
                attributes: Vec::new(),
            };
            self.exporter.send(&parent.child(from), ended, till);
        };
        match waited.taken.get() {
            Some(taken) => {
                send("wait for writer", waited.began, *taken, false);
                send("commit", *taken, now, failed);
            }
            None => send("wait for writer", waited.began, now, failed),
        }
    }

    /// Sends what waits, and ends.
    pub(crate) fn stop(&self) {
        self.exporter.stop();
    }
}

/// When a decision was submitted, and when the writer took it.
#[derive(Debug)]
pub(crate) struct Waited {
    began: Timestamp,
    taken: std::sync::OnceLock<Timestamp>,
}

impl Waited {
    /// From now on.
    pub(crate) fn begin() -> Self {
        Self {
            began: SystemClock.wall(),
            taken: std::sync::OnceLock::new(),
        }
    }

    /// The writer has taken it.
    pub(crate) fn is_taken(&self) {
        let _ = self.taken.set(SystemClock.wall());
    }
}

/// Runs what answers a request under the request's span.
pub(crate) async fn scope<T>(span: Option<Span>, answering: impl Future<Output = T>) -> T {
    CURRENT.scope(span, answering).await
}

/// The span of the request that the caller answers; none outside one, or when it is not recorded.
pub(crate) fn current() -> Option<Span> {
    CURRENT.try_with(|span| *span).ok().flatten()
}

/// Whether traces can be sent as configured. A configured `otlp_endpoint` is refused by a program that cannot send: ignored, it
/// would only be noticed by the missing spans.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    match (OTLP.get(), &config.otlp_endpoint) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(format!(
            "otlp_endpoint is set, and this program sends no traces. {BUILD}, or remove otlp_endpoint"
        )),
        (Some(otlp), _) => match config.collector().map_err(|error| error.to_string())? {
            Some(endpoint) => otlp.check(endpoint),
            None => Ok(()),
        },
    }
}

/// What is configured and not done, a sentence. The variable of all programs of a machine must not stop one of them.
pub(crate) fn risk(config: &Config) -> Option<String> {
    let is_ignored = OTLP.get().is_none() && config.otlp_environment.is_some();
    is_ignored.then(|| {
        format!("OTEL_EXPORTER_OTLP_ENDPOINT is set, and this program sends no traces. {BUILD}")
    })
}
