//! Zone transfers (AXFR: RFC 5936; IXFR: RFC 1995): what a request for one gets, as messages. Pure.
//!
//! A transfer shows one state of the zone, however long it takes: the entries are collected when it begins, and shared
//! with the zone until it ends. The zone's writer never waits for it.

pub mod notify;
pub mod secondaries;

use std::{iter, vec};

use crate::dns::message::request::{Opt, Request};
use crate::dns::message::sizes::{HEADER, MAX_TCP};
use crate::dns::message::tsig::Signer;
use crate::dns::message::writer::{Compress, Section, WireRecord, Writer};
use crate::dns::transport::Transport;
use crate::zone::journal::{self, Difference};
use crate::zone::packed::Packed;
use crate::zone::record::{Record, rtype};
use crate::zone::{Zone, Zones, serial};

/// Response codes of refused transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the mnemonics
pub enum TransferRefusal {
    FormErr = 1,
    ServFail = 2,
    NotAuth = 9,
}

/// Kind of a transfer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The whole zone.
    Full,
    /// The changes.
    Incremental,
    /// The SOA alone: nothing has changed, or UDP has no room for what has (RFC 1995 §4).
    Soa,
}

impl Kind {
    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "axfr",
            Self::Incremental => "ixfr",
            Self::Soa => "soa",
        }
    }
}

/// A transfer: an iterator of messages in wire form, but for the time that each is signed at.
pub struct Transfer {
    kind: Kind,
    serial: u32,
    /// Header and question of the responses.
    start: Vec<u8>,
    /// The OPT record of the first (RFC 5936 §2.1.5), if there is one.
    opt: Vec<u8>,
    records: iter::Peekable<Box<dyn Iterator<Item = Record> + Send>>,
    signer: Option<Signer>,
    is_first: bool,
}

/// A record that fits into no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// Messages end behind this: pointers reach no further (RFC 1035 §4.1.4), and a slow client holds little.
const CHUNK: usize = 0x3fff;

impl Transfer {
    /// Begins a transfer of what `request` asks for, by somebody who may; `options` are said in its first OPT record.
    ///
    /// # Errors
    /// Why there is none.
    pub fn begin(
        zones: &Zones,
        request: &Request,
        options: &[u8],
        transport: Transport,
    ) -> Result<Self, TransferRefusal> {
        let question = request.question.as_ref().ok_or(TransferRefusal::FormErr)?;
        let apex = question.name.folded();
        let zone = zones.find(apex.wire()).filter(|zone| *zone.origin() == apex && question.class == 1);
        let zone = zone.ok_or(TransferRefusal::NotAuth)?;
        // A secondary must not take an empty zone for the zone, nor hosts without addresses for all that there is.
        if !zone.is_transferable() {
            return Err(TransferRefusal::ServFail);
        }
        let (kind, serial, records) = match question.rtype {
            rtype::AXFR if transport.is_datagram() => return Err(TransferRefusal::FormErr),
            rtype::AXFR => full(zone)?,
            _ => incremental(zone, request.serial.ok_or(TransferRefusal::FormErr)?, transport)?,
        };
        let start = request.response(0, true);
        let mut opt = start.clone();
        request.push_opt(&mut opt, Opt { options, ..Opt::default() });
        let opt = opt.split_off(start.len());
        Ok(Self { kind, serial, start, opt, records: records.peekable(), signer: None, is_first: true })
    }

    /// Signs every message.
    pub fn signed(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer;
        self
    }

