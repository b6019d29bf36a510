//! Lines of the log about lost and doubtful znodes: one a service and not one a znode, and few in a minute. A registry
//! that others use as well may have a hundred thousand znodes that are no registrations.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::model::{Harm, Malformed};

/// Lines at once.
const MAX_LINES: usize = 10;
/// How long it takes until there may be one more.
const PAUSE: Duration = Duration::from_secs(6);
/// Znodes of a service that are named.
const NAMED: usize = 3;

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Telling(Mutex<WordingState>);

#[derive(Debug, Default)]
struct WordingState {
    /// By harm and service, in that order: lost ones first.
    waiting: BTreeMap<(bool, String), Group>,
    /// When lines were last told, and how many may not be told at that moment.
    told: Option<(Instant, usize)>,
}

#[derive(Debug, Default)]
struct Group {
    count: usize,
    first: Vec<Malformed>,
}

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    One(Malformed),
    /// Those of one service.
    Several {
        harm: Harm,
        service: String,
        znodes: usize,
        first: String,
    },
    /// Those of all other services.
    Rest {
        services: usize,
        lost: usize,
        doubtful: usize,
    },
}

impl Telling {
    /// Has these told, which are new in a service.
    pub(super) fn add(&self, service: &str, new: Vec<Malformed>) {
        if new.is_empty() {
            return;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in new {
            let group = state.waiting.entry((one.harm == Harm::Doubtful, service.to_owned())).or_default();
            group.count += 1;
            if group.first.len() < NAMED {
                group.first.push(one);
            }
        }
    }

    /// Writes the lines that there may be now. What there are no lines for waits.
    pub(super) fn tell(&self, now: Instant) {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner).lines(now);
        for line in lines {
            match line {
                Line::One(Malformed { harm: Harm::Lost, path, reason }) => {
                    warn!(path, reason, "lost: the znode is not served");
                }
                Line::One(Malformed { harm: Harm::Doubtful, path, reason }) => {
                    warn!(path, reason, "doubtful: the znode is served all the same");
                }
                Line::Several { harm: Harm::Lost, service, znodes, first } => {
                    warn!(service, znodes, first, "lost: znodes of this service are not served");
                }
                Line::Several { harm: Harm::Doubtful, service, znodes, first } => {
                    warn!(service, znodes, first, "doubtful: znodes of this service are served all the same");
                }
                Line::Rest { services, lost, doubtful } => {
                    warn!(services, lost, doubtful, "more znodes are lost or doubtful: `zonekeeper status` shows them");
                }
            }
        }
    }
}

impl WordingState {
    fn lines(&mut self, now: Instant) -> Vec<Line> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let used = self.told.map_or(0, |(at, used)| {
            let regained = now.saturating_duration_since(at).as_secs() / PAUSE.as_secs();
            used.saturating_sub(usize::try_from(regained).unwrap_or(usize::MAX))
        });
        let free = MAX_LINES.saturating_sub(used);
        if free == 0 {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.waiting);
        let single = if all.len() <= free { all.len() } else { free - 1 };
        let mut lines = Vec::with_capacity(free);
        let (mut services, mut lost, mut doubtful) = (0, 0, 0);
        for (i, ((is_doubtful, service), group)) in all.into_iter().enumerate() {
            if i < single {
                lines.push(group.line(service));
                continue;
            }
            services += 1;
            *(if is_doubtful { &mut doubtful } else { &mut lost }) += group.count;
        }
        if services > 0 {
            lines.push(Line::Rest { services, lost, doubtful });
        }
        self.told = Some((now, used + lines.len()));
        lines
    }
}

impl Group {
    fn line(mut self, service: String) -> Line {
        let harm = self.first.first().map_or(Harm::Lost, |one| one.harm);
        match self.first.pop() {
            Some(only) if self.count == 1 => Line::One(only),
            last => {
                self.first.extend(last);
                let first: Vec<_> = self.first.iter().map(|one| format!("{}: {}", one.path, one.reason)).collect();
                Line::Several { harm, service, znodes: self.count, first: first.join("; ") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(service: &str, count: usize) -> Vec<Malformed> {
        (0..count).map(|i| Malformed::lost(format!("/{service}/{i}"), "it is foreign")).collect()
    }

    fn lines(telling: &Telling, now: Instant) -> Vec<Line> {
        telling.0.lock().unwrap().lines(now)
    }

    #[test]
    fn a_service_has_one_line_however_many_foreign_znodes_there_are() {
        let (telling, now) = (Telling::default(), Instant::now());
        telling.add("a", foreign("a", 100_000));
        telling.add("b", vec![Malformed::doubtful("/b/1", "odd")]);
        let first = "/a/0: it is foreign; /a/1: it is foreign; /a/2: it is foreign".to_owned();
        let several = Line::Several { harm: Harm::Lost, service: "a".into(), znodes: 100_000, first };
        assert_eq!(lines(&telling, now), [several, Line::One(Malformed::doubtful("/b/1", "odd"))]);
        assert_eq!(lines(&telling, now), []);
    }

    #[test]
    fn many_services_have_a_summary_and_what_comes_later_waits_and_is_counted() {
        let (telling, now) = (Telling::default(), Instant::now());
        for i in 0..1000 {
            telling.add(&format!("s{i:03}"), foreign("s", 2));
        }
        let told = lines(&telling, now);
        assert_eq!(told.len(), MAX_LINES);
        assert_eq!(told.last(), Some(&Line::Rest { services: 991, lost: 1982, doubtful: 0 }));
        // Ten times a second for an hour, in a service of its own each time.
        let mut count = 0;
        for i in 1..36_000 {
            telling.add(&format!("t{i}"), foreign("t", 1));
            count += lines(&telling, now + Duration::from_millis(i * 100)).len();
        }
        assert!((550..=650).contains(&count), "{count}");
        let told = lines(&telling, now + Duration::from_secs(4000));
        assert!(told.len() <= MAX_LINES, "all is told at the end: {told:?}");
        assert_eq!(lines(&telling, now + Duration::from_secs(9000)), []);
    }
}
