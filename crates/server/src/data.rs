//! What every act may touch: the store, the keys, the settings and the figures.

use crate::audit::detail;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::metering::admin_uses::AdminUses;
use crate::metering::counts::Counts;
use crate::metering::denials::Denials;
use crate::metering::metrics::Metrics;
use crate::metering::usage::Usage;
use crate::request_id;
use crate::traces::{self, Traces, Waited};
use std::sync::{Arc, OnceLock};
use tokenward_core::time::Clock;
use tokenward_core::{Keyring, Replica};
use tokenward_store::people::Record;
use tokenward_store::{Decided, Failure, ReadSet, Reader, Store, StoreError, View};

/// The store, the keys, the settings and the figures of the running server.
pub struct Data {
    /// The store.
    pub store: Store<SystemClock>,
    /// The keys digests are made with.
    pub keyring: Arc<Keyring>,
    /// The configuration, resolved.
    pub config: Config,
    /// What is counted.
    pub metrics: Metrics,
    /// Uses not yet written.
    pub(crate) usage: Usage,
    /// When admin keys were last used.
    pub(crate) admin_uses: AdminUses,
    /// Counts not yet written.
    pub counts: Counts,
    /// The latest denials.
    pub(crate) denials: Denials,
    /// Traces of requests, where they are sent somewhere.
    pub(crate) traces: OnceLock<Traces>,
}

impl Data {
    /// Over an open store.
    #[must_use]
    pub fn new(store: Store<SystemClock>, config: Config) -> Self {
        Self {
            keyring: Arc::clone(store.keyring()),
            store,
            config,
            metrics: Metrics::new(),
            usage: Usage::default(),
            admin_uses: AdminUses::default(),
            counts: Counts::default(),
            denials: Denials::default(),
            traces: OnceLock::new(),
        }
    }

    /// Takes a decision ([`Store::decide`]). The audit entries of what was decided name the request it was taken for.
    ///
    /// # Errors
    /// What the decision refuses with, inside; outside, why it was not taken or may not have been written.
    pub async fn decide<T, E, F>(
        &self,
        wants: ReadSet,
        decision: F,
    ) -> Result<Result<T, E>, Failure>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&View) -> Result<(Decided, T), E> + Send + 'static,
    {
        let request = request_id::current();
        let traced = self.traces.get().zip(traces::current());
        let waited = traced.map(|_| Arc::new(Waited::begin()));
        let mine = waited.clone();
        let stamped = move |view: &View| {
            if let Some(waited) = mine {
                waited.is_taken();
            }
            let (mut decided, answer) = decision(view)?;
            if let Some(request) = request {
                for entry in &mut decided.audit {
                    entry.detail = detail::stamped(&entry.detail, request);
                }
            }
            Ok((decided, answer))
        };
        let began = self.clock().boot();
        let decided = self.store.decide(wants, stamped).await;
        if matches!(decided, Ok(Ok(_))) {
            let nanoseconds = self.clock().boot().0.saturating_sub(began.0);
            self.metrics.committed(nanoseconds as f64 / 1e9);
        }
        if let (Some((traces, span)), Some(waited)) = (traced, waited) {
            traces.decided(span, &waited, decided.is_err());
        }
        decided
    }

    /// Reads what proves who a caller is, in the order of a check: the lease, the rows, the clock. Without a lease the rows may be
    /// older than what another node has answered: a revoked admin key, an ended session.
    ///
    /// # Errors
    /// Those of the read; [`StoreError::Unavailable`] when the lease ended before the read did.
    pub async fn proving<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let lease = self.replica().lease().read();
        let found = read.await?;
        if lease.covers(|| self.clock().boot()) {
            return Ok(found);
        }
        Err(StoreError::Unavailable(
            "this node has no lease, so it cannot tell who a caller is".into(),
        ))
    }

    /// Reading for people and programs.
    pub(crate) fn reader(&self) -> &Reader {
        self.store.reader()
    }

    /// Writes records ([`Store::note`]).
    pub(crate) async fn note(&self, records: Vec<Record>) -> Result<(), Failure> {
        self.store.note(records, Vec::new()).await
    }

    /// The replica that answers checks.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        self.store.replica()
    }

    /// The nodes on the database, this one among them.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        u32::try_from(self.store.nodes_seen()).unwrap_or(u32::MAX)
    }

    /// The clocks.
    #[must_use]
    pub fn clock(&self) -> SystemClock {
        SystemClock
    }

    /// Today in UTC, in days since 1970-01-01.
    #[must_use]
    pub fn today(&self) -> u32 {
        self.clock().wall().utc_day()
    }

    /// The hour in UTC, counted from 1970-01-01.
    #[must_use]
    pub fn hour(&self) -> u32 {
        u32::try_from(self.clock().wall().unix_seconds() / 3_600).unwrap_or(0)
    }
}
