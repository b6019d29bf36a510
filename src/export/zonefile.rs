//! A zone as a master file: what `named-checkzone`, Knot and this program's own reader take.

use std::fmt::Write as _;

use super::snapshot::Snapshot;
use crate::zone::rdata;
use crate::zone::record::rtype;

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
            let (mnemonic, data) = (rdata::mnemonic(record.rtype), rdata::text(record.rtype, &record.rdata));
            write(&mut text, format_args!("{}\t{}\tIN\t{mnemonic}\t{data}\n", record.owner, record.ttl));
        }
    }
    text
}
