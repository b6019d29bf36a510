//! `zonekeeper check`: every problem of a configuration, of the files it names, and with this host, at once; and what
//! it would register.

mod connect;
mod findings;
mod host;
mod ports;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::config_file::ConfigFile;
use super::output::USAGE;
use crate::announce;
use crate::cli::output;
use crate::config::{self, Config};
use crate::diagnostic::{Location, Problem, Report, Severity, SourceText};
use crate::disk;
use crate::disk::stall::asking;
use crate::registry::text;
use crate::zone::file;
use crate::zookeeper;
use findings::CheckFindings;

/// Say everything that is wrong with a configuration
///
/// Every problem is told with its file, line and column, also those of the zone files and seeds that the configuration
/// names. Warnings are of what `serve` does without: files that this user cannot keep, programs that are not there. So
/// run it as the user that runs `serve`. Nothing is bound and nothing is connected to, unless --connect is given. The
/// exit code is 64 where there are errors, and 0 otherwise.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckCommand {
    /// Also look at the registries and ports: servers, chroots, roots, rights, formats, addresses
    ///
    /// Sessions with ZooKeeper read, nothing is written. Rights are looked up in ACLs, and not tried. Run it where
    /// `serve` is to run.
    #[arg(long)]
    connect: bool,
    /// Print JSON: what is wrong, and what was found
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper check                                before the first start
  zonekeeper check --connect                      with the registries, rights and ports as they are now
  zonekeeper check --config new.toml && mv new.toml /etc/zonekeeper/zonekeeper.toml";

impl CheckCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let path = self.file.path()?;
        let (config, places) = match config::load_with_places(&path) {
            Ok(loaded) => loaded,
            Err(report) if self.json => return self.print(&path, &CheckFindings { report, lines: Vec::new() }, &[]),
            Err(report) => return Err(report.into()),
        };
        let mut found = CheckFindings { report: config.warnings.clone(), lines: Vec::new() };
        found.report.extend(files(&config));
        found.report.extend(host::problems(&config, &path));
        if self.connect {
            connect::registries(&config, &places, &mut found)?;
            ports::try_all(&config, &places, &mut found);
        }
        let mut outline = Vec::new();
        if found.report.errors() == 0 {
            let own = announce::address::all()?;
            for service in &config.announce.services {
                let (lines, warning) = service.outline(&own);
                outline.extend(lines);
                if let Some(warning) = warning {
                    found.report.file(&service.file, Severity::Warning, &warning);
                }
            }
        }
        self.print(&path, &found, &outline)
    }

    /// Prints what was found, and what would be registered.
    fn print(
        &self,
        path: &Path,
        CheckFindings { report, lines }: &CheckFindings,
        outline: &[String],
    ) -> anyhow::Result<ExitCode> {
        let (errors, warnings) = (report.errors(), report.warnings());
        if self.json {
            let problems: Vec<Value> = report.problems().map(as_json).collect();
            let all = json!({
                "file": path.display().to_string(), "errors": errors, "warnings": warnings,
                "problems": problems, "found": lines, "services": outline,
            });
            output::print(&format!("{all}\n"))?;
            return Ok(if errors > 0 { USAGE.into() } else { ExitCode::SUCCESS });
        }
        let listed = |lines: &[String]| lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
        if errors > 0 {
            output::print(&listed(lines))?;
            return Err(report.clone().into());
        }
        output::complain(report);
        let found = match warnings {
            0 => "no problems".to_owned(),
            1 => "no errors, 1 warning".to_owned(),
            _ => format!("no errors, {warnings} warnings"),
        };
        output::print(&format!("{}: {found}\n{}{}", path.display(), listed(lines), listed(outline)))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(problem: &Problem<Location>) -> Value {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let Location { path, line, column, .. } = &problem.at;
    // A file as a whole has neither.
    let place = |number: usize| (number > 0).then_some(number);
    json!({
        "severity": severity, "file": path.display().to_string(), "line": place(*line), "column": place(*column),
        "message": problem.message, "help": problem.help,
    })
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
