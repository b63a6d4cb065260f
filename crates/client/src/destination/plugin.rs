//! A program of somebody else's as home: it is started once and answers one JSON object a line. The token travels
//! through its standard input and output, never on its command line. `docs/guide/client/plugin.md` is the contract.

use super::lease_note::reliable;
use super::{DestinationError, Home, Lease, LeaseRequest, Place};
use crate::protocol::{Entry, Stored, Version};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// Longest line taken from a plugin, in bytes.
const MOST_LINE_BYTES: u64 = 64 * 1024;

/// A plugin as home.
#[derive(Debug)]
pub struct PluginHome {
    command: Vec<String>,
    answer_limit: Duration,
    withheld: Arc<[String]>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    // Ended with this value.
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    ok: bool,
    #[serde(borrow, default)]
    entry: Option<&'a RawValue>,
    #[serde(default)]
    version: String,
    #[serde(default)]
    written: bool,
    #[serde(default)]
    taken: bool,
    #[serde(default)]
    abandoned: bool,
    #[serde(default)]
    proof: String,
    #[serde(default)]
    retry: bool,
}

impl PluginHome {
    /// A program with its arguments (none of them secret); each answer may take this long. It is started without the
    /// environment variables `withheld`, such as those that hold client secrets.
    #[must_use]
    pub fn new(command: Vec<String>, answer_limit: Duration, withheld: Arc<[String]>) -> Self {
        Self {
            command,
            answer_limit,
            withheld,
            running: Mutex::new(None),
        }
    }

    fn start(&self) -> Result<Running, DestinationError> {
        let place = self.place();
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(DestinationError::misconfigured(
                &place,
                "no program is named",
            ));
        };
        let mut command = Command::new(program);
        for variable in &*self.withheld {
            command.env_remove(variable);
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                DestinationError::misconfigured(&place, format!("it does not start: {error}"))
            })?;
        let streams = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = streams else {
            return Err(DestinationError::misconfigured(&place, "it has no streams"));
        };
        Ok(Running {
            _child: child,
            input,
            output: BufReader::new(output),
        })
    }

    /// One line out, one line back. A plugin that fails at that is ended, and started anew by the next call.
    async fn ask(&self, line: &str) -> Result<Zeroizing<String>, DestinationError> {
        let mut running = self.running.lock().await;
        let mut plugin = match running.take() {
            Some(plugin) => plugin,
            None => self.start()?,
        };
        let exchange = async {
            plugin.input.write_all(line.as_bytes()).await?;
            plugin.input.write_all(b"\n").await?;
            plugin.input.flush().await?;
            let mut answer = Zeroizing::new(String::with_capacity(4096));
            let mut limited = (&mut plugin.output).take(MOST_LINE_BYTES);
            limited.read_line(&mut answer).await?;
            if answer.ends_with('\n') {
                Ok(answer)
            } else {
                Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
            }
        };
        let trouble = |what: String| DestinationError::unreachable(&self.place(), what);
        let answer = tokio::time::timeout(self.answer_limit, exchange)
            .await
            .map_err(|_| trouble("it does not answer in time".to_owned()))?
            .map_err(|error| trouble(format!("it broke off ({})", error.kind())))?;
        *running = Some(plugin);
        Ok(answer)
    }

    fn understand<'a>(&self, line: &'a str) -> Result<Answer<'a>, DestinationError> {
        let answer: Answer<'a> = serde_json::from_str(line).map_err(|_| {
            DestinationError::misconfigured(&self.place(), "its answer is not the contract's JSON")
        })?;
        let place = self.place();
        match (answer.ok, answer.retry) {
            (true, _) => Ok(answer),
            (false, true) => {
                let what = "it reports a passing failure";
                Err(DestinationError::unreachable(&place, what))
            }
            (false, false) => {
                let what = "it reports a failure; see its own log";
                Err(DestinationError::misconfigured(&place, what))
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

impl Place for PluginHome {
    fn place(&self) -> String {
        format!("plugin {}", self.command.first().map_or("", String::as_str))
    }
}

#[async_trait]
impl Home for PluginHome {
    async fn read(&self) -> Result<Stored, DestinationError> {
        let line = self.ask("{\"tokenward\":1,\"do\":\"read\"}").await?;
        let answer = self.understand(&line)?;
        let entry = answer
            .entry
            .and_then(|raw| Entry::from_json(raw.get()).ok());
        Ok(Stored {
            entry: entry.map(Arc::new),
            version: Version(answer.version),
        })
    }

    async fn write(&self, entry: Option<&Entry>, over: &Version) -> Result<bool, DestinationError> {
        let json = entry.map_or_else(|| Zeroizing::new("null".to_owned()), Entry::to_json);
        let line = Zeroizing::new(format!(
            "{{\"tokenward\":1,\"do\":\"write\",\"over\":{},\"entry\":{}}}",
            quoted(&over.0),
            // A line is a line: the entry's own form has line ends, and they stand between tokens only.
            json.replace('\n', " ")
        ));
        let line = self.ask(&line).await?;
        Ok(self.understand(&line)?.written)
    }

    async fn lease(&self, wish: &LeaseRequest) -> Result<Option<Lease>, DestinationError> {
        let line = format!(
            "{{\"tokenward\":1,\"do\":\"lock\",\"seconds\":{}}}",
            wish.ttl.as_secs_f64()
        );
        let line = self.ask(&line).await?;
        let answer = self.understand(&line)?;
        let lasts = Some(reliable(wish.ttl));
        let lease = || Lease::new(answer.abandoned, lasts, answer.proof);
        Ok(answer.taken.then(lease))
    }

    async fn release(&self, lease: Lease) -> Result<(), DestinationError> {
        let proof: String = lease.into_proof().unwrap_or_default();
        let line = format!(
            "{{\"tokenward\":1,\"do\":\"unlock\",\"proof\":{}}}",
            quoted(&proof)
        );
        let line = self.ask(&line).await?;
        self.understand(&line).map(drop)
    }
}
