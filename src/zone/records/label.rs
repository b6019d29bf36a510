//! From an element of a registry path, which is any text, to a label, which is any 63 bytes and by custom a host name.
//!
//! Every element has an *exact* label: its own bytes, ASCII letters in lower case. It is what the service's own name is
//! made of, and it can be read back: `api_x`, `com\.example\.api`, `k\195\164se`. One of more than 63 bytes is the only
//! exception: its first bytes, a hyphen and 16 hexadecimal digits of its FNV-1a hash.
//!
//! Many clients cannot ask for such names, so an element has a *host name* label as well where its exact one is none:
//! everything but letters, digits and hyphens becomes a hyphen, other scripts go through Punycode (RFC 3492) in lower
//! case: `api-x`, `com-example-api`, `xn--kse-qla`. Two elements may have the same; the registry's own names go first.

use crate::zone::name::{Name, NameError};

/// Limit of a label's length in bytes (RFC 1035 §2.3.4).
pub const LONGEST: usize = 63;

/// The exact label of an element.
///
/// # Errors
/// [`NameError::BadElement`] for `*`, which would answer for its neighbours (RFC 4592), and for nothing at all.
pub fn exact(element: &str) -> Result<Vec<u8>, NameError> {
    match element {
        "" | "*" => Err(NameError::BadElement),
        _ if element.len() <= LONGEST => Ok(element.to_ascii_lowercase().into_bytes()),
        _ => Ok(shortened(element.to_ascii_lowercase().as_bytes(), LONGEST)),
    }
}

/// The label of an element that is a host name's (RFC 1123 §2.1), where the exact one is none and there is one.
pub fn host_name(element: &str) -> Option<Vec<u8>> {
    if element.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && element.len() <= LONGEST {
        return None;
    }
    let plain = |c: char| if c.is_ascii() && !c.is_ascii_alphanumeric() { '-' } else { c };
    let mapped: String = element.to_lowercase().chars().map(plain).collect();
    let mapped = mapped.trim_matches('-');
    if mapped.is_empty() {
        return None;
    }
    if mapped.is_ascii() {
        let label =
            if mapped.len() > LONGEST { shortened(mapped.as_bytes(), LONGEST) } else { mapped.as_bytes().to_vec() };
        return exact(element).is_ok_and(|exact| exact != label).then_some(label);
    }
    let label = format!("xn--{}", idna::punycode::encode_str(mapped)?);
    (label.len() <= LONGEST).then(|| label.into_bytes())
}

/// `_` in front of a label (RFC 2782, RFC 6763 §7), which is cut where that makes it too long.
pub fn underscored(label: &[u8]) -> Vec<u8> {
    let cut = (label.len() >= LONGEST).then(|| shortened(label, LONGEST - 1));
    [b"_", cut.as_deref().unwrap_or(label)].concat()
}

/// The beginning of a long label, not within a character, and what tells it from others.
fn shortened(label: &[u8], longest: usize) -> Vec<u8> {
    let mut end = longest - 17;
    while end > 0 && label[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    [&label[..end], format!("-{:016x}", fnv(label)).as_bytes()].concat()
}

/// FNV-1a of 64 bits: fixed for ever, as names are made of it.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The owner name of the service at `path`: the elements reversed below the origin. The root's own is the apex.
///
/// # Errors
/// When an element makes no label, or the whole is too long.
pub fn owner(origin: &Name, path: &str) -> Result<Name, NameError> {
    let mut elements = path.split('/').filter(|element| !element.is_empty());
    elements.try_fold(origin.clone(), |name, element| name.child(&exact(element)?))
}

/// Returns whether everybody can ask for the service at `path` by its own name: HAProxy and others take letters,
/// digits, hyphens and underscores, and no escapes.
pub fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte))
}

/// The same service by a host name, where its own is none.
pub fn alias(origin: &Name, path: &str) -> Option<Name> {
    let mut name = origin.clone();
    let mut differs = false;
    for element in path.split('/').filter(|element| !element.is_empty()) {
        let spelled = host_name(element);
        differs |= spelled.is_some();
        name = name.child(&spelled.map_or_else(|| exact(element), Ok).ok()?).ok()?;
    }
    differs.then_some(name)
}

