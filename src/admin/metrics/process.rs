//! Metrics that every process has, by the names that Prometheus' own client libraries give them; from proc(5), so there
//! are none on other systems than Linux.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// One moment of this process. What the system does not tell is left out.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Process {
    /// Processor time, of the user's and the system's part together.
    pub(super) cpu_seconds: Option<f64>,
    /// Unix time of its start.
    pub(super) started: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<i64>,
    pub(super) open_descriptors: Option<u64>,
    /// Descriptors that it may have open; none where there is no limit.
    pub(super) most_descriptors: Option<u64>,
}

impl Process {
    /// The process as it is now.
    #[cfg(target_os = "linux")]
    pub(super) fn now() -> Self {
        use procfs::process::LimitValue;
        let Ok(myself) = procfs::process::Process::myself() else { return Self::default() };
        let ticks = procfs::ticks_per_second();
        #[allow(clippy::cast_precision_loss)] // hundredths of seconds
        let seconds = |count: u64| count as f64 / ticks as f64;
        let stat = myself.stat().ok();
        #[allow(clippy::cast_precision_loss)]
        let booted = procfs::boot_time_secs().ok().map(|booted| booted as f64);
        Self {
            cpu_seconds: stat.as_ref().map(|stat| seconds(stat.utime + stat.stime)),
            started: stat.as_ref().zip(booted).map(|(stat, booted)| booted + seconds(stat.starttime)),
            resident_bytes: stat.as_ref().map(|stat| stat.rss * procfs::page_size()),
            virtual_bytes: stat.as_ref().map(|stat| stat.vsize),
            threads: stat.as_ref().map(|stat| stat.num_threads),
            open_descriptors: myself.fd_count().ok().and_then(|count| u64::try_from(count).ok()),
            most_descriptors: myself.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
                LimitValue::Value(most) => Some(most),
                LimitValue::Unlimited => None,
            }),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn now() -> Self {
        Self::default()
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut put = |name: &str, help: &str, unit: Option<&Unit>, metric: &dyn Metric| {
            metric.put(encoder.encode_descriptor(name, &format!("{help}."), unit, metric.kind())?)
        };
        if let Some(seconds) = self.cpu_seconds {
            let help = "Processor time used, in user and system mode";
            put("process_cpu", help, Some(&Unit::Seconds), &ConstCounter::new(seconds))?;
        }
        if let Some(started) = self.started {
            put("process_start_time", "Unix time of the start", Some(&Unit::Seconds), &ConstGauge::new(started))?;
        }
        let memory = [
            ("process_resident_memory", "Resident memory", self.resident_bytes),
            ("process_virtual_memory", "Virtual memory", self.virtual_bytes),
        ];
        for (name, help, bytes) in memory {
            if let Some(bytes) = bytes {
                put(name, help, Some(&Unit::Bytes), &ConstGauge::new(bytes))?;
            }
        }
        if let Some(threads) = self.threads {
            put("process_threads", "Threads", None, &ConstGauge::new(threads))?;
        }
        let descriptors = [
            ("process_open_fds", "Open file descriptors", self.open_descriptors),
            ("process_max_fds", "Limit of open file descriptors", self.most_descriptors),
        ];
        for (name, help, count) in descriptors {
            if let Some(count) = count {
                put(name, help, None, &ConstGauge::new(count))?;
            }
        }
        Ok(())
    }
}

/// A metric of any type.
trait Metric {
    fn put(&self, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result;
    fn kind(&self) -> prometheus_client::metrics::MetricType;
}

impl<M: EncodeMetric> Metric for M {
    fn put(&self, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        self.encode(encoder)
    }

    fn kind(&self) -> prometheus_client::metrics::MetricType {
        self.metric_type()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_begun_and_has_descriptors() {
        let process = Process::now();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let started = process.started.unwrap();
        assert!(started > now - 86_400.0 && started < now + 2.0, "{started} {now}");
        assert!(process.resident_bytes.unwrap() > 1 << 20 && process.virtual_bytes >= process.resident_bytes);
        assert!(process.open_descriptors.unwrap() >= 3 && process.threads.unwrap() >= 2, "{process:?}");
        assert!(process.cpu_seconds.is_some_and(|seconds| seconds >= 0.0));
    }
}
