//! File descriptors: how many of them each part may take, of as many as the process may have at its start.
//!
//! ZooKeeper connections, look-ups and checks come first; DNS over TCP and the admin server share what is left, so that
//! clients can never fill the table.

use std::num::NonZero;
use std::thread::available_parallelism;

use rustix::process::{Resource, getrlimit};
use tracing::{info, warn};

use crate::announce::check::slots::Slots;
use crate::config::Config;

/// Descriptors that there are for each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    /// Checks on their way, in each registry.
    pub(super) slots: Slots,
    /// TCP connections of DNS clients.
    pub(super) tcp: usize,
    /// Connections to the admin server.
    pub(super) admin: usize,
}

/// Standard streams, runtimes, timers, files that are being read.
const PROCESS: usize = 48;
/// A thread's sockets and its runtime's, with one connection that is accepted before it is counted.
const THREAD: usize = 8;
/// Two sessions with a connection being made and one there, and the cache file.
const REGISTRY: usize = 8;
/// Look-ups on their way.
const LOOK_UPS: usize = 40;
/// A command needs more than a socket: two pipes, one of them twice, and a handle while it starts.
const COMMAND: usize = 4;
/// Queries to other name servers.
const FORWARDED: usize = 1024;
/// Connections to the admin server: for probes, scrapers and people, and for as many readers of events as a fleet has.
const ADMIN: usize = 1536;

impl Budget {
    /// Divides this process's limit among its parts, and logs the shares.
    pub(super) fn of_process(config: &Config) -> Self {
        let limit =
            getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1 << 20);
        let budget = Self::of(limit, config, available_parallelism().map_or(1, NonZero::get));
        let Self { slots: Slots { tcp: checks_tcp, http, exec, grpc }, tcp, admin } = budget;
        info!(
            limit,
            dns_tcp = tcp,
            admin,
            checks_tcp,
            http,
            exec,
            grpc,
            "file descriptors: connections and checks at once"
        );
        budget
    }

    /// Shares out `limit` descriptors.
    pub(super) fn of(limit: usize, config: &Config, threads: usize) -> Self {
        let registries = config.readers().count().max(1);
        let (listening, wanted_tcp, forwards) = match &config.dns {
            Some(dns) => (
                dns.listen.len() + dns.encrypted().map(|(_, tls)| tls.listen.len()).sum::<usize>(),
                dns.tcp.connections,
                !dns.forward.is_empty(),
            ),
            None => (0, 0, false),
        };
        let fixed = PROCESS + threads * THREAD * listening.max(1) + registries * REGISTRY + LOOK_UPS;
        let left = limit.saturating_sub(fixed);
        let all = Slots::default();
        let wanted = all.tcp + all.http + all.grpc + COMMAND * all.exec;
        // Half of what is left at most, in all registries together.
        let share = (left / 2).min(wanted * registries);
        let part = |slots: usize| (slots * share / (wanted * registries)).clamp(1, slots);
        let slots = Slots { tcp: part(all.tcp), http: part(all.http), exec: part(all.exec), grpc: part(all.grpc) };
        let left = left - share;
        let admin = if config.admin.is_some() { (left / 8).clamp(4, ADMIN) } else { 0 };
        let forwarded = if forwards { FORWARDED.min(left / 4) } else { 0 };
        let tcp = left.saturating_sub(admin + forwarded).clamp(8, wanted_tcp.max(8));
        Self { slots, tcp: tcp.min(wanted_tcp.max(1)), admin }
    }
}

/// The configuration within what the descriptors allow.
pub(super) fn bounded(config: &Config, tcp: usize) -> Config {
    let mut config = config.clone();
    bound(&mut config, tcp);
    config
}

/// Lets DNS have so many TCP connections at most.
pub(super) fn bound(config: &mut Config, tcp: usize) {
    if let Some(dns) = &mut config.dns
        && dns.tcp.connections > tcp
    {
        warn!(
            connections = dns.tcp.connections,
            possible = tcp,
            "[dns.tcp] connections: there are not so many file descriptors; raise the limit (LimitNOFILE=, ulimit -n)"
        );
        dns.tcp.connections = tcp;
        dns.tcp.per_client = dns.tcp.per_client.min(tcp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "[registry.main]\nzookeeper = \"zk:2181\"\n[[zone]]\norigin = \"service.\"\n\
             [dns]\nlisten = [\"127.0.0.1:5300\"]\n{more}\n[admin]\nlisten = \"127.0.0.1:5380\"\n"
        );
        crate::config::parse(std::path::Path::new("test.toml"), &text).unwrap()
    }

    #[test]
    fn with_many_descriptors_everybody_gets_what_it_wants() {
        let budget = Budget::of(65_536, &config(""), 4);
        assert_eq!(budget, Budget { slots: Slots::default(), tcp: 1024, admin: 1536 });
    }

    #[test]
    fn with_few_the_checks_come_first_and_all_together_fit() {
        for limit in [192, 256, 512, 1024, 4096] {
            for threads in [1, 2, 8] {
                let Budget { slots, tcp, admin } = Budget::of(limit, &config("forward = [\"192.0.2.1\"]"), threads);
                let checks = slots.tcp + slots.http + slots.grpc + COMMAND * slots.exec;
                let fixed = PROCESS + threads * THREAD + REGISTRY + LOOK_UPS;
                assert!(fixed + checks + tcp + admin <= limit, "{limit} {threads}: {slots:?} {tcp} {admin}");
                assert!(slots.exec >= 1 && tcp >= 8 && admin >= 4);
            }
        }
        let Budget { slots, tcp, admin } = Budget::of(1024, &config(""), 2);
        assert!(slots.tcp >= 150 && slots.exec >= 10 && tcp >= 300 && admin >= 50, "{slots:?} {tcp} {admin}");
    }
}
