//! `tokenward-demo`: the life of an access token, shown with the real server and a sample product; with `--cluster`, what
//! callers see while three nodes and their database fail.
//!
//! Without flags it tells the story on the terminal and leaves everything running to play with; with `--check` it runs the
//! same walk unattended and fails at the first surprise, which is a panic. Either way all that it started ends with it, and
//! its data directory with them.
//!
//! It uses only what a customer has: the `tokenward` binary, its HTTP interfaces and its files. It must never reach into
//! the server's code.

mod cluster;
mod playground;
mod stage;
mod story;
mod walk;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{stage::Stage, story::Story};

/// Walks through the life of an access token with a real Tokenward and a sample product API.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Run unattended: free ports, no waiting at the end, a non-zero exit on any surprise.
    #[arg(long)]
    check: bool,
    /// Show several nodes on one PostgreSQL instead.
    #[arg(long)]
    cluster: bool,
    /// With --cluster: fail on wrong verdicts, lost generates and nodes that do not come back, but not on refusals and waits, which
    /// on a machine with other work are the machine's.
    #[arg(long)]
    patient: bool,
    /// The tokenward binary; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    story::show_surprises();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // The surprise has been shown; what ran ends as the stage is dropped.
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(tell(&flags)))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn tell(flags: &Flags) {
    let mut asked = std::pin::pin!(end_asked_for());
    let mut story = Story::new();
    let (parts, name) = if flags.cluster {
        let told = cluster::tell(flags, &mut story);
        let cluster = unless_asked(told, asked.as_mut(), flags).await;
        if let Some(cluster) = cluster {
            tokio::task::block_in_place(|| cluster.strike());
        }
        (cluster::PARTS, "demo-cluster-check")
    } else {
        let stage = Stage::set(flags.server.as_deref(), !flags.check).await;
        let told = async {
            walk::walk(&stage, &mut story).await;
            if flags.check {
                playground::try_lines(&stage, &mut story).await;
            } else {
                playground::invite(&stage).await;
            }
        };
        unless_asked(told, asked.as_mut(), flags).await;
        stage.strike().await;
        ("Server and product", "demo-check")
    };
    story.done(parts, flags.check.then_some(name));
}

/// What is told, and the wait for the request to end after it; none when that came in the middle.
async fn unless_asked<T>(
    told: impl Future<Output = T>,
    mut asked: std::pin::Pin<&mut impl Future<Output = ()>>,
    flags: &Flags,
) -> Option<T> {
    tokio::select! {
        told = told => {
            if !flags.check {
                asked.await;
            }
            Some(told)
        }
        () = &mut asked => {
            assert!(!flags.check, "asked to end in the middle of the walk");
            None
        }
    }
}

/// Resolves when a person or the system asks this program to end.
async fn end_asked_for() {
    let listen = |kind| signal(kind).expect("signals can be received");
    let mut interrupt = listen(SignalKind::interrupt());
    let mut terminate = listen(SignalKind::terminate());
    let mut hang_up = listen(SignalKind::hangup());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}
