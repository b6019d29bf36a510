//! Properties as text: `key=value` strings in one TXT record (RFC 6763 §6), of those keys that the zone lists and no
//! others, as registries hold what is nobody's business.

use crate::zone::record::MAX_DATA;

/// Returns whether a key can be one (RFC 6763 §6.4).
pub fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

/// The data of the TXT record for the metadata that `listed` names, in the order of the list; none when there is none
/// of it. `too_long` is told the keys whose string would have more than 255 bytes; they are left out.
pub(in crate::zone) fn rdata(
    listed: &[String],
    metadata: &[(Box<str>, Box<str>)],
    mut too_long: impl FnMut(&str),
) -> Option<Vec<u8>> {
    let mut rdata = Vec::new();
    for key in listed {
        let Some((_, value)) = metadata.iter().find(|(found, _)| **found == **key) else { continue };
        let string = format!("{key}={value}");
        match u8::try_from(string.len()) {
            Ok(length) if rdata.len() + usize::from(length) < MAX_DATA => {
                rdata.push(length);
                rdata.extend_from_slice(string.as_bytes());
            }
            _ => too_long(key),
        }
    }
    (!rdata.is_empty()).then_some(rdata)
}

/// Tells that a property is not shown, as its string would be too long.
pub(in crate::zone) fn too_long(who: &str, key: &str) -> String {
    format!("`{key}` of {who} is longer than a TXT string of 255 bytes and is left out of it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> Vec<(Box<str>, Box<str>)> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn only_what_is_listed_is_shown_and_in_the_order_of_the_list() {
        let metadata = metadata(&[("owner", "web team"), ("pid", "42"), ("version", "7")]);
        let listed = ["version".to_owned(), "absent".to_owned(), "owner".to_owned()];
        let rdata = rdata(&listed, &metadata, |key| panic!("{key} is short"));
        assert_eq!(rdata.unwrap(), b"\x09version=7\x0eowner=web team");
        assert_eq!(super::rdata(&[], &metadata, |_| ()), None);
    }

    #[test]
    fn a_string_over_255_bytes_is_left_out_and_told() {
        let metadata = metadata(&[("a", &"x".repeat(254)), ("b", &"x".repeat(253))]);
        let mut told = Vec::new();
        let rdata = rdata(&["a".into(), "b".into()], &metadata, |key| told.push(key.to_owned())).unwrap();
        assert_eq!((told, rdata.len()), (vec!["a".to_owned()], 256));
    }

    #[test]
    fn keys_are_printable_and_have_no_equals_sign() {
        assert!(is_key("owner") && is_key("a b"));
        assert!(!is_key("") && !is_key("a=b") && !is_key("ä") && !is_key("a\n"));
    }
}
