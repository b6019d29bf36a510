//! Hands the listening sockets, the zones' serials and the host's identity to the next image of this process, and takes
//! them from the one before.
//!
//! They go through a socket pair as ancillary data (unix(7), `SCM_RIGHTS`), whose other end is the standard input of
//! the new image: nothing has to be left open over the exec, so that nothing leaks into commands or when the exec
//! fails. The new image knows by a variable of its environment with its own process id; its children have the variable
//! and not the id.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::manager;
use crate::dns::listen::{Bound, Inherited};

/// The variable that announces sockets to the process with this id.
const VARIABLE: &str = "ZONEKEEPER_SOCKETS";
/// Descriptors in one message; the kernel takes 253.
const MAX_SOCKETS: usize = 64;

/// The sockets of the image before this one.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Those of DNS.
    pub dns: Inherited,
    /// The admin server's.
    pub admin: Option<TcpListener>,
    /// Serials of the zones, as text.
    pub serials: String,
    /// The identity of this host; empty where none was handed over.
    pub host: String,
    /// True if an image of this process before this one has left them.
    is_handed_over: bool,
}

/// Bytes of text in one message.
const CHUNK: usize = 16 << 10;

impl Sockets {
    /// Returns whether there are any: this image goes on where another ended.
    pub fn are_there(&self) -> bool {
        self.is_handed_over
    }

    /// Returns whether queries may wait in them.
    pub(super) fn hold_queries(&self) -> bool {
        self.is_handed_over || !self.dns.passed.is_empty()
    }

    /// Takes what the image before this one has left, else what the service manager has passed; nothing at an ordinary
    /// start. To be called before there are other threads.
    ///
    /// # Errors
    /// When they are announced and do not come, or cannot be used.
    pub fn take() -> io::Result<Self> {
        let id = std::process::id().to_string();
        if std::env::var_os(VARIABLE).as_deref() != Some(OsStr::new(&id)) {
            let (dns, admin) = manager::sockets()?;
            return Ok(Self { dns, admin, ..Self::default() });
        }
        let mut sockets = Self { is_handed_over: true, ..Self::default() };
        let input = io::stdin();
        let mut number = 0;
        let (mut text, mut host) = (Vec::new(), Vec::new());
        while let Some((message, descriptors)) = receive(input.as_fd())? {
            let Some((kind, rest)) = message.split_first() else { continue };
            match kind {
                b's' => text.extend_from_slice(rest),
                b'h' => host.extend_from_slice(rest),
                _ => {}
            }
            number += descriptors.len();
            for descriptor in descriptors {
                match kind {
                    b'u' => sockets.dns.udp.push(descriptor.into()),
                    b't' => sockets.dns.tcp.push(descriptor.into()),
                    b'p' => sockets.dns.passed.udp.push(descriptor.into()),
                    b'q' => sockets.dns.passed.tcp.push(descriptor.into()),
                    b'a' => sockets.admin = Some(descriptor.into()),
                    _ => {}
                }
            }
        }
        sockets.serials = String::from_utf8_lossy(&text).into_owned();
        sockets.host = String::from_utf8_lossy(&host).into_owned();
        tracing::debug!(number, "listening sockets inherited");
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Ok(sockets)
    }
}

/// What this image leaves to the next.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Inheritance<'l> {
    /// The sockets of DNS.
    pub(super) dns: Option<&'l Bound>,
    /// The admin server's.
    pub(super) admin: Option<&'l TcpListener>,
    /// Serials of the zones, as text.
    pub(super) serials: &'l str,
    /// The identity of this host.
    pub(super) host: &'l str,
}

/// Becomes `program`, with this process's arguments, and leaves it this. Returns only when that fails.
pub(super) fn exec(program: &Path, legacy: Inheritance<'_>) -> io::Error {
    match prepare(legacy) {
        Ok(input) => {
            let mut arguments = std::env::args_os();
            let name = arguments.next().unwrap_or_else(|| program.into());
            let mut command = Command::new(program);
            command.arg0(name).args(arguments).stdin(Stdio::from(input));
            // The descriptors that these name are the ones that are handed over.
            for name in manager::PASSED {
                command.env_remove(name);
            }
            command.env(VARIABLE, std::process::id().to_string()).exec()
        }
        Err(error) => error,
    }
}

