//! Good histories pass; each kind of bad one is found. Times are small numbers for the eye.

use super::*;
use Operation::{Delete, Disable, Enable, Generate, Restrict, Revoke};
use ViolationKind as Kind;

const GST: Product = 0;
const INVOICE: Product = 1;

fn event(span: (Nanos, Nanos), operation: Operation, outcome: Outcome) -> Event {
    Event {
        client: 1,
        operation,
        invoked: span.0,
        returned: span.1,
        outcome,
    }
}

/// A generate that handed out token number `generation`.
fn made(span: (Nanos, Nanos), generation: u64) -> Event {
    let token = u32::try_from(generation).unwrap();
    event(span, Generate, Outcome::Generated { token, generation })
}

fn done(span: (Nanos, Nanos), operation: Operation) -> Event {
    event(span, operation, Outcome::Done)
}

fn broken(span: (Nanos, Nanos), operation: Operation) -> Event {
    event(span, operation, Outcome::Broken)
}

fn refused(span: (Nanos, Nanos), operation: Operation, code: &str) -> Event {
    event(span, operation, Outcome::Refused(code.to_owned()))
}

fn yes(span: (Nanos, Nanos), token: TokenId) -> Event {
    yes_for(span, token, GST)
}

fn yes_for(span: (Nanos, Nanos), token: TokenId, product: Product) -> Event {
    event(
        span,
        Operation::Check { token, product },
        Outcome::Permitted,
    )
}

fn no(span: (Nanos, Nanos), token: TokenId, code: &str) -> Event {
    let check = Operation::Check {
        token,
        product: GST,
    };
    event(span, check, Outcome::Denied(code.to_owned()))
}

#[track_caller]
fn good(history: &[Event]) {
    let violations = super::check(history).violations;
    assert!(violations.is_empty(), "{}", violations[0]);
}

#[track_caller]
fn bad(kind: ViolationKind, history: &[Event]) {
    let violations = super::check(history).violations;
    let kinds: Vec<_> = violations.iter().map(|violation| violation.kind).collect();
    assert!(kinds.contains(&kind), "{kind:?} not among {kinds:?}");
}

#[test]
fn a_plain_life_is_good() {
    good(&[
        made((10, 20), 1),
        yes((21, 22), 1),
        made((30, 40), 2),
        no((41, 42), 1, "TOKEN_SUPERSEDED"),
        yes((41, 42), 2),
        done((50, 60), Disable),
        no((61, 62), 2, "CLIENT_DISABLED"),
        refused((61, 62), Generate, "CLIENT_DISABLED"),
        done((70, 80), Enable),
        yes((81, 82), 2),
        done((90, 100), Restrict(ProductSet::of(&[INVOICE]))),
        no((101, 102), 2, "PRODUCT_NOT_ALLOWED"),
        yes_for((101, 102), 2, INVOICE),
        done((110, 120), Revoke),
        no((121, 122), 2, "TOKEN_REVOKED"),
        made((130, 140), 3),
        done((150, 160), Delete),
        no((161, 162), 3, "CLIENT_DELETED"),
        refused((161, 162), Generate, "CLIENT_DELETED"),
    ]);
}

#[test]
fn while_a_change_is_unanswered_either_verdict_is_good() {
    let around = (25, 35);
    for change in [Revoke, Delete] {
        good(&[
            made((10, 20), 1),
            done((30, 40), change),
            yes(around, 1),
            no(around, 1, "ACCESS_TOKEN_UNKNOWN"),
        ]);
    }
    good(&[
        made((10, 20), 1),
        made((30, 40), 2),
        yes((32, 34), 1),
        no((32, 34), 1, "TOKEN_SUPERSEDED"),
        done((50, 60), Disable),
        yes((55, 57), 2),
        no((55, 57), 2, "CLIENT_DISABLED"),
    ]);
}

#[test]
fn overlapping_generates_are_good_in_either_order() {
    good(&[made((10, 40), 2), made((20, 30), 1), yes((41, 42), 2)]);
    good(&[
        made((10, 40), 1),
        made((20, 30), 2),
        no((41, 42), 1, "TOKEN_SUPERSEDED"),
    ]);
}

#[test]
fn no_verdict_is_judged_by_nobody_but_counted() {
    let check = Operation::Check {
        token: 1,
        product: GST,
    };
    let report = super::check(&[
        made((10, 20), 1),
        event((30, 40), check, Outcome::Unavailable),
        event((30, 40), check, Outcome::Broken),
        event((50, 60), Revoke, Outcome::Unavailable),
    ]);
    assert!(report.violations.is_empty());
    assert_eq!(
        (report.without_verdict, report.unknown, report.changed),
        (2, 1, 1)
    );
}

#[test]
fn a_change_of_unknown_outcome_may_happen_until_the_next_answered_one() {
    // Either verdict, long after the connection broke.
    for verdict in [yes((90, 91), 1), no((90, 91), 1, "TOKEN_SUPERSEDED")] {
        good(&[made((10, 20), 1), broken((30, 40), Generate), verdict]);
    }
    for verdict in [yes((90, 91), 1), no((90, 91), 1, "CLIENT_DISABLED")] {
        good(&[made((10, 20), 1), broken((30, 40), Disable), verdict]);
    }
    // An answered generate settles it: the one of unknown outcome lies in the past.
    bad(
        Kind::DeniedWhileGood,
        &[
            made((10, 20), 1),
            broken((30, 40), Generate),
            made((50, 60), 3),
            no((90, 91), 3, "TOKEN_SUPERSEDED"),
        ],
    );
    // And one that may never have happened excuses nothing the answered one forbids.
    bad(
        Kind::AcceptedAfterItsEnd,
        &[
            made((10, 20), 1),
            broken((30, 40), Generate),
            done((50, 60), Revoke),
            yes((90, 91), 1),
        ],
    );
}

