//! Causes of a failed connect, by kind: the labels of a metric, and the key by which a message is told again or not.

use std::io;

/// The cause of a failed connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The server's name cannot be resolved.
    UnknownName,
    /// Nothing listens on the port.
    Refused,
    /// There is no way to the address from this host.
    Unreachable,
    /// No answer in the time given.
    Silent,
    /// The server closed the connection before there was a session.
    Closed,
    /// The server speaks another protocol.
    Garbage,
    /// There is no TLS with the server.
    Tls,
    /// The server refused the credentials.
    Auth,
    /// This process has no file descriptor left, or the host has none.
    Descriptors,
    /// Anything else.
    Other,
}

impl Cause {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::UnknownName,
        Self::Refused,
        Self::Unreachable,
        Self::Silent,
        Self::Closed,
        Self::Garbage,
        Self::Tls,
        Self::Auth,
        Self::Descriptors,
        Self::Other,
    ];

    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownName => "unknown name",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::Garbage => "not ZooKeeper",
            Self::Tls => "TLS",
            Self::Auth => "credentials",
            Self::Descriptors => "no descriptors",
            Self::Other => "other",
        }
    }

    /// The cause behind an error of the system's.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied => Self::Unreachable,
            io::ErrorKind::TimedOut => Self::Silent,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => Self::Descriptors,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_their_causes() {
        for (number, cause) in [
            (libc::ECONNREFUSED, Cause::Refused),
            (libc::ENETUNREACH, Cause::Unreachable),
            (libc::EHOSTUNREACH, Cause::Unreachable),
            (libc::EADDRNOTAVAIL, Cause::Unreachable),
            (libc::EPERM, Cause::Unreachable),
            (libc::EMFILE, Cause::Descriptors),
            (libc::ENFILE, Cause::Descriptors),
            (libc::ETIMEDOUT, Cause::Silent),
            (libc::ECONNRESET, Cause::Closed),
            (libc::ENOBUFS, Cause::Other),
        ] {
            assert_eq!(Cause::of(&io::Error::from_raw_os_error(number)), cause, "errno {number}");
        }
    }

    #[test]
    fn every_cause_has_its_place_in_the_list_and_a_label_of_its_own() {
        let labels: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(labels.len(), Cause::ALL.len());
        assert!(Cause::ALL.iter().enumerate().all(|(place, cause)| *cause as usize == place));
    }
}
