//! A PostgreSQL cluster for one test: own folder, own port, loopback only, gone when dropped.
//! It runs with fsync on, since tests kill it at bad moments and then ask what was durable.

use std::fmt::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{self, PROGRAM_LIMIT, Process, finish};
use crate::wait_until;

/// How long a start may take; crash recovery on a busy two-core machine is the slow case.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Tries for a port that nobody takes between choosing it and PostgreSQL binding it.
const PORT_TRIES: u32 = 5;

/// Settings of a cluster before it starts.
#[derive(Debug, Default)]
pub struct PgBuilder {
    settings: Vec<(String, String)>,
    files: Vec<(String, String)>,
}

impl PgBuilder {
    /// Adds or overrides one setting of `postgresql.conf`, for instance `("fsync", "off")` where a
    /// test is about speed and never crashes the database.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> PgBuilder {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a file into the data folder before the start, private to the server, such as `pg_hba.conf` or a key. The tools
    /// of this value come by the Unix socket as `postgres`: rules of access must let them in.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> PgBuilder {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Makes the cluster and waits until it accepts connections.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start; the message says what to do.
    #[must_use]
    pub fn start(self) -> PgCluster {
        PgCluster::make(self.settings, &self.files)
    }
}

/// A running PostgreSQL cluster with one empty database, `tokenward`.
#[derive(Debug)]
pub struct PgCluster {
    bin: PathBuf,
    folder: TempDir,
    user: Option<String>,
    port: u16,
    settings: Vec<(String, String)>,
    postmaster: Option<Process>,
}

impl PgCluster {
    /// A cluster with default settings.
    ///
    /// # Panics
    /// As [`PgBuilder::start`].
    #[must_use]
    pub fn start() -> PgCluster {
        PgCluster::builder().start()
    }

    /// A cluster with settings of its own.
    #[must_use]
    pub fn builder() -> PgBuilder {
        PgBuilder::default()
    }

    /// A standby of this cluster, streaming from it, on a port of its own; it ends with its value, and
    /// [`PgCluster::promote`] makes it a primary.
    ///
    /// # Panics
    /// When it does not start or does not follow.
    #[must_use]
    pub fn standby(&self) -> PgCluster {
        let folder = tempfile::Builder::new()
            .prefix("tokenward-pg-")
            .tempdir()
            .expect("a temporary folder");
        let mut standby = PgCluster {
            bin: self.bin.clone(),
            user: unprivileged_user(folder.path()),
            folder,
            port: crate::free_port(),
            settings: self.settings.clone(),
            postmaster: None,
        };
        standby.follow(self);
        standby
    }

    /// Throws this cluster's data away and makes it a standby of another one, on its own port; it must have ended.
    ///
    /// # Panics
    /// When it runs, or does not start or follow.
    pub fn follow(&mut self, primary: &PgCluster) {
        assert!(self.postmaster.is_none(), "PostgreSQL is running");
        let data = self.data_folder();
        let _ = std::fs::remove_dir_all(&data);
        let from = format!(
            "host=127.0.0.1 port={} user=postgres application_name=standby",
            primary.port
        );
        let mut copying = process::as_user(
            &self.bin.join("pg_basebackup"),
            self.user.as_deref(),
            "KILL",
        );
        copying
            .args([
                "--checkpoint=fast",
                "--no-sync",
                "--write-recovery-conf",
                "--dbname",
            ])
            .arg(&from)
            .arg("--pgdata")
            .arg(&data);
        let output = finish(&mut copying, PROGRAM_LIMIT);
        assert!(
            output.status.success(),
            "pg_basebackup failed: {}",
            told(&output)
        );
        if let Err(log) = self.try_start() {
            panic!("the standby does not start:\n{log}");
        }
        wait_until("the standby to follow", START_LIMIT, || {
            let state = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
            primary.sql("postgres", state) != "0"
        });
    }

    /// Makes every commit wait for the standby, or no longer.
    pub fn wait_for_standby(&self, wait: bool) {
        let names = if wait { "*" } else { "" };
        let _ = self.sql(
            "postgres",
            &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"),
        );
        let _ = self.sql("postgres", "SELECT pg_reload_conf()");
        if wait {
            wait_until("the standby to be synchronous", START_LIMIT, || {
                let state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
                self.sql("postgres", state) != "0"
            });
        }
    }

