//! A look at a part of an ensemble as one format sees it: a sample of what is there, read once and without watches.

use std::collections::{BTreeMap, BTreeSet};

use crate::format::{Beside, Config, Node, NodeKind, Placement, Signature};
use crate::registry::{Error, Path};
use crate::zookeeper::session::{Read, Reply, Session};

/// Znodes that are read of one part, at most.
const MOST: usize = 500;
/// Children of one znode that are looked at.
const BREADTH: usize = 25;
/// Levels below the root of a part that are looked at.
const DEPTH: usize = 8;
/// Znodes in one request.
const BATCH: usize = 100;

/// Sample of what a format finds below a root.
#[derive(Debug, Default)]
pub(in crate::cli) struct Sample {
    /// Instances that can be read.
    pub(in crate::cli) instances: usize,
    /// Znodes that should be instances and cannot be read.
    pub(in crate::cli) malformed: usize,
    /// Paths of the services below the root.
    pub(in crate::cli) services: BTreeSet<String>,
    /// Znodes at the top of the ensemble below which the instances are.
    pub(in crate::cli) tops: BTreeSet<String>,
    /// True if the root is there.
    pub(in crate::cli) is_there: bool,
    /// Znodes that may not be read.
    pub(in crate::cli) refused: Vec<Path>,
    /// The writer that most of the instances look to be of.
    pub(in crate::cli) signature: Option<Signature>,
}

/// Znodes that were read, by their paths below the root.
#[derive(Debug, Default)]
struct Seen(BTreeMap<String, Vec<u8>>);

impl Beside for Seen {
    fn data(&self, below: &str) -> Option<&[u8]> {
        self.0.get(below).map(Vec::as_slice)
    }

    fn children(&self, below: &str) -> Vec<&str> {
        let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
        let names = self.0.keys().filter_map(|path| path.strip_prefix(&prefix));
        names.filter(|name| !name.is_empty() && !name.contains('/')).collect()
    }
}

/// Looks at the znodes below `root` that `format` would read, but for those that are `covered` at the top.
///
/// # Errors
/// Trouble with the connection.
pub(in crate::cli) async fn look<S: Session>(
    session: &S,
    root: &Path,
    format: &Config,
    covered: &dyn Fn(&str) -> bool,
) -> Result<Sample, Error> {
    let (mut seen, mut level, mut candidates) = (Seen::default(), vec![root.clone()], Vec::new());
    let mut refused = Vec::new();
    for _ in 0..=DEPTH {
        let mut next = Vec::new();
        for batch in level.chunks(BATCH) {
            let reads: Vec<Read> =
                batch.iter().flat_map(|path| [Read::Node(path.clone()), Read::Children(path.clone())]).collect();
            for (read, reply) in reads.iter().zip(session.read(&reads).await?) {
                let below = read.path().below(root).unwrap_or_default();
                match reply {
                    Reply::Node(znode) => {
                        candidates.push(below.to_owned());
                        seen.0.insert(below.to_owned(), znode.data);
                    }
                    Reply::Children(mut names) => {
                        names.sort_unstable();
                        let children = names.iter().map(|name| read.path().child(name));
                        let is_left = |child: &Path| child.parent() != Some("/") || !covered(child.name());
                        let wanted = children
                            .filter(|child| is_left(child) && is_wanted(format, child.below(root).unwrap_or_default()));
                        next.extend(wanted.take(BREADTH));
                    }
                    Reply::Failed(Error::NoAuth) if refused.last() != Some(read.path()) => {
                        refused.push(read.path().clone());
                    }
                    // Gone meanwhile: of that nothing is known.
                    Reply::Failed(_) => {}
                }
            }
        }
        next.truncate(MOST.saturating_sub(seen.0.len()));
        level = next;
        if level.is_empty() {
            break;
        }
    }
    Ok(Sample { refused, ..judge(root, format, &seen, &candidates) })
}

fn is_wanted(format: &Config, below: &str) -> bool {
    if below == "zookeeper" || below.starts_with("zookeeper/") {
        return false;
    }
    if format.is_placed() {
        return format.placement(below) != Placement::Foreign;
    }
    !matches!(format.place(below), NodeKind::Inside { .. })
}

/// Counts what the format makes of the znodes.
fn judge(root: &Path, format: &Config, seen: &Seen, candidates: &[String]) -> Sample {
    let mut sample = Sample { is_there: seen.0.contains_key(""), ..Sample::default() };
    let mut signatures: BTreeMap<Signature, usize> = BTreeMap::new();
    for below in candidates {
        let data = seen.data(below).unwrap_or_default();
        let name = below.rsplit('/').next().unwrap_or_default();
        let service = if format.is_placed() {
            match format.placement(below) {
                Placement::Instance(service) => service,
                _ => continue,
            }
        } else {
            match format.place(below) {
                NodeKind::Instance { service, .. } => service.to_owned(),
                NodeKind::Leaf { service, .. } if format.is_instance(name, data) => service.to_owned(),
                _ => continue,
            }
        };
        match format.decode(&Node { below, name, data, beside: seen }) {
            Ok(instances) if !instances.is_empty() => {
                sample.instances += instances.len();
                if let Some(signature) = Signature::of(name, data) {
                    *signatures.entry(signature).or_default() += 1;
                }
                let path = if below.is_empty() { root.clone() } else { root.child(below) };
                sample.tops.extend(path.as_str().split('/').nth(1).map(str::to_owned));
                sample.services.insert(service);
            }
            Ok(_) => {}
            Err(_) => sample.malformed += 1,
        }
    }
    sample.signature = signatures.into_iter().max_by_key(|(_, znodes)| *znodes).map(|(signature, _)| signature);
    sample
}
