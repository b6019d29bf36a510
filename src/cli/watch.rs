//! `zonekeeper watch`: the instances of a service, now and after each change.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::ask::AdminServer;
use super::follow::{self, Given};
use super::output;

/// Time that the server is asked to wait for a change. What changes without an event, such as the addresses of host
/// names, is seen as late.
const WAIT: Duration = Duration::from_secs(10);
/// Time after a change in which more of them are taken as one.
const CALM: Duration = Duration::from_millis(200);
/// Pause before a server that has gone is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Print the instances of a service that are in DNS, now and after each change, or run a command with them
///
/// A line an instance: host, port, weight, priority. After each list there is an empty line. A command gets the lines
/// on its standard input, and the name in `ZONEKEEPER_NAME`; the next one begins when it has ended. While the registry
/// is not known, or the server is away, the last list holds: there is none that is empty only because ZooKeeper is
/// away.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WatchCommand {
    /// A path, with or without the root, or a DNS name, with or without its zone
    name: String,
    #[command(flatten)]
    server: AdminServer,
    /// The command to run, and its arguments
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    exec: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper watch api_x.service
  zonekeeper watch api_x --exec sh -c 'cat > /run/api_x.hosts && systemctl reload app'";

impl WatchCommand {
    #[expect(clippy::disallowed_methods, reason = "there is no runtime here")]
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.server.check()?;
        let (mut index, mut shown, mut was_lost) = (None, None, false);
        loop {
            let mut given = follow::ask(&self.server, &self.name, None, index, WAIT);
            let is_other = |given: &Given| shown.as_ref() != Some(&lines(given));
            if given.as_ref().is_ok_and(is_other) && index.is_some() {
                // A burst is one change.
                sleep(CALM);
                given = follow::ask(&self.server, &self.name, None, None, WAIT);
            }
            let given = match given {
                Ok(given) => given,
                Err(error) if follow::is_final(&error) => return Err(error),
                Err(error) => {
                    if !std::mem::replace(&mut was_lost, true) {
                        output::complain(&format_args!("zonekeeper: {error:#}; the last list holds\n"));
                    }
                    sleep(PAUSE);
                    // What comes is compared with what was shown, whatever has happened meanwhile.
                    index = None;
                    continue;
                }
            };
            was_lost = false;
            index = Some(given.index);
            let now = lines(&given);
            if shown.as_ref() != Some(&now) {
                if !self.show(&now)? {
                    return Ok(());
                }
                shown = Some(now);
            }
        }
    }

    /// Returns whether anybody wants more.
    fn show(&self, lines: &str) -> anyhow::Result<bool> {
        let Some((program, arguments)) = self.exec.split_first() else {
            return output::print_to_reader(&format!("{}\n", output::harmless(lines)));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env("ZONEKEEPER_NAME", &self.name)
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        if let Some(mut input) = child.stdin.take() {
            // One that does not read them does not want them.
            let _ = input.write_all(lines.as_bytes());
        }
        let status = child.wait().with_context(|| format!("cannot wait for {program}"))?;
        if !status.success() {
            output::complain(&format_args!("zonekeeper: {program} has failed: {status}\n"));
        }
        Ok(true)
    }
}

fn lines(given: &Given) -> String {
    let mut instances = given.instances.clone();
    instances.sort();
    instances.dedup();
    instances.iter().fold(String::new(), |mut text, one| {
        // A string can be written to always.
        let _ = writeln!(text, "{} {} {} {}", one.host, one.port, one.weight, one.priority);
        text
    })
}
