//! The `tokenward` program: the command line and nothing else.

/// Half of what a request allocates is freed on another thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tokenward_server::commands::main()
}
