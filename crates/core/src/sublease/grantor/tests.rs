//! The grantor by hand: one table a rule. What all interleavings come to is the model's (`proof`).

use super::*;
use GrantorEffect::{Answer, Attached, Expel, Grant};

/// A term of 8 and a pause of 2: a wait of 11.
const TERMS: Terms = Terms::new(8, 2);

fn attached(grantor: &mut Grantor, now: u64) -> AttachmentId {
    match grantor.step(GrantorEvent::Attach, BootInstant(now))[..] {
        [Attached { id, .. }] => id,
        ref other => panic!("{other:?}"),
    }
}

fn renew(
    grantor: &mut Grantor,
    id: AttachmentId,
    own_left: Option<u64>,
    now: u64,
) -> Vec<GrantorEffect> {
    let event = GrantorEvent::Renew {
        id,
        round: 1,
        own_left,
    };
    grantor.step(event, BootInstant(now))
}

fn applied(grantor: &mut Grantor, number: u64, now: u64) -> Vec<GrantorEffect> {
    grantor.step(GrantorEvent::Applied { number }, BootInstant(now))
}

fn tick(grantor: &mut Grantor, now: u64) -> Vec<GrantorEffect> {
    grantor.step(GrantorEvent::Tick, BootInstant(now))
}

fn fresh() -> Grantor {
    Grantor::new(TERMS, 5, false, BootInstant(0))
}

/// A grantor with one replica, which has its first lease.
fn with_one() -> (Grantor, AttachmentId) {
    let mut grantor = fresh();
    let id = attached(&mut grantor, 0);
    renew(&mut grantor, id, None, 1);
    (grantor, id)
}

#[test]
fn nobody_attached_nobody_waits() {
    let mut grantor = fresh();
    assert!(grantor.is_idle(BootInstant(0)));
    assert_eq!(grantor.answered(), 5);
    assert_eq!(applied(&mut grantor, 7, 1), [Answer { through: 7 }]);
    assert_eq!(applied(&mut grantor, 7, 1), []);
    // One that loads has no lease, and nobody waits for it either.
    attached(&mut grantor, 2);
    assert_eq!(applied(&mut grantor, 8, 2), [Answer { through: 8 }]);
}

#[test]
fn an_answer_waits_for_the_last_acknowledgement() {
    let mut grantor = fresh();
    let ids = [attached(&mut grantor, 0), attached(&mut grantor, 0)];
    for id in ids {
        assert!(matches!(
            renew(&mut grantor, id, None, 1)[..],
            [Grant {
                through: 5,
                term: 8,
                ..
            }]
        ));
    }
    assert_eq!(applied(&mut grantor, 6, 2), []);
    assert_eq!(applied(&mut grantor, 7, 2), []);
    let mut acked = |id, number| grantor.step(GrantorEvent::Acked { id, number }, BootInstant(3));
    assert_eq!(acked(ids[0], 7), []);
    assert_eq!(acked(ids[1], 6), [Answer { through: 6 }]);
    assert_eq!(acked(ids[1], 7), [Answer { through: 7 }]);
}

#[test]
fn the_silent_are_waited_for_once() {
    let (mut grantor, id) = with_one();
    assert_eq!(applied(&mut grantor, 6, 5), []);
    assert_eq!(grantor.next_tick(), Some(BootInstant(12)));
    // Going on renewing without applying does not make the wait longer.
    assert!(matches!(
        renew(&mut grantor, id, None, 10)[..],
        [Grant { through: 6, .. }]
    ));
    assert_eq!(tick(&mut grantor, 11), []);
    assert_eq!(
        tick(&mut grantor, 12),
        [Expel { id }, Answer { through: 6 }]
    );
    // But what it was granted at 10 may count, should only its acknowledgement have been late.
    assert_eq!(renew(&mut grantor, id, None, 13), []);
    assert_eq!(applied(&mut grantor, 7, 13), []);
    assert_eq!(tick(&mut grantor, 21), [Answer { through: 7 }]);
    assert_eq!(renew(&mut grantor, id, None, 22), [Expel { id }]);
    assert_eq!(applied(&mut grantor, 8, 22), [Answer { through: 8 }]);
}

#[test]
fn a_cut_stream_ends_no_lease_but_a_release_does() {
    let (mut grantor, id) = with_one();
    assert_eq!(grantor.step(GrantorEvent::Cut { id }, BootInstant(2)), []);
    assert_eq!(applied(&mut grantor, 6, 3), []);
    assert_eq!(renew(&mut grantor, id, None, 4), []);
    assert_eq!(tick(&mut grantor, 12), [Answer { through: 6 }]);
    assert_eq!(grantor.attached(), 0);

    let id = attached(&mut grantor, 20);
    renew(&mut grantor, id, None, 20);
    assert_eq!(applied(&mut grantor, 7, 21), []);
    assert_eq!(
        grantor.step(GrantorEvent::Released { id }, BootInstant(22)),
        [Answer { through: 7 }]
    );
}

#[test]
fn what_a_predecessor_granted_is_waited_out() {
    let mut grantor = Grantor::new(TERMS, 5, true, BootInstant(100));
    assert_eq!(applied(&mut grantor, 6, 101), []);
    assert_eq!(grantor.next_tick(), Some(BootInstant(111)));
    assert_eq!(tick(&mut grantor, 110), []);
    assert_eq!(tick(&mut grantor, 111), [Answer { through: 6 }]);
    assert!(grantor.is_idle(BootInstant(111)));
}

#[test]
fn what_rests_on_older_changes_is_answered_after_a_predecessor_too() {
    let mut grantor = Grantor::new(TERMS, 5, true, BootInstant(0));
    assert_eq!(tick(&mut grantor, 10), []);
    // No change came, and none needs to: a decision that made none waits for this all the same.
    assert_eq!(tick(&mut grantor, 11), [Answer { through: 5 }]);
    assert_eq!(tick(&mut grantor, 12), []);
    assert_eq!(grantor.next_tick(), None);
}

#[test]
fn a_grant_ends_before_the_nodes_own_lease() {
    let mut grantor = fresh();
    let id = attached(&mut grantor, 0);
    assert!(matches!(
        renew(&mut grantor, id, Some(7), 1)[..],
        [Grant { term: 5, .. }]
    ));
    assert_eq!(renew(&mut grantor, id, Some(2), 1), []);
    assert_eq!(renew(&mut grantor, id, Some(0), 1), []);
}

#[test]
fn who_claims_what_nobody_gave_is_not_believed() {
    let (mut grantor, id) = with_one();
    let lie = GrantorEvent::Acked { id, number: 9 };
    assert_eq!(grantor.step(lie, BootInstant(2)), [Expel { id }]);
    assert_eq!(applied(&mut grantor, 6, 3), []);
    assert_eq!(tick(&mut grantor, 12), [Answer { through: 6 }]);
}