    /// Makes a standby a primary; returns when it takes writes.
    pub fn promote(&self) {
        let _ = self.sql("postgres", "SELECT pg_promote(true, 60)");
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn make(settings: Vec<(String, String)>, files: &[(String, String)]) -> PgCluster {
        let bin = newest_installation();
        let folder = tempfile::Builder::new()
            .prefix("tokenward-pg-")
            .tempdir()
            .expect("a temporary folder");
        let user = unprivileged_user(folder.path());
        let mut cluster = PgCluster {
            bin,
            folder,
            user,
            port: 0,
            settings,
            postmaster: None,
        };
        cluster.initdb();
        for (name, text) in files {
            cluster.put(name, text);
        }
        for attempt in 1.. {
            cluster.port = crate::free_port();
            match cluster.try_start() {
                Ok(()) => break,
                Err(log) => assert!(attempt < PORT_TRIES, "PostgreSQL does not start:\n{log}"),
            }
        }
        cluster.create_database("tokenward");
        cluster
    }

    /// The connection URL of the database `tokenward`; the same before and after a crash.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("tokenward")
    }

    /// Makes one more empty database and returns its URL, so that several tests can share a cluster.
    ///
    /// # Panics
    /// When the name is taken.
    #[must_use = "the URL is the only way to reach the database"]
    pub fn new_database(&self, name: &str) -> String {
        self.create_database(name);
        self.url_of(name)
    }

    /// The folder with all data files, for tests that read what lies on disk.
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Puts a file into the data folder, private to the server, in place of one that is there; the server reads most files
    /// again at its next start.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn put(&self, name: &str, text: &str) {
        use std::os::unix::fs::MetadataExt as _;
        let path = self.data_folder().join(name);
        crate::write_with_mode(&path, text, 0o600);
        let owner = std::fs::metadata(self.data_folder()).expect("the data folder is there");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("root may give a file away");
    }

    /// Whether `psql` connects with this URL and reads a row, and what it says.
    #[must_use]
    pub fn psql(&self, url: &str) -> (bool, String) {
        let mut command = Command::new(self.bin.join("psql"));
        // No files and no password of the user who runs the tests.
        command.env("HOME", self.folder.path());
        command.args(["-XAtqw", "-d", url, "-c", "SELECT 1"]);
        let output = finish(&mut command, PROGRAM_LIMIT);
        (output.status.success(), told(&output))
    }

    /// The server log since the cluster was made.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs one statement with `psql` as the superuser and returns its unadorned output.
    ///
    /// # Panics
    /// When the statement fails.
    #[must_use = "the output is what the statement was run for"]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let output = self.tool(
            "psql",
            &["-XAtq", "-d", &self.socket_url(database), "-c", statement],
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A dump of one database as SQL text.
    ///
    /// # Panics
    /// When `pg_dump` fails.
    #[must_use]
    pub fn dump(&self, database: &str) -> Vec<u8> {
        self.tool("pg_dump", &["-d", &self.socket_url(database)])
            .stdout
    }

    /// Kills the postmaster and every process of its with SIGKILL, as a lost machine would.
    pub fn kill9(&mut self) {
        let Some(mut postmaster) = self.postmaster.take() else {
            return;
        };
        // Stopped first, so that no child is started between the listing and the killing.
        postmaster.signal(Signal::STOP);
        let children = process::children(postmaster.id());
        postmaster.kill9();
        for &child in &children {
            process::kill_by_id(child, Signal::KILL);
        }
        wait_until("the end of PostgreSQL's processes", START_LIMIT, || {
            !children.iter().any(|&child| process::lives(child))
        });
    }

    /// Starts again after [`PgCluster::kill9`] or [`PgCluster::stop`], on the same port and data.
    ///
    /// # Panics
    /// When it does not start; the message holds the server log.
    pub fn start_again(&mut self) {
        assert!(self.postmaster.is_none(), "PostgreSQL is running already");
        if let Err(log) = self.try_start() {
            panic!("PostgreSQL does not start again:\n{log}");
        }
    }

    /// Ends the cluster in good order (a fast shutdown), its data stays.
    pub fn stop(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            postmaster.signal(Signal::INT);
            postmaster.wait(START_LIMIT);
        }
    }

    fn initdb(&self) {
        let data = self.data_folder();
        let mut initdb = process::as_user(&self.bin.join("initdb"), self.user.as_deref(), "KILL");
        initdb
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(&data);
        let output = finish(&mut initdb, PROGRAM_LIMIT);
        assert!(output.status.success(), "initdb failed: {}", told(&output));
    }

    fn try_start(&mut self) -> Result<(), String> {
        let log = self.folder.path().join("log");
        let folder = self.folder.path().to_owned();
        let data = self.data_folder();
        let mut postmaster = Process::start(
            &self.bin.join("postgres"),
            self.user.as_deref(),
            &log,
            &log,
            |command| {
                command.arg("-D").arg(&data).current_dir(&folder);
                let mut set = |name: &str, value: &str| {
                    command.arg("-c").arg(format!("{name}={value}"));
                };
                set("listen_addresses", "127.0.0.1");
                set("port", &self.port.to_string());
                set("unix_socket_directories", &folder.to_string_lossy());
                set("fsync", "on");
                // After a crash PostgreSQL syncs its folder first: one call instead of thousands of files.
                set("recovery_init_sync_method", "syncfs");
                for (name, value) in &self.settings {
                    set(name, value);
                }
            },
        )
        .map_err(|error| error.to_string())?;
        let ready = wait_until("PostgreSQL to accept connections", START_LIMIT, || {
            if postmaster.ended().is_some() {
                return Some(false);
            }
            accepts(&data, postmaster.id()).then_some(true)
        });
        if !ready {
            return Err(self.log());
        }
        self.postmaster = Some(postmaster);
        Ok(())
    }

    fn create_database(&self, name: &str) {
        let quoted = name.replace('"', "\"\"");
        let _ = self.sql("postgres", &format!("CREATE DATABASE \"{quoted}\""));
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The same by the Unix socket, whatever the rules of access say of others.
    fn socket_url(&self, database: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "postgres://postgres@/{database}?host={folder}&port={}",
            self.port
        )
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Output {
        let output = finish(
            Command::new(self.bin.join(name)).args(arguments),
            PROGRAM_LIMIT,
        );
        assert!(output.status.success(), "{name} failed: {}", told(&output));
        output
    }
}

