//! One connection to the internal listener: which protocol it speaks, and its life. A check is answered
//! by HTTP/1 without any layer between; HTTP/2 is told apart once a connection, never once a request.

use super::http2::http2;
use super::internal::{Answering, Service};
use crate::http::HEAD_MAX;
use crate::net::caller::Asked;
use crate::net::caller::Caller;
use crate::net::{
    self,
    timeouts::{Line, Watched},
};
use crate::replicas;
use crate::trace_context::Traced;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::Watcher;
use std::convert::Infallible;
use std::rc::Rc;
use tokenward_core::attach::ALPN;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

/// Turns true when the server stops.
pub(super) type Stop = watch::Receiver<bool>;

/// A connection without TLS: its first bytes tell what it speaks.
pub(super) async fn plain<S>(
    service: Service,
    stream: S,
    line: Rc<Line>,
    watcher: Watcher,
    mut stop: Stop,
) where
    S: Peek + AsyncRead + AsyncWrite + Unpin + 'static,
{
    // Enough to know a replica's preface and HTTP/2's (RFC 9113, section 3.4) from any request line. Whoever
    // sends them in pieces smaller than this is taken to speak HTTP/1, and refused.
    const PREFACE: &[u8; 4] = b"PRI ";
    let mut first = [0; 4];
    let seen = tokio::select! {
        seen = stream.peek(&mut first) => seen,
        () = net::stopping(&mut stop, || false) => return,
    };
    match seen {
        Ok(4) if replicas::begins(&first) => {
            line.unmanaged();
            replicas::serve(service.app, stream, true, stop).await;
        }
        Ok(count) if first[..count] == *PREFACE => http2(service, stream, &line, watcher).await,
        Ok(_) => http1(service, stream, line).await,
        Err(_) => {}
    }
}

/// A connection with TLS: the handshake has told what it speaks.
pub(super) async fn tls<S>(
    mut service: Service,
    stream: TlsStream<S>,
    line: Rc<Line>,
    watcher: Watcher,
    stop: Stop,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let session = stream.get_ref().1;
    service.from = Caller::of(&service.app.data.config, session.peer_certificates());
    if session.alpn_protocol() == Some(ALPN) {
        line.unmanaged();
        let allowed = service.from.may(
            &service.app,
            service.peer,
            &Asked::Replica,
            Traced::Known(None),
        );
        return replicas::serve(service.app, stream, allowed, stop).await;
    }
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        return http2(service, stream, &line, watcher).await;
    }
    http1(service, stream, line).await;
}

/// Answers the requests of an HTTP/1 connection until its end. What it ends with is its peer's affair.
/// Its time limits are those of [`crate::net::timeouts`], so hyper keeps no timer.
async fn http1<S>(service: Service, stream: S, line: Rc<Line>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let io = TokioIo::new(Watched::new(stream, Rc::clone(&line)));
    let mut builder = http1::Builder::new();
    // No `pipeline_flush`: while bytes that are no request stand in its buffer, hyper would write no answer, neither
    // the refusal of those bytes nor the answer to the good request before them.
    builder.header_read_timeout(None).max_buf_size(HEAD_MAX);
    drop(
        builder
            .serve_connection(io, Telling { service, line })
            .await,
    );
}

/// A service that tells its connection's line what it is doing.
struct Telling {
    service: Service,
    line: Rc<Line>,
}

impl hyper::service::Service<Request<Incoming>> for Telling {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        self.line.answering();
        match self.service.call(request) {
            Answering::Now(mut response) => {
                if let Some(response) = &mut response {
                    said_last(&self.service, &self.line, response);
                }
                self.line.answered();
                Answering::Now(response)
            }
            Answering::Later(answer) => {
                let (service, line) = (self.service.clone(), Rc::clone(&self.line));
                Answering::Later(Box::pin(async move {
                    let Ok(mut response) = answer.await;
                    said_last(&service, &line, &mut response);
                    line.answered();
                    Ok(response)
                }))
            }
        }
    }
}

/// When the server is about to stop, an answer ends its connection, so that the gateway makes its next one elsewhere, or to
/// the next server.
fn said_last(service: &Service, line: &Line, response: &mut Response<Full<Bytes>>) {
    if line.is_last() || service.app.is_stopping() {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// A stream whose first bytes can be seen before they are taken.
pub(super) trait Peek {
    /// Waits for bytes and copies some; none are there at the end.
    async fn peek(&self, bytes: &mut [u8]) -> std::io::Result<usize>;
}

impl Peek for TcpStream {
    async fn peek(&self, bytes: &mut [u8]) -> std::io::Result<usize> {
        TcpStream::peek(self, bytes).await
    }
}

impl Peek for UnixStream {
    async fn peek(&self, bytes: &mut [u8]) -> std::io::Result<usize> {
        use rustix::net::{RecvFlags, recv};
        self.async_io(Interest::READABLE, || {
            let (count, _) = recv(self, &mut *bytes, RecvFlags::PEEK)?;
            Ok(count)
        })
        .await
    }
}
