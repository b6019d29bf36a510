//! The parameters of SVCB and HTTPS records (RFC 9460 §2.1, §7, Appendix A): text to wire, and the rules the wire must
//! keep.
//!
//! The rules are checked on the wire form only, so a record written as `\#` is held to the same as one written in
//! words.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::word::{BAD_ESCAPE, Fault, Word, base64, unescape};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
const DOH_PATH: u16 = 7;
const OHTTP: u16 = 8;

/// IANA "Service Parameter Keys (`SvcParamKeys`)".
const KEYS: &[(&str, u16)] = &[
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", PORT),
    ("ipv4hint", IPV4_HINT),
    ("ech", ECH),
    ("ipv6hint", IPV6_HINT),
    ("dohpath", DOH_PATH),
    ("ohttp", OHTTP),
];

fn key_number(name: &str) -> Option<u16> {
    if let Some((_, number)) = KEYS.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let digits = name.strip_prefix("key")?;
    let number = digits.parse().ok()?;
    // No leading zeros, no sign (RFC 9460 §2.1); 65535 is reserved as invalid (§14.3.2).
    (digits == format!("{number}") && number != u16::MAX).then_some(number)
}

/// Appends the parameters in `words` to `wire`, in the order of their keys.
pub(super) fn encode(words: &[Word<'_>], wire: &mut Vec<u8>) -> Result<(), Fault> {
    let mut params: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        if word.quoted || word.glued {
            return Err(word.fault("expected a parameter such as `port=8080` or `alpn=\"h2,h3\"`"));
        }
        let (name, mut text) = match word.raw.split_once('=') {
            Some((name, text)) => (name, Some(text)),
            None => (word.raw, None),
        };
        if text == Some("")
            && let Some(value) = words.next_if(|next| next.quoted && next.glued)
        {
            text = Some(value.raw);
        }
        let key = key_number(name).ok_or_else(|| word.fault(format!("{} is no service parameter", word.shown())))?;
        if params.iter().any(|(other, _)| *other == key) {
            return Err(word.fault(format!("the parameter {} is given twice", word.shown())));
        }
        let decoded = unescape(text.unwrap_or_default()).ok_or_else(|| word.fault(BAD_ESCAPE))?;
        // `keyNNNNN` gives the wire form itself, also of a key that has a name (RFC 9460 §2.1).
        let value = if name.starts_with("key") { Ok(decoded) } else { encode_value(key, decoded) };
        params.push((key, value.map_err(|message| word.fault(format!("`{name}` {message}")))?));
    }
    params.sort_by_key(|(key, _)| *key);
    for (key, value) in params {
        wire.extend_from_slice(&key.to_be_bytes());
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX); // the record's own limit refuses what is longer
        wire.extend_from_slice(&length.to_be_bytes());
        wire.extend_from_slice(&value);
    }
    Ok(())
}

/// The wire form of one value; the error is the end of a sentence that begins with the key.
fn encode_value(key: u16, value: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    match key {
        MANDATORY => {
            let mut keys = Vec::new();
            for item in list(&value) {
                let number = std::str::from_utf8(&item).ok().and_then(key_number);
                keys.push(number.ok_or("must be a list of service parameters")?);
            }
            keys.sort_unstable();
            Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        ALPN => {
            let mut wire = Vec::new();
            for item in list(&value) {
                wire.push(u8::try_from(item.len()).map_err(|_| "must be a list of protocols, each up to 255 bytes")?);
                wire.extend_from_slice(&item);
            }
            Ok(wire)
        }
        PORT => {
            let port = parse::<u16>(&value).filter(|_| value.iter().all(u8::is_ascii_digit));
            Ok(port.ok_or("must be a whole number from 0 to 65535")?.to_be_bytes().into())
        }
        IPV4_HINT => addresses(&value, "must be a list of IPv4 addresses", |address: Ipv4Addr| address.octets()),
        IPV6_HINT => addresses(&value, "must be a list of IPv6 addresses", |address: Ipv6Addr| address.octets()),
        ECH => base64(&value).ok_or("must be base64"),
        _ => Ok(value),
    }
}

fn parse<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn addresses<A: std::str::FromStr, const N: usize>(
    value: &[u8],
    expected: &'static str,
    octets: impl Fn(A) -> [u8; N],
) -> Result<Vec<u8>, &'static str> {
    let mut wire = Vec::new();
    for item in list(value) {
        wire.extend_from_slice(&octets(parse(&item).ok_or(expected)?));
    }
    Ok(wire)
}

