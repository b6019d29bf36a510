//! What must hold for any text that is read as a master file.

use zonekeeper::export::{Form, Snapshot, render};
use zonekeeper::zone::file;
use zonekeeper::zone::name::Name;
use zonekeeper::zone::record::{Record, rtype};
use zonekeeper::zone::{Freshness, ZoneBuilder};

/// Reads `data` as the master file of `service.`; the part behind a byte 0xff is what it may include as `more`.
pub(crate) fn check(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0xff).map(String::from_utf8_lossy);
    let (text, more) = (parts.next().unwrap_or_default(), parts.next());
    let origin = Name::parse("service").expect("a name");
    let mut include = |name: &str| match &more {
        Some(more) if name == "more" => Ok(more.to_string()),
        _ => Err("there is no such file".to_owned()),
    };
    match file::parse(&text, &origin, &mut include) {
        Ok(parsed) => {
            for record in &parsed.records {
                assert!(record.owner.is_at_or_below(&origin), "{}", record.owner);
                assert_eq!(record.owner, record.owner.folded());
                assert!(u16::try_from(record.rdata.len()).is_ok(), "a record that no message holds");
            }
            is_served_and_written(&origin, &parsed.records);
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let text = if problem.at.path.as_os_str().is_empty() { Some(&text) } else { more.as_ref() };
                let lines = text.map_or(0, |text| text.split('\n').count());
                assert!(problem.at.line <= lines, "{problem} of {lines} lines");
                assert!(!problem.message.is_empty());
            }
        }
    }
}

/// A zone of these records, written as a master file, is read back record by record.
fn is_served_and_written(origin: &Name, records: &[Record]) {
    // Of a set of records the writer keeps what fits into 64 KiB of counts and lengths; nobody has that many.
    if records.len() > 1000 || records.iter().map(|record| record.rdata.len()).sum::<usize>() > 60_000 {
        return;
    }
    let mut writer = ZoneBuilder::new(origin.clone(), 5, 5).build();
    writer.put_static(records.to_vec());
    writer.commit(1);
    writer.set_freshness(Freshness::Fresh);
    let text = render(&Snapshot::take(writer.zone()), Form::Zone).expect("a text");
    let read = file::parse(&text, origin, &mut |_| Err("nothing is included".to_owned()));
    let read = read.unwrap_or_else(|problems| panic!("{} in\n{text}", problems[0])).records;
    let mut held: Vec<Record> = writer.live().entries().into_iter().flat_map(|entry| entry.records()).collect();
    let mut read = read;
    held.sort();
    read.sort();
    assert_eq!(read, held, "{text}");
    for record in records.iter().filter(|record| record.rtype != rtype::SOA) {
        assert!(held.contains(record), "{record:?} is lost in\n{text}");
    }
}
