//! `zonekeeper drain` and `zonekeeper undrain`: takes a service, or one instance, out of DNS by hand, and puts it back. The
//! flag stands in ZooKeeper and is written there by this process itself, so that it works whether a server runs or not.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::ConfigFile;
use crate::announce::drain;
use crate::config::{self, Registry};
use crate::format::{self, Place};
use crate::keeper::Path;
use crate::keeper::config::Source;
use crate::keeper::zookeeper::ZooKeeper;
use crate::model::{self, Endpoint};
use crate::publish::unix_now;

/// Longest time that can be given; longer is as good as without an end.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// Take a service, or one instance of it, out of DNS, everywhere and at once
///
/// Sets a flag on the service's node in ZooKeeper, which every zonekeeper honours; what is registered stays registered. It
/// ends after the time given with --for, or with `zonekeeper undrain`. No server has to run for it. `zonekeeper explain`
/// shows who is out and why.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Drain {
    /// The service: its path below the registry's root, as in `[[service]]`
    #[arg(required_unless_present = "list", conflicts_with = "list")]
    name: Option<String>,
    /// Only this instance
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint, conflicts_with = "list")]
    instance: Option<Endpoint>,
    /// How long, such as 10m or 2h [default: until `zonekeeper undrain`]
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "list")]
    time: Option<Duration>,
    /// Why, for those who wonder
    #[arg(long, default_value = "", conflicts_with = "list")]
    reason: String,
    /// Say what is drained now
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    place: PlaceOf,
}

/// Put what was drained back into DNS
///
/// Ends every drain of the service, or only that of one instance.
#[derive(Debug, Args)]
#[command(after_help = UNDRAIN_EXAMPLES)]
pub(super) struct Undrain {
    /// The service: its path below the registry's root, as in `[[service]]`
    name: String,
    /// Only this instance
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    instance: Option<Endpoint>,
    #[command(flatten)]
    place: PlaceOf,
}

/// Which registry is meant.
#[derive(Debug, Args)]
struct PlaceOf {
    /// The registry, where the configuration has several
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper drain staging/api_x --for 10m --reason \"new kernel\"
  zonekeeper drain api_x --instance 192.168.0.42:8080
  zonekeeper drain --list";

const UNDRAIN_EXAMPLES: &str = "\
Examples:
  zonekeeper undrain staging/api_x
  zonekeeper undrain api_x --instance 192.168.0.42:8080";

impl Drain {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let at = self.place.open(!self.list)?;
        let Some(name) = &self.name else { return at.list() };
        let path = at.service(name)?;
        let now = unix_now();
        let until = self.time.map(|time| now + time.as_secs() + u64::from(time.subsec_nanos() > 0));
        let flag = model::Drain { instance: self.instance, until, reason: self.reason.trim().into() };
        block_on(drain::drain(&at.ensemble, &path, &flag, now))?;
        super::print(&format!("{name} is drained: {}\n", words(&flag)))?;
        if let Some(instance) = &flag.instance {
            let format = &at.registry.format;
            let below = path.below(&at.registry.keeper.root).unwrap_or_default();
            let node = format.node_name(instance);
            // In either layout.
            let places = [
                format.instance_path(at.registry.keeper.root.as_str(), below, &node),
                format!("{}/{node}", path.as_str().trim_end_matches('/')),
            ];
            for place in places {
                if block_on(drain::is_registered(&at.ensemble, &Path::new(&place)?))? {
                    return Ok(());
                }
            }
            super::complain(&format_args!("zonekeeper: {instance} is not registered at present\n"));
        }
        Ok(())
    }
}

impl Undrain {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let at = self.place.open(true)?;
        let path = at.service(&self.name)?;
        let ended = block_on(drain::undrain(&at.ensemble, &path, self.instance.as_ref(), unix_now()))?;
        let mut text = String::new();
        for flag in &ended {
            let _ = writeln!(text, "{} is not drained any more: {}", self.name, words(flag));
        }
        if ended.is_empty() {
            let _ = writeln!(text, "{} was not drained", self.name);
        }
        super::print(&text)
    }
}

/// A registry in ZooKeeper.
struct Opened {
    registry: Registry,
    ensemble: ZooKeeper,
}

impl PlaceOf {
    fn open(&self, writes: bool) -> anyhow::Result<Opened> {
        let path = self.file.path()?;
        let config = config::load(&path)?;
        if writes && config.announce.settings.readonly {
            bail!("{} says `readonly`: nothing is written", path.display());
        }
        let mut registries = config.registries;
        let names = || registries.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
        let index = match &self.registry {
            Some(name) => registries
                .iter()
                .position(|one| one.name == *name)
                .with_context(|| format!("{} has no registry `{name}`, but {}", path.display(), names()))?,
            None if registries.len() == 1 => 0,
            None if registries.is_empty() => bail!("{} has no [registry]", path.display()),
            None => bail!("{} has several registries: say --registry, one of {}", path.display(), names()),
        };
        let registry = registries.swap_remove(index);
        let Source::ZooKeeper(servers) = &registry.keeper.source else {
            bail!("the registry {} is not in ZooKeeper: write the flag into its file", registry.name);
        };
        let ensemble =
            ZooKeeper::new(servers, registry.keeper.session_timeout).secured(registry.keeper.security.clone());
        Ok(Opened { registry, ensemble })
    }
}

impl Opened {
    /// The service's own node.
    fn service(&self, name: &str) -> anyhow::Result<Path> {
        let root = &self.registry.keeper.root;
        // Who copies a znode's whole path means the same.
        let given = Path::new(name).ok();
        let below = given.as_ref().and_then(|path| path.below(root)).unwrap_or(name);
        let path = below.split('/').try_fold(root.as_str().trim_end_matches('/').to_owned(), |path, element| {
            (!element.is_empty()).then(|| format!("{path}/{element}"))
        });
        let path = path.with_context(|| format!("`{name}` is not the path of a service"))?;
        match self.registry.format.place(below) {
            Place::Service { path: below } if !below.is_empty() => Ok(Path::new(&path)?),
            Place::Instance { service, name } => {
                bail!("{path} is an instance: say `{service} --instance {name}`")
            }
            _ => bail!("`{name}` is not the path of a service"),
        }
    }

    fn list(&self) -> anyhow::Result<()> {
        let keeper = &self.registry.keeper;
        let all = block_on(drain::list(&self.ensemble, &keeper.root, &self.registry.format, unix_now()))?;
        let mut text = String::new();
        for (service, flag) in &all {
            let _ = writeln!(text, "{service}: {}", words(flag));
        }
        if all.is_empty() {
            text.push_str("nothing is drained\n");
        }
        super::print(&text)
    }
}

/// `192.0.2.10:8080 until 2026-11-21T15:00:00Z (new kernel)`.
fn words(flag: &model::Drain) -> String {
    let what = flag.instance.as_ref().map_or("all of it".to_owned(), ToString::to_string);
    let until = flag.until.map_or("it is undrained".to_owned(), format::moment);
    let reason = if flag.reason.is_empty() { String::new() } else { format!(" ({})", flag.reason) };
    format!("{what} until {until}{reason}")
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    format::endpoint(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("it must be longer than nothing".to_owned()),
        Ok(time) if time > LONGEST => Err("it is longer than ten years: leave it out".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, crate::announce::Error>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work)?)
}
