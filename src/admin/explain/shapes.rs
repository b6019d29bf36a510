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
pub(in crate::admin) struct Explanation<'a> {
    pub(in crate::admin) server: &'a ServerJson,
    pub(in crate::admin) asked: String,
    pub(in crate::admin) r#type: String,
    /// Remarks on what was made of it.
    pub(in crate::admin) notes: Vec<String>,
    pub(in crate::admin) names: Vec<OfName>,
    pub(in crate::admin) did_you_mean: Option<String>,
}

/// One name.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct OfName {
    pub(in crate::admin) name: String,
    pub(in crate::admin) r#type: String,
    pub(in crate::admin) zone: String,
    /// The zone's state and its answer, a line each.
    pub(in crate::admin) answer: Vec<String>,
    pub(in crate::admin) zone_file: Vec<InFile>,
    pub(in crate::admin) registries: Vec<OfRegistry>,
    /// Services that this process registers.
    pub(in crate::admin) this_host: Vec<Local>,
}

/// A record of the zone file.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct InFile {
    /// `service.zone:12`.
    pub(in crate::admin) place: String,
    pub(in crate::admin) name: String,
    pub(in crate::admin) r#type: String,
}

/// Part of one registry in a name.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct OfRegistry {
    pub(in crate::admin) registry: String,
    /// Name of the format that it is read in.
    pub(in crate::admin) format: String,
    /// Pattern of the paths of instances, or a few words about them.
    pub(in crate::admin) pattern: String,
    pub(in crate::admin) mirror: &'static str,
    /// Seconds since it was exact.
    pub(in crate::admin) age_s: Option<u64>,
    /// Reason for which the name is known although no znode leads to it.
    pub(in crate::admin) known: Option<String>,
    pub(in crate::admin) services: Vec<ServiceJson>,
    #[serde(skip)]
    pub(in crate::admin) sources: Vec<NameSource>,
}

/// A service that the name could be of.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct ServiceJson {
    pub(in crate::admin) path: String,
    /// All DNS names of the service.
    pub(in crate::admin) names: Vec<String>,
    pub(in crate::admin) form: String,
    pub(in crate::admin) hidden_by: Option<String>,
    pub(in crate::admin) notes: Vec<String>,
    pub(in crate::admin) instances: Vec<InstanceJson>,
    pub(in crate::admin) lost: Vec<ProblemJson>,
    pub(in crate::admin) doubtful: Vec<ProblemJson>,
}

#[derive(Debug, Serialize)]
pub(in crate::admin) struct InstanceJson {
    pub(in crate::admin) name: String,
    pub(in crate::admin) r#in: bool,
    pub(in crate::admin) why: String,
    pub(in crate::admin) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(in crate::admin) struct ProblemJson {
    pub(in crate::admin) path: String,
    pub(in crate::admin) reason: String,
}

/// A registration of this process.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Local {
    pub(in crate::admin) registry: String,
    pub(in crate::admin) service: String,
    /// None where no address is known to register it at.
    pub(in crate::admin) znode: Option<String>,
    pub(in crate::admin) state: &'static str,
    pub(in crate::admin) reason: Option<String>,
    pub(in crate::admin) is_registered: bool,
    pub(in crate::admin) checks: Vec<CheckJson>,
}

#[derive(Debug, Serialize)]
#[allow(clippy::struct_field_names)] // the names are the JSON's
pub(in crate::admin) struct CheckJson {
    pub(in crate::admin) check: String,
    pub(in crate::admin) state: &'static str,
    pub(in crate::admin) said: String,
}

impl InFile {
    pub(in crate::admin) fn new(Placed { owner, rtype, place }: Placed) -> Self {
        Self { place, name: owner.to_string(), r#type: rdata::mnemonic(rtype) }
    }
}

impl OfName {
    /// Returns whether nobody knows the name.
    pub(in crate::admin) fn is_nothing(&self) -> bool {
        let is_source = |one: &OfRegistry| one.known.is_some() || !one.services.is_empty();
        self.answer.iter().any(|line| line.starts_with("answer: NXDOMAIN"))
            && self.zone_file.is_empty()
            && self.this_host.is_empty()
            && !self.registries.iter().any(is_source)
    }
}
