//! Processes under measurement: where they run, and what processor time they used.

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::runtime::Runtime;

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
    pub(crate) fn take(&self, process: u32) -> Result<()> {
        let Some([server, ..]) = &self.0 else {
            return Ok(());
        };
        let folder = format!("/proc/{process}/task");
        for thread in std::fs::read_dir(&folder).with_context(|| folder.clone())? {
            let name = thread?.file_name();
            let thread = name.to_string_lossy().parse().ok().and_then(Pid::from_raw);
            match sched_setaffinity(thread, server) {
                // A thread that has ended meanwhile needs no core.
                Err(Errno::SRCH) => {}
                set => set.with_context(|| folder.clone())?,
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

/// A runtime on this thread.
pub(crate) fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("no runtime")
}

/// The bare server as a process, killed with this value.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Bare {
    /// Starts it with these headers in every answer.
    pub(crate) fn start(headers: &[(String, String)]) -> Result<Self> {
        let lines = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"));
        let text = lines.collect::<String>() + "\n";
        Self::told(&["bare-server"], text.as_bytes())
    }

    /// Starts this program with these words, and tells it `text`.
    pub(crate) fn told(words: &[&str], text: &[u8]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the bare server did not start")?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut line = String::new();
        let talked = stdin.map_or(Ok(()), |mut stdin| stdin.write_all(text));
        let heard = stdout.map_or(Ok(0), |stdout| BufReader::new(stdout).read_line(&mut line));
        match (talked.and(heard), line.trim().parse()) {
            (Ok(_), Ok(address)) => Ok(Self { child, address }),
            _ => {
                let _ = child.kill();
                bail!("the bare server said {line:?}")
            }
        }
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
