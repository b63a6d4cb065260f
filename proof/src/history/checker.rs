//! The black-box checker, O(n log n) in the number of events.
//!
//! It asks of every verdict whether *one* instant between sending the check and reading its answer
//! exists at which everything the verdict needs may have held (see [`super::client`]): for an
//! acceptance the token, the client, the switch and the product at once; for a denial at least one
//! of their opposites. It is sound: whatever an honest server can show passes. Verdicts of 503 are
//! counted and judged by nobody.

use std::collections::HashMap;
use std::fmt;
use std::ops::AddAssign;

use serde::Serialize;

use super::client::Knowledge;
use super::event::{Event, Nanos, Operation, Outcome, TokenId};
use super::intervals::Interval;
use super::violation::{Violation, ViolationKind};

/// What a history held, and every promise it shows broken.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Events in all.
    pub events: u64,
    /// Checks answered 200.
    pub accepted: u64,
    /// Checks answered 401 or 403.
    pub denied: u64,
    /// Checks without a verdict: 503, or no answer.
    pub without_verdict: u64,
    /// Changes answered with success.
    pub changed: u64,
    /// Changes answered with a final no.
    pub refused: u64,
    /// Changes of which nobody knows whether they happened.
    pub unknown: u64,
    /// Broken promises.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Counts events without judging them.
    #[must_use]
    pub fn counting(events: &[Event]) -> Report {
        let mut report = Report::default();
        events.iter().for_each(|event| report.count(event));
        report
    }

    /// Whether a kind of violation was found.
    #[must_use]
    pub fn found(&self, kind: ViolationKind) -> bool {
        self.violations
            .iter()
            .any(|violation| violation.kind == kind)
    }

    fn count(&mut self, event: &Event) {
        let counter = match (&event.outcome, event.is_change()) {
            (Outcome::Permitted, _) => &mut self.accepted,
            (Outcome::Denied(_), _) => &mut self.denied,
            (Outcome::Unavailable | Outcome::Broken, false) => &mut self.without_verdict,
            (Outcome::Unavailable | Outcome::Broken, true) => &mut self.unknown,
            (Outcome::Generated { .. } | Outcome::Done, _) => &mut self.changed,
            (Outcome::Refused(_), _) => &mut self.refused,
        };
        counter.add_assign(1);
        self.events += 1;
    }

    fn accuse(&mut self, kind: ViolationKind, events: &[&Event]) {
        self.violations.push(Violation::new(kind, events));
    }
}

/// Every violation, and a line of figures.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(formatter, "{violation}")?;
        }
        write!(
            formatter,
            "{} events: {} accepted, {} denied, {} without verdict, {} changed, {} refused, {} unknown; {} violations",
            self.events,
            self.accepted,
            self.denied,
            self.without_verdict,
            self.changed,
            self.refused,
            self.unknown,
            self.violations.len()
        )
    }
}

/// Judges a whole history, in any order, of any number of clients.
#[must_use]
pub fn check(history: &[Event]) -> Report {
    let mut report = Report::counting(history);
    let mut clients: HashMap<u32, Vec<&Event>> = HashMap::new();
    for event in history {
        clients.entry(event.client).or_default().push(event);
    }
    let mut numbers: Vec<_> = clients.keys().copied().collect();
    numbers.sort_unstable();
    for number in numbers {
        let events = &clients[&number];
        generations(events, &mut report);
        let mut knowledge = Knowledge::of(events);
        for event in events {
            judge(event, &mut knowledge, events, &mut report);
        }
        one_live_token(events, &mut report);
    }
    report
}

