//! Limits of the public listener's connections: how many at once, how many from one source, and how long each may
//! stay idle, take to send a request head, or leave an answer unread. Connections note what they do; once a second
//! all are looked at, so that a request needs no timer. Nothing here knows HTTP.

use crate::net::addresses;
use ipnet::IpNet;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Connections served at once where the process may open enough files; more wait to be accepted.
const CONNECTIONS_MAX: u32 = 10_000;
/// Seconds for sending a whole request head, and until the first one after the connection is made.
const HEAD_SECONDS: u32 = 15;
/// Seconds without progress after which an answer counts as never read.
const WRITE_SECONDS: u32 = 30;
/// Seconds after which a connection whose requests all wait for the rest of their bodies makes room for another like an
/// idle one. Bodies are small: one that is not there by then is held back, or its peer is very slow.
const BODY_SECONDS: u32 = 2;
/// Seconds a connection that was asked to end may take to do so.
const CLOSE_SECONDS: u32 = 10;

/// The limits in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// Connections at once.
    pub(crate) connections: u32,
    /// Of these, from one source address (IPv6: from one /64).
    pub(crate) per_source: u32,
    /// Seconds a connection may stay open between requests.
    pub(crate) idle_seconds: u32,
}

impl Limits {
    /// The limits of a process that may open `descriptors` files. Half of them stay for the internal listener, the
    /// database and files, so that no number of public connections stops checks.
    pub(crate) fn new(descriptors: u64, per_source: Option<u32>, idle_seconds: u32) -> Self {
        let half = u32::try_from(descriptors / 2).unwrap_or(u32::MAX);
        let connections = half.clamp(1, CONNECTIONS_MAX);
        Self {
            connections,
            per_source: per_source.unwrap_or((connections / 4).max(1)),
            idle_seconds,
        }
    }

    /// Whether the limit of open files lowers the number of connections.
    pub(crate) fn is_lowered(&self) -> bool {
        self.connections < CONNECTIONS_MAX
    }
}

/// How a connection is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It is idle: requests under way are still answered.
    Idle,
    /// Its peer is too slow: at once.
    Now,
}

/// The open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    places: Arc<Semaphore>,
    /// Seconds so far.
    round: Arc<AtomicU32>,
    /// Notified after each look at all connections.
    looked: Notify,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, (Option<IpAddr>, Arc<Activity>)>,
    sources: HashMap<IpAddr, u32>,
}

