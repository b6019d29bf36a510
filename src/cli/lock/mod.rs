//! `zonekeeper lock`: runs a command while it holds a lock in ZooKeeper.

mod hold;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::child::{Child, Signals, code};
use super::output;
use super::registry::{Opened, Place, block_on, moment, session_name};
use crate::announce::identity::host_name;
use crate::backoff::Backoff;
use crate::registry::{Error, Path};
use crate::zookeeper::client::{ZooKeeper, ZooKeeperSession};
use crate::zookeeper::lock::{Contender, Held, Listed, LockError, list_contenders};
use crate::zookeeper::session::{Ensemble as _, Session as _};

/// Run a command while holding a lock in ZooKeeper
///
/// The lock is kazoo's: its Lock and `nd_service_registry`'s, its Semaphore with --max, and ours exclude each other.
/// Waits until it is held, runs the command and gives it back. `ZONEKEEPER_LOCK_ZXID` in the command's environment is a
/// number that grows from holder to holder: whatever the command writes to can refuse a lower one. Without contact to
/// ZooKeeper the command gets SIGTERM after a third of the session time-out and SIGKILL before its end, when others
/// may get the lock. It also ends when zonekeeper is killed.
///
/// PATH is the whole path of a znode where it begins with a slash, else below the registry's root; what is missing is
/// created. Exit codes: the command's; 1 if the lock was not to be had, 126 or 127 if the command cannot be run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Lock {
    /// The lock's path
    path: String,
    /// A semaphore: so many may hold it at once, all of whom say the same number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max: Option<u32>,
    /// Time to wait for it, such as 30s; 0s tries once [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// A text that others see in --list and in kazoo's `contenders()` [default: this host and process]
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// List the holder, and those who wait in their order, in place of taking it
    #[arg(long, conflicts_with_all = ["max", "timeout", "data", "command"])]
    list: bool,
    /// With --list: print JSON
    #[arg(long, requires = "list")]
    json: bool,
    #[command(flatten)]
    place: Place,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD", required_unless_present = "list")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper lock /locks/backup --timeout 10s -- echo held
  zonekeeper lock --max 2 /locks/workers -- sh -c 'echo token $ZONEKEEPER_LOCK_ZXID'
  zonekeeper lock --list /locks/backup";

/// Sessions that are opened one after the other when each expires while it waits: their pace.
const PACE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// Outcome of the wait for a lock.
enum Waited {
    /// It is held, by the znode, in the session, which was known to live at that moment.
    Held(Held, ZooKeeperSession, Instant),
    /// The time is over.
    TimedOut,
    /// A signal came.
    Ended(ExitCode),
}