#[test]
fn finds_a_token_accepted_after_its_end() {
    for end in [
        made((30, 40), 2),
        done((30, 40), Revoke),
        done((30, 40), Delete),
    ] {
        bad(
            Kind::AcceptedAfterItsEnd,
            &[made((10, 20), 1), end, yes((41, 42), 1)],
        );
    }
}

#[test]
fn finds_the_older_of_two_overlapping_generates_accepted() {
    bad(
        Kind::AcceptedAfterItsEnd,
        &[made((10, 40), 1), made((20, 30), 2), yes((41, 42), 1)],
    );
}

#[test]
fn finds_a_token_accepted_while_disabled() {
    bad(
        Kind::AcceptedWhileDisabled,
        &[
            made((10, 20), 1),
            done((30, 40), Disable),
            yes((41, 42), 1),
            done((50, 60), Enable),
        ],
    );
}

#[test]
fn finds_a_forbidden_product_accepted() {
    let restrict = Restrict(ProductSet::of(&[INVOICE]));
    bad(
        Kind::AcceptedForbiddenProduct,
        &[
            made((10, 20), 1),
            done((30, 40), restrict),
            yes((41, 42), 1),
        ],
    );
}

#[test]
fn finds_an_acceptance_that_mixes_two_states() {
    // Restricted while disabled, then enabled: at no instant was GST open. The check overlaps both.
    let restrict = Restrict(ProductSet::of(&[INVOICE]));
    bad(
        Kind::AcceptedByNoSingleState,
        &[
            made((10, 20), 1),
            done((30, 40), Disable),
            done((60, 70), restrict),
            done((80, 90), Enable),
            yes((65, 85), 1),
        ],
    );
}

#[test]
fn finds_a_fresh_token_denied() {
    bad(
        Kind::DeniedWhileGood,
        &[made((10, 20), 1), no((21, 22), 1, "ACCESS_TOKEN_UNKNOWN")],
    );
    let enabled_again = [
        made((10, 20), 1),
        done((30, 40), Disable),
        done((50, 60), Enable),
        no((61, 62), 1, "CLIENT_DISABLED"),
    ];
    bad(Kind::DeniedWhileGood, &enabled_again);
}

#[test]
fn finds_a_denial_for_a_false_reason() {
    let disabled = [made((10, 20), 1), done((30, 40), Disable)];
    for code in [
        "TOKEN_SUPERSEDED",
        "CLIENT_DELETED",
        "PRODUCT_NOT_ALLOWED",
        "WHATEVER",
    ] {
        let mut history = disabled.to_vec();
        history.push(no((41, 42), 1, code));
        bad(Kind::DeniedForAFalseReason, &history);
    }
}

#[test]
fn finds_generates_that_succeed_or_fail_against_the_state() {
    bad(
        Kind::GeneratedForbidden,
        &[done((30, 40), Delete), made((41, 42), 1)],
    );
    bad(
        Kind::GeneratedForbidden,
        &[done((30, 40), Disable), made((41, 42), 1)],
    );
    bad(
        Kind::RefusedForAFalseReason,
        &[refused((10, 20), Generate, "CLIENT_DISABLED")],
    );
    bad(
        Kind::RefusedForAFalseReason,
        &[refused((10, 20), Generate, "CLIENT_SECRET_INVALID")],
    );
    good(&[refused((10, 20), Generate, "QUOTA_EXCEEDED")]);
}

#[test]
fn finds_generations_that_disagree_with_time() {
    bad(
        Kind::GenerationOutOfOrder,
        &[made((10, 20), 2), made((30, 40), 1)],
    );
    let again = event(
        (30, 40),
        Generate,
        Outcome::Generated {
            token: 9,
            generation: 1,
        },
    );
    bad(Kind::GenerationRepeated, &[made((10, 20), 1), again]);
}

#[test]
fn finds_a_token_handed_out_twice() {
    let again = event(
        (30, 40),
        Generate,
        Outcome::Generated {
            token: 1,
            generation: 2,
        },
    );
    bad(Kind::TokenRepeated, &[made((10, 20), 1), again]);
}

#[test]
fn finds_two_live_tokens_once_all_is_quiet() {
    bad(
        Kind::TwoLiveTokens,
        &[
            made((10, 20), 1),
            made((12, 22), 2),
            yes((41, 42), 1),
            yes((43, 44), 2),
        ],
    );
}

#[test]
fn finds_a_token_from_nowhere() {
    bad(Kind::TokenFromNowhere, &[yes((10, 20), 7)]);
}

#[test]
fn clients_do_not_excuse_each_other() {
    let mut other = done((30, 40), Revoke);
    other.client = 2;
    bad(
        Kind::DeniedWhileGood,
        &[made((10, 20), 1), other, no((41, 42), 1, "TOKEN_REVOKED")],
    );
}