impl Open {
    /// Ends the connection that has waited for its peer for longest, of one source or of all; whether there was one.
    fn end_longest_waiting(&self, round: u32, source: Option<IpAddr>) -> bool {
        let all = self.connections.iter();
        let own = all.filter(|(_, (from, _))| source.is_none() || *from == source);
        let waiting = own.filter_map(|(number, (_, activity))| {
            let state = activity.state.lock();
            let seconds = state.waits_for_peer(round).filter(|_| !state.evicted)?;
            Some(((seconds, Reverse(*number)), activity))
        });
        let Some((_, activity)) = waiting.max_by_key(|(rank, _)| *rank) else {
            return false;
        };
        activity.state.lock().evicted = true;
        activity.ending.notify_one();
        true
    }
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            places: Arc::new(Semaphore::new(limits.connections as usize)),
            round: Arc::default(),
            looked: Notify::new(),
            open: Mutex::default(),
        })
    }

    /// Counts a connection for the source of `peer`. When it has as many as one source may, its own longest idle
    /// connection is ended, so that idle ones do not keep out others behind the same address (a NAT, a load balancer);
    /// none when all of them are busy. A trusted proxy's connections carry many callers' requests, so that only the
    /// limit of all applies to them.
    pub(crate) fn share(self: &Arc<Self>, peer: IpAddr, trusted: &[IpNet]) -> Option<Share> {
        let source = addresses::network(Some(peer));
        let source = source.filter(|_| !addresses::is_trusted(peer, trusted));
        let mut made_room = false;
        if let Some(source) = source {
            let mut open = self.open.lock();
            let count = open.sources.get(&source).copied().unwrap_or(0);
            if count >= self.limits.per_source {
                // Those that were told to end are counted until they have; each new one ends one more.
                let round = self.round.load(Ordering::Relaxed);
                made_room = open.end_longest_waiting(round, Some(source));
                if !made_room {
                    return None;
                }
            }
            open.sources.insert(source, count + 1);
        }
        Some(Share {
            connections: Arc::clone(self),
            source,
            made_room,
        })
    }

    /// Waits until another connection may be served. When there are as many as may be, the one that has waited for its
    /// peer for longest is ended for it, and one more after each look at all, so that neither idle connections nor
    /// requests whose bodies are held back keep others out.
    pub(crate) async fn place(self: &Arc<Self>, share: Share) -> Option<Place> {
        let permit = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let given_back = Arc::clone(&self.places).acquire_owned();
                tokio::pin!(given_back);
                loop {
                    let looked = self.looked.notified();
                    let round = self.round.load(Ordering::Relaxed);
                    self.open.lock().end_longest_waiting(round, None);
                    tokio::select! {
                        permit = &mut given_back => break permit.ok()?,
                        () = looked => {}
                    }
                }
            }
        };
        let state = State {
            quiet_since: self.round.load(Ordering::Relaxed),
            ..State::default()
        };
        let activity = Arc::new(Activity {
            round: Arc::clone(&self.round),
            idle_seconds: self.limits.idle_seconds,
            state: Mutex::new(state),
            ending: Notify::new(),
        });
        let mut open = self.open.lock();
        let number = open.next;
        open.next += 1;
        let opened = (share.source, Arc::clone(&activity));
        open.connections.insert(number, opened);
        drop(open);
        Some(Place {
            share,
            number,
            activity,
            _permit: permit,
        })
    }

    /// Looks at all connections; to be called once a second.
    pub(crate) fn look_round(&self) {
        let round = self.round.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        for (_, activity) in self.open.lock().connections.values() {
            if activity
                .state
                .lock()
                .overdue(round, activity.idle_seconds)
                .is_some()
            {
                activity.ending.notify_one();
            }
        }
        self.looked.notify_waiters();
    }

    /// Returns once no connection is open.
    pub(crate) async fn ended(&self) {
        let _ = self.places.acquire_many(self.limits.connections).await;
    }

    /// Connections open now.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.open.lock().connections.len()
    }
}

/// One connection in the count of its source, until dropped.
#[derive(Debug)]
pub(crate) struct Share {
    connections: Arc<Connections>,
    source: Option<IpAddr>,
    made_room: bool,
}

impl Share {
    /// Whether an idle connection of the same source was ended for this one.
    pub(crate) fn made_room(&self) -> bool {
        self.made_room
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(source) = self.source else {
            return;
        };
        let mut open = self.connections.open.lock();
        if let Some(count) = open.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                open.sources.remove(&source);
            }
        }
    }
}

/// A connection's place among the open ones, until dropped.
#[derive(Debug)]
pub(crate) struct Place {
    share: Share,
    number: u64,
    activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// What the connection does.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.share.connections.open.lock();
        open.connections.remove(&self.number);
    }
}

/// What one connection does, known to it and to the look round.
#[derive(Debug)]
pub(crate) struct Activity {
    round: Arc<AtomicU32>,
    idle_seconds: u32,
    state: Mutex<State>,
    ending: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a request has come.
    asked: bool,
    /// Whether requests come side by side, so that the bytes that arrive do not tell what is being sent.
    multiplexed: bool,
    /// Requests being answered.
    requests: BTreeMap<u64, Asked>,
    /// When the connection was made, or its last answer ended.
    quiet_since: u32,
    /// When a request head began to arrive.
    head_since: Option<u32>,
    /// When the peer stopped taking bytes.
    blocked_since: Option<u32>,
    /// The bodies of answers; the time when the peer stopped taking it, none while we make its next part.
    bodies: BTreeMap<u64, Option<u32>>,
    /// The number of the next request or body.
    next: u64,
    closing: bool,
    /// Whether it is to make room for another as soon as it is quiet.
    evicted: bool,
}

