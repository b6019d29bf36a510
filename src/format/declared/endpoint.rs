//! Endpoints as writers spell them: `host:port`, a host, a URL, or several of them with their names.

use serde_json::Value as Json;

use super::template::{Filling, Template, scalar};
use crate::format::error::Error;
use crate::format::{json, name};
use crate::model::{Endpoint, Host};

/// Endpoints that are read of one znode; its data could hold thousands.
const MOST: usize = 64;

/// Ports that a scheme has where a URL says none (RFC 9110 §4.2).
const WELL_KNOWN: [(&str, u16); 2] = [("http", 80), ("https", 443)];

/// A template of endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EndpointTemplate {
    form: Form,
    /// The port where none is said; 0 for none at all.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// A host and a port apart: an IPv6 address needs no brackets.
    Apart { host: Template, port: Template },
    /// Whatever the value says.
    Whole(Template),
}

/// An endpoint that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReadEndpoint {
    pub(super) endpoint: Endpoint,
    /// Its weight, where the endpoints are the keys of a table of weights.
    pub(super) weight: Option<Json>,
    /// Its name: the scheme of its URL.
    name: Option<Box<str>>,
}

/// The endpoints of a znode, the main one first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReadEndpoints {
    pub(super) main: ReadEndpoint,
    /// All of them that have a name, where names tell them apart.
    pub(super) named: Vec<(Box<str>, Endpoint)>,
    /// Reasons why others could not be read.
    pub(super) remarks: Vec<String>,
}

impl EndpointTemplate {
    /// A template of endpoints, and the port of those that have none.
    pub(super) fn new(template: Template, port: Option<u16>) -> Self {
        let form = match template.split_port() {
            Some((host, port)) => Form::Apart { host, port },
            None => Form::Whole(template),
        };
        Self { form, port }
    }

    /// Returns whether it takes anything from the data.
    pub(super) fn reads_data(&self) -> bool {
        match &self.form {
            Form::Apart { host, port } => host.reads_data() || port.reads_data(),
            Form::Whole(template) => template.reads_data(),
        }
    }

    /// Reads the endpoints.
    ///
    /// # Errors
    /// When there is none that can be used.
    pub(super) fn read(&self, filling: Filling<'_>) -> Result<ReadEndpoints, Error> {
        self.read_any(filling).map_err(|error| match error {
            Error::NoEndpoint(why) if !self.reads_data() => Error::NoEndpointInName(why),
            error => error,
        })
    }

    fn read_any(&self, filling: Filling<'_>) -> Result<ReadEndpoints, Error> {
        let one = |endpoint| {
            let main = ReadEndpoint { endpoint, weight: None, name: None };
            ReadEndpoints { main, named: Vec::new(), remarks: Vec::new() }
        };
        match &self.form {
            Form::Apart { host, port } => {
                let host = host.text(filling).ok_or_else(|| none("no host is there"))?;
                // A port that is there and is none must not turn into another one.
                let port = match port.text(filling) {
                    Some(text) => self::port(&text)?,
                    None => self.port.ok_or_else(|| none("no port is there"))?,
                };
                Ok(one(Endpoint { host: self::host(&host)?, port }))
            }
            Form::Whole(template) => {
                let value = template.value(filling).ok_or_else(|| none("it is not there"))?;
                if let Json::Array(items) = &*value {
                    let items = items.iter().map(|item| scalar(item).unwrap_or_else(|| item.to_string()));
                    return self.several(items.map(|one| (one, None)), true);
                }
                if let Json::Object(weights) = &*value {
                    let all = weights.iter().map(|(key, weight)| (key.clone(), Some(weight.clone())));
                    return self.several(all, weights.len() > 1);
                }
                let text = scalar(&value).unwrap_or_default();
                let all = split_list(&text);
                let has_names = all.len() > 1;
                self.several(all.into_iter().map(|one| (one.to_owned(), None)), has_names)
            }
        }
    }

