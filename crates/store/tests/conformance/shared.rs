//! Rows that no decision reads, written by several nodes at the same time: they add up, an older one never replaces a newer
//! one, and one node at a time cleans up.

use crate::basics::{at, uuid};
use crate::counts;
use crate::house::{Client, House, until};
use crate::notices::{self, made};
use crate::peers::sharing;
use crate::place::{Engine, Place, on, on_both, runtime};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokenward_core::ids::{ProductNo, WorkspaceId};
use tokenward_core::time::Timestamp;
use tokenward_store::counts::{CheckCount, Outcome};
use tokenward_store::notices::{NewNotice, NoticeWrite, Settled, Target};
use tokenward_store::people::{CHALLENGES_MAX, PasskeyChallenge, Record};
use tokenward_store::{Decided, Failure, ReadSet, Use};
use tokenward_testkit::PgCluster;
use uuid::Uuid;

async fn note(house: &House, record: Record) {
    house.store.note(vec![record], Vec::new()).await.unwrap();
}

fn notice(key: &str) -> NewNotice {
    notices::notice(key, Target::Mail, WorkspaceId(Uuid::nil()), 0)
}

fn counted(client: u32) -> CheckCount {
    counts::count(client, 20, None, Outcome::Permitted, 1)
}

async fn an_older_use_does_not_replace_a_newer_one(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    let client = house.state(clients[0].0).await.client.no;
    let used = |second: i64, source: &str| Use {
        client,
        at: at(second),
        source: source.into(),
        product: ProductNo(0),
        generation: 1,
    };
    let key = uuid();
    for (second, source) in [
        (5, "192.0.2.5"),
        (3, "192.0.2.3"),
        (8, "192.0.2.8"),
        (1, "192.0.2.1"),
    ] {
        let source = source.to_owned();
        let records = vec![
            Record::AdminKeyUsed {
                id: key,
                at: at(second),
                source: source.clone(),
            },
            Record::SourceUses(vec![counts::stale(client.0, 20, "192.0.2.9", 1, second)]),
        ];
        let noted = house.store.note(records, vec![used(second, &source)]);
        noted.await.unwrap();
    }
    let reader = house.store.reader();
    let (_, last) = reader.client(clients[0].0).await.unwrap().unwrap();
    assert_eq!(last, Some(used(8, "192.0.2.8")));
    let keys = reader.admin_key_uses().await.unwrap();
    assert_eq!(keys, [(key, at(8), "192.0.2.8".to_owned())]);
    let stale = reader.source_uses(client, 20).await.unwrap();
    assert_eq!((stale[0].n, stale[0].last_at), (4, at(8)));
}

async fn who_was_the_housekeeper_before_takes_nothing_back(place: Arc<Place>) {
    let house = House::open(&place).await;
    let reader = house.store.reader();
    house.note(made(Some(9), &[notice("a")])).await;
    // The former one is late with what it read before.
    house.note(made(Some(4), &[notice("a")])).await;
    assert_eq!(reader.followed().await.unwrap(), 9);
    let all = reader.notices(WorkspaceId(Uuid::nil()), None, 10).await;
    let no = all.unwrap()[0].no;
    let settled = |done: Option<i64>, due: Option<i64>| {
        Record::Notice(NoticeWrite::Settled(vec![Settled {
            no,
            done_at: done.map(at),
            due_at: due.map(at),
            error: String::new(),
        }]))
    };
    note(&house, settled(Some(1), None)).await;
    note(&house, settled(None, Some(60))).await;
    let all = reader.notices(WorkspaceId(Uuid::nil()), None, 10).await;
    let kept = &all.unwrap()[0];
    assert_eq!((kept.done_at, kept.due_at), (Some(at(1)), None));
}

fn challenge(member: u128, second: i64) -> PasskeyChallenge {
    PasskeyChallenge {
        id: uuid(),
        member: Uuid::from_u128(member),
        at: at(second),
        state: format!("{{\"n\":{second}}}"),
    }
}

/// Takes a challenge; none when it is not there.
async fn take(house: &House, id: Uuid) -> Result<Option<PasskeyChallenge>, Failure> {
    let wants = ReadSet {
        challenge: Some(id),
        ..ReadSet::default()
    };
    let taken = house.store.decide(wants, move |view| {
        let Some(found) = view.challenge.clone() else {
            return Ok::<_, Infallible>((Decided::nothing(), None));
        };
        let decided = Decided {
            records: vec![Record::ChallengeTaken(found.id)],
            ..Decided::default()
        };
        Ok((decided, Some(found)))
    });
    taken.await.map(|taken| taken.unwrap())
}

