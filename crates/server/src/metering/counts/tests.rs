//! Nothing counted twice, nothing lost that was not told, and never more memory than there is for it.

use super::*;
use tokenward_store::counts::HOURS;

fn permit(counts: &Counts, client: u32) {
    let note = Note::new(ClientNo(client), Some(ProductNo(7)), Outcome::Permitted);
    counts.note(note);
}

fn supersede(counts: &Counts, source: &str) {
    let at = Timestamp(5);
    let denial = Denial::TokenSuperseded { generation: 2, at };
    counts.denied(ClientNo(1), None, &denial, source.parse().ok(), at);
}

fn sum(counts: &[CheckCount]) -> u64 {
    counts.iter().map(|count| count.n).sum()
}

#[test]
fn a_note_says_again_what_was_put_in() {
    for (client, product, outcome) in [
        (0, None, Outcome::Permitted),
        (u32::MAX, Some(0), Outcome::EnvironmentMismatch),
        (7, Some((1 << 24) - 2), Outcome::Generated),
    ] {
        let note = Note::new(ClientNo(client), product.map(ProductNo), outcome);
        assert_eq!(note.client(), client);
        assert_eq!(note.product(), product);
        assert_eq!(Outcome::from_number(note.outcome()), Some(outcome));
    }
    let beyond = Note::new(ClientNo(1), Some(ProductNo(1 << 24)), Outcome::Permitted);
    assert_eq!((beyond.client(), beyond.product()), (1, None));
}

#[test]
fn counts_of_all_threads_are_added_up_and_seen_until_they_are_written() {
    let counts = Counts::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1_000).for_each(|_| permit(&counts, 3)));
        }
    });
    counts.generated(ClientNo(3));
    permit(&counts, 4);
    let seen = counts.pending(ClientNo(3), 9 * HOURS);
    assert_eq!(seen.len(), 2);
    assert_eq!(sum(&seen), 4_001);
    let (taken, lost) = counts.take(9 * HOURS, 100);
    assert_eq!((sum(&taken.counts), lost), (4_002, 0));
    assert_eq!(counts.pending(ClientNo(3), 9 * HOURS), seen);
    permit(&counts, 3);
    counts.written();
    assert_eq!(sum(&counts.pending(ClientNo(3), 9 * HOURS)), 1);
}

#[test]
fn what_could_not_be_written_is_written_later_and_once() {
    let counts = Counts::default();
    permit(&counts, 1);
    supersede(&counts, "10.0.0.1");
    let _ = counts.take(9 * HOURS, 100);
    permit(&counts, 1);
    counts.not_written();
    let (taken, _) = counts.take(10 * HOURS, 100);
    let mut days: Vec<_> = taken
        .counts
        .iter()
        .map(|one| (one.day, one.outcome, one.n))
        .collect();
    days.sort_unstable();
    let (permit, denial) = (Outcome::Permitted, Outcome::Superseded);
    assert_eq!(days, [(9, permit, 1), (9, denial, 1), (10, permit, 1)]);
    assert_eq!(taken.sources.len(), 1);
    counts.written();
    assert!(counts.take(10 * HOURS, 100).0.counts.is_empty());
}

#[test]
fn each_hour_is_counted_apart() {
    let counts = Counts::default();
    permit(&counts, 1);
    assert_eq!(counts.pending(ClientNo(1), 9 * HOURS + 23).len(), 1);
    permit(&counts, 1);
    permit(&counts, 1);
    let (taken, _) = counts.take(10 * HOURS, 100);
    let told = |one: &CheckCount| (one.day, one.hour, one.n);
    let told: Vec<_> = taken.counts.iter().map(told).collect();
    assert_eq!(told, [(9, 23, 1), (10, 0, 2)]);
}

#[test]
fn every_row_has_its_turn_though_others_are_counted_all_the_time() {
    let counts = Counts::default();
    let mut written = [0_u64; 10];
    for _ in 0..5 {
        (0..10).for_each(|client| permit(&counts, client));
        let (taken, _) = counts.take(9 * HOURS, 2);
        assert_eq!(taken.counts.len(), 2);
        for count in taken.counts {
            written[count.client.0 as usize] += count.n;
        }
        counts.written();
    }
    assert_eq!(written, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
}

#[test]
fn sources_beyond_the_most_are_counted_together() {
    let counts = Counts::default();
    for n in 0..20 {
        supersede(&counts, &format!("10.0.0.{n}"));
    }
    supersede(&counts, "10.0.0.3");
    let seen = counts.pending_sources(ClientNo(1), 9 * HOURS);
    assert_eq!(seen.len(), 17);
    let of = |source: &str| {
        seen.iter()
            .find(|one| one.source == source)
            .map(|one| one.n)
    };
    assert_eq!(
        (of(OTHERS), of("10.0.0.3"), of("10.0.0.17")),
        (Some(4), Some(2), None)
    );
    // A new day tells anew who is there.
    supersede(&counts, "10.0.0.19");
    let seen = counts.pending_sources(ClientNo(1), 10 * HOURS);
    assert!(
        seen.iter()
            .any(|one| one.day == 10 && one.source == "10.0.0.19")
    );
}

#[test]
fn counts_there_is_no_room_for_are_told() {
    let counts = Counts::default();
    (0..NOTES_MAX + 5).for_each(|_| permit(&counts, 1));
    let (taken, lost) = counts.take(9 * HOURS, 100);
    assert_eq!((sum(&taken.counts), lost), (NOTES_MAX as u64, 5));
    assert_eq!(counts.take(9 * HOURS, 100).1, 0);
}

#[test]
fn sources_of_permitted_calls_are_counted_apart_from_those_of_former_tokens() {
    let counts = Counts::default();
    let from = |last: u8, second: i64| {
        let source = Some(IpAddr::from([203, 0, 113, last]));
        counts.permitted_from(ClientNo(1), ProductNo(7), source, Timestamp(second));
    };
    (0..20).for_each(|last| from(last, 1));
    from(3, 9);
    from(3, 8);
    // A flood of former tokens takes no place of a permitted caller.
    for n in 0..20 {
        supersede(&counts, &format!("10.0.0.{n}"));
    }
    from(4, 5);
    let seen = counts.pending_sources(ClientNo(1), 9 * HOURS);
    let permitted: Vec<_> = seen
        .iter()
        .filter(|one| one.outcome == Outcome::Permitted)
        .collect();
    assert_eq!(permitted.len(), 17);
    assert_eq!(permitted.iter().map(|one| one.n).sum::<u64>(), 23);
    assert_eq!(sum(&counts.pending(ClientNo(1), 9 * HOURS)), 23 + 20);
    let of = |source: &str| permitted.iter().find(|one| one.source == source);
    assert_eq!(of("203.0.113.3").map_or(3, |one| one.n), 3);
    let last = of("203.0.113.3").map_or(Timestamp(9), |one| one.last_at);
    assert_eq!(last, Timestamp(9));
    assert_eq!(seen.len(), 17 + 17);
    let (taken, lost) = counts.take(9 * HOURS, 100);
    assert_eq!((taken.sources.len(), lost), (34, 0));
}
