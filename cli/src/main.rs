//! The `muster` binary. It must never hold more than the call of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_cli::main()
}
