//! The metrics page, in the `OpenMetrics` text format or in Prometheus' own ([`text`]). The gauges are made for each
//! scrape from a snapshot, so nothing has to keep them current; the DNS server's counters are its own.

mod process;
mod text;

use std::collections::HashMap;
use std::fmt;
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
    text as open_metrics,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry as Page, Unit};

use super::shapes::rounded;
use super::snapshot::{AnnouncerSnapshot, RegistrySnapshot, Snapshot, ZoneSnapshot};
use super::sources::{RegistrySource, Sources};
use crate::announce::check::health;
use crate::announce::check::outcome::Shortage;
use crate::announce::{CheckStatus, Counts, RegistrationState};
use crate::dns::forward;
use crate::dns::serve::metrics::Metrics;
use crate::instance_files::FileReport;
use crate::instance_files::config::FileConfig;
use crate::log;
use crate::registry::status::{Counters, Phase};
use crate::registry::{Cause, ReaderName};
use crate::zone::Freshness;
use process::Process;

/// Content type of `OpenMetrics`.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page, with its content type: in the format that the values of Accept ask for.
///
/// # Errors
/// As [`render`].
pub(super) fn page<'h>(
    snapshot: Snapshot,
    ready: bool,
    sources: &Sources,
    accept: impl Iterator<Item = &'h str>,
) -> Result<(&'static str, String), fmt::Error> {
    let most = sources.metrics_per_service;
    let of_registry = |source: &RegistrySource| {
        let (name, services) = (source.name.clone(), source.reader.instances(most));
        services.into_iter().map(move |(service, (up, out))| (name.clone(), service, up, out))
    };
    let services = sources.registries.iter().flat_map(of_registry).collect();
    let page = render(Moment { snapshot, ready, services, process: Process::now() }, sources.dns.as_deref())?;
    Ok(if text::wants_open_metrics(accept) { (OPEN_METRICS, page) } else { (text::CONTENT_TYPE, text::of(&page)) })
}

/// The page in `OpenMetrics`.
///
/// # Errors
/// When a value cannot be written as a metric; none of ours is so.
fn render(moment: Moment, dns: Option<&Metrics>) -> Result<String, fmt::Error> {
    let mut all = Page::default();
    all.register_collector(Box::new(moment.process.clone()));
    let page = all.sub_registry_with_prefix("zonekeeper");
    if let Some(dns) = dns {
        dns.register(page);
    }
    page.register_collector(Box::new(moment));
    let mut rendered = String::new();
    open_metrics::encode(&mut rendered, &all)?;
    Ok(rendered)
}

/// All that is not counted elsewhere.
#[derive(Debug)]
struct Moment {
    snapshot: Snapshot,
    ready: bool,
    /// Each service's registry, path, and instances that are served and that are not, where there are not too many.
    services: Vec<(ReaderName, String, u32, u32)>,
    process: Process,
}

impl Collector for Moment {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(&mut encoder);
        self.process(&mut sheet)?;
        self.configuration(&mut sheet)?;
        registries(&self.snapshot.registries, &mut sheet)?;
        self.services(&mut sheet)?;
        reads(&self.snapshot.registries, &mut sheet)?;
        cache_files(&self.snapshot.registries, &mut sheet)?;
        guards(&self.snapshot.registries, &mut sheet)?;
        zones(&self.snapshot.zones, &mut sheet)?;
        upstreams(&self.snapshot.upstreams, &mut sheet)?;
        files(&self.snapshot.files, &mut sheet)?;
        announcers(&self.snapshot.announcers, &mut sheet)
    }
}

