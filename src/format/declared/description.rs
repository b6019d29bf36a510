//! A description at work: which znodes are instances, and what each says.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::data::{DataKind, ReadData};
use super::endpoint::{self, EndpointTemplate, ReadEndpoint};
use super::pattern::{Captured, Pattern};
use super::template::{Filling, Template, scalar};
use crate::format::error::Error;
use crate::format::json;
use crate::format::placement::{Beside, Decoded, Placement};
use crate::model::{Endpoint, Instance};

/// Tag of the instance that leads the others.
pub(super) const LEADER: &str = "leader";

/// Tags that are read of one znode; its data could hold thousands.
const MOST_TAGS: usize = 64;

/// A convention as a value: a table `[format.NAME]`, compiled.
#[derive(Debug, Clone)]
pub struct Description {
    /// Name: the word for it in the configuration.
    pub name: Box<str>,
    /// One sentence about it; may be empty.
    pub doc: Box<str>,
    /// Programs that write such znodes; may be empty.
    pub writers: Box<str>,
    /// The znode where it usually is.
    pub root: Box<str>,
    /// Pattern of its paths below the root, as it is written.
    pub path: Box<str>,
    /// Znodes as an example.
    pub examples: Vec<Example>,
    /// The table, as TOML.
    pub toml: String,
    pub(super) rules: Rules,
}

/// Two descriptions are equal if their tables are.
impl PartialEq for Description {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.toml) == (&other.name, &other.toml)
    }
}

impl Eq for Description {}

/// A znode of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its path below the root.
    pub path: String,
    /// Its data.
    pub data: Vec<u8>,
}

/// A description's keys, compiled.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Pattern of instances' paths.
    pub(super) path: Pattern,
    /// Number of its captures.
    pub(super) captures: usize,
    pub(super) service: Template,
    pub(super) endpoint: EndpointTemplate,
    pub(super) ports: Vec<(Box<str>, Template)>,
    pub(super) data: DataKind,
    pub(super) weight: Option<Template>,
    pub(super) weight_unit: f64,
    pub(super) tags: Vec<Template>,
    /// Tags whose names exist while no instance has them; that of a leader is among them where there is one.
    pub(super) roles: Vec<Box<str>>,
    /// Values that are allowed; an absent one is the empty text.
    pub(super) up: Vec<Condition>,
    pub(super) needs: Option<Pattern>,
    pub(super) unless: Option<Pattern>,
    pub(super) leader: Option<Leader>,
}

/// Values that a template may have of an instance that wants traffic.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// The template as it is written.
    pub(super) text: Box<str>,
    pub(super) template: Template,
    pub(super) allowed: Vec<String>,
}

/// The way in which the leader of a service is known.
#[derive(Debug, Clone)]
pub(super) enum Leader {
    /// It has the lowest sequence.
    Lowest,
    /// The text of a znode is its capture `{id}`, which has this index.
    Named { path: Pattern, id: usize },
}

impl Description {
    /// Place of the znode at `below`, its path under the root.
    pub fn placement(&self, below: &str) -> Placement {
        let rules = &self.rules;
        let instance =
            || rules.captured(below).and_then(|captured| rules.service.path(&captured)).map(Placement::Instance);
        let beside = |pattern: &Pattern| {
            let captured = pattern.capture(below, rules.captures)?;
            Some(Placement::Beside(rules.service.path(&captured)))
        };
        // Where both match, the one that says more is meant.
        let own = rules.path.literal_length();
        let (more, less): (Vec<_>, Vec<_>) = rules.beside().partition(|pattern| pattern.literal_length() > own);
        if let Some(place) =
            more.into_iter().find_map(beside).or_else(instance).or_else(|| less.into_iter().find_map(beside))
        {
            return place;
        }
        let directory = rules.path.elements().len() - 1;
        if let Some(captured) = rules.path.capture_first(below, directory, rules.captures) {
            return rules.service.path(&captured).map_or(Placement::Way, Placement::Directory);
        }
        let leads_on =
            std::iter::once(&rules.path).chain(rules.beside()).any(|pattern| pattern.leads_on(below, rules.captures));
        if leads_on { Placement::Way } else { Placement::Foreign }
    }

    /// Tags of roles that pass from one instance to another.
    pub fn roles(&self) -> &[Box<str>] {
        &self.rules.roles
    }

    /// Returns whether the data of instances say anything.
    pub fn reads_data(&self) -> bool {
        self.rules.data != DataKind::None
    }

