//! From a table `[format.NAME]` to a description. Every mistake is a problem at the place where it is.

use std::ops::Range;

use super::data::DataKind;
use super::description::{Condition, Description, Example, LEADER, Leader, Rules};
use super::endpoint::{self, EndpointTemplate};
use super::pattern::{Mistake, Pattern};
use super::render;
use super::template::Template;
use crate::diagnostic::{Problems, Span};
use crate::settings::{Kind, Located, Section, Table, Value, fixed, nearest};

/// Most roles of a description.
const MOST_ROLES: usize = 16;

/// Compiles the description called `name`; none where it has mistakes.
pub(in crate::format) fn compile(name: &str, table: &Table, problems: &Problems) -> Option<Description> {
    let mut section = Section::new(table, format!("format.{name}"), problems);
    let compiled = Compiler { section: &mut section, problems, is_good: true, names: Vec::new() }.compile(name, table);
    section.finish();
    compiled
}

struct Compiler<'c, 't> {
    section: &'c mut Section<'t>,
    problems: &'t Problems,
    is_good: bool,
    /// Captures of `path`.
    names: Vec<Box<str>>,
}

impl Compiler<'_, '_> {
    fn compile(mut self, name: &str, table: &Table) -> Option<Description> {
        let doc = self.section.or(fixed("doc"), String::new());
        let writers = self.section.or(fixed("writers"), String::new());
        let root = self.section.located::<String>(fixed("root"));
        let path = self.section.required::<String>(fixed("path"));
        let data = self.data();
        let pattern = path.as_ref().and_then(|path| self.path(path, root.as_ref()));
        let root = self.root(root, path.as_ref());
        let known = pattern.is_some();
        let service = self.service(path.as_ref(), known);
        let port = self.port();
        let endpoint = self.endpoint(data, port, path.as_ref(), known);
        let ports = self.ports(data, known);
        let weight = self.template("weight", data, known);
        let weight_unit = self.weight_unit();
        let tags = self.tags(data, known);
        let mut kept = self.roles();
        let up = self.up(data, known);
        let (needs, unless) = (self.beside("needs", &root, known), self.beside("unless", &root, known));
        let leader = self.leader(&root, known);
        if leader.is_some() && !kept.iter().any(|role| &**role == LEADER) {
            kept.push(LEADER.into());
        }
        let examples = self.examples();
        if !self.is_good {
            return None;
        }
        let (endpoint, service) = (endpoint?, service?);
        let templates = ports.iter().map(|(_, template)| template).chain(&weight).chain(&tags);
        let reads_data = endpoint.reads_data()
            || templates.chain(up.iter().map(|condition| &condition.template)).any(Template::reads_data);
        let rules = Rules {
            path: pattern?,
            captures: self.names.len(),
            service,
            endpoint,
            ports,
            // Data that nobody looks at may be anything.
            data: if reads_data { data } else { DataKind::None },
            weight,
            weight_unit,
            tags,
            roles: kept,
            up,
            needs,
            unless,
            leader,
        };
        Some(Description {
            name: name.into(),
            doc: doc.into(),
            writers: writers.into(),
            root: root.into(),
            path: path?.value.into(),
            examples,
            toml: render::table(&format!("format.{name}"), table),
            rules,
        })
    }

    fn problem(&mut self, at: Span, message: impl Into<String>, help: Option<String>) {
        self.is_good = false;
        match help {
            Some(help) => self.problems.add_with_help(at, message, help),
            None => self.problems.add(at, message),
        }
    }

    /// Tells a mistake in a text, where it is in that text.
    fn mistake(&mut self, key: &str, text: &str, span: Span, mistake: Mistake) {
        self.problem(within(span, text, mistake.at), format!("`{key}`: {}", mistake.message), mistake.help);
    }