impl Moment {
    fn configuration(&self, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
        let Some((configuration, _)) = &self.snapshot.configuration else { return Ok(()) };
        let taken = rounded(configuration.taken_at.duration_since(UNIX_EPOCH).unwrap_or_default());
        let help = "Unix time at which the configuration in force was read";
        sheet.gauge("config_taken_at", help, Some(&Unit::Seconds), &taken)?;
        let help = "Whether the configuration file has something that is not taken: see config in /v1/status";
        sheet.gauge("config_rejected", help, None, &u32::from(configuration.rejected.is_some()))?;
        let help = "Tables and keys of the configuration that wait for a restart";
        sheet.gauge("restart_pending", help, None, &configuration.pending.len())
    }

    fn services(&self, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
        let instances = self.services.iter().flat_map(|(registry, service, up, out)| {
            [("in", up), ("out", out)]
                .map(|(state, count)| (labels(registry, &[("service", service), ("state", state)]), *count))
        });
        let help = "Instances of a service that are served (in), and that are drained, down or lost (out); for registries of up to metrics_per_service services";
        sheet.gauges("service_instances", help, None, instances)
    }

    fn process(&self, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
        sheet.info("build", "The program", &[("version", env!("CARGO_PKG_VERSION"))])?;
        sheet.gauge("uptime", "Time since the start", Some(&Unit::Seconds), &rounded(self.snapshot.uptime))?;
        if let Some(resident) = self.snapshot.resident {
            let help = "Memory of the process, as the kernel counts it";
            sheet.gauge("resident_memory", help, Some(&Unit::Bytes), &resident)?;
        }
        let help = "Lines of the log that were lost, as standard error was not read or could not be written";
        sheet.counters("log_lines_lost", help, std::iter::once(([("stream", "stderr")], log::lost())))?;
        sheet.gauge("ready", "Whether no zone is SERVFAIL as a whole", None, &u32::from(self.ready))
    }
}

fn registries(registries: &[RegistrySnapshot], sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let each = |value: fn(&RegistrySnapshot) -> usize| registries.iter().map(move |one| (label(one), value(one)));
    let age = registries.iter().filter_map(|one| {
        // While the mirror is live, every change is on its way at once: the view has no age.
        let age = if one.is_stale() { rounded(one.age?) } else { one.age.map(|_| 0.0)? };
        Some((label(one), age))
    });
    let help = "Time since the view was exact: 0 while the mirror is live, absent before it was";
    sheet.gauges("registry_mirror_age", help, Some(&Unit::Seconds), age)?;
    let phases = registries.iter().flat_map(|one| {
        Phase::ALL.map(|phase| (labels(&one.name, &[("phase", phase.as_str())]), u32::from(one.report.phase == phase)))
    });
    sheet.gauges("registry_phase", "1 for the phase that the mirror is in", None, phases)?;
    let trouble =
        registries.iter().map(|one| (label(one), u32::from(one.report.trouble.is_some() && !one.report.is_only_gone)));
    sheet.gauges("registry_trouble", "Whether something is wrong: see /v1/status", None, trouble)?;
    sheet.gauges("registry_znodes", "Znodes mirrored", None, each(|one| one.report.znodes))?;
    let services = registries.iter().filter_map(|one| Some((label(one), one.census?.0.services)));
    sheet.gauges("registry_services", "Services that zones show", None, services)?;
    let instances = registries.iter().filter_map(|one| Some((one, one.census?.0))).flat_map(|(one, census)| {
        let of = |state, count| (labels(&one.name, &[("state", state)]), count);
        [of("in", census.serving), of("out", census.out)]
    });
    let help = "Instances that are served (in), and that are drained, down or lost (out)";
    sheet.gauges("registry_instances", help, None, instances)?;
    sheet.gauges("registry_data", "Data of the znodes", Some(&Unit::Bytes), each(|one| one.report.bytes))?;
    sheet.gauges("registry_malformed", "Problems found in the znodes", None, each(|one| one.malformed_total))?;
    let help = "Names that services do not have to themselves: see clashes in /v1/status";
    sheet.gauges("clashes", help, None, each(|one| one.clashes.0))?;
    let help = "Znodes that are not served, as they cannot be understood";
    sheet.gauges("registry_lost", help, None, each(|one| one.lost.0))?;
    let help = "Znodes that are served with a default or with what they said before";
    sheet.gauges("registry_doubtful", help, None, each(|one| one.doubtful.0))?;
    sheet.gauges("registry_drains", "Drains of services and instances that hold", None, each(|one| one.drains.0))
}

