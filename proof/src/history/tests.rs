//! Good histories pass; each kind of bad one is found.
//!
//! A history is a line of events (a line that ends in `;` goes on in the next): the span, in small numbers for the eye, and
//! `made` with the generation and `as` another token, `yes` or `no` with the token, or a change, which is done unless it is
//! `broken`, `unavailable` or `refused`. `Restrict` leaves the product INVOICE; checks are for GST unless they name another.

use super::*;

const GST: Product = 0;
const INVOICE: Product = 1;

const GOOD: &str = "
# A plain life.
10-20 made 1; 21-22 yes 1; 30-40 made 2; 41-42 no 1 TOKEN_SUPERSEDED; 41-42 yes 2;
50-60 Disable; 61-62 no 2 CLIENT_DISABLED; 61-62 Generate refused CLIENT_DISABLED; 70-80 Enable; 81-82 yes 2;
90-100 Restrict; 101-102 no 2 PRODUCT_NOT_ALLOWED; 101-102 yes 2 INVOICE; 110-120 Revoke; 121-122 no 2 TOKEN_REVOKED;
130-140 made 3; 150-160 Delete; 161-162 no 3 CLIENT_DELETED; 161-162 Generate refused CLIENT_DELETED
# While a change is unanswered either verdict is good.
10-20 made 1; 30-40 Revoke; 25-35 yes 1; 25-35 no 1 ACCESS_TOKEN_UNKNOWN
10-20 made 1; 30-40 Delete; 25-35 yes 1; 25-35 no 1 ACCESS_TOKEN_UNKNOWN
10-20 made 1; 30-40 made 2; 32-34 yes 1; 32-34 no 1 TOKEN_SUPERSEDED; 50-60 Disable; 55-57 yes 2; 55-57 no 2 CLIENT_DISABLED
# Overlapping generates are good in either order.
10-40 made 2; 20-30 made 1; 41-42 yes 2
10-40 made 1; 20-30 made 2; 41-42 no 1 TOKEN_SUPERSEDED
# A change of unknown outcome may happen long after the connection broke.
10-20 made 1; 30-40 Generate broken; 90-91 yes 1
10-20 made 1; 30-40 Generate broken; 90-91 no 1 TOKEN_SUPERSEDED
10-20 made 1; 30-40 Disable broken; 90-91 yes 1
10-20 made 1; 30-40 Disable broken; 90-91 no 1 CLIENT_DISABLED
# A quota is not the client's state.
10-20 Generate refused QUOTA_EXCEEDED";

const BAD: &str = "
# An answered generate settles a change of unknown outcome: it lies in the past.
DeniedWhileGood: 10-20 made 1; 30-40 Generate broken; 50-60 made 3; 90-91 no 3 TOKEN_SUPERSEDED
# And one that may never have happened excuses nothing the answered one forbids.
AcceptedAfterItsEnd: 10-20 made 1; 30-40 Generate broken; 50-60 Revoke; 90-91 yes 1
AcceptedAfterItsEnd: 10-20 made 1; 30-40 made 2; 41-42 yes 1
AcceptedAfterItsEnd: 10-20 made 1; 30-40 Revoke; 41-42 yes 1
AcceptedAfterItsEnd: 10-20 made 1; 30-40 Delete; 41-42 yes 1
# The older of two overlapping generates.
AcceptedAfterItsEnd: 10-40 made 1; 20-30 made 2; 41-42 yes 1
AcceptedWhileDisabled: 10-20 made 1; 30-40 Disable; 41-42 yes 1; 50-60 Enable
AcceptedForbiddenProduct: 10-20 made 1; 30-40 Restrict; 41-42 yes 1
# Restricted while disabled, then enabled: at no instant was GST open. The check overlaps both.
AcceptedByNoSingleState: 10-20 made 1; 30-40 Disable; 60-70 Restrict; 80-90 Enable; 65-85 yes 1
DeniedWhileGood: 10-20 made 1; 21-22 no 1 ACCESS_TOKEN_UNKNOWN
DeniedWhileGood: 10-20 made 1; 30-40 Disable; 50-60 Enable; 61-62 no 1 CLIENT_DISABLED
DeniedForAFalseReason: 10-20 made 1; 30-40 Disable; 41-42 no 1 TOKEN_SUPERSEDED
DeniedForAFalseReason: 10-20 made 1; 30-40 Disable; 41-42 no 1 CLIENT_DELETED
DeniedForAFalseReason: 10-20 made 1; 30-40 Disable; 41-42 no 1 PRODUCT_NOT_ALLOWED
DeniedForAFalseReason: 10-20 made 1; 30-40 Disable; 41-42 no 1 WHATEVER
GeneratedForbidden: 30-40 Delete; 41-42 made 1
GeneratedForbidden: 30-40 Disable; 41-42 made 1
RefusedForAFalseReason: 10-20 Generate refused CLIENT_DISABLED
RefusedForAFalseReason: 10-20 Generate refused CLIENT_SECRET_INVALID
GenerationOutOfOrder: 10-20 made 2; 30-40 made 1
GenerationRepeated: 10-20 made 1; 30-40 made 1 as 9
TokenRepeated: 10-20 made 1; 30-40 made 2 as 1
# Once all is quiet.
TwoLiveTokens: 10-20 made 1; 12-22 made 2; 41-42 yes 1; 43-44 yes 2
TokenFromNowhere: 10-20 yes 7
# Clients do not excuse each other.
DeniedWhileGood: 10-20 made 1; 30-40 Revoke by-another; 41-42 no 1 TOKEN_REVOKED";

