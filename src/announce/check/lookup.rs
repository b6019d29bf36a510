//! Look-ups of names in the targets of checks: getaddrinfo(3), so that nsswitch.conf, /etc/hosts and resolv.conf count
//! as they do for every program, on a bounded number of threads that do nothing else.
//!
//! A silent resolver holds a thread for ten seconds and more, and nothing can call it back. So:
//! - checks wait for their own time limit at most, and a name is looked up once for all that wait for it;
//! - names in /etc/hosts, which the system would look at first anyway, are answered from it and wait for nobody;
//! - names that took long the last time have threads of their own, and a thread whose look-up takes long becomes one of
//!   those: names that are answered quickly do not wait behind them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dns_lookup::{AddrInfoHints, LookupErrorKind, getaddrinfo};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::hosts::HostsFile;
use super::outcome::{ProbeFailure, Shortage};

/// Threads for names that are answered quickly, and for others.
const THREADS: [usize; 2] = [8, 24];
const QUICK: usize = 0;
const SLOW: usize = 1;
/// A look-up that takes longer is slow.
const LONG: Duration = Duration::from_secs(1);
/// A thread without work ends after this time.
const IDLE: Duration = Duration::from_secs(30);
/// Names that are remembered to be slow.
const REMEMBERED: usize = 10_000;

/// The addresses of a name; never empty.
pub(super) type LookupAnswer = Result<Arc<[IpAddr]>, ProbeFailure>;

/// Looks names up. Clones share the threads.
#[derive(Clone)]
pub struct Lookups(Arc<LookupTable>);

struct LookupTable {
    state: Mutex<LookupState>,
    /// There is work, for one kind of threads or the other.
    work: [Condvar; 2],
    hosts: HostsFile,
    ask: fn(&str) -> LookupAnswer,
}

#[derive(Default)]
struct LookupState {
    asked: HashMap<Arc<str>, PendingLookup>,
    queues: [VecDeque<Arc<str>>; 2],
    threads: [usize; 2],
    idle: [usize; 2],
    /// Names whose last look-up was slow.
    slow: HashSet<Arc<str>>,
}

/// A name that is being looked up, or is to be.
struct PendingLookup {
    waiters: Vec<oneshot::Sender<LookupAnswer>>,
    /// Begin of its look-up, and the kind of its thread.
    running: Option<(Instant, usize)>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self::by(ask)
    }
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookups").finish_non_exhaustive()
    }
}

impl Lookups {
    fn by(ask: fn(&str) -> LookupAnswer) -> Self {
        let shared =
            LookupTable { state: Mutex::default(), work: Default::default(), hosts: HostsFile::default(), ask };
        Self(Arc::new(shared))
    }

    /// The addresses of `host`, a name or an address.
    ///
    /// # Errors
    /// A bad result where there is no such name or it has no address; none where the resolver does not answer within
    /// `limit`, fails, or cannot be asked.
    pub(super) async fn resolve(&self, host: &str, limit: Duration) -> LookupAnswer {
        if let Ok(address) = host.parse() {
            return Ok(Arc::new([address]));
        }
        if let Some(addresses) = self.0.hosts.find(host) {
            return Ok(addresses);
        }
        let (waiter, answer) = oneshot::channel();
        self.enqueue(host, waiter)?;
        match timeout(limit, answer).await {
            Ok(Ok(answer)) => answer,
            // The thread has panicked, which getaddrinfo does not.
            Ok(Err(_)) => Err(ProbeFailure::NoResult(Shortage::Resolver, format!("the look-up of {host} was lost"))),
            Err(_) => {
                let reason = format!("the resolver has not answered for {host} within {limit:?}");
                Err(ProbeFailure::NoResult(Shortage::Resolver, reason))
            }
        }
    }

