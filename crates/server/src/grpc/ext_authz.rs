//! Envoy's question in our words, and our answer in Envoy's. Environment and product are those of the
//! route's `context_extensions`; there is no default, and nothing of the request's own path, host or
//! query is looked at. The verdict and the body are those of the check over HTTP.

use super::call::Code;
use super::messages::{
    CheckRequest, CheckResponse, Denied, Header, HeaderOption, HttpStatus,
    OVERWRITE_IF_EXISTS_OR_ADD, Permitted, Status,
};
use crate::addresses::Peer;
use crate::app::App;
use crate::http::check::{self, DENIAL, IDENTITY};
use crate::http::credentials::TOKEN_HEADER;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use prost::Message;

/// Stands for a value that no header can hold: no token, and no address.
const UNREADABLE: HeaderValue = HeaderValue::from_static("?");
/// How a name begins that could be taken for one of ours.
const OURS: &[u8] = b"x-tokenward";

/// Answers one question.
pub(super) fn check(app: &App, message: Bytes, peer: Peer) -> Result<CheckResponse, Code> {
    let request = CheckRequest::decode(message).map_err(|_| Code::InvalidArgument)?;
    let attributes = request.attributes.unwrap_or_default();
    let environment = one(&attributes.context_extensions, b"environment");
    let product = one(&attributes.context_extensions, b"product");
    let http = attributes.request.and_then(|request| request.http);
    let http = http.unwrap_or_default();
    let named = http.headers.into_iter();
    let raw = http.header_map.unwrap_or_default().headers.into_iter();
    let (mut headers, mut strangers) = (HeaderMap::with_capacity(4), Vec::new());
    for sent in named.chain(raw) {
        take(sent, &mut headers, &mut strangers);
    }
    let answer = check::decide(app, environment, product, &headers, peer);
    Ok(match answer.status() {
        StatusCode::OK => permitted(&answer, strangers),
        _ => denied(answer),
    })
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
fn take(sent: Header, headers: &mut HeaderMap, strangers: &mut Vec<Bytes>) {
    let name = [
        HeaderName::from_static(TOKEN_HEADER),
        header::AUTHORIZATION,
        HeaderName::from_static("x-forwarded-for"),
    ]
    .into_iter()
    .find(|name| sent.key.eq_ignore_ascii_case(name.as_str().as_bytes()));
    if let Some(name) = name {
        let bytes = match sent.raw_value.is_empty() {
            true => sent.value,
            false => sent.raw_value,
        };
        let value = HeaderValue::from_maybe_shared(bytes).unwrap_or(UNREADABLE);
        headers.append(name, value);
    } else if looks_like_ours(&sent.key) && !is_overwritten(&sent.key) {
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
fn is_overwritten(name: &[u8]) -> bool {
    IDENTITY
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours.as_str().as_bytes()))
}

fn permitted(answer: &Response<Bytes>, strangers: Vec<Bytes>) -> CheckResponse {
    let identity = IDENTITY.iter().filter_map(|name| {
        let value = answer.headers().get(*name)?;
        Some(option(name, value))
    });
    CheckResponse {
        status: Some(Status { code: 0 }),
        ok: Some(Permitted {
            headers: identity.collect(),
            headers_to_remove: strangers,
        }),
        denied: None,
    }
}

fn denied(answer: Response<Bytes>) -> CheckResponse {
    let (parts, body) = answer.into_parts();
    let code = match parts.status {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::NOT_FOUND => 5,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 13,
    };
    let told = parts.headers.iter().filter(|(name, _)| **name != DENIAL);
    CheckResponse {
        status: Some(Status { code }),
        denied: Some(Denied {
            status: Some(HttpStatus {
                code: parts.status.as_u16().into(),
            }),
            headers: told.map(|(name, value)| option(name, value)).collect(),
            body,
        }),
        ok: None,
    }
}

fn option(name: &HeaderName, value: &HeaderValue) -> HeaderOption {
    HeaderOption {
        header: Some(Header {
            key: Bytes::copy_from_slice(name.as_str().as_bytes()),
            value: Bytes::copy_from_slice(value.as_bytes()),
            raw_value: Bytes::new(),
        }),
        append_action: OVERWRITE_IF_EXISTS_OR_ADD,
        // An identity header is set even when it has nothing to say, so that the caller's own is gone.
        keep_empty_value: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            take(sent(name, b"forged"), &mut headers, &mut strangers);
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

    #[test]
    fn two_tokens_stay_two_and_a_value_that_is_no_text_is_no_token() {
        let (mut headers, mut strangers) = (HeaderMap::new(), Vec::new());
        take(sent(TOKEN_HEADER, b"a"), &mut headers, &mut strangers);
        take(sent(TOKEN_HEADER, b""), &mut headers, &mut strangers);
        take(sent("X-Forwarded-For", b"\n"), &mut headers, &mut strangers);
        assert_eq!(headers.get_all(TOKEN_HEADER).iter().count(), 2);
        assert_eq!(headers["x-forwarded-for"], "?");
    }
}
