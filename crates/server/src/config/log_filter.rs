//! Which log lines are written.

use tracing_subscriber::filter::Targets;

/// Crates that write log lines. A line's target begins with the name of its crate.
const CRATES: [&str; 18] = [
    "tokenward_core",
    "tokenward_server",
    "tokenward_store",
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "lettre",
    "mio",
    "openidconnect",
    "reqwest",
    "rustls",
    "tokio",
    "tokio_postgres",
    "tokio_util",
    "tower",
    "tower_http",
    "webauthn_rs_core",
];

/// Whether a filter is one that some line can pass. `inof` is a valid filter to its parser: the target `inof`, at every
/// level, and nothing else.
pub(super) fn check(text: &str) -> Result<(), String> {
    const SHAPE: &str = "Use a level (error, warn, info, debug, trace) or target=level, such as tokenward_server=debug";
    let Ok(filter) = text.parse::<Targets>() else {
        return Err(format!("{text:?} isn't a valid filter. {SHAPE}"));
    };
    if text.split(',').any(|part| part.trim().is_empty()) {
        return Err(format!("{text:?} has an empty part. {SHAPE}"));
    }
    let known = |target: &str| {
        let within = |name: &str| {
            target
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with("::"))
        };
        CRATES
            .iter()
            .any(|name| name.starts_with(target) || within(name))
    };
    if let Some((target, _)) = filter.iter().find(|(target, _)| !known(target)) {
        return Err(format!("nothing logs under the name {target:?}. {SHAPE}"));
    }
    if !filter.would_enable("tokenward_server", &tracing::Level::ERROR) {
        return Err(format!(
            "{text:?} keeps none of the server's own lines, not even its errors. {SHAPE}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_that_keeps_nothing_of_ours_is_refused() {
        let words = "
            info ERROR tokenward_server=debug warn,tokenward_store=trace info,hyper=debug tokenward=debug
            info,tokenward_server::http=trace";
        for good in words.split_whitespace() {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, words) in [
            ("inof", "under the name \"inof\""),
            (
                "info,tokenward_sever=debug",
                "under the name \"tokenward_sever\"",
            ),
            ("tokenward_server=loud", "isn't a valid filter"),
            ("hyper=info", "none of the server's own lines"),
            ("off", "not even its errors"),
            ("", "has an empty part"),
            ("info,", "has an empty part"),
        ] {
            let why = check(bad).unwrap_err();
            assert!(why.contains(words), "{bad}: {why}");
        }
    }
}