/// The end of a socket pair from which the sockets can be taken.
fn prepare(Inheritance { dns, admin, serials, host }: Inheritance<'_>) -> io::Result<OwnedFd> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    if let Some(bound) = dns {
        let (udp, tcp) = bound.sockets();
        send(ours.as_fd(), b'u', &udp.map(UdpSocket::as_fd).collect::<Vec<_>>())?;
        send(ours.as_fd(), b't', &tcp.map(TcpListener::as_fd).collect::<Vec<_>>())?;
        let (udp, tcp) = bound.passed();
        send(ours.as_fd(), b'p', &udp.into_iter().map(UdpSocket::as_fd).collect::<Vec<_>>())?;
        send(ours.as_fd(), b'q', &tcp.into_iter().map(TcpListener::as_fd).collect::<Vec<_>>())?;
    }
    send(ours.as_fd(), b'a', &admin.map(TcpListener::as_fd).into_iter().collect::<Vec<_>>())?;
    for piece in host.as_bytes().chunks(CHUNK) {
        let pieces = [IoSlice::new(b"h"), IoSlice::new(piece)];
        sendmsg(ours.as_fd(), &pieces, &mut SendAncillaryBuffer::default(), SendFlags::DONTWAIT)?;
    }
    for piece in serials.as_bytes().chunks(CHUNK) {
        let pieces = [IoSlice::new(b"s"), IoSlice::new(piece)];
        // Room is for thousands of zones; the sockets matter more than what is beyond.
        if let Err(error) = sendmsg(ours.as_fd(), &pieces, &mut SendAncillaryBuffer::default(), SendFlags::DONTWAIT) {
            tracing::warn!(%error, "not all serials are handed over: they go on from the serial file or the time");
            break;
        }
    }
    // With `ours` closed the other side reads to the end.
    Ok(theirs)
}

fn send(through: BorrowedFd<'_>, kind: u8, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    for some in descriptors.chunks(MAX_SOCKETS) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(some)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        // Never waits: there is nobody yet who would read.
        sendmsg(through, &[IoSlice::new(&[kind])], &mut control, SendFlags::DONTWAIT)?;
    }
    Ok(())
}

/// The next message and its descriptors; none at the end.
fn receive(from: BorrowedFd<'_>) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let (mut message, mut space) =
        (vec![0; 1 + CHUNK], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))]);
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(from, &mut [IoSliceMut::new(&mut message)], &mut control, flags)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptors = descriptors.flatten().collect();
    message.truncate(received.bytes);
    Ok(Some((message, descriptors)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_come_out_as_they_went_in_and_then_comes_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        send(ours.as_fd(), b't', &vec![listener.as_fd(); 150]).unwrap();
        drop(ours);
        let mut count = 0;
        while let Some((message, descriptors)) = receive(theirs.as_fd()).unwrap() {
            assert_eq!(message, b"t");
            for descriptor in descriptors {
                assert_eq!(TcpListener::from(descriptor).local_addr().unwrap(), listener.local_addr().unwrap());
                count += 1;
            }
        }
        assert_eq!(count, 150);
    }

    #[test]
    fn the_serials_of_thousands_of_zones_fit_beside_the_sockets() {
        let serials = "some-zone-of-many.example. 1796005000\n".repeat(3000);
        let theirs = prepare(Inheritance { serials: &serials, ..Inheritance::default() }).unwrap();
        let mut text = Vec::new();
        while let Some((message, _)) = receive(theirs.as_fd()).unwrap() {
            text.extend(message.strip_prefix(b"s").unwrap_or_default());
        }
        assert_eq!(String::from_utf8(text).unwrap(), serials);
    }
}
