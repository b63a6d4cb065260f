//! The real `tokenward` binary as a child process: started on ports of its own choosing, killed,
//! restarted on the same data, always ended with the value.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::binary::default_binary;
use crate::process::Process;
use crate::{Api, wait_until};

/// How long a start may take: recovery of a large store on two busy cores is the slow case.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a graceful end may take.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A server before it starts.
#[derive(Debug, Default)]
#[must_use]
pub struct ServerBuilder {
    binary: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    public: Option<SocketAddr>,
    internal: Option<SocketAddr>,
    is_alone: bool,
    is_held: bool,
    database_url: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl ServerBuilder {
    /// Stores in this PostgreSQL database instead of in SQLite.
    pub fn database(mut self, url: &str) -> ServerBuilder {
        self.database_url = Some(url.to_owned());
        self
    }

    /// Uses this data directory, which then outlives the server; without it a temporary one.
    pub fn data_dir(mut self, path: &Path) -> ServerBuilder {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Puts the public listener at this address; without it a free port at each start.
    pub fn public(mut self, address: SocketAddr) -> ServerBuilder {
        self.public = Some(address);
        self
    }

    /// Passes none of this process's environment variables on, so that no setting of the person who runs it counts.
    pub fn without_environment(mut self) -> ServerBuilder {
        self.is_alone = true;
        self
    }

    /// Runs `tokenward hold`, which keeps the sockets while the server is restarted ([`Server::restart_child`]).
    pub fn held(mut self) -> ServerBuilder {
        self.is_held = true;
        self
    }

    /// Puts the internal listener at this address, also after a restart, for gateways that are told it
    /// once; without it a free port each time.
    pub fn internal(mut self, address: SocketAddr) -> ServerBuilder {
        self.internal = Some(address);
        self
    }

    /// Adds one argument after `serve`.
    pub fn arg(mut self, argument: &str) -> ServerBuilder {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Adds arguments after `serve`.
    pub fn args(mut self, arguments: &[impl AsRef<str>]) -> ServerBuilder {
        let arguments = arguments.iter().map(|one| one.as_ref().to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// Gives the server the clock of libfaketime, which [`set`](crate::faketime::set) sets by this file.
    pub fn clock(self, file: &Path) -> ServerBuilder {
        self.env("LD_PRELOAD", &crate::faketime::library().to_string_lossy())
            .env("FAKETIME_TIMESTAMP_FILE", &file.to_string_lossy())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Sets one environment variable, for instance `("TOKENWARD_LOG", "trace")`.
    pub fn env(mut self, name: &str, value: &str) -> ServerBuilder {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs this binary instead of the one cargo built for the tests.
    pub fn binary(mut self, path: &Path) -> ServerBuilder {
        self.binary = Some(path.to_owned());
        self
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Panics
    /// When it ends or is not ready in time; the message holds its output.
    #[must_use]
    pub fn start(self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(refused) => panic!("{refused}"),
        }
    }

    /// Starts the server, which must refuse and say all of these; what it wrote.
    ///
    /// # Panics
    /// When it starts, or says something else.
    #[track_caller]
    pub fn refused(self, parts: &[&str]) -> String {
        let Err(refused) = self.try_start() else {
            panic!("it started, and must not: {parts:?}");
        };
        assert!(!refused.status.success(), "{refused}");
        crate::assert_contains_all(&refused.output, parts);
        refused.output
    }

    /// Starts the server where a refusal is a possible outcome.
    ///
    /// # Errors
    /// When the process ends by itself before it is ready.
    pub fn try_start(self) -> Result<Server, Refused> {
        let folder = tempfile::Builder::new()
            .prefix("tokenward-server-")
            .tempdir()
            .expect("a temporary folder");
        let data_dir = self
            .data_dir
            .clone()
            .unwrap_or_else(|| folder.path().join("data"));
        std::fs::create_dir_all(&data_dir).expect("a data directory");
        let mut server = Server {
            binary: self.binary.clone().unwrap_or_else(default_binary),
            options: self,
            folder,
            data_dir,
            process: None,
            listening: Listening::default(),
        };
        server.launch()?;
        Ok(server)
    }
}

/// The process ended before it was ready.
#[derive(Debug, thiserror::Error)]
#[error("tokenward serve did not start ({status}):\n{output}")]
pub struct Refused {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it wrote, standard output first.
    pub output: String,
}

/// What the server writes to `DATA_DIR/listening.json` once it listens.
#[derive(Debug, Default, Clone, Deserialize)]
struct Listening {
    public: String,
    internal: String,
}

/// A running `tokenward serve`. Dropping it kills the process.
#[derive(Debug)]
pub struct Server {
    binary: PathBuf,
    options: ServerBuilder,
    folder: TempDir,
    data_dir: PathBuf,
    process: Option<Process>,
    listening: Listening,
}

impl Server {
    /// A server on SQLite with default settings in a temporary data directory.
    ///
    /// # Panics
    /// As [`ServerBuilder::start`].
    #[must_use]
    pub fn start() -> Server {
        Server::builder().start()
    }

    /// A server with settings of its own.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The base URL of the public listener, without a slash at the end. It changes with a restart.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.listening.public
    }

    /// The base URL of the internal listener, without a slash at the end. It changes with a restart.
    #[must_use]
    pub fn internal(&self) -> &str {
        &self.listening.internal
    }

    /// The first admin key, from the file the server wrote on its empty store.
    ///
    /// # Panics
    /// When there is no such file.
    #[must_use]
    pub fn admin_key(&self) -> String {
        let path = self.data_dir.join("admin-key");
        std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .trim()
            .to_owned()
    }

    /// A caller of this server with the first admin key. Make a new one after a restart.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(self.public(), self.internal(), &self.admin_key())
    }

    /// Where the server keeps its data.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The binary that runs, for further commands such as `tokenward backup`.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Whether the process runs; false once it has ended by itself, too.
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
    }

    /// The operating system's id of the process, 0 while none runs.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// The file with everything written to standard output, over all restarts.
    #[must_use]
    pub fn stdout_file(&self) -> PathBuf {
        self.folder.path().join("stdout.log")
    }

    /// The file with everything written to standard error, over all restarts.
    #[must_use]
    pub fn stderr_file(&self) -> PathBuf {
        self.folder.path().join("stderr.log")
    }

    /// Everything written so far, standard output first.
    #[must_use]
    pub fn output(&self) -> String {
        [self.stdout_file(), self.stderr_file()]
            .iter()
            .map(|path| {
                String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
            })
            .collect()
    }

    /// Ends the process with SIGKILL; it gets no chance to tidy up.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Asks the process to end (SIGTERM), waits for it and returns how it ended.
    ///
    /// # Panics
    /// When it runs no more, or does not end in time.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the server runs");
        process.signal(Signal::TERM);
        process.wait(STOP_LIMIT)
    }

    /// Stops the process where it stands (SIGSTOP): it still holds its connections and answers nothing.
    /// Returns when every thread of it stands still.
    ///
    /// # Panics
    /// When one goes on.
    pub fn freeze(&self) {
        if let Some(process) = &self.process {
            process.freeze();
        }
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends a signal: `HUP`, by which the server reads its certificates again, or `USR2`, by which `tokenward hold`
    /// restarts it.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Has `tokenward hold` restart the server, and waits until the new one serves. Base URLs stay.
    ///
    /// # Panics
    /// When it does not serve in time.
    pub fn restart_child(&self) {
        let serving = || self.output().matches("serving").count();
        let before = serving();
        self.signal(Signal::USR2);
        wait_until("the next server to serve", START_LIMIT, || {
            serving() > before
        });
    }

    /// Starts again on the same data directory with the same settings, after ending a process that
    /// still runs as [`Server::kill9`] does. Base URLs change.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        if let Err(refused) = self.try_restart() {
            panic!("{refused}");
        }
    }

    /// Starts it again, which it must refuse with a failure and these parts of sentences.
    ///
    /// # Panics
    /// When it starts, ends without a failure, or says something else.
    #[track_caller]
    pub fn refused_again(&mut self, parts: &[&str]) {
        let Err(refused) = self.try_restart() else {
            panic!("it started, and must not: {parts:?}");
        };
        assert!(!refused.status.success(), "{refused}");
        crate::assert_contains_all(&refused.output, parts);
    }

    /// [`Server::restart`] where a refusal is a possible outcome.
    ///
    /// # Errors
    /// When the process ends by itself before it is ready.
    pub fn try_restart(&mut self) -> Result<(), Refused> {
        self.kill9();
        self.launch()
    }

    fn launch(&mut self) -> Result<(), Refused> {
        let announced = self.data_dir.join("listening.json");
        // One left by an earlier run would name ports that now belong to nobody, or to another.
        let _ = std::fs::remove_file(&announced);
        let options = &self.options;
        let data_dir = &self.data_dir;
        let mut process = Process::start(
            &self.binary,
            None,
            &self.stdout_file(),
            &self.stderr_file(),
            |command| {
                let verb = if options.is_held { "hold" } else { "serve" };
                command.arg(verb).arg("--data-dir").arg(data_dir);
                let at = |address: Option<SocketAddr>| {
                    address.map_or_else(|| "127.0.0.1:0".to_owned(), |address| address.to_string())
                };
                command.args(["--public", &at(options.public)]);
                command.args(["--internal", &at(options.internal)]);
                if options.is_alone {
                    command.env_clear();
                }
                if let Some(url) = &options.database_url {
                    command.arg("--database-url").arg(url);
                }
                command.args(&options.arguments);
                command.envs(
                    options
                        .environment
                        .iter()
                        .map(|(name, value)| (name, value)),
                );
            },
        )
        .unwrap_or_else(|error| panic!("setpriv (Debian package util-linux) starts it: {error}"));
        let outcome = wait_until("tokenward to become ready", START_LIMIT, || {
            if let Some(status) = process.ended() {
                return Some(Err(status));
            }
            let text = std::fs::read(&announced).ok()?;
            // Half a file is as good as none: look again.
            let listening: Listening = serde_json::from_slice(&text).ok()?;
            // This kit speaks no TLS; and the file is written by who listens and has loaded.
            let ready = listening.internal.starts_with("https://")
                || get_status(&listening.internal, "/health/ready") == Some(200);
            ready.then_some(Ok(listening))
        });
        match outcome {
            Ok(listening) => {
                self.listening = listening;
                self.process = Some(process);
                Ok(())
            }
            Err(status) => Err(Refused {
                status,
                output: self.output(),
            }),
        }
    }
}

/// One GET by hand: starting a server must work with and without an async runtime around it.
fn get_status(base: &str, path: &str) -> Option<u16> {
    let address = base.strip_prefix("http://")?.trim_end_matches('/');
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let line = std::str::from_utf8(answer.get(..12)?).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.parse().ok()
}
