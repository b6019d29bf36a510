//! The way back of queries that are answered later, however they were received.

use std::io;
use std::net::{SocketAddr, UdpSocket};

#[cfg(target_os = "linux")]
use super::batch;

/// The way back of a query that is answered later.
#[derive(Clone, Copy)]
pub(super) enum Route {
    /// From the address that the query was sent to.
    #[cfg(target_os = "linux")]
    Batch(batch::Route),
    /// From the address that the system chooses.
    Plain(SocketAddr),
}

impl Route {
    /// Address of the client.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Batch(route) => route.peer(),
            Self::Plain(peer) => Some(*peer),
        }
    }

    /// Sends one datagram along it. One that does not find room in the socket's buffer is lost, as datagrams are.
    pub(super) fn send(&self, socket: &UdpSocket, bytes: &[u8]) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Batch(route) => batch::send_one(socket, route, bytes),
            Self::Plain(peer) => socket.send_to(bytes, peer).map(drop),
        }
    }
}

#[cfg(target_os = "linux")]
impl From<batch::Route> for Route {
    fn from(route: batch::Route) -> Self {
        Self::Batch(route)
    }
}

impl From<SocketAddr> for Route {
    fn from(peer: SocketAddr) -> Self {
        Self::Plain(peer)
    }
}
