//! Exchange of queries and responses by a UDP thread: many for one system call where the system can, one by one
//! elsewhere.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::dns::fast;

/// The most datagrams that are taken at a time. Eight are nearly as good; more than these bring nothing.
pub(super) const BATCH: usize = 64;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// The largest query that is read; a longer one arrives cut and is malformed. An odd number of cache lines: where
/// buffers are a power of two apart, their beginnings push each other out of the cache.
pub(super) const QUERY: usize = 21 * LINE;

/// Room for a response, which is longer than any.
pub(super) const RESPONSE: usize = fast::ROOM.next_multiple_of(LINE);

/// Buffers for datagrams in each direction.
pub(super) trait Datagrams {
    /// Sender of a query.
    type Peer: Origin;
    /// The way back of a query that is answered later.
    type Route;

    fn new() -> Self;

    /// Waits for datagrams (as long as the socket's receive time-out) and takes what is there. Gives how many there
    /// are: at most [`BATCH`].
    fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize>;

    /// The way back of the `i`-th query.
    fn route(&self, i: usize) -> Self::Route;

    /// The `i`-th query.
    fn query(&self, i: usize) -> &[u8];

    /// The `i`-th query, who sent it, and where its response may be written.
    fn exchange(&mut self, i: usize) -> (&[u8], &Self::Peer, &mut [u8]);

    /// Notes that the response to the `i`-th query was written there and has this length, before anything else is
    /// exchanged.
    fn push(&mut self, i: usize, length: usize);

    /// Sends the responses noted, in the order of the queries. One that cannot be sent (its client is gone, or there is
    /// no route) is skipped; gives how many were.
    fn send(&mut self, socket: &UdpSocket) -> usize;
}

/// Origin of a datagram.
pub(super) trait Origin {
    /// Returns whether it can be answered at all: port 0 cannot (in RFC 768 it stands for no port), and whoever sends
    /// from it wants no answer.
    fn is_answerable(&self) -> bool;

    /// Address of the host.
    fn address(&self) -> IpAddr;
}

impl Origin for SocketAddr {
    fn is_answerable(&self) -> bool {
        self.port() != 0
    }

    fn address(&self) -> IpAddr {
        self.ip()
    }
}

/// Meaning of an error of a socket that receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing came, or an earlier response met a closed port.
    Nothing,
    /// The system is short of something, or a network is down: it passes.
    Passing,
    /// The system does not have the call.
    Missing,
    /// The socket is no longer what it was.
    Fatal,
}

impl Trouble {
    /// Meaning of `error`.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused => return Self::Nothing,
            io::ErrorKind::Unsupported => return Self::Missing,
            _ => {}
        }
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::Missing,
            Some(libc::EBADF | libc::ENOTSOCK | libc::EINVAL | libc::EFAULT) => Self::Fatal,
            // ENOMEM, ENOBUFS, ENETDOWN, EHOSTUNREACH and whatever else a network may say.
            _ => Self::Passing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_that_is_none_any_more_is_given_up() {
        let of = |code| Trouble::of(&io::Error::from_raw_os_error(code));
        for code in [libc::EAGAIN, libc::EINTR, libc::ECONNREFUSED] {
            assert_eq!(of(code), Trouble::Nothing);
        }
        for code in [libc::ENOMEM, libc::ENOBUFS, libc::ENETDOWN, libc::EHOSTUNREACH, libc::EPERM, libc::EIO] {
            assert_eq!(of(code), Trouble::Passing);
        }
        for code in [libc::EBADF, libc::ENOTSOCK] {
            assert_eq!(of(code), Trouble::Fatal);
        }
        assert_eq!(of(libc::ENOSYS), Trouble::Missing);
    }
}
