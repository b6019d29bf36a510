//! Data of a record as text: wire to words, field by field.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::svcb;
use super::types::{Field, layout_of};
use crate::zone::name::Name;

/// Returns the name that a type is printed with: its mnemonic, or `TYPE123` if its data is printed without words.
pub fn mnemonic(rtype: u16) -> String {
    let known = layout_of(rtype).filter(|layout| layout.is_printed);
    known.map_or_else(|| format!("TYPE{rtype}"), |layout| layout.mnemonic.to_owned())
}

/// Returns the data of a record of type `rtype` in words; in the form of RFC 3597 §5 if the type is not printed so, or
/// the data is not that type's.
pub fn text(rtype: u16, rdata: &[u8]) -> String {
    words(rtype, rdata).unwrap_or_else(|| {
        let mut text = format!("\\# {}", rdata.len());
        if !rdata.is_empty() {
            text.push(' ');
            text.push_str(&data_encoding::HEXLOWER.encode(rdata));
        }
        text
    })
}

fn words(rtype: u16, mut rdata: &[u8]) -> Option<String> {
    let layout = layout_of(rtype).filter(|layout| layout.is_printed)?;
    let mut text = String::new();
    for (_, field) in layout.fields {
        if !text.is_empty() && !matches!(field, Field::Params) {
            text.push(' ');
        }
        rdata = print(*field, rdata, &mut text)?;
    }
    rdata.is_empty().then_some(text)
}

/// Appends the field that `wire` begins with to `text` and returns what follows it; `None` if it is cut short, or has
/// no words here.
fn print<'w>(field: Field, wire: &'w [u8], text: &mut String) -> Option<&'w [u8]> {
    let size = match field {
        Field::Number(size, _) => size,
        Field::Period | Field::Ipv4 => 4,
        Field::Ipv6 => 16,
        Field::Domain => {
            let (name, size) = Name::from_wire(wire)?;
            write(text, format_args!("{name}"));
            size
        }
        Field::Texts => return print_texts(wire, text).then_some(&[]),
        Field::Params => {
            for word in svcb::words(wire)? {
                write(text, format_args!(" {word}"));
            }
            return Some(&[]);
        }
        _ => return None,
    };
    let (bytes, rest) = wire.split_at_checked(size)?;
    match field {
        Field::Number(..) | Field::Period => {
            let number = bytes.iter().fold(0, |sum: u32, &byte| sum << 8 | u32::from(byte));
            write(text, format_args!("{number}"));
        }
        Field::Ipv4 => write(text, format_args!("{}", Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))),
        Field::Ipv6 => write(text, format_args!("{}", Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))),
        _ => {}
    }
    Some(rest)
}

/// Appends character-strings in quotes (RFC 1035 §5.1), at least one; returns false if the last is cut short.
fn print_texts(mut wire: &[u8], text: &mut String) -> bool {
    let mut separator = "";
    while let Some((&length, rest)) = wire.split_first() {
        let Some((string, rest)) = rest.split_at_checked(usize::from(length)) else { return false };
        text.push_str(separator);
        text.push('"');
        for &byte in string {
            match byte {
                b'"' | b'\\' => write(text, format_args!("\\{}", char::from(byte))),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => write(text, format_args!("\\{byte:03}")),
            }
        }
        text.push('"');
        (wire, separator) = (rest, " ");
    }
    !separator.is_empty()
}

/// Writing into a string cannot fail.
fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::file::parse;
    use crate::zone::rdata::types::{LAYOUTS, type_number};

    /// Data of each printed type; a type without an example here fails the test.
    const EXAMPLES: &[&str] = &[
        "SVCB 16 foo.example. alpn=h2,h3-19 port=53 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1,2001:db8::2",
        "HTTPS 1 foo.example. port=8443",
        "A 192.0.2.1",
        "NS ns.example.",
        "CNAME a\\.b.example.",
        "SOA ns. hostmaster. 1 60 10 86400 5",
        "PTR .",
        "MX 10 mail.example.",
        "TXT \"a b\" \"\" \"\\\"\\\\\\255;\"",
        "AAAA 2001:db8::1",
        "SRV 1 2 65535 Host.example.",
        "DNAME example.",
    ];

    #[test]
    fn printed_types_read_as_they_were_written_and_others_in_the_generic_form() {
        let origin = Name::root();
        for layout in LAYOUTS.iter().filter(|layout| layout.is_printed) {
            let is_meant = |example: &&&str| example.split(' ').next() == Some(layout.mnemonic);
            let example = EXAMPLES.iter().find(is_meant).unwrap_or_else(|| panic!("no {}", layout.mnemonic));
            let parsed = parse(&format!("x 60 {example}"), &origin, &mut |_| Err(String::new()));
            let parsed = parsed.unwrap_or_else(|problems| {
                let soa = parse(&format!(". 60 {example}"), &origin, &mut |_| Err(String::new()));
                soa.unwrap_or_else(|_| panic!("{problems:?}"))
            });
            let record = &parsed.records[0];
            assert_eq!(format!("{} {}", mnemonic(record.rtype), text(record.rtype, &record.rdata)), **example);
            let cut = &record.rdata[..record.rdata.len() - 1];
            assert!(text(record.rtype, cut).starts_with("\\# "), "{example}, cut short");
        }
        assert_eq!(format!("{} {}", mnemonic(17), text(17, b"\x01a\0\0")), "TYPE17 \\# 4 01610000");
        assert_eq!(text(16, b""), "\\# 0");
    }

    #[test]
    fn types_have_names_and_numbers() {
        for (name, rtype) in [("SRV", 33), ("srv", 33), ("any", 255), ("TYPE65280", 65_280), ("a", 1)] {
            assert_eq!(type_number(name), Some(rtype), "{name}");
        }
        assert_eq!((type_number("TYPE65536"), type_number("x"), type_number("TYPE")), (None, None, None));
        assert_eq!((mnemonic(28), mnemonic(99)), ("AAAA".to_owned(), "TYPE99".to_owned()));
    }
}
