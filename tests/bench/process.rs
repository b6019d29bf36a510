//! The binary under measurement: where it answers, what it takes.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::client::Client;

/// A running `zonekeeper serve` with one registry and the zone `service.`.
pub(crate) struct Process {
    pub(crate) binary: Binary,
    pub(crate) dns: SocketAddr,
    pub(crate) begun: Instant,
}

impl Process {
    /// Starts it; `registry` are more lines of its registry's table.
    pub(crate) fn start(servers: &str, registry: &str) -> Self {
        let dns = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let config = format!(
            "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"20s\"\n{registry}\n\
             [[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n"
        );
        let path = scratch("zonekeeper.toml");
        std::fs::write(&path, config).expect("a configuration");
        let begun = Instant::now();
        let log = "info,zonekeeper::publish=debug";
        Self { binary: Binary::run(&["--log", log, "serve", "--config", &path.to_string_lossy()]), dns, begun }
    }

    /// Waits until `name` has `count` addresses. Gives the time since the start.
    pub(crate) async fn shows(&self, name: &str, count: usize) -> Duration {
        let mut client = Client::new(self.dns).await;
        loop {
            if let Some((ResponseCode::NoError, addresses)) = client.addresses(name).await
                && addresses.len() == count
            {
                return self.begun.elapsed();
            }
            let elapsed = self.begun.elapsed();
            assert!(elapsed < Duration::from_secs(300), "{name} never has {count} addresses:\n{}", self.binary.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The zone's serial.
    pub(crate) async fn serial(&self) -> u32 {
        let answer = Client::new(self.dns).await.ask("service.", RecordType::SOA).await.expect("an answer");
        match &answer.answers[0].data {
            RData::SOA(soa) => soa.serial,
            other => panic!("not an SOA: {other:?}"),
        }
    }

    /// A line of `/proc/PID/status`, in megabytes: `VmHWM` is the most it ever had, `VmRSS` what it has.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.binary.id())).expect("a live process");
        let line = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).expect("the line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }

    /// Processor time of all threads so far.
    pub(crate) fn processor(&self) -> Duration {
        processor(self.binary.id())
    }

    /// How often it has said `what`.
    pub(crate) fn said(&self, what: &str) -> usize {
        self.binary.log().matches(what).count()
    }

    /// Waits until it has said `what` more than `before` times.
    pub(crate) async fn says(&self, what: &str, before: usize) {
        let begun = Instant::now();
        while self.said(what) <= before {
            assert!(begun.elapsed() < Duration::from_secs(120), "it never says {what}:\n{}", self.binary.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Processor time of all threads of a process so far, those that ended included (proc(5): `utime` and `stime`, in
/// hundredths).
pub(crate) fn processor(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a live process");
    let fields = stat.rsplit(") ").next().expect("the fields behind the name").split(' ');
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

/// The element of a sorted list at a share of its length.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)] // thousands at most
    let index = (sorted.len() as f64 * share) as usize;
    sorted[index.min(sorted.len() - 1)]
}
