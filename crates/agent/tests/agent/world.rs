//! What most tests start from: a server, an API client in it, a private folder, a configuration, and the agent.

use crate::helper::Helper;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokenward_testkit::{Api, ApiClient, NewClient, Server, expect_json};

/// A server with one API client, and the client's own machine.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) client: ApiClient,
    pub(crate) folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// An API client whose tokens live this long.
    pub(crate) fn new(lifetime_seconds: u64) -> World {
        World::with(NewClient::sandbox("erp").lifetime(lifetime_seconds))
    }

    pub(crate) fn with(new: NewClient) -> World {
        World::on(Server::start(), new)
    }

    pub(crate) fn on(server: Server, new: NewClient) -> World {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let api = server.api();
        let client = runtime.block_on(async {
            let workspace = api.workspace("Sahyadri Tools").await.unwrap();
            api.product("e-invoice", "E-Invoice").await.unwrap();
            api.client(&workspace, new).await.unwrap()
        });
        let folder = private_folder();
        let world = World {
            server,
            client,
            folder,
            runtime,
        };
        private_file(&world.path("secret"), &world.client.secret);
        world
    }

    /// A path in the client's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Does something with the server as an administrator or product would.
    pub(crate) fn ask<T>(&self, what: impl AsyncFnOnce(&Api) -> T) -> T {
        self.runtime.block_on(what(&self.server.api()))
    }

    /// Where a product asks whether a token is good.
    pub(crate) fn check_url(&self) -> String {
        format!("{}/check/sandbox/e-invoice", self.server.internal())
    }

    /// The status of a check.
    pub(crate) fn check(&self, token: &str) -> u16 {
        let asked = self.ask(async |api| api.check("sandbox", "e-invoice", token).await);
        asked.unwrap().status
    }

    /// What the server says of the client's newest token.
    pub(crate) fn status(&self) -> serde_json::Value {
        self.ask(async |api| {
            let request = api.authz(reqwest::Method::GET, "/status", &self.client.secret);
            expect_json(api.send(request), 200).await
        })
    }

    /// Another API client, in a workspace of its own.
    pub(crate) fn another(&self, new: NewClient) -> ApiClient {
        self.ask(async |api| {
            let workspace = api.workspace(&new.label).await.unwrap();
            api.client(&workspace, new).await.unwrap()
        })
    }

    /// The generation of the client's newest token.
    pub(crate) fn generation(&self) -> u64 {
        self.status()["generation"].as_u64().unwrap()
    }

    /// Writes a configuration with these further lines of the client, its destinations among them.
    pub(crate) fn config(&self, lines: &str) -> PathBuf {
        write_config(&self.path("agent.toml"), self.server.public(), lines)
    }

    /// The configuration with one file as home.
    pub(crate) fn file_config(&self) -> PathBuf {
        self.config(FILE_HOME)
    }

    /// Puts other words into the configuration, in place of all that are like these.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = self.text("agent.toml");
        assert!(text.contains(from), "{from:?} is not in {text}");
        std::fs::write(self.path("agent.toml"), text.replace(from, to)).unwrap();
    }

    /// The text of a file in the client's folder.
    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the agent to its end.
    pub(crate) fn agent(&self, arguments: &[&str]) -> Output {
        agent(self.folder.path(), arguments).finish()
    }
}

/// The lines of a client whose home is a file.
pub(crate) const FILE_HOME: &str =
    "[[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n";

/// Changes the mode of a file.
pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A configuration whose secret lies beside it.
pub(crate) fn write_config(path: &Path, server: &str, lines: &str) -> PathBuf {
    let text = format!("[client.erp]\nserver = \"{server}\"\nsecret.file = \"secret\"\n{lines}");
    std::fs::write(path, text).unwrap();
    path.to_owned()
}

/// Longest time that a program which ends by itself may take on a machine that is busy with other work.
const ENDS_WITHIN: Duration = Duration::from_secs(180);

/// Runs a program to its end, with a deadline.
pub(crate) trait Finish {
    /// What it wrote, and how it ended.
    fn finish(&mut self) -> Output;
}

impl Finish for Command {
    fn finish(&mut self) -> Output {
        tokenward_testkit::finish(self, ENDS_WITHIN)
    }
}

/// What a child with pipes for streams wrote, and how it ended; with a deadline.
pub(crate) fn finish(child: Child) -> Output {
    tokenward_testkit::finish_child(child, "the agent", ENDS_WITHIN)
}

/// Signals as a login has them, whatever the tests were started with (`nohup`, a shell's background job): a shell
/// cannot trap a signal that it was started to ignore.
pub(crate) const KNOWN_SIGNALS: &str = "--default-signal=HUP,INT,QUIT,PIPE,TERM,USR1,USR2";

/// The agent with the configuration of a folder, knowing nothing of this machine's own.
pub(crate) fn agent(folder: &Path, arguments: &[&str]) -> Command {
    agent_by(folder, "agent.toml", arguments)
}

/// The same with another configuration in that folder.
pub(crate) fn agent_by(folder: &Path, config: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command
        .arg(KNOWN_SIGNALS)
        .arg(env!("CARGO_BIN_EXE_tokenward-agent"))
        .arg("--config")
        .arg(folder.join(config))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .current_dir(folder);
    command
}

/// Tells the agent in a folder that a product refused this token.
pub(crate) fn refused(folder: &Path, token: &str) -> Output {
    let file = folder.join("refused");
    private_file(&file, token);
    let stdin = std::fs::File::open(file).unwrap();
    agent(folder, &["get", "--refused"]).stdin(stdin).finish()
}

/// The agent at `run` with this configuration, until the value is dropped.
pub(crate) fn running(config: &Path, environment: &[(&str, &str)]) -> Helper {
    Helper::start(env!("CARGO_BIN_EXE_tokenward-agent").as_ref(), |command| {
        command.arg("--config").arg(config).arg("run");
        command.envs(environment.iter().copied());
    })
}

/// Asks a child to end.
pub(crate) fn terminate(child: &Child) {
    let id = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
}

/// A folder that only this user enters.
pub(crate) fn private_folder() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("tokenward-client-")
        .tempdir()
        .unwrap();
    chmod(folder.path(), 0o700);
    folder
}

/// A file that only this user reads.
pub(crate) fn private_file(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    chmod(path, 0o600);
}

/// Standard output of a command that succeeded.
#[track_caller]
pub(crate) fn out(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error of a command that failed with this code.
#[track_caller]
pub(crate) fn failed(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}
