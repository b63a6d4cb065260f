//! Small things every test needs: a clock, bytes that never repeat, settings, an audit entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokenward_core::audit::{Actor, Entry};
use tokenward_core::change::Change;
use tokenward_core::client::{OnRepeat, Settings};
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_core::generate::Fresh;
use tokenward_core::ids::ClientId;
use tokenward_core::label::{Label, Name};
use tokenward_core::restrictions::Networks;
use tokenward_core::time::{BootInstant, Clock, MICROS_PER_SECOND, Timestamp};
use tokenward_store::Decided;
use uuid::Uuid;

pub(crate) const START: Timestamp = Timestamp(1_795_428_930 * MICROS_PER_SECOND);
pub(crate) const HOME: &str = "10.1.2.3";

/// Absolute time stands where it is set; elapsed time is real, for leases must really end.
#[derive(Debug)]
pub(crate) struct TestClock {
    wall: AtomicI64,
    /// Nanoseconds by which elapsed time is ahead of the real.
    ahead: AtomicU64,
}

impl Default for TestClock {
    fn default() -> Self {
        Self {
            wall: AtomicI64::new(START.0),
            ahead: AtomicU64::new(0),
        }
    }
}

impl TestClock {
    pub(crate) fn wait(&self, seconds: i64) {
        self.wall
            .fetch_add(seconds * MICROS_PER_SECOND, Ordering::SeqCst);
    }

    /// Lets elapsed time jump.
    pub(crate) fn skip(&self, time: Duration) {
        self.ahead
            .fetch_add(u64::try_from(time.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }
    fn boot(&self) -> BootInstant {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let real = time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned();
        BootInstant(real + self.ahead.load(Ordering::SeqCst))
    }
}

/// Bytes that never repeat in one process of tests.
pub(crate) fn draw<const N: usize>() -> [u8; N] {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let mut state = DRAWN
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut out = [0; N];
    for chunk in out.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(mixed ^ mixed >> 31).to_le_bytes()[..chunk.len()]);
    }
    out
}

/// The random bytes of one decision.
pub(crate) fn fresh() -> Fresh {
    Fresh {
        token: draw(),
        nonce: draw(),
    }
}

pub(crate) fn uuid() -> Uuid {
    Uuid::from_bytes(draw())
}

pub(crate) fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::new(vec![DigestKey::new(KeyId(1), [7; 32])]).unwrap())
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// So many seconds after the start.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp(START.0 + second * MICROS_PER_SECOND)
}

pub(crate) fn settings(label: &str) -> Settings {
    Settings {
        label: Label::parse(label).unwrap(),
        products: None,
        token_lifetime_seconds: Some(3600),
        secret_networks: Networks::default(),
        token_networks: Networks::default(),
        notification_emails: Vec::new(),
        on_repeat: OnRepeat::Replace,
        renew_before_seconds: 600,
        handover_max_seconds: 0,
    }
}

pub(crate) fn entry(action: &'static str, client: Option<ClientId>, now: Timestamp) -> Entry {
    let source = Some(HOME.parse().unwrap());
    let detail = r#"{"by":"a test, läßt grüßen"}"#.to_owned();
    Entry {
        at: now,
        actor: Actor::System,
        source,
        action,
        workspace: None,
        client,
        detail,
    }
}

/// What a decision writes, with the audit entry it needs.
pub(crate) fn audited(changes: Vec<Change>, now: Timestamp) -> Decided {
    match changes.is_empty() {
        true => Decided::nothing(),
        false => Decided::changes(changes, entry("test", None, now)),
    }
}