/// A request being answered.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When its head was there.
    since: u32,
    /// Whether it waits for the next part of its body.
    awaits_body: bool,
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn is_quiet(&self) -> bool {
        self.requests.is_empty() && self.bodies.is_empty()
    }

    /// Whether nothing is to be done for it before its peer sends more: it is quiet, or all its requests wait for the
    /// rest of their bodies.
    fn is_at_peer(&self) -> bool {
        self.bodies.is_empty() && self.requests.values().all(|asked| asked.awaits_body)
    }

    /// Seconds for which it has waited for its peer, where it may be ended for that to make room. A body counts from its
    /// head, so that one that comes byte by byte gains no time.
    fn waits_for_peer(&self, round: u32) -> Option<u32> {
        if self.is_quiet() {
            return Some(round.wrapping_sub(self.quiet_since));
        }
        let asked = self.requests.values();
        let longest = asked.map(|asked| round.wrapping_sub(asked.since)).max()?;
        (self.is_at_peer() && longest >= BODY_SECONDS).then_some(longest)
    }

    fn overdue(&self, round: u32, idle_seconds: u32) -> Option<End> {
        let since = |begun: u32, limit: u32| round.wrapping_sub(begun) > limit;
        let unread = self.bodies.values().flatten().chain(&self.blocked_since);
        if unread.into_iter().any(|begun| since(*begun, WRITE_SECONDS)) {
            return Some(End::Now);
        }
        if self.evicted && self.is_at_peer() {
            return Some(End::Now);
        }
        if !self.is_quiet() {
            return None;
        }
        if self.closing {
            return since(self.quiet_since, CLOSE_SECONDS).then_some(End::Now);
        }
        if let Some(begun) = self
            .head_since
            .or((!self.asked).then_some(self.quiet_since))
        {
            return since(begun, HEAD_SECONDS).then_some(End::Now);
        }
        since(self.quiet_since, idle_seconds).then_some(End::Idle)
    }
}

impl Activity {
    fn now(&self) -> u32 {
        self.round.load(Ordering::Relaxed)
    }

    /// Returns when the connection is to end.
    pub(crate) async fn end(&self) -> End {
        loop {
            if let Some(end) = self.state.lock().overdue(self.now(), self.idle_seconds) {
                return end;
            }
            self.ending.notified().await;
        }
    }

    /// Whether a request has come.
    pub(crate) fn has_asked(&self) -> bool {
        self.state.lock().asked
    }

    /// From now on the connection is about to end: no further request is waited for.
    pub(crate) fn closing(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        state.quiet_since = self.now();
    }

    /// A request is there; dropped when its answer is, or when nobody waits for it any more.
    pub(crate) fn request(self: &Arc<Self>, multiplexed: bool) -> Answering {
        let mut state = self.state.lock();
        state.asked = true;
        state.multiplexed = multiplexed;
        state.head_since = None;
        let (number, since) = (state.number(), self.now());
        let asked = Asked {
            since,
            awaits_body: false,
        };
        state.requests.insert(number, asked);
        Answering(Arc::clone(self), number)
    }

    fn arrived(&self) {
        let mut state = self.state.lock();
        if state.is_quiet() && !state.multiplexed && state.head_since.is_none() {
            state.head_since = Some(self.now());
        }
    }

    fn blocked(&self) {
        let mut state = self.state.lock();
        state.blocked_since.get_or_insert(self.now());
    }

    fn unblocked(&self) {
        self.state.lock().blocked_since = None;
    }
}

/// A request being answered.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Activity>, u64);

impl Answering {
    /// The request's body, known to the limits while it is waited for.
    pub(crate) fn awaited<B>(&self, body: B) -> Noted<B> {
        self.noted(body, self.1, true)
    }

    /// The answer's body, known to the limits until it is dropped.
    pub(crate) fn body<B>(&self, body: B) -> Noted<B> {
        let mut state = self.0.state.lock();
        let number = state.number();
        state.bodies.insert(number, Some(self.0.now()));
        drop(state);
        self.noted(body, number, false)
    }

