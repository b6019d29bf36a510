//! Many datagrams for one system call: recvmmsg(2) and sendmmsg(2) over a blocking socket, on Linux. All the crate's
//! socket `unsafe` is here, and nothing else is but getrusage(2), which says how often it slept for them.
//!
//! On a socket bound to a wildcard address each datagram brings the address it was sent to (IP_PKTINFO,
//! IPV6_RECVPKTINFO), and the reply leaves from there.

#![allow(unsafe_code, clippy::doc_markdown)]
// Sizes of structures and batches fit any integer; C's types differ in width from system to system.
#![allow(clippy::cast_possible_truncation, clippy::unnecessary_cast)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{c_int, c_uint, c_void, cmsghdr, iovec, mmsghdr, msghdr, sockaddr_in6, socklen_t};

use super::datagrams::{BATCH, Datagrams, LINE, Origin, QUERY, RESPONSE};
use crate::dns::fast::MAX_UDP;

/// Room for one control message with an address of either family, with its alignment.
const CONTROL: usize = 64;

/// Sender of a datagram: an address of either family.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Peer(sockaddr_in6);

/// A buffer for control messages, aligned as their header wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Addresses that a datagram came from and was sent to: its reply needs both.
#[derive(Clone, Copy)]
pub(super) struct Route {
    peer: Peer,
    peer_length: socklen_t,
    control: Control,
    control_length: usize,
}

/// Buffers for a batch in each direction, and the kernel's descriptions of them: of the queries when it receives, then
/// of the responses, since where one came from is where the other goes. All of it is little, as the cache in which it
/// stays is.
pub(super) struct Batch {
    queries: Vec<[u8; QUERY]>,
    /// One response after the other, in whole pieces: as many as the longest that may be sent take, and room behind the
    /// last.
    responses: Vec<[u8; LINE]>,
    /// Number of pieces that are written.
    written: usize,
    peers: Vec<Peer>,
    controls: Vec<Control>,
    /// Each points at the vector, the peer and the control buffer of its number.
    headers: Vec<mmsghdr>,
    /// Each points at a query, and when that was received at the response; of no length where there is none.
    vectors: Vec<iovec>,
    /// Number that the last call gave.
    received: usize,
}

impl Peer {
    /// None that is one.
    fn none() -> Self {
        // SAFETY: sockaddr_in6 is plain data, for which all zeroes is a value.
        Self(unsafe { zeroed() })
    }

    fn get(&self) -> Option<SocketAddr> {
        // SAFETY: it is as large and as aligned as an address of either family, both of which begin with the family;
        // the kernel wrote one into it, and the family says which.
        unsafe {
            match c_int::from(self.0.sin6_family) {
                libc::AF_INET => {
                    let peer = &*ptr::from_ref(&self.0).cast::<libc::sockaddr_in>();
                    let address = Ipv4Addr::from(u32::from_be(peer.sin_addr.s_addr));
                    Some((address, u16::from_be(peer.sin_port)).into())
                }
                libc::AF_INET6 => {
                    let address = Ipv6Addr::from(self.0.sin6_addr.s6_addr);
                    Some((address, u16::from_be(self.0.sin6_port)).into())
                }
                _ => None,
            }
        }
    }
}

impl Route {
    /// Address of its sender.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer.get()
    }
}

/// A reply leaves by the route its address has, not by the interface the query came in on; but a link-local address has
/// no route without its interface. `header` points at what the kernel said of where the query came in.
fn forget_interface(header: &mut msghdr) {
    if header.msg_controllen == 0 {
        return;
    }
    // SAFETY: msg_control points at a control buffer of msg_controllen bytes that the kernel filled, so CMSG_FIRSTHDR
    // gives null or a header inside of it, whose data is of the type that level and type say; the buffer is aligned
    // for a header, and so is the data behind it.
    #[allow(clippy::cast_ptr_alignment)]
    unsafe {
        let message: *mut cmsghdr = libc::CMSG_FIRSTHDR(ptr::from_ref(header));
        if message.is_null() {
            return;
        }
        match ((*message).cmsg_level, (*message).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let info: *mut libc::in_pktinfo = libc::CMSG_DATA(message).cast();
                (*info).ipi_ifindex = 0;
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info: *mut libc::in6_pktinfo = libc::CMSG_DATA(message).cast();
                if !Ipv6Addr::from((*info).ipi6_addr.s6_addr).is_unicast_link_local() {
                    (*info).ipi6_ifindex = 0;
                }
            }
            _ => header.msg_controllen = 0,
        }
    }
}

