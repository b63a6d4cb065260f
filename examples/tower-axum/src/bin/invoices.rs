//! The product API behind the layer, from its flags.

use clap::Parser;
use example_tower_axum::guard::{Flags, Guard};
use example_tower_axum::invoices;
use std::process::ExitCode;

/// A product API that checks tokens inside itself.
#[derive(Parser)]
#[command(version)]
struct Invoices {
    #[command(flatten)]
    flags: Flags,
    /// The product's slug; tokens that do not open it are refused.
    #[arg(long, default_value = "e-invoice")]
    product: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match run(Invoices::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("invoices: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Invoices { flags, product }: Invoices) -> Result<(), String> {
    let guard = Guard::ready(&flags).await?;
    let app = invoices::routes(guard.layer(&product), guard.is_ready());
    guard.serve(&flags, app).await
}
