//! /etc/hosts, where it is the first source of names (nsswitch.conf(5)): names in it are answered without a look-up.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::stamp::{Stamp, stamp};

/// The file, read again when it has changed.
#[derive(Debug)]
pub(super) struct HostsFile {
    file: PathBuf,
    nsswitch: PathBuf,
    read: Mutex<HostsRead>,
}

#[derive(Debug, Default)]
struct HostsRead {
    stamps: [Option<Stamp>; 2],
    /// Each name in lower case, with an address; none unless the file is the first source.
    entries: Vec<(String, IpAddr)>,
}

impl Default for HostsFile {
    fn default() -> Self {
        Self { file: "/etc/hosts".into(), nsswitch: "/etc/nsswitch.conf".into(), read: Mutex::default() }
    }
}

impl HostsFile {
    /// The addresses of a name, if the file has it and is asked first.
    pub(super) fn find(&self, name: &str) -> Option<Arc<[IpAddr]>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = [stamp(&self.file), stamp(&self.nsswitch)];
        if stamps != read.stamps {
            let is_first = is_first(std::fs::read_to_string(&self.nsswitch).ok().as_deref());
            // What cannot be read now, for want of a descriptor, stays as it was and is tried again.
            match std::fs::read(&self.file) {
                Ok(text) if is_first => *read = HostsRead { stamps, entries: entries(&String::from_utf8_lossy(&text)) },
                Ok(_) => *read = HostsRead { stamps, entries: Vec::new() },
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    *read = HostsRead { stamps, entries: Vec::new() };
                }
                Err(_) => {}
            }
        }
        let found = read.entries.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let addresses: Vec<_> = found.map(|(_, address)| *address).collect();
        (!addresses.is_empty()).then(|| addresses.into())
    }
}

/// Returns whether nsswitch.conf has `files` as the first source of hosts, as the C library has by default.
fn is_first(nsswitch: Option<&str>) -> bool {
    let line = nsswitch.and_then(|text| text.lines().find_map(|line| line.trim_start().strip_prefix("hosts:")));
    line.is_none_or(|sources| sources.split_whitespace().next() == Some("files"))
}

/// `127.0.0.1 localhost loopback  # comment`
fn entries(text: &str) -> Vec<(String, IpAddr)> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        // `fe80::1%lo0` is for one link, and for no check.
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        entries.extend(words.map(|name| (name.to_ascii_lowercase(), address)));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_counts_where_it_is_the_first_source() {
        assert!(is_first(None));
        assert!(is_first(Some("passwd: compat\n")));
        assert!(is_first(Some("hosts:          files mdns4_minimal [NOTFOUND=return] dns\n")));
        assert!(!is_first(Some("hosts: dns files\n")));
    }

    #[test]
    fn names_and_aliases_have_all_their_addresses_and_edits_are_seen() {
        let folder = std::env::temp_dir().join(format!("zonekeeper-hosts-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let hosts = HostsFile { file: folder.join("hosts"), nsswitch: folder.join("nsswitch"), read: Mutex::default() };
        assert_eq!(hosts.find("db"), None);
        std::fs::write(&hosts.file, "# db\n10.0.0.1 DB db.example.com # x\nrubbish db\n\n::1\tdb\n").unwrap();
        let both: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(hosts.find("db").as_deref(), Some(&both[..]));
        assert_eq!(hosts.find("Db.Example.com").as_deref(), Some(&both[..1]));
        assert_eq!(hosts.find("x"), None);
        std::fs::write(&hosts.nsswitch, "hosts: dns files").unwrap();
        assert_eq!(hosts.find("db"), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
