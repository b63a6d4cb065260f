//! `tokenward-demo`: the life of an access token, shown with the real server and a sample product.
//!
//! Without flags it tells the story on the terminal and leaves everything running to play with; with `--check` it runs the
//! same walk unattended and fails at the first surprise, which is a panic. Either way all that it started ends with it, and
//! its data directory with them.
//!
//! It uses only what a customer has: the `tokenward` binary, its HTTP interfaces and its files. It must never reach into
//! the server's code.

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
    let stage = Stage::set(flags.server.as_deref(), !flags.check).await;
    let mut story = Story::new();
    let told = async {
        walk::walk(&stage, &mut story).await;
        if flags.check {
            playground::try_lines(&stage, &mut story).await;
        } else {
            playground::invite(&stage, &story).await;
        }
    };
    tokio::select! {
        () = told => {
            if !flags.check {
                asked.await;
            }
        }
        () = &mut asked => assert!(!flags.check, "asked to end in the middle of the walk"),
    }
    stage.strike().await;
    story.done(flags.check);
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
