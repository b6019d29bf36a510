//! Names of which a zone does not know what it should: they are answered with SERVFAIL and an extended error (RFC
//! 8914), never with NXDOMAIN or NODATA. Nothing of it is in transfers or zone files.
//!
//! A source offers it as one more RRset ([`Unknown::set`]) of the type [`TYPE`], which no record can have, at the rank
//! of what it stands for. [`super::records::unread`] makes the offers of a part of a registry that cannot be read:
//! ```text
//! writer.put("/unread/pay", unread::subtree(&origin, "pay", false, &unknown));   // SERVFAIL from the next commit on
//! writer.put("/unread/pay", Vec::new());                                   // readable again
//! ```
//! (A source that begins with a slash is no service's path.)
//!
//! What wins over it:
//! - where everything is unknown ([`Scope::Everything`]): each RRset of the zone file, type by type, and a CNAME or
//!   DNAME there altogether; another source's offer at the same rank or a higher one. It hides offers of lower ranks.
//! - where the addresses are ([`Scope::Addresses`]): any A or AAAA record at the name, whoever offers it; a CNAME.
//!
//! With `below` it covers every name below that is not held, wildcards there and above included; names there that
//! merely exist, as something is below them, too. That holds whoever has the name itself.

use std::borrow::Cow;

use super::entry::RrSet;
use super::record::rtype;

/// The type that [`Unknown::set`] is offered and packed under: one that only questions can have (RFC 6895 §3.1), so
/// that the hot path, which leaves those to others, never looks one up.
pub const TYPE: u16 = 240;

/// Types that are unknown at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All that nobody else has.
    Everything,
    /// A and AAAA.
    Addresses,
    /// None at the name itself: names below alone.
    Below,
}

/// Unknown part of a name, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown<'u> {
    /// The types.
    pub scope: Scope,
    /// True if names below are unknown, too.
    pub below: bool,
    /// The extended error's code.
    pub code: u16,
    /// The extended error's text, for people; cut to 255 bytes.
    pub text: Cow<'u, str>,
}

const EVERYTHING: u8 = 1;
const BELOW: u8 = 2;
const NOT_ITSELF: u8 = 4;

/// The longest text that is kept.
const MAX_TEXT: usize = 255;

impl<'u> Unknown<'u> {
    /// The extended error 14 (Not Ready): what would have it was never read.
    pub const NOT_READY: u16 = 14;
    /// The extended error 22 (No Reachable Authority): the addresses of hosts are not known yet.
    pub const NO_ADDRESS: u16 = 22;

    /// As data of a record of [`TYPE`].
    pub fn rdata(&self) -> Vec<u8> {
        let of_scope = match self.scope {
            Scope::Everything => EVERYTHING,
            Scope::Addresses => 0,
            Scope::Below => NOT_ITSELF,
        };
        let flags = of_scope | if self.below { BELOW } else { 0 };
        let end = self.text.len().min(MAX_TEXT);
        let boundary = (0..=end).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or_default();
        let text = &self.text[..boundary];
        [&[flags], &self.code.to_be_bytes()[..], text.as_bytes()].concat()
    }

    /// As an RRset to offer.
    pub fn set(&self) -> RrSet {
        RrSet::new(TYPE, 0, vec![self.rdata()])
    }

    /// Reads what [`Self::rdata`] wrote.
    pub fn read(rdata: &'u [u8]) -> Option<Self> {
        let (&[flags, high, low], text) = rdata.split_first_chunk::<3>()?;
        let scope = match flags {
            _ if flags & EVERYTHING != 0 => Scope::Everything,
            _ if flags & NOT_ITSELF != 0 => Scope::Below,
            _ => Scope::Addresses,
        };
        let text = String::from_utf8_lossy(text);
        Some(Self { scope, below: flags & BELOW != 0, code: u16::from_be_bytes([high, low]), text })
    }
}

/// Returns whether a source says nothing of a name but that it is unknown.
pub(super) fn is_all(sets: &[RrSet]) -> bool {
    sets.iter()
        .any(|set| set.rtype == TYPE && set.iter().any(|rdata| rdata.first().is_some_and(|f| f & EVERYTHING != 0)))
}

/// Returns whether these RRsets make names below unknown.
pub(super) fn covers(sets: &[RrSet]) -> bool {
    sets.iter().any(|set| set.rtype == TYPE && set.iter().any(|rdata| rdata.first().is_some_and(|f| f & BELOW != 0)))
}

