//! Two readers, with and without a writer that applies changes at a steady rate.

use super::check::{DRAWN, check_all};
use crate::clock::{self, Still};
use crate::population::{self, ISSUED, Numbers, Texts};
use crate::report::{Goal, Report};
use crate::rounds;
use anyhow::Result;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokenward_core::Replica;
use tokenward_core::change::Change;
use tokenward_core::ids::ClientNo;

const READERS: usize = 2;
/// How long one measurement lasts.
const SPAN: Duration = Duration::from_millis(300);
/// Checks between two looks at the clock.
const STRIDE: usize = 2_000;
/// Changes applied together: a group commit's worth.
const GROUP: u32 = 10;

/// What one measurement saw.
#[derive(Default)]
struct Seen {
    /// Processor nanoseconds a check, over all readers.
    cpu: f64,
    /// Nanoseconds a check as they passed.
    wall: f64,
    /// Changes applied a second.
    changes: f64,
}

fn measure(replica: &Replica, texts: &Texts, changes_a_second: u32, turn: u64) -> Seen {
    let (checks, cpu, changes) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let reading = AtomicBool::new(true);
    let begin = clock::wall();
    let now = ISSUED.plus_seconds(1);
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (checks, cpu) = (&checks, &cpu);
            scope.spawn(move || {
                let start = clock::of_thread();
                let mut at = (turn as usize * READERS + reader) * 131_071;
                while clock::wall() - begin < SPAN {
                    check_all(replica, texts, at, STRIDE, &Still(now));
                    at += STRIDE;
                    checks.fetch_add(STRIDE as u64, Ordering::Relaxed);
                }
                cpu.fetch_add(
                    (clock::of_thread() - start).as_nanos() as u64,
                    Ordering::Relaxed,
                );
            });
        }
        if changes_a_second > 0 {
            let (changes, reading) = (&changes, &reading);
            scope.spawn(move || write(replica, changes_a_second, turn, begin, changes, reading));
        }
    });
    reading.store(false, Ordering::Relaxed);
    let passed = clock::wall() - begin;
    let checks = checks.into_inner() as f64;
    Seen {
        cpu: cpu.into_inner() as f64 / checks,
        wall: passed.as_nanos() as f64 * READERS as f64 / checks,
        changes: changes.into_inner() as f64 / passed.as_secs_f64(),
    }
}

/// Issues the same tokens anew, so that every check still passes; each change rewrites its slot.
fn write(
    replica: &Replica,
    a_second: u32,
    turn: u64,
    begin: Duration,
    changes: &AtomicU64,
    reading: &AtomicBool,
) {
    let keyring = population::keyring();
    let clients = u32::try_from(replica.client_count()).unwrap_or(u32::MAX);
    let mut numbers = Numbers(turn);
    let pause = Duration::from_secs(1) * GROUP / a_second;
    let mut due = begin;
    while reading.load(Ordering::Relaxed) && clock::wall() - begin < SPAN {
        let group: Vec<_> = (0..GROUP)
            .map(|_| {
                let no = numbers.below(clients);
                let slot = Box::new(population::slot(&keyring, no));
                Change::TokenIssued {
                    client: ClientNo(no),
                    slot,
                }
            })
            .collect();
        due += pause;
        // What is left of the time until this group is due; a writer waits for commits just so.
        std::thread::park_timeout(due.saturating_sub(clock::wall()));
        if let Err(why) = replica.apply(&group, 1) {
            panic!("a change must apply: {why}");
        }
        changes.fetch_add(u64::from(GROUP), Ordering::Relaxed);
    }
}

pub(crate) fn run(report: &mut Report, rounds: usize, clients: u32, changes: u32) -> Result<()> {
    let replica = population::replica(clients);
    let texts = Texts::draw(clients, DRAWN, 2);
    let seen: RefCell<Vec<(Seen, Seen)>> = RefCell::default();
    let latest: RefCell<Seen> = RefCell::default();
    let turn = RefCell::new(0);
    let one = |changes| {
        *turn.borrow_mut() += 1;
        measure(&replica, &texts, changes, *turn.borrow())
    };
    let measures = rounds::interleave(
        rounds,
        &mut [
            &mut || {
                let without = one(0);
                let cpu = without.cpu;
                *latest.borrow_mut() = without;
                cpu
            },
            &mut || {
                let with = one(changes);
                let cpu = with.cpu;
                seen.borrow_mut().push((latest.take(), with));
                cpu
            },
        ],
    );
    let seen = seen.into_inner();
    let wall: Vec<f64> = seen
        .iter()
        .filter(|(a, _)| a.wall > 0.0)
        .map(|(a, b)| b.wall / a.wall)
        .collect();
    let rate = rounds::median(seen.iter().map(|(_, with)| with.changes).collect());
    report.section(
        "Two readers beside a writer",
        &format!(
            "{clients} clients, random tokens, {READERS} readers, {rounds} rounds of {} ms; the writer applies {changes} changes a second in groups of {GROUP}. Processor time of the readers' threads; waiting for a change to end counts, for readers wait by looking again.",
            SPAN.as_millis()
        ),
    );
    report.nanos("check, readers alone", measures.median(0));
    report.nanos("check, readers and writer", measures.median(1));
    report.figure("changes applied a second", format!("{rate:.0}"));
    let what = "with the writer, of without";
    report.ratio(what, measures.ratio(1, 0), Goal::AtMost(1.1));
    let what = "the same by time passed (the writer takes a share of 2 cores)";
    report.ratio(what, rounds::median(wall), Goal::None);
    Ok(())
}
