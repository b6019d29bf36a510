//! URLs in the names of znodes: percent-encoded once, as Java's `URLEncoder` does it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::values::{Standing, WEIGHT, is_true, weight};
use crate::format::conventions::fields;
use crate::format::error::Error;
use crate::format::name;
use crate::model::{Endpoint, Instance};

/// Parameters that are read, and shown as nothing else.
const READ: [&str; 3] = ["disabled", "enabled", "weight"];
/// Longest quotation of a bad URL, in characters.
const MAX_QUOTED: usize = 40;

/// The URL of a provider, or of a rule about some.
#[derive(Debug)]
pub(super) struct ProviderUrl {
    /// The scheme, in lower case.
    pub(super) protocol: String,
    /// The host as it is written; may be empty.
    pub(super) host: String,
    /// The port as it is written, if there is one.
    port: Option<String>,
    /// The parameters.
    pub(super) parameters: BTreeMap<String, String>,
}

/// Returns whether a name begins as a percent-encoded URL does.
pub(in crate::format::conventions) fn is_url(name: &str) -> bool {
    let Some(at) = name.find('%') else { return false };
    let (scheme, rest) = name.split_at(at);
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_separator = rest.get(..9).is_some_and(|text| text.eq_ignore_ascii_case("%3A%2F%2F"));
    !scheme.is_empty() && scheme.bytes().all(is_scheme) && is_separator
}

impl ProviderUrl {
    /// Reads the name of a znode.
    ///
    /// # Errors
    /// When it is no URL.
    pub(super) fn read(name: &str) -> Result<Self, Error> {
        let text = decoded(name);
        Self::parse(&text).ok_or_else(|| {
            let begin: String = text.chars().take(MAX_QUOTED).collect();
            Error::NoEndpointInName(format!("{begin:?} is not scheme://host:port/…"))
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (protocol, rest) = text.split_once("://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = rest.split('/').next()?;
        let (_, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        // Of an IPv6 address without brackets, the port is behind the last colon, as for Dubbo.
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.to_owned())),
            _ => (address, None),
        };
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if protocol.is_empty() || !protocol.bytes().all(is_scheme) {
            return None;
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let parameters = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Some(Self {
            protocol: protocol.to_ascii_lowercase(),
            host: host.to_owned(),
            port,
            parameters: parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        })
    }

    /// The value of a parameter; none for one that is absent or empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.parameters.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns whether the provider is not to be used. `enabled` is heard where `disabled` is not said.
    pub(super) fn is_disabled(&self) -> bool {
        match self.get("disabled") {
            Some(disabled) => is_true(disabled),
            None => self.get("enabled").is_some_and(|enabled| !is_true(enabled)),
        }
    }

    /// The port; none for one that is absent, 0 or no port.
    pub(super) fn port(&self) -> Option<u16> {
        self.port.as_deref().and_then(|port| name::port(port).ok())
    }

    /// The endpoint, at `port` where the URL has none.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn endpoint(&self, port: Option<u16>) -> Result<Endpoint, Error> {
        let bare = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host);
        let host = name::any_host(bare).map_err(|error| {
            Error::NoEndpointInName(match error {
                Error::NoHost => "it has no host".to_owned(),
                Error::Unusable(what) => format!("its host is {what}"),
                _ => format!("its host {bare:?} is neither an address nor a host name"),
            })
        })?;
        let port = match &self.port {
            None => port.ok_or_else(|| Error::NoEndpointInName("it has no port".to_owned()))?,
            Some(text) => self.port().ok_or_else(|| Error::NoEndpointInName(format!("{text:?} is not a port")))?,
        };
        Ok(Endpoint { host, port })
    }

    /// The provider. The values of `tags` are its tags.
    ///
    /// # Errors
    /// When there is no endpoint.
    pub(super) fn instance(&self, port: Option<u16>, tags: &[&str]) -> Result<Instance, Error> {
        let endpoint = self.endpoint(port)?;
        let mut instance = Instance::new(&endpoint.to_string(), endpoint);
        instance.ports.push((self.protocol.as_str().into(), instance.endpoint.clone()));
        let mut standing =
            Standing { is_disabled: self.is_disabled(), weight: Some(WEIGHT), disabled_by: None, weight_by: None };
        if let Some(text) = self.get("weight") {
            match weight(text) {
                Some(weight) => standing.weight = Some(weight),
                None => instance.remarks.push(format!("`weight` is {text:?}, not a whole number; the default is used")),
            }
        }
        standing.give(&mut instance);
        for key in tags {
            instance.tags.extend(self.get(key).and_then(fields::tag));
        }
        let shown = self.parameters.iter().filter(|(key, _)| !READ.contains(&key.as_str()));
        instance.metadata = shown.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
        Ok(instance)
    }
}

/// Decodes what `URLEncoder` wrote: `%3A` and the like are bytes, `+` is a space.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        match (first, digit(behind.first()), digit(behind.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.extend(u8::try_from(high * 16 + low));
                rest = &behind[2..];
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(first),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_java_encodes_is_decoded_once() {
        assert_eq!(decoded("a%3A%2F%2Fb+c%25d"), "a://b c%d");
        assert_eq!(decoded("%e4%b8%ad%"), "中%");
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }

    #[test]
    fn hosts_are_found_in_all_forms_of_urls() {
        let at = |text: &str| ProviderUrl::read(text).and_then(|url| url.endpoint(Some(80))).map(|at| at.to_string());
        for (text, expected) in [
            ("dubbo://10.0.0.1:20880/a.B?x=1", "10.0.0.1:20880"),
            ("dubbo://user:p@10.0.0.1:20880", "10.0.0.1:20880"),
            ("rest://host.example?a=b", "host.example:80"),
            ("tri://[2001:db8::1]:50051/x", "[2001:db8::1]:50051"),
            ("tri://2001:db8:0:0:0:0:0:1:50051/x", "[2001:db8::1]:50051"),
            ("rest://[2001:db8::1]", "[2001:db8::1]:80"),
        ] {
            assert_eq!(at(text).unwrap(), expected, "{text}");
        }
        let why = |text: &str| at(text).unwrap_err().to_string();
        assert_eq!(why("dubbo://10.0.0.1:0/x"), "its name gives no endpoint: \"0\" is not a port");
        assert_eq!(why("dubbo:///x"), "its name gives no endpoint: it has no host");
        assert!(why("x").contains("\"x\" is not scheme://host:port/"), "{}", why("x"));
        assert!(why("dubbo://0.0.0.0:1/x").contains("0.0.0.0/8"));
    }

    #[test]
    fn urls_are_told_from_other_names() {
        assert!(is_url("dubbo%3A%2F%2F10.0.0.1") && is_url("grpc+x%3a%2f%2f"));
        for other in ["", "dubbo", "%3A%2F%2F", "10.0.0.1:80", "a b%3A%2F%2F", "dubbo%3A", "é%3A%2F%2F"] {
            assert!(!is_url(other), "{other}");
        }
    }
}
