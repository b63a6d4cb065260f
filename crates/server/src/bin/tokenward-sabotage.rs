//! The server with one rule broken on purpose, for testing the proofs; built with the feature
//! `sabotage` only, never shipped.

fn main() -> std::process::ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program for tests, configured by them"
    )]
    let rule = std::env::var("TOKENWARD_SABOTAGE").unwrap_or_default();
    assert!(
        tokenward_core::sabotage::choose(&rule),
        "TOKENWARD_SABOTAGE names no rule"
    );
    tokenward_server::cli::main()
}
