//! What the interfaces are handed: all parts of the running server.

use crate::auth::People;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::replica_marker::Marker;
use crate::data::Data;
use crate::net::Tls;
use crate::net::addresses::{self, Peer};
use crate::net::forwarded::ForwardedIgnored;
use crate::verbs::audit::Verifications;
use crate::verbs::issuance::Issuance;
use http::HeaderMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokenward_core::time::Clock;
use tokenward_store::Store;

/// The running server. An act takes the part it may touch: [`Data`], [`Issuance`] or [`People`].
pub struct App {
    /// What every act may touch.
    pub data: Arc<Data>,
    /// For the holders of client secrets.
    pub issuance: Issuance,
    /// For members and holders of admin keys.
    pub people: People,
    /// Certificates of the listeners, for the metrics.
    pub(crate) tls: OnceLock<[Option<Arc<Tls>>; 2]>,
    forwarded_ignored: ForwardedIgnored,
    /// The verification of the audit log under way, of which there is one at a time.
    pub(crate) verifications: Verifications,
    /// Tells a successor that replicas may be vouching.
    pub(crate) replicas: Marker,
    stopping: AtomicBool,
}

/// Microseconds by which this machine's clock may differ from the database's: from there on, ends of tokens and quota days
/// differ between nodes.
const CLOCK_MAX: u64 = 30_000_000;

impl App {
    /// A server over an open store.
    #[must_use]
    pub fn new(store: Store<SystemClock>, config: Config) -> Self {
        let data = Arc::new(Data::new(store, config));
        Self {
            issuance: Issuance::new(Arc::clone(&data)),
            people: People::new(Arc::clone(&data)),
            tls: OnceLock::new(),
            forwarded_ignored: ForwardedIgnored::default(),
            verifications: Verifications::default(),
            replicas: Marker::in_dir(&data.config.data_dir),
            stopping: AtomicBool::new(false),
            data,
        }
    }

    /// Returns the caller's address: the peer's own, or the one that trusted proxies name; none when it is not known.
    #[must_use]
    pub fn caller_address(&self, peer: impl Into<Peer>, headers: &HeaderMap) -> Option<IpAddr> {
        let (peer, trusted) = (peer.into(), &self.data.config.trusted_proxies);
        self.forwarded_ignored.look(peer, headers, trusted);
        addresses::caller(peer, headers, trusted)
    }

    /// From now on the server is not ready for new work.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether requests should be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let data = &self.data;
        let vouches = data.replica().lease().read().covers(|| data.clock().boot());
        vouches && !self.is_stopping()
    }

    /// Why requests should not be sent here; none when they should.
    #[must_use]
    pub fn not_ready(&self) -> Option<&'static str> {
        if self.is_stopping() {
            return Some("stopping");
        }
        if !self.is_ready() {
            return Some("no lease: the database has not been reached in time");
        }
        let clock = self.data.store.nodes().clock_ahead.unsigned_abs();
        (clock >= CLOCK_MAX)
            .then_some("this machine's clock differs from the database's by 30 s or more")
    }
}
