//! Access control lists as people write them: `scheme:id:rights`, as zkCli does.

use std::fmt;

use crate::registry::Error;

/// Letters of the rights, by their bits (`ZooDefs.Perms`).
const RIGHTS: [(char, u8); 5] = [('c', 4), ('d', 8), ('r', 1), ('w', 2), ('a', 16)];

/// Entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AclEntry {
    /// Scheme: `world`, `auth`, `digest`, `sasl`, `ip`, `x509`.
    pub scheme: String,
    /// Identity in the scheme, such as `anyone` or `user:hash`; empty in `auth`.
    pub id: String,
    /// Rights as bits: read 1, write 2, create 4, delete 8, admin 16.
    pub rights: u8,
}

impl AclEntry {
    /// Reads `scheme:id:rights`, of which the id may contain colons.
    ///
    /// # Errors
    /// The mistake, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || "must be SCHEME:ID:RIGHTS, such as world:anyone:r or digest:user:HASH:cdrwa".to_owned();
        let (scheme, rest) = text.split_once(':').ok_or_else(form)?;
        let (id, letters) = rest.rsplit_once(':').ok_or_else(form)?;
        if scheme.is_empty() || letters.is_empty() || (id.is_empty() && scheme != "auth") {
            return Err(form());
        }
        let mut rights = 0;
        for letter in letters.chars() {
            let Some((_, bit)) = RIGHTS.iter().find(|(known, _)| *known == letter) else {
                return Err(format!("has the right `{letter}`: rights are c, d, r, w and a"));
            };
            rights |= bit;
        }
        Ok(Self { scheme: scheme.to_owned(), id: id.to_owned(), rights })
    }

    /// Reads entries separated by commas.
    ///
    /// # Errors
    /// The first mistake, with its entry.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        // In an X.509 name there are commas: an entry ends with one behind its rights.
        let (mut entries, mut begun) = (Vec::new(), String::new());
        for piece in text.split(',') {
            if !begun.is_empty() {
                begun.push(',');
            }
            begun.push_str(piece);
            let rights = begun.rsplit(':').next().unwrap_or_default();
            let is_whole = begun.matches(':').count() >= 2 && rights.chars().all(|c| "cdrwa".contains(c));
            if is_whole && !rights.is_empty() {
                entries.push(Self::parse(&begun).map_err(|why| format!("`{begun}` {why}"))?);
                begun.clear();
            }
        }
        match (&*begun, entries.is_empty()) {
            ("", false) => Ok(entries),
            ("", true) => Err("an access control list has one entry at least, such as world:anyone:cdrwa".to_owned()),
            _ => Err(format!("`{begun}` {}", Self::parse(&begun).err().unwrap_or_default())),
        }
    }
}

impl fmt::Display for AclEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.scheme, self.id)?;
        RIGHTS.iter().filter(|(_, bit)| self.rights & bit != 0).try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

/// Words for a list that a server refuses.
pub fn refused(error: &Error) -> String {
    match error {
        Error::InvalidAcl => {
            "the server refuses the access control list: a scheme is not known to it, a digest has no \
                              hash, or `auth` is used without credentials"
                .to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_are_written() {
        for text in ["world:anyone:cdrwa", "digest:team:aGFzaA==:r", "ip:10.0.0.0/8:cd", "auth::cdrwa", "ip:fe80::1:r"]
        {
            assert_eq!(AclEntry::parse(text).unwrap().to_string(), text);
        }
        let list = AclEntry::parse_list("world:anyone:r,x509:CN=a,O=b:cdrwa").unwrap();
        assert_eq!(list.iter().map(ToString::to_string).collect::<Vec<_>>(), ["world:anyone:r", "x509:CN=a,O=b:cdrwa"]);
    }

    #[test]
    fn mistakes_are_told_with_the_entry() {
        assert!(AclEntry::parse_list("world:anyone:x").unwrap_err().starts_with("`world:anyone:x` has the right `x`"));
        assert!(AclEntry::parse_list("world:anyone").unwrap_err().contains("must be SCHEME:ID:RIGHTS"));
        assert!(AclEntry::parse_list("").unwrap_err().contains("one entry at least"));
        assert!(AclEntry::parse_list("world:anyone:r,digest::r").unwrap_err().starts_with("`digest::r` must be"));
    }
}
