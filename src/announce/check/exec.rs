//! The check `exec`: whether a command succeeds. Exit status 0 is good; what it prints is kept for the status.
//!
//! It runs without a shell, in a process group of its own, which is killed as a whole when nobody waits any more: at the
//! time-out, and when the check goes. A command that has ended in time may leave processes behind; those are its own.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::outcome::{Failure, Probed, Shortage};
use super::{KEPT, kept};
use crate::settings::Section;

/// How long what a command has printed is waited for after its end. A process it leaves behind may keep the pipe open.
const REST: Duration = Duration::from_millis(50);

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
}

impl Config {
    /// Reads the key `command`.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let command = section.required::<Vec<String>>("command")?;
        if command.value.first().is_none_or(String::is_empty) || command.value.iter().any(|word| word.contains('\0')) {
            let help = "a list of the program and its arguments: [\"/usr/bin/check\", \"--quick\"]";
            section.problems().add_with_help(command.span, "`command` must name a program", help);
            return None;
        }
        Some(Self { command: command.value })
    }

    pub(super) async fn probe(&self) -> Probed {
        run(&self.command).await
    }
}

/// Runs a command to its end; dropping the future kills it with its process group.
///
/// # Errors
/// A bad result when it fails or cannot be run, none when this process cannot start another one.
pub(crate) async fn run(command: &[String]) -> Probed {
    let (mut group, mut output) = start(command).map_err(|error| match Shortage::of_spawning(&error) {
        Some(shortage) => Failure::NoResult(shortage, format!("not run: {error}")),
        None => Failure::Bad(format!("cannot be run: {error}")),
    })?;
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    let status = loop {
        tokio::select! {
            // Output that is there comes before the end.
            biased;
            length = output.read(&mut piece) => match length {
                Ok(length) if length > 0 => keep(&mut said, &piece[..length]),
                _ => break group.0.wait().await,
            },
            status = group.0.wait() => break status,
        }
    };
    let rest = async {
        while let Ok(length @ 1..) = output.read(&mut piece).await {
            keep(&mut said, &piece[..length]);
        }
    };
    // What does not come in time is not missed.
    let _ = timeout(REST, rest).await;
    let said = kept(&String::from_utf8_lossy(&said));
    // Its exit status is lost, and with it the result.
    let status = status.map_err(|error| Failure::NoResult(Shortage::Processes, format!("no exit status: {error}")))?;
    match (status.success(), said.is_empty()) {
        (true, true) => Ok(status.to_string()),
        (true, false) => Ok(said),
        (false, true) => Err(status.to_string().into()),
        (false, false) => Err(format!("{status}: {said}").into()),
    }
}

/// A command that is running, and everything it has started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // There is no id once its end was seen: then the number may be another's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended by itself just now.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

fn start(command: &[String]) -> std::io::Result<(Group, Receiver)> {
    let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    // Dropping the command, at the end of this function, closes our side of what it writes to.
    let child = command.process_group(0).kill_on_drop(true).spawn()?;
    Ok((Group(child), Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

fn keep(said: &mut Vec<u8>, piece: &[u8]) {
    // A character has four bytes at most.
    let room = (4 * KEPT).saturating_sub(said.len());
    said.extend_from_slice(&piece[..piece.len().min(room)]);
}
