//! The forms under which a service is in DNS, a file each. Every file adds to the names that [`super::build`] collects.
//!
//! - [`label`]: from an element of a path to a label, and to one that is a host name.
//! - [`address`]: the names of addresses, forward and reverse.
//! - [`srv`]: where an instance is, and the names of RFC 2782.
//! - [`subset`]: names of tags.
//! - [`txt`]: properties as text.
//! - [`browse`]: the names of DNS-SD.
//! - [`unread`]: the names of a part that cannot be read.
//! - [`mod@config`]: what `[[zone]]` says about them.

pub mod address;
pub(super) mod browse;
pub mod config;
pub mod label;
pub mod srv;
pub mod subset;
pub mod txt;
pub mod unread;
