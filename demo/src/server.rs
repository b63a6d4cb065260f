//! The real `tokenward serve` as a child process: found, started, waited for, ended.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::process::{Child, Command};

use crate::{
    api::Api,
    clock::wait_until,
    story::{Surprise, While as _},
};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Lines of the server's log shown when something went wrong.
const LOG_LINES_SHOWN: usize = 15;

/// What the server writes to `listening.json`: where it listens, as base URLs.
#[derive(Deserialize, Debug)]
pub(crate) struct Listening {
    pub(crate) public: String,
    pub(crate) internal: String,
}

/// A running server; dropping it kills the process.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `binary` with its data in `data_dir` and everything it says in the file `log`.
    pub(crate) fn start(
        binary: &Path,
        data_dir: &Path,
        log: &Path,
        public: SocketAddr,
        internal: SocketAddr,
    ) -> Result<Self, Surprise> {
        let out = File::create(log).during("making the server's log file")?;
        let err = out.try_clone().during("making the server's log file")?;
        let child = Command::new(binary)
            .arg("serve")
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--public", &public.to_string()])
            .args(["--internal", &internal.to_string()])
            // Settings in the newcomer's own environment must not turn the demo onto a real database.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // Ctrl-C goes to the whole group: the demo shall hear it first and end the server in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .during(format_args!("starting {}", binary.display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Waits until the server has said where it listens and that it is ready.
    pub(crate) async fn ready(&mut self, data_dir: &Path) -> Result<Listening, Surprise> {
        let announced = data_dir.join("listening.json");
        let log = self.log.clone();
        let probe = Api::new("", "")?;
        wait_until("the server to be ready", START_LIMIT, async || {
            if let Ok(Some(status)) = self.child.try_wait() {
                let what = format!("the server ended before it was ready ({status})");
                return Err(Surprise::new(what).with_log(log_end(&log)));
            }
            // Not there yet, or half written: look again.
            let Some(listening) = fs::read(&announced)
                .ok()
                .and_then(|text| serde_json::from_slice::<Listening>(&text).ok())
            else {
                return Ok(None);
            };
            let ready = probe.is_ready(&listening.internal).await;
            Ok(ready.then_some(listening))
        })
        .await
        .map_err(|surprise| surprise.with_log(log_end(&self.log)))
    }

    /// The last lines the server wrote.
    pub(crate) fn log_end(&self) -> String {
        log_end(&self.log)
    }

    /// Asks the server to end and demands that it does, in time and content.
    pub(crate) async fn end(mut self) -> Result<(), Surprise> {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| {
                Surprise::new("the server ended by itself").with_log(log_end(&self.log))
            })?;
        kill_process(pid, Signal::TERM).during("asking the server to end")?;
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(status) => {
                let status = status.during("waiting for the server's end")?;
                if status.success() {
                    Ok(())
                } else {
                    Err(Surprise::new(format!("the server ended with {status}"))
                        .with_log(log_end(&self.log)))
                }
            }
            Err(_) => {
                self.child.kill().await.during("killing the server")?;
                Err(
                    Surprise::new(format!("the server did not end within {STOP_LIMIT:?}"))
                        .with_log(log_end(&self.log)),
                )
            }
        }
    }
}

fn log_end(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

/// The binary given, else the one beside this program.
pub(crate) fn find_binary(given: Option<PathBuf>) -> Result<PathBuf, Surprise> {
    let binary = match given {
        Some(path) => path,
        None => std::env::current_exe()
            .during("finding this program's own folder")?
            .with_file_name("tokenward"),
    };
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(Surprise::new(format!(
            "there is no server at {}: build it with `cargo build -p tokenward`, or name one with --server",
            binary.display()
        )))
    }
}

/// Reads the first admin key and demands that nobody else can.
pub(crate) fn read_admin_key(path: &Path) -> Result<String, Surprise> {
    let what = format!("reading the admin key at {}", path.display());
    let mode = fs::metadata(path).during(&what)?.permissions().mode() & 0o777;
    if mode != 0o600 {
        let told = format!("{what}: its mode is {mode:o}, it must be 600");
        return Err(Surprise::new(told));
    }
    let key = fs::read_to_string(path).during(&what)?;
    Ok(key.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_is_told_with_the_cure() {
        let told = find_binary(Some("/nowhere/tokenward".into())).unwrap_err();
        assert!(
            told.to_string().contains("cargo build -p tokenward"),
            "{told}"
        );
    }

    #[test]
    fn an_admin_key_that_others_can_read_is_a_surprise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-key");
        fs::write(&path, "the key\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let told = read_admin_key(&path).unwrap_err().to_string();
        assert!(told.contains("644"), "{told}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_admin_key(&path).unwrap(), "the key");
    }

    #[tokio::test]
    async fn a_server_that_ends_at_once_is_told_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let log = folder.path().join("log");
        // `ls serve` complains about its arguments and ends.
        let mut server =
            Server::start(Path::new("/bin/ls"), folder.path(), &log, any, any).unwrap();
        let surprise = server.ready(folder.path()).await.unwrap_err();
        assert!(surprise.to_string().contains("ended before"), "{surprise}");
        assert!(!server.log_end().is_empty());
    }
}
