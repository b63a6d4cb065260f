//! Our answer in Envoy's words. The verdict and the body are those of the check over HTTP.

use super::call::Code;
use super::messages::{
    CheckResponse, Denied, Header, HeaderOption, HttpStatus, OVERWRITE_IF_EXISTS_OR_ADD, Permitted,
    Status,
};
use super::question;
use crate::app::App;
use crate::http::check::{self, DENIAL, IDENTITY};
use crate::net::addresses::Peer;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

/// Answers one question.
pub(super) fn check(app: &App, message: Bytes, peer: Peer) -> Result<CheckResponse, Code> {
    let question = question::read(message, &IDENTITY).ok_or(Code::InvalidArgument)?;
    let (environment, product) = (&question.environment, &question.product);
    let answer = check::decide(app, environment, product, &question.headers, peer);
    Ok(match answer.status() {
        StatusCode::OK => permitted(&answer, question.strangers),
        _ => denied(answer),
    })
}

fn permitted(answer: &Response<Bytes>, strangers: Vec<Bytes>) -> CheckResponse {
    let identity = IDENTITY.iter().filter_map(|name| {
        let value = answer.headers().get(*name)?;
        let name = Bytes::from_static(name.as_str().as_bytes());
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
            headers: told
                .map(|(name, value)| {
                    option(Bytes::copy_from_slice(name.as_str().as_bytes()), value)
                })
                .collect(),
            body,
        }),
        ok: None,
    }
}

fn option(key: Bytes, value: &HeaderValue) -> HeaderOption {
    HeaderOption {
        header: Some(Header {
            key,
            value: Bytes::copy_from_slice(value.as_bytes()),
            raw_value: Bytes::new(),
        }),
        append_action: OVERWRITE_IF_EXISTS_OR_ADD,
        // An identity header is set even when it has nothing to say, so that the caller's own is gone.
        keep_empty_value: true,
    }
}
