//! What every request handler is handed: the store, the keys, the configuration and the counters.

use crate::clock::SystemClock;
use crate::config::Config;
use crate::counts::Counts;
use crate::metrics::Metrics;
use crate::people::passkeys::Passkeys;
use crate::people::password::Passwords;
use crate::replicas::Marker;
use crate::throttle::Throttle;
use crate::usage::Usage;
use crate::verbs::audit::Verification;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokenward_core::{Keyring, Replica};
use tokenward_store::Store;

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
    /// Counts not yet written.
    pub counts: Counts,
    /// Who has failed too often.
    pub throttle: Throttle,
    /// Whose codes were guessed too often.
    pub codes_throttle: Throttle,
    /// Passkeys asked for and not shown yet.
    pub passkeys: Passkeys,
    /// Where people's passwords are hashed.
    pub passwords: Passwords,
    /// The verification of the audit log under way, of which there is one at a time.
    pub(crate) verification: tokio::sync::Mutex<Verification>,
    /// Tells a successor that replicas may be vouching.
    pub(crate) replicas: Marker,
    stopping: AtomicBool,
}

impl App {
    /// A server over an open store.
    #[must_use]
    pub fn new(store: Store<SystemClock>, keyring: Arc<Keyring>, config: Config) -> Self {
        Self {
            replicas: Marker::in_dir(&config.data_dir),
            store,
            keyring,
            config,
            metrics: Metrics::new(),
            usage: Usage::default(),
            counts: Counts::default(),
            throttle: Throttle::default(),
            codes_throttle: Throttle::for_codes(),
            passkeys: Passkeys::default(),
            passwords: Passwords::default(),
            verification: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
        }
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
