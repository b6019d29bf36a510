//! Reads one service out of the mirrored tree: what its znodes say together.

use std::collections::HashMap;

use super::drain_tree::NodeFlags;
use super::layout::Layout;
use super::reading::Reading;
use crate::format::{self, Beside, Decoded, Node, NodeKind};
use crate::model::{Drain, Endpoint, Instance, Malformed, Service, State};
use crate::registry;
use crate::registry::Path;
use crate::registry::shown::{Readable, ShownNode, ShownTree};
use crate::registry::tree::{Entry, Known};

impl Layout {
    /// Reads the service that is shown at `below`; none when no znode of it is there. Of its drains there are only
    /// those that hold at `now`, in seconds since 1970, and what they cover is drained.
    pub fn read(&self, tree: &ShownTree, below: &str, now: u64) -> Option<Reading> {
        if self.is_system(below) || self.is_instance_by_data(tree, below) {
            return None;
        }
        let shown = self.full(below);
        let mut reading = Reading::default();
        let mut exists = false;
        if let Some(node) = tree.get(&shown) {
            exists = true;
            self.read_defaults(tree, &node, now, &mut reading);
        }
        if let Some(drains) = &self.drains {
            let NodeFlags { drains: flags, malformed } = drains.of(&shown);
            let (hold, over): (Vec<_>, Vec<_>) = flags.into_iter().partition(|drain| drain.holds(now));
            reading.service.defaults.drains.extend(hold);
            reading.over.extend(over);
            reading.malformed.extend(malformed);
        }
        let mut nodes = Vec::new();
        if self.is_own_instance(tree, below) {
            nodes.extend(tree.get(&shown));
        }
        for directory in self.directories(&shown) {
            let (children, jumped) = tree.children(&directory);
            for child in children {
                let is_instance = child.path.below(&self.root).is_some_and(
                    |at| matches!(self.kind(tree, &child, at), NodeKind::Instance { service, .. } if service == below),
                );
                if is_instance {
                    exists = true;
                    if jumped {
                        report_below(tree, &child.real, &mut reading);
                    }
                    nodes.push(child);
                }
            }
        }
        self.read_instances(tree, &nodes, below, &mut reading);
        below.clone_into(&mut reading.service.path);
        reading.service.is_dotted = self.format.are_dots_borders();
        let roles = self.format.roles();
        // A znode that only leads to services has none to give.
        if !roles.is_empty() && (!nodes.is_empty() || self.is_service(tree, below)) {
            reading.service.roles = roles.to_vec();
        }
        self.apply_drains(below, &mut reading);
        reading.tell_doubles();
        reading.sort();
        exists.then_some(reading)
    }

    /// Drains what the flags of the service at `below` cover, and those of other readers.
    fn apply_drains(&self, below: &str, reading: &mut Reading) {
        let Service { defaults, instances, .. } = &mut reading.service;
        for instance in instances.iter_mut().filter(|instance| instance.state == State::Up) {
            if defaults.drains.iter().any(|drain| drain.covers(instance)) {
                instance.state = State::Drain;
            }
        }
        let Some(shared) = &self.shared else { return };
        for drain in &defaults.drains {
            match &drain.instance {
                Some(_) => reading.shared.push(drain.clone()),
                None => reading.shared.extend(instances.iter().map(|instance| {
                    let instance = Some(instance.endpoint.clone());
                    Drain { instance, ..drain.clone() }
                })),
            }
        }
        let of_others = shared.of_others(below).into_iter();
        let of_others: HashMap<Endpoint, Drain> =
            of_others.filter_map(|drain| Some((drain.instance.as_ref()?.folded(), drain))).collect();
        if of_others.is_empty() {
            return;
        }
        for instance in instances.iter_mut().filter(|instance| instance.state == State::Up) {
            if let Some(drain) = of_others.get(&instance.endpoint.folded()) {
                instance.state = State::Drain;
                defaults.drains.push(drain.clone());
            }
        }
    }

    /// Reads what a service's own node says for all its instances.
    fn read_defaults(&self, tree: &ShownTree, node: &ShownNode<'_>, now: u64, reading: &mut Reading) {
        let path = node.real.as_str();
        match node.entry {
            Entry::Known(known) => {
                let said = tree.readable(node, known);
                let former = self.former(&said, known);
                let mut remarks = said.remarks;
                remarks.extend(former.map(|why| format!("{why}; what it said before holds")));
                let (defaults, more) = self.format.decode_service(&said.data);
                reading.service.defaults = defaults;
                let over = reading.service.defaults.drains.extract_if(.., |drain| !drain.holds(now));
                reading.over.extend(over);
                remarks.extend(more);
                reading.malformed.extend(remarks.into_iter().map(|reason| Malformed::doubtful(path, reason)));
            }
            Entry::Unreadable(error @ registry::Error::TooMuchData { .. }) => {
                let reason = format!("{error}; its instances are served as if it said nothing");
                reading.malformed.push(Malformed::doubtful(path, reason));
            }
            Entry::Unreadable(error) => reading.malformed.push(Malformed::lost(path, error.to_string())),
        }
    }

