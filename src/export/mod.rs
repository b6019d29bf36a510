//! A whole zone as text, for people, tools and other servers: as a master file ([`zonefile`]), as JSON ([`json`]), as a
//! hosts file ([`hosts`]). Pure: a snapshot in, text out; used by the admin server, and so by `zonekeeper dump`.

mod hosts;
mod json;
mod snapshot;
mod zonefile;

pub use snapshot::{Beside, Snapshot};

/// Form in which a zone is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As a master file (RFC 1035 §5) that any name server reads.
    Zone,
    /// As JSON.
    Json,
    /// As a hosts file: its addresses and their names.
    Hosts,
}

impl Form {
    /// All of them, with what they are called.
    pub const ALL: [(&'static str, Self); 3] = [("zone", Self::Zone), ("json", Self::Json), ("hosts", Self::Hosts)];

    /// The form that is called so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, form)| *form)
    }
}

/// Writes a zone.
///
/// # Errors
/// Only when memory or JSON fail: there is no data that cannot be written.
pub fn render(snapshot: &Snapshot, form: Form) -> Result<String, serde_json::Error> {
    match form {
        Form::Zone => Ok(zonefile::render(snapshot) + &snapshot.beside.comments(";")),
        Form::Json => json::render(snapshot),
        Form::Hosts => Ok(hosts::render(snapshot) + &snapshot.beside.comments("#")),
    }
}

#[cfg(test)]
mod tests;
