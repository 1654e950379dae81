//! The program: parse and dispatch.

use std::process::ExitCode;

use ticket_router::cli;

/// Tells the ONNX runtime, from before it is loaded, not to report usage to its vendor.
/// Turned off later, it has already opened its database of events.
const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

fn main() -> ExitCode {
    start_without_telemetry();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run()),
        Err(e) => {
            eprintln!("error: the program's threads cannot be started: {e}");
            ExitCode::FAILURE
        }
    }
}

/// A process cannot safely change its own environment, so the program starts itself once
/// more in its own place with the variable set.
#[cfg(unix)]
fn start_without_telemetry() {
    use std::os::unix::process::CommandExt as _;

    if std::env::var_os(NO_TELEMETRY).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Comes back only on failure; then the library's own switch has to do.
        let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(NO_TELEMETRY, "1").exec();
    }
}

#[cfg(not(unix))]
fn start_without_telemetry() {}
