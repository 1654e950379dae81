//! The program: parse and dispatch.

use std::process::ExitCode;

use ticket_router::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run().await
}
