//! RRsets that have outgrown what others carry: those of no use as an answer, and those that make secondaries refuse
//! the whole zone. All of them are transferred, record by record; that they are there is told ([`Warnings`]).
//!
//! [`Warnings`]: crate::zone::warnings::Warnings

use super::changes::NameFindings;
use super::{ZoneWriter, held};
use crate::zone::packed::{Packed, PackedSet};
use crate::zone::record::rtype;
use crate::zone::warnings::{About, Large};

/// BIND's limit of records of a type at a name (`max-records-per-type`, since 9.18.28): it refuses a zone with more.
const MANY: usize = 100;

/// The largest message (RFC 1035 §4.2.2).
const MESSAGE: usize = 65_535;

/// Header, type and class of a question, and OPT.
const AROUND: usize = 12 + 4 + 11;

/// Number of RRsets that are named.
const NAMED: usize = 3;

/// Returns whether it may be one of those: some of the sets of an entry, by a look at its size and its rows.
fn is_large(entry: &Packed) -> bool {
    entry.size() > MESSAGE / 4 || entry.sets().any(|set| set.count > MANY)
}

/// Returns whether no message has room for all of a set.
fn is_too_long(entry: &Packed, set: &PackedSet<'_>) -> bool {
    AROUND + entry.name().len() + set.wire_size() > MESSAGE
}

impl ZoneWriter {
    /// Notes whether a name has RRsets that are large.
    pub(super) fn note_large(&mut self, NameFindings { change, .. }: &NameFindings) {
        let is_large = change.new.as_ref().is_some_and(is_large);
        if is_large {
            self.large.insert(change.owner.clone());
        } else if self.large.is_empty() || !self.large.remove(&change.owner) {
            return;
        }
        self.is_large_anew = true;
    }

    /// Warns of them, and returns whether that is news. To be done when readers see what was noted.
    pub(super) fn tell_large(&mut self) -> bool {
        if !std::mem::take(&mut self.is_large_anew) {
            return false;
        }
        let is_transferred = self.zone.keeps_journal();
        let (mut long, mut many) = (Vec::new(), Vec::new());
        for name in &self.large {
            let Some(entry) = held(&self.index, name.wire()) else { continue };
            for set in self.transferred.sets(self.zone.origin(), &entry) {
                if is_transferred && set.count > MANY {
                    many.push((name.clone(), set.rtype, set.count));
                }
            }
            // Lists for those who browse are answered, too, but no client needs all of one.
            let looked_up = entry.sets().filter(|set| set.rtype != rtype::PTR);
            for set in looked_up.filter(|set| is_too_long(&entry, set)) {
                long.push((name.clone(), set.rtype, set.count));
            }
        }
        let warning = [
            ("no message has room for all records of", "so that answers have a part of them and say TC", &long),
            (
                "more than 100 records of a type at",
                "for which BIND refuses the zone as a secondary, unless its `max-records-per-type` is raised",
                &many,
            ),
        ]
        .into_iter()
        .filter(|(.., sets)| !sets.is_empty())
        .map(|(what, so, sets)| {
            let named =
                sets.iter().take(NAMED).map(|(name, rtype, count)| format!("{name} ({count}, {})", kind(*rtype)));
            let more = sets.len().saturating_sub(NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("{what} {}{more}, {so}", named.collect::<Vec<_>>().join(", "))
        })
        .collect::<Vec<_>>()
        .join("; ");
        self.zone.warnings().set_large(Large { many: many.len(), long: long.len() });
        self.zone.warnings().set(About::Size, (!warning.is_empty()).then_some(warning))
    }
}

fn kind(rtype: u16) -> String {
    match rtype {
        rtype::A => "A".into(),
        rtype::AAAA => "AAAA".into(),
        rtype::SRV => "SRV".into(),
        rtype::TXT => "TXT".into(),
        rtype::PTR => "PTR".into(),
        rtype::NS => "NS".into(),
        other => format!("type {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::entry::RrSet;
    use crate::zone::journal::Bounds;
    use crate::zone::name::Name;
    use crate::zone::offer::{Offer, Rank};
    use crate::zone::{ZoneBuilder, config};

    fn put(writer: &mut ZoneWriter, owner: &str, rtype: u16, count: u16, length: usize) {
        let data = |number: u16| [&number.to_be_bytes()[..], &vec![7; length - 2]].concat();
        let sets = [RrSet::new(rtype, 5, (0..count).map(data).collect())].into();
        let owner = Name::parse(owner).unwrap();
        writer.put(&owner.to_string(), vec![Offer { owner: owner.clone(), rank: Rank::Derived, sets }]);
    }

    fn told(writer: &mut ZoneWriter) -> (usize, usize, String) {
        writer.commit(1);
        let warnings = writer.zone().warnings();
        let Large { many, long } = warnings.large();
        (many, long, warnings.all().join(" "))
    }

    #[test]
    fn what_outgrows_bind_is_told_where_the_zone_is_transferred() {
        let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build();
        put(&mut writer, "a.service", rtype::A, 101, 4);
        assert_eq!(told(&mut writer), (0, 0, String::new()), "nobody transfers it");
        writer.keep_journal(Bounds::SECONDARIES);
        let (many, long, text) = told(&mut writer);
        assert_eq!((many, long), (1, 0));
        assert!(text.contains("a.service. (101, A)") && text.contains("max-records-per-type"), "{text}");
        for i in 0..5 {
            put(&mut writer, &format!("b{i}.service"), rtype::TXT, 101, 4);
        }
        put(&mut writer, "_x._tcp.service", rtype::PTR, 101, 4);
        let (many, _, text) = told(&mut writer);
        assert!(many == 6 && text.contains("and 3 more"), "{many}: {text}");
        writer.set_live(config::Live { transfer_browse: true, ..config::Live::default() });
        assert_eq!(told(&mut writer).0, 7);
        put(&mut writer, "a.service", rtype::A, 100, 4);
        assert_eq!(told(&mut writer).0, 6);
        writer.keep_journal(Bounds::NONE);
        assert_eq!(told(&mut writer), (0, 0, String::new()));
    }

    #[test]
    fn what_no_message_has_room_for_is_told_in_any_case() {
        let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build();
        // 12 bytes each besides the data.
        put(&mut writer, "a.service", rtype::TXT, 64, 1000);
        assert_eq!(told(&mut writer).1, 0);
        put(&mut writer, "a.service", rtype::TXT, 65, 1000);
        let (many, long, text) = told(&mut writer);
        assert!((many, long) == (0, 1) && text.contains("a.service. (65, TXT)"), "{text}");
        writer.put("a.service.", Vec::new());
        assert_eq!(told(&mut writer), (0, 0, String::new()));
        assert!(writer.large.is_empty());
    }
}
