//! Backup and restore: a copy is one moment of the store, and a restore revives no token.

use crate::basics::{START, uuid};
use crate::house::{House, Who};
use crate::model::{assert_same, folded};
use crate::place::{Engine, Place, on, on_both};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::change::EPOCH_GENERATIONS;
use tokenward_store::{ClientFilter, LOG_GROWTH_MAX, Location, StoreError, backup, restore};
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

/// Every client of a store is what its change log makes of it.
async fn is_the_fold(house: &House) {
    let filter = ClientFilter {
        deleted: true,
        limit: 1_000,
        ..ClientFilter::default()
    };
    let clients = house.store.reader().clients(&filter).await.unwrap();
    let clients: Vec<_> = clients.into_iter().map(|(state, _)| state.client).collect();
    let fold = folded(&house.place.bodies());
    assert_same("loaded", &clients, house.store.replica(), &fold);
}

#[test]
fn a_backup_under_load_is_one_moment_of_the_store() {
    on(Engine::Sqlite, async |place| {
        let (house, clients) = House::populated(&place, 8).await;
        let flood = house.flood(&clients);
        let mut copies = Vec::new();
        for n in 0..3 {
            let to = place.folder.path().join(format!("copy-{n}.db"));
            let (from, store) = (place.path(), house.store.clone());
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
        flood.stop().await;
        let bodies = place.bodies();
        for (head, path) in copies {
            let place = placed(&path);
            let copied = place.bodies();
            // The copy is a prefix of what was written.
            assert_eq!(copied, bodies[..copied.len()]);
            let house = House::open(&place).await;
            is_the_fold(&house).await;
            let end = crate::audit::verify(house.store.reader()).await;
            assert_eq!(copied.len() as u64, head.0);
            assert_eq!(end, Ok((head.1, head.2)));
        }
    });
}

#[test]
fn a_backup_that_lets_the_log_grow_too_far_is_given_up() {
    on(Engine::Sqlite, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        let to = place.folder.path().join("slow.db");
        let (client, from, target) = (clients[0].clone(), place.path(), to.clone());
        let (runtime, share) = (tokio::runtime::Handle::current(), house.share());
        let copy = tokio::task::spawn_blocking(move || {
            backup(&from, &target, 100_000, |_, _| {
                for _ in 0..100 {
                    runtime.block_on(share.generate(&client)).unwrap();
                }
            })
        });
        let given_up = copy.await.unwrap().unwrap_err();
        assert!(matches!(given_up, StoreError::Refused(_)), "{given_up}");
        assert_contains(&given_up.to_string(), "--max-log-growth");
        assert!(!to.exists() && !place.folder.path().join("slow.db.part").exists());
    });
}

#[test]
fn a_backup_takes_no_file_away_and_leaves_no_half() {
    on(Engine::Sqlite, async |place| {
        let (_house, _) = House::populated(&place, 1).await;
        let folder = place.folder.path();
        let kept = folder.join("kept.db");
        std::fs::write(&kept, "not ours").unwrap();
        let refused = |from: &Path, to: &Path| {
            let copied = backup(from, to, LOG_GROWTH_MAX, |_, _| {});
            let error = copied.unwrap_err();
            assert!(matches!(error, StoreError::Refused(_)), "{error}");
            error.to_string()
        };
        assert_contains(&refused(&place.path(), &kept), "kept.db exists");
        assert_eq!(std::fs::read(&kept).unwrap(), b"not ours");
        let nowhere = refused(&place.path(), &folder.join("missing/copy.db"));
        assert_contains(&nowhere, "cannot write");
        assert_contains(&nowhere, "missing");
        let garbage = backup(&kept, &folder.join("copy.db"), LOG_GROWTH_MAX, |_, _| {});
        let garbage = garbage.unwrap_err().to_string();
        assert_contains(&garbage, "damaged or not Tokenward's");
        assert_contains(&garbage, "kept.db");
        let names = std::fs::read_dir(folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(!names.into_iter().any(|name| name.contains("copy")));
    });
}

#[test]
fn a_backup_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    on(Engine::Sqlite, async |place| {
        let _house = House::open(&place).await;
        let copy = place.folder.path().join("copy.db");
        backup(&place.path(), &copy, LOG_GROWTH_MAX, |_, _| {}).unwrap();
        for path in [place.path(), copy] {
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    });
}

async fn a_restore_revives_no_token_and_keeps_secrets(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    house.product("gst").await;
    let token = house.token(&clients[0]).await;
    assert_eq!(house.check(&token), "permit");
    house.close();
    let epoch = place.restore(None).await.unwrap().epoch.unwrap();
    let house = House::open(&place).await;
    assert_eq!(house.store.head_at_open().epoch, epoch);
    assert_eq!(house.check(&token), "deny");
    // No generation of a lost token is given out again.
    let answer = house.generate(&clients[0]).await.unwrap();
    assert_eq!(answer.generation, EPOCH_GENERATIONS + 2);
    assert_eq!(house.check(&answer.token.expose()), "permit");
    house.makes(&clients[1], EPOCH_GENERATIONS + 1).await;
    is_the_fold(&house).await;
}

async fn a_restore_proved_complete_ends_nothing(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    house.product("gst").await;
    let token = house.token(&clients[0]).await;
    let (seq, hash, _) = house.store.reader().head().await.unwrap();
    house.close();
    for wrong in [(seq + 1, hash), (seq, [1; 32]), (seq - 1, hash)] {
        let refused = place.restore(Some(wrong)).await.unwrap_err();
        assert_contains(&refused.to_string(), "not complete");
    }
    let restored = place.restore(Some((seq, hash))).await.unwrap();
    assert_eq!((restored.epoch, restored.head.audit_seq), (None, seq));
    let house = House::open(&place).await;
    assert_eq!(house.check(&token), "permit");
    assert_eq!(house.store.reader().head().await.unwrap().0, seq);
}

async fn a_restore_into_nothing_is_refused_and_makes_nothing(place: Arc<Place>) {
    let refused = place.restore(None).await.unwrap_err().to_string();
    match place.engine {
        Engine::Sqlite => {
            assert_contains(&refused, "tokenward.db");
            assert!(!place.path().exists());
        }
        Engine::Postgres => {
            assert_contains(&refused, "copy the backup into it first");
            let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
            assert_eq!(place.number(tables), 0);
        }
    }
    House::open(&place).await.close();
}

/// A node of the lost server vouches by the lease which that one granted; nothing may be answered before it is over.
#[test]
fn a_restore_keeps_the_database_until_no_former_node_can_vouch() {
    on(Engine::Postgres, async |place| {
        House::open(&place).await.close();
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
            let refused = House::refused(&place, Who::new()).await;
            assert!(matches!(refused, StoreError::InUse(_)), "{refused}");
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
        let _house = House::open(&place).await;
        let refused = place.restore(None).await.unwrap_err();
        assert!(matches!(refused, StoreError::InUse(_)), "{refused}");
    });
}

on_both!(
    a_restore_revives_no_token_and_keeps_secrets,
    a_restore_proved_complete_ends_nothing,
    a_restore_into_nothing_is_refused_and_makes_nothing,
);
