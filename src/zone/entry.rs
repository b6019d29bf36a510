//! What the server holds for one owner name: its RRsets, in wire form.

use super::name::Name;

/// An owner name with its RRsets. Without any it is an empty non-terminal, or a service without instances: it exists,
/// and every query for it is NODATA (RFC 8020, RFC 4592 §2.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The owner, in lower case.
    pub owner: Name,
    /// Its RRsets, in the order of their types.
    pub sets: Box<[RrSet]>,
}

impl Entry {
    /// The RRset of `rtype`.
    pub fn set(&self, rtype: u16) -> Option<&RrSet> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }
}

/// The records of one owner and type: they share their time to live (RFC 2181 §5.2), and none is there twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrSet {
    /// The type, by number.
    pub rtype: u16,
    /// Time to live, in seconds.
    pub ttl: u32,
    count: u16,
    /// Each record's data in wire form behind its length: one allocation for all of them.
    data: Box<[u8]>,
}

impl RrSet {
    /// An RRset of these data, without duplicates and in canonical order (RFC 4034 §6.3), so that equal sets are equal.
    /// At most 65,535 records and 65,535 bytes each; what is beyond is left out by the caller.
    pub fn new<D: AsRef<[u8]> + Ord>(rtype: u16, ttl: u32, mut rdatas: Vec<D>) -> Self {
        rdatas.sort_unstable();
        rdatas.dedup();
        rdatas.truncate(usize::from(u16::MAX));
        let mut data = Vec::with_capacity(rdatas.iter().map(|rdata| 2 + rdata.as_ref().len()).sum());
        let mut count = 0;
        for rdata in rdatas.iter().map(AsRef::as_ref) {
            let Ok(length) = u16::try_from(rdata.len()) else { continue };
            data.extend_from_slice(&length.to_be_bytes());
            data.extend_from_slice(rdata);
            count += 1;
        }
        Self { rtype, ttl, count, data: data.into() }
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether it has none; such a set is in no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all data, and two more each: a bound of what they take in a packed entry, nearly always.
    pub(super) fn data_size(&self) -> usize {
        self.data.len()
    }

    /// The records' data, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.data;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (rdata, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = after;
            Some(rdata)
        })
    }

    /// The records' data, beginning with the `turn`-th (modulo their number) and going round.
    pub fn rotated(&self, turn: usize) -> impl Iterator<Item = &[u8]> {
        let start = if self.is_empty() { 0 } else { turn % self.len() };
        self.iter().skip(start).chain(self.iter().take(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rdatas: &[&[u8]]) -> RrSet {
        RrSet::new(1, 5, rdatas.iter().map(|rdata| rdata.to_vec()).collect())
    }

    #[test]
    fn a_set_has_no_duplicates_and_one_order() {
        assert_eq!(set(&[b"bb", b"a", b"bb"]), set(&[b"a", b"bb"]));
        assert_eq!(set(&[b"bb", b"a", b"bb"]).len(), 2);
    }

    #[test]
    fn rotation_goes_round_and_loses_nobody() {
        let set = set(&[b"a", b"b", b"c"]);
        assert_eq!(set.rotated(1).collect::<Vec<_>>(), [b"b", b"c", b"a"]);
        assert_eq!(set.rotated(5).collect::<Vec<_>>(), [b"c", b"a", b"b"]);
        assert_eq!(super::RrSet::new::<Vec<u8>>(1, 5, Vec::new()).rotated(3).count(), 0);
    }
}
