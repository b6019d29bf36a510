//! A zone as a master file: what `named-checkzone`, Knot and this program's own reader take.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Snapshot;
use crate::zone::file::type_number;
use crate::zone::name::Name;
use crate::zone::record::rtype;

/// The types whose data is written in words; all others are in the form of RFC 3597 §5, which every reader takes.
const WORDS: [(&str, u16); 10] = [
    ("A", rtype::A),
    ("NS", rtype::NS),
    ("CNAME", rtype::CNAME),
    ("DNAME", rtype::DNAME),
    ("SOA", rtype::SOA),
    ("PTR", rtype::PTR),
    ("MX", rtype::MX),
    ("TXT", rtype::TXT),
    ("AAAA", rtype::AAAA),
    ("SRV", rtype::SRV),
];

/// Name of a type.
pub fn mnemonic(rtype: u16) -> String {
    let known = WORDS.iter().find(|(_, number)| *number == rtype);
    known.map_or_else(|| format!("TYPE{rtype}"), |(name, _)| (*name).to_owned())
}

/// The type that is called so: `SRV`, `https`, `TYPE33`.
pub fn number(name: &str) -> Option<u16> {
    if name.eq_ignore_ascii_case("ANY") { Some(rtype::ANY) } else { type_number(name) }
}

/// The data of a record in words.
pub fn data(rtype: u16, rdata: &[u8]) -> String {
    known(rtype, rdata).unwrap_or_else(|| {
        let mut text = format!("\\# {}", rdata.len());
        if !rdata.is_empty() {
            text.push(' ');
        }
        for byte in rdata {
            write(&mut text, format_args!("{byte:02x}"));
        }
        text
    })
}

fn known(rtype: u16, rdata: &[u8]) -> Option<String> {
    Some(match rtype {
        rtype::A => Ipv4Addr::from(<[u8; 4]>::try_from(rdata).ok()?).to_string(),
        rtype::AAAA => Ipv6Addr::from(<[u8; 16]>::try_from(rdata).ok()?).to_string(),
        rtype::NS | rtype::CNAME | rtype::DNAME | rtype::PTR => name(rdata)?,
        rtype::MX => format!("{} {}", short(rdata, 0)?, name(rdata.get(2..)?)?),
        rtype::SRV => {
            format!("{} {} {} {}", short(rdata, 0)?, short(rdata, 2)?, short(rdata, 4)?, name(rdata.get(6..)?)?)
        }
        rtype::SOA => {
            let (mname, length) = Name::from_wire(rdata)?;
            let (rname, more) = Name::from_wire(rdata.get(length..)?)?;
            let numbers = rdata.get(length + more..).filter(|numbers| numbers.len() == 20)?;
            let numbers =
                numbers.chunks_exact(4).map(|four| four.iter().fold(0, |sum: u32, &b| sum << 8 | u32::from(b)));
            let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
            format!("{mname} {rname} {}", numbers.join(" "))
        }
        rtype::TXT => strings(rdata)?,
        _ => return None,
    })
}

fn short(rdata: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(rdata.get(at..at + 2)?.try_into().ok()?))
}

fn name(rdata: &[u8]) -> Option<String> {
    let (name, length) = Name::from_wire(rdata)?;
    (length == rdata.len()).then(|| name.to_string())
}

/// Character-strings in quotes (RFC 1035 §5.1).
fn strings(mut rdata: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    while let Some((&length, rest)) = rdata.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(length))?;
        let mut word = String::from("\"");
        for &byte in string {
            match byte {
                b'"' | b'\\' => write(&mut word, format_args!("\\{}", char::from(byte))),
                b' '..=b'~' => word.push(char::from(byte)),
                _ => write(&mut word, format_args!("\\{byte:03}")),
            }
        }
        words.push(word + "\"");
        rdata = rest;
    }
    (!words.is_empty()).then(|| words.join(" "))
}

/// Writing into a string cannot fail.
fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

/// The SOA first, then a line a record.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut text = format!("; zone {} as zonekeeper holds it: {}\n", snapshot.origin, snapshot.freshness);
    for entry in &snapshot.entries {
        let mut records = entry.records();
        records.sort_by_key(|record| record.rtype != rtype::SOA);
        for record in records {
            let (mnemonic, data) = (mnemonic(record.rtype), data(record.rtype, &record.rdata));
            write(&mut text, format_args!("{}\t{}\tIN\t{mnemonic}\t{data}\n", record.owner, record.ttl));
        }
    }
    text
}