fn event(text: &str) -> Event {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (invoked, returned) = words[0].split_once('-').expect("a span");
    let number = |text: &str| -> u32 { text.parse().expect("a number") };
    let check = |token, product| Operation::Check { token, product };
    let made = |generation: &str, token| Outcome::Generated {
        token,
        generation: u64::from(number(generation)),
    };
    let (operation, outcome) = match words[1..] {
        ["made", generation] => (Operation::Generate, made(generation, number(generation))),
        ["made", generation, "as", token] => (Operation::Generate, made(generation, number(token))),
        ["yes", token] => (check(number(token), GST), Outcome::Permitted),
        ["yes", token, "INVOICE"] => (check(number(token), INVOICE), Outcome::Permitted),
        ["yes", token, "broken"] => (check(number(token), GST), Outcome::Broken),
        ["yes", token, "unavailable"] => (check(number(token), GST), Outcome::Unavailable),
        ["no", token, code] => (check(number(token), GST), Outcome::Denied(code.to_owned())),
        [change, ref rest @ ..] => {
            let change = match change {
                "Generate" => Operation::Generate,
                "Revoke" => Operation::Revoke,
                "Delete" => Operation::Delete,
                "Disable" => Operation::Disable,
                "Enable" => Operation::Enable,
                "Restrict" => Operation::Restrict(ProductSet::of(&[INVOICE])),
                _ => panic!("{text}"),
            };
            let outcome = match rest {
                [] | ["by-another"] => Outcome::Done,
                ["broken"] => Outcome::Broken,
                ["unavailable"] => Outcome::Unavailable,
                ["refused", code] => Outcome::Refused((*code).to_owned()),
                _ => panic!("{text}"),
            };
            (change, outcome)
        }
        [] => panic!("{text}"),
    };
    Event {
        client: if words.contains(&"by-another") { 2 } else { 1 },
        operation,
        invoked: u64::from(number(invoked)),
        returned: u64::from(number(returned)),
        outcome,
    }
}

fn judged(history: &str) -> Report {
    let events: Vec<Event> = history.split(';').map(event).collect();
    super::check(&events)
}

/// The histories of a table, each on one line.
fn lines(table: &str) -> Vec<String> {
    let table = table.replace(";\n", "; ");
    let lines = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn good_histories_pass() {
    for history in lines(GOOD) {
        let violations = judged(&history).violations;
        assert!(violations.is_empty(), "{history}: {}", violations[0]);
    }
}

#[test]
fn each_kind_of_bad_history_is_found() {
    for line in lines(BAD) {
        let (kind, history) = line.split_once(": ").expect("a kind and a history");
        let found = judged(history).violations;
        let kinds: Vec<String> = found.iter().map(|one| format!("{:?}", one.kind)).collect();
        assert!(kinds.iter().any(|found| found == kind), "{line}: {kinds:?}");
    }
}

#[test]
fn no_verdict_is_judged_by_nobody_but_counted() {
    let history =
        "10-20 made 1; 30-40 yes 1 unavailable; 30-40 yes 1 broken; 50-60 Revoke unavailable";
    let report = judged(history);
    assert!(report.violations.is_empty());
    let counted = (report.without_verdict, report.unknown, report.changed);
    assert_eq!(counted, (2, 1, 1));
}
