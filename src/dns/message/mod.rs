//! DNS messages as bytes. Pure.
//!
//! - [`parse`]: the one reader, for requests and responses; [`request`]: its result that outlives the packet.
//! - [`writer`]: the one writer, with a limit; [`options`]: EDNS options in both directions.
//! - [`tsig`]: signatures, made with a [`key`].
//! - [`walk`]: what is told beside a response; [`padding`]: how long it shall be.
//! - [`sizes`]: numbers that all of them go by.

pub mod key;
pub mod options;
pub mod padding;
pub mod parse;
pub mod request;
pub mod sizes;
pub mod tsig;
pub mod walk;
pub mod writer;
