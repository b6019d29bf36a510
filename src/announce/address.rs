//! Which addresses of this host a service without an address of its own is registered at: every IPv4 address that is not a
//! loopback one, as zc.zk has it, or those of an interface, a network or another family where that is said.
//!
//! zc.zk registers loopback addresses where there are no others. Here there is then nothing to register until there is:
//! a host that comes up before its network would send every other host of the registry to itself.

use std::net::{IpAddr, Ipv4Addr};

use super::Error;
use crate::settings::{Section, Setting, Span, Value};

/// An address that this host has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Own {
    /// The interface it is on.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// Which of a host's addresses are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Whether IPv4 addresses are.
    pub ipv4: bool,
    /// Whether IPv6 addresses are; link-local ones never, as they mean nothing elsewhere.
    pub ipv6: bool,
    /// Only those on this interface.
    pub interface: Option<String>,
    /// Only those in this network.
    pub network: Option<Network>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { ipv4: true, ipv6: false, interface: None, network: None }
    }
}

impl Selection {
    /// Reads the keys `families`, `interface` and `network`. Their places are given too, for whoever finds that they
    /// cannot be there.
    pub(super) fn read(section: &mut Section<'_>) -> (Self, Option<Span>) {
        let mut selection = Self::default();
        let interface = section.located::<String>("interface");
        let network = section.located::<Network>("network");
        let families = section.located::<Vec<String>>("families");
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
        let spans = [interface.as_ref().map(|said| said.span), network.as_ref().map(|said| said.span)];
        let span = spans.into_iter().flatten().next().or(families.map(|said| said.span));
        if let Some(Network { address, .. }) = network.as_ref().map(|said| &said.value) {
            // A network says its family itself.
            (selection.ipv4, selection.ipv6) = (address.is_ipv4(), address.is_ipv6());
        }
        selection.interface = interface.map(|said| said.value);
        selection.network = network.map(|said| said.value);
        (selection, span)
    }

    /// The addresses to register among all those of a host, in order and each once.
    pub fn select(&self, all: &[Own]) -> Vec<IpAddr> {
        let mut chosen: Vec<_> = all.iter().filter(|own| self.takes(own)).map(|own| own.address).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    fn takes(&self, own: &Own) -> bool {
        let family = match own.address {
            IpAddr::V4(_) => self.ipv4,
            IpAddr::V6(address) => self.ipv6 && !address.is_unicast_link_local(),
        };
        // Who names an interface or a network means it, be it a loopback one.
        let is_named = self.interface.is_some() || self.network.is_some();
        family
            && !own.address.is_unspecified()
            && (is_named || !own.address.is_loopback())
            && self.interface.as_ref().is_none_or(|interface| *interface == own.interface)
            && self.network.as_ref().is_none_or(|network| network.contains(own.address))
    }
}

/// A network: `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `ADDRESS/BITS`.
    pub fn new(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        // IPv4 and IPv6 bits at the top of one number.
        let number = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        };
        let differing = number(self.address) ^ number(address);
        self.address.is_ipv4() == address.is_ipv4() && differing.leading_zeros() >= u32::from(self.bits)
    }
}

impl Setting for Network {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        let text = String::read(value)?;
        Self::new(&text)
            .ok_or_else(|| (value.span, format!("must be a network such as \"10.0.0.0/8\", not \"{text}\"")))
    }
}

/// The IPv4 addresses that this host has now and that others can reach.
///
/// # Errors
/// When the system does not list its interfaces.
pub fn own() -> Result<Vec<Ipv4Addr>, Error> {
    let chosen = Selection::default().select(&all()?);
    let ipv4 = |address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    Ok(chosen.into_iter().filter_map(ipv4).collect())
}

/// Every address that this host has now, in order.
///
/// # Errors
/// When the system does not list its interfaces.
pub fn all() -> Result<Vec<Own>, Error> {
    let interfaces = if_addrs::get_if_addrs().map_err(Error::ListAddresses)?;
    let mut all: Vec<_> = interfaces.into_iter().map(|one| Own { address: one.ip(), interface: one.name }).collect();
    all.sort_unstable();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Vec<Own> {
        let own = |(interface, address): (&str, &str)| Own {
            interface: interface.to_owned(),
            address: address.parse().unwrap(),
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
        let network = |text| Selection { network: Network::new(text), ..both.clone() };
        assert_eq!(chosen(&network("192.168.0.0/16")), ["192.168.0.42"]);
        assert_eq!(chosen(&network("2001:db8::/32")), ["2001:db8::42"]);
        assert_eq!(chosen(&network("127.0.0.0/8")), ["127.0.0.1", "127.1.2.3"], "who says so means it");
        assert_eq!(chosen(&network("0.0.0.0/0")), ["10.0.0.2", "127.0.0.1", "127.1.2.3", "192.168.0.42"]);
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/129", "x/8"] {
            assert_eq!(Network::new(bad), None, "{bad}");
        }
    }

    #[test]
    fn this_host_can_be_asked() {
        assert!(own().unwrap().iter().all(|address| !address.is_loopback()));
    }
}
