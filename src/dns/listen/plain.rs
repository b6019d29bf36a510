//! Datagrams one by one, with what every system has: for systems without recvmmsg(2), and for those that say they have
//! it and do not. On a wildcard address the response leaves from the address that the system chooses.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::datagrams::{Datagrams, QUERY, RESPONSE};

/// One datagram in each direction.
pub(super) struct Plain {
    query: Box<[u8; QUERY]>,
    length: usize,
    peer: SocketAddr,
    response: Box<[u8; RESPONSE]>,
    pushed: Option<usize>,
}

impl Datagrams for Plain {
    type Peer = SocketAddr;
    type Route = SocketAddr;

    fn new() -> Self {
        let (query, response) = (Box::new([0; QUERY]), Box::new([0; RESPONSE]));
        Self { query, length: 0, peer: (std::net::Ipv4Addr::UNSPECIFIED, 0).into(), response, pushed: None }
    }

    fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.pushed = None;
        let (length, peer) = socket.recv_from(&mut self.query[..])?;
        (self.length, self.peer) = (length, peer);
        Ok(1)
    }

    fn route(&self, _: usize) -> SocketAddr {
        self.peer
    }

    fn query(&self, _: usize) -> &[u8] {
        &self.query[..self.length]
    }

    fn exchange(&mut self, _: usize) -> (&[u8], &SocketAddr, &mut [u8]) {
        (&self.query[..self.length], &self.peer, &mut self.response[..])
    }

    fn push(&mut self, _: usize, length: usize) {
        self.pushed = Some(length);
    }

    fn send(&mut self, socket: &UdpSocket) -> usize {
        let Some(length) = self.pushed.take() else { return 0 };
        usize::from(socket.send_to(&self.response[..length], self.peer).is_err())
    }
}
