//! The data of a record: text to wire, field by field.
//!
//! Names stay uncompressed and in the case they were written in. It knows no owners, TTLs or other records.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::HEXLOWER_PERMISSIVE;

use super::types::{Field, Layout, layout_of, number, type_name, type_number};
use super::word::{Fault, Spot, Word, base64, name_of};
use super::{check, svcb};
use crate::zone::name::Name;
use crate::zone::record::MAX_DATA;

/// Seconds, written as a number or as numbers with units: `3600`, `1h30m`, `2W`.
pub(in crate::zone) fn period(word: &str) -> Option<u32> {
    if let Some(seconds) = number(word) {
        return Some(seconds);
    }
    if word.is_empty() {
        return None;
    }
    let mut total: u32 = 0;
    for part in word.split_inclusive(|letter: char| letter.is_ascii_alphabetic()) {
        let (unit_at, unit) = part.char_indices().next_back()?;
        let seconds = match unit.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number(&part[..unit_at])?.checked_mul(seconds)?)?;
    }
    Some(total)
}

/// The data of a record of type `rtype` in wire form. `words` is what follows the type, which stands at `type_spot`.
pub(in crate::zone) fn parse(
    rtype: u16,
    words: &[Word<'_>],
    type_spot: Spot,
    origin: &Name,
) -> Result<Box<[u8]>, Fault> {
    let layout = layout_of(rtype);
    let wire = match (words.split_first(), layout) {
        (Some((mark, rest)), _) if mark.raw == "\\#" && !mark.quoted => generic(layout, mark, rest)?,
        (_, Some(layout)) => {
            let mut rest = Words { rest: words, last: type_spot };
            let mut wire = Vec::new();
            for (what, field) in layout.fields {
                encode_field(*field, what, &mut rest, origin, &mut wire)?;
            }
            if let [extra, ..] = rest.rest {
                return Err(extra.fault(format!(
                    "{} is too much: the {} record ends before it",
                    extra.shown(),
                    layout.mnemonic
                )));
            }
            wire
        }
        (_, None) => {
            let message =
                format!("{} has no text form here: write its data as `\\# LENGTH HEX` (RFC 3597)", type_name(rtype));
            return Err(Fault::error(type_spot, message));
        }
    };
    if wire.len() > MAX_DATA {
        let message = format!("the record's data is longer than {MAX_DATA} bytes: no message has room for it");
        return Err(Fault::error(type_spot, message));
    }
    Ok(wire.into())
}

/// `\# LENGTH HEX…` (RFC 3597 §5). Data of a type we know must be what that type's data is.
fn generic(layout: Option<&Layout>, mark: &Word<'_>, rest: &[Word<'_>]) -> Result<Vec<u8>, Fault> {
    let (length, digits) = rest.split_first().ok_or_else(|| mark.fault("`\\#` must be followed by a length"))?;
    let expected = number(length.raw).filter(|_| !length.quoted);
    let expected = expected.ok_or_else(|| length.fault("the length must be a whole number from 0 to 65535"))?;
    let wire = if digits.is_empty() { Vec::new() } else { hex(digits)? };
    if usize::try_from(expected).ok() != Some(wire.len()) {
        return Err(length.fault(format!("the length is given as {expected}, but {} bytes follow", wire.len())));
    }
    if let Some(layout) = layout {
        check::check(layout, &wire)
            .map_err(|why| length.fault(format!("this is no {} data: {why}", layout.mnemonic)))?;
    }
    Ok(wire)
}

/// The words of a record's data that were not read yet.
struct Words<'w, 't> {
    rest: &'w [Word<'t>],
    /// The word that was read last: where something is missing.
    last: Spot,
}

impl<'w, 't> Words<'w, 't> {
    fn next(&mut self, what: &str) -> Result<&'w Word<'t>, Fault> {
        let missing = || Fault::error(self.last, format!("the {what} is missing after this"));
        let (word, rest) = self.rest.split_first().ok_or_else(missing)?;
        (self.rest, self.last) = (rest, word.spot);
        Ok(word)
    }

    /// All that is left, one word at least.
    fn take_rest(&mut self, what: &str) -> Result<&'w [Word<'t>], Fault> {
        let all = self.rest;
        self.next(what)?;
        self.rest = &[];
        Ok(all)
    }
}

