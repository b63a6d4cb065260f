//! The program `tokenward-opentelemetry`: the server and its command line, which sends traces over OTLP.
//!
//! It differs from `tokenward` in nothing else. A program of its own, so that who needs no traces links no crate for them.

mod otlp;

/// As in `tokenward`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tokenward_server::traces::install(&otlp::Otlp);
    tokenward_server::commands::main()
}
