//! `zonekeeper dev`: everything in one process, without a ZooKeeper and without root.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::cli::output;
use crate::config::{Config, Registry};
use crate::zone::name::{Name, NameError};
use crate::zookeeper::config::Backing;
use crate::{admin, dns, format, publish, zone, zookeeper};

/// Try it out: an in-memory registry, DNS and admin on this host, no ZooKeeper, no root
///
/// The registry is seeded from a file in zc.zk's tree text, which is read again whenever it is saved. A file
/// `service.zone` beside it is the zone's own.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Dev {
    /// The seed, in zc.zk's tree text; without it the sample registry
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Address of DNS, UDP and TCP [default: 127.0.0.1:5300, or a free port where that is in use]
    #[arg(long, value_name = "ADDR:PORT")]
    dns: Option<SocketAddr>,
    /// Address of the admin server, HTTP [default: 127.0.0.1:5380, or a free port where that is in use]
    #[arg(long, value_name = "ADDR:PORT")]
    admin: Option<SocketAddr>,
}

const EXAMPLES: &str = "\
Examples:
  zonekeeper dev
  dig @127.0.0.1 -p 5300 SRV api_x.service

  zonekeeper dev --seed my.tree --dns 127.0.0.1:0 --admin 127.0.0.1:0     (on free ports)";

/// The sample registry, for a binary that stands alone.
const SAMPLE: &str = include_str!("../../zones/dev.tree");

impl Dev {
    pub(super) fn run(self) -> anyhow::Result<()> {
        // The copy of the sample, if one is made, lives as long as the process.
        let (seed, _copy) = match self.seed {
            Some(seed) => (seed, None),
            None if Path::new("zones/dev.tree").exists() => ("zones/dev.tree".into(), None),
            None => {
                let copy = Copy::new()?;
                (copy.0.clone(), Some(copy))
            }
        };
        let wanted = (self.dns.unwrap_or_else(|| usual(5300)), self.admin.unwrap_or_else(|| usual(5380)));
        let config = config(seed.clone(), wanted.0, wanted.1)?;
        let report = super::check::seeds(&config);
        if report.errors() > 0 {
            return Err(report.into());
        }
        super::serve::run(&config, None, None, |app| {
            let dns = app.dns().first().copied().unwrap_or(wanted.0);
            let banner = banner(dns, app.admin().unwrap_or(wanted.1), &seed);
            // A reader of standard output that has stopped holds nothing else up.
            std::thread::Builder::new().name("banner".into()).spawn(move || output::print(&banner))?;
            Ok(())
        })
    }
}

/// The usual port of this host, or any that is free.
fn usual(port: u16) -> SocketAddr {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let is_free = UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok();
    if is_free { address } else { (Ipv4Addr::LOCALHOST, 0).into() }
}

fn config(seed: PathBuf, dns: SocketAddr, admin: SocketAddr) -> anyhow::Result<Config> {
    let own = seed.with_file_name("service.zone");
    let registry = Registry {
        name: "dev".into(),
        zookeeper: zookeeper::config::Config::new(Backing::Memory(seed)),
        format: format::Config::default(),
        guard: None,
        linger: publish::past::LINGER,
        read: Vec::new(),
    };
    let zone = |origin: &str| -> Result<_, NameError> {
        Ok(zone::config::Config::new(Name::parse(origin)?, Some(registry.name.clone())))
    };
    let mut services = zone("service")?;
    services.file = own.exists().then_some(own);
    services.names.txt = vec!["owner".to_owned(), "version".to_owned()];
    Ok(Config {
        zones: vec![services, zone("168.192.in-addr.arpa")?],
        registries: vec![registry],
        dns: Some(dns::config::Config { listen: vec![dns], ..Default::default() }),
        admin: Some(admin::config::Config { listen: admin, ..Default::default() }),
        ..Config::default()
    })
}

/// Hints what to try next.
fn banner(dns: SocketAddr, admin: SocketAddr, seed: &Path) -> String {
    let at = format!("@{} -p {}", dns.ip(), dns.port());
    let mut text =
        format!("zonekeeper dev: http://{admin}/ shows all of it in a browser; DNS on {dns} (UDP and TCP)\n\nTry:\n");
    for (query, what) in [
        ("SRV api_x.service", "two instances, with their addresses"),
        ("A api_x.service", "the addresses, in another order each time"),
        ("AAAA api_x.service", "NODATA: the name exists"),
        ("SRV _api_x._tcp.service", "the RFC 2782 form"),
        ("SRV memcache.uswest2.staging.service", "nested services"),
        ("SRV v2.canary.shop.service", "only instances with both tags"),
        ("SRV _http._tcp.shop.service", "a named port"),
        ("PTR _shop._tcp.service", "browsing (DNS-SD)"),
        ("-x 192.168.0.42", "the name of an address"),
        ("A nobody.service", "NXDOMAIN"),
    ] {
        let _ = writeln!(text, "  {:<64}# {what}", format!("dig {at} {query}"));
    }
    let _ = writeln!(text, "  {:<64}# the registry as JSON", format!("curl http://{admin}/v1/services"));
    let _ = writeln!(text, "\nThe registry is {}: edit and save it, DNS follows within a second.\n", seed.display());
    text
}

/// A copy of the sample registry in a temporary file of this process, so that there is something to edit.
struct Copy(PathBuf);

impl Copy {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("zonekeeper-dev-{:08x}.tree", fastrand::u32(..)));
        // Never through a link that somebody else has laid in a directory that everybody can write to.
        File::create_new(&path)
            .and_then(|mut file| file.write_all(SAMPLE.as_bytes()))
            .with_context(|| format!("cannot write the sample registry to {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if std::fs::read(&self.0).is_ok_and(|text| text != SAMPLE.as_bytes()) {
            let kept = self.0.display();
            output::complain(&format_args!("zonekeeper dev: the registry was edited and is kept: --seed {kept}\n"));
            return;
        }
        // Somebody else took it away: nothing is left to do.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_names_the_real_addresses() {
        let text = banner(([127, 0, 0, 1], 5355).into(), ([127, 0, 0, 1], 5399).into(), Path::new("x.tree"));
        assert!(text.contains("dig @127.0.0.1 -p 5355 SRV api_x.service "), "{text}");
        assert!(text.contains("http://127.0.0.1:5399/v1/services"));
        assert!(text.contains("x.tree"));
    }
}