/// Reads the field called `what` from `words` and appends it to `wire`.
fn encode_field(
    field: Field,
    what: &str,
    words: &mut Words<'_, '_>,
    origin: &Name,
    wire: &mut Vec<u8>,
) -> Result<(), Fault> {
    match field {
        Field::Number(size, names) => push_number(words.next(what)?, what, size, names, wire)?,
        Field::Period => {
            let word = words.next(what)?;
            let wrong =
                || word.fault(format!("the {what} must be seconds or a time such as `1h30m`, not {}", word.shown()));
            wire.extend_from_slice(&period(word.raw).ok_or_else(wrong)?.to_be_bytes());
        }
        Field::Ipv4 => wire.extend_from_slice(&address::<Ipv4Addr>(words.next(what)?, "IPv4")?.octets()),
        Field::Ipv6 => wire.extend_from_slice(&address::<Ipv6Addr>(words.next(what)?, "IPv6")?.octets()),
        Field::Domain => wire.extend_from_slice(name_of(words.next(what)?, origin)?.wire()),
        Field::Text => push_text(words.next(what)?, wire)?,
        Field::Texts => {
            for word in words.take_rest(what)? {
                push_text(word, wire)?;
            }
        }
        Field::Tag => {
            let word = words.next(what)?;
            if !word.raw.bytes().all(|byte| byte.is_ascii_alphanumeric()) || word.raw.is_empty() {
                return Err(word.fault(format!("the {what} must be letters and digits, not {}", word.shown())));
            }
            push_text(word, wire)?;
        }
        Field::Bytes => wire.extend_from_slice(&words.next(what)?.bytes()?),
        Field::Hex => {
            let bytes = hex(words.take_rest(what)?)?;
            if bytes.is_empty() {
                return Err(Fault::error(words.last, format!("the {what} is empty")));
            }
            wire.extend_from_slice(&bytes);
        }
        Field::Base64 => {
            let all = words.take_rest(what)?;
            let joined: String = all.iter().map(|word| word.raw).collect();
            let wrong = || Fault::error(words.last, format!("the {what} is no base64"));
            let bytes = base64(joined.as_bytes()).filter(|bytes| !bytes.is_empty());
            wire.extend_from_slice(&bytes.ok_or_else(wrong)?);
        }
        Field::Types => push_types(std::mem::take(&mut words.rest), wire)?,
        Field::Params => {
            let mut params = Vec::new();
            svcb::encode(std::mem::take(&mut words.rest), &mut params)?;
            svcb::check(&params).map_err(|why| Fault::error(words.last, why))?;
            wire.extend_from_slice(&params);
        }
    }
    Ok(())
}

/// Appends a number as so many bytes.
fn push_number(
    word: &Word<'_>,
    what: &str,
    size: usize,
    names: &[(&str, u32)],
    wire: &mut Vec<u8>,
) -> Result<(), Fault> {
    let most = u32::MAX >> (32 - 8 * size);
    let by_name = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(word.raw)).map(|(_, number)| *number);
    let value = by_name.or_else(|| number(word.raw)).filter(|value| *value <= most && !word.quoted);
    let wrong = || word.fault(format!("the {what} must be a whole number from 0 to {most}, not {}", word.shown()));
    wire.extend_from_slice(&value.ok_or_else(wrong)?.to_be_bytes()[4 - size..]);
    Ok(())
}

fn address<A: std::str::FromStr>(word: &Word<'_>, family: &str) -> Result<A, Fault> {
    word.raw.parse().map_err(|_| word.fault(format!("{} is no {family} address", word.shown())))
}

fn push_text(word: &Word<'_>, wire: &mut Vec<u8>) -> Result<(), Fault> {
    let bytes = word.bytes()?;
    let length = u8::try_from(bytes.len());
    wire.push(length.map_err(|_| word.fault("a text has at most 255 bytes: split it into several, each in quotes"))?);
    wire.extend_from_slice(&bytes);
    Ok(())
}