    fn data(&mut self) -> DataKind {
        let Some(word) = self.section.located::<String>(fixed("data")) else { return DataKind::Json };
        let words = DataKind::ALL.map(|(word, _)| word);
        let known = DataKind::ALL.iter().find(|(known, _)| *known == word.value).map(|(_, kind)| *kind);
        known.unwrap_or_else(|| {
            let help = match nearest(&word.value, &words) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("known kinds: {}", words.join(", ")),
            };
            self.problem(word.span, format!("there are no data of the kind \"{}\"", word.value), Some(help));
            DataKind::Json
        })
    }

    /// Reads `path`, whose captures all others may use.
    fn path(&mut self, path: &Located<String>, root: Option<&Located<String>>) -> Option<Pattern> {
        if path.value.starts_with('/') && root.is_none() {
            let (root, below) = split(&path.value);
            let help = format!("write root = \"{root}\" and path = \"{below}\"");
            self.problem(path.span, "`path` is relative to `root`", Some(help));
            return None;
        }
        if let Some(below) = path.value.strip_prefix('/') {
            let help = format!("write path = \"{below}\"");
            self.problem(path.span, "`path` is relative to `root`", Some(help));
            return None;
        }
        if path.value.is_empty() {
            self.problem(path.span, "`path` must name a znode below `root`", None);
            return None;
        }
        let mut names = Vec::new();
        let read = Pattern::defining(&path.value, &mut names);
        self.names = names;
        read.map_err(|mistake| self.mistake("path", &path.value, path.span, mistake)).ok()
    }

    fn root(&mut self, root: Option<Located<String>>, path: Option<&Located<String>>) -> String {
        let Some(Located { value, span }) = root else {
            if let Some(path) = path.filter(|path| path.value.starts_with('{')) {
                let help = "name the znode below which it is looked for: root = \"/services\"".to_owned();
                self.problem(path.span, "`root` is missing: `path` begins with a capture", Some(help));
            }
            return "/".to_owned();
        };
        let elements = value.strip_prefix('/').map(|below| below.split('/'));
        let is_good =
            value == "/" || elements.is_some_and(|mut elements| elements.all(|one| !matches!(one, "" | "." | "..")));
        if value.contains(['{', '}']) {
            let help = "captures begin in `path`".to_owned();
            self.problem(span, "`root` is one znode and has no captures", Some(help));
        } else if !is_good {
            self.problem(span, "`root` must be the path of a znode, such as \"/services\"", None);
        }
        value
    }

    fn service(&mut self, path: Option<&Located<String>>, known: bool) -> Option<Template> {
        let Some(given) = self.section.located::<String>(fixed("service")) else {
            if let (true, Some(path)) = (known && !self.has("service"), path) {
                let help = "add {service} to it, or say `service`".to_owned();
                self.problem(path.span, "nothing names the service: `path` has no {service}", Some(help));
            }
            return self.read("service", "{service}", None, DataKind::None, known && self.has("service"));
        };
        if given.value.is_empty() || given.value.split('/').any(str::is_empty) {
            let message = "`service` must be the path of a service, without slashes at its ends";
            self.problem(given.span, message, None);
            return None;
        }
        // Which service a znode belongs to is known by its path, also while it has no data.
        let data = Template::parse(&given.value, &self.names, DataKind::Json).is_ok_and(|read| read.reads_data());
        if known && data {
            let help = "use captures of `path`, such as {id}".to_owned();
            self.problem(given.span, "`service` is known by the path alone, not by the data", Some(help));
            return None;
        }
        self.read("service", &given.value, Some(given.span), DataKind::None, known)
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| **known == *name)
    }

    /// Reads a template. A `path` that cannot be read is told, and captures are not known then.
    fn read(&mut self, key: &str, text: &str, span: Option<Span>, data: DataKind, known: bool) -> Option<Template> {
        if !known {
            return None;
        }
        match Template::parse(text, &self.names, data) {
            Ok(template) => Some(template),
            Err(mistake) => {
                self.mistake(key, text, span.unwrap_or(self.section.span()), mistake);
                None
            }
        }
    }

    fn template(&mut self, key: &'static str, data: DataKind, known: bool) -> Option<Template> {
        let given = self.section.located::<String>(fixed(key))?;
        self.read(key, &given.value, Some(given.span), data, known)
    }

    fn port(&mut self) -> Option<u16> {
        self.section.optional::<u16>(fixed("port"))
    }

    fn endpoint(
        &mut self,
        data: DataKind,
        port: Option<u16>,
        path: Option<&Located<String>>,
        known: bool,
    ) -> Option<EndpointTemplate> {
        let template = match self.section.located::<String>(fixed("endpoint")) {
            Some(given) => self.read("endpoint", &given.value, Some(given.span), data, known),
            None if !known => None,
            None if !self.has("host") => {
                let help = "add {host}:{port} to it, or say `endpoint`".to_owned();
                let at = path.map_or(self.section.span(), |path| path.span);
                self.problem(at, "nothing gives the endpoint: `path` has no {host}", Some(help));
                None
            }
            None if self.has("port") => self.read("endpoint", "{host}:{port}", None, data, known),
            None if port.is_some() => self.read("endpoint", "{host}", None, data, known),
            None => {
                let help = "add {port} to it, or say `port`; `port = 0` is for hosts without one".to_owned();
                let at = path.map_or(self.section.span(), |path| path.span);
                self.problem(at, "nothing gives the port: `path` has no {port}", Some(help));
                None
            }
        };
        Some(EndpointTemplate::new(template?, port))
    }

    fn ports(&mut self, data: DataKind, known: bool) -> Vec<(Box<str>, Template)> {
        let mut ports = Vec::new();
        for (name, span, value) in self.entries("ports") {
            if name.is_empty() || *endpoint::tag(&name) != *name {
                let help = Some("lower-case letters, digits, `-` and `_`".to_owned());
                self.problem(span, format!("a port cannot be called \"{name}\": it becomes a DNS label"), help);
            }
            if let Some(text) = self.text(&value, &format!("ports.{name}")) {
                let read = self.read(&format!("ports.{name}"), &text, Some(value.span), data, known);
                ports.extend(read.map(|template| (name.into(), template)));
            }
        }
        ports
    }

    fn weight_unit(&mut self) -> f64 {
        let Some(value) = self.section.value(fixed("weight_unit")) else { return 1.0 };
        #[allow(clippy::cast_precision_loss)] // a factor
        let unit = match value.kind {
            Kind::Integer(number) => Some(number as f64),
            Kind::Float(number) => Some(number),
            _ => None,
        };
        unit.filter(|unit| *unit > 0.0 && unit.is_finite()).unwrap_or_else(|| {
            self.problem(value.span, "`weight_unit` must be a number above 0", None);
            1.0
        })
    }

    fn tags(&mut self, data: DataKind, known: bool) -> Vec<Template> {
        let Some(value) = self.section.value(fixed("tags")) else { return Vec::new() };
        let Kind::Array(values) = &value.kind else {
            self.problem(value.span, format!("`tags` must be a list, not {}", value.kind.name()), None);
            return Vec::new();
        };
        let texts: Vec<_> = values.iter().map(|value| (self.text(value, "tags"), value.span)).collect();
        texts.into_iter().filter_map(|(text, span)| self.read("tags", &text?, Some(span), data, known)).collect()
    }

    /// Reads `roles`: tags as they are, and not templates, as they are known before any instance is.
    fn roles(&mut self) -> Vec<Box<str>> {
        let Some(roles) = self.section.located::<Vec<String>>(fixed("roles")) else { return Vec::new() };
        for role in &roles.value {
            if role.is_empty() || role.len() > 63 || *endpoint::tag(role) != **role {
                let help = Some("one to 63 lower-case letters, digits, `-` and `_`, as tags are written".to_owned());
                self.problem(roles.span, format!("a role cannot be called \"{role}\": it becomes a DNS label"), help);
            }
        }
        if roles.value.len() > MOST_ROLES {
            self.problem(
                roles.span,
                format!("`roles` has more than {MOST_ROLES}: each is a name of every service"),
                None,
            );
        }
        roles.value.into_iter().map(Into::into).collect()
    }

    fn up(&mut self, data: DataKind, known: bool) -> Vec<Condition> {
        let mut up = Vec::new();
        for (text, span, value) in self.entries("up") {
            let allowed = match &value.kind {
                Kind::Array(values) => values.iter().map(|value| self.text(value, "up")).collect(),
                _ => self.text(&value, "up").map(|text| vec![text]),
            };
            let template = self.read("up", &text, Some(span), data, known);
            let condition = template.zip(allowed);
            up.extend(condition.map(|(template, allowed)| Condition { text: text.into(), template, allowed }));
        }
        up
    }

    /// The pattern of a znode beside instances, relative to `root`.
    fn beside(&mut self, key: &'static str, root: &str, known: bool) -> Option<Pattern> {
        let given = self.section.located::<String>(fixed(key))?;
        self.pattern(key, &given, root, known)
    }

    fn pattern(&mut self, key: &'static str, given: &Located<String>, root: &str, known: bool) -> Option<Pattern> {
        if let Some(absolute) = given.value.strip_prefix('/') {
            let root = root.trim_matches('/');
            let below = absolute.strip_prefix(root).map(|below| below.trim_start_matches('/'));
            let help = match below.filter(|below| !below.is_empty()) {
                Some(below) => format!("write {key} = \"{below}\""),
                None => "make `root` a znode that both are below".to_owned(),
            };
            self.problem(given.span, format!("`{key}` is relative to `root`"), Some(help));
            return None;
        }
        if !known {
            return None;
        }
        if given.value.contains("{/") || given.value.contains("{}") {
            let help = "use captures of `path`".to_owned();
            self.problem(given.span, format!("`{key}` is a path, and known without the data"), Some(help));
            return None;
        }
        match Pattern::using(&given.value, &self.names) {
            Ok(pattern) => Some(pattern),
            Err(mistake) => {
                self.mistake(key, &given.value, given.span, mistake);
                None
            }
        }
    }

    fn leader(&mut self, root: &str, known: bool) -> Option<Leader> {
        let given = self.section.located::<String>(fixed("leader"))?;
        if given.value == "lowest" {
            return Some(Leader::Lowest);
        }
        let path = self.pattern("leader", &given, root, known)?;
        let Some(id) = self.names.iter().position(|name| &**name == "id") else {
            let help = "call the capture that it is compared with {id}".to_owned();
            self.problem(given.span, "`leader` names an instance by its {id}, and `path` has none", Some(help));
            return None;
        };
        Some(Leader::Named { path, id })
    }

    /// Reads `example`: a list of tables, each with the path of a znode below the root, and its data as text (`data`)
    /// or in hexadecimal digits (`hex`).
    fn examples(&mut self) -> Vec<Example> {
        let Some(value) = self.section.value(fixed("example")) else { return Vec::new() };
        let Kind::Array(values) = &value.kind else {
            let help = Some("write [[format.NAME.example]], or a list of { path = …, data = … }".to_owned());
            self.problem(value.span, format!("`example` must be a list of tables, not {}", value.kind.name()), help);
            return Vec::new();
        };
        let mut examples = Vec::new();
        for value in values {
            let Kind::Table(table) = &value.kind else {
                self.problem(
                    value.span,
                    format!("`example` must be a list of tables, not of {}", value.kind.name()),
                    None,
                );
                continue;
            };
            let mut section = Section::new(table, format!("{}.example", self.section.name()), self.problems);
            let path = section.required::<String>(fixed("path"));
            let text = section.optional::<String>(fixed("data"));
            let hex = section.located::<String>(fixed("hex"));
            section.finish();
            let bytes =
                hex.map(|hex| data_encoding::HEXLOWER_PERMISSIVE.decode(hex.value.as_bytes()).map_err(|_| hex.span));
            let data = match bytes {
                None => text.unwrap_or_default().into_bytes(),
                Some(Ok(bytes)) => bytes,
                Some(Err(span)) => {
                    self.problem(span, "`hex` must be pairs of hexadecimal digits", None);
                    continue;
                }
            };
            examples.extend(path.map(|path| Example { path: path.value.trim_matches('/').to_owned(), data }));
        }
        examples
    }

    /// The entries of a table whose keys are the user's.
    fn entries(&mut self, key: &'static str) -> Vec<(String, Span, Value)> {
        let Some(value) = self.section.value(fixed(key)) else { return Vec::new() };
        let Kind::Table(table) = &value.kind else {
            self.problem(value.span, format!("`{key}` must be a table, not {}", value.kind.name()), None);
            return Vec::new();
        };
        table.entries.clone()
    }

    fn text(&mut self, value: &Value, key: &str) -> Option<String> {
        if let Kind::String(text) = &value.kind {
            return Some(text.clone());
        }
        self.problem(value.span, format!("`{key}` must be a string, not {}", value.kind.name()), None);
        None
    }
}

/// Span of a range of a text that is at `span` in quotes; all of it where the text is written in another way.
fn within(span: Span, text: &str, range: Range<usize>) -> Span {
    let quotes = (span.end - span.start).checked_sub(text.len());
    let start = match quotes {
        Some(0) => span.start,
        Some(2) => span.start + 1,
        _ => return span,
    };
    let end = (start + range.end).min(span.end);
    Span { start: (start + range.start).min(end), end, ..span }
}

/// An absolute pattern as a root and a path: the elements in front of the first capture, and the others, of which there
/// is at least one.
fn split(absolute: &str) -> (String, String) {
    let elements: Vec<&str> = absolute.split('/').filter(|element| !element.is_empty()).collect();
    let literal = elements.iter().take_while(|element| !element.contains('{')).count();
    let (root, below) = elements.split_at(literal.min(elements.len().saturating_sub(1)));
    (format!("/{}", root.join("/")), below.join("/"))
}

#[cfg(test)]
mod tests;
