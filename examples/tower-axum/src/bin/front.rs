//! The front of products that know nothing of tokens, from its flags.

use axum::Router;
use clap::Parser;
use example_tower_axum::guard::{Flags, Guard};
use example_tower_axum::onward;
use http::uri::Authority;
use std::process::ExitCode;

/// Lets permitted requests through to products that know nothing of tokens.
#[derive(Parser)]
#[command(version)]
struct Front {
    #[command(flatten)]
    flags: Flags,
    /// A product: its slug, which is also the first folder of its paths, and where its server is.
    #[arg(long = "onward", value_name = "SLUG=HOST:PORT", value_parser = product, required = true)]
    products: Vec<(String, Authority)>,
}

fn product(text: &str) -> Result<(String, Authority), String> {
    let (slug, place) = text.split_once('=').ok_or("SLUG=HOST:PORT")?;
    let place = place.parse().map_err(|why| format!("{place}: {why}"))?;
    Ok((slug.to_owned(), place))
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match run(Front::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("front: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Front { flags, products }: Front) -> Result<(), String> {
    let guard = Guard::ready(&flags).await?;
    let mut app = Router::new();
    for (slug, place) in products {
        // Each product has a layer of its own, which says what it serves.
        app = app.merge(onward::routes(&slug, place).layer(guard.layer(&slug)));
    }
    guard.serve(&flags, app).await
}
