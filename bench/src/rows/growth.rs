//! The check among ten million clients against the check among ten thousand.

use super::check::{BATCH, DRAWN, advance, check_all, nanos_each};
use crate::clock::Still;
use crate::floor::Floor;
use crate::population::{self, ISSUED, Texts};
use crate::report::{Goal, Report};
use crate::rounds;
use std::hint::black_box;

const FEW: u32 = 10_000;
const MANY: u32 = 10_000_000;

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<(), String> {
    let now = ISSUED.plus_seconds(1);
    let replicas = [FEW, MANY].map(population::replica);
    let floors = [FEW, MANY].map(Floor::new);
    let texts = [FEW, MANY].map(|clients| Texts::draw(clients, DRAWN, 3));
    let mut at = [0; 4];
    let [a, b, c, d] = &mut at;
    let check = |which: usize, at: &mut usize| {
        let start = advance(at);
        nanos_each(BATCH, || {
            check_all(&replicas[which], &texts[which], start, BATCH, &Still(now))
        })
    };
    let floor = |which: usize, at: &mut usize| {
        let start = advance(at);
        nanos_each(BATCH, || {
            for text in texts[which].from(start, BATCH) {
                assert!(black_box(floors[which].check(text, now.0)).is_some());
            }
        })
    };
    let measures = rounds::interleave(
        rounds,
        &mut [
            &mut || check(0, a),
            &mut || check(1, b),
            &mut || floor(0, c),
            &mut || floor(1, d),
        ],
    );
    report.section(
        "The check as clients grow",
        &format!(
            "Random tokens, one reader, {rounds} rounds of {BATCH} checks, processor time. What grows is the time a look-up waits for memory: the floor shows how much one single look-up pays."
        ),
    );
    let ns = |which| format!("{:.0} ns", measures.median(which));
    report.figure("check among 10,000", ns(0));
    report.figure("check among 10,000,000", ns(1));
    let ratio = measures.ratio(1, 0);
    report.line("ratio", &format!("{ratio:.2}"), ratio, Goal::AtMost(1.5));
    report.figure("floor among 10,000", ns(2));
    report.figure("floor among 10,000,000", ns(3));
    report.figure(
        "ratio of the floors",
        format!("{:.2}", measures.ratio(3, 2)),
    );
    Ok(())
}
