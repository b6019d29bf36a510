//! DNS messages as bytes: requests and responses, their EDNS options, and their signatures. Pure.

pub mod key;
pub mod options;
pub mod request;
pub mod tsig;