/// Splits at commas; `\,` and `\\` are a comma and a backslash within an item (RFC 9460 Appendix A.1).
fn list(value: &[u8]) -> Vec<Vec<u8>> {
    let mut items = vec![Vec::new()];
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        let last = items.len() - 1;
        match byte {
            b',' => items.push(Vec::new()),
            b'\\' => items[last].push(bytes.next().unwrap_or(b'\\')),
            _ => items[last].push(byte),
        }
    }
    items
}

/// Returns whether `wire` is a sound list of parameters.
pub(super) fn check(mut wire: &[u8]) -> Result<(), &'static str> {
    let mut keys = Vec::new();
    let mut mandatory = Vec::new();
    while !wire.is_empty() {
        let (key, rest) = take_u16(wire).ok_or(CUT)?;
        let (length, rest) = take_u16(rest).ok_or(CUT)?;
        let (value, rest) = rest.split_at_checked(length.into()).ok_or(CUT)?;
        if keys.last().is_some_and(|&last| last >= key) {
            return Err("the service parameters are not in rising order of their keys");
        }
        check_value(key, value)?;
        if key == MANDATORY {
            mandatory = value.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
        }
        keys.push(key);
        wire = rest;
    }
    if !mandatory.is_sorted_by(|a, b| a < b) || mandatory.contains(&MANDATORY) {
        return Err("`mandatory` must name each parameter once, and not itself");
    }
    if mandatory.iter().any(|key| !keys.contains(key)) {
        return Err("`mandatory` names a parameter that is not there");
    }
    if keys.contains(&NO_DEFAULT_ALPN) && !keys.contains(&ALPN) {
        return Err("`no-default-alpn` needs `alpn`");
    }
    Ok(())
}

/// The parameters in words; none where one of them has a value that is better left as bytes: any reader takes those.
pub(super) fn words(mut wire: &[u8]) -> Option<Vec<String>> {
    let mut words = Vec::new();
    while !wire.is_empty() {
        let (key, rest) = take_u16(wire)?;
        let (length, rest) = take_u16(rest)?;
        let (value, rest) = rest.split_at_checked(length.into())?;
        check_value(key, value).ok()?;
        let (name, _) = KEYS.iter().find(|(_, number)| *number == key)?;
        let list = match key {
            NO_DEFAULT_ALPN => Vec::new(),
            ALPN => protocols(value)?,
            PORT => vec![take_u16(value)?.0.to_string()],
            IPV4_HINT => {
                value.as_chunks().0.iter().map(|octets: &[u8; 4]| Ipv4Addr::from(*octets).to_string()).collect()
            }
            IPV6_HINT => {
                value.as_chunks().0.iter().map(|octets: &[u8; 16]| Ipv6Addr::from(*octets).to_string()).collect()
            }
            _ => return None,
        };
        words.push(if list.is_empty() { (*name).to_owned() } else { format!("{name}={}", list.join(",")) });
        wire = rest;
    }
    Some(words)
}

/// Protocols of `alpn` that need no escapes.
fn protocols(mut value: &[u8]) -> Option<Vec<String>> {
    let mut protocols = Vec::new();
    while let Some((&length, rest)) = value.split_first() {
        let (protocol, rest) = rest.split_at_checked(length.into())?;
        let is_plain = protocol.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-./_".contains(byte));
        protocols.push(std::str::from_utf8(protocol).ok().filter(|_| is_plain)?.to_owned());
        value = rest;
    }
    Some(protocols)
}

const CUT: &str = "a service parameter is cut short";

fn take_u16(wire: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = wire.split_first_chunk()?;
    Some((u16::from_be_bytes(*head), rest))
}

fn check_value(key: u16, value: &[u8]) -> Result<(), &'static str> {
    let whole = |size: usize| !value.is_empty() && value.len().is_multiple_of(size);
    let sound = match key {
        MANDATORY => whole(2),
        ALPN => is_alpn(value),
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4_HINT => whole(4),
        IPV6_HINT => whole(16),
        ECH | DOH_PATH => !value.is_empty(),
        _ => true,
    };
    match key {
        _ if sound => Ok(()),
        NO_DEFAULT_ALPN | OHTTP => Err("`no-default-alpn` and `ohttp` take no value"),
        ALPN => Err("`alpn` must be a list of protocols, none of them empty"),
        _ => Err("a service parameter's value is empty or of the wrong size"),
    }
}

/// One or more strings behind their lengths, none empty.
fn is_alpn(mut value: &[u8]) -> bool {
    if value.is_empty() {
        return false;
    }
    while let Some((&length, rest)) = value.split_first() {
        match rest.split_at_checked(length.into()) {
            Some((protocol, rest)) if !protocol.is_empty() => value = rest,
            _ => return false,
        }
    }
    true
}