    /// Reads a list of endpoints, whose schemes are their names where they are meant to tell them apart.
    fn several(
        &self,
        all: impl Iterator<Item = (String, Option<Json>)>,
        has_names: bool,
    ) -> Result<ReadEndpoints, Error> {
        let (mut read, mut bad) = (Vec::new(), Vec::new());
        for (text, weight) in all.take(MOST) {
            match self.one(&text) {
                Ok((name, endpoint)) => read.push(ReadEndpoint { endpoint, weight, name }),
                Err(error) => bad.push((text, error)),
            }
        }
        let Some(main) = read.first().cloned() else {
            return Err(bad.into_iter().next().map_or_else(|| none("it is empty"), |(_, error)| error));
        };
        let remark = |(text, _): &(String, Error)| {
            format!("one of its endpoints, {}, cannot be read; it is left out", json::quote(&Json::from(&**text)))
        };
        let remarks = bad.iter().map(remark).collect();
        let named = |one: ReadEndpoint| Some((one.name?, one.endpoint));
        let named = if has_names { read.into_iter().filter_map(named).collect() } else { Vec::new() };
        Ok(ReadEndpoints { main, named, remarks })
    }

    /// Reads one endpoint, with the name that its scheme gives it.
    fn one(&self, text: &str) -> Result<(Option<Box<str>>, Endpoint), Error> {
        let (scheme, authority) = authority(text.trim());
        let (host, port) = split_authority(authority);
        let port = if let Some(port) = port {
            self::port(port)?
        } else {
            let is_known = |(known, _): &&(&str, u16)| scheme.is_some_and(|one| one.eq_ignore_ascii_case(known));
            let port = self.port.or(WELL_KNOWN.iter().find(is_known).map(|(_, port)| *port));
            port.ok_or_else(|| none(&format!("{} has no port", quote(text))))?
        };
        Ok((scheme.map(port_name).filter(|name| !name.is_empty()), Endpoint { host: self::host(host)?, port }))
    }
}

/// Reads a named port of an instance: a port of its own host, or an endpoint.
pub(super) fn named(value: &Json, host: &Host) -> Option<Endpoint> {
    let text = scalar(value)?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Endpoint { host: host.clone(), port: name::port(&text).ok()? });
    }
    let template = EndpointTemplate { form: Form::Whole(Template::default()), port: None };
    template.one(&text).ok().map(|(_, endpoint)| endpoint)
}

/// A word that can be a label: lower case, and one hyphen for each run of anything but letters, digits, `_` and `-`.
pub(super) fn tag(text: &str) -> Box<str> {
    let mut tag = String::with_capacity(text.len());
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '_' | '-') => tag.push(c),
            _ if tag.ends_with('-') => {}
            _ => tag.push('-'),
        }
    }
    tag.trim_matches('-').into()
}

/// The name of a port after a scheme: `sasl-ssl` of `SASL_SSL`.
fn port_name(scheme: &str) -> Box<str> {
    tag(&scheme.replace('_', "-"))
}

fn none(why: &str) -> Error {
    Error::NoEndpoint(why.to_owned())
}

fn quote(text: &str) -> String {
    json::quote(&Json::from(text))
}

fn host(text: &str) -> Result<Host, Error> {
    name::any_host(text.trim()).map_err(|error| {
        none(&match error {
            Error::NoHost => "its host is empty".to_owned(),
            Error::Unusable(what) => format!("its host is {what}"),
            _ => format!("its host is {}, neither an address nor a host name", quote(text)),
        })
    })
}

fn port(text: &str) -> Result<u16, Error> {
    name::port(text.trim()).map_err(|_| none(&format!("its port is {}, not a number from 1 to 65535", quote(text))))
}

/// The scheme of a URL, and its authority without user information (RFC 3986 §3.2); of anything else all of it.
fn authority(text: &str) -> (Option<&str>, &str) {
    let is_scheme = |scheme: &&str| {
        let mut bytes = scheme.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
    };
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return (None, text);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // Drivers of databases take several hosts in one URL.
    (Some(scheme), authority.split(',').next().unwrap_or_default())
}

