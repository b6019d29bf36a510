//! Many datagrams for one system call: recvmmsg(2) and sendmmsg(2) over a blocking socket, on Linux. All the crate's
//! socket `unsafe` is here, and nothing else is.
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

use super::datagrams::{self, BATCH, Datagrams, Origin, QUERY, RESPONSE};

/// Room for one control message with an address of either family, with its alignment.
const CONTROL: usize = 64;

/// Where a datagram came from and was sent to: what its reply needs.
#[derive(Clone, Copy)]
#[repr(C, align(64))] // what is always read is in one cache line
pub(super) struct Route {
    /// An address of either family.
    peer: sockaddr_in6,
    peer_length: socklen_t,
    control_length: usize,
    control: Control,
}

/// A buffer for control messages, aligned as their header wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Buffers for a batch in each direction, and the kernel's descriptions of them, which are made once: a small batch
/// must not pay for a large one.
pub(super) struct Batch {
    queries: Vec<[u8; QUERY]>,
    responses: Vec<[u8; RESPONSE]>,
    routes: Vec<Route>,
    /// Each points at the query and the route of its number.
    incoming: Vec<mmsghdr>,
    /// The vectors of [`Self::incoming`], which points at them.
    #[allow(dead_code)] // held for the kernel
    incoming_vectors: Vec<iovec>,
    /// Each points at the vector of its number.
    outgoing: Vec<mmsghdr>,
    outgoing_vectors: Vec<iovec>,
    /// How many the last call gave.
    received: usize,
    /// How many responses are to be sent.
    pushed: usize,
}

impl Route {
    fn new() -> Self {
        // SAFETY: sockaddr_in6 is plain data, for which all zeroes is a value.
        let peer = unsafe { zeroed() };
        Self { peer, peer_length: 0, control_length: 0, control: Control([0; CONTROL]) }
    }

