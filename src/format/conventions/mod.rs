//! The conventions that can be chosen, a file each.

pub(super) mod auto;
pub(super) mod curator;
mod declared;
pub(super) mod ensemble;
pub(super) mod nd;
pub(super) mod zc;

use super::convention::Row;

/// The conventions, the default first.
pub const CONVENTIONS: &[Row] = &[auto::ROW, zc::ROW, nd::ROW, curator::ROW, ensemble::ROW];
