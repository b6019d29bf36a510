//! The names of addresses: `192-168-0-42.addr.service.`, and the reverse names that point there.

use std::net::IpAddr;

use crate::zone::name::{Name, NameError};

/// The stable name of an address in the zone at `origin`.
///
/// # Errors
/// When it would be too long.
pub fn name(origin: &Name, address: IpAddr) -> Result<Name, NameError> {
    let mut wire = Vec::with_capacity(40 + origin.wire().len());
    append_name(&mut wire, origin, address)?;
    Name::from_wire_vec(wire)
}

/// Appends the stable name of an address to `wire`.
///
/// # Errors
/// When it would be too long.
pub(in crate::zone) fn append_name(wire: &mut Vec<u8>, origin: &Name, address: IpAddr) -> Result<(), NameError> {
    let begin = wire.len();
    wire.push(0);
    // There are as many of these names as instances: digits are written by hand.
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets() {
                if wire.len() > begin + 1 {
                    wire.push(b'-');
                }
                let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
                let first = 2 - usize::from(octet > 9) - usize::from(octet > 99);
                wire.extend_from_slice(&digits[first..]);
            }
        }
        IpAddr::V6(address) => wire.extend_from_slice(format!("{:032x}", u128::from(address)).as_bytes()),
    }
    wire[begin] = u8::try_from(wire.len() - begin - 1).map_err(|_| NameError::LongLabel)?;
    wire.extend_from_slice(b"\x04addr");
    wire.extend_from_slice(origin.wire());
    if wire.len() - begin > 255 { Err(NameError::LongName) } else { Ok(()) }
}

/// `<label>.addr.<origin>`, which is also where hosts of one label stand.
pub(in crate::zone) fn below_addr(origin: &Name, label: &str) -> Result<Name, NameError> {
    origin.child(b"addr")?.child(label.to_ascii_lowercase().as_bytes())
}

/// The address that a name is the stable name of, in a zone at `origin`.
pub fn address_of(origin: &Name, name: &Name) -> Option<IpAddr> {
    let front = name.above(origin)?;
    let [label, b"addr"] = front[..] else { return None };
    of_label(label)
}

/// The address that a label of such a name says.
pub(in crate::zone) fn of_label(label: &[u8]) -> Option<IpAddr> {
    if label.len() == 32 {
        let digits = label.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let text = std::str::from_utf8(label).ok().filter(|_| digits)?;
        return u128::from_str_radix(text, 16).ok().map(|bits| IpAddr::V6(bits.into()));
    }
    // Asked of every target of every SRV record that is packed: read by hand, too.
    let (mut octets, mut place, mut value, mut digits) = ([0; 4], 0, 0_u16, 0);
    for &byte in label {
        match byte {
            // What is written in another way than it is made (`010-0-0-1`) is not the name of an address.
            b'0'..=b'9' if digits == 0 || (value > 0 && digits < 3) => {
                value = value * 10 + u16::from(byte - b'0');
                digits += 1;
            }
            b'-' if digits > 0 && place < 3 => {
                octets[place] = u8::try_from(value).ok()?;
                (place, value, digits) = (place + 1, 0, 0);
            }
            _ => return None,
        }
    }
    octets[place] = u8::try_from(value).ok().filter(|_| place == 3 && digits > 0)?;
    Some(IpAddr::V4(octets.into()))
}

/// The name whose PTR record says who has the address (RFC 1035 §3.5, RFC 3596 §2.5).
pub fn reverse_name(address: IpAddr) -> Name {
    let digits: Vec<String> = match address {
        IpAddr::V4(address) => address.octets().iter().rev().map(u8::to_string).collect(),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            (0..32).map(|i| format!("{:x}", (bits >> (4 * i)) & 0xf)).collect()
        }
    };
    let top: [&[u8]; 2] = if address.is_ipv4() { [b"in-addr", b"arpa"] } else { [b"ip6", b"arpa"] };
    // At most 32 labels of one digit: it is always a name.
    Name::from_labels(digits.iter().map(String::as_bytes).chain(top)).unwrap_or_else(|_| Name::root())
}

/// Returns whether a zone at `origin` holds reverse names.
pub fn is_reverse(origin: &Name) -> bool {
    let is_below = |top: [&[u8]; 2]| Name::from_labels(top).is_ok_and(|top| origin.is_at_or_below(&top));
    is_below([b"in-addr", b"arpa"]) || is_below([b"ip6", b"arpa"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_an_addr_name_is_in_it() {
        let origin = Name::parse("service").unwrap();
        for address in ["192.168.0.42", "2001:db8::1"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(address_of(&origin, &name(&origin, address).unwrap()), Some(address));
        }
        for other in [
            "010-0-0-1.addr.service",
            "1-2-3.addr.service",
            "1-2-3-4-5.addr.service",
            "1-2--4.addr.service",
            "1-2-3-256.addr.service",
            "1-2-3-00.addr.service",
            "1-2-3-.addr.service",
            "1-2-3-1000.addr.service",
            "1-2-3-+4.addr.service",
            "x.1-2-3-4.addr.service",
            "1-2-3-4.service",
        ] {
            assert_eq!(address_of(&origin, &Name::parse(other).unwrap()), None, "{other}");
        }
    }

    #[test]
    fn reverse_names_are_those_of_the_rfcs() {
        let reverse = |address: &str| reverse_name(address.parse().unwrap()).to_string();
        assert_eq!(reverse("192.168.0.42"), "42.0.168.192.in-addr.arpa.");
        // The example of RFC 3596 §2.5.
        assert_eq!(
            reverse("4321:0:1:2:3:4:567:89ab"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa."
        );
    }

    #[test]
    fn reverse_zones_are_known_by_their_origin() {
        let is = |origin: &str| is_reverse(&Name::parse(origin).unwrap());
        assert!(is("in-addr.arpa") && is("168.192.in-addr.arpa") && is("8.b.d.0.1.0.0.2.ip6.arpa"));
        assert!(!is("service") && !is("arpa") && !is("xin-addr.arpa"));
    }
}
