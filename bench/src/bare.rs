//! The floor of an HTTP check: a hyper server that returns the same headers to every request, on
//! current-thread runtimes that share a port. It reads no token and decides nothing.

use anyhow::{Context as _, Result};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Empty;
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use std::convert::Infallible;
use std::io::BufRead;
use std::net::{SocketAddr, TcpListener};

/// Serves until killed. The headers come from the standard input, one a line until an empty one; the
/// address goes to the standard output.
pub(crate) fn serve() -> Result<()> {
    let mut headers = HeaderMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.append(
            HeaderName::try_from(name)?,
            HeaderValue::try_from(value.trim())?,
        );
    }
    let (address, sockets) = sockets()?;
    println!("{address}");
    std::thread::scope(|scope| {
        for socket in sockets {
            let headers = headers.clone();
            scope.spawn(move || {
                http(socket, move |_| {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    *response.headers_mut() = headers.clone();
                    std::future::ready(Ok(response))
                });
            });
        }
    });
    Ok(())
}

/// A port of this machine, with a socket for each core.
pub(crate) fn sockets() -> Result<(SocketAddr, Vec<TcpListener>)> {
    let first = listen(SocketAddr::from(([127, 0, 0, 1], 0))).context("no bare server")?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..std::thread::available_parallelism().map_or(1, usize::from) {
        sockets.push(listen(address).context("no bare server")?);
    }
    Ok((address, sockets))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Serves a socket on this thread alone, until the process ends; a floor that needs no timers has none.
pub(crate) fn on_this_thread<S: Future<Output = ()>>(
    socket: TcpListener,
    timers: bool,
    serve: impl FnOnce(tokio::net::TcpListener) -> S,
) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io();
    if timers {
        builder.enable_time();
    }
    let Ok(runtime) = builder.build() else {
        return eprintln!("no runtime");
    };
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        if let Ok(listener) = tokio::net::TcpListener::from_std(socket) {
            serve(listener).await;
        }
    });
}

/// Serves HTTP/1.1 on a socket, on this thread alone, until the process ends.
pub(crate) fn http<F, B>(
    socket: TcpListener,
    answer: impl Fn(Request<Incoming>) -> F + Clone + 'static,
) where
    F: Future<Output = Result<Response<B>, Infallible>> + 'static,
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    on_this_thread(socket, false, async |listener| {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (stream, answer) = (TokioIo::new(stream), service_fn(answer.clone()));
            let connection = http1::Builder::new().serve_connection(stream, answer);
            tokio::task::spawn_local(async move { drop(connection.await) });
        }
    });
}
