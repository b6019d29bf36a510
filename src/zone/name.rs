//! Domain names in wire form (RFC 1035 §3.1), any bytes allowed in a label: `api_x` and `192.168.0.42:8080` included.
//!
//! hickory's `Name` refuses underscores inside labels when it parses text, and costs a heap block a label when built in
//! quantity. A zone holds millions of names: here each is one allocation, shared by all that speak of it.

use std::fmt;
use std::sync::Arc;

/// A domain name: labels, each behind its length, and the root's empty label. At most 255 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<[u8]>);

/// Reasons for which something is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Two dots in a row, or a dot at the beginning.
    #[error("a label is empty")]
    EmptyLabel,
    /// RFC 1035 §2.3.4.
    #[error("a label is longer than 63 bytes")]
    LongLabel,
    /// RFC 1035 §2.3.4.
    #[error("the name is longer than 255 bytes")]
    LongName,
    /// A backslash with nothing usable behind it (RFC 1035 §5.1).
    #[error("a backslash is not followed by a character or by three digits up to 255")]
    BadEscape,
    /// An element of a registry path that would be a wildcard (RFC 4592), or is empty.
    #[error("`*` alone would be a wildcard")]
    BadElement,
}

impl Name {
    /// The root, `.`.
    pub fn root() -> Self {
        Self([0].as_slice().into())
    }

    /// Reads a name in master file form (RFC 1035 §5.1, with `\.` and `\046`); it is taken as absolute, with or without
    /// the final dot.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self::root());
        }
        let mut labels: Vec<Vec<u8>> = vec![Vec::new()];
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            let byte = match byte {
                b'.' => {
                    labels.push(Vec::new());
                    continue;
                }
                b'\\' => match bytes.next().ok_or(NameError::BadEscape)? {
                    hundreds @ b'0'..=b'9' => {
                        let mut code = u16::from(hundreds - b'0');
                        for _ in 0..2 {
                            let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::BadEscape)?;
                            code = code * 10 + u16::from(digit - b'0');
                        }
                        u8::try_from(code).map_err(|_| NameError::BadEscape)?
                    }
                    other => other,
                },
                other => other,
            };
            if let Some(label) = labels.last_mut() {
                label.push(byte);
            }
        }
        if labels.last().is_some_and(Vec::is_empty) {
            labels.pop();
        }
        Self::from_labels(labels.iter().map(Vec::as_slice))
    }

    /// A name of these labels, the leftmost first, without the root's.
    ///
    /// # Errors
    /// When a label is empty or too long, or the whole is.
    pub fn from_labels<'l>(labels: impl IntoIterator<Item = &'l [u8]>) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(32);
        for label in labels {
            push_label(&mut wire, label)?;
        }
        wire.push(0);
        Self::from_wire_vec(wire)
    }

    /// `label` in front of `self`.
    ///
    /// # Errors
    /// When the label is empty or too long, or the whole is.
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(1 + label.len() + self.0.len());
        push_label(&mut wire, label)?;
        wire.extend_from_slice(&self.0);
        Self::from_wire_vec(wire)
    }

    /// Returns whether there is room for `label` in front of `self`, if it is one.
    pub(super) fn has_room_for(&self, label: &[u8]) -> bool {
        (1..=63).contains(&label.len()) && 1 + label.len() + self.0.len() <= 255
    }

    /// The uncompressed name at the start of `wire`, and how many bytes it takes.
    pub fn from_wire(wire: &[u8]) -> Option<(Self, usize)> {
        let mut at = 0;
        loop {
            match *wire.get(at)? {
                0 => break,
                length @ 1..=63 => at += 1 + usize::from(length),
                _ => return None,
            }
        }
        let end = at + 1;
        (end <= 255).then(|| (Self(wire[..end].into()), end))
    }

    /// A name in wire form that is well-formed but for, maybe, its length.
    pub(super) fn from_wire_vec(wire: Vec<u8>) -> Result<Self, NameError> {
        if wire.len() > 255 { Err(NameError::LongName) } else { Ok(Self(wire.into())) }
    }

    /// The name in wire form, the root's empty label included.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The same name in lower case: what look-ups go by (RFC 4343).
    pub fn folded(&self) -> Self {
        Self(self.0.to_ascii_lowercase().into())
    }

    /// The labels, the leftmost first, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        labels(&self.0)
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0[0] {
            0 => None,
            length => Some(Self(self.0[1 + usize::from(length)..].into())),
        }
    }

    /// Returns whether `self` is `other` or below it. Both must be in the same case.
    pub fn is_at_or_below(&self, other: &Self) -> bool {
        self.above(other).is_some()
    }

    /// The labels of `self` in front of `other`, where `self` is `other` or below it.
    pub fn above<'n>(&'n self, other: &Self) -> Option<Vec<&'n [u8]>> {
        let mut rest = &*self.0;
        let mut front = Vec::new();
        while rest.len() > other.0.len() {
            let (label, after) = rest[1..].split_at(usize::from(rest[0]));
            front.push(label);
            rest = after;
        }
        (rest == &*other.0).then_some(front)
    }

    /// Returns whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }
}

