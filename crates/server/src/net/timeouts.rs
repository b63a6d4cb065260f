//! How long the connections of one thread may take. A timer for every request would cost more than a
//! check; instead each connection says what it is doing, and once a second somebody looks round and
//! ends those that have been at it for too long. Nothing here knows HTTP.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;

/// Seconds for sending a whole request head, and for a TLS handshake before it.
const HEAD_SECONDS: u32 = 30;
/// Seconds for reading a request's body, answering it and taking the answer.
const ANSWER_SECONDS: u32 = 60;
/// Seconds a connection may rest between requests: longer than gateways keep theirs, so that it is
/// they who end it and no request meets a closing door.
const REST_SECONDS: u32 = 600;

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doing {
    /// Nothing: every request so far is answered.
    Resting,
    /// A request is arriving.
    Sending,
    /// A request is being answered.
    Answering,
    /// An answer is being written.
    Giving,
    /// What it does is unmanaged by somebody else.
    Unmanaged,
}

/// One connection's state, known to it and to the look round.
#[derive(Debug)]
pub(crate) struct Line {
    doing: Cell<Doing>,
    /// The round in which it began to.
    since: Cell<u32>,
    /// The rounds so far, and whether the thread is stopping.
    round: Rc<Cell<u32>>,
    stopping: Rc<Cell<bool>>,
}

impl Line {
    fn now_doing(&self, doing: Doing) {
        self.doing.set(doing);
        self.since.set(self.round.get());
    }

    /// A request is there whole.
    pub(crate) fn answering(&self) {
        self.now_doing(Doing::Answering);
    }

    /// Its answer is there, to be written.
    pub(crate) fn answered(&self) {
        self.now_doing(Doing::Giving);
    }

    /// From now on somebody else minds the connection: it is never overdue.
    pub(crate) fn unmanaged(&self) {
        self.now_doing(Doing::Unmanaged);
    }

    /// Whether the next answer should be the connection's last.
    pub(crate) fn is_last(&self) -> bool {
        self.stopping.get()
    }

    fn is_overdue(&self) -> bool {
        let limit = match self.doing.get() {
            Doing::Unmanaged => return false,
            Doing::Resting if self.stopping.get() => return true,
            Doing::Resting => REST_SECONDS,
            Doing::Sending => HEAD_SECONDS,
            Doing::Answering | Doing::Giving => ANSWER_SECONDS,
        };
        self.round.get().wrapping_sub(self.since.get()) > limit
    }
}

/// The connections of one thread.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    open: RefCell<HashMap<u64, (Rc<Line>, AbortHandle)>>,
    next: Cell<u64>,
    round: Rc<Cell<u32>>,
    stopping: Rc<Cell<bool>>,
}

impl Lines {
    /// Runs a connection as a task of this thread until it ends or is overdue.
    pub(crate) fn run<F>(self: &Rc<Self>, connection: impl FnOnce(Rc<Line>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let line = Rc::new(Line {
            doing: Cell::new(Doing::Sending),
            since: Cell::new(self.round.get()),
            round: Rc::clone(&self.round),
            stopping: Rc::clone(&self.stopping),
        });
        let number = self.next.get();
        self.next.set(number + 1);
        let place = Place {
            lines: Rc::clone(self),
            number,
        };
        let running = connection(Rc::clone(&line));
        let task = tokio::task::spawn_local(async move {
            // Moved in, so that it is given up with the task, however that ends.
            let _place = place;
            running.await;
        });
        self.open
            .borrow_mut()
            .insert(number, (line, task.abort_handle()));
    }

    /// One look round; to be called once a second.
    pub(crate) fn look_round(&self) {
        self.round.set(self.round.get().wrapping_add(1));
        self.end_overdue();
    }

    /// From now on resting connections are ended, and busy ones with their next answer.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        self.end_overdue();
    }

    /// Whether no connection is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    fn end_overdue(&self) {
        let overdue: Vec<AbortHandle> = {
            let open = self.open.borrow();
            let late = open.values().filter(|(line, _)| line.is_overdue());
            late.map(|(_, task)| task.clone()).collect()
        };
        // Outside the borrow: a task that ends gives up its place.
        overdue.iter().for_each(AbortHandle::abort);
    }
}

