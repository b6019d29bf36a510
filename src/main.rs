//! The `zonekeeper` command. Everything is in the library.

fn main() -> std::process::ExitCode {
    zonekeeper::cli::main()
}