fn msghdr_of(iov: *mut iovec, count: usize) -> msghdr {
    // SAFETY: msghdr is plain data, for which all zeroes (null pointers among them) is a value.
    let mut header: msghdr = unsafe { zeroed() };
    header.msg_iov = iov;
    header.msg_iovlen = count as _;
    header
}

impl Origin for Peer {
    fn is_answerable(&self) -> bool {
        // The port is at one place in either family.
        matches!(c_int::from(self.0.sin6_family), libc::AF_INET | libc::AF_INET6) && self.0.sin6_port != 0
    }

    fn address(&self) -> IpAddr {
        self.get().map_or(Ipv6Addr::UNSPECIFIED.into(), |peer| peer.ip())
    }
}

impl Batch {
    /// Has the first `count` of the kernel's descriptions say where queries may be written.
    fn describe_queries(&mut self, count: usize) {
        let of_peers = self.headers.iter_mut().zip(&mut self.peers).zip(&mut self.controls);
        let of_queries = self.vectors.iter_mut().zip(&mut self.queries);
        for (((header, peer), control), (vector, query)) in of_peers.zip(of_queries).take(count) {
            *vector = iovec { iov_base: query.as_mut_ptr().cast::<c_void>(), iov_len: QUERY };
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(peer).cast();
            header.msg_namelen = size_of::<Peer>() as socklen_t;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL as _;
        }
    }

    /// Moves the descriptions of responses together. Gives how many there are.
    fn describe_responses(&mut self) -> usize {
        let mut responses = 0;
        for i in 0..self.received {
            if self.vectors[i].iov_len == 0 {
                continue;
            }
            if responses < i {
                self.vectors[responses] = self.vectors[i];
                let from = self.headers[i].msg_hdr;
                let to = &mut self.headers[responses].msg_hdr;
                (to.msg_name, to.msg_namelen) = (from.msg_name, from.msg_namelen);
                (to.msg_control, to.msg_controllen) = (from.msg_control, from.msg_controllen);
            }
            responses += 1;
        }
        responses
    }
}

impl Datagrams for Batch {
    type Peer = Peer;
    type Route = Route;

    fn new() -> Self {
        let mut vectors = many(|_| iovec { iov_base: ptr::null_mut(), iov_len: 0 });
        let headers = many(|i| mmsghdr { msg_hdr: msghdr_of(&raw mut vectors[i], 1), msg_len: 0 });
        let mut batch = Self {
            queries: many(|_| [0; QUERY]),
            responses: vec![[0; LINE]; BATCH * MAX_UDP.div_ceil(LINE) + RESPONSE / LINE],
            written: 0,
            peers: many(|_| Peer::none()),
            controls: many(|_| Control([0; CONTROL])),
            headers,
            vectors,
            received: 0,
        };
        batch.describe_queries(BATCH);
        batch
    }

    fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.describe_queries(self.received);
        // A call that fails has written over who knows which.
        self.received = BATCH;
        self.written = 0;
        // SAFETY: every header points at one vector, one address and one control buffer with their true sizes; they and
        // what they point at are in vectors of `self`, which stay where they are for as long as it lives.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as c_uint,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for (header, vector) in self.headers.iter_mut().zip(&mut self.vectors).take(received) {
            // There is no response yet.
            vector.iov_len = 0;
            forget_interface(&mut header.msg_hdr);
        }
        self.received = received;
        Ok(received)
    }

    fn query(&self, i: usize) -> &[u8] {
        &self.queries[i][..(self.headers[i].msg_len as usize).min(QUERY)]
    }

    fn route(&self, i: usize) -> Route {
        let header = &self.headers[i].msg_hdr;
        Route {
            peer: self.peers[i],
            peer_length: header.msg_namelen,
            control: self.controls[i],
            control_length: header.msg_controllen as usize,
        }
    }

    fn exchange(&mut self, i: usize) -> (&[u8], &Peer, &mut [u8]) {
        let query = &self.queries[i][..(self.headers[i].msg_len as usize).min(QUERY)];
        let room = &mut self.responses[self.written..][..RESPONSE / LINE];
        (query, &self.peers[i], room.as_flattened_mut())
    }

    fn push(&mut self, i: usize, length: usize) {
        let base = self.responses[self.written..].as_mut_ptr().cast();
        self.vectors[i] = iovec { iov_base: base, iov_len: length };
        self.written += length.div_ceil(LINE);
    }

    fn send(&mut self, socket: &UdpSocket) -> usize {
        let responses = self.describe_responses();
        let (mut sent, mut skipped) = (0, 0);
        while sent < responses {
            let rest = &mut self.headers[sent..responses];
            // SAFETY: as in `receive`; `push` gave the lengths of what was written into the buffers.
            let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as c_uint, 0) };
            match usize::try_from(done) {
                Ok(done) if done > 0 => sent += done,
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    // The first of the rest is the one that failed.
                    sent += 1;
                    skipped += 1;
                }
            }
        }
        skipped
    }
}

