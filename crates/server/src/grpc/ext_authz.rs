//! Our answer in Envoy's words. The verdict and the body are those of the check over HTTP.

use super::call::Code;
use super::messages::{
    CheckResponse, Denied, Header, HeaderOption, HttpStatus, OVERWRITE_IF_EXISTS_OR_ADD, Permitted,
    Status,
};
use super::question;
use crate::app::App;
use crate::http::check::{self, IDENTITY};
use crate::http::envelope::Told;
use crate::net::addresses::Peer;
use crate::net::caller::Caller;
use crate::trace_context::Traced;
use crate::verbs::counted_check::CheckAnswer;
use bytes::Bytes;
use http::{HeaderValue, Response};
use tokenward_core::check::Permit;
use tokenward_core::check::denial::Refusal;

/// Answers one question.
pub(super) fn check(
    app: &App,
    message: Bytes,
    from: (Peer, &Caller),
    traced: Traced<'_>,
) -> Result<(CheckResponse, Option<Told>), Code> {
    let question = question::read(message, &IDENTITY).ok_or(Code::InvalidArgument)?;
    let product = &question.product;
    let stated = (question.environment.as_str(), product.as_str());
    let answer = check::ask(app, stated, &question.headers, from, traced);
    Ok(match answer {
        CheckAnswer::Permit(permit) => (permitted(&permit, product, question.strangers), None),
        CheckAnswer::Refused { refusal, error_id } => {
            let _lines = traced.lines().entered();
            let problem = check::refused(refusal).id(error_id);
            let answer = problem.answer(&app.data.config.error_source);
            let told = answer.extensions().get::<Told>().copied();
            (denied(refusal, answer), told)
        }
    })
}

fn permitted(permit: &Permit, product: &str, strangers: Vec<Bytes>) -> CheckResponse {
    let identity = check::identity(permit, product).map(|(name, value)| {
        let name = Bytes::from_static(name.as_str().as_bytes());
        option(name, &value)
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

fn denied(refusal: Refusal, answer: Response<Bytes>) -> CheckResponse {
    let (parts, body) = answer.into_parts();
    let headers = parts.headers.iter();
    CheckResponse {
        status: Some(Status {
            code: refusal.grpc_status().into(),
        }),
        denied: Some(Denied {
            status: Some(HttpStatus {
                code: parts.status.as_u16().into(),
            }),
            headers: headers
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
