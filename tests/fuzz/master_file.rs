//! Whatever text is read as a master file, it is problems with their places or a zone that can be served, written and
//! read again: checks/master_file.rs. It runs as packet.rs says, with `master_file` in that place.
#![no_main]

#[path = "checks/master_file.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| checks::check(data));
