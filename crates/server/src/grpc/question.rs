//! Envoy's question read from its bytes, as the check takes it. Environment and product are those of the
//! route's `context_extensions`; there is no default, and nothing of the request's own path, host or query
//! is looked at. It decides nothing, and knows no server: whatever is missing stays empty.

use super::messages::{CheckRequest, Header};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use prost::Message;
use tokenward_core::token_header::TOKEN_HEADER;

/// What the check reads of a request.
static READ: [HeaderName; 3] = [
    HeaderName::from_static(TOKEN_HEADER),
    header::AUTHORIZATION,
    HeaderName::from_static("x-forwarded-for"),
];
/// Stands for a value that no header can hold: no token, and no address.
const UNREADABLE: HeaderValue = HeaderValue::from_static("?");
/// How a name begins that could be taken for one of ours.
const OURS: &[u8] = b"x-tokenward";

/// A question as the check takes it.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) environment: String,
    pub(super) product: String,
    /// Only what the check reads.
    pub(super) headers: HeaderMap,
    /// Names that must not reach the product.
    pub(super) strangers: Vec<Bytes>,
}

/// Reads a question; whatever is missing stays empty, and is refused for that. None when it is not one.
/// `set` are the names that a permit sets.
pub(super) fn read(message: Bytes, set: &[&HeaderName]) -> Option<Question> {
    let request = CheckRequest::decode(message).ok()?;
    let attributes = request.attributes.unwrap_or_default();
    let mut question = Question {
        environment: one(&attributes.context_extensions, b"environment").to_owned(),
        product: one(&attributes.context_extensions, b"product").to_owned(),
        headers: HeaderMap::with_capacity(4),
        strangers: Vec::new(),
    };
    let http = attributes.request.and_then(|request| request.http);
    let http = http.unwrap_or_default();
    let raw = http.header_map.unwrap_or_default().headers;
    for sent in http.headers.into_iter().chain(raw) {
        take(sent, set, &mut question.headers, &mut question.strangers);
    }
    Some(question)
}

/// The one value of a key; none if it is missing, given twice or no text.
fn one<'a>(entries: &'a [Header], key: &[u8]) -> &'a str {
    let mut found = entries.iter().filter(|entry| entry.key == key);
    match (found.next(), found.next()) {
        (Some(entry), None) => std::str::from_utf8(&entry.value).unwrap_or(""),
        _ => "",
    }
}

/// Takes over what the check reads, and notes what must not reach the product.
fn take(sent: Header, set: &[&HeaderName], headers: &mut HeaderMap, strangers: &mut Vec<Bytes>) {
    let name = READ
        .iter()
        .find(|name| sent.key.eq_ignore_ascii_case(name.as_str().as_bytes()));
    if let Some(name) = name {
        let bytes = match sent.raw_value.is_empty() {
            true => sent.value,
            false => sent.raw_value,
        };
        let value = HeaderValue::from_maybe_shared(bytes).unwrap_or(UNREADABLE);
        headers.append(name, value);
    } else if looks_like_ours(&sent.key) && !is_overwritten(&sent.key, set) {
        strangers.push(sent.key);
    }
}

/// Whether some reader behind Envoy could take this name for one of ours: CGI and its heirs know no
/// difference between a hyphen and any other sign.
fn looks_like_ours(name: &[u8]) -> bool {
    name.len() >= OURS.len()
        && name.iter().zip(OURS).all(|(sent, ours)| match ours {
            b'-' => !sent.is_ascii_alphanumeric(),
            _ => sent.eq_ignore_ascii_case(ours),
        })
}

