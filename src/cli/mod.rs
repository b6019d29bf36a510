//! The command line: what can be asked, each subcommand in a file of its own. Only here is `clap` known.

mod ask;
mod check;
mod child;
mod config_file;
mod connect;
mod dev;
mod drain;
mod dump;
mod events;
mod explain;
mod follow;
mod formats;
mod leave;
mod lock;
mod logging;
mod output;
mod register;
mod registry;
mod reload;
mod restart;
mod serve;
mod services;
mod signals;
mod status;
mod survey;
mod table;
mod template;
mod wait;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::diagnostic::Report;
use crate::log;
use output::complain;

/// Time that the end waits for the reader of the log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// An authoritative DNS server for a ZooKeeper service registry, and the agent that registers into it.
///
/// zonekeeper keeps an exact copy of the registry in memory and answers SRV, A and AAAA queries from it, also while
/// ZooKeeper is away. The same program registers the services of this host.
#[derive(Debug, Parser)]
#[command(name = "zonekeeper", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: logging::Log,
}

const EXAMPLES: &str = "\
Try it, without a ZooKeeper:
  zonekeeper dev
  dig @127.0.0.1 -p 5300 SRV api_x.service

Run it:
  zonekeeper template > zonekeeper.toml     a configuration to start from, every key explained
  zonekeeper check                          all that is wrong with it, at once
  zonekeeper serve

Exit codes: 0 fine, 1 failed, 64 bad usage or configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Dev),
    Serve(serve::Serve),
    Check(check::CheckCommand),
    Template(template::Template),
    Explain(explain::Explain),
    Dump(dump::Dump),
    Formats(formats::FormatsCommand),
    Survey(survey::SurveyCommand),
    Registry(registry::RegistryCommand),
    Lock(lock::Lock),
    Register(register::Register),
    RunChild(child::RunChild),
    Status(status::StatusCommand),
    Services(services::ServicesCommand),
    Service(services::ServiceCommand),
    Events(events::EventsCommand),
    Watch(watch::WatchCommand),
    Wait(wait::WaitCommand),
    Reload(reload::Reload),
    Restart(restart::Restart),
    Leave(leave::Leave),
    Drain(drain::DrainCommand),
    Undrain(drain::Undrain),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come as errors, too. A reader that has gone (`| head`) is nothing to complain about.
            let _ = error.print();
            return if error.use_stderr() { output::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    // Only what runs on must never wait for the reader of its log.
    if matches!(cli.command, Command::Dev(_) | Command::Serve(_))
        && let Err(error) = log::start()
    {
        complain(&format_args!(
            "zonekeeper: cannot start the thread of the log, so a stalled reader stalls all: {error}\n"
        ));
    }
    if let Err(error) = cli.log.start() {
        complain(&format_args!("zonekeeper: --log or ZONEKEEPER_LOG: {error}\n"));
        return leave(output::USAGE.into());
    }
    let result = match cli.command {
        Command::Dev(dev) => dev.run(),
        Command::Serve(serve) => serve.run(),
        Command::Check(check) => return leave(check.run().unwrap_or_else(|error| fail(&error))),
        Command::Template(template) => template.run(),
        Command::Explain(explain) => explain.run(),
        Command::Dump(dump) => dump.run(),
        Command::Formats(formats) => formats.run(),
        Command::Survey(survey) => survey.run(),
        Command::Lock(lock) => return leave(lock.run().unwrap_or_else(|error| fail(&error))),
        Command::Register(register) => return leave(register.run().unwrap_or_else(|error| fail(&error))),
        Command::RunChild(child) => return child.run(),
        Command::Registry(registry) => return leave(registry.run().unwrap_or_else(|error| fail(&error))),
        Command::Status(status) => return leave(status.run().unwrap_or_else(|error| fail(&error))),
        Command::Services(services) => services.run(),
        Command::Service(service) => service.run(),
        Command::Events(events) => events.run(),
        Command::Watch(watch) => watch.run(),
        Command::Wait(wait) => wait.run(),
        Command::Reload(reload) => reload.run(),
        Command::Restart(restart) => restart.run(),
        Command::Leave(leave) => leave.run(),
        Command::Drain(drain) => drain.run(),
        Command::Undrain(undrain) => undrain.run(),
    };
    leave(result.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS))
}

/// Waits until the last lines of the log are written, unless nobody reads them.
fn leave(code: ExitCode) -> ExitCode {
    log::finish(LAST_LINES);
    code
}

/// Prints an error, once, with all its causes; problems of a configuration one by one, as bad usage.
fn fail(error: &anyhow::Error) -> ExitCode {
    if let Some(report) = error.downcast_ref::<Report>() {
        complain(report);
        if report.errors() > 1 {
            complain(&format_args!("\n{} problems\n", report.errors()));
        }
        return output::USAGE.into();
    }
    complain(&format_args!("zonekeeper: {error:#}\n"));
    ExitCode::FAILURE
}
