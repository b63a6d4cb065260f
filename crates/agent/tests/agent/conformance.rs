//! What every place must do, the same for all of them, on the real thing: two holders, each with a home of its own
//! made from the same configuration.

use crate::services::{AGENT_POLICY, Bao, Moto, bare_folder};
use crate::world::{private_file, write_config};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokenward_client::destination::{Home, Lease, LeaseRequest};
use tokenward_client::protocol::{Origin, Tally, Version};
use tokenward_client::{AccessToken, Entry, config};
use tokenward_core::Timestamp;
use tokenward_testkit::wait_until;

/// A lease short enough to wait for.
const TTL: Duration = Duration::from_secs(2);

/// Writers at once over one version, and how often.
const RACERS: u32 = 4;
const RACES: u32 = 10;

fn wish() -> LeaseRequest {
    LeaseRequest {
        ttl: TTL,
        queue: None,
    }
}

fn entry(token: &str, generation: u32) -> Entry {
    Entry {
        token: AccessToken::parse(token).unwrap(),
        generation: Some(generation),
        valid_till: Some(Timestamp(1_795_428_930_123_456 + i64::from(generation))),
        obtained_at: Timestamp(1_795_428_900_000_001),
        tally: Tally {
            day: 20_780,
            made: 5,
        },
        early_ends: 1,
        held_until: Some(Timestamp(1_795_428_900_000_002)),
        origin: Origin {
            server: Some("https://tokens.example.com".to_owned()),
            ..Origin::default()
        },
    }
}

fn destination(folder: &Path, lines: &str) -> Arc<dyn Home> {
    let lines = format!("[[client.erp.destination]]\n{lines}");
    let path = write_config(&folder.join("agent.toml"), "http://127.0.0.1:1", &lines);
    let config = config::load(&path).unwrap();
    config.client(None).unwrap().source.home().clone()
}

/// The suite.
async fn conforms(folder: &Path, lines: &str) {
    let (ours, theirs) = (destination(folder, lines), destination(folder, lines));
    let (a, b) = (&*ours, &*theirs);

    // Nothing yet, and forgetting nothing is no failure.
    assert!(a.read().await.unwrap().entry.is_none());
    ours.forget().await.unwrap();

    // What one writes, the other reads, whole.
    for (nth, token) in SHAPES.iter().enumerate() {
        let written = entry(token, u32::try_from(nth).unwrap() + 1);
        let seen = a.read().await.unwrap();
        assert!(a.write(Some(&written), &seen.version).await.unwrap());
        let read = b.read().await.unwrap().entry.unwrap();
        assert_eq!(read.token.expose(), *token);
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
    }

    // Compare and swap, many at once over what all have seen: one of them writes.
    for round in 0..RACES {
        let seen = a.read().await.unwrap().version;
        let racers: Vec<_> = (0..RACERS)
            .map(|nth| {
                let home = if nth % 2 == 0 { &ours } else { &theirs }.clone();
                let seen = seen.clone();
                tokio::spawn(async move {
                    write(&*home, &format!("racer-{round}-{nth}"), 10, &seen).await
                })
            })
            .collect();
        let mut winners = 0;
        for racer in racers {
            winners += u32::from(racer.await.unwrap());
        }
        assert_eq!(winners, 1, "of {RACERS} in race {round}");
    }

    // Who has seen less writes nothing.
    let seen_by_both = a.read().await.unwrap().version;
    assert!(write(b, "newer", 20, &seen_by_both).await);
    assert!(!write(a, "late", 21, &seen_by_both).await);
    assert_eq!(generation(a).await, Some(20));

    // Putting never goes back, and is done when it is done already.
    ours.put(&entry("slower", 19)).await.unwrap();
    assert_eq!(generation(b).await, Some(20));
    theirs.put(&entry("next", 22)).await.unwrap();
    theirs.put(&entry("next", 22)).await.unwrap();
    assert_eq!(generation(a).await, Some(22));

    // One lease at a time; given back, the next holder knows that all is well.
    let lease = a.lease(&wish()).await.unwrap();
    let lease = lease.expect("the first lease is free");
    assert!(!lease.abandoned);
    assert!(b.lease(&wish()).await.unwrap().is_none());
    a.release(lease).await.unwrap();
    let again = taken(b).await;
    assert!(!again.abandoned, "given back, but marked as abandoned");

    // A holder that is gone: sooner or later the next one has the lease, and knows.
    drop(again);
    drop(theirs.clone());
    let late = taken(a).await;
    assert!(
        late.abandoned,
        "the next holder does not know that the last one never finished"
    );
    a.release(late).await.unwrap();

    // A token stored under a lease ends its story.
    let lease = taken(b).await;
    let seen = b.read().await.unwrap();
    assert!(write(b, "under-lease", 23, &seen.version).await);
    b.release(lease).await.unwrap();
    let free = taken(a).await;
    assert!(!free.abandoned);
    a.release(free).await.unwrap();

    // Nothing is left behind.
    ours.forget().await.unwrap();
    assert!(b.read().await.unwrap().entry.is_none());
    theirs.put(&entry("anew", 24)).await.unwrap();
    assert_eq!(generation(a).await, Some(24));
}

