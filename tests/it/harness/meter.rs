//! What is measured of a process from outside: its processor time, and when its checks were made.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::app::scratch;

/// Measures the processor time of a process from now on.
pub(crate) struct Meter {
    process: u32,
    before: Duration,
    since: Instant,
}

impl Meter {
    pub(crate) fn of(process: u32) -> Self {
        Self { process, before: cpu(process), since: Instant::now() }
    }

    /// The share of one core that it has used since.
    pub(crate) fn share(&self) -> f64 {
        cpu(self.process).saturating_sub(self.before).as_secs_f64() / self.since.elapsed().as_secs_f64()
    }
}

/// Processor time that a process has used, in steps of 10 ms.
fn cpu(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    let ticks = stat.rsplit_once(')').expect("a name").1.split_whitespace().skip(11).take(2);
    Duration::from_millis(ticks.map(|ticks| ticks.parse::<u64>().expect("ticks") * 10).sum())
}

/// A file to which a command of a check adds the time of each of its runs.
pub(crate) struct Runs(PathBuf);

impl Runs {
    pub(crate) fn new() -> Self {
        Self(scratch("runs"))
    }

    /// The command, as the value of `command` in a configuration.
    pub(crate) fn command(&self) -> String {
        format!("[\"/bin/sh\", \"-c\", \"date +%s.%N >>{}\"]", self.0.display())
    }

    /// Seconds since 1970 of each run.
    pub(crate) fn times(&self) -> Vec<f64> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

/// The longest time between two of these that follow each other.
pub(crate) fn longest_gap(times: &[f64]) -> Duration {
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    Duration::from_secs_f64(gaps.fold(0.0, f64::max))
}
