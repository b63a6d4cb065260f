//! The floors of a call over gRPC, on current-thread runtimes that share a port: tonic, which answers
//! every call with the same bytes and decodes none, and hyper's HTTP/2 alone. They decide nothing.

use crate::bare::{on_this_thread, sockets};
use crate::ext_authz::framed;
use anyhow::Result;
use bytes::{Buf, BufMut, Bytes};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::StreamBody;
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::Read as _;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};

/// A bare server.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Which {
    /// Tonic.
    Tonic,
    /// hyper's HTTP/2.
    Hyper,
}

/// Serves until killed. The answer's message comes from the standard input; the address goes to the standard output.
pub(crate) fn serve(which: Which) -> Result<()> {
    let mut message = Vec::new();
    std::io::stdin().read_to_end(&mut message)?;
    let message = Bytes::from(message);
    let (address, sockets) = sockets()?;
    println!("{address}");
    std::thread::scope(|scope| {
        for socket in sockets {
            let message = message.clone();
            scope.spawn(move || accept(which, socket, message));
        }
    });
    Ok(())
}

fn accept(which: Which, socket: std::net::TcpListener, message: Bytes) {
    on_this_thread(socket, true, async |listener| match which {
        Which::Tonic => {
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let server = tonic::transport::Server::builder().add_service(Fixed(message));
            let served = server.serve_with_incoming(incoming.with_nodelay(Some(true)));
            drop(served.await);
        }
        Which::Hyper => hyper_alone(listener, message).await,
    });
}

async fn hyper_alone(listener: tokio::net::TcpListener, message: Bytes) {
    let frame = Bytes::from(framed(&message));
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let frame = frame.clone();
        let answer = hyper::service::service_fn(move |_: Request<Incoming>| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let frames = [Frame::data(frame.clone()), Frame::trailers(trailers)];
            let frames = stream::iter(frames.map(Ok::<_, Infallible>));
            let mut response = Response::new(StreamBody::new(frames));
            let kind = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert("content-type", kind);
            ready(Ok::<_, Infallible>(response))
        });
        let builder = hyper::server::conn::http2::Builder::new(ThisThread);
        let connection = builder.serve_connection(TokioIo::new(stream), answer);
        tokio::task::spawn_local(async move { drop(connection.await) });
    }
}

/// Runs streams on the thread that accepted their connection.
#[derive(Clone, Copy)]
struct ThisThread;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for ThisThread {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}

/// A method of tonic's that answers the same bytes.
#[derive(Clone)]
struct Fixed(Bytes);

impl NamedService for Fixed {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl<B> tonic::codegen::Service<Request<B>> for Fixed
where
    B: Body + Send + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = tonic::codegen::BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move { Ok(Grpc::new(Raw).unary(method, request).await) })
    }
}

impl UnaryService<Bytes> for Fixed {
    type Response = Bytes;
    type Future = Ready<Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        ready(Ok(tonic::Response::new(self.0.clone())))
    }
}

/// Messages as the bytes they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let count = from.remaining();
        Ok(Some(from.copy_to_bytes(count)))
    }
}
