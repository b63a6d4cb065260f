//! What a history can be guilty of.

use std::fmt;

use serde::Serialize;

use super::event::Event;

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum ViolationKind {
    /// A token was accepted after the answer of the operation that ended it.
    AcceptedAfterItsEnd,
    /// A token was accepted although its client was disabled all the while.
    AcceptedWhileDisabled,
    /// A token was accepted for a product its client was restricted from all the while.
    AcceptedForbiddenProduct,
    /// Each part of an acceptance has an excuse, but no single state has them all.
    AcceptedByNoSingleState,
    /// A good token was denied.
    DeniedWhileGood,
    /// A denial named a reason that did not hold.
    DeniedForAFalseReason,
    /// A generate succeeded although its client was deleted or disabled all the while.
    GeneratedForbidden,
    /// A generate was refused for a reason that did not hold.
    RefusedForAFalseReason,
    /// A later generate got a generation not above an earlier one's.
    GenerationOutOfOrder,
    /// Two generates got the same generation.
    GenerationRepeated,
    /// Two generates got the same token.
    TokenRepeated,
    /// Two tokens of one client were accepted when nothing was changing any more.
    TwoLiveTokens,
    /// A token was accepted or denied that no recorded generate has handed out.
    TokenFromNowhere,
}

/// One broken promise with the events that show it.
#[derive(Debug, Clone, Serialize)]
pub struct Violation {
    /// Which promise.
    pub kind: ViolationKind,
    /// The events that show it; the offending one first.
    pub events: Vec<Event>,
}

impl Violation {
    pub(super) fn new(kind: ViolationKind, events: &[&Event]) -> Violation {
        Violation {
            kind,
            events: events.iter().map(|&event| event.clone()).collect(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.kind)?;
        for event in &self.events {
            write!(
                formatter,
                "\n  client {} {:>12}..{:<12} ns  {:?} -> {:?}",
                event.client, event.invoked, event.returned, event.operation, event.outcome
            )?;
        }
        Ok(())
    }
}