fn reads(registries: &[RegistrySnapshot], sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let mut count = |name, help, value: fn(&Counters) -> u64| {
        sheet.counters(name, help, registries.iter().map(|one| (label(one), value(&one.report.counters))))
    };
    count("registry_sessions", "Sessions opened", |counters| counters.sessions)?;
    count("registry_failed_connects", "Connects that failed", |counters| counters.failed_connects)?;
    let causes = registries.iter().flat_map(|one| {
        Cause::ALL
            .into_iter()
            .zip(one.report.causes)
            .filter(|(_, count)| *count > 0)
            .map(|(cause, count)| (labels(&one.name, &[("cause", cause.as_str())]), count))
    });
    sheet.counters("registry_connect_failures", "Connects that failed, by cause", causes)?;
    let mut count = |name, help, value: fn(&Counters) -> u64| {
        sheet.counters(name, help, registries.iter().map(|one| (label(one), value(&one.report.counters))))
    };
    count("registry_epochs", "Complete reads begun", |counters| counters.epochs)?;
    count("registry_synced_epochs", "Complete reads that ended in a live mirror", |counters| counters.syncs)?;
    count("registry_events", "Watch events about znodes", |counters| counters.events)?;
    count("registry_reads", "Znodes and child lists read", |counters| counters.reads)?;
    count("registry_torn_reads", "Services read once more as they changed meanwhile", |counters| counters.torn)?;
    let differences = registries.iter().flat_map(|one| {
        let Counters { missed, rights, .. } = one.report.counters;
        let label = |kind| labels(&one.name, &[("kind", kind)]);
        [(label("missed"), missed), (label("rights"), rights)]
    });
    sheet.counters(
        "mirror_differences",
        "Znodes that had changed without an event: events that were missed, rights that were changed",
        differences,
    )
}

/// Of the registries that have a guard: what it holds back.
fn guards(registries: &[RegistrySnapshot], sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let guards = || registries.iter().filter_map(|one| Some((label(one), &one.guard.as_ref()?.0)));
    let services = guards().map(|(label, guard)| (label, guard.held.len()));
    sheet.gauges("registry_guarded_services", "Services shown as they were, by the guard", None, services)?;
    let instances = guards().map(|(label, guard)| (label, guard.instances));
    sheet.gauges("registry_guarded_instances", "Instances that are gone and shown, by the guard", None, instances)?;
    let trips = guards().map(|(label, guard)| (label, guard.trips));
    sheet.counters("registry_guard_trips", "Storms of removals that the guard held back", trips)
}

/// Of the registries that keep a file: how that goes.
fn upstreams(upstreams: &[forward::UpstreamReport], sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    if upstreams.is_empty() {
        return Ok(());
    }
    let label = |one: &forward::UpstreamReport| [("upstream", one.upstream.clone())];
    let up = upstreams.iter().map(|one| (label(one), u32::from(one.is_up)));
    sheet.gauges("upstream_up", "Whether a name server answered when a name was forwarded to it last", None, up)?;
    let answers = upstreams.iter().map(|one| (label(one), one.answers));
    sheet.counters("upstream_answers", "Forwarded questions that a name server answered", answers)?;
    let failures = upstreams.iter().map(|one| (label(one), one.failures));
    sheet.counters("upstream_failures", "Forwarded questions that a name server did not answer in time", failures)
}