/// A connection's place among the open ones.
struct Place {
    lines: Rc<Lines>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lines.open.borrow_mut().remove(&self.number);
    }
}

/// A stream that says when a request begins to arrive and when an answer has been written.
pub(crate) struct Watched<S> {
    stream: S,
    line: Rc<Line>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, line: Rc<Line>) -> Self {
        Self { stream, line }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let ready = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if ready.is_ready() && self.line.doing.get() == Doing::Resting {
            self.line.now_doing(Doing::Sending);
        }
        ready
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let ready = Pin::new(&mut self.stream).poll_flush(cx);
        if ready.is_ready() && self.line.doing.get() == Doing::Giving {
            self.line.now_doing(Doing::Resting);
        }
        ready
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    /// Runs `acts` on one connection of a thread, with a server that reads three bytes a request,
    /// says that it answers, waits for a fourth, and answers with one.
    fn check(acts: impl AsyncFnOnce(Rc<Lines>, DuplexStream)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (near, far) = tokio::io::duplex(64);
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let lines = Rc::new(Lines::default());
            lines.run(|line| async move {
                let mut stream = Watched::new(far, Rc::clone(&line));
                let mut request = [0; 3];
                while stream.read_exact(&mut request).await.is_ok() {
                    line.answering();
                    if stream.read_u8().await.is_err() {
                        return;
                    }
                    line.answered();
                    let given = stream.write_all(b".").await;
                    if given.and(stream.flush().await).is_err() || line.is_last() {
                        return;
                    }
                }
            });
            acts(lines, near).await;
        });
    }

    /// Rounds after which the connection is gone, of at most a thousand.
    async fn rounds(lines: &Lines) -> u32 {
        for round in 1..1_000 {
            lines.look_round();
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            if lines.is_empty() {
                return round;
            }
        }
        u32::MAX
    }

    async fn ask(peer: &mut DuplexStream) {
        peer.write_all(b"ask!").await.unwrap();
        assert_eq!(peer.read_u8().await.unwrap(), b'.');
    }

    #[test]
    fn who_never_asks_is_ended_by_the_limit_of_a_head() {
        check(async |lines, _peer| assert_eq!(rounds(&lines).await, HEAD_SECONDS + 1));
    }

    #[test]
    fn who_asks_in_drips_is_ended_all_the_same() {
        check(async |lines, mut peer| {
            ask(&mut peer).await;
            peer.write_all(b"a").await.unwrap();
            for _ in 0..HEAD_SECONDS {
                tokio::task::yield_now().await;
                lines.look_round();
            }
            peer.write_all(b"s").await.unwrap();
            assert!(rounds(&lines).await <= 2);
        });
    }

    #[test]
    fn an_answer_that_never_comes_ends_its_connection() {
        check(async |lines, mut peer| {
            peer.write_all(b"ask").await.unwrap();
            tokio::task::yield_now().await;
            assert_eq!(rounds(&lines).await, ANSWER_SECONDS + 1);
        });
    }

    #[test]
    fn a_rest_between_requests_may_be_long_but_not_for_ever() {
        check(async |lines, mut peer| {
            ask(&mut peer).await;
            ask(&mut peer).await;
            assert_eq!(rounds(&lines).await, REST_SECONDS + 1);
        });
    }

    #[test]
    fn a_stop_ends_the_resting_at_once_and_the_busy_with_their_answer() {
        check(async |lines, mut peer| {
            ask(&mut peer).await;
            lines.stop();
            tokio::task::yield_now().await;
            assert!(lines.is_empty());
            assert!(peer.read_u8().await.is_err());
        });
        check(async |lines, mut peer| {
            peer.write_all(b"ask").await.unwrap();
            tokio::task::yield_now().await;
            lines.stop();
            tokio::task::yield_now().await;
            assert!(!lines.is_empty());
            peer.write_all(b"!").await.unwrap();
            assert_eq!(peer.read_u8().await.unwrap(), b'.');
            assert!(peer.read_u8().await.is_err());
            assert!(lines.is_empty());
        });
    }
}
