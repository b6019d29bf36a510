//! Properties that stand elsewhere: `{ file = "/etc/app/version" }` and `{ env = "VERSION" }` in place of a value.
//!
//! They are read with the configuration, and again when that is read again.

use std::path::Path;

use crate::format::Property;

/// Bytes of a file that is a value.
const LONGEST: usize = 4096;

/// Value of `property`: itself, or text from where it says, without white space at its ends.
pub(super) fn resolve(property: Property) -> Result<Property, String> {
    let Property::Table(entries) = &property else { return Ok(property) };
    match &**entries {
        [(key, Property::Text(path))] if key == "file" => text_of(Path::new(path)).map(Property::Text),
        [(key, Property::Text(name))] if key == "env" => match std::env::var(name) {
            Ok(text) => Ok(Property::Text(text.trim().to_owned())),
            Err(error) => Err(format!("the environment variable {name} cannot be used: {error}")),
        },
        _ => Ok(property),
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    if !path.is_absolute() {
        return Err(format!("a file with a value must be an absolute path, not \"{}\"", path.display()));
    }
    match crate::disk::looks::read_text_now(path) {
        Ok(text) if text.len() > LONGEST => {
            Err(format!("{} has more than {LONGEST} bytes, too many for a value", path.display()))
        }
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(key: &str, text: &str) -> Property {
        Property::Table(vec![(key.to_owned(), Property::Text(text.to_owned()))])
    }

    #[test]
    fn values_come_from_files_and_the_environment() {
        let file = std::env::temp_dir().join(format!("zonekeeper-value-{}", std::process::id()));
        std::fs::write(&file, " 1.2.3\n").unwrap();
        let path = file.to_string_lossy().into_owned();
        assert_eq!(resolve(table("file", &path)), Ok(Property::Text("1.2.3".into())));
        std::fs::write(&file, "x".repeat(5000)).unwrap();
        assert!(resolve(table("file", &path)).unwrap_err().contains("too many"));
        std::fs::remove_file(&file).unwrap();
        assert!(resolve(table("file", &path)).unwrap_err().contains("cannot be read"));
        assert!(resolve(table("file", "version")).unwrap_err().contains("absolute"));
        assert!(matches!(resolve(table("env", "PATH")), Ok(Property::Text(path)) if path.contains('/')));
        assert!(resolve(table("env", "ZONEKEEPER_NOT_SET")).unwrap_err().contains("ZONEKEEPER_NOT_SET"));
        for other in [Property::Integer(1), table("path", "x"), Property::Table(vec![])] {
            assert_eq!(resolve(other.clone()), Ok(other));
        }
    }
}
