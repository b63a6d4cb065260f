//! One process of a stampede: threads that share a token source and call a product as fast as they are allowed,
//! each with the blocking face, exactly as a program would. Prints what it saw as one line of JSON.
//!
//! `stampede-worker CONFIG CHECK_URL SECONDS THREADS`; for SECONDS `input`, until standard input ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokenward_client::blocking::TokenSource;
use tokenward_client::config;
use tokenward_core::time::Clock as _;
use tokenward_system::MachineClock;

/// Calls a second and thread: more would measure the machine, not the protocol.
const CALLS_A_SECOND: u64 = 40;

#[derive(Default)]
struct Seen {
    calls: AtomicU64,
    /// Calls whose first token was refused and whose second was good.
    retried: AtomicU64,
    /// Calls refused twice, or without a token.
    refused: AtomicU64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, url, seconds, threads] = arguments.as_slice() else {
        return Err("stampede-worker CONFIG CHECK_URL SECONDS THREADS".into());
    };
    let config = config::load(config.as_ref())?;
    let source = TokenSource::new(config.client(None)?.source.clone())?;
    let ended = AtomicBool::new(false);
    let end = match seconds.as_str() {
        "input" => u64::MAX,
        seconds => MachineClock.boot().0 + seconds.parse::<u64>()? * 1_000_000_000,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let seen = Seen::default();
    let http = reqwest::Client::builder().no_proxy().build()?;
    std::thread::scope(|scope| -> Result<(), Box<dyn std::error::Error>> {
        for _ in 0..threads.parse::<u32>()? {
            scope.spawn(|| {
                while MachineClock.boot().0 < end && !ended.load(Ordering::Relaxed) {
                    call(&source, &runtime, &http, url, &seen);
                    runtime.block_on(pause());
                }
            });
        }
        if end == u64::MAX {
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
            ended.store(true, Ordering::Relaxed);
        }
        Ok(())
    })?;
    let generated = source.source().counts().generated;
    println!(
        "{{\"calls\":{},\"retried\":{},\"refused\":{},\"generated\":{generated}}}",
        seen.calls.into_inner(),
        seen.retried.into_inner(),
        seen.refused.into_inner(),
    );
    Ok(())
}

/// One call of a product, with the protocol's one retry.
fn call(
    source: &TokenSource,
    runtime: &tokio::runtime::Runtime,
    http: &reqwest::Client,
    url: &str,
    seen: &Seen,
) {
    let mut times = 0;
    let status = source.call(|entry| {
        times += 1;
        let request = http
            .get(url)
            .header("x-cleartax-auth-token", entry.token.expose());
        let status = runtime.block_on(async { request.send().await.map(|answer| answer.status()) });
        let status = status.map_or(0, |status| status.as_u16());
        (status, status == 401)
    });
    seen.calls.fetch_add(1, Ordering::Relaxed);
    match status {
        Ok(200) if times > 1 => seen.retried.fetch_add(1, Ordering::Relaxed),
        Ok(200) => 0,
        other => {
            // The first few say enough.
            if seen.refused.load(Ordering::Relaxed) < 3 {
                eprintln!("finally refused: {other:?}");
            }
            seen.refused.fetch_add(1, Ordering::Relaxed)
        }
    };
}

async fn pause() {
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / CALLS_A_SECOND));
    ticks.tick().await;
    ticks.tick().await;
}
