//! The `tokenward` program: the command line and nothing else.

fn main() -> std::process::ExitCode {
    tokenward_server::cli::main()
}
