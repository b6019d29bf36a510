//! Whatever znodes are read as those of a convention, nothing panics, and what is served can be named:
//! checks/conventions.rs. It runs as packet.rs says, with `conventions` in that place.
#![no_main]

#[path = "checks/conventions.rs"]
mod checks;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

// Only the convention of this number, if `ZONEKEEPER_CONVENTION` has one.
fuzz_target!(|data: &[u8]| {
    static ONLY: OnceLock<Option<u8>> = OnceLock::new();
    let only = ONLY.get_or_init(|| std::env::var("ZONEKEEPER_CONVENTION").ok()?.parse().ok());
    match (only, data) {
        (Some(number), [_, rest @ ..]) => checks::check(&[&[*number], rest].concat()),
        _ => checks::check(data),
    }
});
