//! The forms under which a service is in DNS, a file each. Every file adds to the names that [`super::build`] collects;
//! those that need only be listed for that are in [`FORMS`].
//!
//! - [`https`]: hosts and ports for browsers (RFC 9460).
//! - [`label`]: from an element of a path to a label, and to one that is a host name.
//! - [`address`]: the names of addresses, forward and reverse.
//! - [`srv`]: where an instance is, and the names of RFC 2782.
//! - [`subset`]: names of tags; [`port`]: names of named ports.
//! - [`txt`]: properties as text.
//! - [`browse`]: the names of DNS-SD.
//! - [`unread`]: the names of a part that cannot be read.
//! - [`mod@config`]: what `[[zone]]` says about them.

pub mod address;
pub(super) mod browse;
pub mod config;
pub(super) mod https;
pub mod label;
pub(super) mod port;
pub mod srv;
pub mod subset;
pub mod txt;
pub mod unread;

use super::members::Members;
use super::names::Names;

/// Adds the records or names of one form that a service has, to those that it has always: its own name with SRV, A and
/// AAAA, and that as a host name.
type RecordForm = fn(&mut Names, &Members<'_>);

/// The forms, in the order in which their remarks are told.
pub(super) const FORMS: &[RecordForm] = &[https::add, subset::add, port::add, browse::add];
