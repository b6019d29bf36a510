//! Files by a template of one's own, in minijinja's language (that of Jinja2).

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};

use super::list::InstanceList;

/// Steps that a rendering may take: far more than a list of 10,000 instances needs, and an end for a loop without one.
const FUEL: u64 = 5_000_000;

/// A template that was compiled.
#[derive(Clone)]
pub(super) struct FileTemplate {
    environment: Arc<Environment<'static>>,
    source: Arc<str>,
}

/// Name by which the environment knows the only template.
const NAME: &str = "file";

impl PartialEq for FileTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for FileTemplate {}

impl std::fmt::Debug for FileTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileTemplate({} bytes)", self.source.len())
    }
}

impl FileTemplate {
    /// Compiles a template. Names that it does not know are errors when it is used.
    ///
    /// # Errors
    /// The mistake in it, with the line.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // A file ends with the line's end that its template has.
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build().map_err(|error| words(&error))?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        // Nothing is escaped: what is written is no HTML.
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| words(&error))?;
        Ok(Self { environment: Arc::new(environment), source: source.into() })
    }

    /// Writes a list: `service`, `name`, `registry`, `addresses` and `instances` are what it may use.
    ///
    /// # Errors
    /// The mistake in it, with the line.
    pub(super) fn render(&self, list: &InstanceList) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(|error| words(&error))?;
        template.render(Value::from(Serde(list))).map_err(|error| words(&error))
    }
}

fn words(error: &minijinja::Error) -> String {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    error.line().map_or_else(|| detail.clone(), |line| format!("line {line}: {detail}"))
}

#[cfg(test)]
mod tests {
    use super::super::list::samples::{instance, list};
    use super::*;

    #[test]
    fn a_template_uses_all_that_is_known_of_instances() {
        let list = list(vec![instance("10.0.0.1", 80, 10, 0), instance("10.0.0.2", 80, 5, 1)]);
        let template = "{{ name }} of {{ registry }}/{{ service }}\n\
            {% for i in instances if not i.is_backup %}{{ i.host }} {{ i.port }} {{ i.tags | join('+') }} \
            {{ i.metadata.team }} {{ i.ports[0].name }}={{ i.ports[0].endpoint }}\n{% endfor %}{{ addresses | length }}\n";
        let text = FileTemplate::new(template).unwrap().render(&list).unwrap();
        assert_eq!(
            text,
            "api_x.staging.service of main/staging/api_x\n10.0.0.1 80 blue+v1 web \"x\" admin=10.0.0.1:9000\n2\n"
        );
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(FileTemplate::new("a\n{% for %}").unwrap_err().split(':').next(), Some("line 2"));
        let list = list(vec![instance("10.0.0.1", 80, 10, 0)]);
        let unknown = FileTemplate::new("a\n\n{{ instances[0].adress }}").unwrap().render(&list).unwrap_err();
        assert!(unknown.starts_with("line 3: "), "{unknown}");
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}";
        let error = FileTemplate::new(endless).unwrap().render(&list).unwrap_err();
        assert!(error.contains("fuel"), "{error}");
    }
}
