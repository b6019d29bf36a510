//! The addresses of this host at which a service without an address of its own is registered: global and private IPv4
//! addresses of interfaces that are up and running, or those of an interface, a network or another family where that is
//! configured. Addresses that others cannot reach or that do not stay are left out: link-local ones, those of bridges
//! that only containers and virtual machines are on, and deprecated, temporary and tentative IPv6 addresses.
//!
//! zc.zk registers loopback addresses where there are no others. Here there is then nothing to register until there is:
//! a host that comes up before its network would send every other host of the registry to itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::error::Error;
use crate::diagnostic::Span;
use crate::settings::{Section, Setting, Value, live};

/// An address that this host has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalAddress {
    /// The interface it is on.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Reason for not registering it unless the configuration names it.
    pub unfit: Option<UnfitReason>,
}

/// Reason for not registering an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum UnfitReason {
    /// The interface is not up and running.
    #[error("its interface is not up and running")]
    Down,
    /// It means nothing beyond the link.
    #[error("it is link-local")]
    LinkLocal,
    /// Loopback.
    #[error("it is a loopback address")]
    Loopback,
    /// A bridge for containers or virtual machines of this host.
    #[error("its interface is a bridge for containers or virtual machines; `interface` can name it")]
    Bridge,
    /// IPv6: on its way out.
    #[error("it is deprecated")]
    Deprecated,
    /// IPv6: for outgoing connections only (RFC 8981).
    #[error("it is temporary")]
    Temporary,
    /// IPv6: not yet known to be unique, or known not to be.
    #[error("it is tentative")]
    Tentative,
}

/// Addresses that are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exclusion {
    /// Those in a network.
    Network(IpNet),
    /// Those on an interface; with `*` at its end, on all whose names begin so.
    Interface(String),
}

impl Exclusion {
    fn has(&self, own: &LocalAddress) -> bool {
        match self {
            Self::Network(network) => network.contains(&own.address),
            Self::Interface(name) => match name.strip_suffix('*') {
                Some(beginning) => own.interface.starts_with(beginning),
                None => own.interface == *name,
            },
        }
    }
}

impl Setting for Exclusion {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        let text = String::read(value)?;
        let message = || "must hold networks such as \"10.0.0.0/8\", addresses, and names of interfaces".to_owned();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        if text.contains('/') {
            return network(&text).map(Self::Network).ok_or_else(|| (value.span, message()));
        }
        let is_name = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == ':');
        if is_name { Ok(Self::Interface(text)) } else { Err((value.span, message())) }
    }
}

/// Selection among a host's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// True if IPv4 addresses are.
    pub ipv4: bool,
    /// True if IPv6 addresses are; link-local ones never, as they mean nothing elsewhere.
    pub ipv6: bool,
    /// Only those on this interface.
    pub interface: Option<String>,
    /// Only those in this network.
    pub network: Option<IpNet>,
    /// None of these.
    pub exclude: Vec<Exclusion>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { ipv4: true, ipv6: false, interface: None, network: None, exclude: Vec::new() }
    }
}

impl Selection {
    /// Reads the keys `families`, `interface`, `network` and `exclude`. Their places are given too, for whoever finds
    /// that they cannot be there.
    pub(super) fn read(section: &mut Section<'_>) -> (Self, Option<Span>) {
        let mut selection = Self::default();
        let interface = section.located::<String>(live("interface"));
        let network = section.located::<IpNet>(live("network"));
        let families = section.located::<Vec<String>>(live("families"));
        let exclude = section.located::<Vec<Exclusion>>(live("exclude"));
        if let Some(said) = &families {
            (selection.ipv4, selection.ipv6) = (false, false);
            for family in &said.value {
                match &**family {
                    "ipv4" => selection.ipv4 = true,
                    "ipv6" => selection.ipv6 = true,
                    other => {
                        let message = format!("`families` may hold \"ipv4\" and \"ipv6\", not \"{other}\"");
                        section.problems().add(said.span, message);
                    }
                }
            }
            if said.value.is_empty() {
                section.problems().add(said.span, "`families` must not be empty");
            }
        }
        let spans = [
            interface.as_ref().map(|said| said.span),
            network.as_ref().map(|said| said.span),
            exclude.as_ref().map(|said| said.span),
        ];
        let span = spans.into_iter().flatten().next().or(families.map(|said| said.span));
        if let Some(said) = &network {
            // A network says its family itself.
            let address = said.value.addr();
            (selection.ipv4, selection.ipv6) = (address.is_ipv4(), address.is_ipv6());
        }
        selection.interface = interface.map(|said| said.value);
        selection.network = network.map(|said| said.value);
        selection.exclude = exclude.map(|said| said.value).unwrap_or_default();
        (selection, span)
    }

