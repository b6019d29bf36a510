//! Whether an answer has room in the messages that clients take, and what they get where it has not.

use crate::zone::name::Name;
use crate::zone::packed::PackedSet;

/// The most that goes over UDP, whatever a client takes (RFC 9715 §3.1).
const DATAGRAM: usize = 1232;
/// Bytes that clients take that speak no EDNS (RFC 1035 §4.2.1).
const WITHOUT_EDNS: usize = 512;
/// The longest message (RFC 1035 §4.2.2).
const MESSAGE: usize = 65_535;
/// A message's header, and an OPT record without options.
const AROUND: usize = 12 + 11;

/// Tells why not every client sees all records of the set at once; `None` where all do.
pub(super) fn lacking(name: &Name, set: PackedSet<'_>) -> Option<String> {
    // The question, and the owner of each record as a pointer to it.
    let begun = AROUND + name.wire().len() + 4;
    let records = || set.iter().map(|rdata| 2 + 10 + rdata.len());
    let size = begun + records().sum::<usize>();
    if size > MESSAGE {
        let fitting = records().scan(begun, |size, record| {
            *size += record;
            (*size <= MESSAGE).then_some(())
        });
        let fitting = fitting.count();
        return Some(format!(
            "no message holds all of them: over TCP clients get some {fitting}, others each time, and over UDP a truncated answer (TC)"
        ));
    }
    if size > DATAGRAM {
        return Some(
            "no datagram holds them: over UDP the answer is truncated (TC), and clients ask again over TCP".to_owned(),
        );
    }
    (size - 11 > WITHOUT_EDNS)
        .then(|| "over UDP clients without EDNS get a truncated answer (TC), and ask again over TCP".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::explain::answer;
    use crate::publish::Target;
    use crate::zone::ZoneBuilder;
    use crate::zone::entry::RrSet;
    use crate::zone::offer::{Offer, Rank};
    use crate::zone::record::rtype;

    /// What is told of a name with so many addresses.
    fn told(addresses: u32) -> String {
        let (origin, name) = (Name::parse("service").unwrap(), Name::parse("a.service").unwrap());
        let mut writer = ZoneBuilder::new(origin, 5, 5).build();
        let sets = [RrSet::new(rtype::A, 5, (0..addresses).map(u32::to_be_bytes).collect())].into();
        writer.put("a", vec![Offer { owner: name.clone(), rank: Rank::Real, sets }]);
        writer.commit(0);
        writer.set_freshness(crate::zone::Freshness::Fresh);
        let target = Target::new(5, std::sync::Arc::new(std::sync::Mutex::new(writer)));
        let zone = std::sync::Arc::clone(target.writer.lock().unwrap().zone());
        answer(&zone, &name, rtype::A, &|_, rdata| format!("{rdata:?}")).text
    }

    #[test]
    fn an_answer_over_the_size_limit_is_told_as_such() {
        // 12 for the header, 15 for the question, and 16 a record: 30 records in 512 bytes, and with 11 for OPT 74 in
        // 1232.
        assert!(!told(30).contains("(TC)"), "{}", told(30));
        assert!(told(31).contains("clients without EDNS get a truncated answer"), "{}", told(31));
        assert!(!told(74).contains("no datagram"), "{}", told(74));
        assert!(told(75).contains("no datagram holds them"), "{}", told(75));
        assert!(told(4_093).contains("no datagram"), "one more, and they take 65,542 bytes");
        assert!(
            told(5_000).contains("over TCP clients get some 4093, others each time"),
            "{:?}",
            told(5_000).lines().last()
        );
    }
}
