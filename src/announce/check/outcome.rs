//! Results of a probe: good, bad, or none.
//!
//! A probe that this process could not make says nothing about the service. Descriptors, processes, memory, local
//! ports, an answer of the resolver or of a disk, a place among the probes on their way, or CPU time that are missing
//! here are a [`Shortage`]: there is *no result*, and the service's state stays as it is. A missing program (ENOENT), a
//! forbidden one (EACCES), a name that does not exist (NXDOMAIN) and a network that cannot be reached (ENETUNREACH,
//! EHOSTUNREACH) are bad results: the configuration or the service's own place in the network is wrong, and its clients
//! fare no better.

use std::error::Error;
use std::{fmt, io};

use rustix::io::Errno;

/// A probe's result. Good comes with a sentence for the status.
pub type Probed = Result<String, ProbeFailure>;

/// A probe that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeFailure {
    /// Speaks against the service: the reason, in a sentence.
    Bad(String),
    /// Says nothing about the service.
    NoResult(Shortage, String),
}

/// Something this process lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shortage {
    /// File descriptors, of the process or of the system (EMFILE, ENFILE).
    Descriptors,
    /// Processes or threads (EAGAIN from fork and clone).
    Processes,
    /// Memory (ENOMEM, ENOBUFS).
    Memory,
    /// Local TCP ports to connect from.
    Ports,
    /// An answer of the resolver: it is silent, or answers SERVFAIL.
    Resolver,
    /// A place among the probes on their way.
    Slots,
    /// An answer of the disk that has the file of a heartbeat.
    Disk,
    /// CPU time: the process stood still beyond the probe's time limit.
    Time,
}

impl Shortage {
    /// One word for it, as in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Processes => "processes",
            Self::Memory => "memory",
            Self::Ports => "ports",
            Self::Resolver => "resolver",
            Self::Slots => "slots",
            Self::Disk => "disk",
            Self::Time => "time",
        }
    }

    /// The shortage that `error` reports, whatever call returned it.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE | Errno::NFILE => Some(Self::Descriptors),
            Errno::NOMEM | Errno::NOBUFS => Some(Self::Memory),
            _ => None,
        }
    }

    /// The shortage that `error` reports of an attempt to read a file: a disk that is away says nothing about the file.
    pub(super) fn of_reading(error: &io::Error) -> Option<Self> {
        let is_away = crate::disk::is_away(error) || Errno::from_io_error(error) == Some(Errno::IO);
        if is_away { Some(Self::Disk) } else { Self::of(error) }
    }

    /// The shortage that `error` reports of an attempt to start a program.
    pub(super) fn of_starting(error: &io::Error) -> Option<Self> {
        Self::of_spawning(error).or_else(|| Self::of_reading(error))
    }

    /// The shortage that `error` reports of an attempt to start a process or a thread.
    pub(super) fn of_spawning(error: &io::Error) -> Option<Self> {
        // EAGAIN has other meanings elsewhere: a listener whose queue is full says so to a Unix socket.
        let is_limit = Errno::from_io_error(error) == Some(Errno::AGAIN);
        if is_limit { Some(Self::Processes) } else { Self::of(error) }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "no file descriptor left",
            Self::Processes => "no process or thread left",
            Self::Memory => "no memory left",
            Self::Ports => "no local port left",
            Self::Resolver => "no answer from the resolver",
            Self::Slots => "too many checks on their way",
            Self::Disk => "no answer from the disk",
            Self::Time => "no CPU time",
        })
    }
}

impl ProbeFailure {
    /// A failed `attempt`: no result if `error` or a cause of it is a shortage, else a bad one.
    pub(super) fn of(attempt: &str, error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(one) = cause {
            let io = one.downcast_ref::<io::Error>();
            if let Some(shortage) = io.and_then(Shortage::of) {
                return Self::NoResult(shortage, format!("{attempt}: {}", super::wire::chain(error)));
            }
            // An I/O error is not the source of its wrapper, but the wrapped one.
            cause = match io.and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => one.source(),
            };
        }
        Self::Bad(format!("{attempt}: {}", super::wire::chain(error)))
    }
}

/// The reason.
impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(reason) | Self::NoResult(_, reason) => f.write_str(reason),
        }
    }
}

impl From<String> for ProbeFailure {
    fn from(reason: String) -> Self {
        Self::Bad(reason)
    }
}

impl From<&str> for ProbeFailure {
    fn from(reason: &str) -> Self {
        Self::Bad(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_is_no_result_and_what_the_service_lacks_is_a_bad_one() {
        let of = |errno: Errno| Shortage::of(&errno.into());
        assert_eq!(of(Errno::MFILE), Some(Shortage::Descriptors));
        assert_eq!(of(Errno::NFILE), Some(Shortage::Descriptors));
        assert_eq!(of(Errno::NOMEM), Some(Shortage::Memory));
        assert_eq!(of(Errno::AGAIN), None, "but for processes and threads");
        assert_eq!(Shortage::of_spawning(&Errno::AGAIN.into()), Some(Shortage::Processes));
        for bad in [Errno::NOENT, Errno::ACCESS, Errno::PERM, Errno::CONNREFUSED, Errno::NETUNREACH, Errno::TXTBSY] {
            assert_eq!((of(bad), Shortage::of_spawning(&bad.into())), (None, None), "{bad}");
        }
    }

    #[test]
    fn a_disk_that_is_away_is_no_result_and_a_file_that_is_not_there_is_a_bad_one() {
        for away in [Errno::NOTCONN, Errno::STALE, Errno::IO, Errno::TIMEDOUT, Errno::HOSTUNREACH] {
            let of = [Shortage::of_reading(&away.into()), Shortage::of_starting(&away.into())];
            assert_eq!(of, [Some(Shortage::Disk); 2], "{away}");
        }
        for bad in [Errno::NOENT, Errno::ACCESS, Errno::ISDIR, Errno::NOEXEC] {
            assert_eq!(Shortage::of_starting(&bad.into()), None, "{bad}");
        }
    }

    #[test]
    fn a_shortage_is_found_behind_the_errors_of_libraries() {
        let inner: io::Error = Errno::MFILE.into();
        let outer = io::Error::other(inner);
        assert!(matches!(ProbeFailure::of("no connection", &outer), ProbeFailure::NoResult(Shortage::Descriptors, _)));
        let refused: io::Error = Errno::CONNREFUSED.into();
        let ProbeFailure::Bad(reason) = ProbeFailure::of("no connection", &refused) else { panic!("a bad result") };
        assert!(reason.starts_with("no connection: Connection refused"), "{reason}");
    }
}