/// The labels of a name in wire form, without the root's.
pub(crate) fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, after) = after.split_at_checked(usize::from(length))?;
        rest = after;
        Some(label)
    })
}

fn push_label(wire: &mut Vec<u8>, label: &[u8]) -> Result<(), NameError> {
    match u8::try_from(label.len()) {
        Ok(0) => Err(NameError::EmptyLabel),
        Ok(length @ 1..=63) => {
            wire.push(length);
            wire.extend_from_slice(label);
            Ok(())
        }
        _ => Err(NameError::LongLabel),
    }
}

/// Master file form with a final dot.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => write!(f, "\\{}", char::from(byte))?,
                    b'!'..=b'~' => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::borrow::Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Start of each label of a name, the root's included.
pub(super) fn suffixes(name: &[u8]) -> impl Iterator<Item = usize> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let at = next?;
        let length = usize::from(*name.get(at)?);
        next = (length > 0).then_some(at + 1 + length);
        Some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_wire_agree() {
        let name = Name::parse("api_x.Service.").unwrap();
        assert_eq!(name.wire(), b"\x05api_x\x07Service\0");
        assert_eq!(name.to_string(), "api_x.Service.");
        assert_eq!(name.folded(), Name::parse("api_x.service").unwrap());
        assert_eq!(Name::parse(".").unwrap(), Name::root());
        assert_eq!(Name::from_wire(b"\x05api_x\x07Service\0rest"), Some((name, 15)));
    }

    #[test]
    fn any_byte_can_be_in_a_label() {
        let name = Name::root().child(b"192.168.0.42:8080").unwrap();
        assert_eq!(name.to_string(), "192\\.168\\.0\\.42:8080.");
        assert_eq!(Name::parse(&name.to_string()).unwrap(), name);
        let odd = Name::root().child(b" \xff").unwrap();
        assert_eq!(odd.to_string(), "\\032\\255.");
        assert_eq!(Name::parse(&odd.to_string()).unwrap(), odd);
    }

    #[test]
    fn names_out_of_bounds_are_refused() {
        assert_eq!(Name::parse("a..b"), Err(NameError::EmptyLabel));
        assert_eq!(Name::parse(""), Ok(Name::root()));
        assert_eq!(Name::parse(&"x".repeat(64)), Err(NameError::LongLabel));
        assert_eq!(Name::parse(&vec!["x".repeat(63); 4].join(".")), Err(NameError::LongName));
        assert_eq!(Name::parse("a\\2"), Err(NameError::BadEscape));
        assert_eq!(Name::parse("a\\256"), Err(NameError::BadEscape));
        assert_eq!(Name::from_wire(b"\xc0\x0c"), None);
        assert_eq!(Name::from_wire(b"\x05ab"), None);
    }

    #[test]
    fn above_gives_the_labels_in_front() {
        let apex = Name::parse("service").unwrap();
        let name = Name::parse("_api._tcp.service").unwrap();
        assert_eq!(name.above(&apex), Some(vec![b"_api".as_slice(), b"_tcp"]));
        assert_eq!(apex.above(&apex), Some(vec![]));
        assert_eq!(Name::parse("xservice").unwrap().above(&apex), None);
        assert_eq!(apex.above(&name), None);
        assert_eq!(name.parent().unwrap().parent().unwrap(), apex);
    }
}