impl Lock {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        block_on(async move {
            let at = if self.list { self.place.open().await? } else { self.place.open_patiently().await? };
            let path = at.path(Some(&self.path))?;
            if path.is_root() {
                bail!("/ cannot be a lock: say a path below it");
            }
            if self.list { list(&at, &path, self.json).await } else { self.hold(at, &path).await }
        })
    }

    async fn hold(self, at: Opened, path: &Path) -> anyhow::Result<ExitCode> {
        let full = at.full(path);
        at.session()?;
        let (ensemble, session) = at.into_session()?;
        let mut signals = Signals::new().context("cannot hear signals")?;
        let data = self.data.clone().unwrap_or_else(|| {
            format!("{} pid {}", host_name().unwrap_or_else(|| "unknown host".to_owned()), std::process::id())
        });
        let max = self.max.map(|max| max as usize);
        let mut contender = Contender::new(path, max, &data);
        let (held, session, contact) = match self.wait(&ensemble, session, &mut contender, &mut signals, &full).await? {
            Waited::Held(held, session, contact) => (held, session, contact),
            Waited::TimedOut => {
                let time = humantime::format_duration(self.timeout.unwrap_or_default());
                bail!("{full} is held by others and was not to be had within {time}: see --list");
            }
            Waited::Ended(code) => return Ok(code),
        };
        let variables = [("ZONEKEEPER_LOCK_ZXID", held.czxid.to_string())];
        let outcome = match Child::start(&self.command, &variables) {
            Ok(child) => hold::watch_over(child, &session, &held, contact, &mut signals, &full).await,
            Err(error) => Err(error),
        };
        if let Err(error) = contender.withdraw(&session).await
            && !matches!(error, LockError::Failed { error: Error::SessionExpired, .. })
        {
            let until = humantime::format_duration(session.timeout());
            let words = format_args!("zonekeeper: {full} is not given back ({error}): it is free within {until}\n");
            output::complain(&words);
        }
        outcome.map(code)
    }

    /// Waits for the lock, in as many sessions as it takes.
    async fn wait(
        &self,
        ensemble: &ZooKeeper,
        session: ZooKeeperSession,
        contender: &mut Contender,
        signals: &mut Signals,
        full: &str,
    ) -> anyhow::Result<Waited> {
        let deadline = self.timeout.and_then(|time| Instant::now().checked_add(time));
        let mut session = session;
        let mut pace = Backoff::new(PACE.0, PACE.1, Duration::from_secs(10));
        loop {
            let outcome = tokio::select! {
                outcome = contender.acquire(&session, deadline) => outcome,
                (signal, _) = signals.next() => {
                    let _ = tokio::time::timeout(Duration::from_secs(2), contender.withdraw(&session)).await;
                    let number = u8::try_from(signal.as_raw()).unwrap_or(0);
                    return Ok(Waited::Ended(ExitCode::from(128_u8.saturating_add(number))));
                }
            };
            match outcome {
                Ok(Some(held)) => {
                    if let Some(contact) = hold::proven(&session, &held).await {
                        return Ok(Waited::Held(held, session, contact));
                    }
                    let words = "was lost as soon as it was held: waiting anew";
                    output::complain(&format_args!("zonekeeper: {full} {words}\n"));
                    let _ = tokio::time::timeout(Duration::from_secs(2), contender.withdraw(&session)).await;
                }
                Ok(None) => return Ok(Waited::TimedOut),
                Err(LockError::Failed {
                    error: Error::SessionExpired | Error::ConnectionLoss(_) | Error::Timeout,
                    ..
                }) => {
                    output::complain(&format_args!(
                        "zonekeeper: the session expired while waiting for {full}: waiting anew\n"
                    ));
                }
                Err(LockError::Displaced(_)) => {
                    output::complain(&format_args!(
                        "zonekeeper: our place in the queue of {full} was deleted: waiting anew\n"
                    ));
                    let _ = contender.withdraw(&session).await;
                    *contender = contender.anew();
                    continue;
                }
                Err(error) => {
                    let _ = tokio::time::timeout(Duration::from_secs(2), contender.withdraw(&session)).await;
                    bail!("{full}: {error}");
                }
            }
            *contender = contender.anew();
            session = loop {
                let pause = pace.failed(Instant::now(), fastrand::f64());
                if deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
                    return Ok(Waited::TimedOut);
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    (signal, _) = signals.next() => {
                        let number = u8::try_from(signal.as_raw()).unwrap_or(0);
                        return Ok(Waited::Ended(ExitCode::from(128_u8.saturating_add(number))));
                    }
                }
                match ensemble.connect().await {
                    Ok(session) => break session,
                    Err(Error::AuthFailed) => bail!("{}: {}", ensemble.describe(), Error::AuthFailed),
                    Err(_) => {}
                }
            };
        }
    }
}

/// Prints holders and waiters.
async fn list(at: &Opened, path: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let full = at.full(path);
    let listed = match list_contenders(at.session()?, path).await {
        Err(LockError::Failed { error: Error::NoNode, .. }) => bail!("{full} does not exist: nobody has ever taken it"),
        listed => listed.map_err(|error| anyhow::anyhow!("{full}: {error}"))?,
    };
    let mut text = String::new();
    if as_json {
        let one = |one: &Listed| {
            json!({
                "path": one.path.as_str(),
                "holds": one.holds,
                "data": String::from_utf8_lossy(&one.data),
                "session": session_name(one.session),
                "zxid": one.czxid,
                "since": moment(one.ctime),
            })
        };
        text = format!("{}\n", serde_json::Value::from(listed.iter().map(one).collect::<Vec<_>>()));
    } else {
        for one in &listed {
            let role = if one.holds { "holds" } else { "waits" };
            let (since, session) = (moment(one.ctime), session_name(one.session));
            let data = String::from_utf8_lossy(&one.data).replace('\n', " ");
            let _ = writeln!(text, "{role}  since {since}  session {session}  {}  {data}", one.path.name());
        }
        if listed.is_empty() {
            text.push_str("nobody holds it\n");
        }
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