async fn of_a_member_the_newest_challenges_stay_and_of_others_all(place: Arc<Place>) {
    let house = House::open(&place).await;
    let other = challenge(1, 0);
    note(&house, Record::ChallengePut(other.clone())).await;
    let many: Vec<_> = (1..=20).map(|second| challenge(2, second)).collect();
    for one in &many {
        note(&house, Record::ChallengePut(one.clone())).await;
    }
    let kept = place.number("SELECT count(*) FROM passkey_challenge");
    assert_eq!(kept, 1 + CHALLENGES_MAX as i64);
    assert_eq!(take(&house, other.id).await, Ok(Some(other)));
    assert_eq!(take(&house, many[0].id).await, Ok(None), "the oldest");
    assert_eq!(take(&house, many[19].id).await, Ok(Some(many[19].clone())));
    assert_eq!(take(&house, many[19].id).await, Ok(None), "once");
    let before = at(20);
    note(&house, Record::ChallengesForgotten { before }).await;
    assert_eq!(place.number("SELECT count(*) FROM passkey_challenge"), 0);
}

async fn the_log_is_trimmed_from_its_oldest_end_without_gaps(place: Arc<Place>) {
    let (house, _) = House::populated(&place, 9).await;
    // Ten changes. The clock of the node that wrote the fourth was ahead.
    place.sql("UPDATE change_log SET at = number");
    place.sql("UPDATE change_log SET at = 9 WHERE number = 4");
    let trim = |through, before| Record::LogTrimmed {
        through,
        before: Timestamp(before),
    };
    let left = || place.sql("SELECT number FROM change_log ORDER BY number");
    note(&house, trim(2, 6)).await;
    assert_eq!(left(), ["3", "4", "5", "6", "7", "8", "9", "10"]);
    note(&house, trim(9, 6)).await;
    assert_eq!(left(), ["4", "5", "6", "7", "8", "9", "10"]);
    note(&house, trim(9, 100)).await;
    assert_eq!(left(), ["10"]);
    house.store.trim_log().await.unwrap();
    assert_eq!(left(), ["10"], "so few are kept");
}

on_both!(
    an_older_use_does_not_replace_a_newer_one,
    who_was_the_housekeeper_before_takes_nothing_back,
    of_a_member_the_newest_challenges_stay_and_of_others_all,
    the_log_is_trimmed_from_its_oldest_end_without_gaps,
);

#[test]
fn a_challenge_is_taken_once_whichever_node_takes_it() {
    on(Engine::Postgres, async |place| {
        let (a, b) = (sharing(&place).await, sharing(&place).await);
        for second in 0..20 {
            let put = challenge(1, second);
            note(&a, Record::ChallengePut(put.clone())).await;
            let (here, there) = tokio::join!(take(&a, put.id), take(&b, put.id));
            let taken = [here, there].map(|taken| taken.unwrap());
            let once = taken.iter().flatten().collect::<Vec<_>>();
            assert_eq!(once, [&put], "round {second}");
        }
    });
}

#[test]
fn two_nodes_make_notices_and_counts_at_the_same_time() {
    on(Engine::Postgres, async |place| {
        let (a, b) = (sharing(&place).await, sharing(&place).await);
        let counts = |reversed: bool| {
            let mut counts: Vec<_> = (0..200).map(counted).collect();
            if reversed {
                counts.reverse();
            }
            Record::CountsAdded(counts)
        };
        let write = async |house: &House, name: &str, reversed: bool| {
            for round in 0..40 {
                let own: Vec<_> = (0..20)
                    .map(|n| notice(&format!("{name} {round} {n}")))
                    .collect();
                let common: Vec<_> = (0..20).map(|n| notice(&format!("{round} {n}"))).collect();
                let mut records = made(None, &own);
                records.push(counts(reversed));
                for records in [records, made(Some(round), &common)] {
                    house.store.note(records, Vec::new()).await.unwrap();
                }
            }
        };
        tokio::join!(write(&a, "a", false), write(&b, "b", true));
        let notices = "SELECT count(*) FROM notice";
        assert_eq!(place.number(notices), 40 * 60);
        assert_eq!(place.number("SELECT min(n) FROM check_count"), 80);
        assert_eq!(place.number("SELECT max(n) FROM check_count"), 80);
    });
}

#[test]
fn a_row_that_others_have_does_not_hold_the_writer_up() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        let counted = || Record::CountsAdded(vec![counted(0)]);
        note(&house, counted()).await;
        let other = place.session().await;
        other.run("BEGIN; UPDATE check_count SET n = n + 1").await;
        let held = house.store.note(vec![counted()], Vec::new()).await;
        assert_eq!(held, Err(Failure::Unavailable));
        assert!(house.store.is_writable(), "the store is not in doubt");
        house.generate(&clients[0]).await.unwrap();
        other.run("COMMIT").await;
        note(&house, counted()).await;
        assert_eq!(place.number("SELECT n FROM check_count"), 3);
    });
}