fn files(files: &[(FileConfig, FileReport)], sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    if files.is_empty() {
        return Ok(());
    }
    let paths: Vec<_> = files.iter().map(|(config, _)| config.path.display().to_string()).collect();
    let each = || files.iter().zip(&paths).map(|((_, report), path)| ([("path", path.clone())], report));
    let instances = each().filter_map(|(label, report)| Some((label, report.instances?)));
    sheet.gauges("file_instances", "Instances in a file of [[file]]", None, instances)?;
    let failing = each().map(|(label, report)| (label, u32::from(report.trouble.is_some())));
    sheet.gauges(
        "file_failing",
        "Whether it could not be written, or its command failed, the last time",
        None,
        failing,
    )?;
    sheet.counters("file_writes", "Times that it was written", each().map(|(label, report)| (label, report.writes)))?;
    let failures = each().map(|(label, report)| (label, report.failures));
    sheet.counters("file_failures", "Times that it could not be written, or that its command failed", failures)
}

fn cache_files(registries: &[RegistrySnapshot], sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let kept = || registries.iter().filter_map(|one| Some((label(one), one.report.cache.as_ref()?)));
    let saved_at = kept().filter_map(|(label, cache)| {
        let since = cache.saved_at?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some((label, rounded(since)))
    });
    let help = "Unix time at which what the cache file holds was true, absent before it was saved";
    sheet.gauges("registry_cache_saved_at", help, Some(&Unit::Seconds), saved_at)?;
    let behind = kept().map(|(label, cache)| (label, u32::from(cache.behind)));
    sheet.gauges("registry_cache_behind", "Whether the cache file lacks something that was published", None, behind)?;
    let failing = kept().map(|(label, cache)| (label, u32::from(cache.trouble.is_some())));
    sheet.gauges("registry_cache_failing", "Whether the cache file could not be saved the last time", None, failing)?;
    let size = kept().map(|(label, cache)| (label, cache.bytes));
    sheet.gauges("registry_cache_file", "Size of the cache file as saved last", Some(&Unit::Bytes), size)?;
    let saves = kept().map(|(label, cache)| (label, cache.saves));
    sheet.counters("registry_cache_saves", "Times that the cache file was saved", saves)?;
    let failures = kept().map(|(label, cache)| (label, cache.failures));
    sheet.counters("registry_cache_failures", "Times that the cache file could not be saved", failures)
}

fn zones(zones: &[ZoneSnapshot], sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let freshness = zones.iter().flat_map(|zone| {
        Freshness::ALL.map(|freshness| {
            (
                [("zone", zone.origin.as_str()), ("freshness", freshness.as_str())],
                u32::from(zone.freshness == freshness),
            )
        })
    });
    sheet.gauges("zone_names", "Names in the zone", None, zones.iter().map(|zone| (origin(zone), zone.names)))?;
    sheet.gauges("zone_serial", "The zone's serial", None, zones.iter().map(|zone| (origin(zone), zone.serial)))?;
    let large = zones.iter().flat_map(|zone| {
        [("100 records", zone.large.many), ("64 KiB", zone.large.long)]
            .map(|(limit, count)| ([("zone", zone.origin.as_str()), ("limit", limit)], count))
    });
    sheet.gauges("zone_large_rrsets", "RRsets over a limit of BIND's, or of a message", None, large)?;
    let warnings = zones.iter().map(|zone| (origin(zone), zone.warnings.len()));
    sheet.gauges("zone_warnings", "Warnings of the zone: see /v1/status", None, warnings)?;
    sheet.gauges("zone_freshness", "1 for how far the zone can be trusted", None, freshness)
}

