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
    /// Requests of HTTP inside TLS (RFC 8484).
    Https,
    /// Streams of QUIC (RFC 9250).
    Quic,
}

impl Transport {
    /// Returns whether messages are datagrams: their senders are not proven, their size is bounded by what the client
    /// announces, and what does not fit is asked for again over TCP.
    #[inline]
    pub const fn is_datagram(self) -> bool {
        matches!(self, Self::Udp)
    }

    /// Returns whether responses are padded for clients that pad (RFC 7830 §6): nobody between them and this server can
    /// read. QUIC's are written by the library, and not as long as they were made.
    pub const fn is_padded(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }

    /// Returns whether messages come one after the other on a connection that is theirs alone: it may carry zone
    /// transfers (RFC 5936 §4, RFC 9103), and the client may be told how long it may idle (RFC 7828).
    pub const fn is_connection(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// Name in log lines and errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Https => "HTTPS",
            Self::Quic => "QUIC",
        }
    }

    /// Label in metrics, as in `transport="udp"`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }
}
