//! `src/zone` and what it needs, without the rest of the program: Miri and ThreadSanitizer must build everything that
//! they watch themselves, and cannot look into C. The tests are those of the files themselves.

#![allow(dead_code, missing_docs, rustdoc::broken_intra_doc_links)]

#[path = "../../src/diagnostic/mod.rs"]
pub mod diagnostic;
#[path = "../../src/disk/mod.rs"]
pub mod disk;
#[path = "../../src/log.rs"]
pub mod log;
#[path = "../../src/model.rs"]
pub mod model;
#[path = "../../src/settings.rs"]
pub mod settings;
#[path = "../../src/zone/mod.rs"]
pub mod zone;