/// As many as a batch has. A vector and not a box: raw pointers into it stay good when it is moved.
fn many<T>(make: impl FnMut(usize) -> T) -> Vec<T> {
    (0..BATCH).map(make).collect()
}

/// Sends one datagram along a route, without waiting for room in the socket's buffer.
pub(super) fn send_one(socket: &UdpSocket, route: &Route, bytes: &[u8]) -> io::Result<()> {
    let mut route = *route;
    let mut vector = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut header = msghdr_of(&raw mut vector, 1);
    header.msg_name = (&raw mut route.peer).cast();
    header.msg_namelen = route.peer_length;
    header.msg_control = route.control.0.as_mut_ptr().cast();
    header.msg_controllen = route.control_length as _;
    // SAFETY: the header points at one vector and one route that outlive the call; sendmsg reads the bytes only.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Asks the kernel for the address that each datagram was sent to.
pub(super) fn want_destination(socket: &socket2::Socket, is_ipv4: bool) -> io::Result<()> {
    let (level, name) =
        if is_ipv4 { (libc::IPPROTO_IP, libc::IP_PKTINFO) } else { (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) };
    set(socket, level, name, 1)
}

/// Responses over IPv4 always say that they are not to be fragmented, whatever somebody claims of the path: they are
/// short enough for every one (RFC 9715 §3.1). It also spares the kernel an identification for each (RFC 6864 §4.1),
/// which it takes from a counter that is in nobody's cache.
pub(super) fn never_fragment(socket: &socket2::Socket) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
}

fn set(socket: &socket2::Socket, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the option's value is one int, whose address and size are given.
    let outcome = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size_of::<c_int>() as socklen_t)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No kernel lets a test send from there.
    #[test]
    fn source_port_0_is_never_answered() {
        for (family, port, is_answerable) in [
            (libc::AF_INET, 0, false),
            (libc::AF_INET6, 0, false),
            (libc::AF_INET, 1_u16, true),
            (libc::AF_INET6, 1, true),
        ] {
            let mut peer = Peer::none();
            assert!(!peer.is_answerable(), "nobody");
            (peer.0.sin6_family, peer.0.sin6_port) = (libc::sa_family_t::try_from(family).unwrap(), port.to_be());
            assert_eq!(peer.is_answerable(), is_answerable, "{:?}", peer.get());
            assert_eq!(peer.get().is_some_and(|peer| peer.is_answerable()), is_answerable);
            assert!(peer.address().is_unspecified());
        }
    }

    /// Whatever is not answered, and in whatever order the others are: each answer goes to who asked, in the order of
    /// the questions, in this batch and the next.
    #[test]
    fn answers_find_their_way_where_others_are_left_out() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let clients = [(), ()].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        for client in &clients {
            client.connect(server.local_addr().unwrap()).unwrap();
            client.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        }
        let mut batch = Batch::new();
        for (count, answered) in [(10_u8, &[9, 1, 4, 5, 0][..]), (7, &[]), (64, &[63, 2, 1]), (3, &[0, 1, 2])] {
            for i in 0..count {
                clients[usize::from(i % 2)].send(&vec![i; usize::from(i) + 1]).unwrap();
            }
            assert_eq!(batch.receive(&server).unwrap(), usize::from(count), "all of them are there");
            for &i in answered {
                let client = clients[i % 2].local_addr().unwrap();
                assert_eq!(batch.route(i).peer(), Some(client));
                let (query, peer, out) = batch.exchange(i);
                assert_eq!((query, peer.get()), (&vec![query[0]; i + 1][..], Some(client)));
                out[..19 * i + 10].fill(query[0] + 100);
                batch.push(i, 19 * i + 10);
            }
            assert_eq!(batch.send(&server), 0);
            let mut expected = answered.to_vec();
            expected.sort_unstable();
            for i in expected {
                let mut answer = [0; 2000];
                let length = clients[i % 2].recv(&mut answer).unwrap();
                assert_eq!(answer[..length], vec![u8::try_from(i).unwrap() + 100; 19 * i + 10], "{i}");
            }
        }
    }
}
