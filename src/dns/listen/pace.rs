//! When a UDP thread waits a moment after it has answered, so that more queries come at a time: as a network card does
//! that moderates its interrupts, and for the same reason. Waking up for a query costs several times what answering it
//! costs; where queries come fast enough that one would be there anyhow, a pause lets one waking serve several.
//!
//! The pause comes after the answers, never before, and only at rates at which it is worth it: a query that comes alone
//! is answered at once, and a thread that is busy gathers enough without. Nor does a pause bring anything between bursts,
//! or where clients wait for the answers that it delays before they ask again: so now and then it is left out, to see
//! whether it saves wakings, and whether queries come faster without. Pure: the time and how often the thread has slept
//! are arguments.

use std::time::{Duration, Instant};

/// How many queries a pause is to bring.
const ENOUGH: usize = 8;

/// Of so many in one batch more were waiting than a pause brings: there is enough to do without. It must be more than
/// [`ENOUGH`], or every other pause would be followed by none, and by two wakings for what could be had for one.
const BUSY: usize = 2 * ENOUGH;

/// What a pause must be expected to bring, in eighths of a query.
const WORTH: u64 = 12;

/// How far back the rate is looked at: so many batches.
const MEMORY: u64 = 16;

/// A pause is worth the delay if with it a waking serves so many queries, for four that it serves without.
const GAIN: u64 = 5;

/// Where queries come so many times as fast without pauses as with them, clients wait for answers.
const HURRY: u64 = 2;

/// How many batches are taken in the better way, pausing or not, and then in the other one to compare. Where pauses were
/// not worth it several times in a row, they are tried less and less often, down to once in so many times the batches.
const USUAL: u32 = 256;
const TRIAL: u32 = 16;
const SELDOM: u32 = 16;

/// A thread that had nothing to do for longer was idle; how much longer does not matter.
const IDLE: Duration = Duration::from_millis(10);

/// The recent rate of queries of one thread.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long a pause is at most.
    gather: Duration,
    /// When it was last decided.
    last: Instant,
    /// Queries since then.
    since: u64,
    /// Queries, and the nanoseconds in which they came; sums that forget.
    queries: u64,
    nanoseconds: u64,
    trial: Trial,
}

/// Finds out whether pauses are worth it.
#[derive(Debug)]
struct Trial {
    /// Whether pauses were worth it when that was last looked at, and whether they are made at present.
    worth: bool,
    pausing: bool,
    /// Batches until the one is compared with the other, and how many of [`USUAL`] there are before the next trial.
    left: u32,
    times: u32,
    /// Queries since `pausing` was set, the nanoseconds in which they came, and how often the thread had slept before.
    queries: u64,
    nanoseconds: u64,
    slept: Option<u64>,
    /// How it was before the trial.
    before: Served,
}

/// How queries were served for a while.
#[derive(Debug, Default, Clone, Copy)]
struct Served {
    /// How many for each waking, in 1024ths.
    by_waking: u64,
    /// How many a second.
    by_second: u64,
}

impl Pace {
    /// A thread that begins at `now`, and pauses for `gather`; zero is never.
    pub(super) fn new(gather: Duration, now: Instant) -> Self {
        let trial = Trial {
            worth: true,
            pausing: true,
            left: USUAL,
            times: 1,
            queries: 0,
            nanoseconds: 0,
            slept: None,
            before: Served::default(),
        };
        Self { gather, last: now, since: 0, queries: 0, nanoseconds: nanoseconds(IDLE) * MEMORY, trial }
    }

    /// Notes that `received` queries have been answered. Gives whether there is anything to decide: at full load the clock
    /// need not be read.
    pub(super) fn note(&mut self, received: usize) -> bool {
        self.since += received as u64;
        received < BUSY && !self.gather.is_zero()
    }