fn announcers(announcers: &[AnnouncerSnapshot], sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let connected = announcers.iter().map(|one| {
        let connected = one.session.is_some_and(|session| session.connected);
        (labels(&one.registry, &[]), u32::from(connected))
    });
    sheet.gauges("announce_connected", "Whether the registrations' session is connected", None, connected)?;
    let each = || {
        announcers.iter().flat_map(|one| {
            let of = |path| labels(&one.registry, &[("path", path)]);
            one.registrations.iter().map(move |(registration, _)| (of(registration.path.as_str()), registration))
        })
    };
    let registered = each().map(|(labels, one)| (labels, u32::from(one.state == RegistrationState::Registered)));
    sheet.gauges("announce_registered", "Whether the registration is there, and ours", None, registered)?;
    let mut count = |name, help, value: fn(&Counts) -> u64| {
        sheet.counters(name, help, each().map(|(labels, one)| (labels, value(&one.counts))))
    };
    count("announce_registrations", "Registered where there was nothing", |counts| counts.registrations)?;
    count("announce_takeovers", "Taken over from an earlier session of ours", |counts| counts.takeovers)?;
    count("announce_restorations", "Put back after somebody changed it", |counts| counts.restorations)?;
    checks(sheet, announcers)
}

fn checks(sheet: &mut Sheet<'_, '_>, announcers: &[AnnouncerSnapshot]) -> fmt::Result {
    let names: Vec<_> = announcers.iter().map(|one| check_names(&one.checks)).collect();
    let each = || {
        announcers.iter().zip(&names).flat_map(|(one, names)| {
            one.checks.iter().zip(names).map(move |((check, _), name)| {
                (labels(&one.registry, &[("service", &*check.service), ("check", name.as_str())]), check)
            })
        })
    };
    let well = each().map(|(labels, check)| (labels, u32::from(check.state == health::CheckState::Well)));
    sheet.gauges("check_healthy", "Whether the check says that its service is well", None, well)?;
    let flapping = each().map(|(labels, check)| (labels, u32::from(check.is_flapping)));
    sheet.gauges("check_flapping", "Whether it goes up and down all the time", None, flapping)?;
    let latest = each().map(|(labels, check)| (labels, check.latest.as_secs_f64()));
    sheet.gauges("check_latest", "By how much a probe began too late, at most", Some(&Unit::Seconds), latest)?;
    let mut count = |name, help, value: fn(&CheckStatus) -> u64| {
        sheet.counters(name, help, each().map(|(labels, check)| (labels, value(check))))
    };
    count("check_passes", "Good results", |check| check.passed)?;
    count("check_failures", "Bad results", |check| check.failed)?;
    count("check_transitions", "Changes between healthy and unhealthy", |check| check.transitions)?;
    let missed = each().flat_map(|(labels, check)| {
        let with = move |reason: &Shortage| {
            let mut labels = labels.clone();
            labels.push(("reason", reason.as_str()));
            labels
        };
        check.no_results.iter().map(move |(reason, count)| (with(reason), *count))
    });
    sheet.counters("check_no_results", "Probes that could not be made, for a reason of this host's", missed)
}

/// Names of checks: the kind, with a number from the second of a kind on that a service has. What they ask for (URLs,
/// commands) is too long for a label, and may be secret.
fn check_names<T>(checks: &[(CheckStatus, T)]) -> Vec<String> {
    let mut seen = HashMap::<_, u32>::new();
    let name = |(check, _): &(CheckStatus, T)| {
        let kind = check.check.split(' ').next().unwrap_or_default();
        let number = seen.entry((check.service.clone(), kind.to_owned())).or_default();
        *number += 1;
        if *number == 1 { kind.to_owned() } else { format!("{kind}-{number}") }
    };
    checks.iter().map(name).collect()
}

/// Labels of a metric.
type Labels<'a> = Vec<(&'static str, &'a str)>;

fn label(registry: &RegistrySnapshot) -> Labels<'_> {
    labels(&registry.name, &[])
}

/// Labels of what is a reader's: its registry, the reader where there are several, and more.
fn labels<'a>(name: &'a ReaderName, more: &[(&'static str, &'a str)]) -> Labels<'a> {
    let reader = name.reader.as_deref().map(|reader| ("reader", reader));
    [("registry", name.registry.as_str())].into_iter().chain(reader).chain(more.iter().copied()).collect()
}