/// Host and port. An IPv6 address without brackets is a host alone.
fn split_authority(text: &str) -> (&str, Option<&str>) {
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// The parts of a list with commas; of URLs only where each part is one.
fn split_list(text: &str) -> Vec<&str> {
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let is_url = |part: &&str| authority(part).0.is_some();
    if !text.contains("://") || parts.iter().all(is_url) { parts } else { vec![text] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::declared::data::{DataKind, ReadData};
    use serde_json::json;

    fn read(value: &Json, port: Option<u16>) -> Result<ReadEndpoints, String> {
        let template = Template::parse("{}", &[], DataKind::Json).unwrap();
        let data = ReadData::Value(value.clone());
        let filling = Filling { captured: &[], data: &data };
        EndpointTemplate::new(template, port).read(filling).map_err(|error| error.to_string())
    }

    fn shown(value: &Json, port: Option<u16>) -> String {
        let read = read(value, port).unwrap_or_else(|error| panic!("{value}: {error}"));
        let named: Vec<_> = read.named.iter().map(|(name, endpoint)| format!("{name}={endpoint}")).collect();
        format!("{} {}", read.main.endpoint, named.join(" ")).trim().to_owned()
    }

    #[test]
    fn endpoints_are_read_in_each_of_their_spellings() {
        let all = [
            (json!("h1:80"), "h1:80"),
            (json!("postgres://user:pass@10.0.0.1:5432/db?x=a,b"), "10.0.0.1:5432"),
            (json!("http://[2001:db8::1]:8080/x"), "[2001:db8::1]:8080"),
            (json!("[2001:db8::1]:8080"), "[2001:db8::1]:8080"),
            (json!("https://h1/path"), "h1:443"),
            (json!("HTTP://h1"), "h1:80"),
            (json!("postgres://h1:5432,h2:5433/db"), "h1:5432"),
            (json!(["SASL_SSL://h1:9094"]), "h1:9094 sasl-ssl=h1:9094"),
            (json!(["h1:1", "h2:2"]), "h1:1"),
            (json!("CLIENT://h1:1, INTERNAL://h1:2"), "h1:1 client=h1:1 internal=h1:2"),
            (json!("CLIENT://h1:1"), "h1:1"),
            (json!("h1:1,h2:2"), "h1:1"),
            (json!({"http://h1:1/a": 1.0}), "h1:1"),
            (json!({"http://h1:1/a": 1.0, "https://h1:2/a": 1.0}), "h1:1 http=h1:1 https=h1:2"),
        ];
        for (value, expected) in all {
            assert_eq!(shown(&value, None), expected, "{value}");
        }
        assert_eq!(shown(&json!("h1"), Some(7)), "h1:7");
        assert_eq!(shown(&json!("2001:db8::1"), Some(7)), "[2001:db8::1]:7");
        assert_eq!(shown(&json!("http://h1"), Some(7)), "h1:7", "its writer says more than its scheme");
        assert_eq!(shown(&json!("node1"), Some(0)), "node1");
    }

    #[test]
    fn one_of_several_that_cannot_be_read_costs_only_itself() {
        let some = read(&json!(["x://", "A://h1:1", "B://h2:70000"]), None).unwrap();
        assert_eq!((some.main.endpoint.to_string(), some.named.len(), some.remarks.len()), ("h1:1".to_owned(), 1, 2));
        assert_eq!(some.remarks[1], "one of its endpoints, \"B://h2:70000\", cannot be read; it is left out");
    }

    #[test]
    fn what_gives_no_endpoint_says_why() {
        let all = [
            (json!(null), "it is not there"),
            (json!([]), "it is empty"),
            (json!("h1"), "\"h1\" has no port"),
            (json!("h1:0"), "its port is \"0\", not a number from 1 to 65535"),
            (json!("h1:x"), "its port is \"x\", not a number from 1 to 65535"),
            (json!(":80"), "its host is empty"),
            (json!("a b:80"), "its host is \"a b\", neither an address nor a host name"),
            (json!("0.0.0.0:80"), "its host is in 0.0.0.0/8, which is no host's address (RFC 1122)"),
        ];
        for (value, why) in all {
            assert_eq!(read(&value, None).unwrap_err(), format!("its data give no endpoint: {why}"), "{value}");
        }
    }

    #[test]
    fn a_named_port_is_a_number_or_an_endpoint() {
        let own = Host::Name("h1".into());
        let all = [
            (json!(8080), Some("h1:8080")),
            (json!("8080"), Some("h1:8080")),
            (json!("http://h2:1/x"), Some("h2:1")),
            (json!(0), None),
            (json!(70000), None),
            (json!([1]), None),
        ];
        for (value, expected) in all {
            assert_eq!(named(&value, &own).map(|one| one.to_string()).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn tags_are_labels() {
        for (text, expected) in
            [("v1.2.0", "v1-2-0"), ("SASL_SSL", "sasl_ssl"), ("a  b/", "a-b"), ("ä", ""), ("-x-", "x")]
        {
            assert_eq!(&*tag(text), expected);
        }
    }
}