    /// Kind of the answer.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The serial it leads to.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The next message, made (and signed, where the request was) at `now`; none at the end.
    ///
    /// # Errors
    /// When a record fits into no message: the transfer cannot go on.
    pub fn next_message(&mut self, now: u64) -> Option<Result<Vec<u8>, TooLarge>> {
        self.records.peek()?;
        let room = MAX_TCP - self.opt.len() - self.signer.as_ref().map_or(0, Signer::size);
        let start = if self.is_first { self.start.clone() } else { without_question(&self.start) };
        let mut writer = Writer::new(start, room);
        self.is_first = false;
        while writer.size() < CHUNK
            && let Some(Record { owner, rtype, ttl, rdata }) = self.records.peek()
        {
            let record = WireRecord { owner: owner.wire(), rtype: *rtype, class: 1, ttl: *ttl, rdata };
            if !writer.push(Section::Answer, &record, Compress::Owners) {
                break;
            }
            self.records.next();
        }
        if writer.count(Section::Answer) == 0 {
            self.records = no_records().peekable();
            return Some(Err(TooLarge));
        }
        let mut message = writer.finish();
        if !self.opt.is_empty() {
            message.append(&mut self.opt);
            message[11] = 1;
        }
        if let Some(signer) = &mut self.signer {
            signer.sign(&mut message, now);
        }
        Some(Ok(message))
    }
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer").field("kind", &self.kind).field("serial", &self.serial).finish_non_exhaustive()
    }
}

type Records = Box<dyn Iterator<Item = Record> + Send>;

fn no_records() -> Records {
    Box::new(iter::empty())
}

/// RFC 5936 §2.2: the SOA, everything else, the SOA again.
fn full(zone: &Zone) -> Result<(Kind, u32, Records), TransferRefusal> {
    let (soa, (transferred, entries)) = {
        let table = zone.load();
        let apex = table.get(zone.origin().wire()).ok_or(TransferRefusal::ServFail)?;
        let transferred = zone.transferred();
        let entries = transferred.entries(&table);
        (journal::soa(apex).ok_or(TransferRefusal::ServFail)?, (transferred, entries))
    };
    let serial = soa.soa_serial().ok_or(TransferRefusal::ServFail)?;
    let origin = zone.origin().clone();
    let rest = entries.into_iter().flat_map(move |entry| transferred.records(&origin, &entry));
    let rest = rest.filter(|record| record.rtype != rtype::SOA);
    Ok((Kind::Full, serial, Box::new(iter::once(soa.clone()).chain(rest).chain(iter::once(soa)))))
}

/// RFC 1995 §2 and §4.
fn incremental(zone: &Zone, from: u32, transport: Transport) -> Result<(Kind, u32, Records), TransferRefusal> {
    let (soa, names) = {
        let table = zone.load();
        let apex = table.get(zone.origin().wire()).ok_or(TransferRefusal::ServFail)?;
        (journal::soa(apex).ok_or(TransferRefusal::ServFail)?, table.len())
    };
    let serial = soa.soa_serial().ok_or(TransferRefusal::ServFail)?;
    if transport.is_datagram() || !serial::is_after(serial, from) {
        return Ok((Kind::Soa, serial, Box::new(iter::once(soa))));
    }
    match zone.difference(from) {
        Some(difference) if !is_longer_than_zone(zone, &difference, names) => {
            let serial = difference.new.soa_serial().unwrap_or(serial);
            let Difference { old, new, removed, added } = difference;
            let bracket =
                |soa: &Record, records: Vec<Record>| -> iter::Chain<iter::Once<Record>, vec::IntoIter<Record>> {
                    iter::once(soa.clone()).chain(records)
                };
            let steps = bracket(&old, removed).chain(bracket(&new, added));
            Ok((Kind::Incremental, serial, Box::new(iter::once(new.clone()).chain(steps).chain(iter::once(new)))))
        }
        _ => full(zone),
    }
}

/// Returns whether the zone itself is the shorter answer. Counted only where the number of names makes it possible.
fn is_longer_than_zone(zone: &Zone, difference: &Difference, names: usize) -> bool {
    let changes = difference.removed.len() + difference.added.len();
    let transferred = zone.transferred();
    let records = |entry: Packed| transferred.sets(zone.origin(), &entry).map(|set| set.count).sum::<usize>();
    changes > names && changes > transferred.entries(&zone.load()).into_iter().map(records).sum()
}