fn origin(zone: &ZoneSnapshot) -> [(&'static str, &str); 1] {
    [("zone", zone.origin.as_str())]
}

/// Writes families of metrics.
struct Sheet<'s, 'e>(&'s mut DescriptorEncoder<'e>);

impl Sheet<'_, '_> {
    fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        self.family(name, help, None, MetricType::Info)?.encode_info(labels)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.family(name, help, unit, MetricType::Gauge)?.encode_gauge(value)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl Iterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        // The full stop is what the library gives to those that are registered.
        self.0.encode_descriptor(name, &format!("{help}."), unit, kind)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::admin::tests::sample;

    fn moment(snapshot: Snapshot, ready: bool) -> Moment {
        let main = ReaderName { registry: "main".into(), reader: None };
        let services = vec![(main, "team/api \"x\"".to_owned(), 3, 1)];
        let process = Process { cpu_seconds: Some(1.5), open_descriptors: Some(20), ..Process::default() };
        Moment { snapshot, ready, services, process }
    }

    #[test]
    fn the_page_is_what_it_should_be() {
        let expected = include_str!("../testdata/metrics.txt").replace("$VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(render(moment(sample(), false), None).unwrap(), expected);
    }

    #[test]
    fn the_age_of_a_view_grows_only_without_a_live_mirror() {
        let mut snapshot = sample();
        snapshot.registries[0].report.phase = Phase::Scanning;
        let page = render(moment(snapshot, true), None).unwrap();
        assert!(page.contains("\nzonekeeper_registry_mirror_age_seconds{registry=\"main\"} 0.25\n"), "{page}");
    }

    #[test]
    fn names_from_outside_cannot_break_the_page() {
        let mut snapshot = sample();
        snapshot.registries[0].name.registry = "a\"} 1\nevil 2".into();
        let page = render(moment(snapshot, true), None).unwrap();
        assert!(page.contains(r#"zonekeeper_registry_znodes{registry="a\"} 1\nevil 2"} 12"#), "{page}");
        assert!(page.contains("zonekeeper_ready 1\n"), "{page}");
    }

    #[test]
    fn the_dns_counters_are_on_the_page() {
        let page = render(moment(sample(), true), Some(&Metrics::default())).unwrap();
        assert!(page.contains("zonekeeper_dns_overloaded_total 0\n"), "{page}");
        assert!(page.ends_with("# EOF\n"));
    }

    /// Names that alerts and dashboards may use: families, and the samples of histograms.
    fn names(page: &str) -> BTreeSet<String> {
        let families = text::of(page);
        let types = families.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let suffixes = |kind: &str| if kind == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""] };
        types.flat_map(|(name, kind)| suffixes(kind).iter().map(move |suffix| format!("{name}{suffix}"))).collect()
    }

    #[test]
    fn alerts_and_dashboard_name_only_metrics_that_exist() {
        let mut snapshot = sample();
        let state = "";
        let upstream =
            forward::UpstreamReport { upstream: "192.0.2.1".into(), is_up: true, state, answers: 1, failures: 0 };
        snapshot.upstreams.push(upstream);
        let dns = Metrics::default();
        dns.count_one_of_each();
        let mut all = moment(snapshot, true);
        all.process = Process::now();
        let names = names(&render(all, Some(&dns)).unwrap());
        for text in [
            include_str!("../../../deploy/prometheus/alerts.yml"),
            include_str!("../../../deploy/prometheus/dashboard.json"),
            include_str!("../../../deploy/docs/operating.md"),
        ] {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let words = text.split(|c| !is_of_name(c));
            let used: BTreeSet<_> = words
                .filter(|word| word.starts_with("zonekeeper_") || word.starts_with("process_"))
                .filter(|word| !word.ends_with('_'))
                .collect();
            let unknown: Vec<_> = used.into_iter().filter(|word| !names.contains(*word)).collect();
            assert!(unknown.is_empty(), "{unknown:?} are not metrics: {names:#?}");
        }
    }
}
