//! Whatever packet comes, what is sent back is DNS and both ways through the server agree: checks/packet.rs.
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz -s none packet -- -max_total_time=300
//! ```
//! on a stable toolchain; a nightly one needs no RUSTC_BOOTSTRAP, and finds more with its sanitizers.
#![no_main]

#[path = "checks/packet.rs"]
mod checks;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static SERVER: OnceLock<checks::Server> = OnceLock::new();
    SERVER.get_or_init(checks::Server::new).check(data);
});
