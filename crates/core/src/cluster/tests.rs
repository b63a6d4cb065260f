//! Single steps of the two machines; every interleaving of them is in `proof/model`.

use super::*;
use crate::time::BootInstant;

const TERMS: Terms = Terms::new(10, 2);
const ME: Incarnation = Incarnation(1);
const OTHER: Incarnation = Incarnation(2);

fn at(number: u64) -> Position {
    Position {
        number,
        tag: 100 + number,
    }
}

fn joined() -> Holder {
    let mut holder = Holder::new(TERMS, 6, ME, at(5), 5);
    let effects = holder.step(HolderEvent::Connected, BootInstant(100));
    let write = HolderEffect::Write {
        incarnation: ME,
        join: true,
        attempt: 1,
        acknowledged: 5,
        at: at(5),
    };
    assert_eq!(effects, [write]);
    assert_eq!(
        holder.step(HolderEvent::Written { attempt: 1 }, BootInstant(103)),
        []
    );
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
    let effects = holder.step(read(1, 7), BootInstant(104));
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
    assert_eq!(holder.step(read(1, 8), BootInstant(105)), []);
}

#[test]
fn a_read_without_its_acknowledged_write_grants_nothing() {
    let mut holder = joined();
    holder.step(read(1, 5), BootInstant(104));
    let renewal = holder.step(HolderEvent::Tick, BootInstant(104));
    assert!(matches!(
        renewal[..],
        [HolderEffect::Write {
            attempt: 2,
            join: false,
            ..
        }]
    ));
    assert_eq!(holder.step(read(2, 5), BootInstant(105)), []);
    assert_eq!(holder.step(read(1, 5), BootInstant(105)), []);
}

#[test]
fn an_attempt_is_never_used_twice() {
    let mut holder = joined();
    holder.step(HolderEvent::Disconnected, BootInstant(105));
    let again = holder.step(HolderEvent::Connected, BootInstant(106));
    assert!(matches!(
        again[..],
        [HolderEffect::Write { attempt: 2, .. }]
    ));
    // What the former session says about the former attempt is worth nothing.
    assert_eq!(
        holder.step(HolderEvent::Written { attempt: 1 }, BootInstant(107)),
        []
    );
    assert_eq!(holder.step(read(1, 6), BootInstant(107)), []);
}

#[test]
fn a_new_session_shows_nothing_before_a_renewal_on_it() {
    let mut holder = joined();
    let looked = HolderEvent::Looked { upto: at(6) };
    assert_eq!(holder.step(looked, BootInstant(103)), []);
    holder.step(read(1, 5), BootInstant(104));
    assert_eq!(
        holder.step(looked, BootInstant(104)),
        [HolderEffect::Apply { through: at(6) }]
    );
    holder.step(HolderEvent::Connected, BootInstant(105));
    assert_eq!(
        holder.step(HolderEvent::Looked { upto: at(7) }, BootInstant(105)),
        []
    );
}

#[test]
fn a_removed_node_stops_vouching_and_joins_under_a_new_name() {
    let mut holder = joined();
    holder.step(read(1, 5), BootInstant(104));
    holder.step(HolderEvent::Tick, BootInstant(104));
    let next = Incarnation(9);
    let effects = holder.step(HolderEvent::Missing { attempt: 2, next }, BootInstant(120));
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
    let effects = holder.step(read(1, 7), BootInstant(104));
    let acknowledge = |number| HolderEffect::Acknowledge {
        incarnation: ME,
        number,
        at: at(7),
    };
    assert_eq!(effects[2..], [acknowledge(5)]);
    let answered = HolderEvent::Answered { through: 7 };
    assert_eq!(holder.step(answered, BootInstant(105)), [acknowledge(7)]);
    assert_eq!(holder.step(answered, BootInstant(105)), []);
}

#[test]
fn replicas_that_do_not_catch_up_stop_the_renewals() {
    let mut holder = joined();
    holder.step(read(1, 7), BootInstant(104));
    holder.step(HolderEvent::Tick, BootInstant(104));
    holder.step(HolderEvent::Written { attempt: 2 }, BootInstant(104));
    holder.step(read(2, 8), BootInstant(105));
    assert!(!holder.is_stuck(BootInstant(109)));
    assert!(holder.is_stuck(BootInstant(110)));
    assert_eq!(holder.step(HolderEvent::Tick, BootInstant(110)), []);
    holder.step(HolderEvent::Answered { through: 7 }, BootInstant(111));
    let renewal = holder.step(HolderEvent::Tick, BootInstant(112));
    assert!(matches!(renewal[..], [HolderEffect::Write { .. }]));
}

#[test]
fn a_node_that_leaves_signs_off_once_its_replicas_are_silent() {
    let mut holder = joined();
    holder.step(read(1, 5), BootInstant(104));
    assert_eq!(
        holder.step(HolderEvent::Leave { idle: false }, BootInstant(105)),
        []
    );
    assert_eq!(holder.next_tick(), None);
    let effects = holder.step(HolderEvent::Leave { idle: true }, BootInstant(106));
    assert_eq!(
        effects,
        [
            HolderEffect::StopVouching,
            HolderEffect::SignOff { incarnation: ME },
            HolderEffect::End(Ended::Left)
        ]
    );
    for event in [HolderEvent::Connected, HolderEvent::Tick, read(1, 9)] {
        assert_eq!(holder.step(event, BootInstant(107)), []);
    }
}

