//! The check in process, one reader, random tokens, beside the hand-written floor and beside verifying
//! an RS256 token.

use super::jwt::Jwt;
use crate::clock::{self, Real, Still};
use crate::floor::Floor;
use crate::population::{self, ISSUED, PRODUCT, Texts};
use crate::report::{Goal, Report};
use crate::rounds;
use std::hint::black_box;
use tokenward_core::time::Clock;
use tokenward_core::verdict::{Facts, Presented, Verdict};
use tokenward_core::{Environment, Replica};

/// Checks in one measurement.
pub(crate) const BATCH: usize = 200_000;
/// Tokens drawn; more than fit into any cache together with what they touch.
pub(crate) const DRAWN: usize = 1_000_000;
/// RS256 verifications in one measurement.
const JWT_BATCH: usize = 500;

/// Nanoseconds of this thread for each of `count` calls.
pub(crate) fn nanos_each(count: usize, run: impl FnOnce()) -> f64 {
    let start = clock::of_thread();
    run();
    (clock::of_thread() - start).as_nanos() as f64 / count as f64
}

/// What the gateway says in every check here.
pub(crate) fn facts() -> Facts<'static> {
    let address = Some(std::net::IpAddr::from([10, 1, 2, 3]));
    Facts {
        environment: Environment::Production,
        product: PRODUCT,
        address,
    }
}

/// Checks `count` tokens from number `start` on; all must pass.
pub(crate) fn check_all(
    replica: &Replica,
    texts: &Texts,
    start: usize,
    count: usize,
    clock: &impl Clock,
) {
    let facts = facts();
    for text in texts.from(start, count) {
        match replica.check(Presented::One(text), black_box(&facts), clock) {
            Verdict::Permit(permit) => drop(black_box(&permit)),
            other => panic!("a live token must pass: {other:?}"),
        }
    }
}

/// A start for the next batch, so that each batch meets other clients.
pub(crate) fn advance(start: &mut usize) -> usize {
    *start += BATCH;
    *start
}

pub(crate) fn run(report: &mut Report, rounds: usize, clients: u32) -> Result<(), String> {
    let replica = population::replica(clients);
    let floor = Floor::new(clients);
    let texts = Texts::draw(clients, DRAWN, 1);
    let jwt = Jwt::new()?;
    let now = ISSUED.plus_seconds(1);
    let mut at = [0; 5];
    let [at_floor, at_check, at_real, at_parse, at_digest] = &mut at;
    let measures = rounds::interleave(
        rounds,
        &mut [
            &mut || {
                let start = advance(at_floor);
                nanos_each(BATCH, || {
                    for text in texts.from(start, BATCH) {
                        assert!(black_box(floor.check(text, now.0)).is_some());
                    }
                })
            },
            &mut || {
                let start = advance(at_check);
                nanos_each(BATCH, || {
                    check_all(&replica, &texts, start, BATCH, &Still(now))
                })
            },
            &mut || {
                let start = advance(at_real);
                nanos_each(BATCH, || check_all(&replica, &texts, start, BATCH, &Real))
            },
            &mut || {
                let start = advance(at_parse);
                nanos_each(BATCH, || {
                    texts
                        .from(start, BATCH)
                        .for_each(|text| _ = black_box(Floor::parse_only(text)))
                })
            },
            &mut || {
                let start = advance(at_digest);
                nanos_each(BATCH, || {
                    texts
                        .from(start, BATCH)
                        .for_each(|text| _ = black_box(Floor::digest_only(text)))
                })
            },
            &mut || nanos_each(JWT_BATCH, || (0..JWT_BATCH).for_each(|_| jwt.verify())),
        ],
    );
    report.section(
        "In-process check",
        &format!(
            "{clients} clients, random tokens, one reader; processor time of the thread, {rounds} rounds of {BATCH} checks. The floor parses, digests and looks up once in a flat table of 64 bytes a client, in minimal code beside it; it tells neither product nor label nor reason."
        ),
    );
    let ns = |which| format!("{:.0} ns", measures.median(which));
    let ratio = |of, to| measures.ratio(of, to);
    report.figure("of the floor: parsing", ns(3));
    report.figure("of the floor: parsing and keyed digest", ns(4));
    report.figure("floor: and one look-up", ns(0));
    report.line("check", &ns(1), measures.median(1), Goal::AtMost(350.0));
    report.line(
        "check, of its floor",
        &format!("{:.2}", ratio(1, 0)),
        ratio(1, 0),
        Goal::AtMost(1.3),
    );
    report.figure("check that reads the clock", ns(2));
    report.figure(
        "check that reads the clock, of the floor",
        format!("{:.2}", ratio(2, 0)),
    );
    report.figure("RS256 verification (2048 bits)", ns(5));
    let dearer = ratio(5, 2);
    report.line(
        "RS256 verification, of a check that reads the clock",
        &format!("{dearer:.0}"),
        dearer,
        Goal::AtLeast(50.0),
    );
    Ok(())
}
