//! The `[[file]]` tables.

use std::path::{Path, PathBuf};

use super::shape::Shape;
use super::template::FileTemplate;
use crate::disk;
use crate::settings::{Section, live, nearest};

/// Permissions of a file that says none.
const MODE: u32 = 0o644;

/// A file to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// The service: a path below the root, or a DNS name with or without its zone.
    pub service: String,
    /// The file.
    pub path: PathBuf,
    /// Form in which it is written.
    pub(super) form: FileForm,
    /// Program, with its arguments, to run whenever it was written; empty for none.
    pub command: Vec<String>,
    /// Permissions, as for chmod(1).
    pub mode: u32,
}

/// Form of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileForm {
    /// One of ours.
    Shape(Shape),
    /// One of the user's.
    Template(FileTemplate),
}

impl FileConfig {
    /// Reads a `[[file]]` table; a relative `template` is relative to `directory`. Returns it, and the template's file,
    /// where it has one, also of a table that cannot be used.
    pub fn read(section: &mut Section<'_>, directory: &Path) -> (Option<Self>, Option<PathBuf>) {
        let problems = section.problems();
        let service = section.required::<String>(live("service"));
        let path = section.required::<PathBuf>(live("path"));
        let shape = section.located::<String>(live("shape"));
        let file = section.located::<PathBuf>(live("template"));
        let command = section.or(live("command"), Vec::<String>::new());
        let mode = section.located::<String>(live("mode"));
        if let Some(service) = service.as_ref().filter(|service| service.value.trim_matches('/').is_empty()) {
            problems.add(service.span, "`service` must be a path below the root, or a DNS name");
        }
        let template_file = file.as_ref().map(|file| directory.join(&file.value));
        let form = match (shape, &file) {
            (Some(_), Some(file)) => {
                problems.add(file.span, "`shape` and `template` exclude each other");
                None
            }
            (None, None) => {
                let words = Shape::ALL.map(|(word, _)| word).join(", ");
                problems.add_with_help(
                    section.span(),
                    "`shape` or `template` is missing",
                    format!("shapes are {words}"),
                );
                None
            }
            (Some(shape), None) => {
                let found = Shape::ALL.iter().find(|(word, _)| *word == shape.value);
                if found.is_none() {
                    let words = Shape::ALL.map(|(word, _)| word);
                    let help = match nearest(&shape.value, &words) {
                        Some(word) => format!("did you mean `{word}`?"),
                        None => format!("there are {}", words.join(", ")),
                    };
                    problems.add_with_help(shape.span, format!("there is no shape `{}`", shape.value), help);
                }
                found.map(|(_, shape)| FileForm::Shape(*shape))
            }
            (None, Some(file)) => {
                let path = directory.join(&file.value);
                let read = disk::read_text(&path).map_err(|error| format!("`template` cannot be read: {error}"));
                let compiled = read.and_then(|text| {
                    FileTemplate::new(&text).map_err(|error| format!("`template` has a mistake in {error}"))
                });
                compiled.map(FileForm::Template).map_err(|error| problems.add(file.span, error)).ok()
            }
        };
        let mode = match mode {
            None => Some(MODE),
            Some(mode) => {
                let bits = u32::from_str_radix(&mode.value, 8).ok().filter(|bits| *bits <= 0o777);
                if bits.is_none() {
                    problems.add(mode.span, "`mode` must be permissions in octal, such as \"0640\"");
                }
                bits
            }
        };
        let config = (|| {
            let service = service?.value.trim_end_matches('.').to_owned();
            Some(Self { service, path: path?.value, form: form?, command, mode: mode? })
        })();
        (config, template_file)
    }
}