    /// How long to pause, at `now`, after a batch about which there is something to [decide](Self::note): until enough are
    /// expected, and no longer. `sleeps` is how often the thread has gone to sleep so far.
    pub(super) fn after(&mut self, now: Instant, sleeps: impl FnOnce() -> u64) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.last);
        self.last = now;
        let (received, counted) = (std::mem::take(&mut self.since), elapsed.min(IDLE));
        let may_pause = self.trial.may_pause(received, counted, sleeps);
        // Scaled, so that the divisions lose nothing.
        let recent = received.saturating_mul(1024).saturating_mul(nanoseconds(counted)) / nanoseconds(elapsed).max(1);
        self.queries = self.queries - self.queries / MEMORY + recent;
        self.nanoseconds = self.nanoseconds - self.nanoseconds / MEMORY + nanoseconds(counted);
        let expected = self.queries.saturating_mul(8) / 1024 * nanoseconds(self.gather) / self.nanoseconds.max(1);
        let enough = 8 * u64::try_from(ENOUGH).unwrap_or(u64::MAX);
        match expected {
            _ if expected < WORTH || !may_pause => None,
            _ if expected <= enough => Some(self.gather),
            _ => Some(Duration::from_nanos(nanoseconds(self.gather).saturating_mul(enough) / expected)),
        }
    }
}

impl Trial {
    /// Whether to pause, if that is otherwise called for, after `queries` more that came within `elapsed`.
    fn may_pause(&mut self, queries: u64, elapsed: Duration, sleeps: impl FnOnce() -> u64) -> bool {
        self.queries += queries;
        self.nanoseconds += nanoseconds(elapsed);
        match self.slept {
            Some(_) if self.left > 0 => self.left -= 1,
            Some(slept) => self.turn(slept, sleeps()),
            None => self.slept = Some(sleeps()),
        }
        self.pausing
    }

    /// Compares, the thread having slept so often before and by now, and goes on in the other way.
    fn turn(&mut self, before: u64, slept: u64) {
        let served = Served {
            by_waking: self.queries.saturating_mul(1024) / slept.saturating_sub(before).max(1),
            by_second: self.queries.saturating_mul(1_000_000_000) / self.nanoseconds.max(1),
        };
        if self.pausing == self.worth {
            (self.before, self.pausing, self.left) = (served, !self.worth, TRIAL);
        } else {
            let (with, without) = if self.pausing { (served, self.before) } else { (self.before, served) };
            let saves = with.by_waking * 4 >= without.by_waking * GAIN;
            let holds_up = without.by_second >= with.by_second * HURRY;
            self.worth = saves && !holds_up;
            self.times = if self.worth { 1 } else { (self.times * 2).min(SELDOM) };
            (self.pausing, self.left) = (self.worth, USUAL * self.times);
        }
        (self.queries, self.nanoseconds, self.slept) = (0, 0, Some(slept));
    }
}

