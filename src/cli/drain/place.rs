//! The registry to drain in, and what a NAME argument means there: a path, or else a DNS name with or without its zone.

use anyhow::bail;
use clap::Args;

use super::view::view;
use crate::announce::drain::{self, DrainTree, FlagNode, Survey, SurveyedNode};
use crate::cli::config_file::{ConfigFile, one_registry};
use crate::config::{self, Registry, RegistryReader};
use crate::format::NodeKind;
use crate::model::Drain;
use crate::publish::names_of;
use crate::publish::target::{below, start};
use crate::registry::{Path, ReaderName};
use crate::settings;
use crate::zone::name::Name;
use crate::zone::records::address::is_reverse;
use crate::zone::records::label;
use crate::zone::source::Merge;
use crate::zookeeper::client::ZooKeeper;
use crate::zookeeper::config::Backing;

/// Registry that is meant.
#[derive(Debug, Args)]
pub(super) struct PlaceOf {
    /// The registry, where the configuration has several
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
}

/// A registry in ZooKeeper, as one of its readers has it.
pub(super) struct Opened {
    /// The reader's name.
    pub(super) name: ReaderName,
    pub(super) registry: Registry,
    pub(super) ensemble: ZooKeeper,
    /// The registry's drain tree, where it has one.
    pub(super) drains: Option<DrainTree>,
    /// The path that its services are put under.
    place: String,
    /// The zones that are filled from it: origin, and the part of the registry that each shows.
    zones: Vec<(Name, String)>,
    /// Fate of a service that several readers have.
    merge: Merge,
}

/// Znodes at a path, and below it.
pub(super) struct Subtree {
    /// The path below the root.
    pub(super) below: String,
    /// The services at and below it.
    pub(super) survey: Survey,
    /// True if it was found by its DNS name.
    is_by_name: bool,
}

impl PlaceOf {
    /// The readers of the registry that is meant.
    pub(super) fn open(&self, writes: bool) -> anyhow::Result<Vec<Opened>> {
        let path = self.file.path()?;
        let config = config::load(&path)?;
        if writes && config.announce.settings.readonly {
            bail!("{} says `readonly`: nothing is written", path.display());
        }
        let registry = one_registry(config.registries, self.registry.as_deref(), &path)?;
        let Backing::ZooKeeper(servers) = &registry.zookeeper.source else {
            bail!("the registry {} is not in ZooKeeper: write the flag into its file", registry.name);
        };
        let ensemble =
            ZooKeeper::new(servers, registry.zookeeper.session_timeout).secured(registry.zookeeper.security.clone());
        let shown = config.zones.into_iter().filter(|zone| zone.registry.as_ref() == Some(&registry.name));
        let shown: Vec<_> = shown.filter(|zone| !is_reverse(&zone.origin)).collect();
        let merge = if shown.iter().any(|zone| zone.live.merge == Merge::Union) { Merge::Union } else { Merge::First };
        let zones: Vec<(Name, String)> = shown.into_iter().map(|zone| (zone.origin, zone.under)).collect();
        let access = config.announce.settings.parent_acl;
        let drains = registry.zookeeper.drains.clone().map(|root| DrainTree { root, access });
        let readers = registry.readers().into_iter().map(|RegistryReader { name, place, registry, .. }| {
            let (ensemble, zones, drains) = (ensemble.clone(), zones.clone(), drains.clone());
            Opened { name, registry, ensemble, drains, place, zones, merge }
        });
        Ok(readers.collect())
    }
}

impl Opened {
    fn root(&self) -> &Path {
        &self.registry.zookeeper.root
    }

    /// The full path of what is at `below`.
    pub(super) fn full(&self, below: &str) -> anyhow::Result<Path> {
        let path = below.split('/').filter(|element| !element.is_empty());
        let path = path.fold(self.root().as_str().trim_end_matches('/').to_owned(), |path, name| path + "/" + name);
        Ok(Path::new(if path.is_empty() { "/" } else { &path })?)
    }

