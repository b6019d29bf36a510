//! An explanation as plain data, which is its JSON.

use serde::Serialize;

use crate::inspect::explain::outcome::NameSource;
use crate::zone::file::Placed;
use crate::zone::rdata;

/// The process that answers.
#[derive(Debug, Clone, Serialize)]
pub(in crate::admin) struct ServerJson {
    /// The host's name.
    pub(in crate::admin) host: String,
    /// The admin address.
    pub(in crate::admin) admin: String,
    pub(in crate::admin) version: &'static str,
    pub(in crate::admin) pid: u32,
}

/// All that is known about what was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Explanation<'a> {
    pub(super) server: &'a ServerJson,
    pub(super) asked: String,
    pub(super) r#type: String,
    /// Remarks on what was made of it.
    pub(super) notes: Vec<String>,
    pub(super) names: Vec<OfName>,
    pub(super) did_you_mean: Option<String>,
}

/// One name.
#[derive(Debug, Serialize)]
pub(super) struct OfName {
    pub(super) name: String,
    pub(super) r#type: String,
    pub(super) zone: String,
    /// The zone's state and its answer, a line each.
    pub(super) answer: Vec<String>,
    pub(super) zone_file: Vec<InFile>,
    pub(super) registries: Vec<OfRegistry>,
    /// Services that this process registers.
    pub(super) this_host: Vec<Local>,
}

/// A record of the zone file.
#[derive(Debug, Serialize)]
pub(super) struct InFile {
    /// `service.zone:12`.
    pub(super) place: String,
    pub(super) name: String,
    pub(super) r#type: String,
}

/// Part of one registry in a name.
#[derive(Debug, Serialize)]
pub(super) struct OfRegistry {
    pub(super) registry: String,
    pub(super) mirror: &'static str,
    /// Seconds since it was exact.
    pub(super) age_s: Option<u64>,
    /// Reason for which the name is known although no znode leads to it.
    pub(super) known: Option<String>,
    pub(super) services: Vec<ServiceJson>,
    #[serde(skip)]
    pub(super) sources: Vec<NameSource>,
}

/// A service that the name could be of.
#[derive(Debug, Serialize)]
pub(super) struct ServiceJson {
    pub(super) path: String,
    /// All DNS names of the service.
    pub(super) names: Vec<String>,
    pub(super) form: String,
    pub(super) hidden_by: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) instances: Vec<InstanceJson>,
    pub(super) lost: Vec<ProblemJson>,
    pub(super) doubtful: Vec<ProblemJson>,
}

#[derive(Debug, Serialize)]
pub(super) struct InstanceJson {
    pub(super) name: String,
    pub(super) r#in: bool,
    pub(super) why: String,
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ProblemJson {
    pub(super) path: String,
    pub(super) reason: String,
}

/// A registration of this process.
#[derive(Debug, Serialize)]
pub(super) struct Local {
    pub(super) registry: String,
    pub(super) service: String,
    /// None where no address is known to register it at.
    pub(super) znode: Option<String>,
    pub(super) state: &'static str,
    pub(super) reason: Option<String>,
    pub(super) is_registered: bool,
    pub(super) checks: Vec<CheckJson>,
}

#[derive(Debug, Serialize)]
#[allow(clippy::struct_field_names)] // the names are the JSON's
pub(super) struct CheckJson {
    pub(super) check: String,
    pub(super) state: &'static str,
    pub(super) said: String,
}

impl InFile {
    pub(super) fn new(Placed { owner, rtype, place }: Placed) -> Self {
        Self { place, name: owner.to_string(), r#type: rdata::mnemonic(rtype) }
    }
}

impl OfName {
    /// Returns whether nobody knows the name.
    pub(super) fn is_nothing(&self) -> bool {
        let is_source = |one: &OfRegistry| one.known.is_some() || !one.services.is_empty();
        self.answer.iter().any(|line| line.starts_with("answer: NXDOMAIN"))
            && self.zone_file.is_empty()
            && self.this_host.is_empty()
            && !self.registries.iter().any(is_source)
    }
}
