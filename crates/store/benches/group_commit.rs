//! Durable generates a second, beside what the same engine does for the same rows without Tokenward:
//! a loop on the bare driver that commits groups of a fixed size. Run by
//! `cargo bench -p tokenward-store --bench group_commit`; as arguments a number sets the rounds, a name
//! the engine.

mod bare;
mod common;

use bare::Bare;
use common::{Place, close, fill, median, nanos, secret};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokenward_core::audit::{Actor, Entry};
use tokenward_core::generate::{self, Caller, Fresh, Rejection, Wishes};
use tokenward_store::{Decided, Store, Wants};

const CLIENTS: u32 = 10_000;
const SIZES: [usize; 4] = [1, 8, 64, 256];
const ROUND: Duration = Duration::from_millis(1_000);

/// What one round of callers saw.
struct Seen {
    rate: f64,
    group: f64,
    p50: f64,
    p99: f64,
}

#[tokio::main]
async fn main() {
    // Cargo's own arguments begin with a hyphen.
    let wishes: Vec<String> = std::env::args()
        .skip(1)
        .filter(|wish| !wish.starts_with('-'))
        .collect();
    let rounds = wishes
        .iter()
        .find_map(|wish| wish.parse().ok())
        .unwrap_or(5);
    let wanted = |name: &str| {
        let named = |wish: &&String| wish.parse::<u32>().is_err();
        wishes
            .iter()
            .filter(named)
            .all(|wish| name.eq_ignore_ascii_case(wish))
    };
    for (name, make) in [
        ("SQLite", Place::sqlite as fn() -> Place),
        ("PostgreSQL", Place::postgres),
    ] {
        if !wanted(name) {
            continue;
        }
        let place = make();
        place.create().await;
        fill(&place, CLIENTS).await;
        let mut bares: Vec<Vec<(f64, f64)>> = vec![Vec::new(); SIZES.len()];
        let mut seens: Vec<Vec<Seen>> = SIZES.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (at, size) in SIZES.into_iter().enumerate() {
                bares[at].push(Bare::open(&place).await.run(size, ROUND).await);
                seens[at].push(callers(&place, size).await);
            }
        }
        print(&place, &bares, &seens);
    }
}

/// So many callers, each waiting for its answer before it asks again.
async fn callers(place: &Place, count: usize) -> Seen {
    let (store, writer) = place.open().await;
    let stop = Arc::new(AtomicBool::new(false));
    let seed = Arc::new(AtomicU64::new(nanos()));
    let before = store.committed();
    let start = nanos();
    let tasks: Vec<_> = (0..count as u32)
        .map(|nth| {
            let (store, stop, seed) = (store.clone(), Arc::clone(&stop), Arc::clone(&seed));
            tokio::spawn(async move {
                let mut took = Vec::new();
                let share = CLIENTS / count as u32;
                while !stop.load(Ordering::Relaxed) {
                    let drawn: [u8; 4] = common::bytes(seed.fetch_add(1, Ordering::Relaxed));
                    let client = nth * share + u32::from_le_bytes(drawn) % share;
                    let asked = nanos();
                    generate_one(&store, client, asked).await;
                    took.push(nanos() - asked);
                }
                took
            })
        })
        .collect();
    tokio::task::spawn_blocking(move || pause(ROUND))
        .await
        .expect("a pause");
    stop.store(true, Ordering::Relaxed);
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.expect("a caller"));
    }
    let seconds = (nanos() - start) as f64 / 1e9;
    let after = store.committed();
    close(store, writer).await;
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize] as f64 / 1e6;
    let (groups, changes) = ((after.0 - before.0) as f64, (after.1 - before.1) as f64);
    Seen {
        rate: changes / seconds,
        group: changes / groups,
        p50: at(0.5),
        p99: at(0.99),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench lasts as long as it lasts"
)]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

async fn generate_one(store: &Store<common::RealClock>, client: u32, random: u64) {
    let id = common::client_id(client);
    let caller = Caller {
        secret: secret(client),
        source: Some([10, 1, 2, 3].into()),
        host_environment: None,
    };
    let keyring = Arc::clone(store.replica().keyring());
    let decided = store.decide(Wants::client(id), move |view| {
        let state = view.client.as_ref().ok_or(Rejection::SecretInvalid)?;
        let fresh = Fresh {
            token: common::bytes(random),
            nonce: common::bytes(random + 1),
        };
        let quota = u32::MAX;
        let wishes = Wishes::default();
        let (changes, answer) =
            generate::by_secret(state, &caller, wishes, fresh, quota, &keyring, view.now)?;
        let audit = vec![Entry {
            at: view.now,
            actor: Actor::ClientSecret(id, 1),
            source: caller.source,
            action: "token.generate",
            workspace: Some(state.workspace.id),
            client: Some(id),
            detail: format!(
                r#"{{"generation":{},"valid_till":null}}"#,
                answer.generation
            ),
        }];
        Ok::<_, Rejection>((
            Decided {
                changes,
                audit,
                ..Decided::default()
            },
            answer.generation,
        ))
    });
    decided
        .await
        .unwrap_or_else(|error| panic!("{error}"))
        .unwrap_or_else(|error| panic!("{error:?}"));
}

fn print(place: &Place, bares: &[Vec<(f64, f64)>], seens: &[Vec<Seen>]) {
    println!(
        "\n{}: {CLIENTS} clients, medians of {} rounds of {ROUND:?}",
        place.name,
        bares[0].len()
    );
    println!("  bare driver, group of       1 ..     rate/s   commit ms");
    let mut floor = Vec::new();
    for (size, rounds) in SIZES.iter().zip(bares) {
        let rate = median(rounds.iter().map(|(rate, _)| *rate).collect());
        let commit = median(rounds.iter().map(|(_, commit)| *commit).collect());
        println!("  {size:>28} {rate:>12.0} {commit:>11.3}");
        floor.push((*size as f64, rate));
    }
    println!(
        "  Store::decide, callers    group    rate/s    p50 ms    p99 ms   of bare   p99 in bare commits"
    );
    for (callers, rounds) in SIZES.iter().zip(seens) {
        let pick = |figure: fn(&Seen) -> f64| median(rounds.iter().map(figure).collect());
        let (rate, group) = (pick(|s| s.rate), pick(|s| s.group));
        let (p50, p99) = (pick(|s| s.p50), pick(|s| s.p99));
        let bare = at_size(&floor, group);
        let commits = p99 / (group / bare * 1e3);
        println!(
            "  {callers:>22} {group:>8.1} {rate:>9.0} {p50:>9.3} {p99:>9.3} {:>9.2} {commits:>12.1}",
            rate / bare
        );
    }
}

/// The bare rate at a group size between two measured ones: time a commit grows linearly between.
fn at_size(floor: &[(f64, f64)], size: f64) -> f64 {
    let time = |(size, rate): (f64, f64)| size / rate;
    let upper = floor
        .iter()
        .position(|(known, _)| *known >= size)
        .unwrap_or(floor.len() - 1)
        .max(1);
    let (a, b) = (floor[upper - 1], floor[upper]);
    let part = ((size - a.0) / (b.0 - a.0)).clamp(0.0, 1.0);
    size / (time(a) + (time(b) - time(a)) * part)
}
