//! `tokenward hold`: keeps the listening sockets and runs `tokenward serve` as its child, for machines without systemd. A
//! restart of the child refuses no connection. It never reads the store and never answers a caller.

use super::serve::Fault;
use crate::config::Config;
use crate::net::{self, unix};
use command_fds::{CommandFdExt as _, FdMapping};
use rustix::process::{Pid, kill_process};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The first descriptor that is handed over, by the protocol of systemd (`sd_listen_fds(3)`).
const FIRST: i32 = 3;
/// The pause before a child that failed is started again, as in the unit for systemd.
const PAUSE: Duration = Duration::from_secs(2);

/// Holds the sockets of this configuration and runs `program serve` with these words until told to stop.
///
/// # Errors
/// When a socket can't be opened, or the first child ends by itself before anybody asked it to.
pub(crate) fn run(config: &Config, program: &Path, words: &[OsString]) -> Result<(), Fault> {
    let cannot = |what: String| move |error| format!("cannot listen on {what}: {error}");
    let mut sockets: Vec<OwnedFd> = Vec::new();
    for address in [config.public, config.internal] {
        let (_, bound) = net::bind(address, 1).map_err(cannot(address.to_string()))?;
        sockets.extend(bound.into_iter().map(OwnedFd::from));
    }
    // Its file goes when this process ends.
    let unix = config.internal_unix.as_ref().map(|socket| {
        unix::Socket::bind(socket).map_err(cannot(socket.path.display().to_string()))
    });
    let unix = unix.transpose()?;
    if let Some(unix) = &unix {
        sockets.push(unix.share()?.into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(supervise(program, words, &sockets))
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    restart: Signal,
}

/// What happened to the child, or was asked of it.
enum Event {
    Ended(ExitStatus),
    Stop,
    HangUp,
    Restart,
}

async fn supervise(program: &Path, words: &[OsString], sockets: &[OwnedFd]) -> Result<(), Fault> {
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hang_up: signal(SignalKind::hangup())?,
        restart: signal(SignalKind::user_defined2())?,
    };
    let mut child = start(program, words, sockets)?;
    let mut asked = None;
    let mut restarted = false;
    loop {
        let event = tokio::select! {
            status = child.wait() => Event::Ended(status?),
            event = signals.next() => event,
        };
        match (event, &asked) {
            (Event::Stop, _) => {
                asked = Some(Event::Stop);
                tell(&child, rustix::process::Signal::TERM);
            }
            (Event::Restart, None) => {
                tracing::info!("restarting the server; callers wait for the next one");
                asked = Some(Event::Restart);
                tell(&child, rustix::process::Signal::TERM);
            }
            (Event::Restart, Some(_)) => {}
            (Event::HangUp, _) => tell(&child, rustix::process::Signal::HUP),
            (Event::Ended(status), Some(Event::Stop)) => return ended(status),
            // What is wrong with a first start is for the person who made it.
            (Event::Ended(status), None) if !restarted => return ended(status),
            (Event::Ended(status), reason) => {
                if reason.is_none() {
                    tracing::error!("the server ended ({status}); starting it again");
                    if signals.stop_within(PAUSE).await {
                        return Ok(());
                    }
                }
                (asked, restarted) = (None, true);
                child = loop {
                    match start(program, words, sockets) {
                        Ok(child) => break child,
                        // The file may be replaced at this moment.
                        Err(error) => tracing::error!("{error}; trying again"),
                    }
                    if signals.stop_within(PAUSE).await {
                        return Ok(());
                    }
                };
            }
        }
    }
}

impl Signals {
    async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.terminate.recv() => Event::Stop,
            _ = self.interrupt.recv() => Event::Stop,
            _ = self.hang_up.recv() => Event::HangUp,
            _ = self.restart.recv() => Event::Restart,
        }
    }

    /// Waits for so long, with no child, and returns whether a stop was asked for meanwhile.
    async fn stop_within(&mut self, pause: Duration) -> bool {
        let stop = async { while !matches!(self.next().await, Event::Stop) {} };
        tokio::time::timeout(pause, stop).await.is_ok()
    }
}

fn ended(status: ExitStatus) -> Result<(), Fault> {
    match status.success() {
        true => Ok(()),
        false => Err(format!("the server ended: {status}").into()),
    }
}

fn start(program: &Path, words: &[OsString], sockets: &[OwnedFd]) -> Result<Child, Fault> {
    let mut command = Command::new(program);
    command.arg("serve").args(words);
    command.env("LISTEN_FDS", sockets.len().to_string());
    command.env_remove("LISTEN_PID");
    let mapped = (FIRST..).zip(sockets).map(|(child_fd, socket)| {
        let parent_fd = socket.try_clone()?;
        Ok(FdMapping {
            parent_fd,
            child_fd,
        })
    });
    let mapped: std::io::Result<Vec<FdMapping>> = mapped.collect();
    command.as_std_mut().fd_mappings(mapped?)?;
    let started = command.spawn();
    started.map_err(|error| format!("{} can't be started: {error}", program.display()).into())
}

fn tell(child: &Child, signal: rustix::process::Signal) {
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(id) = id {
        let _ = kill_process(id, signal);
    }
}
