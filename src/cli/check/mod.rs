//! `zonekeeper check`: every problem of a configuration, of the files it names, and with this host, at once; and what
//! it would register.

mod host;

use std::path::Path;

use clap::Args;

use super::config_file::ConfigFile;
use crate::announce;
use crate::cli::output;
use crate::config::{self, Config};
use crate::diagnostic::{Location, Problem, Report, Severity, SourceText};
use crate::disk;
use crate::disk::stall::asking;
use crate::registry::text;
use crate::zone::file;
use crate::zookeeper;

/// Say everything that is wrong with a configuration
///
/// Every problem is told with its file, line and column, also those of the zone files and seeds that the configuration
/// names. Warnings are of what `serve` does without: files that this user cannot keep, programs that are not there. So
/// run it as the user that runs `serve`. Nothing is bound and nothing is connected to. The exit code is 64 where there
/// are errors, and 0 otherwise.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckCommand {
    #[command(flatten)]
    file: ConfigFile,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper check                                before the first start
  zonekeeper check --config new.toml && mv new.toml /etc/zonekeeper/zonekeeper.toml";

impl CheckCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = self.file.path()?;
        let config = config::load(&path)?;
        let mut report = config.warnings.clone();
        report.extend(files(&config));
        report.extend(host::problems(&config, &path));
        if report.errors() > 0 {
            return Err(report.into());
        }
        output::complain(&report);
        let own = announce::address::all()?;
        let (mut warnings, mut text) = (report.warnings(), String::new());
        for service in &config.announce.services {
            let (lines, warning) = service.outline(&own);
            text.extend(lines.iter().map(|line| format!("{line}\n")));
            if let Some(warning) = warning {
                warnings += 1;
                output::complain(&format_args!("{}: warning: {warning}\n", service.file.display()));
            }
        }
        let found = match warnings {
            0 => "no problems".to_owned(),
            1 => "no errors, 1 warning".to_owned(),
            _ => format!("no errors, {warnings} warnings"),
        };
        output::print(&format!("{}: {found}\n{text}", path.display()))
    }
}

/// Reads the zone files and seeds that `config` names, and reports what is wrong with them.
pub(super) fn files(config: &Config) -> Report {
    let mut report = Report::default();
    for zone in &config.zones {
        let Some(path) = &zone.file else { continue };
        let (owned, origin) = (path.clone(), zone.origin.clone());
        let read = disk::unless_stalled(host::DISK, move || file::read(&owned, &origin)).unwrap_or_else(|error| {
            let message = format!("cannot be read: {error}");
            Err(vec![Problem::error(Location { path: path.clone(), ..Location::default() }, message)])
        });
        add(&mut report, read.map_or_else(|problems| problems, |parsed| parsed.remarks));
    }
    report.extend(seeds(config));
    report
}

/// Reads the seeds that `config` names, and reports what is wrong with them.
pub(super) fn seeds(config: &Config) -> Report {
    let mut report = Report::default();
    for registry in &config.registries {
        if let zookeeper::config::Backing::Memory(path) = &registry.zookeeper.source {
            seed(path, &mut report);
        }
    }
    report
}

/// Adds problems of a zone file and the files it includes, each of which is read once.
fn add(report: &mut Report, problems: Vec<file::Problem>) {
    let mut sources: Vec<SourceText> = Vec::new();
    for problem in problems {
        let path = &problem.at.path;
        let known = sources.iter().position(|source| source.path() == path);
        let index = known.unwrap_or_else(|| {
            // A file that cannot be read is a problem of the whole file, and shows no line.
            let text = match problem.at.line {
                0 => Vec::new(),
                _ => std::fs::read(path).unwrap_or_default(),
            };
            sources.push(SourceText::new(path, String::from_utf8_lossy(&text)));
            sources.len() - 1
        });
        report.add(&sources[index], problem);
    }
}

fn seed(path: &Path, report: &mut Report) {
    let owned = path.to_owned();
    let read = disk::unless_stalled(host::DISK, move || asking(|| disk::read_text(&owned))).and_then(|read| read);
    match read {
        Err(error) => report.file(path, Severity::Error, &format!("cannot be read: {error}")),
        Ok(seed) => {
            let problems = text::parse(&seed).err().unwrap_or_default();
            let source = SourceText::new(path, seed);
            for problem in problems {
                report.add(&source, problem);
            }
        }
    }
}