/// In 64 bits, which last for centuries.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Duration = Duration::from_micros(100);

    /// The pause after the last of `batches` of `received` queries, one every `apart`, each after a sleep.
    fn last_pause(gather: Duration, received: usize, apart: Duration, batches: u32) -> Option<Duration> {
        let begun = Instant::now();
        let mut pace = Pace::new(gather, begun);
        let after = |i| pace.note(received).then(|| pace.after(begun + apart * i, || i.into())).flatten();
        (1..=batches).map(after).last().flatten()
    }

    fn pauses(received: usize, apart: Duration, batches: u32) -> bool {
        last_pause(GATHER, received, apart, batches).is_some()
    }

    /// What became of 10,000 queries.
    struct Outcome {
        /// How often the thread slept.
        sleeps: u64,
        /// How much later than they came they were answered, on average.
        late: Duration,
        /// Until all were answered.
        took: Duration,
    }

    /// A thread that has no work to do but to take what there is. `came` is when, in order; and `again` how long after an
    /// answer a query comes.
    fn simulate(came: impl IntoIterator<Item = Duration>, again: impl Fn(u32) -> Option<Duration>) -> Outcome {
        let begun = Instant::now();
        let mut came: std::collections::BTreeSet<_> = (0_u32..).zip(came).map(|(i, came)| (begun + came, i)).collect();
        let (mut pace, mut now) = (Pace::new(Duration::from_micros(500), begun), begun);
        let (mut answered, mut sleeps, mut late) = (0_u32, 0, Duration::ZERO);
        while answered < 10_000 {
            let next = came.first().unwrap().0;
            if next > now {
                (now, sleeps) = (next, sleeps + 1);
            }
            let mut received = 0;
            while let Some(query) = came.first().copied().filter(|query| query.0 <= now && received < 64) {
                came.remove(&query);
                (received, answered, late) = (received + 1, answered + 1, late + (now - query.0));
                came.extend(again(answered).map(|again| (now + again, 10_000 + answered)));
            }
            if pace.note(received)
                && let Some(pause) = pace.after(now, || sleeps)
            {
                (now, sleeps) = (now + pause, sleeps + 1);
            }
        }
        Outcome { sleeps, late: late / answered, took: now - begun }
    }

    /// The same with queries that come whatever becomes of others.
    fn come(came: impl Fn(u32) -> Duration) -> Outcome {
        simulate((0..10_100).map(came), |_| None)
    }

    #[test]
    fn single_queries_are_never_waited_for() {
        assert!(!pauses(1, Duration::from_millis(1), 1000), "a thousand a second");
        assert!(!pauses(1, Duration::from_micros(100), 1000), "ten thousand");
        assert!(!pauses(1, Duration::from_secs(3600), 1000));
    }

    #[test]
    fn twenty_thousand_a_second_are_gathered_however_they_come() {
        assert!(pauses(1, Duration::from_micros(50), 200));
        assert!(pauses(3, Duration::from_micros(150), 200));
        assert!(pauses(7, Duration::from_micros(350), 200), "for as long as it is not known that they bring nothing");
    }

    /// Every other pause used to bring enough for none to follow, and then the next query was waited for.
    #[test]
    fn what_a_pause_brings_is_followed_by_a_pause() {
        let Outcome { sleeps, late, .. } = come(|i| Duration::from_micros(50) * i);
        assert!((1200..1400).contains(&sleeps), "eight at a time: {sleeps}");
        assert!((150..220).contains(&late.as_micros()), "{late:?}");
    }

    /// Pauses used to be made between bursts as well, for nothing, and delayed what came in them.
    #[test]
    fn between_bursts_there_are_no_pauses() {
        for size in [8, 12, 20] {
            let Outcome { sleeps, late, .. } = come(|i| Duration::from_micros(50) * (i / size * size));
            let (bursts, first) = (10_000 / u64::from(size), u64::from(USUAL));
            assert!(sleeps < bursts * 21 / 20 + first, "{sleeps} for {bursts} bursts");
            assert!(late.as_micros() < 50, "{late:?}");
        }
    }

    #[test]
    fn when_bursts_are_over_pauses_are_made_again() {
        let bursts = |i| Duration::from_micros(50) * (i / 12 * 12);
        let Outcome { sleeps, .. } = come(|i| if i < 5000 { bursts(i) } else { Duration::from_micros(50) * i });
        // As long as the pauses were the last time not worth it, the thread wakes for each.
        let usual = u64::from(USUAL);
        assert!(sleeps < 417 + 3 * usual + 5000 / 8, "{sleeps}");
    }

    /// Each used to wait for a pause, and its client with it: a tenth as many queries a second.
    #[test]
    fn clients_that_wait_for_answers_are_not_held_up() {
        for clients in [1, 2, 4, 8, 12] {
            let think = |i: u32| Duration::from_micros(30 + u64::from(i * 7919 % 40));
            let Outcome { took, .. } = simulate((0..clients).map(think), |i| Some(think(i)));
            // Without any pause it is what they think.
            let least = Duration::from_micros(50) * 10_000 / clients;
            assert!(took < least * 3 / 2 + Duration::from_millis(100), "{clients}: {took:?}, {least:?}");
        }
    }

    #[test]
    fn a_pause_ends_when_enough_are_expected() {
        let pause = |gather, apart| last_pause(Duration::from_micros(gather), 1, Duration::from_micros(apart), 200);
        assert_eq!(pause(100, 50), Some(Duration::from_micros(100)), "two of the eight");
        let long = pause(1000, 50).unwrap();
        assert!((390..=410).contains(&long.as_micros()), "eight, 50 µs apart: {long:?}");
    }

    #[test]
    fn a_quiet_moment_ends_it_and_a_burst_must_last_to_begin_it() {
        assert!(!pauses(1, Duration::from_micros(20), 8), "a burst of eight");
        let mut now = Instant::now();
        let mut pace = Pace::new(GATHER, now);
        let mut came = |apart| {
            now += apart;
            pace.note(1);
            pace.after(now, || 0)
        };
        let fast = (0..200).map(|_| came(Duration::from_micros(50))).last();
        assert_ne!(fast, Some(None));
        assert_eq!(came(Duration::from_millis(20)), None);
    }

    #[test]
    fn zero_switches_it_off_and_large_batches_are_left_alone() {
        let mut pace = Pace::new(Duration::ZERO, Instant::now());
        assert!(!pace.note(1));
        let mut pace = Pace::new(GATHER, Instant::now());
        assert!(pace.note(1) && !pace.note(BUSY));
    }
}
