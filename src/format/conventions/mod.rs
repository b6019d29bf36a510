//! The conventions that can be chosen, a file each.

/// The methods of a convention that is only read, and in which a service's own znode says nothing but with
/// `but_services`. One that is written says so with `but_written`.
macro_rules! only_read {
    () => {
        only_read!(but_written);

        only_read!(unwritten);
    };
    (but_written) => {
        fn decode_service(&self, _: &[u8]) -> (crate::model::Defaults, Vec<String>) {
            (crate::model::Defaults::default(), Vec::new())
        }

        only_read!(without_flags);
    };
    (but_services) => {
        only_read!(without_flags);

        only_read!(unwritten);
    };
    (unwritten) => {
        fn is_written(&self) -> bool {
            false
        }

        fn encode(&self, _: &crate::format::convention::Registration<'_>) -> Option<Vec<u8>> {
            None
        }
    };
    (without_flags) => {
        fn takes_drains(&self) -> bool {
            false
        }

        fn links(&self, _: &[u8]) -> Vec<crate::format::link::Link> {
            Vec::new()
        }

        fn property_links(&self, _: &[u8]) -> (Vec<crate::format::link::PropertyLink>, Vec<String>) {
            (Vec::new(), Vec::new())
        }
    };
}

pub(super) mod armeria;
pub(super) mod auto;
pub(super) mod curator;
mod declared;
pub(super) mod dubbo;
pub(super) mod ensemble;
pub(super) mod nd;
pub(super) mod nerve;
pub(super) mod registrar;
pub(super) mod serverset;
pub(super) mod signature;
mod vectors;
pub(super) mod zc;

mod fields;
#[cfg(test)]
mod samples;

use super::convention::Row;

/// The conventions, the default first.
pub const CONVENTIONS: &[Row] = &[
    auto::ROW,
    zc::ROW,
    nd::ROW,
    curator::ROW,
    serverset::ROW,
    nerve::ROW,
    dubbo::ROW,
    dubbo::SOFA,
    registrar::ROW,
    armeria::ROW,
    ensemble::ROW,
];
