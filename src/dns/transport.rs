//! Transports of queries.

/// Transport by which a query came and its response leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams (RFC 1035 §4.2.1).
    Udp,
    /// Connections (RFC 7766).
    Tcp,
    /// Connections inside TLS (RFC 7858).
    Tls,
}

impl Transport {
    /// Returns whether messages are datagrams: their senders are not proven, their size is bounded by what the client
    /// announces, and what does not fit is asked for again over TCP.
    #[inline]
    pub const fn is_datagram(self) -> bool {
        matches!(self, Self::Udp)
    }

    /// Name in log lines and errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Label in metrics, as in `transport="udp"`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}
