//! A zone as JSON: `{"origin", "freshness", "names": [{"name", "records": [{"type", "ttl", "data"}]}]}`, also the names
//! that merely exist.

use serde::Serialize;

use super::snapshot::Snapshot;
use crate::zone::name::Name;
use crate::zone::packed::Packed;
use crate::zone::rdata;

#[derive(Serialize)]
struct ExportedZone<'s> {
    origin: &'s str,
    freshness: &'s str,
    names: Vec<ExportedEntry>,
    /// Services, and the names of each.
    services: Vec<ExportedService<'s>>,
    lost: Vec<Wrong<'s>>,
    doubtful: Vec<Wrong<'s>>,
}

#[derive(Serialize)]
struct ExportedService<'s> {
    path: &'s str,
    names: &'s [String],
}

#[derive(Serialize)]
struct Wrong<'s> {
    path: &'s str,
    reason: &'s str,
}

#[derive(Serialize)]
struct ExportedEntry {
    name: String,
    records: Vec<ExportedRecord>,
}

#[derive(Serialize)]
struct ExportedRecord {
    r#type: String,
    ttl: u32,
    data: String,
}

pub(super) fn render<'s>(snapshot: &'s Snapshot) -> Result<String, serde_json::Error> {
    let names = snapshot.entries.iter().map(entry).collect();
    let services = snapshot.beside.paths.iter().map(|(path, names)| ExportedService { path, names }).collect();
    let wrong = |all: &'s [(String, String)]| all.iter().map(|(path, reason)| Wrong { path, reason }).collect();
    let (lost, doubtful) = (wrong(&snapshot.beside.lost), wrong(&snapshot.beside.doubtful));
    let zone =
        ExportedZone { origin: &snapshot.origin, freshness: snapshot.freshness, names, services, lost, doubtful };
    serde_json::to_string(&zone).map(|json| json + "\n")
}

fn entry(entry: &Packed) -> ExportedEntry {
    let record = |ttl, rtype, rdata: &[u8]| ExportedRecord {
        r#type: rdata::mnemonic(rtype),
        ttl,
        data: rdata::text(rtype, rdata),
    };
    let name = Name::from_wire(entry.name()).map_or_else(String::new, |(name, _)| name.to_string());
    let sets = entry.listed().flat_map(|set| set.iter().map(move |rdata| record(set.ttl, set.rtype, &rdata)));
    ExportedEntry { name, records: sets.collect() }
}
