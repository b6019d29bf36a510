//! Whatever znodes are read as those of a convention, nothing panics, and what is served can be named:
//! checks/conventions.rs. It runs as packet.rs says, with `conventions` in that place.
#![no_main]

#[path = "checks/conventions.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| checks::check(data));
