//! What there is to drain: the services at and below a znode, each with its instances and flags, read without a mirror.

use std::collections::BTreeMap;

use super::retry::retrying;
use crate::announce::Error;
use crate::format::{self, Config, NodeKind};
use crate::model::{Drain, Endpoint};
use crate::registry;
use crate::registry::Path;
use crate::zookeeper::session::{Ensemble, Read, Reply, Session};

/// Znodes that are read in one request: their paths may be long.
const BATCH: usize = 100;

/// The services, and the znodes that lead to them, at and below a znode, by their paths below the registry's root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Empty where there is no such znode.
    pub nodes: BTreeMap<String, SurveyedNode>,
    /// Znodes that may not be read, and why.
    pub refused: Vec<(Path, registry::Error)>,
}

/// One of these znodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SurveyedNode {
    /// Endpoints of its instances.
    pub instances: Vec<Endpoint>,
    /// Names where instances stand that give no endpoint.
    pub foreign: Vec<String>,
    /// True if it has a providers directory.
    pub has_directory: bool,
    /// True if other services, or znodes that could be some, are below it.
    pub leads_on: bool,
    /// The session that owns it; 0 for a persistent znode.
    pub owner: i64,
    /// Flags in its own znode, those that have ended included.
    pub drains: Vec<Drain>,
    /// Flags in the drain tree, those that have ended included.
    pub tree_drains: Vec<Drain>,
    /// True if its flags are written into a drain tree, and not into its own znode.
    pub is_in_tree: bool,
}

impl SurveyedNode {
    /// Returns whether it is a service for certain: it has instances, or a place for them.
    pub fn is_service(&self) -> bool {
        self.unfit().is_none() && (self.has_directory || !self.instances.is_empty())
    }

    /// Reason why no flag can be written into it; none where one can. Flags are read in nodes of zc.zk and
    /// `nd_service_registry` alone; what others keep in their znodes is not to be changed.
    pub fn unfit(&self) -> Option<String> {
        if self.owner != 0 {
            return Some("it is an ephemeral znode, so an instance that is read neither as zc nor as nd".to_owned());
        }
        match &*self.foreign {
            [name, ..] if self.instances.is_empty() => Some(format!(
                "none of the {} znodes where its instances would be has a name of the form host:port (such as `{name}`), so \
                 it is read neither as zc nor as nd",
                self.foreign.len()
            )),
            _ => None,
        }
    }
}

/// The services at and below `at`, with their instances.
///
/// # Errors
/// When they cannot be read.
pub async fn survey<E: Ensemble>(ensemble: &E, root: &Path, format: &Config, at: &Path) -> Result<Survey, Error> {
    outline(ensemble, root, format, at, true).await
}

/// The paths of the znodes that are reached from `from` by one child after the other of which each of `accepts` takes
/// one by its name.
///
/// # Errors
/// When they cannot be read.
pub async fn descend<E: Ensemble>(
    ensemble: &E,
    from: &Path,
    accepts: &[&dyn Fn(&str) -> bool],
) -> Result<Vec<Path>, Error> {
    let found = retrying(ensemble, async |session: &E::Session| {
        session.sync(from).await?;
        let mut level = vec![from.clone()];
        for is_meant in accepts {
            let reads: Vec<Read> = level.iter().cloned().map(Read::Children).collect();
            let mut next = Vec::new();
            for reads in reads.chunks(BATCH) {
                for (read, reply) in reads.iter().zip(session.read(reads).await?) {
                    if let Reply::Children(names) = reply {
                        next.extend(names.iter().filter(|name| is_meant(name)).map(|name| read.path().child(name)));
                    }
                }
            }
            level = next;
        }
        Ok(level)
    });
    found.await.map_err(|error| Error::ListServices { root: ensemble.full_path(from), error })
}

/// The same as [`survey`], without instances unless those are wished for.
pub(super) async fn outline<E: Ensemble>(
    ensemble: &E,
    root: &Path,
    format: &Config,
    at: &Path,
    with_instances: bool,
) -> Result<Survey, Error> {
    let read = async |session: &E::Session| read_below(session, root, format, at, with_instances).await;
    retrying(ensemble, read).await.map_err(|error| Error::ListServices { root: ensemble.full_path(at), error })
}

