//! A unary call as gRPC lays it over HTTP/2: five bytes before the message, the status after it. It
//! knows nothing of what is asked.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Frame, Incoming};
use prost::Message;
use std::time::Duration;

/// Largest message taken: every header of a request, each named twice, and its certificates.
const MESSAGE_MAX: usize = 512 << 10;
/// A message not whole in this time is given up; a gateway has waited far too long by then.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// What stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// gRPC's status codes, as far as a call of ours can end with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Code {
    /// The message means nothing.
    InvalidArgument = 3,
    /// The message did not come whole in time.
    DeadlineExceeded = 4,
    /// The message is too long.
    ResourceExhausted = 8,
    /// There is no such method, or the message is compressed, which was never offered.
    Unimplemented = 12,
    /// The frame around the message is broken.
    Internal = 13,
}

/// Whether a request is a call.
pub(crate) fn is_call<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    request.method() == Method::POST
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The one message of a call.
pub(super) async fn message(request: Request<Incoming>) -> Result<Bytes, Code> {
    let body = Limited::new(request.into_body(), MESSAGE_MAX + PREFIX);
    let read = tokio::time::timeout(MESSAGE_TIMEOUT, body.collect()).await;
    let whole = read.map_err(|_| Code::DeadlineExceeded)?;
    unwrap(whole.map_err(|_| Code::ResourceExhausted)?.to_bytes())
}

fn unwrap(mut frame: Bytes) -> Result<Bytes, Code> {
    if frame.len() < PREFIX {
        return Err(Code::Internal);
    }
    if frame.get_u8() != 0 {
        return Err(Code::Unimplemented);
    }
    let length = frame.get_u32() as usize;
    match length == frame.len() {
        true => Ok(frame),
        false => Err(Code::Internal),
    }
}

/// The answer to a call: a message, or the code it ends with.
pub(super) fn response(answer: Result<impl Message, Code>) -> Response<Call> {
    let mut response = Response::new(Call::default());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, CONTENT_TYPE);
    match answer {
        Ok(message) => {
            let call = response.body_mut();
            call.message = Some(wrap(&message));
            call.ended = false;
        }
        // Without a message the status stands in the head ("Trailers-Only").
        Err(code) => drop(
            response
                .headers_mut()
                .insert("grpc-status", HeaderValue::from(code as u16)),
        ),
    }
    response
}

fn wrap(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut frame);
    frame.freeze()
}

/// The body of an answered call: its message, then its trailers.
pub(crate) struct Call {
    message: Option<Bytes>,
    ended: bool,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            message: None,
            ended: true,
        }
    }
}

impl Call {
    /// What is sent next.
    pub(crate) fn next(&mut self) -> Option<Frame<Bytes>> {
        if let Some(message) = self.message.take() {
            return Some(Frame::data(message));
        }
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Frame::trailers(trailers))
    }

    /// Whether nothing is left to send.
    pub(crate) fn is_over(&self) -> bool {
        self.message.is_none() && self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_only_whole_and_plain() {
        let check = |frame: &'static [u8], expect: Result<&'static [u8], Code>| {
            assert_eq!(
                unwrap(Bytes::from_static(frame)),
                expect.map(Bytes::from_static),
                "{frame:?}"
            );
        };
        check(b"\0\0\0\0\x02ab", Ok(b"ab"));
        check(b"\0\0\0\0\0", Ok(b""));
        check(b"\x01\0\0\0\x02ab", Err(Code::Unimplemented));
        check(b"\0\0\0\0\x02a", Err(Code::Internal));
        check(b"\0\0\0\0\x02abc", Err(Code::Internal));
        check(b"\0\xff\xff\xff\xffab", Err(Code::Internal));
        check(b"\0\0\0\0", Err(Code::Internal));
        check(b"", Err(Code::Internal));
    }
}
