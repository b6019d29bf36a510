//! A DNS client on bytes: whatever is sent is sent as it is, and what comes back is given as it came.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// How a query goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

/// A client of one server, with a socket and a connection of its own. It blocks.
#[derive(Debug)]
pub(crate) struct Asker {
    server: SocketAddr,
    udp: UdpSocket,
    tcp: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Asker {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let udp = UdpSocket::bind((server.ip(), 0)).expect("a socket");
        udp.connect(server).expect("an address");
        Self { server, udp, tcp: None, buffer: vec![0; 65_535] }
    }

    /// The answer to a packet; none when there is none within `patience`, or when the connection is closed instead.
    pub(crate) fn ask(&mut self, packet: &[u8], over: Over, patience: Duration) -> Option<Vec<u8>> {
        match over {
            Over::Udp => self.ask_udp(packet, patience),
            Over::Tcp => {
                // A connection that was idle for too long may have been closed: then a new one is tried.
                let kept = self.tcp.is_some();
                let answer = self.ask_tcp(packet, patience);
                match answer {
                    Err(error) if kept && error.kind() != io::ErrorKind::WouldBlock => {
                        self.ask_tcp(packet, patience).ok()
                    }
                    answer => answer.ok(),
                }
            }
        }
    }

    fn ask_udp(&mut self, packet: &[u8], patience: Duration) -> Option<Vec<u8>> {
        self.udp.set_read_timeout(Some(patience)).expect("a time-out");
        self.udp.send(packet).ok()?;
        loop {
            let length = self.udp.recv(&mut self.buffer).ok()?;
            // The late answer to an earlier query is not this one's.
            if self.buffer[..length].get(..2) == packet.get(..2) {
                return Some(self.buffer[..length].to_vec());
            }
        }
    }

    fn ask_tcp(&mut self, packet: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
        let mut stream = match self.tcp.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.server)?,
        };
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(&framed(packet))?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer)?;
        self.tcp = Some(stream);
        Ok(answer)
    }
}

/// A message as it goes over TCP (RFC 1035 §4.2.2).
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).expect("a message").to_be_bytes(), message].concat()
}
