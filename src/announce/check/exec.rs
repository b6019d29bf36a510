//! The check `exec`: whether a command succeeds. Exit status 0 is good; what it prints is kept for the status.
//!
//! It runs without a shell, in a process group of its own, which is killed as a whole when nobody waits any more: at
//! the time-out, and when the check goes. A command that has ended in time may leave processes behind; those are its
//! own.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::looks::{self, IN_TIME};
use super::outcome::{ProbeFailure, Probed, Shortage};
use super::probe::{KEPT, kept};
use crate::diagnostic::{HIDDEN, Span};
use crate::settings::{Kind, Located, Section, Setting, Value, live};

/// Time to wait for a command's output after its end. A process it leaves behind may keep the pipe open.
const REST: Duration = Duration::from_millis(50);

/// Bytes of what a command prints that are kept. A character has four bytes at most.
const ROOM: usize = 4 * KEPT;

/// The check `exec`: a command.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// Those of them that are not shown, by their places.
    secret: Vec<usize>,
}

/// A word of a command: a string, or `{ secret = "…" }`, which is not shown.
struct Word {
    text: String,
    is_secret: bool,
}

impl Setting for Word {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        let Kind::Table(table) = &value.kind else {
            return Ok(Self { text: String::read(value)?, is_secret: false });
        };
        match &table.entries[..] {
            [(key, _, value)] if key == "secret" => Ok(Self { text: String::read(value)?, is_secret: true }),
            _ => Err((value.span, "must be a string, or { secret = \"…\" } for one that is not shown".to_owned())),
        }
    }
}

/// As it may be shown.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.command.iter().enumerate() {
            let word = if self.secret.contains(&at) { HIDDEN } else { word };
            write!(f, "{}{word}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({self})")
    }
}

impl Config {
    /// The check of a command without secrets.
    #[cfg(test)]
    pub(super) fn of(command: &[&str]) -> Self {
        Self { command: command.iter().map(|word| (*word).to_owned()).collect(), secret: Vec::new() }
    }

    /// Reads the key `command`.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let words = section.required::<Vec<Word>>(live("command"))?;
        let secret: Vec<usize> =
            words.value.iter().enumerate().filter(|(_, word)| word.is_secret).map(|(at, _)| at).collect();
        let command =
            Located { span: words.span, value: words.value.into_iter().map(|word| word.text).collect::<Vec<_>>() };
        if secret.first() == Some(&0) {
            section.problems().add(command.span, "`command` must begin with a program that may be shown");
            return None;
        }
        if command.value.first().is_none_or(String::is_empty) || command.value.iter().any(|word| word.contains('\0')) {
            let help = "a list of the program and its arguments: [\"/usr/bin/check\", \"--quick\"]";
            section.problems().add_with_help(command.span, "`command` must name a program", help);
            return None;
        }
        Some(Self { command: command.value, secret })
    }

    /// Runs it, for `limit`. A secret that it prints is not shown either.
    pub(super) async fn probe(&self, limit: Duration) -> Probed {
        let secrets = self.secret.iter().filter_map(|at| self.command.get(*at)).map(String::as_str);
        run_hiding(&self.command, &secrets.collect::<Vec<_>>(), limit).await
    }
}

/// Runs a command to its end, which the caller waits for no longer than `limit`; dropping the future kills it with its
/// process group.
///
/// # Errors
/// A bad result when it fails or cannot be run, none when this process cannot start another one, or the program's disk
/// does not answer.
pub(crate) async fn run(command: &[String], limit: Duration) -> Probed {
    run_hiding(command, &[], limit).await
}

/// As [`run`], without these words in what it says.
async fn run_hiding(command: &[String], secrets: &[&str], limit: Duration) -> Probed {
    let program = command.first().map(PathBuf::from).unwrap_or_default();
    // The parent waits until the program is loaded, and on a disk that does not answer that is never.
    let (words, runtime) = (command.to_vec(), Handle::current());
    let starting = looks::look(&program, limit.mul_f32(IN_TIME), move || {
        let _entered = runtime.enter();
        start(&words)
    });
    let (mut group, mut output) = starting.await?.map_err(|error| match Shortage::of_starting(&error) {
        Some(shortage) => ProbeFailure::NoResult(shortage, format!("not run: {error}")),
        None => ProbeFailure::Bad(format!("cannot be run: {error}")),
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
    let said = kept(&hiding(&said, secrets));
    // Its exit status is lost, and with it the result.
    let status =
        status.map_err(|error| ProbeFailure::NoResult(Shortage::Processes, format!("no exit status: {error}")))?;
    match (status.success(), said.is_empty()) {
        (true, true) => Ok(status.to_string()),
        (true, false) => Ok(said),
        (false, true) => Err(status.to_string().into()),
        (false, false) => Err(format!("{status}: {said}").into()),
    }
}

/// Output of a command, without secrets, and without the beginning of one where the end was cut off.
fn hiding(said: &[u8], secrets: &[&str]) -> String {
    let mut text = String::from_utf8_lossy(said).into_owned();
    // The longest first: one may be part of another.
    let mut secrets: Vec<&str> = secrets.iter().copied().filter(|secret| !secret.is_empty()).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in &secrets {
        text = text.replace(secret, HIDDEN);
    }
    if said.len() < ROOM {
        return text;
    }
    let cut = text.trim_end_matches('\u{fffd}');
    let begun = |secret: &&str| {
        let ends = secret.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
        ends.rev().find(|end| cut.ends_with(&secret[..*end]))
    };
    match secrets.iter().filter_map(begun).max() {
        Some(length) => format!("{}{HIDDEN}", &cut[..cut.len() - length]),
        None => text,
    }
}

/// A command that is running, and everything it has started.
struct ProcessGroup(Child);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // There is no id once its end was seen: then the number may be another's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended by itself just now.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

fn start(command: &[String]) -> std::io::Result<(ProcessGroup, Receiver)> {
    let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    // Dropping the command, at the end of this function, closes our side of what it writes to.
    let child = command.process_group(0).kill_on_drop(true).spawn()?;
    Ok((ProcessGroup(child), Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

fn keep(said: &mut Vec<u8>, piece: &[u8]) {
    let room = ROOM.saturating_sub(said.len());
    said.extend_from_slice(&piece[..piece.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_also_where_the_output_is_cut_off() {
        let secrets = ["hush", "hushed", ""];
        assert_eq!(hiding(b"a hushed b\nhush", &secrets), "a *** b\n***");
        let long = |end: &str| [&vec![b'x'; ROOM - end.len()], end.as_bytes()].concat();
        for end in ["hushe", "hush", "hus", "h"] {
            let said = hiding(&long(end), &secrets);
            assert!(said.ends_with("x***") || said.ends_with("***e"), "{end}: {}", &said[said.len() - 8..]);
        }
        assert!(hiding(&long("hum"), &secrets).ends_with("xhum"));
        assert_eq!(hiding(b"hus", &secrets), "hus", "nothing was cut off");
    }
}
