//! The trace that a request belongs to, as its caller names it: the header `traceparent` of W3C Trace Context
//! (<https://www.w3.org/TR/trace-context/>). It must never take a part of a header that is not valid as a whole.

use http::{HeaderMap, HeaderName};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Length of a header of version 00; later versions may append fields after another `-`.
const LENGTH: usize = 55;

/// The id of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TraceId(pub(crate) [u8; 16]);

impl std::fmt::Display for TraceId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// The id of a span.
pub(crate) type SpanId = [u8; 8];

/// The trace of a request and its place in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TraceContext {
    /// The trace.
    pub(crate) trace: TraceId,
    /// The caller's span.
    pub(crate) parent: SpanId,
    /// Whether the caller records the trace.
    pub(crate) is_sampled: bool,
}

impl TraceContext {
    /// Returns the context of a request; none when it names none, more than one, or one that is not valid.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(text(headers)?)
    }

    /// The same when the caller records the trace. Whether it does is looked at first: most checks are not recorded.
    pub(crate) fn recorded(headers: &HeaderMap) -> Option<Self> {
        let text = text(headers)?;
        let is_sampled = digit(*text.get(LENGTH - 1)?)? & 1 == 1;
        is_sampled.then(|| Self::parse(text)).flatten()
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let [version] = hex(text.get(..2)?)?;
        let is_long_enough = match version {
            0 => text.len() == LENGTH,
            // Forbidden.
            0xff => false,
            _ => text.len() == LENGTH || text.get(LENGTH) == Some(&b'-'),
        };
        if !is_long_enough || [2, 35, 52].iter().any(|place| text[*place] != b'-') {
            return None;
        }
        let (trace, parent) = (hex(&text[3..35])?, hex(&text[36..52])?);
        let [flags] = hex(&text[53..LENGTH])?;
        (trace != [0; 16] && parent != [0; 8]).then_some(Self {
            trace: TraceId(trace),
            parent,
            is_sampled: flags & 1 == 1,
        })
    }
}

/// The header that is there once.
fn text(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// A lower-case hex digit.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// `N` bytes from as many pairs of lower-case hex digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Where the log lines of a request take its trace id from. The headers of HTTP are read only when there is a line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Traced<'a> {
    /// From these headers, which are believed.
    Headers(&'a HeaderMap),
    /// It was read before.
    Known(Option<TraceContext>),
}

impl Traced<'_> {
    /// The span under which lines are written: each then shows the trace id, if there is one.
    pub(crate) fn lines(self) -> tracing::Span {
        let context = match self {
            Self::Headers(headers) => TraceContext::of(headers),
            Self::Known(context) => context,
        };
        context.map_or_else(
            tracing::Span::none,
            |context| tracing::error_span!("request", trace_id = %context.trace),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn read(values: &[&str]) -> Option<(String, bool)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&TRACEPARENT, value.parse().unwrap());
        }
        let context = TraceContext::of(&headers);
        let recorded = context.filter(|context| context.is_sampled);
        assert_eq!(TraceContext::recorded(&headers), recorded, "{values:?}");
        context.map(|context| (context.trace.to_string(), context.is_sampled))
    }

    #[test]
    fn context_is_read_only_when_all_of_it_is_valid() {
        let of = |version: &str, trace: &str, parent: &str, flags: &str| {
            read(&[&format!("{version}-{trace}-{parent}-{flags}")])
        };
        let parent = "00f067aa0ba902b7";
        let valid = |sampled| Some((TRACE.to_owned(), sampled));
        assert_eq!(of("00", TRACE, parent, "01"), valid(true));
        assert_eq!(of("00", TRACE, parent, "00"), valid(false));
        // Other flags are not ours.
        assert_eq!(of("00", TRACE, parent, "ff"), valid(true));
        assert_eq!(of("00", TRACE, parent, "02"), valid(false));
        // A later version may have more fields.
        assert_eq!(of("cc", TRACE, parent, "01"), valid(true));
        assert_eq!(of("cc", TRACE, parent, "01-what-is-new"), valid(true));
        for (version, trace, parent, flags) in [
            ("ff", TRACE, parent, "01"),
            ("0", TRACE, parent, "01"),
            ("0g", TRACE, parent, "01"),
            ("00", &TRACE.to_uppercase(), parent, "01"),
            ("00", &TRACE[1..], parent, "01"),
            ("00", &"0".repeat(32), parent, "01"),
            ("00", TRACE, &"0".repeat(16), "01"),
            ("00", TRACE, "00F067AA0BA902B7", "01"),
            ("00", TRACE, parent, "1"),
            ("00", TRACE, parent, "0x"),
            ("00", TRACE, parent, "01-more"),
            ("00", TRACE, parent, "01 "),
            ("cc", TRACE, parent, "01more"),
            ("00", "é", parent, "01"),
        ] {
            let text = format!("{version}-{trace}-{parent}-{flags}");
            assert_eq!(TraceContext::parse(text.as_bytes()), None, "{text}");
        }
        for text in ["", "00", "00-", &"-".repeat(LENGTH)] {
            assert_eq!(TraceContext::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn header_that_is_sent_twice_is_ignored() {
        let one = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert!(read(&[&one]).is_some());
        assert_eq!(read(&[&one, &one]), None);
        assert_eq!(read(&[]), None);
    }
}