/// Later messages of a transfer need no question (RFC 5936 §2.2.1).
fn without_question(start: &[u8]) -> Vec<u8> {
    let mut header = start[..HEADER].to_vec();
    header[4..6].copy_from_slice(&[0, 0]);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::parse::{Message, read_name, read_record};
    use crate::dns::message::tsig::{self, Verdict};
    use crate::zone::entry::RrSet;
    use crate::zone::journal::Bounds;
    use crate::zone::name::Name;
    use crate::zone::offer::{Offer, Rank};
    use crate::zone::writer::ZoneWriter;
    use crate::zone::{Freshness, ZoneBuilder};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    const NOW: u64 = tsig::tests::NOW;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn writer() -> ZoneWriter {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).journal(Bounds::SECONDARIES).build();
        writer.set_freshness(Freshness::Fresh);
        writer.commit(100).unwrap();
        writer
    }

    fn put(writer: &mut ZoneWriter, owner: &str, rdatas: Vec<Vec<u8>>) {
        let sets = [RrSet::new(rtype::TXT, 5, rdatas)].into();
        writer.put(owner, vec![Offer { owner: name(&format!("{owner}.service")), rank: Rank::Real, sets }]);
    }

    fn zones(writer: &ZoneWriter) -> Zones {
        Zones::new(vec![Arc::clone(writer.zone())])
    }

    fn request(apex: &str, rtype: u16, serial: Option<u32>) -> Vec<u8> {
        let mut message = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0".to_vec();
        message.extend_from_slice(name(apex).wire());
        message.extend_from_slice(&[rtype.to_be_bytes(), [0, 1]].concat());
        if let Some(serial) = serial {
            message[9] = 1;
            message.extend_from_slice(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0");
            message.extend_from_slice(&[&serial.to_be_bytes()[..], &[0; 16]].concat());
        }
        message
    }

    fn begin(writer: &ZoneWriter, message: &[u8], transport: Transport) -> Result<Transfer, TransferRefusal> {
        Transfer::begin(&zones(writer), &Message::parse(message).unwrap().request, &[], transport)
    }

    /// A record: owner, type, data.
    type Read = (Name, u16, Vec<u8>);

    /// All the messages, and the records in them.
    fn read(mut transfer: Transfer) -> (Vec<Vec<u8>>, Vec<Read>) {
        let (mut messages, mut records) = (Vec::new(), Vec::new());
        while let Some(message) = transfer.next_message(NOW) {
            let message = message.unwrap();
            let count = |i: usize| u16::from_be_bytes([message[i], message[i + 1]]);
            assert_eq!(message[2] & 0x84, 0x84, "QR and AA");
            let mut at = HEADER;
            assert_eq!(count(4), u16::from(messages.is_empty()), "the question is in the first alone");
            if count(4) == 1 {
                at = read_name(&message, at).unwrap().1 + 4;
            }
            for _ in 0..count(6) {
                let (record, end) = read_record(&message, at).unwrap();
                records.push((record.owner, record.rtype, record.rdata.to_vec()));
                at = end;
            }
            messages.push(message);
        }
        (messages, records)
    }

    #[test]
    fn a_transfer_is_the_whole_zone_between_two_soas() {
        let mut writer = writer();
        for i in 0..3000 {
            put(&mut writer, &format!("s{i}.b{}", i % 7), vec![vec![4; 5], vec![9; 10]]);
        }
        writer.commit(101);
        let (messages, mut records) =
            read(begin(&writer, &request("SerVice", rtype::AXFR, None), Transport::Tcp).unwrap());
        assert!(messages.len() > 3, "{}", messages.len());
        assert!(messages.iter().all(|message| message.len() < 17_000));
        let (first, last) = (records.remove(0), records.pop().unwrap());
        assert_eq!((first.1, &first), (rtype::SOA, &last));
        let table = writer.live();
        let expected: BTreeSet<_> = table
            .entries()
            .into_iter()
            .flat_map(|entry| entry.records())
            .filter(|record| record.rtype != rtype::SOA)
            .map(|record| (record.owner, record.rtype, record.rdata.into_vec()))
            .collect();
        assert_eq!(records.len(), expected.len());
        assert_eq!(records.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn a_transfer_keeps_its_state_while_the_zone_changes() {
        let mut writer = writer();
        for i in 0..2000 {
            put(&mut writer, &format!("s{i}"), vec![vec![1; 20]]);
        }
        let serial = writer.commit(101).unwrap().serial;
        let mut transfer = begin(&writer, &request("service", rtype::AXFR, None), Transport::Tcp).unwrap();
        let first = transfer.next_message(NOW).unwrap().unwrap();
        for i in 0..2000 {
            put(&mut writer, &format!("s{i}"), vec![vec![2; 20]]);
        }
        writer.commit(102);
        assert_eq!(transfer.serial(), serial);
        let mut rest = Vec::new();
        while let Some(message) = transfer.next_message(NOW) {
            rest.push(message.unwrap());
        }
        assert!(!rest.is_empty());
        for message in iter::once(&first).chain(&rest) {
            assert!(!message.windows(20).any(|window| window == [2; 20]));
        }
    }

    #[test]
    fn an_ixfr_is_the_difference_or_the_soa_or_the_zone() {
        let mut writer = writer();
        for i in 0..50 {
            put(&mut writer, &format!("s{i}"), vec![vec![1]]);
        }
        let serial = writer.commit(101).unwrap().serial;
        put(&mut writer, "s7", vec![vec![2]]);
        let new = writer.commit(102).unwrap().serial;
        let ask =
            |serial, transport| begin(&writer, &request("service", rtype::IXFR, Some(serial)), transport).unwrap();
        let transfer = ask(serial, Transport::Tcp);
        assert_eq!((transfer.kind(), transfer.serial()), (Kind::Incremental, new));
        let (_, records) = read(transfer);
        let types: Vec<u16> = records.iter().map(|record| record.1).collect();
        assert_eq!(types, [6, 6, 16, 6, 16, 6]);
        assert_eq!((&records[2].2, &records[4].2), (&vec![1], &vec![2]));
        assert_eq!(records[1].2.last_chunk::<20>().unwrap()[..4], serial.to_be_bytes());
        for (transfer, kind, count) in [
            (ask(new, Transport::Tcp), Kind::Soa, 1),
            (ask(new + 5, Transport::Tcp), Kind::Soa, 1),
            (ask(serial, Transport::Udp), Kind::Soa, 1),
            (ask(3, Transport::Tcp), Kind::Full, 53),
        ] {
            assert_eq!(transfer.kind(), kind);
            assert_eq!(read(transfer).1.len(), count, "{kind:?}");
        }
    }

    /// RFC 1034 §3.6.2, RFC 2181 §10.1: it is answered for addresses that nobody knows, and no part of the zone.
    #[test]
    fn where_the_registry_has_an_alias_it_is_alone_in_transfers_too() {
        let mut writer = writer();
        for i in 0..20 {
            put(&mut writer, &format!("s{i}"), vec![vec![1]]);
        }
        let of = |rtype, rdata: &[u8]| RrSet::new(rtype, 5, vec![rdata.to_vec()]);
        let srv = || of(rtype::SRV, b"\0\0\0\x0a\0\x01\x01h\0");
        let (cname, address) = (of(rtype::CNAME, b"\x01h\0"), of(rtype::A, &[10, 0, 0, 1]));
        let secondary = |writer: &ZoneWriter| -> BTreeSet<Read> {
            let (_, records) = read(begin(writer, &request("service", rtype::AXFR, None), Transport::Tcp).unwrap());
            records.into_iter().filter(|record| record.1 != rtype::SOA).collect()
        };
        let mut serial = writer.commit(101).unwrap().serial;
        let mut held = secondary(&writer);
        // It comes with the service, gives way to an address, returns, and goes.
        for sets in [vec![cname.clone(), srv()], vec![address, srv()], vec![cname, srv()], vec![]] {
            writer.put("lone", vec![Offer { owner: name("lone.service"), rank: Rank::Real, sets: sets.into() }]);
            let new = writer.commit(102).unwrap().serial;
            let transfer = begin(&writer, &request("service", rtype::IXFR, Some(serial)), Transport::Tcp).unwrap();
            assert_eq!(transfer.kind(), Kind::Incremental);
            let (_, records) = read(transfer);
            // The new SOA, the old one and what goes, the new one and what comes, the new one.
            let steps: Vec<_> = records.split(|record| record.1 == rtype::SOA).collect();
            assert!(steps[2].iter().all(|record| held.remove(record)), "{records:?}");
            assert!(steps[3].iter().all(|record| held.insert(record.clone())), "{records:?}");
            assert_eq!(held, secondary(&writer), "{serial} to {new}");
            let lone = held.iter().filter(|record| record.0 == name("lone.service"));
            assert!(lone.clone().all(|record| record.1 != rtype::CNAME) || lone.count() == 1, "{held:?}");
            serial = new;
        }
    }

    #[test]
    fn what_is_longer_than_the_zone_is_sent_as_the_zone() {
        let mut writer = writer();
        put(&mut writer, "a", (0..100).map(|i| vec![i]).collect());
        let serial = writer.commit(101).unwrap().serial;
        put(&mut writer, "a", vec![vec![200]]);
        writer.commit(102);
        let transfer = begin(&writer, &request("service", rtype::IXFR, Some(serial)), Transport::Tcp).unwrap();
        assert_eq!(transfer.kind(), Kind::Full);
    }

    #[test]
    fn what_cannot_be_transferred_is_refused_with_the_right_code() {
        let mut writer = writer();
        let refused = |message: &[u8], transport| begin(&writer, message, transport).unwrap_err();
        assert_eq!(refused(&request("service", rtype::AXFR, None), Transport::Udp), TransferRefusal::FormErr);
        assert_eq!(refused(&request("service", rtype::IXFR, None), Transport::Tcp), TransferRefusal::FormErr);
        assert_eq!(refused(&request("a.service", rtype::AXFR, None), Transport::Tcp), TransferRefusal::NotAuth);
        assert_eq!(refused(&request("example", rtype::AXFR, None), Transport::Tcp), TransferRefusal::NotAuth);
        writer.set_freshness(Freshness::Loading);
        let refused = begin(&writer, &request("service", rtype::AXFR, None), Transport::Tcp).unwrap_err();
        assert_eq!(refused, TransferRefusal::ServFail);
    }

    #[test]
    fn a_record_that_fits_into_no_message_ends_the_transfer() {
        let mut writer = writer();
        put(&mut writer, "a", vec![vec![0; 65_530]]);
        writer.commit(101);
        let mut transfer = begin(&writer, &request("service", rtype::AXFR, None), Transport::Tcp).unwrap();
        let outcomes: Vec<_> = iter::from_fn(|| transfer.next_message(NOW)).collect();
        assert_eq!(outcomes.last().unwrap(), &Err(TooLarge));
        put(&mut writer, "a", vec![vec![0; 65_000]]);
        writer.commit(102);
        let (messages, _) = read(begin(&writer, &request("service", rtype::AXFR, None), Transport::Tcp).unwrap());
        assert!(messages.iter().any(|message| message.len() > 65_000));
    }

    #[test]
    fn every_message_is_signed_where_the_request_was() {
        let mut writer = writer();
        for i in 0..2000 {
            put(&mut writer, &format!("s{i}"), vec![vec![1; 20]]);
        }
        writer.commit(101);
        let key = tsig::tests::key("xfr", b"0123456789abcdef");
        let message = tsig::tests::signed_request(&request("service", rtype::AXFR, None), &key, NOW);
        let request = Message::parse(&message).unwrap();
        let Verdict::Good(signer) = tsig::check(&request, &[key], NOW) else { panic!("a bad signature") };
        let mut transfer =
            Transfer::begin(&zones(&writer), &request.request, &[], Transport::Tcp).unwrap().signed(Some(signer));
        let mut count = 0;
        while let Some(message) = transfer.next_message(NOW) {
            assert_eq!(message.unwrap()[10..12], [0, 1]);
            count += 1;
        }
        assert!(count > 2);
    }
}
