//! Names of named ports: `_http._tcp.api_x.service.` has the ports called `http` of its instances.

use super::label;
use super::srv::{self, SrvTarget};
use crate::zone::members::{Member, Members, unnamed};
use crate::zone::name::Name;
use crate::zone::names::Names;

/// Adds the names of a service's ports.
pub(in crate::zone) fn add(names: &mut Names, of: &Members<'_>) {
    add_at(names, of, of.owner, of.all.iter());
}

/// Adds the names of the ports that `members`, some of the service's, have, below `owner`.
pub(super) fn add_at<'m>(
    names: &mut Names,
    of: &Members<'_>,
    owner: &Name,
    members: impl Iterator<Item = &'m Member<'m>>,
) {
    for Member { instance, .. } in members {
        for (port, endpoint) in &instance.ports {
            let label = label::exact(port).ok();
            let name = label.and_then(|label| srv::service_name(owner, &label, instance.protocol));
            match (name, SrvTarget::new(of.context, of.service, instance, endpoint)) {
                (Some(name), Ok(reach)) => {
                    reach.add_address(names);
                    reach.add_srv(names, &name, of.below());
                }
                (None, _) => names.remark(format!("the port `{port}` of {} makes no name", instance.name)),
                (_, Err(error)) => names.remark(unnamed(instance, endpoint, error)),
            }
        }
    }
}
