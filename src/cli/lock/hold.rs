//! The time in which a command runs under a lock: proof, again and again, that the lock is still held, and an end of
//! the command before anybody else can hold it.
//!
//! A session lives for its time-out after the servers last heard of it. They hear of it no earlier than a request was
//! sent, so the moment at which a request that was answered was *sent* is what is counted from, not that of its answer.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustix::process::Signal;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};

use crate::cli::child::{Child, Signals};
use crate::cli::output;
use crate::registry::Error;
use crate::zookeeper::client::ZooKeeperSession;
use crate::zookeeper::lock::Held;
use crate::zookeeper::session::Session as _;

/// Looks in one session time-out.
const LOOKS: u32 = 20;
/// Looks on their way at once, at most.
const AT_ONCE: usize = 16;
/// Pause before a look after one without an answer.
const PAUSE: Duration = Duration::from_millis(100);
/// Part of the session time-out after which the command gets SIGTERM.
const TELL: f64 = 1.0 / 3.0;
/// Part of the session time-out after which it gets SIGKILL.
const END: f64 = 0.8;

/// Answer to the question whether a lock is held.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// It is.
    Held,
    /// It is not any more: its znode was deleted, or the session is over.
    Lost,
    /// There is no answer.
    Unknown,
}

/// Looks once.
async fn look(session: &ZooKeeperSession, held: &Held) -> Look {
    match session.get(&held.path).await {
        Ok(znode) if znode.stat.czxid == held.czxid && znode.stat.ephemeral_owner == session.id() => Look::Held,
        Ok(_) | Err(Error::NoNode | Error::SessionExpired | Error::AuthFailed) => Look::Lost,
        Err(_) => Look::Unknown,
    }
}

/// Proof that the lock is held, before anything is run: the moment at which it was. None where there is none in time.
pub(super) async fn proven(session: &ZooKeeperSession, held: &Held) -> Option<Instant> {
    let begun = Instant::now();
    loop {
        let sent = Instant::now();
        match look(session, held).await {
            Look::Held => return Some(sent),
            Look::Unknown if begun.elapsed() < session.timeout().mul_f64(TELL) => sleep(PAUSE).await,
            Look::Unknown | Look::Lost => return None,
        }
    }
}

/// Waits for the command's end and makes sure that it ends before the lock does. `contact` is the moment at which the
/// session was last known to live.
///
/// # Errors
/// When the command's end cannot be waited for.
pub(super) async fn watch_over(
    child: Child,
    session: &ZooKeeperSession,
    held: &Held,
    contact: Instant,
    signals: &mut Signals,
    full: &str,
) -> anyhow::Result<ExitStatus> {
    let (mut child, mut contact) = (child, contact);
    let timeout = session.timeout();
    let mut beat = interval((timeout / LOOKS).max(Duration::from_millis(50)));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = FuturesUnordered::new();
    let (mut is_told, mut is_ended) = (false, false);
    // From when on the command has to be at its end, whatever contact there is.
    let mut lost_until: Option<Instant> = None;
    loop {
        let tell = contact + timeout.mul_f64(TELL);
        let end = lost_until.unwrap_or(contact + timeout.mul_f64(END));
        let next = if is_told { end } else { tell.min(end) };
        tokio::select! {
            biased;
            status = child.ended() => return status.context("cannot wait for the command's end"),
            (signal, has_it) = signals.next() => {
                if !has_it {
                    child.signal(signal);
                }
            }
            Some((sent, look)) = looks.next(), if !looks.is_empty() => match look {
                Look::Held => contact = contact.max(sent),
                Look::Lost if lost_until.is_none() => {
                    let words = "is lost, its session is over or its znode was deleted";
                    output::complain(&format_args!("zonekeeper: {full} {words}: ending the command, process {}\n", child.id()));
                    child.signal(Signal::TERM);
                    is_told = true;
                    // Others may have it this moment.
                    lost_until = Some(Instant::now().min(end) + Duration::from_millis(100));
                }
                Look::Lost | Look::Unknown => {}
            },
            _ = beat.tick(), if looks.len() < AT_ONCE => {
                looks.push(async move {
                    let sent = Instant::now();
                    (sent, look(session, held).await)
                });
            }
            () = sleep_until(next.into()), if !is_ended => {
                let now = Instant::now();
                if now >= end {
                    output::complain(&format_args!("zonekeeper: {full} may be others' now: killing the command, process {}\n", child.id()));
                    child.signal(Signal::KILL);
                    is_ended = true;
                } else if now >= tell && !is_told {
                    let silence = humantime::format_duration(Duration::from_millis(
                        u64::try_from(now.duration_since(contact).as_millis()).unwrap_or(u64::MAX),
                    ));
                    let words = "no contact with ZooKeeper for";
                    output::complain(&format_args!("zonekeeper: {full}: {words} {silence}: ending the command, process {}\n", child.id()));
                    child.signal(Signal::TERM);
                    is_told = true;
                }
            }
        }
    }
}
