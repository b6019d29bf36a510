//! `zonekeeper drain` and `zonekeeper undrain`: takes services, or instances of them, out of DNS by hand, and puts them
//! back. The flag stands in ZooKeeper and is written there by this process itself, so that it works whether a server
//! runs or not.

mod host;
mod place;
mod view;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use crate::announce::drain::{self, FlagNode, SurveyedNode, Written};
use crate::cli::output;
use crate::format;
use crate::model::{self, Endpoint};
use crate::publish::unix_now;
use host::{HostKeys, THIS};
use place::{Opened, PlaceOf, Subtree, block_on, find};

/// Longest time that can be given; longer is as good as without an end.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);
/// Seconds by which two clocks may differ without a word: replies take time, and times are in whole seconds.
const SKEW: u64 = 5;

/// Take services, or instances of them, out of DNS, everywhere and at once
///
/// Sets a flag on the service's node in ZooKeeper, which every zonekeeper honours; what is registered stays registered.
/// It ends after the time given with --for, or with `zonekeeper undrain`. No server has to run for it.
/// `zonekeeper explain` shows what is out and why.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DrainCommand {
    /// A path below the registry's root, as in `[[service]]`, or a DNS name with or without its zone; all services at
    /// and below it
    #[arg(required_unless_present_any = ["list", "host"], conflicts_with = "list")]
    name: Option<String>,
    /// Only this instance
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint, conflicts_with_all = ["list", "host"])]
    instance: Option<Endpoint>,
    /// Only the instances of this host, an address or a name [without a value: those of the host this runs on]
    #[arg(long, value_name = "HOST", num_args = 0..=1, default_missing_value = THIS, conflicts_with = "list")]
    host: Option<String>,
    /// Time to drain for, such as 10m or 2h [default: until `zonekeeper undrain`]
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "list")]
    time: Option<Duration>,
    /// A text that `drain --list`, `explain` and the log show
    #[arg(long, default_value = "", conflicts_with = "list")]
    reason: String,
    /// List all drains in force
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    place: PlaceOf,
}

/// Put what was drained back into DNS
///
/// Ends every drain at and below the path, or only those of one instance or host.
#[derive(Debug, Args)]
#[command(after_help = UNDRAIN_EXAMPLES)]
pub(super) struct Undrain {
    /// A path below the registry's root, as in `[[service]]`, or a DNS name with or without its zone
    #[arg(required_unless_present = "host")]
    name: Option<String>,
    /// Only this instance
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint, conflicts_with = "host")]
    instance: Option<Endpoint>,
    /// Only the instances of this host, an address or a name [without a value: those of the host this runs on]
    #[arg(long, value_name = "HOST", num_args = 0..=1, default_missing_value = THIS)]
    host: Option<String>,
    #[command(flatten)]
    place: PlaceOf,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper drain staging/api_x --for 10m --reason \"new kernel\"
  zonekeeper drain api_x.service --instance 192.168.0.42:8080
  zonekeeper drain --host --for 1h
  zonekeeper drain --host 192.168.0.42
  zonekeeper drain --list";

const UNDRAIN_EXAMPLES: &str = "\
Examples:
  zonekeeper undrain staging/api_x
  zonekeeper undrain api_x --instance 192.168.0.42:8080
  zonekeeper undrain --host";

impl DrainCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let all = self.place.open(!self.list)?;
        if self.list {
            return list(&all);
        }
        let found = find(&all, self.name.as_deref())?;
        let now = unix_now();
        let flag = model::Drain {
            instance: self.instance.clone(),
            until: self.time.map(|time| now + time.as_secs() + u64::from(time.subsec_nanos() > 0)),
            reason: self.reason.trim().into(),
            by: host::author().into(),
            at: Some(now),
        };
        let whose = self.host.as_deref().map(HostKeys::new).transpose()?;
        let mut plan: Vec<(&Opened, FlagNode, String, Vec<model::Drain>)> = Vec::new();
        for (at, found) in &found {
            let of_one = match &whose {
                Some(whose) => of_host(found, whose, &flag),
                None => of_services(at, found, &flag)?,
            };
            for (service, flags) in of_one {
                plan.push((at, at.flag_node(&service, &found.survey)?, service, flags));
            }
        }
        if let Some(whose) = whose.filter(|_| plan.is_empty()) {
            bail!("nothing is drained: no instance is registered at {}", whose.words());
        }
        let (mut ahead, mut failed) = (None, 0);
        for (at, node, service, flags) in &plan {
            match block_on(drain::drain(&at.ensemble, node, flags, now)) {
                Ok(Written { replaced, ahead: skew }) => {
                    ahead = ahead.or(skew);
                    let mut text = String::new();
                    for flag in flags {
                        let _ = writeln!(text, "{service} is drained: {}", words(flag));
                    }
                    for flag in replaced {
                        let _ = writeln!(text, "  in place of: {}", full_words(&flag));
                    }
                    output::print(&text)?;
                }
                Err(error) if plan.len() == 1 => return Err(error),
                Err(error) => {
                    failed += 1;
                    output::complain(&format_args!("zonekeeper: {service} is not drained: {error:#}\n"));
                }
            }
        }
        if plan.len() > 1 {
            output::print(&format!("{} services are drained\n", plan.len() - failed))?;
        }
        if failed > 0 {
            bail!("{failed} of {} services are not drained", plan.len());
        }
        told_clock(ahead, &flag)
    }
}

