//! The check among ten million clients against the check among ten thousand.

use super::check::{BATCH, DRAWN, batch, checks};
use crate::clock::Still;
use crate::floor::Floor;
use crate::population::{self, ISSUED, Texts};
use crate::report::{Goal, Report};
use crate::rounds;
use anyhow::Result;
use std::hint::black_box;

const FEW: u32 = 10_000;
const MANY: u32 = 10_000_000;

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<()> {
    let now = ISSUED.plus_seconds(1);
    let replicas = [FEW, MANY].map(population::replica);
    let floors = [FEW, MANY].map(Floor::new);
    let texts = [FEW, MANY].map(|clients| Texts::draw(clients, DRAWN, 3));
    let mut at = [0; 4];
    let [a, b, c, d] = &mut at;
    let check = |of: usize, at: &mut usize| checks(&replicas[of], &texts[of], at, &Still(now));
    let floor = |of: usize, at: &mut usize| {
        let check = |text: &str| floors[of].check(text, now.0);
        batch(&texts[of], at, |text| {
            _ = black_box(check(text)).expect("live")
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
    report.nanos("check among 10,000", measures.median(0));
    report.nanos("check among 10,000,000", measures.median(1));
    report.ratio("ratio", measures.ratio(1, 0), Goal::AtMost(1.5));
    report.nanos("floor among 10,000", measures.median(2));
    report.nanos("floor among 10,000,000", measures.median(3));
    report.ratio("ratio of the floors", measures.ratio(3, 2), Goal::None);
    Ok(())
}
