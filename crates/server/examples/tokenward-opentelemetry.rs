//! The program `tokenward` with the feature `opentelemetry`, for the tests of traces: an example does not take the place of
//! the program without it, which all other tests run. It must never do anything else than `src/main.rs`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tokenward_server::commands::main()
}
