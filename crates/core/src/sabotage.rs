//! Broken on purpose, to test the tests: with the feature `sabotage` one rule of the replica can be
//! switched off, and the proofs must notice. Never part of the product.

use std::sync::atomic::{AtomicU8, Ordering};

/// A rule to break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Sabotage {
    /// A change is answered when the one before it is applied.
    AnswerBeforeApply = 1,
    /// The token before the newest stays good.
    KeepOldToken = 2,
    /// Disabling a client changes nothing.
    IgnoreDisable = 3,
    /// Restrictions stay as they were at creation.
    StaleRestrictions = 4,
}

static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// Breaks the rule of this name from now on; false when there is none of that name.
pub fn choose(name: &str) -> bool {
    let chosen = match name {
        "answer-before-apply" => Sabotage::AnswerBeforeApply,
        "keep-old-token" => Sabotage::KeepOldToken,
        "ignore-disable" => Sabotage::IgnoreDisable,
        "stale-restrictions" => Sabotage::StaleRestrictions,
        _ => return false,
    };
    CHOSEN.store(chosen as u8, Ordering::SeqCst);
    true
}

/// Whether this rule is broken.
pub(crate) fn is(rule: Sabotage) -> bool {
    CHOSEN.load(Ordering::Relaxed) == rule as u8
}
