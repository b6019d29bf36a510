//! Checks that bytes are data of a type, as a record written as `\# LENGTH HEX` (RFC 3597 §5) must be, if the type is
//! known.

use super::svcb;
use super::types::{Field, Layout};
use crate::zone::name::Name;

/// Returns whether `wire` is data of this layout.
pub(super) fn check(layout: &Layout, mut wire: &[u8]) -> Result<(), String> {
    for (what, field) in layout.fields {
        wire = skip(*field, wire).map_err(|why| format!("the {what} {why}"))?;
    }
    if wire.is_empty() { Ok(()) } else { Err(format!("{} bytes are left over", wire.len())) }
}

/// Returns what follows a field in `wire`; the error is the end of a sentence that begins with the field's name.
fn skip(field: Field, wire: &[u8]) -> Result<&[u8], &'static str> {
    const CUT: &str = "is cut short";
    let fixed = |size: usize| wire.get(size..).ok_or(CUT);
    match field {
        Field::Number(size, _) => fixed(size),
        Field::Period | Field::Ipv4 => fixed(4),
        Field::Ipv6 => fixed(16),
        Field::Domain => Name::from_wire(wire).map(|(_, size)| &wire[size..]).ok_or("is no uncompressed name"),
        Field::Text => skip_text(wire).ok_or(CUT),
        Field::Tag => {
            let rest = skip_text(wire).ok_or(CUT)?;
            let tag = &wire[1..wire.len() - rest.len()];
            let sound = !tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric);
            sound.then_some(rest).ok_or("is not letters and digits")
        }
        Field::Texts => {
            let mut rest = skip_text(wire).ok_or(CUT)?;
            while !rest.is_empty() {
                rest = skip_text(rest).ok_or(CUT)?;
            }
            Ok(rest)
        }
        Field::Hex | Field::Base64 if wire.is_empty() => Err("is empty"),
        Field::Bytes | Field::Hex | Field::Base64 => Ok(&[]),
        Field::Types => is_bitmap(wire).then_some(&[][..]).ok_or("is no bitmap of types"),
        Field::Params => svcb::check(wire).map(|()| &[][..]).map_err(|_| "break the rules of RFC 9460"),
    }
}

fn skip_text(wire: &[u8]) -> Option<&[u8]> {
    let (&length, rest) = wire.split_first()?;
    rest.get(usize::from(length)..)
}

fn is_bitmap(mut wire: &[u8]) -> bool {
    let mut last = None;
    while let [window, length @ 1..=32, rest @ ..] = wire {
        let Some((bitmap, rest)) = rest.split_at_checked(usize::from(*length)) else { return false };
        if last >= Some(*window) || bitmap.last() == Some(&0) {
            return false;
        }
        (last, wire) = (Some(*window), rest);
    }
    wire.is_empty()
}
