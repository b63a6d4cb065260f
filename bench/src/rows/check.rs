//! The check in process, one reader, random tokens, beside the hand-written floor and beside verifying
//! an RS256 token.

use super::jwt::Jwt;
use crate::clock::{self, Real, Still};
use crate::floor::Floor;
use crate::population::{self, ISSUED, PRODUCT, Texts};
use crate::report::{Goal, Report};
use crate::rounds;
use anyhow::Result;
use std::hint::black_box;
use tokenward_core::check::{Facts, Presented, Verdict};
use tokenward_core::time::Clock;
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

/// Nanoseconds of this thread for each of the next batch of texts, so that each batch meets other clients.
pub(crate) fn batch(texts: &Texts, at: &mut usize, run: impl FnMut(&str)) -> f64 {
    *at += BATCH;
    nanos_each(BATCH, || texts.from(*at, BATCH).for_each(run))
}

/// The same for checks.
pub(crate) fn checks(replica: &Replica, texts: &Texts, at: &mut usize, clock: &impl Clock) -> f64 {
    *at += BATCH;
    nanos_each(BATCH, || check_all(replica, texts, *at, BATCH, clock))
}

pub(crate) fn run(report: &mut Report, rounds: usize, clients: u32) -> Result<()> {
    let replica = population::replica(clients);
    let floor = Floor::new(clients);
    let texts = Texts::draw(clients, DRAWN, 1);
    let jwt = Jwt::new()?;
    let now = ISSUED.plus_seconds(1);
    let mut at = [0; 5];
    let [a, b, c, d, e] = &mut at;
    let measures = rounds::interleave(
        rounds,
        &mut [
            &mut || {
                batch(&texts, a, |text| {
                    _ = black_box(floor.check(text, now.0)).expect("live")
                })
            },
            &mut || checks(&replica, &texts, b, &Still(now)),
            &mut || checks(&replica, &texts, c, &Real),
            &mut || batch(&texts, d, |text| _ = black_box(Floor::parse_only(text))),
            &mut || batch(&texts, e, |text| _ = black_box(Floor::digest_only(text))),
            &mut || nanos_each(JWT_BATCH, || (0..JWT_BATCH).for_each(|_| jwt.verify())),
        ],
    );
    report.section(
        "In-process check",
        &format!(
            "{clients} clients, random tokens, one reader; processor time of the thread, {rounds} rounds of {BATCH} checks. The floor parses, digests and looks up once in a flat table of 64 bytes a client, in minimal code beside it; it tells neither product nor label nor reason."
        ),
    );
    let ns = |which| measures.median(which);
    report.nanos("of the floor: parsing", ns(3));
    report.nanos("of the floor: parsing and keyed digest", ns(4));
    report.nanos("floor: and one look-up", ns(0));
    report.line(
        "check",
        &format!("{:.0} ns", ns(1)),
        ns(1),
        Goal::AtMost(350.0),
    );
    report.ratio(
        "check, of its floor",
        measures.ratio(1, 0),
        Goal::AtMost(1.3),
    );
    report.nanos("check that reads the clock", ns(2));
    let what = "check that reads the clock, of the floor";
    report.ratio(what, measures.ratio(2, 0), Goal::None);
    report.nanos("RS256 verification (2048 bits)", ns(5));
    let dearer = measures.ratio(5, 2);
    let what = "RS256 verification, of a check that reads the clock";
    report.line(what, &format!("{dearer:.0}"), dearer, Goal::AtLeast(50.0));
    Ok(())
}