/// Whether a permit sets this very name anyway. Envoy removes after it sets: it must not be told to.
fn is_overwritten(name: &[u8], set: &[&HeaderName]) -> bool {
    set.iter()
        .any(|ours| name.eq_ignore_ascii_case(ours.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::messages::{Attributes, Headers, HttpRequest, Request};
    use super::*;

    static CLIENT: HeaderName = HeaderName::from_static("x-tokenward-client");
    static SET: [&HeaderName; 1] = [&CLIENT];

    fn sent(key: &'static str, value: &'static [u8]) -> Header {
        Header {
            key: key.into(),
            value: value.into(),
            raw_value: Bytes::new(),
        }
    }

    #[test]
    fn the_route_says_what_is_served_and_nothing_stands_in_for_it() {
        let check = |entries: &[(&'static str, &'static str)], expect: &str| {
            let entries: Vec<Header> = entries
                .iter()
                .map(|(key, value)| sent(key, value.as_bytes()))
                .collect();
            assert_eq!(one(&entries, b"product"), expect, "{entries:?}");
        };
        check(&[("environment", "sandbox"), ("product", "gst")], "gst");
        check(&[("environment", "sandbox")], "");
        check(&[("product", "gst"), ("product", "gst")], "");
        check(&[("Product", "gst")], "");
    }

    #[test]
    fn what_could_be_taken_for_ours_is_removed_unless_it_is_set() {
        let check = |name: &'static str, removed: bool| {
            let (mut headers, mut strangers) = (HeaderMap::new(), Vec::new());
            take(sent(name, b"forged"), &SET, &mut headers, &mut strangers);
            assert_eq!(!strangers.is_empty(), removed, "{name}");
            assert!(headers.is_empty());
        };
        check("x-tokenward-client", false);
        check("X-Tokenward-Client", false);
        check("x_tokenward_client", true);
        check("x-tokenward_client", true);
        check("x.tokenward.client", true);
        check("x-tokenward-denial", true);
        check("x-tokenward-new", true);
        check("x-token", false);
        check("xxtokenward-client", false);
    }

    fn asked() -> CheckRequest {
        let raw = |key: &'static str, value: &'static [u8]| Header {
            raw_value: value.into(),
            ..sent(key, b"")
        };
        let http = HttpRequest {
            headers: vec![sent("x-forwarded-for", b"198.51.100.7")],
            header_map: Some(Headers {
                headers: vec![
                    raw(TOKEN_HEADER, b"token"),
                    raw("x_tokenward_client", b"forged"),
                ],
            }),
        };
        let request = Request { http: Some(http) };
        CheckRequest {
            attributes: Some(Attributes {
                request: Some(request),
                context_extensions: vec![sent("environment", b"sandbox"), sent("product", b"gst")],
            }),
        }
    }

    #[test]
    fn a_question_is_read_from_either_form_of_headers() {
        let question = read(asked().encode_to_vec().into(), &SET).unwrap();
        assert_eq!(
            (question.environment.as_str(), question.product.as_str()),
            ("sandbox", "gst")
        );
        assert_eq!(question.headers[TOKEN_HEADER], "token");
        assert_eq!(question.headers["x-forwarded-for"], "198.51.100.7");
        assert_eq!(question.strangers, ["x_tokenward_client"]);
    }

    #[test]
    fn no_damaged_message_is_more_than_refused() {
        let whole = asked().encode_to_vec();
        for at in 0..whole.len() {
            drop(read(Bytes::copy_from_slice(&whole[..at]), &SET));
            for flip in [0x01, 0x07, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                let Some(question) = read(damaged.into(), &SET) else {
                    continue;
                };
                // A token is found under its own name only.
                let tokens = question.headers.get_all(TOKEN_HEADER).iter();
                assert!(tokens.count() <= 1);
            }
        }
    }

    #[test]
    fn two_tokens_stay_two_and_a_value_that_is_no_text_is_no_token() {
        let (mut headers, mut strangers) = (HeaderMap::new(), Vec::new());
        take(sent(TOKEN_HEADER, b"a"), &SET, &mut headers, &mut strangers);
        take(sent(TOKEN_HEADER, b""), &SET, &mut headers, &mut strangers);
        take(
            sent("X-Forwarded-For", b"\n"),
            &SET,
            &mut headers,
            &mut strangers,
        );
        assert_eq!(headers.get_all(TOKEN_HEADER).iter().count(), 2);
        assert_eq!(headers["x-forwarded-for"], "?");
    }
}
