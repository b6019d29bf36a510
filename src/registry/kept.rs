//! Data that znodes had before those that nobody understands, within bounds.

use std::collections::BTreeMap;

use super::Path;

/// Bytes of such data that are kept in all. A registry in which more is not understood has another trouble.
const MAX_BYTES: usize = 16 << 20;

/// The data, by path.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    data: BTreeMap<Path, Box<[u8]>>,
    bytes: usize,
}

impl Kept {
    /// Data that are kept of a znode.
    pub(super) fn get(&self, path: &str) -> Option<&[u8]> {
        self.data.get(path).map(|data| &**data)
    }

    /// Keeps these data of a znode, and nothing else of it; none forgets what was kept.
    pub(super) fn set(&mut self, path: &Path, data: Option<Box<[u8]>>) {
        if let Some(before) = self.data.remove(path) {
            self.bytes -= before.len();
        }
        if let Some(data) = data.filter(|data| self.bytes + data.len() <= MAX_BYTES) {
            self.bytes += data.len();
            self.data.insert(path.clone(), data);
        }
    }
}