impl Drop for PgCluster {
    fn drop(&mut self) {
        // No shutdown checkpoint: the folder goes away with this value.
        self.kill9();
    }
}

/// The newest of Debian's installations.
fn newest_installation() -> PathBuf {
    let version = |path: &Path| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("bin/postgres").exists())
        .max_by_key(|path| version(path))
        .map(|path| path.join("bin"))
        .expect(
            "PostgreSQL is needed and not here; install it: apt-get update && apt-get install -y postgresql",
        )
}

/// initdb refuses root, so root runs PostgreSQL as somebody else and gives that user the folder.
pub(crate) fn unprivileged_user(folder: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd lists the users");
    for name in ["postgres", "nobody"] {
        let fields = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields[0] == name && fields.len() > 3);
        if let Some(fields) = fields {
            let id = |text: &str| text.parse::<u32>().ok();
            chown(folder, id(fields[2]), id(fields[3])).expect("root may give a folder away");
            return Some(fields[2].to_owned());
        }
    }
    panic!("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody");
}

/// Whether the lock file says that this very postmaster is ready (its first and eighth line).
fn accepts(data: &Path, postmaster: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(data.join("postmaster.pid")) else {
        return false;
    };
    let mut lines = text.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == Some(postmaster)
        && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}

fn told(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    let _ = write!(text, "{}", String::from_utf8_lossy(&output.stdout));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledged_row_survives_kill9() {
        let mut cluster = PgCluster::start();
        assert_eq!(cluster.sql("tokenward", "SHOW fsync"), "on");
        let _ = cluster.sql(
            "tokenward",
            "CREATE TABLE t (x int); INSERT INTO t VALUES (7)",
        );
        let url = cluster.url();
        cluster.kill9();
        cluster.start_again();
        assert_eq!(cluster.url(), url);
        assert_eq!(cluster.sql("tokenward", "SELECT x FROM t"), "7");
        let other = cluster.new_database("other");
        assert!(other.ends_with("/other"));
        cluster.stop();
        cluster.start_again();
        assert!(String::from_utf8_lossy(&cluster.dump("tokenward")).contains("CREATE TABLE"));
    }

    #[test]
    fn no_process_outlives_the_cluster() {
        let cluster = PgCluster::start();
        let postmaster = cluster
            .postmaster
            .as_ref()
            .map(Process::id)
            .unwrap_or_default();
        let mut family = process::children(postmaster);
        assert!(!family.is_empty(), "a postmaster has background processes");
        family.push(postmaster);
        drop(cluster);
        assert!(!family.into_iter().any(process::lives));
    }
}
