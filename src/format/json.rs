//! The data of a znode: what is JSON in it, which properties have a meaning, and text for the rest.
//!
//! A property that cannot be used costs its own default and a sentence, never the instance. Depth is bounded by
//! `serde_json`'s recursion limit of 128, size by [`DATA_LIMIT`].

use std::time::Duration;

use serde_json::{Map, Value};

use super::error::{DATA_LIMIT, Error};
use super::{drain, name, python};
use crate::model::{Defaults, Drain, Endpoint, Instance, Protocol, State};

/// Longest time to live (RFC 2181 §8).
const MAX_TTL: u32 = i32::MAX as u32;
/// A node can be wrong in thousands of ways at once; this many are told one by one.
const MAX_REMARKS: usize = 8;
/// Limit of what is quoted of a bad value, in characters.
const MAX_QUOTED: usize = 40;

/// A value of a drain flag that is not JSON, as JSON: text that is nothing which a flag can say.
const UNREADABLE: &str = "\"\\ufffd\"";

/// Properties of a node's data, and what had to be left out of it: a JSON object as it stands, other text as
/// `string_value`, as zc.zk reads it.
pub(super) fn properties(data: &[u8]) -> Result<(Map<String, Value>, Option<String>), Error> {
    if data.len() > DATA_LIMIT {
        return Err(Error::TooLarge(data.len()));
    }
    let text = std::str::from_utf8(data).map_err(|_| Error::NotText)?;
    // Editors and .NET begin a text with this.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim() {
        "" => Ok((Map::new(), None)),
        object if object.starts_with('{') => match serde_json::from_str(object) {
            Ok(properties) => Ok((properties, None)),
            Err(error) => {
                let (mended, count) = python::mend(object, "null");
                if count == 0 {
                    return Err(Error::BadJson(error.to_string()));
                }
                let read = |text: &str| serde_json::from_str(text).map_err(|error| Error::BadJson(error.to_string()));
                let mut properties: Map<String, Value> = read(&mended)?;
                // A drain whose end is NaN is not one without an end, nor one of no instance one of them all.
                if let Some(flags) = properties.get_mut(drain::KEY) {
                    let mut marked: Map<String, Value> = read(&python::mend(object, UNREADABLE).0)?;
                    *flags = marked.remove(drain::KEY).unwrap_or_default();
                }
                let remark = format!(
                    "{count} of its values (NaN, an infinite number, half a character) are not JSON and are left out"
                );
                Ok((properties, Some(remark)))
            }
        },
        _ => Ok((Map::from_iter([("string_value".to_owned(), Value::from(text))]), None)),
    }
}

/// Reads an instance that is its name, whatever its data.
pub(super) fn decode(name: &str, data: &[u8]) -> Result<Instance, Error> {
    let mut read = Instance::new(name, name::endpoint(name)?);
    match properties(data) {
        Ok((properties, remark)) => {
            instance(properties, &mut read);
            read.remarks.splice(0..0, remark);
        }
        Err(error) => read.remarks.push(format!("{error}; it is served with defaults")),
    }
    Ok(read)
}

/// The flags in a znode that is of no convention and has nothing but them, and a sentence for each thing in it that
/// cannot be used.
pub fn flags(data: &[u8]) -> (Vec<Drain>, Vec<String>) {
    let (defaults, remarks) = decode_service(data);
    (defaults.drains, remarks)
}

/// Reads a service's own node; returns the remarks as well.
pub(super) fn decode_service(data: &[u8]) -> (Defaults, Vec<String>) {
    match properties(data) {
        Ok((properties, remark)) => {
            let (defaults, mut remarks) = defaults(properties);
            remarks.splice(0..0, remark);
            (defaults, remarks)
        }
        Err(error) => (Defaults::default(), vec![error.to_string()]),
    }
}

/// The properties alone.
pub(super) fn object(data: &[u8]) -> Result<Map<String, Value>, Error> {
    properties(data).map(|(properties, _)| properties)
}

/// Fills in what an instance's properties say.
pub(super) fn instance(properties: Map<String, Value>, instance: &mut Instance) {
    let mut reader = FieldReader { properties, remarks: Vec::new(), more: 0 };
    instance.weight = reader.take("weight", "a whole number from 0 to 65535", short);
    instance.priority = reader.take("priority", "a whole number from 0 to 65535", short);
    instance.ttl = reader.take("ttl", TTL, ttl);
    instance.state = reader.take("state", STATE, state).unwrap_or_default();
    instance.protocol = reader.take("protocol", "\"tcp\" or \"udp\"", protocol).unwrap_or_default();
    instance.tags = reader.tags();
    instance.ports = reader.ports(&instance.endpoint);
    instance.metadata = reader.metadata();
    instance.remarks = reader.remarks();
}

/// Reads a service's properties; returns the remarks as well.
pub(super) fn defaults(properties: Map<String, Value>) -> (Defaults, Vec<String>) {
    let mut reader = FieldReader { properties, remarks: Vec::new(), more: 0 };
    let defaults = Defaults {
        ttl: reader.take("ttl", TTL, ttl),
        weight: reader.take("weight", "a whole number from 0 to 65535", short),
        priority: reader.take("priority", "a whole number from 0 to 65535", short),
        state: reader.take("state", STATE, state).unwrap_or_default(),
        drains: reader.drains(),
        metadata: reader.metadata(),
    };
    (defaults, reader.remarks())
}

