//! Backup and restore: a copy is one moment of the store, and a restore revives no token.

use crate::basics::{START, uuid};
use crate::house::{House, Who};
use crate::model::{assert_same, folded};
use crate::place::{Engine, Place, on, on_both};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokenward_core::audit::Verifier;
use tokenward_core::change::EPOCH_GENERATIONS;
use tokenward_core::client::ApiClient;
use tokenward_store::{
    AuditFilter, ClientFilter, LOG_GROWTH_MAX, Location, StoreError, backup, restore,
};
use tokenward_testkit::{assert_contains, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// The copy as a place of its own.
fn placed(copy: &Path) -> Arc<Place> {
    let place = Place::new(Engine::Sqlite);
    let Location::Sqlite(path) = &place.location else {
        unreachable!()
    };
    std::fs::copy(copy, path).unwrap();
    place
}

async fn all_clients(house: &House) -> Vec<ApiClient> {
    let filter = ClientFilter {
        deleted: true,
        limit: 1_000,
        ..ClientFilter::default()
    };
    let clients = house.store.reader().clients(&filter).await.unwrap();
    clients.into_iter().map(|(state, _)| state.client).collect()
}

#[test]
fn a_backup_under_load_is_one_moment_of_the_store() {
    on(Engine::Sqlite, async |place| {
        let (house, clients) = House::populated(&place, 8).await;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = clients
            .chunks(2)
            .map(|pair| {
                let (house, stop, pair) = (house.share(), Arc::clone(&stop), pair.to_vec());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        for (id, secret) in &pair {
                            house.generate(*id, secret).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        let mut copies = Vec::new();
        for n in 0..3 {
            let (from, to) = (
                place.path(),
                place.folder.path().join(format!("copy-{n}.db")),
            );
            let store = house.store.clone();
            let copy = tokio::task::spawn_blocking(move || {
                let mut told = 0;
                let head = backup(&from, &to, LOG_GROWTH_MAX, |left, all| {
                    assert!(left <= all);
                    told += 1;
                    // The copying goes on only when the store has moved on.
                    let enough = store.numbers().0 + 20;
                    wait_until("more writes", Duration::from_secs(30), || {
                        store.numbers().0 > enough
                    });
                });
                assert!(told > 0, "progress is told");
                (head.unwrap(), to)
            });
            copies.push(copy.await.unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.unwrap();
        }
        let bodies = place.bodies();
        for (head, path) in copies {
            let place = placed(&path);
            let copied = place.bodies();
            assert_eq!(
                copied,
                bodies[..copied.len()],
                "the copy is a prefix of what was written"
            );
            let house = House::open(&place).await;
            assert_same(
                "copied",
                &all_clients(&house).await,
                house.store.replica(),
                &folded(&copied),
            );
            let mut verifier = Verifier::default();
            let filter = AuditFilter {
                limit: 1_000,
                ..AuditFilter::default()
            };
            let mut after = 0;
            while verifier.head().0 < head.1 {
                let page = house
                    .store
                    .reader()
                    .audit(&AuditFilter {
                        after,
                        ..filter.clone()
                    })
                    .await
                    .unwrap();
                page.iter().for_each(|entry| verifier.next(entry).unwrap());
                after = verifier.head().0;
            }
            assert_eq!(
                (copied.len() as u64, verifier.head()),
                (head.0, (head.1, head.2))
            );
            house.close().await;
        }
        house.close().await;
    });
}

#[test]
fn a_backup_that_lets_the_log_grow_too_far_is_given_up() {
    on(Engine::Sqlite, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        let to = place.folder.path().join("slow.db");
        let (id, secret) = clients[0].clone();
        let (from, runtime, share) = (
            place.path(),
            tokio::runtime::Handle::current(),
            house.share(),
        );
        let target = to.clone();
        let copy = tokio::task::spawn_blocking(move || {
            backup(&from, &target, 100_000, |_, _| {
                for _ in 0..100 {
                    runtime.block_on(share.generate(id, &secret)).unwrap();
                }
            })
        });
        let given_up = copy.await.unwrap().unwrap_err();
        assert!(
            matches!(&given_up, StoreError::Refused(text) if text.contains("--max-log-growth")),
            "{given_up}"
        );
        assert!(!to.exists() && !place.folder.path().join("slow.db.part").exists());
        house.close().await;
    });
}

#[test]
fn a_backup_takes_no_file_away_and_leaves_no_half() {
    on(Engine::Sqlite, async |place| {
        let (house, _) = House::populated(&place, 1).await;
        let folder = place.folder.path();
        let kept = folder.join("kept.db");
        std::fs::write(&kept, "not ours").unwrap();
        let refused = backup(&place.path(), &kept, LOG_GROWTH_MAX, |_, _| {}).unwrap_err();
        assert!(
            matches!(&refused, StoreError::Refused(text) if text.contains("kept.db exists")),
            "{refused}"
        );
        assert_eq!(std::fs::read(&kept).unwrap(), b"not ours");
        let nowhere = backup(
            &place.path(),
            &folder.join("missing/copy.db"),
            LOG_GROWTH_MAX,
            |_, _| {},
        )
        .unwrap_err();
        assert!(
            matches!(&nowhere, StoreError::Refused(text) if text.contains("cannot write") && text.contains("missing")),
            "{nowhere}"
        );
        let garbage =
            backup(&kept, &folder.join("copy.db"), LOG_GROWTH_MAX, |_, _| {}).unwrap_err();
        assert!(
            matches!(&garbage, StoreError::Damaged(text) if text.contains("kept.db")),
            "{garbage}"
        );
        let mut left: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.retain(|name| name.contains("copy"));
        assert_eq!(left, Vec::<String>::new());
        house.close().await;
    });
}

#[test]
fn a_backup_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    on(Engine::Sqlite, async |place| {
        let house = House::open(&place).await;
        let copy = place.folder.path().join("copy.db");
        backup(&place.path(), &copy, LOG_GROWTH_MAX, |_, _| {}).unwrap();
        for path in [place.path(), copy] {
            assert_eq!(
                std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        house.close().await;
    });
}

async fn a_restore_revives_no_token_and_keeps_secrets(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    house.product("gst").await;
    let (id, secret) = &clients[0];
    let token = house.generate(*id, secret).await.unwrap().token.expose();
    assert_eq!(house.check(&token), "permit");
    let who = house.who.clone();
    house.close().await;
    let epoch = uuid();
    let restored = restore(&place.location, None, epoch, START, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(restored.epoch, Some(epoch));
    let house = House::open_as(&place, who).await.unwrap();
    assert_eq!(house.store.head_at_open().epoch, epoch);
    assert_eq!(house.check(&token), "deny");
    let answer = house.generate(*id, secret).await.unwrap();
    assert_eq!(
        answer.generation,
        EPOCH_GENERATIONS + 2,
        "no generation of a lost token is given out again"
    );
    assert_eq!(house.check(&answer.token.expose()), "permit");
    let never = house.generate(clients[1].0, &clients[1].1).await.unwrap();
    assert_eq!(never.generation, EPOCH_GENERATIONS + 1);
    let fold = folded(&place.bodies());
    assert_same(
        "restored",
        &all_clients(&house).await,
        house.store.replica(),
        &fold,
    );
    house.close().await;
}

async fn a_restore_proved_complete_ends_nothing(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    house.product("gst").await;
    let token = house
        .generate(clients[0].0, &clients[0].1)
        .await
        .unwrap()
        .token
        .expose();
    let (seq, hash, _) = house.store.reader().head().await.unwrap();
    let who = house.who.clone();
    house.close().await;
    for wrong in [(seq + 1, hash), (seq, [1; 32]), (seq - 1, hash)] {
        let refused = restore(&place.location, Some(wrong), uuid(), START, Duration::ZERO)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("not complete"), "{refused}");
    }
    let restored = restore(
        &place.location,
        Some((seq, hash)),
        uuid(),
        START,
        Duration::ZERO,
    )
    .await
    .unwrap();
    assert_eq!((restored.epoch, restored.head.audit_seq), (None, seq));
    let house = House::open_as(&place, who).await.unwrap();
    assert_eq!(house.check(&token), "permit");
    assert_eq!(house.store.reader().head().await.unwrap().0, seq);
    house.close().await;
}

async fn a_restore_into_nothing_is_refused_and_makes_nothing(place: Arc<Place>) {
    let refused = restore(&place.location, None, uuid(), START, Duration::ZERO)
        .await
        .unwrap_err();
    match place.engine {
        Engine::Sqlite => {
            assert!(refused.to_string().contains("tokenward.db"), "{refused}");
            assert!(!place.path().exists());
        }
        Engine::Postgres => {
            assert_contains(&refused.to_string(), "copy the backup into it first");
            assert_eq!(
                place.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
                0
            );
        }
    }
    House::open_as(&place, Who::new())
        .await
        .unwrap()
        .close()
        .await;
}

/// A node of the lost server vouches by the lease which that one granted; nothing may be answered before it is over.
#[test]
fn a_restore_keeps_the_database_until_no_former_node_can_vouch() {
    on(Engine::Postgres, async |place| {
        House::open(&place).await.close().await;
        place.sql(
            "INSERT INTO node (incarnation, id, attempt, acked, wait) VALUES ('former', 'former', 5, 0, 1000)",
        );
        let epoch = uuid();
        let looking = async {
            let (seen, begun) = (Arc::clone(&place), epoch.to_string());
            let began =
                move || (seen.sql("SELECT epoch FROM head") == [begun.clone()]).then_some(());
            let waiting = move || wait_until("the epoch to begin", LIMIT, began);
            tokio::task::spawn_blocking(waiting).await.unwrap();
            assert_eq!(place.number("SELECT count(*) FROM node"), 0);
            let refused = House::open_as(&place, Who::new()).await.map(|_| ());
            assert!(matches!(refused, Err(StoreError::InUse(_))), "{refused:?}");
        };
        let wait = Duration::from_secs(600);
        tokio::select! {
            restored = restore(&place.location, None, epoch, START, wait) => panic!("{restored:?}"),
            () = looking => {}
        }
    });
}

#[test]
fn a_restore_under_a_running_node_is_refused() {
    on(Engine::Postgres, async |place| {
        let house = House::open(&place).await;
        let refused = restore(&place.location, None, uuid(), START, Duration::ZERO)
            .await
            .unwrap_err();
        assert!(matches!(refused, StoreError::InUse(_)), "{refused}");
        house.close().await;
    });
}

on_both!(
    a_restore_revives_no_token_and_keeps_secrets,
    a_restore_proved_complete_ends_nothing,
    a_restore_into_nothing_is_refused_and_makes_nothing,
);