    /// The addresses to register among all those of a host, in order and each once.
    pub fn select(&self, all: &[LocalAddress]) -> Vec<IpAddr> {
        let mut chosen: Vec<_> = all.iter().filter(|own| self.refuses(own).is_none()).map(|own| own.address).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// Returns the reason for not registering an address; none where it is registered.
    pub fn refuses(&self, own: &LocalAddress) -> Option<String> {
        let is_of_family = if own.address.is_ipv4() { self.ipv4 } else { self.ipv6 };
        if !is_of_family {
            return Some(
                if own.address.is_ipv4() { "`families` is without ipv4" } else { "`families` is without ipv6" }
                    .to_owned(),
            );
        }
        if own.address.is_unspecified() {
            return Some("it is the unspecified address".to_owned());
        }
        if self.interface.as_ref().is_some_and(|interface| *interface != own.interface) {
            return Some("it is not on `interface`".to_owned());
        }
        if self.network.as_ref().is_some_and(|network| !network.contains(&own.address)) {
            return Some("it is not in `network`".to_owned());
        }
        if self.exclude.iter().any(|exclusion| exclusion.has(own)) {
            return Some("`exclude` names it".to_owned());
        }
        let is_meant = match own.unfit? {
            // Whoever names an interface or a network means it, be it a loopback one.
            UnfitReason::Loopback => self.interface.is_some() || self.network.is_some(),
            UnfitReason::Bridge => self.interface.is_some(),
            UnfitReason::LinkLocal => {
                own.address.is_ipv4() && self.network.as_ref().is_some_and(|network| is_link_local(network.addr()))
            }
            UnfitReason::Down | UnfitReason::Deprecated | UnfitReason::Temporary | UnfitReason::Tentative => false,
        };
        own.unfit.filter(|_| !is_meant).map(|unfit| unfit.to_string())
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Absence after which an address counts as gone.
const GONE_AFTER: Duration = Duration::from_secs(10);

/// The addresses of this host without short absences: one that was fit stays so for a while when it is not there, or
/// not fit.
#[derive(Debug, Default)]
pub(super) struct LastingAddresses(BTreeMap<(String, IpAddr), Instant>);

impl LastingAddresses {
    /// Takes what there is at `now`, and returns what counts as there.
    pub(super) fn look(&mut self, found: Vec<LocalAddress>, now: Instant) -> Vec<LocalAddress> {
        for own in found.iter().filter(|own| own.unfit.is_none()) {
            self.0.insert((own.interface.clone(), own.address), now);
        }
        self.0.retain(|_, last| now.saturating_duration_since(*last) < GONE_AFTER);
        let fit = self.0.keys().cloned().map(|(interface, address)| LocalAddress { interface, address, unfit: None });
        let is_kept = |own: &LocalAddress| self.0.contains_key(&(own.interface.clone(), own.address));
        let mut all: Vec<_> = found.into_iter().filter(|own| !is_kept(own)).chain(fit).collect();
        all.sort_unstable();
        all
    }
}

/// Reads the network `10.0.0.0/8`, `2001:db8::/32`.
fn network(text: &str) -> Option<IpNet> {
    let (address, bits) = text.split_once('/')?;
    IpNet::new(address.parse().ok()?, bits.parse().ok()?).ok()
}

impl Setting for IpNet {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        let text = String::read(value)?;
        network(&text).ok_or_else(|| (value.span, format!("must be a network such as \"10.0.0.0/8\", not \"{text}\"")))
    }
}

/// Returns whether this host has the address now, loopback ones included.
pub fn is_own(address: IpAddr) -> bool {
    address.is_loopback() || all().is_ok_and(|all| all.iter().any(|own| own.address == address))
}

/// Every address that this host has now, in order.
///
/// # Errors
/// When the system does not list its interfaces.
pub fn all() -> Result<Vec<LocalAddress>, Error> {
    let interfaces = if_addrs::get_if_addrs().map_err(Error::ListAddresses)?;
    let flags = ipv6_flags(&std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default());
    let own = |one: if_addrs::Interface| {
        let (address, is_up) = (one.ip(), one.is_oper_up());
        let unfit = match (flags.get(&address).copied().unwrap_or(0), address) {
            _ if address.is_loopback() => Some(UnfitReason::Loopback),
            _ if !is_up => Some(UnfitReason::Down),
            _ if is_link_local(address) => Some(UnfitReason::LinkLocal),
            (flags, _) if flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0 => Some(UnfitReason::Tentative),
            (flags, _) if flags & IFA_F_DEPRECATED != 0 => Some(UnfitReason::Deprecated),
            (flags, _) if flags & IFA_F_TEMPORARY != 0 => Some(UnfitReason::Temporary),
            _ if is_for_containers(&one.name) => Some(UnfitReason::Bridge),
            _ => None,
        };
        LocalAddress { interface: one.name, address, unfit }
    };
    let mut all: Vec<_> = interfaces.into_iter().map(own).collect();
    all.sort_unstable();
    Ok(all)
}

// linux/if_addr.h
const IFA_F_TEMPORARY: u32 = 0x01;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;

/// The flags of IPv6 addresses in the kernel's list (`/proc/net/if_inet6`): address, index, prefix length, scope, flags
/// and interface, all but the last hexadecimal. It is of this process's network namespace.
fn ipv6_flags(list: &str) -> BTreeMap<IpAddr, u32> {
    let line = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let address = Ipv6Addr::from(u128::from_str_radix(words.first()?, 16).ok()?);
        Some((address.into(), u32::from_str_radix(words.get(4)?, 16).ok()?))
    };
    list.lines().filter_map(line).collect()
}

/// Returns true if an interface is a bridge of Docker, CNI or libvirt by its name, or a bridge without a port that has
/// a device.
fn is_for_containers(interface: &str) -> bool {
    let is_hexadecimal = |rest: &str| rest.len() >= 8 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    interface == "docker0"
        || interface.strip_prefix("br-").is_some_and(is_hexadecimal)
        || ["cni", "virbr"].iter().any(|beginning| interface.starts_with(beginning))
        || has_no_device(Path::new("/sys/class/net"), interface)
}

/// Returns true if an interface is a bridge none of whose ports leads to a device, itself or through a bond, a team or
/// a VLAN.
fn has_no_device(classes: &Path, interface: &str) -> bool {
    let of = classes.join(interface);
    if !of.join("bridge").is_dir() {
        return false;
    }
    let Ok(ports) = std::fs::read_dir(of.join("brif")) else { return false };
    !ports.flatten().any(|port| leads_to_device(classes, &port.file_name().to_string_lossy(), 4))
}

fn leads_to_device(classes: &Path, interface: &str, depth: u8) -> bool {
    let of = classes.join(interface);
    let below = || {
        let entries = std::fs::read_dir(&of).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("lower_").map(str::to_owned))
    };
    of.join("device").exists() || (depth > 0 && below().any(|lower| leads_to_device(classes, &lower, depth - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Vec<LocalAddress> {
        let own = |(interface, address): (&str, &str)| {
            let address: IpAddr = address.parse().unwrap();
            let unfit = match address {
                _ if address.is_loopback() => Some(UnfitReason::Loopback),
                _ if is_link_local(address) => Some(UnfitReason::LinkLocal),
                _ => None,
            };
            LocalAddress { interface: interface.to_owned(), address, unfit }
        };
        [
            ("lo", "127.0.0.1"),
            ("eth0", "10.0.0.2"),
            ("lo", "::1"),
            ("eth0", "fe80::1"),
            ("eth1", "192.168.0.42"),
            ("eth1", "2001:db8::42"),
            ("lo", "127.1.2.3"),
            ("br0", "10.0.0.2"),
            ("br0", "0.0.0.0"),
        ]
        .map(own)
        .to_vec()
    }

    fn chosen(selection: &Selection) -> Vec<String> {
        selection.select(&host()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn loopback_and_ipv6_are_left_out_and_each_address_comes_once() {
        assert_eq!(chosen(&Selection::default()), ["10.0.0.2", "192.168.0.42"]);
        assert!(Selection::default().select(&host()[..1]).is_empty(), "nothing is better than a loopback address");
    }

    #[test]
    fn families_interfaces_and_networks_choose() {
        let both = Selection { ipv6: true, ..Selection::default() };
        assert_eq!(chosen(&both), ["10.0.0.2", "192.168.0.42", "2001:db8::42"]);
        let eth1 = Selection { interface: Some("eth1".into()), ..Selection::default() };
        assert_eq!(chosen(&eth1), ["192.168.0.42"]);
        let of = |text| Selection { network: network(text), ..both.clone() };
        assert_eq!(chosen(&of("192.168.0.0/16")), ["192.168.0.42"]);
        assert_eq!(chosen(&of("2001:db8::/32")), ["2001:db8::42"]);
        assert_eq!(chosen(&of("127.0.0.0/8")), ["127.0.0.1", "127.1.2.3"], "who says so means it");
        assert_eq!(chosen(&of("0.0.0.0/0")), ["10.0.0.2", "127.0.0.1", "127.1.2.3", "192.168.0.42"]);
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/129", "x/8"] {
            assert_eq!(network(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_unfit_is_left_out_unless_it_is_named_and_exclude_leaves_out_more() {
        let own = |interface: &str, address: &str, unfit| LocalAddress {
            interface: interface.to_owned(),
            address: address.parse().unwrap(),
            unfit,
        };
        let host = [
            own("docker0", "172.17.0.1", Some(UnfitReason::Bridge)),
            own("eth0", "10.0.0.1", None),
            own("eth0", "169.254.1.1", Some(UnfitReason::LinkLocal)),
            own("eth1", "10.9.0.1", Some(UnfitReason::Down)),
            own("veth1", "10.8.0.1", None),
        ];
        let select = |selection: Selection| selection.select(&host).iter().map(ToString::to_string).collect::<Vec<_>>();
        let plain = Selection::default;
        assert_eq!(select(plain()), ["10.0.0.1", "10.8.0.1"]);
        assert_eq!(select(Selection { interface: Some("docker0".into()), ..plain() }), ["172.17.0.1"]);
        assert_eq!(select(Selection { network: network("169.254.0.0/16"), ..plain() }), ["169.254.1.1"]);
        assert_eq!(select(Selection { network: network("0.0.0.0/0"), ..plain() }), ["10.0.0.1", "10.8.0.1"]);
        for exclude in [Exclusion::Interface("veth*".into()), Exclusion::Network(network("10.8.0.0/16").unwrap())] {
            assert_eq!(select(Selection { exclude: vec![exclude], ..plain() }), ["10.0.0.1"]);
        }
        assert_eq!(plain().refuses(&host[3]).unwrap(), "its interface is not up and running");
    }

    #[test]
    fn an_address_is_gone_after_ten_seconds_and_not_before() {
        let (mut lasting, begun) = (LastingAddresses::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let own = |unfit| LocalAddress { interface: "eth0".into(), address: "10.0.0.1".parse().unwrap(), unfit };
        assert_eq!(lasting.look(vec![own(Some(UnfitReason::Down))], at(0)), [own(Some(UnfitReason::Down))]);
        assert_eq!(lasting.look(vec![own(None)], at(1)), [own(None)]);
        assert_eq!(lasting.look(vec![own(Some(UnfitReason::Down))], at(5)), [own(None)]);
        assert_eq!(lasting.look(vec![], at(10)), [own(None)]);
        assert_eq!(lasting.look(vec![], at(11)), []);
        assert_eq!(lasting.look(vec![own(Some(UnfitReason::Down))], at(12)), [own(Some(UnfitReason::Down))]);
    }

    #[test]
    fn the_kernels_list_gives_the_flags_of_ipv6_addresses() {
        let list = "20010db8000000000000000000000005 02 40 00 80     eth0\n\
                    20010db800000000000000000000dea5 02 40 00 a0     eth0\nnonsense\n";
        let flags = ipv6_flags(list);
        assert_eq!(flags.len(), 2);
        assert_eq!(flags[&"2001:db8::dea5".parse::<IpAddr>().unwrap()] & IFA_F_DEPRECATED, IFA_F_DEPRECATED);
        assert_eq!(flags[&"2001:db8::5".parse::<IpAddr>().unwrap()] & IFA_F_DEPRECATED, 0);
    }

    #[test]
    fn a_bridge_without_a_port_that_leads_to_a_device_is_for_containers() {
        let classes = std::env::temp_dir().join(format!("zonekeeper-classes-{}", std::process::id()));
        for directory in [
            "br0/bridge",
            "br0/brif/bond0",
            "bond0/lower_eth0",
            "eth0/device",
            "br1/bridge",
            "br1/brif/veth1",
            "veth1",
            "br2/bridge",
            "br2/brif",
            "eth1/device",
        ] {
            std::fs::create_dir_all(classes.join(directory)).unwrap();
        }
        let without = ["br0", "br1", "br2", "eth1", "none"].map(|interface| has_no_device(&classes, interface));
        std::fs::remove_dir_all(&classes).unwrap();
        assert_eq!(without, [false, true, true, false, false]);
        assert!(is_for_containers("br-0123456789ab") && is_for_containers("virbr0") && is_for_containers("cni0"));
        assert!(!is_for_containers("br-lan") && !is_for_containers("docker1") && !is_for_containers("eth0"));
    }

    #[test]
    fn this_host_can_be_asked() {
        let all = all().unwrap();
        assert!(all.iter().any(|own| own.unfit == Some(UnfitReason::Loopback)));
        assert!(Selection::default().select(&all).iter().all(|address| !address.is_loopback()));
    }
}