    /// Reads the instances of the service at `service`, whose znodes these are.
    fn read_instances(&self, tree: &ShownTree, nodes: &[ShownNode<'_>], service: &str, reading: &mut Reading) {
        let beside = &Others { tree, root: &self.root };
        let mut decoded = Vec::with_capacity(nodes.len());
        let mut rest = Vec::with_capacity(nodes.len());
        for (number, node) in nodes.iter().enumerate() {
            let precedence = match node.entry {
                Entry::Unreadable(_) => (false, 0),
                Entry::Known(known) => (known.ephemeral_owner != 0, known.czxid),
            };
            let (read, remarks) = self.decode_node(tree, node, beside);
            match read {
                Err(error) => reading.malformed.push(Malformed::lost(node.real.as_str(), error.to_string())),
                Ok(instances) => decoded.extend(instances.into_iter().map(|instance| {
                    let below = node.real.below(&self.root).unwrap_or_default();
                    Decoded { below, node: number, instance }
                })),
            }
            rest.push((precedence, remarks));
        }
        self.format.finish(service, &mut decoded, beside);
        for Decoded { node: number, mut instance, .. } in decoded {
            let (Some(node), Some((precedence, remarks))) = (nodes.get(number), rest.get_mut(number)) else { continue };
            let path = &node.real;
            instance.remarks.append(remarks);
            let doubts = instance.remarks.iter().map(|reason| Malformed::doubtful(path.as_str(), reason));
            reading.malformed.extend(doubts);
            reading.add(instance, *precedence, path);
        }
    }

    /// The instances of one znode, as it says them itself, and remarks about its links.
    pub(super) fn decode_instances(
        &self,
        tree: &ShownTree,
        node: &ShownNode<'_>,
    ) -> (Result<Vec<Instance>, format::Error>, Vec<String>) {
        self.decode_node(tree, node, &Others { tree, root: &self.root })
    }

    fn decode_node(
        &self,
        tree: &ShownTree,
        node: &ShownNode<'_>,
        beside: &Others<'_>,
    ) -> (Result<Vec<Instance>, format::Error>, Vec<String>) {
        let of = |data| {
            let below = node.real.below(&self.root).unwrap_or_default();
            // That of one that is shown elsewhere is not its own.
            let own = self.format.is_placed().then(|| below.rsplit('/').next()).flatten();
            Node { below, name: own.unwrap_or_else(|| node.path.name()), data, beside }
        };
        match node.entry {
            Entry::Unreadable(error) => {
                let read = self.format.unread_instance(&of(&[]), &error.to_string());
                (read.map(|instance| vec![instance]), Vec::new())
            }
            Entry::Known(known) => {
                let said = tree.readable(node, known);
                let read = match self.former(&said, known) {
                    None => self.format.decode(&of(&said.data)),
                    Some(why) => self.format.decode_former(&of(&said.data), &why),
                };
                (read, said.remarks)
            }
        }
    }

    /// What is wrong with the present data of a znode, where earlier ones are read.
    fn former(&self, said: &Readable<'_>, known: &Known) -> Option<String> {
        if said.is_kept {
            let error = self.format.check(&known.data).err().map(|error| error.to_string());
            return Some(error.unwrap_or_else(|| "its data cannot be read".to_owned()));
        }
        said.refusal.map(ToString::to_string)
    }
}

/// The znodes of a registry, as they are.
#[derive(Debug)]
struct Others<'t> {
    tree: &'t ShownTree,
    root: &'t Path,
}

impl Beside for Others<'_> {
    fn data(&self, below: &str) -> Option<&[u8]> {
        let path = if below.is_empty() { self.root.clone() } else { self.root.child(below) };
        match self.tree.tree().get(path.as_str())? {
            Entry::Known(known) => Some(&known.data),
            Entry::Unreadable(_) => Some(&[]),
        }
    }

    fn children(&self, below: &str) -> Vec<&str> {
        let path = if below.is_empty() { self.root.clone() } else { self.root.child(below) };
        self.tree.tree().children(&path).map(|(path, _)| path.name()).collect()
    }
}

/// Somebody may have put a service below an instance; they should find out why it is not served.
fn report_below(tree: &ShownTree, instance: &Path, reading: &mut Reading) {
    for (path, _) in tree.tree().children(instance) {
        let reason = format::Error::BelowInstance.to_string();
        reading.malformed.push(Malformed::lost(path.as_str(), reason));
    }
}
