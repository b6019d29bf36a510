//! The command that `lock` and `register` run: it does not outlive this process, hears the signals that this process
//! hears, and its exit code becomes ours.
//!
//! It is started by way of this program, `zonekeeper run-child`, which asks the kernel for a signal at its parent's
//! death and then becomes the command: so a `kill -9` of this process ends it as well. Where standard input is a
//! terminal it stays in the terminal's process group, else it gets a group of its own, which hears the signals as a
//! whole.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ExitCode, ExitStatus};

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Pid, Signal, getppid, kill_process, kill_process_group, set_parent_process_death_signal};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::output;

/// Exit code of a command that cannot be run, as shells have it.
const CANNOT: u8 = 126;
/// Exit code of a command that does not exist.
const NOT_FOUND: u8 = 127;
/// Added to a signal's number where it ended the command.
const BY_SIGNAL: i32 = 128;

/// Become a command that ends when its parent does
#[derive(Debug, Args)]
#[command(hide = true)]
pub(super) struct RunChild {
    /// The process that must still be the parent
    #[arg(long)]
    parent: i32,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl RunChild {
    pub(super) fn run(self) -> ExitCode {
        let armed = set_parent_process_death_signal(Some(Signal::KILL));
        // It may have gone before the kernel was asked.
        if getppid().map(Pid::as_raw_nonzero).is_none_or(|parent| parent.get() != self.parent) {
            return ExitCode::FAILURE;
        }
        let (program, arguments) = self.command.split_first().unwrap_or_else(|| std::process::abort());
        let error = match armed {
            Ok(()) => std::process::Command::new(program).args(arguments).exec(),
            Err(error) => error.into(),
        };
        output::complain(&format_args!("zonekeeper: cannot run {}: {error}\n", program.display()));
        if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT }.into()
    }
}

/// A command that runs.
pub(super) struct Child {
    process: tokio::process::Child,
    pid: Option<Pid>,
    has_group: bool,
}

impl Child {
    /// Starts a command with these variables in its environment. To be called on the main thread, whose end the kernel
    /// takes for the parent's.
    ///
    /// # Errors
    /// When this program cannot be run again.
    pub(super) fn start(command: &[OsString], variables: &[(&str, String)]) -> anyhow::Result<Self> {
        // Also where its file has been replaced since.
        let mut starting = Command::new("/proc/self/exe");
        starting.arg0("zonekeeper");
        let parent = rustix::process::getpid().as_raw_nonzero().to_string();
        starting.args(["run-child", "--parent", &parent, "--"]).args(command);
        starting.envs(variables.iter().map(|(name, value)| (*name, value)));
        let has_group = !io::stdin().is_terminal();
        if has_group {
            starting.process_group(0);
        }
        let process = starting.kill_on_drop(true).spawn().context("cannot start the command")?;
        let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { process, pid, has_group })
    }

    /// Sends a signal. One that has ended hears nothing.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(pid) = self.pid.filter(|_| self.process.id().is_some()) else { return };
        let _ = if self.has_group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }
}

/// The exit code of this process after a command that ended so.
pub(super) fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| BY_SIGNAL + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Signals that are for the command.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    /// Hears them from now on.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next one, and whether the command has it already, from the terminal. Cancel-safe.
    pub(super) async fn next(&mut self) -> (Signal, bool) {
        let is_terminal = io::stdin().is_terminal();
        tokio::select! {
            _ = self.terminate.recv() => (Signal::TERM, false),
            _ = self.interrupt.recv() => (Signal::INT, is_terminal),
            _ = self.hang_up.recv() => (Signal::HUP, false),
        }
    }
}