impl Undrain {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let all = self.place.open(true)?;
        let found = find(&all, self.name.as_deref())?;
        let whose = self.host.as_deref().map(HostKeys::new).transpose()?;
        let is_meant = |flag: &model::Drain| match (&self.instance, &whose, &flag.instance) {
            (Some(meant), _, Some(instance)) => meant.is_same(instance),
            (None, Some(whose), Some(instance)) => whose.has(instance),
            (None, None, _) => true,
            (_, _, None) => false,
        };
        let now = unix_now();
        let mut text = String::new();
        let nodes = found.iter().flat_map(|(at, found)| found.survey.nodes.iter().map(move |node| (at, node)));
        for (at, (service, node)) in nodes {
            for path in at.flagged(service, node, &|flag| flag.holds(now) && is_meant(flag))? {
                let ended = block_on(drain::undrain(&at.ensemble, &path, &is_meant, unix_now()))?;
                for flag in &ended {
                    let _ = writeln!(text, "{service} is not drained any more: {}", full_words(flag));
                }
            }
        }
        if text.is_empty() {
            let of_path = || format!("{} was", found.first().map_or("", |(_, found)| &found.below));
            let of_host = |whose: &HostKeys| format!("no instance at {} was", whose.words());
            let _ = match &whose {
                Some(whose) => writeln!(text, "{} drained", of_host(whose)),
                None => writeln!(text, "{} not drained", of_path()),
            };
        }
        output::print(&text)
    }
}

/// The flags for the services at and below a path, by service.
fn of_services(at: &Opened, found: &Subtree, flag: &model::Drain) -> anyhow::Result<Vec<(String, Vec<model::Drain>)>> {
    let Subtree { below, survey, .. } = found;
    let full = at.full(below)?;
    let is_single = survey.nodes.get(below).is_some_and(|node| !node.leads_on || node.is_service())
        && survey.nodes.iter().all(|(path, node)| path == below || !node.is_service());
    if is_single {
        if let Some(why) = survey.nodes.get(below).and_then(SurveyedNode::unfit) {
            bail!("{full} is not drained: {why}; {}", at.key());
        }
        let instances = survey.nodes.get(below).map(|node| &*node.instances).unwrap_or_default();
        match &flag.instance {
            Some(instance) if !instances.iter().any(|one| one.is_same(instance)) => {
                output::complain(&format_args!("zonekeeper: {instance} is not registered at present\n"));
            }
            None if instances.is_empty() => {
                output::complain(&format_args!("zonekeeper: {below} has no instance at present\n"));
            }
            _ => {}
        }
        return Ok(vec![(below.clone(), vec![flag.clone()])]);
    }
    let is_meant = |node: &SurveyedNode| match &flag.instance {
        None => true,
        Some(instance) => node.instances.iter().any(|one| one.is_same(instance)),
    };
    let services = survey.nodes.iter().filter(|(_, node)| node.is_service() && is_meant(node));
    let plan: Vec<_> = services.map(|(path, _)| (path.clone(), vec![flag.clone()])).collect();
    if plan.is_empty() {
        let unfit = survey.nodes.iter().find_map(|(path, node)| Some((at.full(path).ok()?, node.unfit()?)));
        match (unfit, &flag.instance) {
            (Some((path, why)), _) => bail!("nothing at or below {full} is drained: {path}: {why}; {}", at.key()),
            (None, Some(instance)) => bail!("nothing is drained: no service at or below {full} has {instance}"),
            (None, None) if at.drains.is_none() && at.registry.format.is_told_by_data_as_well() => bail!(
                "nothing is drained: there is no service at or below {full}; for one that is read neither as zc nor as nd, {}",
                at.key()
            ),
            (None, None) => bail!("nothing is drained: there is no service at or below {full}"),
        }
    }
    Ok(plan)
}

/// The flags for the instances of a host, by service.
fn of_host(found: &Subtree, whose: &HostKeys, flag: &model::Drain) -> Vec<(String, Vec<model::Drain>)> {
    let mut plan = Vec::new();
    for (path, node) in found.survey.nodes.iter().filter(|(_, node)| node.unfit().is_none()) {
        let here = node.instances.iter().filter(|instance| whose.has(instance));
        let flags: Vec<_> =
            here.map(|instance| model::Drain { instance: Some(instance.clone()), ..flag.clone() }).collect();
        if !flags.is_empty() {
            plan.push((path.clone(), flags));
        }
    }
    plan
}

