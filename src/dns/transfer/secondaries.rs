//! The secondaries of each zone: what its `[[zone]]` table says of who may transfer it and who is told of changes.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::dns::lists::read_list;
use crate::dns::message::key::TsigKey;
use crate::dns::serve::access::Transfers;
use crate::settings::{Section, live};
use crate::zone::name::Name;

/// Keys of a zone's table about its secondaries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secondaries {
    /// Clients that may transfer it; none where that is said for all zones.
    pub allow_transfer: Option<Transfers>,
    /// Secondaries that are told of changes.
    pub notify: Vec<Secondary>,
}

/// A server that is told of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secondary {
    /// Address on which it listens.
    pub address: SocketAddr,
    /// Key of messages to it; none for unsigned ones.
    pub key: Option<Arc<TsigKey>>,
}

impl Secondaries {
    /// Reads `allow_transfer` and `notify` of a `[[zone]]` table. `names` are the names of all keys, `keys` those that
    /// can be used: a mistake in one is told once, in its table.
    pub fn read(section: &mut Section<'_>, names: &[Name], keys: &[Arc<TsigKey>]) -> Self {
        let allow_transfer = read_list(section, live("allow_transfer"), |list| Transfers::parse(list, names));
        let notify = read_list(section, live("notify"), |list| {
            let each = list.iter().enumerate().map(|(i, text)| Secondary::parse(text, names, keys).map_err(|e| (i, e)));
            each.collect::<Result<Vec<_>, _>>()
        });
        Self { allow_transfer, notify: notify.unwrap_or_default() }
    }
}

impl Secondary {
    /// Reads `"192.0.2.1:53"` or `"192.0.2.1:53 key NAME"`.
    fn parse(text: &str, names: &[Name], keys: &[Arc<TsigKey>]) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (address, key) = match *words {
            [address] => (address, None),
            [address, "key", key] => (address, Some(key)),
            _ => return Err(format!("must be \"ADDRESS:PORT\" or \"ADDRESS:PORT key NAME\", not \"{text}\"")),
        };
        let address = address.parse().map_err(|_| {
            format!("must begin with an address and a port, such as \"192.0.2.1:53\" or \"[2001:db8::1]:53\", not \"{text}\"")
        })?;
        let Some(wanted) = key else { return Ok(Self { address, key: None }) };
        let name = Name::parse(wanted).ok().map(|name| name.folded()).filter(|name| names.contains(name));
        let name = name.ok_or_else(|| format!("names the key \"{wanted}\", and there is no such [[key]]"))?;
        Ok(Self { address, key: keys.iter().find(|key| key.name == name).cloned() })
    }
}

/// Clients that may transfer each zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Those of zones that say nothing else.
    pub by_default: Transfers,
    /// Those of zones that say so themselves, by origin.
    pub of_zones: HashMap<Name, Transfers>,
}

impl Allowed {
    /// `[dns] allow_transfer`, and what the zones say instead.
    pub fn new(by_default: Transfers, zones: &[(Name, Secondaries)]) -> Self {
        let says = |(zone, said): &(Name, Secondaries)| Some((zone.clone(), said.allow_transfer.clone()?));
        Self { by_default, of_zones: zones.iter().filter_map(says).collect() }
    }

    /// Those of the zone at `origin`.
    fn of(&self, origin: &Name) -> &Transfers {
        self.of_zones.get(origin).unwrap_or(&self.by_default)
    }

    /// Returns whether a request from `address`, signed with `key` (and found good) or unsigned, may transfer the zone.
    pub fn decide(&self, origin: &Name, address: IpAddr, key: Option<&Name>) -> bool {
        self.of(origin).decide(address, key)
    }

    /// Returns whether everybody who may transfer the zone at `other` may transfer the one at `origin`, too.
    pub fn covers(&self, origin: &Name, other: &Name) -> bool {
        self.of(origin).covers(self.of(other))
    }

    /// Returns whether nobody may transfer the zone.
    pub fn is_nobody(&self, origin: &Name) -> bool {
        self.of(origin).is_nobody()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::key::Algorithm;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn key() -> Arc<TsigKey> {
        Arc::new(TsigKey::new(&name("xfr"), Algorithm::Sha256, vec![1; 16]))
    }

    #[test]
    fn a_secondary_is_told_with_a_key_or_without() {
        let (names, keys) = ([name("xfr"), name("broken")], [key()]);
        let parse = |text: &str| Secondary::parse(text, &names, &keys);
        let address = "192.0.2.1:53".parse().unwrap();
        assert_eq!(parse("192.0.2.1:53"), Ok(Secondary { address, key: None }));
        assert_eq!(parse("192.0.2.1:53 key XFR."), Ok(Secondary { address, key: Some(key()) }));
        // What is wrong with this key was told in its table.
        assert!(parse("192.0.2.1:53 key broken").is_ok());
        for bad in
            ["", "192.0.2.1", "192.0.2.1:53 xfr", "192.0.2.1:53 key", "192.0.2.1:53 key other", "host:53 key xfr"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_zone_says_goes_before_what_is_said_for_all() {
        let transfers = |text: &str| Transfers::parse(&[text.to_owned()], &[name("xfr")]).unwrap();
        let said = |allow: Option<&str>| Secondaries { allow_transfer: allow.map(transfers), notify: Vec::new() };
        let nobody = Secondaries { allow_transfer: Some(Transfers::default()), notify: Vec::new() };
        let zones = [(name("a"), said(Some("key xfr"))), (name("b"), said(None)), (name("c"), nobody)];
        let allowed = Allowed::new(transfers("192.0.2.0/24"), &zones);
        let (address, xfr) = ([192, 0, 2, 1].into(), name("xfr"));
        assert!(!allowed.decide(&name("a"), address, None));
        assert!(allowed.decide(&name("a"), address, Some(&xfr)));
        assert!(allowed.decide(&name("b"), address, None) && allowed.decide(&name("d"), address, None));
        assert!(!allowed.decide(&name("c"), address, Some(&xfr)) && allowed.is_nobody(&name("c")));
    }
}
