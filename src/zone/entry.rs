//! The RRsets of one owner name, in wire form.

use super::name::Name;
use super::order::Preference;

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
    /// Preference that each record is chosen by, where it is an address and not all have the preference of an instance
    /// that says nothing.
    preferences: Option<Box<[Preference]>>,
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
        Self { rtype, ttl, count, data: data.into(), preferences: None }
    }

    /// An RRset of addresses, with what each is chosen by, as far as something is said of it; one that is there several
    /// times has the sum.
    pub(super) fn of_addresses<D>(rtype: u16, ttl: u32, mut rdatas: Vec<(D, Option<Preference>)>) -> Self
    where
        D: AsRef<[u8]> + Ord,
    {
        rdatas.sort_unstable();
        rdatas.dedup_by(|(next, preference), (rdata, sum)| {
            let is_same = next == rdata;
            if is_same {
                *sum = match (*sum, *preference) {
                    (Some(sum), Some(preference)) => Some(sum.plus(preference)),
                    (sum, preference) => sum.or(preference),
                };
            }
            is_same
        });
        rdatas.truncate(usize::from(u16::MAX));
        let (rdatas, preferences): (Vec<D>, Vec<Preference>) =
            rdatas.into_iter().map(|(rdata, preference)| (rdata, preference.unwrap_or_default())).unzip();
        let is_plain = preferences.iter().all(|preference| *preference == Preference::default());
        Self { preferences: (!is_plain).then(|| preferences.into()), ..Self::new(rtype, ttl, rdatas) }
    }

    /// Returns what the records are chosen by, in their order; none where all have the preference of an instance that
    /// says nothing.
    pub fn preferences(&self) -> Option<&[Preference]> {
        self.preferences.as_deref()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Returns whether it has none; such a set is in no entry.
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
    fn an_address_that_is_there_twice_has_the_sum_of_its_weights() {
        let of = |rdatas: &[(&[u8; 4], Option<u16>)]| {
            let preference = |weight: u16| Preference::new(0, weight);
            let rdatas = rdatas.iter().map(|(rdata, weight)| (rdata.as_slice(), weight.map(preference))).collect();
            RrSet::of_addresses(1, 5, rdatas)
        };
        let weights = |set: &RrSet| set.preferences().map(|all| all.iter().map(|one| one.weight).collect::<Vec<_>>());
        let twice = of(&[(b"bbbb", Some(10)), (b"aaaa", Some(10)), (b"bbbb", Some(10))]);
        assert_eq!((twice.len(), weights(&twice)), (2, Some(vec![10, 20])));
        assert_eq!(of(&[(b"bbbb", Some(10)), (b"aaaa", None)]), set(&[b"aaaa", b"bbbb"]), "as if nothing were said");
        assert_eq!(weights(&of(&[(b"bbbb", None), (b"bbbb", None)])), None, "a host has its address once");
    }
}
