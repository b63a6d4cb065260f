//! The floor of an HTTP check: a hyper server that returns the same headers to every request, on
//! current-thread runtimes that share a port. It reads no token and decides nothing.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use std::convert::Infallible;
use std::io::BufRead;
use std::net::SocketAddr;

/// Serves until killed. The headers come from the standard input, one a line until an empty one; the
/// address goes to the standard output.
pub(crate) fn serve() -> Result<(), String> {
    let mut headers = HeaderMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(value.trim()).map_err(|error| error.to_string())?;
        headers.append(name, value);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let first = listen(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(|error| error.to_string())?;
    let address = first.local_addr().map_err(|error| error.to_string())?;
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(listen(address).map_err(|error| error.to_string())?);
    }
    println!("{address}");
    std::thread::scope(|scope| {
        for socket in sockets {
            let headers = &headers;
            scope.spawn(move || accept(socket, headers));
        }
    });
    Ok(())
}

pub(crate) fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn accept(socket: std::net::TcpListener, headers: &HeaderMap) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let Ok(runtime) = runtime else {
        return eprintln!("no runtime");
    };
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let Ok(listener) = tokio::net::TcpListener::from_std(socket) else {
            return;
        };
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let headers = headers.clone();
            let answer = service_fn(move |_: Request<Incoming>| {
                let mut response = Response::new(Empty::<Bytes>::new());
                *response.headers_mut() = headers.clone();
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            tokio::task::spawn_local(async move { drop(connection.await) });
        }
    });
}
