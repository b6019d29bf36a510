//! Errors of reading and writing znodes.

/// Data of a znode beyond this many bytes is not read. Real registrations take some hundred bytes.
pub const DATA_LIMIT: usize = 64 * 1024;

/// Why a znode is no instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No `:port` at the end of the name.
    #[error("its name is not of the form host:port")]
    NoPort,
    /// The port is no number, 0 or too large.
    #[error("the port in its name is not a number from 1 to 65535")]
    BadPort,
    /// Nothing in front of the port.
    #[error("its name has no host in front of the port")]
    NoHost,
    /// `2001:db8::1:80` could be two things.
    #[error("an IPv6 address in a name must stand in brackets: [2001:db8::1]:80")]
    BareV6,
    /// The brackets hold something else.
    #[error("what stands in brackets in its name is not an IPv6 address")]
    BadV6,
    /// A name of digits and dots that is no IPv4 address, such as `10.0.0.300`.
    #[error("the host in its name ends in a number and is not an IPv4 address")]
    BadV4,
    /// A host name that cannot be one.
    #[error(
        "the host in its name is longer than 253 bytes, or has an empty label, a space, a slash or a control character"
    )]
    BadHost,
    /// An address that no client can reach anybody at.
    #[error("the host in its name is {0}")]
    Unusable(&'static str),
    /// `*`, which would be a wildcard in DNS.
    #[error("the host in its name has a label `*`, which would be a wildcard")]
    Wildcard,
    /// A name in another script that makes no A-labels (RFC 5891).
    #[error("the host in its name is in another script and makes no domain name")]
    BadIdn,
    /// More than [`DATA_LIMIT`].
    #[error("its data has {0} bytes; more than {DATA_LIMIT} are not read")]
    TooLarge(usize),
    /// Bytes that are no text.
    #[error("its data is not UTF-8 text")]
    NotText,
    /// It begins like a JSON object.
    #[error("its data begins like a JSON object and is none: {0}")]
    BadJson(String),
    /// Data in which the endpoint should be, in a convention that has it there.
    #[error("its data give no endpoint: {0}")]
    NoEndpoint(String),
    /// A name that should give the endpoint, in a convention that has it there.
    #[error("its name gives no endpoint: {0}")]
    NoEndpointInName(String),
    /// Data that are not of the kind that their convention has, and why not.
    #[error("its data are not {0}: {1}")]
    BadData(&'static str, String),
    /// The flags in a service's own node are not as this program writes them, and would be lost.
    #[error("its `drain` is not as this program writes it: {0}")]
    BadDrain(String),
    /// See [`NodeKind::Inside`](super::NodeKind::Inside).
    #[error("it lies below an instance, where nothing is looked for")]
    BelowInstance,
}
