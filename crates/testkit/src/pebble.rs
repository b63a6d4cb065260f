//! The real `pebble`, the ACME server that Let's Encrypt's authors wrote for tests, on ports of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::Authority;
use crate::process::Process;

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running pebble; it ends when dropped.
#[derive(Debug)]
pub struct Pebble {
    directory: String,
    management: String,
    process: Process,
    // Goes away after the process.
    _folder: TempDir,
}

impl Pebble {
    /// Starts it on `port` with a certificate of `authority` for `localhost`. It validates domains by TLS-ALPN-01 at
    /// `tls_port`.
    ///
    /// # Panics
    /// When it is not installed or does not start; the message says what to do.
    #[must_use]
    pub fn start(port: u16, tls_port: u16, authority: &Authority) -> Pebble {
        // Five years, which is its own default.
        Self::issuing(157_766_400, port, tls_port, authority)
    }

    /// The same with certificates that are valid for so many seconds.
    ///
    /// # Panics
    /// As [`Pebble::start`].
    #[must_use]
    pub fn issuing(seconds: u32, port: u16, tls_port: u16, authority: &Authority) -> Pebble {
        let program = Path::new("/usr/bin/pebble");
        assert!(
            program.exists(),
            "pebble is needed and not here; install it: apt-get update && apt-get install -y pebble"
        );
        let folder = tempfile::Builder::new()
            .prefix("tokenward-pebble-")
            .tempdir()
            .expect("a temporary folder");
        let file = |name: &str| folder.path().join(name);
        let (certificate, key) = authority.issue(&["localhost"], (2020, 2099));
        std::fs::write(file("tls.crt"), certificate).expect("a writable folder");
        std::fs::write(file("tls.key"), key).expect("a writable folder");
        let management = crate::free_port();
        let settings = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": file("tls.crt"),
            "privateKey": file("tls.key"),
            // No domain is validated by HTTP.
            "httpPort": crate::free_port(),
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": seconds,
        }});
        std::fs::write(file("pebble.json"), settings.to_string()).expect("a writable folder");
        let fill = |command: &mut Command| {
            command
                .arg("-config")
                .arg(file("pebble.json"))
                .arg("-strict")
                // Neither pauses nor refusals by chance.
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_WFE_NONCEREJECT", "0");
        };
        let accepts = |port| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        let (process, ()) =
            Process::serving(program, None, &file("log"), START_LIMIT, fill, || {
                accepts(port) && accepts(management)
            });
        Pebble {
            directory: Self::directory_at(port),
            management: format!("https://localhost:{management}"),
            process,
            _folder: folder,
        }
    }

    /// The URL of the directory of a pebble on this port.
    #[must_use]
    pub fn directory_at(port: u16) -> String {
        format!("https://localhost:{port}/dir")
    }

    /// The URL of its directory.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The URL at which it serves the root of the certificates that it issues, as PEM.
    #[must_use]
    pub fn root_url(&self) -> String {
        format!("{}/roots/0", self.management)
    }

    /// Ends it at once.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }
}