    /// Who sent it.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        // SAFETY: it is as large and as aligned as an address of either family, both of which begin with the family; the kernel
        // wrote one into it, and the family says which.
        unsafe {
            match c_int::from(self.peer.sin6_family) {
                libc::AF_INET => {
                    let peer = &*ptr::from_ref(&self.peer).cast::<libc::sockaddr_in>();
                    let address = Ipv4Addr::from(u32::from_be(peer.sin_addr.s_addr));
                    Some((address, u16::from_be(peer.sin_port)).into())
                }
                libc::AF_INET6 => {
                    let address = Ipv6Addr::from(self.peer.sin6_addr.s6_addr);
                    Some((address, u16::from_be(self.peer.sin6_port)).into())
                }
                _ => None,
            }
        }
    }

    /// A reply leaves by the route its address has, not by the interface the query came in on; but a link-local address
    /// has no route without its interface.
    fn forget_interface(&mut self) {
        if self.control_length == 0 {
            return;
        }
        let mut header = msghdr_of(ptr::null_mut(), 0);
        header.msg_control = self.control.0.as_mut_ptr().cast();
        header.msg_controllen = self.control_length as _;
        // SAFETY: msg_control points at a control buffer of msg_controllen bytes that the kernel filled, so CMSG_FIRSTHDR
        // gives null or a header inside of it, whose data is of the type that level and type say; the buffer is aligned
        // for a header, and so is the data behind it.
        #[allow(clippy::cast_ptr_alignment)]
        unsafe {
            let message: *mut cmsghdr = libc::CMSG_FIRSTHDR(&raw const header);
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
                _ => self.control_length = 0,
            }
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

impl Origin for Route {
    fn is_answerable(&self) -> bool {
        // The port is at one place in either family.
        matches!(c_int::from(self.peer.sin6_family), libc::AF_INET | libc::AF_INET6) && self.peer.sin6_port != 0
    }

    fn address(&self) -> IpAddr {
        self.peer().map_or(Ipv6Addr::UNSPECIFIED.into(), |peer| peer.ip())
    }
}

impl From<Route> for datagrams::Route {
    fn from(route: Route) -> Self {
        Self::Batch(route)
    }
}

impl Datagrams for Batch {
    type Route = Route;

    fn new() -> Self {
        let mut queries = many(|_| [0; QUERY]);
        let mut routes = many(|_| Route::new());
        let mut incoming_vectors =
            many(|i| iovec { iov_base: queries[i].as_mut_ptr().cast::<c_void>(), iov_len: QUERY });
        let incoming = many(|i| {
            let mut header = msghdr_of(&raw mut incoming_vectors[i], 1);
            header.msg_name = (&raw mut routes[i].peer).cast();
            header.msg_control = routes[i].control.0.as_mut_ptr().cast();
            mmsghdr { msg_hdr: header, msg_len: 0 }
        });
        let mut outgoing_vectors = many(|_| iovec { iov_base: ptr::null_mut(), iov_len: 0 });
        let outgoing = many(|i| mmsghdr { msg_hdr: msghdr_of(&raw mut outgoing_vectors[i], 1), msg_len: 0 });
        Self {
            queries,
            responses: many(|_| [0; RESPONSE]),
            routes,
            incoming,
            incoming_vectors,
            outgoing,
            outgoing_vectors,
            received: BATCH,
            pushed: 0,
        }
    }

    fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // What the kernel has written over.
        for header in &mut self.incoming[..self.received] {
            header.msg_hdr.msg_namelen = size_of::<sockaddr_in6>() as socklen_t;
            header.msg_hdr.msg_controllen = CONTROL as _;
        }
        // A call that fails has written over who knows which.
        self.received = BATCH;
        self.pushed = 0;
        // SAFETY: every header points at one vector, one address and one control buffer with their true sizes; they and
        // what they point at are in vectors of `self`, which stay where they are for as long as it lives.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.incoming.as_mut_ptr(),
                BATCH as c_uint,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for (header, route) in self.incoming[..received].iter().zip(self.routes.iter_mut()) {
            route.peer_length = header.msg_hdr.msg_namelen;
            route.control_length = header.msg_hdr.msg_controllen as usize;
            route.forget_interface();
        }
        self.received = received;
        Ok(received)
    }

    fn query(&self, i: usize) -> &[u8] {
        &self.queries[i][..(self.incoming[i].msg_len as usize).min(QUERY)]
    }

    fn route(&self, i: usize) -> Route {
        self.routes[i]
    }

    fn exchange(&mut self, i: usize) -> (&[u8], &Route, &mut [u8]) {
        let query = &self.queries[i][..(self.incoming[i].msg_len as usize).min(QUERY)];
        (query, &self.routes[i], &mut self.responses[i])
    }

    fn push(&mut self, i: usize, length: usize) {
        let base = self.responses[i].as_mut_ptr().cast();
        self.outgoing_vectors[self.pushed] = iovec { iov_base: base, iov_len: length };
        address(&mut self.outgoing[self.pushed].msg_hdr, &mut self.routes[i]);
        self.pushed += 1;
    }

    fn send(&mut self, socket: &UdpSocket) -> usize {
        let (mut sent, mut skipped) = (0, 0);
        while sent < self.pushed {
            let rest = &mut self.outgoing[sent..self.pushed];
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

/// Has a header point at where a reply goes.
fn address(header: &mut msghdr, route: &mut Route) {
    header.msg_name = (&raw mut route.peer).cast();
    header.msg_namelen = route.peer_length;
    header.msg_control = if route.control_length > 0 { route.control.0.as_mut_ptr().cast() } else { ptr::null_mut() };
    header.msg_controllen = route.control_length as _;
}

/// Sends one datagram along a route, without waiting for room in the socket's buffer.
pub(super) fn send_one(socket: &UdpSocket, route: &Route, bytes: &[u8]) -> io::Result<()> {
    let mut route = *route;
    let mut vector = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut header = msghdr_of(&raw mut vector, 1);
    address(&mut header, &mut route);
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

/// Responses over IPv4 always say that they are not to be fragmented, whatever somebody claims of the path: they are short
/// enough for every one (RFC 9715 §3.1). It also spares the kernel an identification for each (RFC 6864 §4.1), which it
/// takes from a counter that is in nobody's cache.
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
            let mut route = Route::new();
            assert!(!route.is_answerable(), "nobody");
            (route.peer.sin6_family, route.peer.sin6_port) =
                (libc::sa_family_t::try_from(family).unwrap(), port.to_be());
            assert_eq!(route.is_answerable(), is_answerable, "{:?}", route.peer());
            assert_eq!(route.peer().is_some_and(|peer| peer.is_answerable()), is_answerable);
            assert!(route.address().is_unspecified());
        }
    }
}
