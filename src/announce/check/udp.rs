//! The check `udp`: a datagram is sent, and an answer is awaited. Both may be lost on their way, so it is sent three
//! times within the time of the probe.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::outcome::{ProbeFailure, Probed};
use super::probe::{check_target, kept};
use super::target::{CheckTarget, Resolved};
use crate::settings::{Section, live};

/// Size of a datagram, in bytes, that arrives whole over most networks.
const LONGEST: usize = 1200;
/// Number of times that it is sent.
const SENT: u32 = 3;

/// The check `udp`: what is sent where, and what an answer must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `HOST:PORT`.
    pub target: String,
    /// Datagram.
    pub send: Vec<u8>,
    /// Text that the answer must hold; empty for any answer.
    pub contains: String,
}

impl Config {
    /// Reads the keys `address`, by default the service itself, `send` or `send_hex`, and `contains`.
    pub(super) fn read(section: &mut Section<'_>, default: &str) -> Option<Self> {
        let given = section.value(live("address")).map(|value| value.span);
        let target = check_target(section, default);
        let problems = section.problems();
        let text = section.located::<String>(live("send"));
        let hex = section.located::<String>(live("send_hex"));
        let contains = section.or(live("contains"), String::new());
        let target = target?;
        if let (Some(span), Some(CheckTarget::Unix(_))) = (given, CheckTarget::parse(&target)) {
            problems.add(span, "`address` must be a host and a port: a Unix socket takes no datagrams of UDP");
            return None;
        }
        let (send, span) = match (text, hex) {
            (Some(_), Some(hex)) => {
                problems.add(hex.span, "`send` and `send_hex` exclude each other");
                return None;
            }
            (Some(text), None) => (text.value.into_bytes(), text.span),
            (None, Some(hex)) => {
                let Ok(bytes) = HEXLOWER_PERMISSIVE.decode(hex.value.as_bytes()) else {
                    problems.add(hex.span, "`send_hex` must be pairs of hexadecimal digits, such as \"0a1b\"");
                    return None;
                };
                (bytes, hex.span)
            }
            (None, None) => {
                let help = "a server that gets nothing to answer says nothing: `send` is text, `send_hex` bytes";
                problems.add_with_help(section.span(), "the check says nothing that it sends", help);
                return None;
            }
        };
        if send.is_empty() || send.len() > LONGEST {
            problems.add(span, format!("what is sent must have from 1 to {LONGEST} bytes"));
            return None;
        }
        Some(Self { target, send, contains })
    }

    /// Sends the datagram to one address after the other until there is an answer. Each has its share of `limit`.
    pub(super) async fn probe(&self, target: &Resolved, limit: Duration) -> Probed {
        let Resolved::Addresses(addresses, port) = target else { return Err("it has no address".into()) };
        let end = Instant::now() + limit;
        let mut first = None;
        for (tried, address) in addresses.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            match self.ask(SocketAddr::new(*address, *port), share).await {
                Ok(found) => return Ok(found),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        Err(first.unwrap_or_else(|| "it has no address".into()))
    }

    async fn ask(&self, address: SocketAddr, share: Duration) -> Probed {
        let failed = |error: &std::io::Error| ProbeFailure::of(&format!("no answer from {address}"), error);
        let own: SocketAddr =
            if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
        let socket = UdpSocket::bind(own).await.map_err(|error| failed(&error))?;
        // Only its answers arrive, and that nobody listens is told.
        socket.connect(address).await.map_err(|error| failed(&error))?;
        let mut answer = vec![0; usize::from(u16::MAX)];
        for _ in 0..SENT {
            socket.send(&self.send).await.map_err(|error| failed(&error))?;
            if let Ok(received) = timeout_at(Instant::now() + share / SENT, socket.recv(&mut answer)).await {
                let length = received.map_err(|error| failed(&error))?;
                return self.judge(&answer[..length]);
            }
        }
        Err(format!("no answer from {address} within {share:?}").into())
    }

    fn judge(&self, answer: &[u8]) -> Probed {
        let text = String::from_utf8_lossy(answer);
        if text.contains(&self.contains) {
            return Ok(format!("an answer of {} bytes", answer.len()));
        }
        Err(format!("the answer does not hold \"{}\": {}", self.contains, kept(&text)).into())
    }
}