const TTL: &str = "a number of seconds or a duration such as \"30s\"";
const STATE: &str = "\"up\", \"drain\" or \"down\"";

/// Takes known properties out of a node's data; the rest is metadata.
struct FieldReader {
    properties: Map<String, Value>,
    remarks: Vec<String>,
    more: usize,
}

impl FieldReader {
    /// The property `key`. JSON's `null`, which is how Python writes `None`, counts as not said.
    fn take<T>(&mut self, key: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.properties.remove(key).filter(|value| !value.is_null())?;
        let read = read(&value);
        if read.is_none() {
            self.remark(|| format!("`{key}` is {}, not {expected}; the default is used", quote(&value)));
        }
        read
    }

    /// `tags`: a list of strings, or one string.
    fn tags(&mut self) -> Vec<Box<str>> {
        let Some(tags) = self.take("tags", "a list of strings", list) else { return Vec::new() };
        let mut good = Vec::with_capacity(tags.len());
        for tag in tags {
            match tag.as_str().map(str::trim) {
                Some(tag) if !tag.is_empty() => good.push(tag.into()),
                _ => self.remark(|| format!("`tags` holds {}, which is no tag; it is left out", quote(&tag))),
            }
        }
        good
    }

    /// `ports`: `{"http": 8080}` on the instance's own host, `{"http": "host:port"}` elsewhere.
    fn ports(&mut self, own: &Endpoint) -> Vec<(Box<str>, Endpoint)> {
        let Some(ports) = self.take("ports", "a table of ports by name", |value| value.as_object().cloned()) else {
            return Vec::new();
        };
        let mut good = Vec::with_capacity(ports.len());
        for (key, value) in ports {
            match endpoint(&value, own).filter(|_| !key.is_empty()) {
                Some(endpoint) => good.push((key.into(), endpoint)),
                None => self.remark(|| {
                    let (key, value) = (quote(&Value::from(key)), quote(&value));
                    format!("`ports` holds {value} under {key}, which is no named port; it is left out")
                }),
            }
        }
        good
    }

    /// `drain`: what operators have taken out of the answers for a while.
    fn drains(&mut self) -> Vec<Drain> {
        let Some(flags) = self.take(drain::KEY, "a list of drains", |value| value.as_array().cloned()) else {
            return Vec::new();
        };
        let mut good = Vec::with_capacity(flags.len());
        for flag in flags {
            match drain::read(&flag) {
                Ok(flag) => good.push(flag),
                Err(why) => self.remark(|| format!("`drain` holds {}, which drains nothing: {why}", quote(&flag))),
            }
        }
        good
    }

    /// The rest, as text.
    fn metadata(&mut self) -> Vec<(Box<str>, Box<str>)> {
        std::mem::take(&mut self.properties).into_iter().map(|(key, value)| (key.into(), text(value))).collect()
    }

    fn remark(&mut self, sentence: impl FnOnce() -> String) {
        if self.remarks.len() < MAX_REMARKS {
            self.remarks.push(sentence());
        } else {
            self.more += 1;
        }
    }

    fn remarks(mut self) -> Vec<String> {
        if self.more > 0 {
            self.remarks.push(format!("and {} more of this kind", self.more));
        }
        self.remarks
    }
}

/// A value as text: a string as it is, anything else as compact JSON.
pub(super) fn text(value: Value) -> Box<str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

/// Numbers written as strings are taken too: some writers know no other values.
fn number<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?)),
        // Lua, JavaScript and Java's doubles write 5.0 for 5.
        other => other.as_i64().or_else(|| whole(other.as_f64()?)),
    };
    T::try_from(number?).ok()
}

/// A number without a fraction, in the range in which there is no doubt about it.
fn whole(number: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)] // in range
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// A whole number from 0 to 65535.
pub(super) fn short(value: &Value) -> Option<u16> {
    number(value)
}

/// Parts of a second count as a whole one, so that a short time to live never becomes 0.
pub(super) fn ttl(value: &Value) -> Option<u32> {
    let whole = |time: Duration| u32::try_from(time.as_secs()).ok()?.checked_add(u32::from(time.subsec_nanos() > 0));
    let seconds = match value {
        Value::String(text) => number(value).or_else(|| humantime::parse_duration(text.trim()).ok().and_then(whole)),
        _ => number(value),
    };
    seconds.filter(|seconds| *seconds <= MAX_TTL)
}

fn state(value: &Value) -> Option<State> {
    let word = value.as_str()?.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    match word.as_str() {
        "up" => Some(State::Up),
        "drain" | "draining" | "drained" => Some(State::Drain),
        // Eureka's words, and those of others who mean the same.
        "down" | "out_of_service" | "outofservice" | "starting" | "offline" | "maintenance" | "disabled" => {
            Some(State::Down)
        }
        _ => None,
    }
}

fn protocol(value: &Value) -> Option<Protocol> {
    match value.as_str()?.to_ascii_lowercase().as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

fn list(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.clone()),
        Value::String(_) => Some(vec![value.clone()]),
        _ => None,
    }
}

fn endpoint(value: &Value, own: &Endpoint) -> Option<Endpoint> {
    let port = |port| Endpoint { host: own.host.clone(), port };
    match value {
        Value::String(text) => name::port(text).map(port).or_else(|_| name::endpoint(text)).ok(),
        other => number(other).filter(|&port| port != 0).map(port),
    }
}

/// A value as a person may see it: its beginning, if it is long.
pub(super) fn quote(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
