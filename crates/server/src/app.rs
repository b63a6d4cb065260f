//! What every request handler is handed: the store, the keys, the configuration and the counters.

use crate::audit;
use crate::auth::attempts::Attempts;
use crate::auth::familiar::Familiar;
use crate::auth::passkeys::Passkeys;
use crate::auth::password::Passwords;
use crate::auth::throttle::{Meter, Throttle};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::replica_marker::Marker;
use crate::metering::admin_uses::AdminUses;
use crate::metering::counts::Counts;
use crate::metering::metrics::Metrics;
use crate::metering::reveals::Reveals;
use crate::metering::usage::Usage;
use crate::net::Tls;
use crate::net::addresses::{self, Peer};
use crate::net::forwarded::ForwardedIgnored;
use crate::request_id;
use crate::verbs::audit::Verifications;
use crate::verbs::single_sign_on::Provider;
use http::HeaderMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokenward_core::{Keyring, Replica};
use tokenward_store::{Decided, Failure, ReadSet, Store, View};

/// How long a secret's calls may come faster than `secret_calls_per_second`, if it was idle before.
const SECRET_CALLS_BURST_SECONDS: f64 = 10.0;

/// The running server.
pub struct App {
    /// The store.
    pub store: Store<SystemClock>,
    /// The keys digests are made with.
    pub keyring: Arc<Keyring>,
    /// The configuration, resolved.
    pub config: Config,
    /// What is counted.
    pub metrics: Metrics,
    /// Uses not yet written.
    pub usage: Usage,
    /// When admin keys were last used.
    pub(crate) admin_uses: AdminUses,
    /// Certificates of the listeners, for the metrics.
    pub(crate) tls: OnceLock<[Option<Arc<Tls>>; 2]>,
    /// Counts not yet written.
    pub counts: Counts,
    /// Who has failed too often.
    pub throttle: Throttle,
    /// Whose codes were guessed too often.
    pub codes_throttle: Throttle,
    /// How often each client secret called, by its digest; none without a limit.
    pub secret_calls: Option<Meter<[u8; 32]>>,
    /// Which returns of live tokens were audited today.
    pub reveals: Reveals,
    /// Refused attempts that the audit log is to hold.
    pub(crate) attempts: Attempts,
    forwarded_ignored: ForwardedIgnored,
    /// Failed sign-ins by network.
    pub networks_throttle: Throttle,
    /// Where members signed in lately.
    pub familiar: Familiar,
    /// What the single sign-on provider says about itself.
    pub provider: Provider,
    /// Passkeys asked for and not shown yet.
    pub passkeys: Passkeys,
    /// Where people's passwords are hashed.
    pub passwords: Passwords,
    /// The verification of the audit log under way, of which there is one at a time.
    pub(crate) verifications: Verifications,
    /// Tells a successor that replicas may be vouching.
    pub(crate) replicas: Marker,
    stopping: AtomicBool,
}

impl App {
    /// A server over an open store.
    #[must_use]
    pub fn new(store: Store<SystemClock>, config: Config) -> Self {
        let secret_calls = (config.secret_calls_per_second > 0).then(|| {
            let per_second = f64::from(config.secret_calls_per_second);
            Meter::new(per_second * SECRET_CALLS_BURST_SECONDS, per_second)
        });
        Self {
            secret_calls,
            reveals: Reveals::default(),
            attempts: Attempts::default(),
            forwarded_ignored: ForwardedIgnored::default(),
            replicas: Marker::in_dir(&config.data_dir),
            keyring: Arc::clone(store.keyring()),
            store,
            config,
            metrics: Metrics::new(),
            usage: Usage::default(),
            admin_uses: AdminUses::default(),
            tls: OnceLock::new(),
            counts: Counts::default(),
            throttle: Throttle::default(),
            codes_throttle: Throttle::for_codes(),
            networks_throttle: Throttle::for_networks(),
            familiar: Familiar::default(),
            provider: Provider::default(),
            passkeys: Passkeys::default(),
            passwords: Passwords::default(),
            verifications: Verifications::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Returns the caller's address: the peer's own, or the one that trusted proxies name; none when it is not known.
    #[must_use]
    pub fn caller_address(&self, peer: impl Into<Peer>, headers: &HeaderMap) -> Option<IpAddr> {
        let (peer, trusted) = (peer.into(), &self.config.trusted_proxies);
        self.forwarded_ignored.look(peer, headers, trusted);
        addresses::caller(peer, headers, trusted)
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
        let stamped = move |view: &View| {
            let (mut decided, answer) = decision(view)?;
            if let Some(request) = request {
                for entry in &mut decided.audit {
                    entry.detail = audit::detail::stamped(&entry.detail, request);
                }
            }
            Ok((decided, answer))
        };
        self.store.decide(wants, stamped).await
    }

    /// The replica that answers checks.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        self.store.replica()
    }

    /// The clocks.
    #[must_use]
    pub fn clock(&self) -> SystemClock {
        SystemClock
    }

    /// Today in UTC, in days since 1970-01-01.
    #[must_use]
    pub fn today(&self) -> u32 {
        use tokenward_core::time::Clock;
        self.clock().wall().utc_day()
    }

    /// From now on the server is not ready for new work.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether requests should be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        use tokenward_core::time::Clock;
        let vouches = self.replica().lease().read().covers(|| self.clock().boot());
        vouches && !self.stopping.load(Ordering::SeqCst)
    }
}
