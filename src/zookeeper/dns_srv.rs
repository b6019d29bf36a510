//! Servers by their SRV records: `dns-srv://NAME[/chroot][?resolver=ADDRESS[:PORT]]`. Pure; the look-up is in
//! client/srv.rs.

use std::net::{IpAddr, SocketAddr};

use crate::registry::Path;

/// Beginning of such a connect string.
pub(super) const SCHEME: &str = "dns-srv://";

/// Port of a resolver that names none.
const DNS: u16 = 53;

/// A connect string that names SRV records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SrvSource<'t> {
    /// Owner of the records, exactly as it is looked up.
    pub(super) name: &'t str,
    /// Empty, or an absolute path.
    pub(super) chroot: &'t str,
    /// The resolver to ask; none for those of the system.
    pub(super) resolver: Option<SocketAddr>,
}

/// Reads a connect string; none where it names servers themselves.
///
/// # Errors
/// The mistake, as the end of a sentence.
pub(super) fn parse(text: &str) -> Option<Result<SrvSource<'_>, String>> {
    text.strip_prefix(SCHEME).map(read)
}

fn read(rest: &str) -> Result<SrvSource<'_>, String> {
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let (name, chroot) = place.split_at(place.find('/').unwrap_or(place.len()));
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let labels = name.strip_suffix('.').unwrap_or(name);
    if labels.len() > 253 || !labels.split('.').all(is_label) {
        return Err(format!(
            "must name SRV records behind {SCHEME}, such as _zookeeper._tcp.example.com; \"{name}\" is no name"
        ));
    }
    let chroot = if chroot == "/" { "" } else { chroot };
    if !chroot.is_empty() && Path::new(chroot).is_err() {
        return Err(format!("must end in a chroot that is the path of a znode, or in none, not in \"{chroot}\""));
    }
    let resolver = match query {
        None => None,
        Some(query) => Some(query.strip_prefix("resolver=").and_then(address).ok_or_else(|| {
            format!("may end in ?resolver=ADDRESS or ?resolver=ADDRESS:PORT, the resolver to ask, not in \"?{query}\"")
        })?),
    };
    Ok(SrvSource { name, chroot, resolver })
}

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.parse().ok().map(|ip: IpAddr| (ip, DNS).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_a_chroot_and_a_resolver_are_read_and_mistakes_are_told() {
        let read = |text| parse(text).unwrap();
        let of = |name, chroot, resolver: Option<&str>| SrvSource {
            name,
            chroot,
            resolver: resolver.map(|at| at.parse().unwrap()),
        };
        assert_eq!(parse("zk1:2181"), None);
        assert_eq!(read("dns-srv://_zk._tcp.x"), Ok(of("_zk._tcp.x", "", None)));
        assert_eq!(read("dns-srv://_zk._tcp.x./a/b"), Ok(of("_zk._tcp.x.", "/a/b", None)));
        assert_eq!(read("dns-srv://x/?resolver=10.0.0.1"), Ok(of("x", "", Some("10.0.0.1:53"))));
        assert_eq!(read("dns-srv://x/a?resolver=[::1]:5300"), Ok(of("x", "/a", Some("[::1]:5300"))));
        for (bad, part) in [
            ("dns-srv://", "must name SRV records"),
            ("dns-srv://a,b", "\"a,b\" is no name"),
            ("dns-srv://a..b", "is no name"),
            ("dns-srv://zk:2181", "\"zk:2181\" is no name"),
            ("dns-srv://a//b", "must end in a chroot"),
            ("dns-srv://a?server=1.2.3.4", "not in \"?server=1.2.3.4\""),
            ("dns-srv://a?resolver=dns", "the resolver to ask"),
        ] {
            let told = read(bad).unwrap_err();
            assert!(told.contains(part), "{bad}: {told}");
        }
    }
}
