//! The data of records as text: the types, their fields, and the way from words to wire and back. Master files, exports
//! and explanations all have it from here; a new record type is a line in [`types`].
//!
//! - [`types`]: which types there are, and what fields each has.
//! - [`word`]: the words that data is written in.
//! - `parse`: words to wire; `svcb` for the parameters of SVCB records.
//! - `check`: whether bytes are data of a type.
//! - `print`: wire to words.

mod check;
mod parse;
mod print;
mod svcb;
pub mod types;
pub(super) mod word;

pub(super) use parse::{parse, period};
pub use print::{mnemonic, text};
pub(super) use types::type_name;
pub use types::type_number;