/// Writes over a version; whether that was possible.
async fn write(home: &dyn Home, token: &str, generation: u32, over: &Version) -> bool {
    let entry = entry(token, generation);
    home.write(Some(&entry), over).await.unwrap()
}

async fn generation(home: &dyn Home) -> Option<u32> {
    home.read().await.unwrap().entry.unwrap().generation
}

/// Waits for the lease.
async fn taken(home: &dyn Home) -> Lease {
    tokio::task::block_in_place(|| {
        wait_until("the lease", TTL * 10, || {
            let asked = tokio::runtime::Handle::current().block_on(home.lease(&wish()));
            asked.unwrap()
        })
    })
}

/// Tokens that every place must carry unharmed.
const SHAPES: [&str; 3] = [
    "sandbox.1.7f9d9c52-8a35-4c4e-9f5b-1d1d0b6d3f11_00ff",
    "a\"b\\c$d'e`f#g=h{i}j",
    "eyJhbGciOi.J9+/=~",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_file() {
    let folder = bare_folder();
    conforms(folder.path(), "kind = \"file\"\npath = \"token.json\"\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_env_file() {
    let folder = bare_folder();
    private_file(&folder.path().join(".env"), "KEEP=me\n");
    conforms(folder.path(), "kind = \"dotenv\"\npath = \".env\"\n").await;
    let left = std::fs::read_to_string(folder.path().join(".env")).unwrap();
    assert!(left.starts_with("KEEP=me\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_folder() {
    let folder = bare_folder();
    let lines = "kind = \"credential\"\nfolder = \".\"\nname = \"access-token\"\n";
    conforms(folder.path(), lines).await;
    // The bare token, as LoadCredential= hands it over.
    let bare = std::fs::read_to_string(folder.path().join("access-token")).unwrap();
    assert_eq!(bare, "anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_credentials_folder() {
    let folder = bare_folder();
    let lines = "kind = \"credential\"\nfolder = \".\"\nname = \"access-token\"\nencrypt = true\n";
    conforms(folder.path(), lines).await;
    let stored = std::fs::read_to_string(folder.path().join("access-token")).unwrap();
    assert!(!stored.contains("anew"));
}

#[tokio::test(flavor = "multi_thread")]
async fn vault() {
    let folder = bare_folder();
    let path = folder.path().to_owned();
    let started = tokio::task::spawn_blocking(move || {
        let bao = Bao::start();
        let role = bao.role("agent", AGENT_POLICY);
        let lines = bao.destination(&path, &role);
        (bao, lines)
    });
    let (_bao, lines) = started.await.unwrap();
    conforms(folder.path(), &lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws() {
    let folder = bare_folder();
    let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
    conforms(folder.path(), &moto.destination(folder.path())).await;
}

/// Needs a session bus with an unlocked keyring: docs/guide/client/keyring.md shows the command.
#[cfg(feature = "keyring")]
#[tokio::test(flavor = "multi_thread")]
async fn a_keyring() {
    let folder = bare_folder();
    let lines = "kind = \"keyring\"\naccount = \"conformance\"\nlock_folder = \".\"\n";
    conforms(folder.path(), lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin() {
    let folder = bare_folder();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/plugin.py");
    let lines = format!(
        "kind = \"plugin\"\ncommand = [\"python3\", \"{}\", \"{}\"]\n",
        script.display(),
        folder.path().join("plugin.sqlite").display()
    );
    conforms(folder.path(), &lines).await;
}