/// The other names of the service at `path`: its host name and, where `is_dotted`, those in which dots within elements
/// are borders of labels: `com.acme.fooservice.service.` as people write `com.acme.FooService`, and
/// `fooservice.acme.com.service.` as paths are reversed; both by host names, too, where they are none.
pub fn aliases(origin: &Name, path: &str, is_dotted: bool) -> Vec<Name> {
    let mut all: Vec<Name> = alias(origin, path).into_iter().collect();
    if is_dotted && path.contains('.') {
        let elements = || path.rsplit('/').filter(|element| !element.is_empty());
        let of = |labels: Vec<&str>, spell: fn(&str) -> Option<Vec<u8>>| {
            // The last label is right in front of the origin.
            labels.iter().rev().try_fold(origin.clone(), |name, label| name.child(&spell(label)?).ok())
        };
        let as_exact = |label: &str| exact(label).ok();
        let as_host = |label: &str| host_name(label).or_else(|| exact(label).ok());
        for spell in [as_exact as fn(&str) -> Option<Vec<u8>>, as_host] {
            let written = elements().flat_map(|element| element.split('.')).collect();
            let reversed = elements().flat_map(|element| element.rsplit('.')).collect();
            for name in [of(written, spell), of(reversed, spell)].into_iter().flatten() {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(element: &str) -> Option<String> {
        host_name(element).map(|label| String::from_utf8(label).unwrap())
    }

    #[test]
    fn the_exact_label_is_the_element_itself_in_lower_case() {
        assert_eq!(exact("API_x").unwrap(), b"api_x");
        assert_eq!(exact("com.example.Api").unwrap(), b"com.example.api");
        assert_eq!(exact("a b").unwrap(), b"a b");
        assert_eq!(exact("käse").unwrap(), "käse".as_bytes());
        assert_eq!(exact(&"x".repeat(63)).unwrap(), [b'x'; 63]);
    }

    #[test]
    fn a_wildcard_is_no_element() {
        assert_eq!(exact("*"), Err(NameError::BadElement));
        assert_eq!(exact("*x").unwrap(), b"*x", "only a label that is nothing but an asterisk is one");
    }

    #[test]
    fn long_elements_are_cut_and_told_apart() {
        let (one, other) = (exact(&("x".repeat(63) + "1")).unwrap(), exact(&("x".repeat(63) + "2")).unwrap());
        assert_eq!((one.len(), other.len()), (63, 63));
        assert_ne!(one, other);
        assert_eq!(one, exact(&("X".repeat(63) + "1")).unwrap(), "in any case");
        assert!(std::str::from_utf8(&exact(&("x".to_owned() + &"ä".repeat(40))).unwrap()).is_ok());
        assert_eq!(underscored(&one).len(), 63);
        assert_ne!(underscored(&one), underscored(&other));
        assert_eq!(underscored(&[b'x'; 62]).len(), 63);
        assert_eq!(String::from_utf8(one).unwrap(), "x".repeat(46) + "-b96a21cbb56d574a");
    }

    #[test]
    fn a_host_name_is_made_where_there_is_none() {
        assert_eq!(host("api-x"), None);
        assert_eq!(host("API2"), None);
        assert_eq!(host("api_x").as_deref(), Some("api-x"));
        assert_eq!(host("com.example.Api").as_deref(), Some("com-example-api"));
        assert_eq!(host("a b@c").as_deref(), Some("a-b-c"));
        assert_eq!(host("_x_").as_deref(), Some("x"));
        assert_eq!(host("__"), None);
        let long = "y".repeat(30) + "_" + &"y".repeat(40);
        assert_eq!(host(&long).map(|label| label.len()), Some(63));
    }

    #[test]
    fn dots_are_borders_of_labels_where_they_are_meant_so() {
        let origin = Name::parse("service").unwrap();
        let names = |path: &str| aliases(&origin, path, true).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            names("com.acme.FooService"),
            ["com-acme-fooservice.service.", "com.acme.fooservice.service.", "fooservice.acme.com.service."]
        );
        assert_eq!(
            names("a.B$C"),
            ["a-b-c.service.", "a.b\\$c.service.", "b\\$c.a.service.", "a.b-c.service.", "b-c.a.service."]
        );
        assert_eq!(names("east/a.B"), ["a-b.east.service.", "a.b.east.service.", "b.a.east.service."]);
        assert_eq!(names("a..b"), ["a--b.service."], "there is no empty label");
        assert_eq!(names("foo"), [""; 0]);
        assert_eq!(aliases(&origin, "a.B", false).len(), 1);
    }

    /// The first are of RFC 3492 §7.1, the last as browsers show them.
    #[test]
    fn other_scripts_become_punycode() {
        assert_eq!(host("他们为什么不说中文").as_deref(), Some("xn--ihqwcrb4cv8a8dqg056pqjye"));
        assert_eq!(host("почемужеонинеговорятпорусски").as_deref(), Some("xn--b1abfaaepdrnnbgefbadotcwatmq2g4l"));
        assert_eq!(host("Käse").as_deref(), Some("xn--kse-qla"));
        assert_eq!(host("bücher_x").as_deref(), Some("xn--bcher-x-n2a"));
    }
}
