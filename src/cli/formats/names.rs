//! The DNS names that a description's example gets, in a zone `service.`

use crate::export::{Form, Snapshot, render};
use crate::format::declared::Description;
use crate::zone::build::build;
use crate::zone::context::Context;
use crate::zone::name::Name;
use crate::zone::{Freshness, ZoneBuilder};

/// A record.
pub(super) struct ExampleRecord {
    pub(super) owner: String,
    pub(super) rtype: String,
    pub(super) data: String,
}

/// The SRV records and addresses of a description's example, and why other znodes of it have none, by their paths below
/// the root.
pub(super) fn of_example(description: &Description) -> (Vec<ExampleRecord>, Vec<(String, String)>) {
    const TTL: u32 = 5;
    let (services, mut lost) = description.example_services();
    let Ok(origin) = Name::parse("service") else { return (Vec::new(), lost) };
    let mut writer = ZoneBuilder::new(origin.clone(), TTL, TTL).build();
    for service in &services {
        match build(&Context::new(&origin, TTL), &service.path, service) {
            Ok(built) => writer.put(&service.path, built.offers),
            Err(error) => lost.push((service.path.clone(), error.to_string())),
        }
    }
    writer.commit(1);
    writer.set_freshness(Freshness::Fresh);
    let text = render(&Snapshot::take(writer.zone()), Form::Zone).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let (owner, rtype, data) = (fields.next()?, fields.nth(2)?, fields.next()?);
        // The names of single instances are for browsers.
        let is_single = owner.contains(':') && owner.contains("._tcp.");
        let is_shown = matches!(rtype, "SRV" | "A" | "AAAA") && !is_single;
        is_shown.then(|| ExampleRecord { owner: owner.to_owned(), rtype: rtype.to_owned(), data: data.to_owned() })
    });
    (lines.collect(), lost)
}
