//! The configuration: a file's text, flags' texts and a request's host. Everything is refused or resolved; what
//! was resolved shows no secret and maps a host it was given.
//!
//! The modules are included by their files, not as the server's crate, which has far more than they need.

#![no_main]

#[expect(
    dead_code,
    unused_imports,
    reason = "the target needs a part of the module"
)]
#[path = "../../crates/server/src/config/mod.rs"]
mod config;
#[expect(dead_code, reason = "the data directory needs a part of the module")]
#[path = "../../crates/server/src/random.rs"]
mod random;

use config::host;
use config::{Config, ServeArgs};
use libfuzzer_sys::fuzz_target;

/// The password of the database. Its capital letter tells it from hosts, which are put into lower case.
const PASSWORD: &str = "Hunter2";

fuzz_target!(|text: &str| {
    let _ = ServeArgs::parse(text);
    let mut lines = text.lines();
    let mut next = || lines.next().map(str::to_owned);
    let host = next();
    let flags = ServeArgs {
        environment_host: host.clone().into_iter().collect(),
        trusted_proxy: next().into_iter().collect(),
        log: next(),
        error_source: next(),
        issuer: next(),
        database_url: Some(format!("postgres://ops:{PASSWORD}@db/tokenward")),
        ..ServeArgs::default()
    };
    let resolved = Config::resolve(flags);
    let shown = match &resolved {
        Ok(config) => serde_json::to_string(config).expect("a configuration can be shown"),
        Err(why) => why.to_string(),
    };
    assert!(
        text.contains(PASSWORD) || !shown.contains(PASSWORD),
        "a secret is shown"
    );
    let Ok(resolved) = resolved else {
        return;
    };
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
