//! Single steps of the two machines; every interleaving of them is in `proof/model`.

use super::*;
use crate::time::BootInstant;

const TERMS: Terms = Terms::new(10, 2);
const ME: Incarnation = Incarnation(1);
const OTHER: Incarnation = Incarnation(2);

impl Holder {
    fn at(&mut self, now: u64, event: HolderEvent) -> Vec<HolderEffect> {
        self.step(event, BootInstant(now))
    }
}

impl AckBarrier {
    fn at(&mut self, now: u64, event: BarrierEvent) -> Vec<BarrierEffect> {
        self.step(event, BootInstant(now))
    }
}

fn at(number: u64) -> Position {
    Position {
        number,
        tag: 100 + number,
    }
}

fn joined() -> Holder {
    let mut holder = Holder::new(TERMS, 6, ME, at(5), 5);
    let effects = holder.at(100, HolderEvent::Connected);
    let write = HolderEffect::Write {
        incarnation: ME,
        join: true,
        attempt: 1,
        acknowledged: 5,
        at: at(5),
    };
    assert_eq!(effects, [write]);
    assert_eq!(holder.at(103, HolderEvent::Written { attempt: 1 }), []);
    holder
}

/// A holder that has joined and knows it.
fn holding() -> Holder {
    let mut holder = joined();
    holder.at(104, read(1, 5));
    holder
}

fn read(attempt: u64, number: u64) -> HolderEvent {
    HolderEvent::Read {
        attempt,
        upto: at(number),
    }
}

#[test]
fn lease_counts_from_before_the_write_and_starts_after_the_changes() {
    let mut holder = joined();
    let effects = holder.at(104, read(1, 7));
    let until = BootInstant(110);
    assert_eq!(
        effects[..2],
        [
            HolderEffect::Apply { through: at(7) },
            HolderEffect::Vouch { until }
        ]
    );
    assert_eq!(holder.applied(), at(7));
    // The same read again grants nothing.
    assert_eq!(holder.at(105, read(1, 8)), []);
}

#[test]
fn a_read_without_its_acknowledged_write_grants_nothing() {
    let mut holder = holding();
    let renewal = holder.at(104, HolderEvent::Tick);
    assert!(matches!(
        renewal[..],
        [HolderEffect::Write {
            attempt: 2,
            join: false,
            ..
        }]
    ));
    assert_eq!(holder.at(105, read(2, 5)), []);
    assert_eq!(holder.at(105, read(1, 5)), []);
}

#[test]
fn an_attempt_is_never_used_twice() {
    let mut holder = joined();
    holder.at(105, HolderEvent::Disconnected);
    let again = holder.at(106, HolderEvent::Connected);
    assert!(matches!(
        again[..],
        [HolderEffect::Write { attempt: 2, .. }]
    ));
    // What the former session says about the former attempt is worth nothing.
    assert_eq!(holder.at(107, HolderEvent::Written { attempt: 1 }), []);
    assert_eq!(holder.at(107, read(1, 6)), []);
}

#[test]
fn a_new_session_shows_nothing_before_a_renewal_on_it() {
    let mut holder = joined();
    let looked = HolderEvent::Looked { upto: at(6) };
    assert_eq!(holder.at(103, looked), []);
    holder.at(104, read(1, 5));
    assert_eq!(
        holder.at(104, looked),
        [HolderEffect::Apply { through: at(6) }]
    );
    holder.at(105, HolderEvent::Connected);
    assert_eq!(holder.at(105, HolderEvent::Looked { upto: at(7) }), []);
}

#[test]
fn a_removed_node_stops_vouching_and_joins_under_a_new_name() {
    let mut holder = holding();
    holder.at(104, HolderEvent::Tick);
    let next = Incarnation(9);
    let effects = holder.at(120, HolderEvent::Missing { attempt: 2, next });
    assert_eq!(effects[0], HolderEffect::StopVouching);
    let join = HolderEffect::Write {
        incarnation: next,
        join: true,
        attempt: 3,
        acknowledged: 5,
        at: at(5),
    };
    assert_eq!(effects[1..], [join]);
}

