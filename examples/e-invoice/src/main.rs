//! Starts the sample product API from its flags and ends it on Ctrl-C or SIGTERM.

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;
use example_e_invoice::{Config, serve};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// A sample product API (e-invoice) that admits requests by asking Tokenward.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Address to listen on.
    #[arg(long, env = "E_INVOICE_LISTEN", default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
    /// Tokenward's internal listener.
    #[arg(
        long,
        env = "E_INVOICE_TOKENWARD",
        default_value = "http://127.0.0.1:8081"
    )]
    tokenward: String,
    /// The environment served here; tokens of the other one are refused.
    #[arg(long, env = "E_INVOICE_ENVIRONMENT", value_parser = ["sandbox", "production"])]
    environment: String,
    /// The product slug that opens /e-invoice.
    #[arg(long, env = "E_INVOICE_PRODUCT", default_value = "e-invoice")]
    product: String,
    /// The product slug that opens /gst.
    #[arg(long, env = "E_INVOICE_GST_PRODUCT", default_value = "gst")]
    gst_product: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("e-invoice: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), String> {
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|why| format!("cannot wait for signals: {why}"))?;
    let listener = TcpListener::bind(flags.listen)
        .await
        .map_err(|why| format!("cannot listen on {}: {why}", flags.listen))?;
    let address = listener
        .local_addr()
        .map_err(|why| format!("cannot read the address listened on: {why}"))?;
    eprintln!(
        "e-invoice: {} on http://{address}, asking {}",
        flags.environment, flags.tokenward
    );
    let config = Config {
        tokenward: flags.tokenward,
        environment: flags.environment,
        product: flags.product,
        gst_product: flags.gst_product,
    };
    let shutdown = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    serve(listener, &config, shutdown)
        .await
        .map_err(|why| format!("cannot serve: {why}"))
}