    fn noted<B>(&self, body: B, number: u64, is_request: bool) -> Noted<B> {
        Noted {
            body,
            number,
            activity: Arc::clone(&self.0),
            is_request,
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.requests.remove(&self.1);
        state.quiet_since = self.0.now();
    }
}

/// The body of a request, which notes whether it waits for its sender, or of an answer, which notes whether its reader goes
/// on taking it.
#[derive(Debug)]
pub(crate) struct Noted<B> {
    body: B,
    number: u64,
    activity: Arc<Activity>,
    is_request: bool,
}

impl<B> Noted<B> {
    fn note(&self, pending: bool) {
        let mut state = self.activity.state.lock();
        if !self.is_request {
            let since = (!pending).then(|| self.activity.now());
            state.bodies.insert(self.number, since);
        } else if let Some(asked) = state.requests.get_mut(&self.number) {
            // The request may be answered before all of its body is there.
            asked.awaits_body = pending;
        }
    }
}

impl<B> Drop for Noted<B> {
    fn drop(&mut self) {
        if self.is_request {
            return self.note(false);
        }
        let mut state = self.activity.state.lock();
        state.bodies.remove(&self.number);
        state.quiet_since = self.activity.now();
    }
}

impl<B: http_body::Body + Unpin> http_body::Body for Noted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.note(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A stream that notes when bytes arrive and when its peer stops taking them.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    /// Whether it was a flush, not a write, that the peer kept waiting.
    flushing: bool,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            flushing: false,
        }
    }

    fn wrote(&mut self, written: &Poll<std::io::Result<usize>>) {
        match written {
            Poll::Pending => {
                self.flushing = false;
                self.activity.blocked();
            }
            Poll::Ready(_) => self.activity.unblocked(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.arrived();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_pending() {
            self.flushing = true;
            self.activity.blocked();
        } else if self.flushing {
            self.flushing = false;
            self.activity.unblocked();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        if shut.is_pending() {
            self.activity.blocked();
        }
        shut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use http_body_util::Full;
    use tokio::io::AsyncWriteExt as _;

    const IDLE: u32 = 75;

    fn connections(per_source: u32) -> Arc<Connections> {
        Connections::new(Limits {
            connections: 8,
            per_source,
            idle_seconds: IDLE,
        })
    }

    async fn take(all: &Arc<Connections>, peer: &str, trusted: &[IpNet]) -> Option<Place> {
        let share = all.share(peer.parse().unwrap(), trusted)?;
        all.place(share).await
    }

    async fn one() -> (Arc<Connections>, Place) {
        let all = connections(8);
        let place = take(&all, "192.0.2.1", &[]).await.unwrap();
        (all, place)
    }

    /// Rounds after which the connection is to end, and how; none within a thousand.
    fn rounds(all: &Connections, place: &Place) -> Option<(u32, End)> {
        for round in 1..1_000 {
            all.look_round();
            let state = place.activity.state.lock();
            if let Some(end) = state.overdue(place.activity.now(), IDLE) {
                return Some((round, end));
            }
        }
        None
    }

    #[test]
    fn public_connections_never_take_more_than_half_of_the_descriptors() {
        let limits = |descriptors| Limits::new(descriptors, None, IDLE).connections;
        assert_eq!(limits(1_024), 512);
        assert_eq!(limits(u64::MAX), CONNECTIONS_MAX);
        assert_eq!(limits(0), 1);
        assert!(Limits::new(1_024, None, IDLE).is_lowered());
        assert!(!Limits::new(65_536, None, IDLE).is_lowered());
        assert_eq!(Limits::new(1_024, None, IDLE).per_source, 128);
        assert_eq!(Limits::new(1_024, Some(7), IDLE).per_source, 7);
    }

    #[tokio::test]
    async fn a_source_has_its_share_and_a_trusted_proxy_has_none() {
        let all = connections(2);
        let first = take(&all, "192.0.2.1", &[]).await.unwrap();
        let second = take(&all, "::ffff:192.0.2.1", &[]).await.unwrap();
        let _busy = [&first, &second].map(|place| place.activity.request(false));
        assert!(take(&all, "192.0.2.1", &[]).await.is_none());
        let _other = take(&all, "192.0.2.2", &[]).await.unwrap();
        let proxies = ["192.0.2.1/32".parse().unwrap()];
        let _proxy = take(&all, "192.0.2.1", &proxies).await.unwrap();
        let six = take(&all, "2001:db8::1", &[]).await.unwrap();
        let same = take(&all, "2001:db8::ffff:1", &[]).await.unwrap();
        let _busy = [&six, &same].map(|place| place.activity.request(true));
        assert!(take(&all, "2001:db8::2", &[]).await.is_none());
        let _next = take(&all, "2001:db8:0:1::1", &[]).await.unwrap();
        assert_eq!(all.count(), 7);
        drop(first);
        assert_eq!(all.count(), 6);
        assert!(take(&all, "192.0.2.1", &[]).await.is_some());
    }

    #[tokio::test]
    async fn idle_connections_of_a_source_keep_no_one_else_there_out() {
        let all = connections(2);
        let other = take(&all, "192.0.2.2", &[]).await.unwrap();
        let busy = take(&all, "192.0.2.1", &[]).await.unwrap();
        let _request = busy.activity.request(false);
        let idle = take(&all, "192.0.2.1", &[]).await.unwrap();
        let ended = |place: &Place| place.activity.state.lock().overdue(0, IDLE);
        let third = take(&all, "192.0.2.1", &[]).await.unwrap();
        assert!(third.share.made_room() && !idle.share.made_room());
        let marked = [&other, &busy, &idle, &third].map(ended);
        assert_eq!(marked, [None, None, Some(End::Now), None]);
        // One that was told to end and has not yet ended makes no room twice.
        let _fourth = take(&all, "192.0.2.1", &[]).await.unwrap();
        assert_eq!(ended(&third), Some(End::Now));
        assert_eq!(ended(&other), None);
    }

    #[tokio::test]
    async fn places_given_back_leave_no_trace() {
        let all = connections(2);
        drop(take(&all, "192.0.2.1", &[]).await.unwrap());
        assert!(all.open.lock().sources.is_empty());
        all.ended().await;
    }

    #[tokio::test]
    async fn where_there_is_no_room_the_longest_idle_connection_ends_for_the_next() {
        let all = connections(8);
        let mut places = Vec::new();
        for _ in 0..8 {
            places.push(take(&all, "192.0.2.1", &[]).await.unwrap());
        }
        let busy = places[0].activity.request(false);
        all.look_round();
        drop(places[1].activity.request(false));
        let waiting = take(&all, "192.0.2.2", &[]);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let ended = |place: &Place| place.activity.state.lock().overdue(1, IDLE);
        let marked: Vec<_> = places.iter().map(ended).collect();
        assert_eq!(marked[2], Some(End::Now), "the first that was never asked");
        assert_eq!(marked.iter().flatten().count(), 1);
        drop(places.remove(2));
        assert!(waiting.await.is_some());
        drop(busy);
    }

    #[tokio::test]
    async fn a_silent_connection_ends_by_the_limit_of_a_head() {
        let (all, place) = one().await;
        assert_eq!(rounds(&all, &place), Some((HEAD_SECONDS + 1, End::Now)));
    }

    #[tokio::test]
    async fn an_idle_connection_ends_after_its_rest_whatever_it_speaks() {
        for multiplexed in [false, true] {
            let (all, place) = one().await;
            let answering = place.activity.request(multiplexed);
            assert_eq!(rounds(&all, &place), None, "a request is being answered");
            drop(answering);
            assert_eq!(rounds(&all, &place), Some((IDLE + 1, End::Idle)));
            place.activity.closing();
            assert_eq!(rounds(&all, &place), Some((CLOSE_SECONDS + 1, End::Now)));
        }
    }

    #[tokio::test]
    async fn half_a_later_head_ends_by_the_limit_of_a_head() {
        let (all, place) = one().await;
        drop(place.activity.request(false));
        place.activity.arrived();
        assert_eq!(rounds(&all, &place), Some((HEAD_SECONDS + 1, End::Now)));
        // Bytes of a protocol that mixes requests tell nothing.
        let (all, place) = one().await;
        drop(place.activity.request(true));
        place.activity.arrived();
        assert_eq!(rounds(&all, &place), Some((IDLE + 1, End::Idle)));
    }

    #[tokio::test]
    async fn a_body_that_is_not_taken_ends_its_connection_though_others_go_on() {
        let (all, place) = one().await;
        let answering = place.activity.request(true);
        let mut body = answering.body(Full::new(bytes::Bytes::from_static(b"body")));
        drop(answering);
        for _ in 0..WRITE_SECONDS {
            all.look_round();
            drop(place.activity.request(true));
        }
        assert_eq!(rounds(&all, &place), Some((1, End::Now)));
        // Whoever takes a part has time for the next.
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_ready());
        assert_eq!(rounds(&all, &place), Some((WRITE_SECONDS + 1, End::Now)));
        drop(body);
        assert_eq!(rounds(&all, &place), Some((IDLE + 1, End::Idle)));
    }

    /// A body that never comes, after it was waited for once.
    fn held_back(answering: &Answering) -> impl http_body::Body + Unpin + use<> {
        let never = futures_util::stream::pending::<
            Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>,
        >();
        let mut body = answering.awaited(http_body_util::StreamBody::new(never));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        body
    }

    #[tokio::test]
    async fn a_request_whose_body_is_held_back_makes_room_for_another_caller() {
        for multiplexed in [false, true] {
            let all = connections(8);
            let mut places = Vec::new();
            for n in 1..=8 {
                let peer = format!("192.0.2.{n}");
                places.push(take(&all, &peer, &[]).await.unwrap());
            }
            let requests: Vec<_> = places
                .iter()
                .map(|place| place.activity.request(multiplexed))
                .collect();
            // The first is being answered; the second, beside its body, another request; the others wait for bodies.
            let _beside = places[1].activity.request(multiplexed);
            let _bodies: Vec<_> = requests.iter().skip(1).map(held_back).collect();
            let ended = |place: &Place| {
                let state = place.activity.state.lock();
                state.overdue(place.activity.now(), IDLE)
            };
            let waiting = take(&all, "192.0.2.9", &[]);
            tokio::pin!(waiting);
            assert!(futures_util::poll!(&mut waiting).is_pending());
            assert_eq!(places.iter().filter_map(ended).count(), 0, "too soon");
            for _ in 0..BODY_SECONDS {
                all.look_round();
                assert!(futures_util::poll!(&mut waiting).is_pending());
            }
            let marked: Vec<_> = places.iter().map(ended).collect();
            assert_eq!(marked[2], Some(End::Now), "the first that only waits");
            assert_eq!(marked.iter().flatten().count(), 1);
            drop(places.remove(2));
            assert!(waiting.await.is_some());
        }
    }

    #[tokio::test]
    async fn bodies_held_back_by_a_source_keep_no_one_else_there_out() {
        let all = connections(2);
        let [first, second] = [(); 2].map(|()| take(&all, "192.0.2.1", &[]));
        let places = [first.await.unwrap(), second.await.unwrap()];
        let requests = [0, 1].map(|n| places[n].activity.request(false));
        let bodies = requests.each_ref().map(held_back);
        assert!(take(&all, "192.0.2.1", &[]).await.is_none());
        for _ in 0..BODY_SECONDS {
            all.look_round();
        }
        let third = take(&all, "192.0.2.1", &[]).await.unwrap();
        assert!(third.share.made_room());
        // A body that came meanwhile is answered first.
        drop(bodies);
        let state = places[0].activity.state.lock();
        assert_eq!(state.overdue(places[0].activity.now(), IDLE), None);
    }

    #[tokio::test]
    async fn a_body_we_are_still_making_is_not_its_readers_fault() {
        let (all, place) = one().await;
        let endless = futures_util::stream::pending::<
            Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>,
        >();
        let mut body = place
            .activity
            .request(false)
            .body(http_body_util::StreamBody::new(endless));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        assert_eq!(rounds(&all, &place), None);
    }

    #[tokio::test]
    async fn bytes_that_are_not_taken_end_their_connection() {
        let (all, place) = one().await;
        let (near, mut far) = tokio::io::duplex(4);
        let mut stream = Watched::new(near, Arc::clone(&place.activity));
        drop(place.activity.request(false));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        stream.write_all(b"1234").await.unwrap();
        assert!(Pin::new(&mut stream).poll_write(&mut cx, b"5").is_pending());
        assert_eq!(rounds(&all, &place), Some((WRITE_SECONDS + 1, End::Now)));
        let mut taken = [0; 4];
        tokio::io::AsyncReadExt::read_exact(&mut far, &mut taken)
            .await
            .unwrap();
        assert!(Pin::new(&mut stream).poll_write(&mut cx, b"5").is_ready());
        drop(place.activity.request(false));
        assert_eq!(rounds(&all, &place), Some((IDLE + 1, End::Idle)));
    }
}