    /// All services of the registry.
    pub(super) fn everything(&self) -> anyhow::Result<Subtree> {
        Ok(Subtree { below: String::new(), survey: self.look("")?, is_by_name: false })
    }

    /// Finds what `name` means: with a slash, or where it is exactly that of a znode, a path; else a DNS name.
    ///
    /// # Errors
    /// When nothing has the name, or several services have it.
    pub(super) fn find(&self, name: &str) -> anyhow::Result<Subtree> {
        // A znode's whole path, as it is copied from a message, is the same as that below the root.
        let given = Path::new(name).ok();
        let below = given.as_ref().and_then(|path| path.below(self.root())).unwrap_or(name);
        let is_path = !below.is_empty() && below.split('/').all(|element| !element.is_empty());
        if let Some(why) = self.refusal() {
            bail!("nothing is drained: {why}");
        }
        match self.registry.format.place(below) {
            _ if !is_path => bail!("`{name}` is not the path of a service"),
            // Paths do not tell there.
            _ if !self.registry.format.takes_drains() => {}
            NodeKind::Instance { service, name } if name.contains(':') => {
                bail!("{} is an instance: say `{service} --instance {name}`", self.full(below)?)
            }
            NodeKind::Service { .. } => {}
            _ => bail!("`{name}` is not the path of a service"),
        }
        let survey = self.look(below)?;
        if let [(path, error), ..] = &*survey.refused
            && survey.nodes.is_empty()
        {
            bail!("{path} cannot be read: {error}");
        }
        if !survey.nodes.is_empty() {
            return Ok(Subtree { below: below.to_owned(), survey, is_by_name: false });
        }
        let paths = if below.contains('/') { Vec::new() } else { self.paths_of(below)? };
        match &*paths {
            [] => bail!("{} does not exist: nothing is drained{}", self.full(below)?, self.hint(below)?),
            [path] => Ok(Subtree { survey: self.look(path)?, below: path.clone(), is_by_name: true }),
            several => bail!("{name} is the name of several services; write the path of one: {}", several.join(", ")),
        }
    }

    /// Reason why nothing of the reader can be drained; none where something can.
    pub(super) fn refusal(&self) -> Option<String> {
        if self.drains.is_some() || self.registry.format.takes_drains() {
            return None;
        }
        let (format, Self { name, .. }) = (self.registry.format.name(), self);
        Some(format!("{name} is read as \"{format}\", which has no drain flags; {}", self.key()))
    }

    /// The key that makes other services than those of zc and nd drainable, for the end of a sentence.
    pub(super) fn key(&self) -> String {
        let registry = &self.registry.name;
        format!("set drains = \"/zonekeeper/drains\" in [registry.{registry}], on the servers too, and restart them")
    }

    /// The znode that gets the flags of the service at `path`.
    pub(super) fn flag_node(&self, path: &str, survey: &Survey) -> anyhow::Result<FlagNode> {
        let full = self.full(path)?;
        let is_in_tree = survey.nodes.get(path).is_some_and(|node| node.is_in_tree);
        let tree = self.drains.as_ref().filter(|_| is_in_tree);
        Ok(tree.map_or_else(|| FlagNode::own(full.clone()), |tree| tree.node(&full)))
    }

    /// The znodes with flags that `is_meant` chooses of the service at `path`, as it was found.
    pub(super) fn flagged(
        &self,
        path: &str,
        node: &SurveyedNode,
        is_meant: &dyn Fn(&Drain) -> bool,
    ) -> anyhow::Result<Vec<FlagNode>> {
        let full = self.full(path)?;
        let own = node.drains.iter().any(is_meant).then(|| FlagNode::own(full.clone()));
        let tree = self.drains.as_ref().filter(|_| node.tree_drains.iter().any(is_meant));
        Ok(own.into_iter().chain(tree.map(|tree| tree.node(&full))).collect())
    }

