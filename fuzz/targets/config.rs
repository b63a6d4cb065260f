//! The configuration: a file's text, flags' texts and a request's host. Everything is refused or resolved; what
//! was resolved shows no secret and maps a host it was given.
//!
//! The server's rooms are taken by their files, not by its crate: that would compile SQLite and TLS a second time.

#![no_main]

#[expect(
    dead_code,
    unused_imports,
    reason = "the target needs a part of the module"
)]
#[path = "../../crates/server/src/config/mod.rs"]
mod config;
#[expect(dead_code, reason = "the configuration needs a part of the room")]
#[path = "../../crates/server/src/data_dir.rs"]
mod data_dir;
#[expect(dead_code, reason = "the configuration needs a part of the module")]
#[path = "../../crates/server/src/host.rs"]
mod host;
#[expect(dead_code, reason = "the data directory needs a part of the room")]
#[path = "../../crates/server/src/random.rs"]
mod random;

/// Whether letters can be sent is for the room that sends them to say; it would bring a mail library along,
/// and nothing here names a mail server.
mod notices {
    pub(crate) fn check_mail(_: &str, _: Option<&str>) -> Result<(), std::fmt::Error> {
        Ok(())
    }
}

/// Whether a log filter keeps anything is decided by the module that logs, which needs a runtime.
mod logs {
    pub(crate) fn check_filter(_: &str) -> Result<(), std::fmt::Error> {
        Ok(())
    }
}

use config::{Config, File, ServeArgs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = File::parse(text);
    let mut lines = text.lines();
    let mut next = || lines.next().map(str::to_owned);
    let host = next();
    let flags = ServeArgs {
        environment_host: host.clone().into_iter().collect(),
        trusted_proxy: next().into_iter().collect(),
        log: next(),
        error_source: next(),
        issuer: next(),
        database_url: Some("postgres://ops:hunter2@db/tokenward".to_owned()),
        ..ServeArgs::default()
    };
    let Ok(resolved) = Config::resolve(flags) else {
        return;
    };
    let shown = serde_json::to_string(&resolved).expect("a configuration can be shown");
    assert!(
        text.contains("hunter2") || !shown.contains("hunter2"),
        "a secret is shown"
    );
    // Either side of the pair may be the host.
    if let Some((one, other)) = host.as_deref().and_then(|pair| pair.split_once('=')) {
        let hosts = [one, other].map(|name| host::Host::parse(name.trim()));
        let mapped = |host: &Option<host::Host>| resolved.host_environment(host.as_ref()).is_some();
        assert!(
            hosts.iter().any(Option::is_none) || hosts.iter().any(mapped),
            "a mapped host is not found"
        );
    }
    let _ = resolved.host_environment(host::Host::parse(text).as_ref());
});
