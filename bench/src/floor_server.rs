//! The floor of generating over HTTP: a hyper server whose callers wait for one thread, which takes all that wait, does for
//! each what no server that decides can leave out (`Bare::commit`), and answers them when it is committed. It verifies no
//! secret, draws nothing, hashes nothing, keeps no replica and writes the same body to all of them.

use crate::bare::{http, sockets};
use crate::group_commit::Bare;
use anyhow::Result;
use http::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// As long as the answer to a generate.
const BODY: &[u8] = &[b'x'; 320];
/// Most tokens in a commit, as the server's.
const GROUP_MAX: usize = 256;

type Caller = oneshot::Sender<()>;

/// Serves until the process ends; the address.
pub(crate) fn start(bare: impl Bare + Send + 'static) -> Result<SocketAddr> {
    let (ask, asked) = channel();
    std::thread::spawn(move || commit(bare, &asked));
    let (address, sockets) = sockets()?;
    for socket in sockets {
        let ask = ask.clone();
        std::thread::spawn(move || accept(socket, ask));
    }
    Ok(address)
}

/// Commits for the callers that wait, one group after the other. When a group fails, the channels of its callers end.
fn commit(mut bare: impl Bare, asked: &Receiver<Caller>) {
    // A caller that has gone needs no answer.
    let answer = |caller: Caller| {
        let _ = caller.send(());
    };
    while let Ok(first) = asked.recv() {
        let group: Vec<Caller> = std::iter::once(first)
            .chain(asked.try_iter().take(GROUP_MAX - 1))
            .collect();
        match bare.commit(group.len(), true) {
            Ok(()) => group.into_iter().for_each(answer),
            Err(error) => eprintln!("{error:#}"),
        }
    }
}

fn accept(socket: TcpListener, ask: Sender<Caller>) {
    http(socket, move |_| {
        let (caller, committed) = oneshot::channel();
        let asked = ask.send(caller);
        async move {
            let done = asked.is_ok() && committed.await.is_ok();
            let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
            if !done {
                *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok(response)
        }
    });
}