fn judge(event: &Event, knowledge: &mut Knowledge<'_>, all: &[&Event], report: &mut Report) {
    let window = Interval::new(event.invoked, event.returned);
    match (event.operation, &event.outcome) {
        (Operation::Check { token, product }, Outcome::Permitted) => {
            let Some(&(time, origin)) = knowledge.tokens.get(&token) else {
                return report.accuse(ViolationKind::TokenFromNowhere, &[event]);
            };
            let live = time.and(window);
            let exists = knowledge.exists.meets(window);
            let enabled = knowledge.enabled.meets(window);
            let product = knowledge.product(product);
            if product.open.meets(live) {
                return;
            }
            let kind = if live.is_empty() || !exists {
                ViolationKind::AcceptedAfterItsEnd
            } else if !enabled {
                ViolationKind::AcceptedWhileDisabled
            } else if !product.allowed.meets(window) {
                ViolationKind::AcceptedForbiddenProduct
            } else {
                ViolationKind::AcceptedByNoSingleState
            };
            let mut evidence = vec![event, origin];
            evidence.extend(ender(all, time));
            report.accuse(kind, &evidence);
        }
        (Operation::Check { token, product }, Outcome::Denied(code)) => {
            let Some(&(time, origin)) = knowledge.tokens.get(&token) else {
                return report.accuse(ViolationKind::TokenFromNowhere, &[event]);
            };
            let ended = knowledge.may_not_be_live(time, window);
            let deleted = knowledge.deleted.meets(window);
            let disabled = knowledge.disabled.meets(window);
            let forbidden = knowledge.product(product).forbidden.meets(window);
            let reason_holds = match code.as_str() {
                "TOKEN_SUPERSEDED" | "TOKEN_REVOKED" | "ACCESS_TOKEN_UNKNOWN" => ended || deleted,
                "CLIENT_DELETED" => deleted,
                "CLIENT_DISABLED" => disabled,
                "PRODUCT_NOT_ALLOWED" => forbidden,
                _ => false,
            };
            if !(ended || deleted || disabled || forbidden) {
                report.accuse(ViolationKind::DeniedWhileGood, &[event, origin]);
            } else if !reason_holds {
                report.accuse(ViolationKind::DeniedForAFalseReason, &[event, origin]);
            }
        }
        (Operation::Generate, Outcome::Generated { .. })
            if !knowledge.enabled.and(&knowledge.exists).meets(window) =>
        {
            report.accuse(ViolationKind::GeneratedForbidden, &[event]);
        }
        (Operation::Generate, Outcome::Refused(code)) => {
            let reason_holds = match code.as_str() {
                "CLIENT_DELETED" | "CLIENT_SECRET_INVALID" => knowledge.deleted.meets(window),
                "CLIENT_DISABLED" => knowledge.disabled.meets(window),
                _ => true,
            };
            if !reason_holds {
                report.accuse(ViolationKind::RefusedForAFalseReason, &[event]);
            }
        }
        _ => {}
    }
}

/// The change whose answer ended the time in which a token may have been live.
fn ender<'a>(all: &[&'a Event], live: Interval) -> Option<&'a Event> {
    all.iter()
        .copied()
        .find(|event| event.may_have_happened() && event.returned == live.end)
}

/// The generations of answered generates agree with real time, and neither they nor tokens repeat.
fn generations(events: &[&Event], report: &mut Report) {
    let mut generated: Vec<(&Event, TokenId, u64)> = events
        .iter()
        .filter_map(|&event| match event.outcome {
            Outcome::Generated { token, generation } => Some((event, token, generation)),
            _ => None,
        })
        .collect();
    let mut by_generation: HashMap<u64, &Event> = HashMap::new();
    let mut by_token: HashMap<TokenId, &Event> = HashMap::new();
    for &(event, token, generation) in &generated {
        if let Some(earlier) = by_generation.insert(generation, event) {
            report.accuse(ViolationKind::GenerationRepeated, &[event, earlier]);
        }
        if let Some(earlier) = by_token.insert(token, event) {
            report.accuse(ViolationKind::TokenRepeated, &[event, earlier]);
        }
    }
    let mut answered = generated.clone();
    answered.sort_by_key(|(event, ..)| event.returned);
    generated.sort_by_key(|(event, ..)| event.invoked);
    let mut answered = answered.into_iter().peekable();
    let mut highest: Option<(&Event, u64)> = None;
    for (event, _, generation) in generated {
        while let Some((before, _, its)) =
            answered.next_if(|(before, ..)| before.returned < event.invoked)
        {
            if highest.is_none_or(|(_, most)| its > most) {
                highest = Some((before, its));
            }
        }
        if let Some((before, most)) = highest
            && generation < most
        {
            report.accuse(ViolationKind::GenerationOutOfOrder, &[event, before]);
        }
    }
}

/// Once nothing changes any more, at most one token of a client is accepted.
fn one_live_token(events: &[&Event], report: &mut Report) {
    let quiet: Nanos = events
        .iter()
        .filter(|event| event.may_have_happened())
        .map(|event| event.returned)
        .max()
        .unwrap_or(0);
    let mut live: Option<(TokenId, &Event)> = None;
    for &event in events {
        let Operation::Check { token, .. } = event.operation else {
            continue;
        };
        if event.outcome != Outcome::Permitted || event.invoked < quiet {
            continue;
        }
        match live {
            Some((other, witness)) if other != token => {
                return report.accuse(ViolationKind::TwoLiveTokens, &[event, witness]);
            }
            _ => live = Some((token, event)),
        }
    }
}