    /// Returns whether other programs' znodes may be among those that it reads: where the pattern leads down by more
    /// than a service and its instances, or begins at the top.
    pub fn is_sparse(&self) -> bool {
        self.rules.path.elements().len() > 2 || &*self.root == "/"
    }

    /// Reads the endpoint that a path gives by itself.
    ///
    /// # Errors
    /// When it gives none, or the data do.
    pub fn endpoint(&self, below: &str) -> Result<Endpoint, Error> {
        if self.rules.endpoint.reads_data() {
            return Err(Error::NoEndpoint("they cannot be read".to_owned()));
        }
        let unmatched = || Error::NoEndpointInName("it does not match `path`".to_owned());
        let captured = self.rules.captured(below).ok_or_else(unmatched)?;
        let filling = Filling { captured: &captured, data: &ReadData::Value(Json::Null) };
        self.rules.endpoint.read(filling).map(|endpoints| endpoints.main.endpoint)
    }

    /// Reads the instance at `below`.
    ///
    /// # Errors
    /// Why the znode is malformed.
    pub fn decode(&self, below: &str, data: &[u8], beside: &dyn Beside) -> Result<Instance, Error> {
        let rules = &self.rules;
        let captured =
            rules.captured(below).ok_or_else(|| Error::NoEndpointInName("it does not match `path`".into()))?;
        let mut unread = None;
        let read = rules.data.read(data).or_else(|error| {
            // A name that gives the endpoint is an instance, whatever its data.
            if rules.endpoint.reads_data() {
                Err(error)
            } else {
                Ok(unread.insert(error)).map(|_| ReadData::Value(Json::Null))
            }
        })?;
        let filling = Filling { captured: &captured, data: &read };
        let endpoints = rules.endpoint.read(filling)?;
        let ReadEndpoint { endpoint, weight, .. } = endpoints.main;
        let mut instance = Instance::new(&instance_name(&endpoint), endpoint);
        instance.remarks = endpoints.remarks;
        if let Some(error) = unread {
            instance.remarks.push(format!("{error}; it is served with defaults"));
        } else {
            rules.read_state(filling, &mut instance);
        }
        rules.read_ports(filling, endpoints.named, &mut instance);
        let weight = rules.weight.as_ref().and_then(|weight| weight.value(filling).map(Cow::into_owned)).or(weight);
        if let Some(weight) = weight.filter(|weight| !weight.is_null()) {
            rules.read_weight(&weight, &mut instance);
        }
        rules.read_tags(filling, &mut instance);
        rules.look_beside(&captured, beside, &mut instance);
        Ok(instance)
    }

    /// Returns whether data can be read, whatever they say.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn check(&self, data: &[u8]) -> Result<(), Error> {
        self.rules.data.read(data).map(|_| ())
    }

    /// Gives the instance with the lowest sequence its tag, where that one leads: `instances` are those of one service.
    pub fn elect(&self, instances: &mut [Decoded<'_>]) {
        if !matches!(self.rules.leader, Some(Leader::Lowest)) {
            return;
        }
        let lowest = instances.iter_mut().filter_map(|one| Some((sequence(one.below)?, &mut one.instance)));
        if let Some((_, leader)) = lowest.min_by(|(one, _), (other, _)| one.cmp(other)) {
            lead(leader);
        }
    }
}