/// Takes out of a name's RRsets what is known after all.
pub(super) fn settle(sets: &mut Vec<RrSet>) {
    let Some(place) = sets.iter().position(|set| set.rtype == TYPE) else { return };
    let set = sets.swap_remove(place);
    let has = |wanted: &[u16]| sets.iter().any(|set| wanted.contains(&set.rtype));
    if has(&[rtype::CNAME]) {
        return;
    }
    let has_addresses = has(&[rtype::A, rtype::AAAA]);
    let stays = |rdata: &&[u8]| Unknown::read(rdata).is_some_and(|one| one.scope != Scope::Addresses || !has_addresses);
    let rdatas: Vec<&[u8]> = set.iter().filter(stays).collect();
    // What is unknown altogether is more than addresses.
    let all: Vec<&[u8]> = rdatas.iter().copied().filter(|rdata| rdata[0] & EVERYTHING != 0).collect();
    let rdatas = if all.is_empty() { rdatas } else { all };
    if !rdatas.is_empty() {
        sets.push(RrSet::new(TYPE, 0, rdatas));
    }
}

/// Has the names below one with these RRsets be unknown as `offered` says, whatever the name itself has.
pub(super) fn keep_below(sets: &mut Vec<RrSet>, offered: &[RrSet]) {
    if covers(sets) {
        return;
    }
    let unknown = offered.iter().filter(|set| set.rtype == TYPE).flat_map(RrSet::iter).filter_map(Unknown::read);
    let Some(unknown) = unknown.into_iter().find(|unknown| unknown.below) else { return };
    let place = sets.iter().position(|set| set.rtype == TYPE);
    let own = place.map(|place| sets.swap_remove(place));
    let rdatas: Vec<Vec<u8>> = match &own {
        Some(own) => own.iter().filter_map(Unknown::read).map(|one| Unknown { below: true, ..one }.rdata()).collect(),
        None => vec![Unknown { scope: Scope::Below, ..unknown }.rdata()],
    };
    sets.push(RrSet::new(TYPE, 0, rdatas));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::name::Name;
    use crate::zone::offer::{Offer, Rank};
    use crate::zone::record::{Record, rtype};
    use crate::zone::records::unread::subtree;
    use crate::zone::writer::ZoneWriter;
    use crate::zone::{Freshness, ZoneBuilder, lookup};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn unread() -> Unknown<'static> {
        Unknown { scope: Scope::Everything, below: true, code: 0, text: "not allowed to read /services/pay".into() }
    }

    fn writer() -> ZoneWriter {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).build();
        writer.set_freshness(Freshness::Fresh);
        writer.put("/unread/pay", subtree(&name("service"), "pay", false, &unread()));
        writer.commit(1).unwrap();
        writer
    }

    /// SERVFAIL with this text, or the lookup's own word.
    fn said(writer: &ZoneWriter, owner: &str, rtype: u16) -> String {
        let table = writer.live();
        match lookup::find(writer.zone(), &table, name(owner).wire(), rtype) {
            lookup::LookupResult::Unknown(unknown) => format!("SERVFAIL {}", unknown.code),
            lookup::LookupResult::Answer(_) => "answer".to_owned(),
            lookup::LookupResult::Alias(_) => "alias".to_owned(),
            found => format!("{found:?}"),
        }
    }

    fn file(owner: &str, rtype: u16, rdata: &[u8]) -> Record {
        Record { owner: name(owner), rtype, ttl: 5, rdata: rdata.into() }
    }

    #[test]
    fn nothing_below_an_unreadable_subtree_is_denied() {
        let mut writer = writer();
        for owner in
            ["pay.service", "api.pay.service", "_pay._tcp.service", "h:1._pay._udp.service", "_a._tcp.pay.service"]
        {
            for rtype in [rtype::A, rtype::AAAA, rtype::SRV, rtype::TXT] {
                assert_eq!(said(&writer, owner, rtype), "SERVFAIL 0", "{owner}");
            }
        }
        assert_eq!(said(&writer, "payroll.service", rtype::A), "NxDomain");
        assert_eq!(said(&writer, "_tcp.service", rtype::A), "NoData");
        assert_eq!(said(&writer, "service", rtype::NS), "answer");
        writer.put("/unread/pay", Vec::new());
        writer.commit(2).unwrap();
        for owner in ["pay.service", "api.pay.service", "_pay._tcp.service"] {
            assert_eq!(said(&writer, owner, rtype::A), "NxDomain");
        }
        assert_eq!((writer.live().exceptions().unknown, writer.live().len()), (0, 2));
    }

    #[test]
    fn the_zone_file_and_other_sources_go_before_what_is_unknown() {
        let mut writer = writer();
        writer.put_static(vec![
            file("pay.service", rtype::A, &[10, 0, 0, 1]),
            file("x.y.pay.service", rtype::A, &[10, 0, 0, 1]),
            file("*.pay.service", rtype::A, &[10, 0, 0, 1]),
        ]);
        writer.commit(2).unwrap();
        assert_eq!(said(&writer, "pay.service", rtype::A), "answer");
        assert_eq!(said(&writer, "pay.service", rtype::SRV), "SERVFAIL 0");
        assert_eq!(said(&writer, "x.y.pay.service", rtype::A), "answer");
        assert_eq!(said(&writer, "y.pay.service", rtype::A), "SERVFAIL 0", "it may be a service");
        assert_eq!(said(&writer, "z.pay.service", rtype::A), "SERVFAIL 0", "whatever a wildcard says");
        writer.put_static(vec![file("pay.service", rtype::CNAME, name("x.service").wire())]);
        writer.commit(3).unwrap();
        assert_eq!(said(&writer, "pay.service", rtype::SRV), "alias");
        writer.put_static(Vec::new());
        let sets = [RrSet::new(rtype::A, 5, vec![[10, 0, 0, 1]])].into();
        writer.put("other", vec![Offer { owner: name("pay.service"), rank: Rank::Real, sets }]);
        writer.commit(4).unwrap();
        assert_eq!(said(&writer, "pay.service", rtype::A), "answer");
        assert_eq!(said(&writer, "pay.service", rtype::SRV), "NoData", "another source knows it");
    }

    #[test]
    fn a_name_of_which_the_addresses_are_unknown_has_all_else() {
        let mut writer = writer();
        let unknown = Unknown { scope: Scope::Addresses, below: false, code: 22, text: "".into() };
        let srv = RrSet::new(rtype::SRV, 5, vec![[&[0, 0, 0, 1, 0, 1], name("h.example").wire()].concat()]);
        let offer = |sets: &[RrSet]| vec![Offer { owner: name("db.service"), rank: Rank::Real, sets: sets.into() }];
        writer.put("db", offer(&[srv, unknown.set()]));
        writer.commit(2).unwrap();
        assert_eq!(said(&writer, "db.service", rtype::A), "SERVFAIL 22");
        assert_eq!(said(&writer, "db.service", rtype::AAAA), "SERVFAIL 22");
        assert_eq!(said(&writer, "db.service", rtype::SRV), "answer");
        assert_eq!(said(&writer, "db.service", rtype::TXT), "NoData");
        assert_eq!(said(&writer, "x.db.service", rtype::A), "NxDomain");
        let records: Vec<Record> = writer.live().entries().into_iter().flat_map(|entry| entry.records()).collect();
        assert!(
            records.iter().all(|record| record.rtype != TYPE) && records.len() == 3,
            "nothing of it is transferred"
        );
        writer.put("DB", offer(&[RrSet::new(rtype::A, 5, vec![[10, 0, 0, 1]])]));
        writer.commit(3).unwrap();
        assert_eq!(said(&writer, "db.service", rtype::A), "answer");
        assert_eq!(said(&writer, "db.service", rtype::AAAA), "NoData");
        writer.put("DB", Vec::new());
        writer.commit(4).unwrap();
        assert_eq!(said(&writer, "db.service", rtype::AAAA), "SERVFAIL 22");
    }

    #[test]
    fn what_is_written_can_be_read() {
        for scope in [Scope::Everything, Scope::Addresses, Scope::Below] {
            for below in [false, true] {
                let unknown = Unknown { scope, below, code: 22, text: "nobody knows".into() };
                assert_eq!(Unknown::read(&unknown.rdata()), Some(unknown));
            }
        }
        let long = Unknown { scope: Scope::Everything, below: false, code: 0, text: "ä".repeat(200).into() };
        assert_eq!(Unknown::read(&long.rdata()).unwrap().text, "ä".repeat(127));
        assert_eq!(Unknown::read(&[1, 0]), None);
    }
}