    fn look(&self, at: &str) -> anyhow::Result<Survey> {
        let format = &self.registry.format;
        let mut survey = if format.takes_drains() {
            block_on(drain::survey(&self.ensemble, self.root(), format, &self.full(at)?))?
        } else {
            Survey::default()
        };
        let Some(tree) = &self.drains else { return Ok(survey) };
        let services = view(&self.ensemble, &self.registry)?;
        for (path, instances) in services.into_iter().filter(|(path, _)| below(path, at).is_some()) {
            let own = survey.nodes.get(&path);
            if own.is_none_or(|own| !own.is_service() && (own.unfit().is_some() || !instances.is_empty())) {
                let found =
                    SurveyedNode { instances, has_directory: true, is_in_tree: true, ..SurveyedNode::default() };
                survey.nodes.insert(path, found);
            }
        }
        survey.nodes.retain(|_, node| node.owner == 0);
        for (path, flags) in block_on(drain::list_tree(&self.ensemble, &tree.root))? {
            if let Some(path) = path.below(self.root()).filter(|path| below(path, at).is_some()) {
                let gone = SurveyedNode { is_in_tree: true, ..SurveyedNode::default() };
                survey.nodes.entry(path.to_owned()).or_insert(gone).tree_drains.extend(flags);
            }
        }
        Ok(survey)
    }

    /// The paths below the root of what has a DNS name.
    fn paths_of(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let Ok(asked) = Name::parse(name).map(|name| name.folded()) else { return Ok(Vec::new()) };
        if self.drains.is_some() {
            let services = view(&self.ensemble, &self.registry)?.into_keys();
            return Ok(services.filter(|path| self.is_name_of(&asked, path)).collect());
        }
        let within: Vec<_> = self.zones.iter().filter(|(origin, _)| asked.is_at_or_below(origin)).collect();
        let anywhere = (Name::root(), String::new());
        let zones = match (within.is_empty(), self.zones.is_empty()) {
            (false, _) => within,
            (true, false) => self.zones.iter().collect(),
            (true, true) => vec![&anywhere],
        };
        let mut paths = Vec::new();
        for (origin, under) in zones {
            let labels = asked.above(origin).unwrap_or_else(|| asked.labels().collect());
            paths.extend(self.paths_at(under, &labels)?);
        }
        paths.sort_unstable();
        paths.dedup();
        Ok(paths)
    }

    /// Returns whether a DNS name, with or without its zone, is one of the service at `path`.
    fn is_name_of(&self, asked: &Name, path: &str) -> bool {
        let path = path.to_ascii_lowercase();
        let placed = if self.place.is_empty() { path } else { format!("{}/{path}", self.place) };
        let is_dotted = self.registry.format.are_dots_borders();
        let mut zones = self.zones.iter().filter_map(|(origin, under)| Some((origin, below(&placed, under)?)));
        zones.any(|(origin, shown)| {
            let with_zone = Name::from_labels(asked.labels().chain(origin.labels())).ok();
            names_of(origin, shown, is_dotted).iter().any(|name| name == asked || Some(name) == with_zone.as_ref())
        })
    }

    /// The paths of the services whose name in a zone is these labels, or a form of that with a protocol.
    fn paths_at(&self, under: &str, labels: &[&[u8]]) -> anyhow::Result<Vec<String>> {
        let mut wanted = labels.to_vec();
        if let [service, b"_tcp" | b"_udp", ..] = labels
            && let Some(service) = service.strip_prefix(b"_")
        {
            wanted.drain(..2);
            wanted.insert(0, service);
        }
        let is = |element: &str, label: &[u8]| {
            label::exact(element).is_ok_and(|exact| exact == label)
                || label::host_name(element).is_some_and(|name| name == label)
        };
        let Some((under, wanted)) = start((under, &self.place), &wanted, is) else { return Ok(Vec::new()) };
        let accepts: Vec<_> = wanted.iter().rev().map(|label| move |element: &str| is(element, label)).collect();
        let accepts: Vec<&dyn Fn(&str) -> bool> = accepts.iter().map(|one| one as &dyn Fn(&str) -> bool).collect();
        if accepts.is_empty() {
            return Ok(Vec::new());
        }
        let found = block_on(drain::descend(&self.ensemble, &self.full(under)?, &accepts))?;
        let below = found.iter().filter_map(|path| path.below(self.root()));
        Ok(below
            .filter(|path| matches!(self.registry.format.place(path), NodeKind::Service { .. }))
            .map(str::to_owned)
            .collect())
    }