    fn enqueue(&self, host: &str, waiter: oneshot::Sender<LookupAnswer>) -> Result<(), ProbeFailure> {
        let mut state = self.0.lock();
        state.move_slow_threads(Instant::now());
        if let Some(asked) = state.asked.get_mut(host) {
            asked.waiters.retain(|waiter| !waiter.is_closed());
            asked.waiters.push(waiter);
        } else {
            let host: Arc<str> = host.into();
            let kind = usize::from(state.slow.contains(&host));
            state.asked.insert(Arc::clone(&host), PendingLookup { waiters: vec![waiter], running: None });
            state.queues[kind].push_back(host);
        }
        for kind in [QUICK, SLOW] {
            self.staff(&mut state, kind)?;
        }
        Ok(())
    }

    /// Sees to it that somebody does the work of this kind.
    fn staff(&self, state: &mut LookupState, kind: usize) -> Result<(), ProbeFailure> {
        let waiting = state.queues[kind].len();
        if waiting == 0 {
            return Ok(());
        }
        if waiting > state.idle[kind] && state.threads[kind] < THREADS[kind] {
            let shared = Arc::clone(&self.0);
            let thread = std::thread::Builder::new().name("look-up".to_owned()).stack_size(1 << 20);
            match thread.spawn(move || shared.work(kind)) {
                Ok(_) => state.threads[kind] += 1,
                Err(error) if state.threads[kind] == 0 => {
                    // Nobody would ever come for it.
                    for host in std::mem::take(&mut state.queues[kind]) {
                        state.asked.remove(&host);
                    }
                    let shortage = Shortage::of_spawning(&error).unwrap_or(Shortage::Processes);
                    return Err(ProbeFailure::NoResult(shortage, format!("no thread to look names up: {error}")));
                }
                Err(_) => {}
            }
        }
        self.0.work[kind].notify_one();
        Ok(())
    }
}

impl LookupState {
    /// Takes threads whose look-ups take long for slow ones, as far as there may be more of those.
    fn move_slow_threads(&mut self, now: Instant) {
        for (host, asked) in &mut self.asked {
            let Some((began, kind @ QUICK)) = &mut asked.running else { continue };
            if now.saturating_duration_since(*began) < LONG {
                continue;
            }
            self.slow.insert(Arc::clone(host));
            if self.threads[SLOW] < THREADS[SLOW] {
                *kind = SLOW;
                self.threads[QUICK] -= 1;
                self.threads[SLOW] += 1;
            }
        }
    }

    /// The next name of this kind that somebody waits for.
    fn next(&mut self, kind: usize) -> Option<Arc<str>> {
        while let Some(host) = self.queues[kind].pop_front() {
            let Some(asked) = self.asked.get_mut(&host) else { continue };
            if asked.waiters.iter().all(oneshot::Sender::is_closed) {
                self.asked.remove(&host);
                continue;
            }
            asked.running = Some((Instant::now(), kind));
            return Some(host);
        }
        None
    }
}

impl LookupTable {
    fn lock(&self) -> MutexGuard<'_, LookupState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks names up until there have been none for a while.
    fn work(&self, mut kind: usize) {
        let mut state = self.lock();
        loop {
            if let Some(host) = state.next(kind) {
                drop(state);
                let answer = (self.ask)(&host);
                state = self.lock();
                let Some(PendingLookup { waiters, running }) = state.asked.remove(&host) else { continue };
                if let Some((began, now)) = running {
                    // It may have become a slow one meanwhile.
                    kind = now;
                    if began.elapsed() < LONG {
                        state.slow.remove(&host);
                    } else if state.slow.len() < REMEMBERED {
                        state.slow.insert(host);
                    }
                }
                for waiter in waiters {
                    // It may have given up.
                    let _ = waiter.send(answer.clone());
                }
                continue;
            }
            state.idle[kind] += 1;
            let waited = self.work[kind].wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            let is_over = waited.1.timed_out();
            state = waited.0;
            state.idle[kind] -= 1;
            if is_over && state.queues[kind].is_empty() {
                state.threads[kind] -= 1;
                return;
            }
        }
    }
}

