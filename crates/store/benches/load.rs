//! How long a start takes: a store filled with clients is opened, and every slot is in memory. Run by
//! `cargo bench -p tokenward-store --bench load`; a number as argument sets the clients.

mod common;

use common::{Place, client_id, close, fill, median, nanos};

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let clients = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1_000_000);
    for place in [Place::sqlite(), Place::postgres()] {
        place.create().await;
        fill(&place, clients).await;
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let start = nanos();
            let (store, writer) = place.open().await;
            took.push((nanos() - start) as f64 / 1e9);
            assert_eq!(store.replica().client_count(), clients as usize);
            assert!(store.replica().may_know(client_id(clients / 2)));
            close(store, writer).await;
        }
        let all: Vec<String> = took.iter().map(|took| format!("{took:.2}")).collect();
        let middle = median(took);
        let million = middle * 1e6 / f64::from(clients);
        println!(
            "{}: {clients} clients open in {middle:.2} s ({million:.2} s a million; {})",
            place.name,
            all.join(", ")
        );
    }
}
