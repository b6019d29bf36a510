//! The record types that a master file can hold, and what fields their data has.
//!
//! One table, which text and wire are both read by: a new type is one line of it.

/// One field of a record's data.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    /// A number of so many bytes; some also have names.
    Number(usize, &'static [(&'static str, u32)]),
    /// Seconds in four bytes, written with units or without.
    Period,
    Ipv4,
    Ipv6,
    Domain,
    /// One character-string: up to 255 bytes behind their length.
    Text,
    /// One or more of them, to the end.
    Texts,
    /// Letters and digits behind their length (CAA, RFC 8659 §4.1).
    Tag,
    /// The bytes of one word, without a length, to the end.
    Bytes,
    /// Hexadecimal words, to the end.
    Hex,
    /// Base64 words, to the end.
    Base64,
    /// A bitmap of types (RFC 4034 §4.1.2), to the end.
    Types,
    /// Service parameters (RFC 9460), to the end.
    Params,
}

use Field::{Base64, Bytes, Domain, Hex, Ipv4, Ipv6, Params, Period, Tag, Text, Texts, Types};
const U8: Field = Field::Number(1, &[]);
const U16: Field = Field::Number(2, &[]);
const U32: Field = Field::Number(4, &[]);
/// IANA "DNS Security Algorithm Numbers".
const ALGORITHM: Field = Field::Number(
    1,
    &[
        ("RSAMD5", 1),
        ("DH", 2),
        ("DSA", 3),
        ("RSASHA1", 5),
        ("DSA-NSEC3-SHA1", 6),
        ("RSASHA1-NSEC3-SHA1", 7),
        ("RSASHA256", 8),
        ("RSASHA512", 10),
        ("ECC-GOST", 12),
        ("ECDSAP256SHA256", 13),
        ("ECDSAP384SHA384", 14),
        ("ED25519", 15),
        ("ED448", 16),
    ],
);
/// RFC 4398 §2.1.
const CERTIFICATE: Field = Field::Number(
    2,
    &[
        ("PKIX", 1),
        ("SPKI", 2),
        ("PGP", 3),
        ("IPKIX", 4),
        ("ISPKI", 5),
        ("IPGP", 6),
        ("ACPKIX", 7),
        ("IACPKIX", 8),
        ("URI", 253),
        ("OID", 254),
    ],
);

/// A type that can be written field by field.
pub(super) struct Layout {
    pub(super) mnemonic: &'static str,
    pub(super) number: u16,
    pub(super) fields: &'static [(&'static str, Field)],
    /// True if its data is printed in words, false if in the form of RFC 3597 §5, which every reader takes.
    pub(super) is_printed: bool,
}

