//! A zone as JSON: `{"origin", "freshness", "names": [{"name", "records": [{"type", "ttl", "data"}]}]}`, also the names that
//! merely exist.

use serde::Serialize;

use super::{Snapshot, data, mnemonic};
use crate::zone::name::Name;
use crate::zone::packed::Packed;

#[derive(Serialize)]
struct Zone<'s> {
    origin: &'s str,
    freshness: &'s str,
    names: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    records: Vec<Record>,
}

#[derive(Serialize)]
struct Record {
    r#type: String,
    ttl: u32,
    data: String,
}

pub(super) fn render(snapshot: &Snapshot) -> Result<String, serde_json::Error> {
    let names = snapshot.entries.iter().map(entry).collect();
    let zone = Zone { origin: &snapshot.origin, freshness: snapshot.freshness, names };
    serde_json::to_string(&zone).map(|json| json + "\n")
}

fn entry(entry: &Packed) -> Entry {
    let record = |ttl, rtype, rdata: &[u8]| Record { r#type: mnemonic(rtype), ttl, data: data(rtype, rdata) };
    let name = Name::from_wire(entry.name()).map_or_else(String::new, |(name, _)| name.to_string());
    let sets = entry.listed().flat_map(|set| set.iter().map(move |rdata| record(set.ttl, set.rtype, &rdata)));
    Entry { name, records: sets.collect() }
}