/// Reads level by level. Instances themselves are not read.
async fn read_below<S: Session>(
    session: &S,
    root: &Path,
    format: &Config,
    at: &Path,
    with_instances: bool,
) -> Result<Survey, registry::Error> {
    let (mut survey, mut level) = (Survey::default(), vec![at.clone()]);
    session.sync(at).await?;
    while !level.is_empty() {
        let mut next = Vec::new();
        for paths in level.chunks(BATCH) {
            let reads = paths.iter().flat_map(|path| [Read::Node(path.clone()), Read::Children(path.clone())]);
            let reads: Vec<_> = reads.collect();
            for (read, reply) in reads.iter().zip(session.read(&reads).await?) {
                let (path, below) = (read.path(), read.path().below(root).unwrap_or_default());
                match reply {
                    Reply::Node(node) => {
                        if let NodeKind::Service { path } = format.place(below) {
                            let found = survey.nodes.entry(path.to_owned()).or_default();
                            found.owner = node.stat.ephemeral_owner;
                            found.drains = format.decode_service(&node.data).0.drains;
                        }
                    }
                    Reply::Children(names) => {
                        // ZooKeeper's own.
                        for child in names.iter().map(|name| path.child(name)).filter(|it| it.as_str() != "/zookeeper")
                        {
                            let wished = survey.meet(format, child.below(root).unwrap_or_default(), with_instances);
                            next.extend(wished.then_some(child));
                        }
                    }
                    Reply::Failed(registry::Error::NoNode) => {}
                    Reply::Failed(error) => survey.refused.push((path.clone(), error)),
                }
            }
        }
        level = next;
    }
    survey.refused.dedup();
    Ok(survey)
}

impl Survey {
    /// Takes in the znode at `below`. Returns whether it is to be read.
    fn meet(&mut self, format: &Config, below: &str, with_instances: bool) -> bool {
        match format.place(below) {
            NodeKind::Service { path } | NodeKind::Leaf { path, .. } => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                self.nodes.entry(parent.to_owned()).or_default().leads_on = true;
                true
            }
            NodeKind::Directory { service } => {
                self.nodes.entry(service.to_owned()).or_default().has_directory = true;
                with_instances
            }
            NodeKind::Instance { service, name } => {
                let node = self.nodes.entry(service.to_owned()).or_default();
                // Of zc and nd alone: whoever else registers there reads no flags.
                match format::endpoint(name) {
                    Ok(endpoint) => node.instances.push(endpoint),
                    Err(_) => node.foreign.push(name.to_owned()),
                }
                false
            }
            NodeKind::Inside { .. } | NodeKind::Beside { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::memory::Memory;
    use crate::zookeeper::session::{Access, Mode};

    async fn registry(nodes: &[&str]) -> Memory {
        let memory = Memory::new("memory");
        let session = memory.connect().await.unwrap();
        for path in nodes {
            session.create(&Path::new(path).unwrap(), b"", Mode::Persistent, &Access::Open).await.unwrap();
        }
        memory
    }

    #[tokio::test]
    async fn services_are_told_from_what_leads_to_them_and_from_what_others_keep() {
        let nodes =
            ["/s", "/s/stage", "/s/stage/db", "/s/stage/db/10.0.0.1:1", "/s/stage/api", "/s/stage/api/providers"];
        let more = ["/s/stage/notes", "/s/dubbo", "/s/dubbo/providers", "/s/dubbo/providers/dubbo%3A%2F%2F10.0.0.1"];
        let memory = registry(&[nodes.as_slice(), &more].concat()).await;
        let (root, format) = (Path::new("/s").unwrap(), Config::default());
        let found = survey(&memory, &root, &format, &root).await.unwrap().nodes;
        let services: Vec<_> = found.iter().filter(|(_, node)| node.is_service()).map(|(path, _)| &**path).collect();
        assert_eq!(services, ["stage/api", "stage/db"]);
        assert!(found["stage"].leads_on && !found["stage/notes"].leads_on);
        assert!(found["dubbo"].unfit().unwrap().contains("`dubbo%3A%2F%2F10.0.0.1`"), "{found:?}");
        assert_eq!(survey(&memory, &root, &format, &root.child("none")).await.unwrap(), Survey::default());
        let accepts: [&dyn Fn(&str) -> bool; 2] = [&|name| name == "stage", &|name| name != "db"];
        let paths = descend(&memory, &root, &accepts).await.unwrap();
        assert_eq!(paths.iter().map(Path::name).collect::<Vec<_>>(), ["api", "notes"]);
    }
}