#[test]
fn another_history_ends_the_node() {
    for (event, why) in [
        (HolderEvent::Diverged, Ended::Diverged),
        (HolderEvent::Unreadable, Ended::Unreadable),
    ] {
        let effects = joined().step(event, BootInstant(104));
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

const LOOK: fn(u64) -> BarrierEffect = |look| BarrierEffect::Look { look };
const ANSWER: fn(u64) -> BarrierEffect = |through| BarrierEffect::Answer { through };

#[test]
fn a_change_is_answered_when_all_have_acknowledged_it() {
    let mut barrier = AckBarrier::new();
    assert_eq!(barrier.step(committed(7), BootInstant(100)), [LOOK(1)]);
    assert_eq!(barrier.step(rows(1, 7, &[row(1, 6)]), BootInstant(101)), []);
    assert_eq!(
        barrier.step(BarrierEvent::Tick, BootInstant(102)),
        [LOOK(2)]
    );
    assert_eq!(
        barrier.step(rows(2, 7, &[row(1, 7)]), BootInstant(103)),
        [ANSWER(7)]
    );
    assert_eq!(barrier.step(BarrierEvent::Tick, BootInstant(104)), []);
}

#[test]
fn rows_asked_for_before_the_commit_do_not_count() {
    let mut barrier = AckBarrier::new();
    barrier.step(committed(7), BootInstant(100));
    barrier.step(committed(8), BootInstant(101));
    // Look 1 was asked for before change 8 was committed.
    assert_eq!(
        barrier.step(rows(1, 8, &[row(1, 8)]), BootInstant(102)),
        [ANSWER(7)]
    );
    assert_eq!(
        barrier.step(rows(2, 8, &[row(1, 8)]), BootInstant(102)),
        [ANSWER(8)]
    );
}

#[test]
fn a_server_that_lacks_the_change_says_nothing_about_it() {
    let mut barrier = AckBarrier::new();
    barrier.step(committed(7), BootInstant(100));
    assert_eq!(barrier.step(rows(1, 6, &[]), BootInstant(101)), []);
    barrier.step(BarrierEvent::Tick, BootInstant(102));
    assert_eq!(barrier.step(rows(2, 7, &[]), BootInstant(103)), [ANSWER(7)]);
}

#[test]
fn a_silent_node_delays_a_change_by_one_wait() {
    let mut barrier = AckBarrier::new();
    barrier.step(committed(7), BootInstant(100));
    barrier.step(rows(1, 7, &[row(1, 6)]), BootInstant(101));
    assert_eq!(
        barrier.step(BarrierEvent::Tick, BootInstant(112)),
        [LOOK(2)]
    );
    assert_eq!(
        barrier.step(BarrierEvent::Tick, BootInstant(113)),
        [LOOK(3), ANSWER(7)]
    );
}

#[test]
fn a_node_lost_before_the_change_delays_it_less_and_is_removed() {
    let mut barrier = AckBarrier::new();
    barrier.step(committed(7), BootInstant(100));
    barrier.step(rows(1, 7, &[row(1, 7)]), BootInstant(100));
    barrier.step(committed(8), BootInstant(110));
    let remove = BarrierEffect::Remove {
        incarnation: OTHER,
        attempt: 1,
    };
    assert_eq!(barrier.step(rows(2, 8, &[row(1, 7)]), BootInstant(112)), []);
    barrier.step(BarrierEvent::Tick, BootInstant(112));
    assert_eq!(
        barrier.step(rows(3, 8, &[row(1, 7)]), BootInstant(113)),
        [remove, ANSWER(8)]
    );
}

#[test]
fn a_node_that_renewed_is_waited_for_again() {
    let mut barrier = AckBarrier::new();
    barrier.step(committed(7), BootInstant(100));
    barrier.step(rows(1, 7, &[row(1, 7)]), BootInstant(100));
    barrier.step(committed(8), BootInstant(110));
    assert_eq!(barrier.step(rows(2, 8, &[row(2, 7)]), BootInstant(113)), []);
    barrier.step(BarrierEvent::Tick, BootInstant(122));
    assert_eq!(
        barrier.step(rows(3, 8, &[row(2, 8)]), BootInstant(122)),
        [ANSWER(8)]
    );
}

#[test]
fn a_node_that_said_nothing_for_long_is_removed_and_not_waited_for() {
    let mut barrier = AckBarrier::new();
    let wait = row(1, 0).wait;
    barrier.step(BarrierEvent::Look, BootInstant(0));
    assert_eq!(barrier.step(rows(1, 0, &[row(1, 0)]), BootInstant(5)), []);
    barrier.step(BarrierEvent::Look, BootInstant(5 + wait));
    let removed = BarrierEffect::Remove {
        incarnation: row(1, 0).incarnation,
        attempt: row(1, 0).attempt,
    };
    assert_eq!(
        barrier.step(rows(2, 0, &[row(1, 0)]), BootInstant(5 + wait)),
        [removed]
    );
    barrier.step(committed(1), BootInstant(6 + wait));
    assert_eq!(
        barrier.step(rows(3, 1, &[row(1, 0)]), BootInstant(6 + wait)),
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
    assert_eq!(barrier.step(alone(3), BootInstant(1)), [ANSWER(3)]);
    assert_eq!(barrier.step(alone(3), BootInstant(1)), []);
    barrier.step(committed(4), BootInstant(2));
    assert_eq!(barrier.step(alone(5), BootInstant(3)), []);
    assert_eq!(barrier.step(rows(1, 5, &[]), BootInstant(4)), [ANSWER(5)]);
}

#[test]
fn the_wait_is_longer_than_the_term_and_the_pause() {
    assert_eq!(STANDARD.wait, 12_120_000_000);
    assert_eq!(renew_every(&STANDARD), 2_000_000_000);
}