#[test]
fn one_node_cleans_up_and_another_takes_over_when_it_leaves() {
    on(Engine::Postgres, async |place| {
        let a = sharing(&place).await;
        until("the only node to clean up", || a.store.is_housekeeper());
        let b = sharing(&place).await;
        until("both to see each other", || {
            (a.store.nodes_seen(), b.store.nodes_seen()) == (2, 2)
        });
        assert!(a.store.is_housekeeper() && !b.store.is_housekeeper());
        a.close();
        until("the other one to take over", || b.store.is_housekeeper());
        until("it to be alone", || b.store.nodes_seen() == 1);
        // The lock ends with the session; the next one takes it again.
        let end = "SELECT pg_terminate_backend(pid)::text FROM pg_locks
            WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND objid::bigint = 1853321829";
        assert_eq!(place.sql(end), ["true"]);
        until("the lock to be gone", || !b.store.is_housekeeper());
        until("it to clean up again", || b.store.is_housekeeper());
    });
}

#[test]
fn a_file_has_one_node_which_cleans_up() {
    on(Engine::Sqlite, async |place| {
        let house = House::open(&place).await;
        assert!(house.store.is_housekeeper());
        assert_eq!(house.store.nodes_seen(), 1);
    });
}

/// Two primaries: one that was promoted and takes the writes, and the former one, which only answers reads.
#[test]
fn readers_leave_a_server_on_which_the_lease_is_not_renewed_any_more() {
    runtime().block_on(async {
        let former = PgCluster::builder().setting("fsync", "off").start();
        let promoted = former.standby();
        let (here, there) = (former.port().to_string(), promoted.port().to_string());
        let both = format!("{here},127.0.0.1:{there}");
        let place = Place::url(&former.url().replacen(&here, &both, 1));
        let house = sharing(&place).await;
        let clients = house.populate(2).await;
        let reader = house.store.reader().clone();
        let key = uuid();
        let used = |second: i64| Record::AdminKeyUsed {
            id: key,
            at: at(second),
            source: String::new(),
        };
        let last = async || {
            let four = futures_util::future::join_all((0..4).map(|_| reader.admin_key_uses()));
            let four = four.await.into_iter();
            let last = |uses: Vec<(Uuid, Timestamp, String)>| uses.first().map(|one| one.1);
            Vec::from_iter(four.map(|uses| last(uses.unwrap())))
        };
        note(&house, used(0)).await;
        assert_eq!(last().await, [Some(at(0)); 4]);
        former.wait_for_standby(true);
        promoted.promote();
        let there = Place::url(&promoted.url());
        let holder = there.session().await;
        holder.run("BEGIN; SELECT 1 FROM node FOR UPDATE").await;
        for statement in [
            "ALTER SYSTEM SET synchronous_standby_names = ''",
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'tokenward'",
        ] {
            let _ = former.sql("postgres", statement);
        }
        // The writer finds the new primary; the lease cannot be renewed there yet, so that its readers may still lead to the
        // former one. Nothing is answered meanwhile.
        let changes = || -> i64 {
            let number = promoted.sql("tokenward", "SELECT change_number FROM head");
            number.parse().unwrap()
        };
        let before = changes();
        let answered = AtomicUsize::new(0);
        let runtime = tokio::runtime::Handle::current();
        let ask = |client: &Client| {
            while runtime.block_on(house.generate(client)).is_err() {
                std::thread::yield_now();
            }
            answered.fetch_add(1, Ordering::SeqCst);
        };
        let committed = |count: i64| {
            until("a change on the new primary", || changes() >= before + count);
        };
        // What writes nothing is answered by what was answered before, and shows nothing of the lease.
        let nothing = || {
            let share = house.share();
            let looks = share.looks(ReadSet::client(clients[0].0));
            runtime.block_on(looks).is_ok()
        };
        let early = tokio::task::block_in_place(|| {
            until("a decision on the new primary", nothing);
            std::thread::scope(|scope| {
                for (client, count) in clients.iter().zip(1..) {
                    scope.spawn(|| ask(client));
                    committed(count);
                }
                let early = answered.load(Ordering::SeqCst);
                runtime.block_on(holder.run("COMMIT"));
                early
            })
        });
        holder.close();
        assert_eq!(early, 0, "answered before the lease was renewed on the new primary");
        let mut second = 0;
        for _ in 0..20 {
            second += 1;
            note(&house, used(second)).await;
            assert_eq!(last().await, [Some(at(second)); 4]);
        }
        let old = former.sql("tokenward", "SELECT max(at) FROM admin_key_use");
        assert_eq!(old, at(0).0.to_string(), "the former one still answers, and lacks them");
    });
}