/// Asks the system.
fn ask(host: &str) -> LookupAnswer {
    let hints = AddrInfoHints { socktype: dns_lookup::SockType::Stream.into(), ..AddrInfoHints::default() };
    let error = match getaddrinfo(Some(host), None, Some(hints)) {
        Ok(found) => {
            let mut addresses = Vec::new();
            for address in found.flatten().map(|found| found.sockaddr.ip()) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if !addresses.is_empty() {
                return Ok(addresses.into());
            }
            return Err(format!("{host} has no address").into());
        }
        Err(error) => error,
    };
    let kind = error.kind();
    let error = io::Error::from(error);
    let no_result = |shortage| Err(ProbeFailure::NoResult(shortage, format!("{host} cannot be looked up: {error}")));
    match kind {
        LookupErrorKind::Memory => no_result(Shortage::Memory),
        LookupErrorKind::NoName | LookupErrorKind::NoData => match io::pipe() {
            // Without a descriptor the C library has asked nobody.
            Err(shortage) if Shortage::of(&shortage).is_some() => no_result(Shortage::Descriptors),
            _ => Err(format!("{host} cannot be looked up: {error}").into()),
        },
        _ => no_result(Shortage::of(&error).unwrap_or(Shortage::Resolver)),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // threads that look names up may block
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn addresses_and_names_in_etc_hosts_wait_for_nobody() {
        let lookups = Lookups::by(|_| panic!("the resolver is not asked"));
        assert_eq!(*lookups.resolve("192.0.2.1", LIMIT).await.unwrap(), [IpAddr::from([192, 0, 2, 1])]);
        assert!(lookups.resolve("localhost", LIMIT).await.unwrap().iter().all(IpAddr::is_loopback));
    }

    #[tokio::test]
    async fn what_the_system_says_is_kept_apart_from_silence() {
        let lookups = Lookups::default();
        // RFC 6761 §6.4: no resolver knows it; one that cannot be reached says nothing.
        let found = lookups.resolve("nobody.invalid", Duration::from_secs(30)).await.unwrap_err();
        assert!(matches!(found, ProbeFailure::Bad(_) | ProbeFailure::NoResult(Shortage::Resolver, _)), "{found:?}");
        let odd = lookups.resolve("a name with spaces", LIMIT).await.unwrap_err();
        assert!(matches!(odd, ProbeFailure::Bad(_) | ProbeFailure::NoResult(Shortage::Resolver, _)), "{odd:?}");
    }

    #[tokio::test]
    async fn one_look_up_is_for_all_that_wait_for_the_name() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let lookups = Lookups::by(|_| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(100));
            Ok(Arc::new([IpAddr::from([192, 0, 2, 1])]))
        });
        let all = (0..50).map(|_| {
            let lookups = lookups.clone();
            tokio::spawn(async move { lookups.resolve("one.test", Duration::from_secs(10)).await })
        });
        for one in all.collect::<Vec<_>>() {
            assert!(one.await.unwrap().is_ok());
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn names_that_are_answered_quickly_do_not_wait_behind_silent_ones() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let lookups = Lookups::by(|host| {
            MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if host.starts_with("silent") {
                std::thread::sleep(Duration::from_secs(3));
            }
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Ok(Arc::new([IpAddr::from([192, 0, 2, 1])]))
        });
        let everybody = |round: usize| {
            let lookups = lookups.clone();
            let all = (0..200).map(move |number| {
                let lookups = lookups.clone();
                tokio::spawn(async move { lookups.resolve(&format!("silent{number}-{round}"), LIMIT).await })
            });
            all.collect::<Vec<_>>()
        };
        let silent = everybody(0);
        for one in silent {
            let found = one.await.unwrap();
            assert!(matches!(found, Err(ProbeFailure::NoResult(Shortage::Resolver, _))), "{found:?}");
        }
        // The threads that hang make room, once they have hung for long enough to be known.
        tokio::time::sleep(LONG).await;
        assert!(lookups.resolve("quick.test", LIMIT).await.is_ok());
        assert!(MOST.load(Ordering::SeqCst) <= THREADS[QUICK] + THREADS[SLOW]);
        let queued: usize = lookups.0.lock().queues.iter().map(VecDeque::len).sum();
        assert!(queued <= 200, "those that nobody waits for go: {queued}");
    }
}