/// Lists the drains in force of all readers; of several, the services have their whole paths.
fn list(readers: &[Opened]) -> anyhow::Result<()> {
    let mut text = String::new();
    let in_tree = match readers.first().and_then(|at| Some((at, at.drains.as_ref()?))) {
        Some((at, tree)) => block_on(drain::list_tree(&at.ensemble, &tree.root))?,
        None => Vec::new(),
    };
    for (path, flags) in in_tree {
        let below = readers.iter().find_map(|at| path.below(&at.registry.zookeeper.root));
        let service = below.filter(|_| readers.len() == 1).unwrap_or(path.as_str());
        for flag in flags.iter().filter(|flag| flag.holds(unix_now())) {
            let _ = writeln!(text, "{service}: {}", full_words(flag));
        }
    }
    for at in readers.iter().filter(|at| at.registry.format.takes_drains()) {
        let root = &at.registry.zookeeper.root;
        for (service, flag) in &block_on(drain::list(&at.ensemble, root, &at.registry.format, unix_now()))? {
            let service = if readers.len() == 1 { service.clone() } else { at.full(service)?.to_string() };
            let _ = writeln!(text, "{service}: {}", full_words(flag));
        }
    }
    if text.is_empty() {
        text.push_str("nothing is drained\n");
    }
    output::print(&text)
}

/// Says how far this host's clock is from the ensemble's, where that matters: the end of a drain was computed by this
/// one, and other hosts go by theirs.
fn told_clock(ahead: Option<i64>, flag: &model::Drain) -> anyhow::Result<()> {
    match clock_words(ahead, flag, unix_now()) {
        None => Ok(()),
        Some((words, false)) => {
            output::complain(&format_args!("zonekeeper: {words}\n"));
            Ok(())
        }
        Some((words, true)) => bail!("{words}"),
    }
}

/// The sentence about the clocks, and whether the drain has ended already by the ensemble's clock.
fn clock_words(ahead: Option<i64>, flag: &model::Drain, now: u64) -> Option<(String, bool)> {
    let (ahead, until) = (ahead?, flag.until?);
    if ahead.unsigned_abs() <= SKEW {
        return None;
    }
    let time = |seconds: u64| humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let which = if ahead > 0 { "ahead of" } else { "behind" };
    let begin = format!("the clock of this host is {} {which} ZooKeeper's", time(ahead.unsigned_abs()));
    let theirs = now.saturating_add_signed(-ahead);
    let until_text = format::moment(until);
    if until <= theirs {
        return Some((format!("{begin}: the drain, until {until_text}, has ended already by ZooKeeper's"), true));
    }
    let left = time(until - theirs);
    Some((format!("{begin}: where clocks agree with ZooKeeper's, the drain ends in {left} ({until_text})"), false))
}

/// `192.0.2.10:8080 until 2026-11-21T15:00:00Z (new kernel)`.
fn words(flag: &model::Drain) -> String {
    let what = flag.instance.as_ref().map_or("all of it".to_owned(), ToString::to_string);
    let until = flag.until.map_or("it is undrained".to_owned(), format::moment);
    let reason = if flag.reason.is_empty() { String::new() } else { format!(" ({})", flag.reason) };
    format!("{what} until {until}{reason}")
}

/// The same with the author and the time.
fn full_words(flag: &model::Drain) -> String {
    let by = if flag.by.is_empty() { String::new() } else { format!(", by {}", flag.by) };
    let at = flag.at.map(|at| format!(", since {}", format::moment(at))).unwrap_or_default();
    format!("{}{by}{at}", words(flag))
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    format::endpoint(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("it must be longer than nothing".to_owned()),
        Ok(time) if time > LONGEST => Err("it is longer than ten years: leave it out".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_differs_from_zookeepers_is_told_and_an_end_in_the_past_is_an_error() {
        let flag = |until| model::Drain { until, ..model::Drain::default() };
        let now = 1_700_000_000;
        let told = |ahead, until| clock_words(ahead, &flag(until), now);
        for fine in [(None, Some(now + 60)), (Some(4), Some(now + 60)), (Some(900), None)] {
            assert_eq!(told(fine.0, fine.1), None);
        }
        let (words, is_over) = told(Some(600), Some(now + 60)).unwrap();
        assert!(!is_over && words.contains("10m ahead of ZooKeeper's") && words.contains("ends in 11m "), "{words}");
        let (words, is_over) = told(Some(-60), Some(now + 60)).unwrap();
        assert!(
            is_over && words.contains("1m behind ZooKeeper's: the drain, until 2023-11-14T22:14:20Z, has"),
            "{words}"
        );
    }
}
