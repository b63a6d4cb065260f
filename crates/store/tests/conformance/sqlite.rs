//! What only a file can do to a node: be full, be read-only, be garbage, be locked by another program.

use crate::house::{Client, House, Who, until};
use crate::model::assert_folded;
use crate::place::{Engine, Place, on};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::Clock;
use tokenward_store::{Failure, StoreError};
use tokenward_testkit::assert_contains;

async fn refused(place: &Arc<Place>) -> StoreError {
    House::refused(place, Who::new()).await
}

#[test]
fn garbage_is_named_and_left_alone() {
    on(Engine::Sqlite, async |place| {
        let garbage = b"This is no database, but somebody's notes. ".repeat(50);
        std::fs::write(place.path(), &garbage).unwrap();
        let error = refused(&place).await;
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        assert_eq!(std::fs::read(place.path()).unwrap(), garbage);
    });
}

#[test]
fn another_programs_database_is_named_and_left_alone() {
    on(Engine::Sqlite, async |place| {
        place.sql("CREATE TABLE notes (text TEXT)");
        let error = refused(&place).await;
        assert!(error.to_string().contains("not Tokenward's"), "{error}");
        assert_eq!(place.sql("SELECT name FROM sqlite_schema"), ["notes"]);
    });
}

#[test]
fn a_damaged_page_is_an_error_and_no_panic() {
    on(Engine::Sqlite, async |place| {
        let (house, _) = House::populated(&place, 200).await;
        house.close();
        let mut bytes = std::fs::read(place.path()).unwrap();
        // The schema's page stays whole; every further one is overwritten.
        bytes[4096..].fill(0xA5);
        std::fs::write(place.path(), &bytes).unwrap();
        let error = refused(&place).await;
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    });
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    on(Engine::Sqlite, async |place| {
        let missing = place.folder.path().join("missing/tokenward.db");
        let place = Arc::new(Place::file(missing));
        let error = refused(&place).await;
        assert_contains(&error.to_string(), "missing/tokenward.db");
    });
}

#[test]
fn a_lock_held_by_another_program_is_waited_for_then_told_and_then_forgotten() {
    on(Engine::Sqlite, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        let client = &clients[0];
        let other = rusqlite::Connection::open(place.path()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let start = house.clock().boot();
        house.is_unavailable(client).await;
        // A short lock is waited for.
        assert!(house.since(start) > Duration::from_secs(4));
        assert!(!house.store.is_writable());
        other.execute_batch("ROLLBACK").unwrap();
        // Nothing of the failed one was written.
        assert_eq!(recovered(&house, client).await, 1);
    });
}

/// The generation of the first token that can be made again.
async fn recovered(house: &House, client: &Client) -> u32 {
    let start = house.clock().boot();
    loop {
        match house.generate(client).await {
            Ok(answer) => return answer.generation,
            Err(failure) => assert_eq!(failure, Failure::Unavailable),
        }
        assert!(house.since(start) < Duration::from_secs(20), "never");
        tokio::task::yield_now().await;
    }
}

/// Set for a copy of this program that plays one part of a test under narrower limits.
const PART: &str = "TOKENWARD_STORE_TEST_PART";

#[expect(
    clippy::disallowed_methods,
    reason = "how a test tells its copy which folder to work in"
)]
fn part() -> Option<std::path::PathBuf> {
    std::env::var_os(PART).map(Into::into)
}

/// Runs one test of this program again, through a shell's `before`, in `folder`.
fn again(test: &str, before: &str, folder: &Path) -> String {
    let program = folder.join("program");
    // A copy, for another user may not reach the original.
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let script = format!(r#"{before} exec "$0" --exact "{test}" --nocapture"#);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .arg(&program)
        .env(PART, folder)
        .current_dir(folder);
    let output = tokenward_testkit::finish(&mut shell, tokenward_testkit::PROGRAM_LIMIT);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    text
}

#[test]
fn a_read_only_folder_is_told() {
    let folder = match part() {
        None => {
            let folder = tempfile::tempdir().unwrap();
            let shut = folder.path().join("shut");
            std::fs::create_dir(&shut).unwrap();
            for (path, mode) in [(folder.path(), 0o777), (shut.as_path(), 0o555)] {
                let rights = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(path, rights).unwrap();
            }
            // Root may write everywhere, so root's copy runs as nobody.
            let before = r#"[ "$(id -u)" != 0 ] || set -- --reuid=65534 --regid=65534 --clear-groups;
                [ $# = 0 ] || exec setpriv "$@" "$0" --exact "sqlite::a_read_only_folder_is_told" --nocapture;"#;
            again("sqlite::a_read_only_folder_is_told", before, folder.path());
            return;
        }
        Some(folder) => folder,
    };
    crate::place::runtime().block_on(async {
        let place = Arc::new(Place::file(folder.join("shut/tokenward.db")));
        let error = refused(&place).await;
        let text = error.to_string();
        assert_contains(&text, "shut/tokenward.db");
        assert_contains(&text, "ermission denied");
    });
}

#[test]
fn a_full_disk_is_told_does_no_damage_and_is_survived() {
    let Some(folder) = part() else {
        let folder = tempfile::tempdir().unwrap();
        // A limit on a file's size, in blocks of 512 bytes; the signal that comes with it is ignored.
        again(
            "sqlite::a_full_disk_is_told_does_no_damage_and_is_survived",
            r#"trap "" XFSZ; ulimit -S -f 2000;"#,
            folder.path(),
        );
        return;
    };
    crate::place::runtime().block_on(async {
        let place = Arc::new(Place::file(folder.join("tokenward.db")));
        let (house, clients) = House::populated(&place, 8).await;
        let (mut failed, mut newest) = (0, [0; 8]);
        for at in (0..8).cycle() {
            match house.generate(&clients[at]).await {
                Ok(answer) => {
                    assert_eq!(failed, 0, "there is no room");
                    newest[at] = answer.generation;
                }
                Err(Failure::Unavailable | Failure::OutcomeUnknown) => failed += 1,
                Err(other) => panic!("{other}"),
            }
            if failed > 20 {
                break;
            }
        }
        assert!(!house.store.is_writable() && !house.store.is_expelled());
        // Checks go on: nobody else can write.
        assert!(house.vouches());
        // Room is made.
        let resource = rustix::process::Resource::Fsize;
        let limit = rustix::process::getrlimit(resource);
        let wider = rustix::process::Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        rustix::process::setrlimit(resource, wider).unwrap();
        until("the store to be writable", || house.store.is_writable());
        for (client, newest) in clients.iter().zip(newest) {
            // Nothing of the failed ones was written.
            assert_eq!(recovered(&house, client).await, newest + 1);
        }
        assert_folded(house, &clients).await;
    });
}

#[test]
fn a_second_process_on_the_same_file_ends_the_first() {
    // The data directory's lock keeps this from happening; should it fail, the file's own fence holds.
    on(Engine::Sqlite, async |place| {
        let (first, clients) = House::populated(&place, 1).await;
        let second = House::open_as(&place, Who::new()).await.unwrap();
        first.is_unavailable(&clients[0]).await;
        until("the first to stop", || first.store.is_expelled());
        second.makes(&clients[0], 1).await;
        first.close();
        // The second is still signed on.
        assert_eq!(place.number("SELECT count(*) FROM node"), 1);
    });
}
