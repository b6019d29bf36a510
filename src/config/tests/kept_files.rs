//! The `[[file]]` tables.

use super::{MINIMAL, problems, read};

#[test]
fn a_kept_file_has_a_form_a_mode_and_a_path_of_its_own() {
    let file = |more: &str| format!("{MINIMAL}[[file]]\nservice = \"api\"\npath = \"/run/a\"\n{more}\n");
    assert_eq!(read(&file("shape = \"nginx\"\nmode = \"0640\"")).files[0].mode, 0o640);
    for (more, expected) in [
        ("", "`shape` or `template` is missing"),
        ("shape = \"haprxy\"", "did you mean `haproxy`?"),
        ("shape = \"json\"\ntemplate = \"x\"", "exclude each other"),
        ("template = \"/nonexistent\"", "`template` cannot be read"),
        ("template = \"/dev/zero\"", "`template` cannot be read"),
        ("shape = \"json\"\nmode = \"0999\"", "octal"),
        ("shape = \"json\"\n[[file]]\nservice = \"x\"\npath = \"/run/a\"\nshape = \"json\"", "another [[file]]"),
    ] {
        let said = problems(&file(more));
        assert!(said.contains(expected), "{more}: {said}");
    }
    let template = std::env::temp_dir().join(format!("zonekeeper-template-{}", std::process::id()));
    std::fs::write(&template, "a\n{% for %}").unwrap();
    let said = problems(&file(&format!("template = \"{}\"", template.display())));
    assert!(said.contains("`template` has a mistake in line 2"), "{said}");
    std::fs::write(&template, "{{ name }}").unwrap();
    let config = read(&file(&format!("template = \"{}\"", template.display())));
    assert!(config.read_from.contains(&template), "an edit of the template is an edit of the configuration");
    std::fs::remove_file(&template).unwrap();
}
