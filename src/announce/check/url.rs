//! URLs of the check `http`: where they lead, the credentials in them, and what may be shown of them.

use data_encoding::BASE64;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::{Authority, PathAndQuery};

use super::tls;
use crate::diagnostic::{HIDDEN, Span};
use crate::settings::{Setting, Value};

/// Words in the name of a query's parameter whose value is not shown.
const SECRET: [&str; 8] = ["token", "key", "secret", "pass", "pwd", "auth", "credential", "sig"];

/// Returns whether the value of a query's parameter, by its name, is not shown.
pub(crate) fn is_secret(parameter: &str) -> bool {
    let lower = parameter.to_ascii_lowercase();
    SECRET.iter().any(|word| lower.contains(word))
}

/// A URL to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Without credentials; `http` or `https` always.
    pub uri: Uri,
    /// The credentials that were in it, as the header `Authorization` has them (RFC 7617).
    pub credentials: Option<HeaderValue>,
}

impl Url {
    /// Returns whether it is to be asked over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        bare(self.uri.host().unwrap_or_default())
    }

    /// The port, or the scheme's own.
    pub fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_encrypted() { 443 } else { 80 })
    }
}

impl Setting for Url {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        let text = String::read(value)?;
        let uri: Uri = text.parse().map_err(|error| (value.span, format!("must be a URL: {error}")))?;
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(host)) if tls::server_name(bare(host)).is_none() => {
                Err((value.span, format!("has a host that no certificate can be for: \"{host}\"")))
            }
            (Some("http" | "https"), Some(host)) if !host.is_empty() => {
                split(uri).ok_or_else(|| (value.span, "has credentials that cannot be sent".to_owned()))
            }
            _ => Err((value.span, "must be a URL such as \"http://127.0.0.1:8080/health\"".to_owned())),
        }
    }
}

/// Takes the credentials out of a URL.
fn split(uri: Uri) -> Option<Url> {
    let Some((user, place)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return Some(Url { uri, credentials: None });
    };
    let decoded = decode(user)?;
    // A user without a password has an empty one.
    let decoded = if decoded.contains(&b':') { decoded } else { [&decoded[..], b":"].concat() };
    let mut credentials = HeaderValue::try_from(format!("Basic {}", BASE64.encode(&decoded))).ok()?;
    credentials.set_sensitive(true);
    let place: Authority = place.parse().ok()?;
    let mut parts = uri.into_parts();
    parts.authority = Some(place);
    Some(Url { uri: Uri::from_parts(parts).ok()?, credentials: Some(credentials) })
}

/// Undoes percent-encoding (RFC 3986 §2.1); none where a percent sign has no two digits behind it.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

/// As it may be shown: without what looks like a secret in its query.
impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let place = self.uri.authority().map_or("", Authority::as_str);
        let path = self.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        f.write_str(&shown(&format!("{scheme}://{place}{path}")))
    }
}

/// A URL, or a reference to one, as it may be shown: without credentials and without what looks like a secret in its
/// query.
pub(super) fn shown(text: &str) -> String {
    let (place, query) = text.split_once('?').map_or((text, None), |(place, query)| (place, Some(query)));
    let start = place.find("//").map_or(0, |slashes| slashes + 2);
    let end = place[start..].find('/').map_or(place.len(), |slash| start + slash);
    let mut shown = match place[start..end].rfind('@').filter(|_| start > 0) {
        Some(at) => format!("{}{}", &place[..start], &place[start + at + 1..]),
        None => place.to_owned(),
    };
    for (at, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if at == 0 { '?' } else { '&' });
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if is_secret(name) && !value.is_empty() {
            shown.push_str(name);
            shown.push('=');
            shown.push_str(HIDDEN);
        } else {
            shown.push_str(parameter);
        }
    }
    shown
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Kind;

    fn read(text: &str) -> Result<Url, String> {
        let span = Span { file: 0, start: 0, end: 1 };
        Url::read(&Value { span, kind: Kind::String(text.to_owned()) }).map_err(|(_, message)| message)
    }

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let url = read("https://user:p%40ss@app.example:8443/health?x=1").unwrap();
        assert_eq!(url.to_string(), "https://app.example:8443/health?x=1");
        assert!(!format!("{url:?}").contains("p%40ss") && !format!("{url:?}").contains("dXNlcjpwQHNz"), "{url:?}");
        assert_eq!(url.credentials.unwrap().to_str().unwrap(), format!("Basic {}", BASE64.encode(b"user:p@ss")));
        assert_eq!(url.uri.to_string(), "https://app.example:8443/health?x=1");
        let alone = read("http://user@[::1]/").unwrap();
        assert_eq!(alone.credentials.unwrap().to_str().unwrap(), format!("Basic {}", BASE64.encode(b"user:")));
        assert_eq!((alone.uri.host(), alone.uri.port_u16()), (Some("[::1]"), None));
        assert_eq!(read("http://user:%zz@h/").unwrap_err(), "has credentials that cannot be sent");
    }

    #[test]
    fn what_looks_like_a_secret_in_a_query_is_not_shown() {
        let shown = |text: &str| read(text).unwrap().to_string();
        assert_eq!(shown("http://h/?access_token=abc&x=1&apikey"), "http://h/?access_token=***&x=1&apikey");
        assert_eq!(shown("http://h/p?Password=a%26b&PWD=c"), "http://h/p?Password=***&PWD=***");
        assert_eq!(shown("http://h"), "http://h/");
        for (told, expected) in [
            ("http://u:pw@h/?token=x&y=1", "http://h/?token=***&y=1"),
            ("//u:pw@h?sig=x", "//h?sig=***"),
            ("/login?next=/a@b", "/login?next=/a@b"),
            ("a@b", "a@b"),
            ("", ""),
        ] {
            assert_eq!(super::shown(told), expected);
        }
    }
}
