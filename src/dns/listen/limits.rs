//! Limits of TCP connections (RFC 7766 §6.2, RFC 9210 §4): the table `[dns.tcp]`.

use std::time::Duration;

use crate::settings::{Located, Section, live};

/// The limits of all connections together, and of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub per_client: usize,
    /// Limit of the time that a connection goes without a whole query (RFC 7766 §6.2.3).
    pub idle: Duration,
    /// Limit of the time in which a client takes its answers.
    pub write: Duration,
    /// Limit of a connection's age, whatever it does.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            per_client: 128,
            idle: Duration::from_secs(10),
            write: Duration::from_secs(5),
            total: Duration::from_secs(3600),
        }
    }
}

/// More have no file descriptors anywhere.
const MAX_CONNECTIONS: usize = 1 << 20;
/// Limit of edns-tcp-keepalive: 65535 tenths of a second (RFC 7828 §3.1).
const MAX_IDLE: Duration = Duration::from_millis(6_553_500);
/// A year is for ever.
const MAX_TIME: Duration = Duration::from_secs(365 * 86_400);

impl Limits {
    /// Reads the `[dns.tcp]` table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let mut limits = Self::default();
        for (key, limit) in
            [(live("connections"), &mut limits.connections), (live("per_client"), &mut limits.per_client)]
        {
            let Some(Located { value, span }) = section.located(key) else { continue };
            if (1..=MAX_CONNECTIONS).contains(&value) {
                *limit = value;
            } else {
                section.problems().add(span, format!("`{key}` must be from 1 to {MAX_CONNECTIONS}"));
            }
        }
        let times = [
            (live("idle"), &mut limits.idle, MAX_IDLE),
            (live("write"), &mut limits.write, MAX_TIME),
            (live("total"), &mut limits.total, MAX_TIME),
        ];
        for (key, limit, most) in times {
            let Some(Located { value, span }) = section.located::<Duration>(key) else { continue };
            if value.is_zero() || value > most {
                let message = format!("`{key}` must be more than \"0s\", and at most {} seconds", most.as_secs());
                section.problems().add(span, message);
            } else {
                *limit = value;
            }
        }
        limits
    }
}