/// Windows of 256 types, each a bitmap without trailing zeros (RFC 4034 §4.1.2).
fn push_types(words: &[Word<'_>], wire: &mut Vec<u8>) -> Result<(), Fault> {
    let mut windows: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for word in words {
        let rtype = type_number(word.raw).ok_or_else(|| word.fault(format!("{} is no record type", word.shown())))?;
        let [window, low] = rtype.to_be_bytes();
        let bitmap = windows.entry(window).or_default();
        let byte = usize::from(low / 8);
        bitmap.resize(bitmap.len().max(byte + 1), 0);
        bitmap[byte] |= 0x80 >> (low % 8);
    }
    for (window, bitmap) in windows {
        wire.push(window);
        wire.push(u8::try_from(bitmap.len()).unwrap_or(32)); // a window has 256 bits
        wire.extend_from_slice(&bitmap);
    }
    Ok(())
}

fn hex(words: &[Word<'_>]) -> Result<Vec<u8>, Fault> {
    let is_hex = |word: &&Word<'_>| word.raw.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(word) = words.iter().find(|word| !is_hex(word)) {
        return Err(word.fault(format!("{} is no hexadecimal", word.shown())));
    }
    let joined: String = words.iter().map(|word| word.raw).collect();
    HEXLOWER_PERMISSIVE.decode(joined.as_bytes()).map_err(|_| {
        let last = words.last().map_or(Spot::default(), |word| word.spot);
        Fault::error(last, "the hexadecimal digits do not come in pairs")
    })
}

#[cfg(test)]
mod tests {
    use crate::zone::file::parse;
    use crate::zone::name::Name;

    /// The type and the data of the one record that `text` is, in the zone `service.`
    fn data(text: &str) -> Result<(u16, Vec<u8>), String> {
        let origin = Name::parse("service.").unwrap();
        let line = format!("x 60 {text}\n");
        match parse(&line, &origin, &mut |_| Err("no files here".into())) {
            Ok(parsed) => {
                let [record] = &parsed.records[..] else { panic!("{:?}", parsed.records) };
                Ok((record.rtype, record.rdata.to_vec()))
            }
            Err(problems) => Err(problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("\n")),
        }
    }

    fn assert_data(text: &str, rtype: u16, wire: &[u8]) {
        assert_eq!(data(text), Ok((rtype, wire.to_vec())), "{text}");
        let hex: Vec<_> = wire.iter().map(|byte| format!("{byte:02x}")).collect();
        let generic = format!("TYPE{rtype} \\# {} {}", wire.len(), hex.join(" "));
        assert_eq!(data(&generic), Ok((rtype, wire.to_vec())), "the RFC 3597 form of {text}");
    }

    fn assert_refused(text: &str, part: &str) {
        let message = data(text).expect_err(text);
        assert!(message.contains(part), "{text}: {message}");
    }

    #[test]
    fn the_types_of_everyday_have_their_exact_wire_form() {
        assert_data("A 192.168.0.42", 1, &[192, 168, 0, 42]);
        assert_data("AAAA 2001:db8::1", 28, b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01");
        assert_data("NS ns", 2, b"\x02ns\x07service\0");
        assert_data("CNAME Api_X.Example.", 5, b"\x05Api_X\x07Example\0");
        assert_data("PTR @", 12, b"\x07service\0");
        assert_data("DNAME .", 39, b"\0");
        assert_data("MX 10 mail", 15, b"\0\x0a\x04mail\x07service\0");
        assert_data("SRV 1 2 8080 api_x", 33, b"\0\x01\0\x02\x1f\x90\x05api_x\x07service\0");
        assert_data("HINFO PC \"Plan 9\"", 13, b"\x02PC\x06Plan 9");
        assert_data("RP a\\.b.x. .", 17, b"\x03a.b\x01x\0\0");
        assert_data("AFSDB 1 db.", 18, b"\0\x01\x02db\0");
        assert_data("KX 1 k.", 36, b"\0\x01\x01k\0");
        assert_data(
            "NAPTR 100 50 s \"http+N2L\" \"\" www.example.",
            35,
            b"\0\x64\0\x32\x01s\x08http+N2L\0\x03www\x07example\0",
        );
    }

    #[test]
    fn an_soa_takes_numbers_and_times() {
        let origin = Name::parse("service.").unwrap();
        let text = "@ 1h SOA ns. hostmaster ( 4294967295\n 1h30m 900 2W 5s )";
        let parsed = parse(text, &origin, &mut |_| Err(String::new())).unwrap();
        let wire = b"\x02ns\0\x0ahostmaster\x07service\0\xff\xff\xff\xff\0\0\x15\x18\0\0\x03\x84\0\x12\x75\0\0\0\0\x05";
        assert_eq!(&*parsed.records[0].rdata, wire);
        assert_eq!(parsed.records[0].ttl, 3600);
    }

    #[test]
    fn texts_keep_their_bytes() {
        assert_data("TXT a \"b c\" \"\"", 16, b"\x01a\x03b c\0");
        assert_data("TXT \"\\\"\\\\\\255;(\" \\;x", 16, b"\x05\"\\\xff;(\x02;x");
        assert_data("TXT k=\"v w\"", 16, b"\x02k=\x03v w");
        assert_data("SPF \"v=spf1 -all\"", 99, b"\x0bv=spf1 -all");
        assert_data("TXT é", 16, b"\x02\xc3\xa9");
        let long = "x".repeat(255);
        assert_data(&format!("TXT {long}"), 16, &[&[255], long.as_bytes()].concat());
        assert_refused(&format!("TXT {long}y"), "at most 255 bytes");
        assert_refused("TXT", "the text is missing");
        assert_refused("TXT \"\\300\"", "a backslash is not followed");
    }

    #[test]
    fn the_types_of_security_have_their_exact_wire_form() {
        assert_data("CAA 128 issue \"ca.example; x=1\"", 257, b"\x80\x05issueca.example; x=1");
        assert_data("CAA 0 iodef \"\"", 257, b"\0\x05iodef");
        assert_data("DS 60485 RSASHA1 1 2BB1 83AF", 43, b"\xec\x45\x05\x01\x2b\xb1\x83\xaf");
        assert_data("CDS 0 0 0 00", 59, &[0; 5]);
        assert_data("SSHFP 4 2 123456789abcdef0", 44, b"\x04\x02\x12\x34\x56\x78\x9a\xbc\xde\xf0");
        assert_data("TLSA 3 1 1 ( 0a\n 0b )", 52, b"\x03\x01\x01\x0a\x0b");
        assert_data("SMIMEA 3 0 0 ff", 53, b"\x03\0\0\xff");
        assert_data("DNSKEY 257 3 ED25519 AQID BA==", 48, b"\x01\x01\x03\x0f\x01\x02\x03\x04");
        assert_data("CDNSKEY 0 3 0 AA==", 60, b"\0\0\x03\0\0");
        assert_data("CERT PGP 0 0 AQI=", 37, b"\0\x03\0\0\0\x01\x02");
        assert_data("OPENPGPKEY +/8=", 61, b"\xfb\xff");
        assert_data("CSYNC 66 3 A NS AAAA TYPE300", 62, b"\0\0\0\x42\0\x03\0\x04\x60\0\0\x08\x01\x06\0\0\0\0\0\x08");
        assert_data("URI 10 1 \"ftp://ftp1.example/\"", 256, b"\0\x0a\0\x01ftp://ftp1.example/");
        assert_refused("DS 1 2 3", "the digest is missing");
        assert_refused("DS 1 2 3 abc", "do not come in pairs");
        assert_refused("DS 1 2 3 xy", "no hexadecimal");
        assert_refused("DS 1 2 3 \"\"", "the digest is empty");
        assert_refused("DNSKEY 257 3 8 AQ=A", "no base64");
        assert_refused("DNSKEY 257 3 8 A===", "no base64");
        assert_refused("DNSKEY 257 3 8 =AAA", "no base64");
        assert_refused("DNSKEY 257 3 8 AQIDB", "no base64");
        assert_refused("CAA 0 is-sue x", "letters and digits");
    }

    #[test]
    fn service_parameters_are_sorted_and_held_to_rfc_9460() {
        // The vectors of RFC 9460 Appendix D.
        assert_data("HTTPS 0 foo.example.", 65, b"\0\0\x03foo\x07example\0");
        assert_data("SVCB 1 .", 64, b"\0\x01\0");
        assert_data("SVCB 16 foo.example. port=53", 64, b"\0\x10\x03foo\x07example\0\0\x03\0\x02\0\x35");
        assert_data("SVCB 1 . key667=hello", 64, b"\0\x01\0\x02\x9b\0\x05hello");
        assert_data("SVCB 1 . key667=\"hello\\210qoo\"", 64, b"\0\x01\0\x02\x9b\0\x09hello\xd2qoo");
        assert_data(
            "SVCB 1 . ipv6hint=\"2001:db8::1,2001:db8::53:1\"",
            64,
            b"\0\x01\0\0\x06\0\x20\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\x53\0\x01",
        );
        assert_data(
            "SVCB 16 . alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
            64,
            b"\0\x10\0\0\0\0\x04\0\x01\0\x04\0\x01\0\x09\x02h2\x05h3-19\0\x04\0\x04\xc0\0\x02\x01",
        );
        let escaped = b"\0\x10\0\0\x01\0\x0c\x08f\\oo,bar\x02h2";
        assert_data(r#"SVCB 16 . alpn="f\\\\oo\\,bar,h2""#, 64, escaped);
        assert_data(r"SVCB 16 . alpn=f\\\092oo\092,bar,h2", 64, escaped);
        assert_data(
            "SVCB 1 . no-default-alpn alpn=h2 ech=\"AQI=\" ohttp",
            64,
            b"\0\x01\0\0\x01\0\x03\x02h2\0\x02\0\0\0\x05\0\x02\x01\x02\0\x08\0\0",
        );
        for (text, part) in [
            ("key123=abc key123=def", "given twice"),
            ("mandatory", "must be a list"),
            ("alpn", "none of them empty"),
            ("alpn=h2,,h3", "none of them empty"),
            ("port", "must be a whole number"),
            ("port=+53", "must be a whole number"),
            ("ipv4hint=192.0.2", "list of IPv4"),
            ("ech=x", "base64"),
            ("no-default-alpn=abc alpn=h2", "take no value"),
            ("no-default-alpn", "needs `alpn`"),
            ("mandatory=key123", "is not there"),
            ("mandatory=mandatory", "not itself"),
            ("mandatory=key123,key123 key123=abc", "not itself"),
            ("key00123=x", "no service parameter"),
            ("key65535=x", "no service parameter"),
            ("\"alpn=h2\"", "expected a parameter"),
            ("alpn=\"h2\"x", "expected a parameter"),
            ("key3=x", "wrong size"),
        ] {
            assert_refused(&format!("SVCB 1 foo.example. {text}"), part);
        }
    }

    #[test]
    fn unknown_types_are_read_as_bytes_and_known_ones_are_checked() {
        assert_data("TYPE65280 \\# 4 0a0000 01", 65_280, &[10, 0, 0, 1]);
        assert_data("type65280 \\# 0", 65_280, &[]);
        assert_data("A \\# 4 0A000001", 1, &[10, 0, 0, 1]);
        assert_data("TYPE1 10.0.0.1", 1, &[10, 0, 0, 1]);
        assert_refused("TYPE65280 10.0.0.1", "has no text form");
        assert_refused("TYPE65280", "has no text form");
        assert_refused("TYPE65280 \\#", "followed by a length");
        assert_refused("TYPE65280 \\# x", "the length must be");
        assert_refused("TYPE65280 \\# 5 0a000001", "given as 5, but 4 bytes follow");
        assert_refused("TYPE65536 \\# 0", "no record type");
        assert_refused("TYPE+1 \\# 0", "no record type");
        for (text, part) in [
            ("A \\# 3 0a0000", "the address is cut short"),
            ("A \\# 5 0a00000101", "1 bytes are left over"),
            ("NS \\# 2 c00c", "no uncompressed name"),
            ("MX \\# 3 000a01", "no uncompressed name"),
            ("TXT \\# 0", "cut short"),
            ("TXT \\# 2 0261", "cut short"),
            ("CAA \\# 3 000161", ""),
            ("CAA \\# 3 000124", "the tag"),
            ("DS \\# 4 00000000", "the digest is empty"),
            ("CSYNC \\# 9 000000000000 000100", "no bitmap"),
            ("HTTPS \\# 7 000100 00030000", "RFC 9460"),
        ] {
            if part.is_empty() {
                assert!(data(text).is_ok(), "{text}");
            } else {
                assert_refused(text, part);
            }
        }
    }

    #[test]
    fn what_is_wrong_with_data_is_said() {
        assert_refused("A 192.168.0", "`192.168.0` is no IPv4 address");
        assert_refused("A api_x", "no IPv4 address");
        assert_refused("AAAA 1.2.3.4", "no IPv6 address");
        assert_refused("A 10.0.0.1 10.0.0.2", "`10.0.0.2` is too much");
        assert_refused("MX mail", "the preference must be a whole number from 0 to 65535, not `mail`");
        assert_refused("MX 65536 mail", "from 0 to 65535");
        assert_refused("MX +1 mail", "from 0 to 65535");
        assert_refused("SRV 0 0 8080", "the target is missing after this");
        assert_refused("NS \"ns\"", "without quotes");
        assert_refused("NS a..b", "a label is empty");
        assert_refused("NS \\400", "`\\400` is no name");
        assert_refused(&format!("NS {}", "x".repeat(64)), "longer than 63 bytes");
        assert_refused(&format!("TXT {}", "\"x\" ".repeat(40_000)), "longer than 64000 bytes");
    }
}
