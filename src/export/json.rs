//! A zone as JSON: `{"origin", "freshness", "names": [{"name", "records": [{"type", "ttl", "data"}]}]}`, also the names
//! that merely exist.

use serde::Serialize;

use super::snapshot::Snapshot;
use crate::zone::name::Name;
use crate::zone::packed::Packed;
use crate::zone::rdata;

#[derive(Serialize)]
struct Zone<'s> {
    origin: &'s str,
    freshness: &'s str,
    names: Vec<Entry>,
    /// Services, and the names of each.
    services: Vec<Service<'s>>,
    lost: Vec<Wrong<'s>>,
    doubtful: Vec<Wrong<'s>>,
}

#[derive(Serialize)]
struct Service<'s> {
    path: &'s str,
    names: &'s [String],
}

#[derive(Serialize)]
struct Wrong<'s> {
    path: &'s str,
    reason: &'s str,
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

pub(super) fn render<'s>(snapshot: &'s Snapshot) -> Result<String, serde_json::Error> {
    let names = snapshot.entries.iter().map(entry).collect();
    let services = snapshot.beside.paths.iter().map(|(path, names)| Service { path, names }).collect();
    let wrong = |all: &'s [(String, String)]| all.iter().map(|(path, reason)| Wrong { path, reason }).collect();
    let (lost, doubtful) = (wrong(&snapshot.beside.lost), wrong(&snapshot.beside.doubtful));
    let zone = Zone { origin: &snapshot.origin, freshness: snapshot.freshness, names, services, lost, doubtful };
    serde_json::to_string(&zone).map(|json| json + "\n")
}

fn entry(entry: &Packed) -> Entry {
    let record =
        |ttl, rtype, rdata: &[u8]| Record { r#type: rdata::mnemonic(rtype), ttl, data: rdata::text(rtype, rdata) };
    let name = Name::from_wire(entry.name()).map_or_else(String::new, |(name, _)| name.to_string());
    let sets = entry.listed().flat_map(|set| set.iter().map(move |rdata| record(set.ttl, set.rtype, &rdata)));
    Entry { name, records: sets.collect() }
}
