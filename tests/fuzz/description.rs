//! Whatever a znode is called and holds, a description reads an instance of it or says why not; whatever a table says,
//! it is a description or problems: checks/description.rs. It runs as packet.rs says, with `description` in that place.
#![no_main]

#[path = "checks/description.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| checks::check(data));
