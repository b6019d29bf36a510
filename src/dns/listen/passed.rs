//! Sockets that the service manager has bound and passed on (systemd's socket activation): they are used as they are,
//! and no others are bound beside them. They outlive the process, and so do the queries that wait in them.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use rustix::fs::fstat;
use socket2::SockRef;

use super::udp;
use crate::dns::Error;

/// Sockets of plain DNS.
#[derive(Debug, Default)]
pub struct Passed {
    /// The UDP sockets.
    pub udp: Vec<UdpSocket>,
    /// The TCP listeners.
    pub tcp: Vec<TcpListener>,
}

/// Sockets of one address, and the same of TCP: for each thread one.
pub(super) type OfAddress = (SocketAddr, Vec<UdpSocket>, Vec<TcpListener>);

impl Passed {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.udp.is_empty() && self.tcp.is_empty()
    }

    /// Makes them ready for as many threads, and groups them by address. Threads share a socket where there are fewer.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub(super) fn prepare(self, threads: usize) -> Result<Vec<OfAddress>, Error> {
        let mut all: Vec<OfAddress> = Vec::new();
        let mut group = |address| {
            let at = all.iter().position(|(known, ..)| *known == address);
            at.unwrap_or_else(|| {
                all.push((address, Vec::new(), Vec::new()));
                all.len() - 1
            })
        };
        let (udp, tcp): (Vec<_>, Vec<_>) = (
            self.udp.into_iter().map(|socket| (socket.local_addr().map(&mut group), socket)).collect(),
            self.tcp.into_iter().map(|listener| (listener.local_addr().map(&mut group), listener)).collect(),
        );
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        for (at, socket) in udp {
            let failed = |address| move |source| Error::Bind { transport: "UDP, passed by systemd", address, source };
            let at = at.map_err(failed(nowhere))?;
            prepare_udp(&socket, all[at].0).map_err(failed(all[at].0))?;
            all[at].1.push(socket);
        }
        for (at, listener) in tcp {
            let failed = |address| move |source| Error::Bind { transport: "TCP, passed by systemd", address, source };
            let at = at.map_err(failed(nowhere))?;
            one_family(&SockRef::from(&listener), all[at].0).map_err(failed(all[at].0))?;
            listener.set_nonblocking(true).map_err(failed(all[at].0))?;
            all[at].2.push(listener);
        }
        for (address, udp, tcp) in &mut all {
            let address = *address;
            let failed = |transport| move |source| Error::Bind { transport, address, source };
            fill_up(udp, threads, UdpSocket::try_clone).map_err(failed("UDP"))?;
            fill_up(tcp, threads, TcpListener::try_clone).map_err(failed("TCP"))?;
        }
        Ok(all)
    }
}

/// Has as many as threads, or all where there are more: one that nobody reads would swallow its clients' queries.
pub(super) fn fill_up<S>(
    sockets: &mut Vec<S>,
    threads: usize,
    again: impl Fn(&S) -> std::io::Result<S>,
) -> std::io::Result<()> {
    let passed = sockets.len();
    for i in passed..if passed == 0 { 0 } else { threads } {
        sockets.push(again(&sockets[i % passed])?);
    }
    Ok(())
}

fn prepare_udp(socket: &UdpSocket, address: SocketAddr) -> std::io::Result<()> {
    one_family(&SockRef::from(socket), address)?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(udp::POLL))?;
    #[cfg(target_os = "linux")]
    {
        if address.is_ipv4() {
            // Where it cannot be had, responses are short enough all the same.
            let _ = super::batch::never_fragment(&SockRef::from(socket));
        }
        if address.ip().is_unspecified() {
            super::batch::want_destination(&SockRef::from(socket), address.is_ipv4())?;
        }
    }
    Ok(())
}

/// Refuses a socket that takes IPv4 clients under addresses of IPv6, which no network of the configuration would match.
fn one_family(socket: &SockRef<'_>, address: SocketAddr) -> std::io::Result<()> {
    if address.is_ipv6() && address.ip().is_unspecified() && !socket.only_v6()? {
        return Err(std::io::Error::other("it takes IPv4 as well: set BindIPv6Only=ipv6-only in the socket unit"));
    }
    Ok(())
}

/// One descriptor of each socket, whatever number of threads shares it.
pub(super) fn distinct<'s, S: std::os::fd::AsFd>(sockets: impl Iterator<Item = &'s S>) -> Vec<&'s S> {
    let mut seen = Vec::new();
    sockets
        .filter(|socket| {
            let number = fstat(socket.as_fd()).map(|stat| stat.st_ino).ok();
            let is_new = number.is_none() || !seen.contains(&number);
            seen.push(number);
            is_new
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_socket_that_was_passed_is_read_and_threads_share_them_where_there_are_fewer() {
        let udp = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (first, second) = (udp(), udp());
        let passed = Passed { udp: vec![first, second], tcp: vec![TcpListener::bind("127.0.0.1:0").unwrap()] };
        let all = passed.prepare(3).unwrap();
        let numbers = all.iter().map(|(_, udp, tcp)| (udp.len(), tcp.len())).collect::<Vec<_>>();
        assert_eq!(numbers, [(3, 0), (3, 0), (0, 3)]);
        for (address, udp, tcp) in &all {
            assert!(udp.iter().all(|socket| socket.local_addr().unwrap() == *address));
            assert_eq!(distinct(udp.iter()).len() + distinct(tcp.iter()).len(), 1);
        }
        let mut many: Vec<_> = (0..5).map(|_| udp()).collect();
        fill_up(&mut many, 2, UdpSocket::try_clone).unwrap();
        assert_eq!(many.len(), 5);
    }

    #[test]
    fn a_socket_of_both_families_is_refused_with_what_to_do() {
        let socket = UdpSocket::bind("[::]:0").unwrap();
        let passed = Passed { udp: vec![socket], tcp: Vec::new() };
        let error = passed.prepare(1).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("BindIPv6Only=ipv6-only"), "{source}");
    }
}
