//! A service's instances that are in the answers, for the forms of names that are made of them.

use super::context::Context;
use super::name::{Name, NameError};
use super::names::Names;
use super::offer::Rank;
use super::records::srv::SrvTarget;
use crate::model::{Endpoint, Instance, Service};

/// A service in a zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Members<'s> {
    /// Settings of the zone.
    pub(super) context: &'s Context<'s>,
    pub(super) service: &'s Service,
    /// Its own name, or another spelling of it.
    pub(super) owner: &'s Name,
    /// Precedence of that: real, or alias.
    pub(super) rank: Rank,
    pub(super) all: &'s [Member<'s>],
}

/// An instance that is in the answers.
#[derive(Debug)]
pub(super) struct Member<'s> {
    pub(super) instance: &'s Instance,
    pub(super) reach: SrvTarget,
}

impl Members<'_> {
    /// Precedence of names below it.
    pub(super) fn below(&self) -> Rank {
        if self.rank == Rank::Real { Rank::Subset } else { self.rank }
    }
}

impl<'s> Member<'s> {
    /// Those of a service. One of whose host no name can be made is none of them, and is told.
    pub(super) fn all(context: &Context<'_>, service: &'s Service, names: &mut Names) -> Vec<Self> {
        service
            .up()
            .filter_map(|instance| {
                let reach = SrvTarget::new(context, service, instance, &instance.endpoint);
                let told = reach.map_err(|error| names.remark(unnamed(instance, &instance.endpoint, error)));
                Some(Self { instance, reach: told.ok()? })
            })
            .collect()
    }
}

/// Tells that an endpoint of an instance makes no name.
pub(super) fn unnamed(instance: &Instance, endpoint: &Endpoint, error: NameError) -> String {
    format!("instance {}: no name can be made of its host in {endpoint}: {error}", instance.name)
}
