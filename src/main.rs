//! The `castile` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    castile::cli::run()
}