    /// The nearest services to a name that nothing has, for the end of a sentence.
    fn hint(&self, wanted: &str) -> anyhow::Result<String> {
        let all = self.look("")?;
        let services: Vec<&str> = all
            .nodes
            .iter()
            .filter(|(_, node)| SurveyedNode::is_service(node))
            .map(|(path, _)| path.as_str())
            .collect();
        // Of a name that is given with the zone, that is the service's.
        let dotted: Vec<(String, &str)> = services
            .iter()
            .flat_map(|path| {
                let place = self.place.rsplit('/').filter(|element| !element.is_empty());
                let name = path.rsplit('/').chain(place).collect::<Vec<_>>().join(".");
                let zones = self.zones.iter().map(move |(origin, _)| format!("{name}.{origin}"));
                zones.map(|name| (name.trim_end_matches('.').to_owned(), *path)).collect::<Vec<_>>()
            })
            .collect();
        let mut words = services.clone();
        words.extend(dotted.iter().map(|(name, _)| name.as_str()));
        let near = settings::nearest(wanted.trim_end_matches('.'), &words);
        let path = near.map(|near| dotted.iter().find(|(name, _)| name == near).map_or(near, |(_, path)| path));
        // The last element alone, of a path that is given without its beginning.
        let same_end = || services.iter().copied().find(|path| path.rsplit('/').next() == Some(wanted));
        Ok(path.or_else(same_end).map(|path| format!("; did you mean {path}?")).unwrap_or_default())
    }
}

/// Finds what a NAME argument means among the readers of a registry, and with which of them; without one, all that
/// flags can be written into. A path is that of one reader. A DNS name is that of the reader that DNS shows, or of all
/// that have it where they are united.
///
/// # Errors
/// As [`Opened::find`]; and when several have the path.
pub(super) fn find<'o>(all: &'o [Opened], name: Option<&str>) -> anyhow::Result<Vec<(&'o Opened, Subtree)>> {
    if let [only] = all {
        let found = name.map_or_else(|| only.everything(), |name| only.find(name))?;
        return Ok(vec![(only, found)]);
    }
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for at in all {
        let looked = match name {
            Some(name) => at.find(name),
            None if at.refusal().is_none() => at.everything(),
            None => {
                errors.extend(at.refusal());
                continue;
            }
        };
        match looked {
            Ok(subtree) => found.push((at, subtree)),
            Err(error) => errors.push(format!("{}: {error:#}", at.name)),
        }
    }
    let Some(name) = name else {
        if found.is_empty() {
            bail!("nothing is drained: {}", errors.join("; "));
        }
        return Ok(found);
    };
    // What is exactly a znode's path is no name.
    if found.iter().any(|(_, subtree)| !subtree.is_by_name) {
        found.retain(|(_, subtree)| !subtree.is_by_name);
    } else if found.first().is_some_and(|(at, _)| at.merge == Merge::First) {
        let has_any = |subtree: &Subtree| subtree.survey.nodes.values().any(|node| !node.instances.is_empty());
        let shown = found.iter().position(|(_, subtree)| has_any(subtree)).unwrap_or(0);
        found = vec![found.swap_remove(shown)];
    }
    let is_path = found.iter().any(|(_, subtree)| !subtree.is_by_name);
    if found.len() > 1 && is_path {
        let paths = found.iter().map(|(at, subtree)| Ok(at.full(&subtree.below)?.to_string()));
        let paths = paths.collect::<anyhow::Result<Vec<_>>>()?;
        bail!("`{name}` is in several readers of the registry; write the whole path of one: {}", paths.join(", "));
    }
    if found.is_empty() {
        bail!("`{name}` is not found, nothing is drained: {}", errors.join("; "));
    }
    Ok(found)
}

pub(super) fn block_on<T>(work: impl Future<Output = Result<T, crate::announce::Error>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work)?)
}
