//! Names at which a service is not what shows, whatever it offers: name servers, and what lies at or below a cut.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

use super::name::Name;

/// Site of a name, as far as that bears on what shows there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// Nowhere special.
    Plain,
    /// A name server of the zone or of a delegation, whose addresses the zone file or the zone itself has.
    Server,
    /// Below the apex of another zone of this server, or a delegation or DNAME of the zone file: not the registry's.
    Cut,
}

/// Names at or below which nothing is the registry's.
pub(super) type ZoneCuts = HashMap<Name, Cut, FixedState>;

/// Extent of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The name and all below it: a delegation.
    Delegation,
    /// All below it: a DNAME.
    Redirection,
}

/// Special names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sites {
    /// Name servers whose addresses the zone file or the zone itself has.
    pub(super) servers: HashSet<Name, FixedState>,
    /// Names at or below which nothing is the registry's.
    pub(super) cuts: ZoneCuts,
    /// Name servers of delegations, below a cut, of which the registry alone can have addresses: nobody would find them
    /// without.
    pub(super) glue: HashSet<Name, FixedState>,
}

impl Sites {
    pub(super) fn has_cuts(&self) -> bool {
        !self.cuts.is_empty()
    }
}