#[test]
fn it_acknowledges_what_its_replicas_have_and_no_more() {
    let mut holder = joined();
    let effects = holder.at(104, read(1, 7));
    let acknowledge = |number| HolderEffect::Acknowledge {
        incarnation: ME,
        number,
        at: at(7),
    };
    assert_eq!(effects[2..], [acknowledge(5)]);
    let answered = HolderEvent::Answered { through: 7 };
    assert_eq!(holder.at(105, answered), [acknowledge(7)]);
    assert_eq!(holder.at(105, answered), []);
}

#[test]
fn replicas_that_do_not_catch_up_stop_the_renewals() {
    let mut holder = joined();
    holder.at(104, read(1, 7));
    holder.at(104, HolderEvent::Tick);
    holder.at(104, HolderEvent::Written { attempt: 2 });
    holder.at(105, read(2, 8));
    assert!(!holder.is_stuck(BootInstant(109)));
    assert!(holder.is_stuck(BootInstant(110)));
    assert_eq!(holder.at(110, HolderEvent::Tick), []);
    holder.at(111, HolderEvent::Answered { through: 7 });
    let renewal = holder.at(112, HolderEvent::Tick);
    assert!(matches!(renewal[..], [HolderEffect::Write { .. }]));
}

#[test]
fn a_node_that_leaves_signs_off_once_its_replicas_are_silent() {
    let mut holder = holding();
    assert_eq!(holder.at(105, HolderEvent::Leave { idle: false }), []);
    assert_eq!(holder.next_tick(), None);
    let effects = holder.at(106, HolderEvent::Leave { idle: true });
    assert_eq!(
        effects,
        [
            HolderEffect::StopVouching,
            HolderEffect::SignOff { incarnation: ME },
            HolderEffect::End(Ended::Left)
        ]
    );
    for event in [HolderEvent::Connected, HolderEvent::Tick, read(1, 9)] {
        assert_eq!(holder.at(107, event), []);
    }
}

#[test]
fn another_history_ends_the_node() {
    for (event, why) in [
        (HolderEvent::Diverged, Ended::Diverged),
        (HolderEvent::Unreadable, Ended::Unreadable),
    ] {
        let effects = joined().at(104, event);
        assert_eq!(
            effects,
            [HolderEffect::StopVouching, HolderEffect::End(why)]
        );
    }
}

fn row(attempt: u64, acknowledged: u64) -> Row {
    Row {
        incarnation: OTHER,
        attempt,
        acknowledged,
        wait: 13,
    }
}

fn committed(number: u64) -> BarrierEvent {
    BarrierEvent::Committed {
        number,
        alone: false,
    }
}

fn rows(look: u64, holds: u64, rows: &[Row]) -> BarrierEvent {
    BarrierEvent::Rows {
        look,
        holds,
        rows: rows.to_vec(),
    }
}

/// A barrier at which change 7 waits.
fn waiting() -> AckBarrier {
    let mut barrier = AckBarrier::new();
    assert_eq!(barrier.at(100, committed(7)), [LOOK(1)]);
    barrier
}

const LOOK: fn(u64) -> BarrierEffect = |look| BarrierEffect::Look { look };
const ANSWER: fn(u64) -> BarrierEffect = |through| BarrierEffect::Answer { through };

#[test]
fn a_change_is_answered_when_all_have_acknowledged_it() {
    let mut barrier = AckBarrier::new();
    assert_eq!(barrier.at(100, committed(7)), [LOOK(1)]);
    assert_eq!(barrier.at(101, rows(1, 7, &[row(1, 6)])), []);
    assert_eq!(barrier.at(102, BarrierEvent::Tick), [LOOK(2)]);
    assert_eq!(barrier.at(103, rows(2, 7, &[row(1, 7)])), [ANSWER(7)]);
    assert_eq!(barrier.at(104, BarrierEvent::Tick), []);
}

