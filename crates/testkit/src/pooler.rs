//! The real `pgbouncer` in front of a cluster, on a port of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::PgCluster;
use crate::process::Process;

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running pgbouncer; it ends when dropped.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    // Ends before its folder goes away.
    _process: Process,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts it with this `pool_mode` (`session`, `transaction` or `statement`) before the database `tokenward`.
    ///
    /// # Panics
    /// When it is not installed or does not start; the message says what to do.
    #[must_use]
    pub fn start(cluster: &PgCluster, mode: &str) -> PgBouncer {
        let program = Path::new("/usr/sbin/pgbouncer");
        assert!(
            program.exists(),
            "pgbouncer is needed and not here; install it: apt-get update && apt-get install -y pgbouncer"
        );
        let folder = tempfile::Builder::new()
            .prefix("tokenward-pgbouncer-")
            .tempdir()
            .expect("a temporary folder");
        let user = crate::postgres::unprivileged_user(folder.path());
        let port = crate::free_port();
        let configuration = folder.path().join("pgbouncer.ini");
        let users = folder.path().join("users");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\nlogfile = {}\n",
            cluster.port(),
            users.display(),
            folder.path().join("pgbouncer.log").display(),
        );
        std::fs::write(&users, "\"postgres\" \"\"\n").expect("a writable folder");
        std::fs::write(&configuration, text).expect("a writable folder");
        let log = folder.path().join("log");
        let fill = |command: &mut Command| {
            command.arg(&configuration);
        };
        let (process, _) =
            Process::serving(program, user.as_deref(), &log, START_LIMIT, fill, || {
                std::net::TcpStream::connect(("127.0.0.1", port)).ok()
            });
        PgBouncer {
            port,
            _process: process,
            _folder: folder,
        }
    }

    /// The URL of the database `tokenward` through it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/tokenward", self.port)
    }
}