impl Rules {
    /// Values of the captures of an instance's path. The prefix that protects a creation does not count.
    pub(super) fn captured<'p>(&self, below: &'p str) -> Option<Captured<'p>> {
        let whole = || self.path.capture(below, self.captures);
        let (parent, name) = below.rsplit_once('/').map_or((None, below), |(parent, name)| (Some(parent), name));
        let Some(plain) = unprotected(name) else { return whole() };
        let depth = self.path.elements().len() - 1;
        let mut captured = self.path.capture_first(parent.unwrap_or_default(), depth, self.captures)?;
        match self.path.elements().last() {
            Some(last) if last.matches(plain, &mut captured) => Some(captured),
            _ => whole(),
        }
    }

    /// Patterns of the znodes beside instances that decide about them.
    fn beside(&self) -> impl Iterator<Item = &Pattern> {
        let leader = match &self.leader {
            Some(Leader::Named { path, .. }) => Some(path),
            _ => None,
        };
        self.needs.iter().chain(&self.unless).chain(leader)
    }

    fn read_state(&self, filling: Filling<'_>, instance: &mut Instance) {
        for Condition { text, template, allowed } in &self.up {
            let value = template.value(filling);
            let said = value.map(|value| scalar(&value).unwrap_or_else(|| value.to_string())).unwrap_or_default();
            if allowed.contains(&said) {
                continue;
            }
            let said = if said.is_empty() { "absent".to_owned() } else { json::quote(&Json::from(said)) };
            return instance.drain(format!("its {text} is {said}"));
        }
    }

    /// Reads the named ports. Those of the description go before those that a list of endpoints names.
    fn read_ports(&self, filling: Filling<'_>, named: Vec<(Box<str>, Endpoint)>, instance: &mut Instance) {
        for (name, template) in &self.ports {
            let Some(value) = template.value(filling) else { continue };
            match endpoint::named(&value, &instance.endpoint.host) {
                Some(endpoint) => instance.ports.push((name.clone(), endpoint)),
                None => instance.remarks.push(format!(
                    "its port `{name}` is {}, neither a port nor an endpoint; it is left out",
                    json::quote(&value)
                )),
            }
        }
        let own = instance.ports.len();
        for (name, endpoint) in named {
            let is_new = !instance.ports[..own].iter().any(|(known, _)| *known == name);
            if is_new && !instance.ports.contains(&(name.clone(), endpoint.clone())) {
                instance.ports.push((name, endpoint));
            }
        }
    }

    fn read_weight(&self, value: &Json, instance: &mut Instance) {
        let number = match value {
            Json::Number(number) => number.as_f64(),
            Json::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let weight = number.map(|number: f64| number * self.weight_unit).filter(|weight| weight.is_finite());
        let rounded = weight.map(|weight| if weight > 0.0 { weight.round().max(1.0) } else { weight });
        instance.weight = rounded.filter(|weight| (0.0..=65535.0).contains(weight)).map(|weight| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range
            let weight = weight as u16;
            weight
        });
        if instance.weight.is_none() {
            let scale = if (self.weight_unit - 1.0).abs() < f64::EPSILON {
                String::new()
            } else {
                format!(" times {}", self.weight_unit)
            };
            let value = json::quote(value);
            instance
                .remarks
                .push(format!("its weight is {value}{scale}, not a number from 0 to 65535; the default is used"));
        }
    }

    fn read_tags(&self, filling: Filling<'_>, instance: &mut Instance) {
        let mut add = |value: &Json| {
            let tag = scalar(value).map(|text| endpoint::tag(&text)).filter(|tag| !tag.is_empty());
            if let Some(tag) = tag
                && instance.tags.len() < MOST_TAGS
                && !instance.tags.contains(&tag)
            {
                instance.tags.push(tag);
            }
        };
        for template in &self.tags {
            match template.value(filling).as_deref() {
                Some(Json::Array(values)) => values.iter().for_each(&mut add),
                Some(value) => add(value),
                None => {}
            }
        }
    }

    /// Looks at the znodes that decide about an instance beside its own.
    fn look_beside(&self, captured: &[Option<&str>], beside: &dyn Beside, instance: &mut Instance) {
        let look = |pattern: &Pattern| {
            let below = pattern.fill(captured);
            (below.as_ref().is_some_and(|below| beside.data(below).is_some()), below.unwrap_or_default())
        };
        if let Some((false, below)) = self.needs.as_ref().map(look) {
            instance.drain(format!("the znode {below}, which it needs, is not there"));
        } else if let Some((true, below)) = self.unless.as_ref().map(look) {
            instance.drain(format!("the znode {below} is there"));
        }
        let Some(Leader::Named { path, id }) = &self.leader else { return };
        let below = path.fill(captured);
        let data = below.as_deref().and_then(|below| beside.data(below));
        let named = data.and_then(|data| std::str::from_utf8(data).ok()).map(str::trim);
        if named.is_some() && named == captured.get(*id).copied().flatten() {
            lead(instance);
        }
    }
}

fn lead(instance: &mut Instance) {
    if !instance.tags.iter().any(|tag| &**tag == LEADER) {
        instance.tags.push(LEADER.into());
    }
}

/// The name that people know an instance by.
fn instance_name(endpoint: &Endpoint) -> String {
    if endpoint.port == 0 { endpoint.host.to_string() } else { endpoint.to_string() }
}

/// The sequence of a znode: its last ten digits. What stands in front of them is random.
fn sequence(below: &str) -> Option<&str> {
    let (_, digits) = below.split_at_checked(below.len().checked_sub(10)?)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)
}

/// The name without the prefix of a protected creation, `_c_<uuid>-` (Curator's `ProtectedUtils`).
fn unprotected(name: &str) -> Option<&str> {
    let (id, rest) = name.strip_prefix("_c_")?.split_at_checked(36)?;
    let is_uuid = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    rest.strip_prefix('-').filter(|_| is_uuid)
}