#[test]
fn rows_asked_for_before_the_commit_do_not_count() {
    let mut barrier = waiting();
    barrier.at(101, committed(8));
    // Look 1 was asked for before change 8 was committed.
    assert_eq!(barrier.at(102, rows(1, 8, &[row(1, 8)])), [ANSWER(7)]);
    assert_eq!(barrier.at(102, rows(2, 8, &[row(1, 8)])), [ANSWER(8)]);
}

#[test]
fn a_server_that_lacks_the_change_says_nothing_about_it() {
    let mut barrier = waiting();
    assert_eq!(barrier.at(101, rows(1, 6, &[])), []);
    barrier.at(102, BarrierEvent::Tick);
    assert_eq!(barrier.at(103, rows(2, 7, &[])), [ANSWER(7)]);
}

#[test]
fn a_silent_node_delays_a_change_by_one_wait() {
    let mut barrier = waiting();
    barrier.at(101, rows(1, 7, &[row(1, 6)]));
    assert_eq!(barrier.at(112, BarrierEvent::Tick), [LOOK(2)]);
    assert_eq!(barrier.at(113, BarrierEvent::Tick), [LOOK(3), ANSWER(7)]);
}

#[test]
fn a_node_lost_before_the_change_delays_it_less_and_is_removed() {
    let mut barrier = waiting();
    barrier.at(100, rows(1, 7, &[row(1, 7)]));
    barrier.at(110, committed(8));
    let remove = BarrierEffect::Remove {
        incarnation: OTHER,
        attempt: 1,
    };
    assert_eq!(barrier.at(112, rows(2, 8, &[row(1, 7)])), []);
    barrier.at(112, BarrierEvent::Tick);
    assert_eq!(
        barrier.at(113, rows(3, 8, &[row(1, 7)])),
        [remove, ANSWER(8)]
    );
}

#[test]
fn a_node_that_renewed_is_waited_for_again() {
    let mut barrier = waiting();
    barrier.at(100, rows(1, 7, &[row(1, 7)]));
    barrier.at(110, committed(8));
    assert_eq!(barrier.at(113, rows(2, 8, &[row(2, 7)])), []);
    barrier.at(122, BarrierEvent::Tick);
    assert_eq!(barrier.at(122, rows(3, 8, &[row(2, 8)])), [ANSWER(8)]);
}

#[test]
fn a_node_that_said_nothing_for_long_is_removed_and_not_waited_for() {
    let mut barrier = AckBarrier::new();
    let wait = row(1, 0).wait;
    barrier.at(0, BarrierEvent::Look);
    assert_eq!(barrier.at(5, rows(1, 0, &[row(1, 0)])), []);
    barrier.at(5 + wait, BarrierEvent::Look);
    let removed = BarrierEffect::Remove {
        incarnation: row(1, 0).incarnation,
        attempt: row(1, 0).attempt,
    };
    assert_eq!(barrier.at(5 + wait, rows(2, 0, &[row(1, 0)])), [removed]);
    barrier.at(6 + wait, committed(1));
    assert_eq!(
        barrier.at(6 + wait, rows(3, 1, &[row(1, 0)])),
        [removed, ANSWER(1)]
    );
}

#[test]
fn a_node_alone_answers_at_once_and_in_order() {
    let mut barrier = AckBarrier::new();
    let alone = |number| BarrierEvent::Committed {
        number,
        alone: true,
    };
    assert_eq!(barrier.at(1, alone(3)), [ANSWER(3)]);
    assert_eq!(barrier.at(1, alone(3)), []);
    barrier.at(2, committed(4));
    assert_eq!(barrier.at(3, alone(5)), []);
    assert_eq!(barrier.at(4, rows(1, 5, &[])), [ANSWER(5)]);
}

#[test]
fn the_wait_is_longer_than_the_term_and_the_pause() {
    assert_eq!(STANDARD.wait, 12_120_000_000);
    assert_eq!(renew_every(&STANDARD), 2_000_000_000);
}
