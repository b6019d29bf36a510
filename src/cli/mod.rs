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
mod pages;
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

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

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
#[command(name = "zonekeeper", version = VERSION, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: logging::Log,
}

/// The version with the commit and its date, as far as the build knew them.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("ZONEKEEPER_BUILD"));

const EXAMPLES: &str = "\
Try it, without a ZooKeeper:
  zonekeeper dev
  dig @127.0.0.1 -p 5300 SRV api_x.service

Run it:
  zonekeeper template > zonekeeper.toml     a configuration to start from, every key explained
  zonekeeper check                          all that is wrong with it, at once
  zonekeeper serve

Exit codes: 0 fine, 1 failed, 64 bad usage or configuration; `status`: 1 something is wrong, 2 no server
answers; `wait`: 1 the time is over; `lock` and `register`: the command's.";

/// Exit codes of the commands that have no others.
const EXIT_CODES: &str = "Exit codes: 0 fine, 1 failed, 64 bad usage or configuration.";

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
    Completions(pages::CompletionsCommand),
    Man(pages::ManCommand),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Only a help needs the exit codes, and all commands have theirs.
            let is_help = error.kind() == ErrorKind::DisplayHelp;
            let with_codes = || with_exit_codes(Cli::command()).try_get_matches().err();
            let error = is_help.then(with_codes).flatten().unwrap_or(error);
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
        Command::Completions(completions) => completions.run(Cli::command()),
        Command::Man(man) => man.run(with_exit_codes(Cli::command())),
    };
    leave(result.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS))
}

/// The command with the exit codes in its help, and in that of each command below it, where they are not yet.
fn with_exit_codes(command: clap::Command) -> clap::Command {
    let command = command.mut_subcommands(with_exit_codes);
    let says = |text: Option<&clap::builder::StyledStr>| text.is_some_and(|text| text.to_string().contains("xit code"));
    let (about, after) = (command.get_long_about(), command.get_after_help());
    if says(about) || says(after) {
        return command;
    }
    let after = after.map_or_else(|| EXIT_CODES.to_owned(), |after| format!("{after}\n\n{EXIT_CODES}"));
    command.after_help(after)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &mut clap::Command) {
        let help = command.render_long_help().to_string();
        assert!(help.contains("xit code"), "{help}");
        assert!(help.matches("Exit codes:").count() <= 1, "{help}");
        for below in command.get_subcommands_mut().filter(|one| one.get_name() != "help") {
            check(below);
        }
    }

    #[test]
    fn every_command_says_its_exit_codes() {
        check(&mut with_exit_codes(Cli::command()));
    }
}
