//! Processes under measurement: where they run, and what processor time they used.

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Puts the server on the first core and the load on the others, where there are at least two. What this
/// thread starts once it is dropped runs on all of them again: a core is inherited, and a row that did not
/// give it back would decide where all later rows run.
pub(crate) struct Split(Option<[CpuSet; 3]>);

impl Split {
    pub(crate) fn new() -> Self {
        let two = sched_getaffinity(None).ok().and_then(|all| {
            let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu))?;
            let (mut server, mut load) = (CpuSet::new(), all);
            server.set(first);
            load.unset(first);
            (load.count() > 0).then_some([server, load, all])
        });
        Self(two)
    }

    /// What this thread starts from now on runs on the server's core.
    pub(crate) fn starting(&self) {
        self.put(0);
    }

    /// Puts a running process on the server's core: the test kit starts its processes from a thread of its
    /// own, which knows nothing of this one's core.
    pub(crate) fn take(&self, process: u32) -> Result<(), String> {
        let Some([server, ..]) = &self.0 else {
            return Ok(());
        };
        let folder = format!("/proc/{process}/task");
        let failed = |error: &dyn std::fmt::Display| format!("{folder}: {error}");
        for thread in std::fs::read_dir(&folder).map_err(|error| failed(&error))? {
            let name = thread.map_err(|error| failed(&error))?.file_name();
            let thread = name.to_string_lossy().parse().ok().and_then(Pid::from_raw);
            if let Err(error) = sched_setaffinity(thread, server) {
                // A thread that has ended meanwhile needs no core.
                if error != Errno::SRCH {
                    return Err(failed(&error));
                }
            }
        }
        Ok(())
    }

    /// This thread generates load.
    pub(crate) fn loading(&self) {
        self.put(1);
    }

    fn put(&self, which: usize) {
        if let Some(sets) = &self.0
            && let Err(error) = sched_setaffinity(None, &sets[which])
        {
            eprintln!("cores cannot be chosen, so server and load share them: {error}");
        }
    }
}

impl Drop for Split {
    fn drop(&mut self) {
        self.put(2);
    }
}

/// Processor time in user mode and in the kernel since the process began.
pub(crate) fn times(process: u32) -> (Duration, Duration) {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in brackets may hold blanks; the fields after it are counted from the state.
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let tick = Duration::from_secs(1)
        / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100);
    let of = |at: usize| {
        fields
            .get(at)
            .and_then(|ticks| ticks.parse::<u32>().ok())
            .map_or(Duration::ZERO, |ticks| tick * ticks)
    };
    (of(11), of(12))
}

/// The bare server as a process, killed with this value.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Bare {
    /// Starts it with these headers in every answer.
    pub(crate) fn start(headers: &[(String, String)]) -> Result<Self, String> {
        let mut text: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        text.push('\n');
        Self::told(&["bare-server"], &text)
    }

    /// Starts this program with these words, and tells it `text`.
    pub(crate) fn told(words: &[&str], text: &str) -> Result<Self, String> {
        let program =
            std::env::current_exe().map_err(|error| format!("no path of this program: {error}"))?;
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the bare server did not start: {error}"))?;
        let mut line = String::new();
        let talked = child
            .stdin
            .take()
            .map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
        let heard = child
            .stdout
            .take()
            .map_or(Ok(0), |stdout| BufReader::new(stdout).read_line(&mut line));
        let address = talked
            .and(heard)
            .ok()
            .and_then(|_| line.trim().parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            return Err(format!("the bare server said {line:?}"));
        };
        Ok(Self { child, address })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