const fn layout(mnemonic: &'static str, number: u16, fields: &'static [(&'static str, Field)]) -> Layout {
    Layout { mnemonic, number, fields, is_printed: true }
}

/// A type that not every reader of master files knows.
const fn rare(mnemonic: &'static str, number: u16, fields: &'static [(&'static str, Field)]) -> Layout {
    Layout { is_printed: false, ..layout(mnemonic, number, fields) }
}

const DIGEST: &[(&str, Field)] = &[("key tag", U16), ("algorithm", ALGORITHM), ("digest type", U8), ("digest", Hex)];
const KEY: &[(&str, Field)] = &[("flags", U16), ("protocol", U8), ("algorithm", ALGORITHM), ("key", Base64)];
const ASSOCIATION: &[(&str, Field)] =
    &[("certificate usage", U8), ("selector", U8), ("matching type", U8), ("certificate data", Hex)];
const SERVICE: &[(&str, Field)] = &[("priority", U16), ("target", Domain), ("parameters", Params)];
const AUTHORITY: &[(&str, Field)] = &[
    ("primary server", Domain),
    ("mailbox", Domain),
    ("serial", U32),
    ("refresh time", Period),
    ("retry time", Period),
    ("expire time", Period),
    ("negative TTL", Period),
];
const POINTER: &[(&str, Field)] = &[
    ("order", U16),
    ("preference", U16),
    ("flags", Text),
    ("service", Text),
    ("regular expression", Text),
    ("replacement", Domain),
];

/// IANA "Resource Record (RR) TYPEs", those that zone files hold, by number.
pub(super) const LAYOUTS: &[Layout] = &[
    layout("A", 1, &[("address", Ipv4)]),
    layout("NS", 2, &[("name server", Domain)]),
    layout("CNAME", 5, &[("canonical name", Domain)]),
    layout("SOA", 6, AUTHORITY),
    layout("PTR", 12, &[("name", Domain)]),
    rare("HINFO", 13, &[("machine", Text), ("system", Text)]),
    layout("MX", 15, &[("preference", U16), ("mail server", Domain)]),
    layout("TXT", 16, &[("text", Texts)]),
    rare("RP", 17, &[("mailbox", Domain), ("text owner", Domain)]),
    rare("AFSDB", 18, &[("subtype", U16), ("host", Domain)]),
    layout("AAAA", 28, &[("address", Ipv6)]),
    layout("SRV", 33, &[("priority", U16), ("weight", U16), ("port", U16), ("target", Domain)]),
    rare("NAPTR", 35, POINTER),
    rare("KX", 36, &[("preference", U16), ("exchanger", Domain)]),
    rare(
        "CERT",
        37,
        &[("certificate type", CERTIFICATE), ("key tag", U16), ("algorithm", ALGORITHM), ("certificate", Base64)],
    ),
    layout("DNAME", 39, &[("target", Domain)]),
    rare("DS", 43, DIGEST),
    rare("SSHFP", 44, &[("algorithm", U8), ("fingerprint type", U8), ("fingerprint", Hex)]),
    rare("DNSKEY", 48, KEY),
    rare("TLSA", 52, ASSOCIATION),
    rare("SMIMEA", 53, ASSOCIATION),
    rare("CDS", 59, DIGEST),
    rare("CDNSKEY", 60, KEY),
    rare("OPENPGPKEY", 61, &[("key", Base64)]),
    rare("CSYNC", 62, &[("serial", U32), ("flags", U16), ("types", Types)]),
    layout("SVCB", 64, SERVICE),
    layout("HTTPS", 65, SERVICE),
    rare("SPF", 99, &[("text", Texts)]),
    rare("URI", 256, &[("priority", U16), ("weight", U16), ("target", Bytes)]),
    rare("CAA", 257, &[("flags", U8), ("tag", Tag), ("value", Bytes)]),
];

const SIGNED: &str = "belongs to a signed zone, and signed zones are not served";
const META: &str = "is a type of questions and messages, not of data";

/// Types that have a name and no place in a zone file, and why.
const REFUSED: &[(&str, u16, &str)] = &[
    ("SIG", 24, SIGNED),
    ("OPT", 41, META),
    ("RRSIG", 46, SIGNED),
    ("NSEC", 47, SIGNED),
    ("NSEC3", 50, SIGNED),
    ("NSEC3PARAM", 51, SIGNED),
    ("TKEY", 249, META),
    ("TSIG", 250, META),
    ("IXFR", 251, META),
    ("AXFR", 252, META),
    ("ANY", 255, META),
];

/// The number of a type written by its mnemonic or as `TYPE123` (RFC 3597 §5), in any case.
pub fn type_number(word: &str) -> Option<u16> {
    if let Some(digits) = strip_prefix_ignoring_case(word, "TYPE") {
        return number(digits).and_then(|number| number.try_into().ok());
    }
    let known = LAYOUTS.iter().map(|layout| (layout.mnemonic, layout.number));
    let refused = REFUSED.iter().map(|(mnemonic, number, _)| (*mnemonic, *number));
    known.chain(refused).find(|(mnemonic, _)| mnemonic.eq_ignore_ascii_case(word)).map(|(_, number)| number)
}

/// A type as a person writes it.
pub(in crate::zone) fn type_name(number: u16) -> String {
    let known = layout_of(number);
    known.map_or_else(|| format!("TYPE{number}"), |layout| layout.mnemonic.to_owned())
}

/// Returns why no record of this type can be in a zone file, if none can.
pub(in crate::zone) fn refusal(rtype: u16) -> Option<&'static str> {
    let named = REFUSED.iter().find(|(_, number, _)| *number == rtype).map(|(.., why)| *why);
    // RFC 6895 §3.1: 0 is special, 128 to 255 are for questions and meta types.
    named.or_else(|| (rtype == 0 || (128..=255).contains(&rtype)).then_some(META))
}

/// The fields of a type, if it has a text form here.
pub(super) fn layout_of(rtype: u16) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|layout| layout.number == rtype)
}

/// `word` without `prefix`, in whatever case that is written.
pub(in crate::zone) fn strip_prefix_ignoring_case<'w>(word: &'w str, prefix: &str) -> Option<&'w str> {
    let (head, rest) = word.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// A whole number in decimal digits and nothing else.
pub(super) fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}
