//! What `zonekeeper check` finds on this host before `serve` does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::harness::app::scratch;

/// Exit code, and what was printed.
fn check(config: &Path, user: Option<&str>) -> (i32, String) {
    let mut command = match user {
        None => Command::new(env!("CARGO_BIN_EXE_zonekeeper")),
        Some(user) => {
            // The binary where everybody can read it.
            let program = config.with_file_name("zonekeeper");
            std::fs::copy(env!("CARGO_BIN_EXE_zonekeeper"), &program).expect("a copy of the binary");
            let mut command = Command::new("setpriv");
            command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
            command
        }
    };
    let output = command.args(["check", "--config"]).arg(config).output().expect("the binary");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().expect("it ends by itself"), text)
}

/// A directory that everybody may enter, in `/tmp`.
fn directory() -> std::path::PathBuf {
    let name = scratch("any").parent().and_then(Path::file_name).expect("a name").to_owned();
    let directory = std::env::temp_dir().join(format!("zonekeeper-check-{}", name.to_string_lossy()));
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).expect("a directory");
    directory
}

#[test]
fn files_that_cannot_be_kept_and_programs_that_are_not_there_are_warnings() {
    let directory = directory();
    std::fs::write(directory.join("identity"), "\n").expect("a file");
    std::fs::write(directory.join("serials"), "no serials\n").expect("a file");
    std::fs::write(directory.join("script"), "#!/bin/sh\n").expect("a file");
    std::fs::create_dir_all(directory.join("other.d")).expect("a directory");
    std::fs::write(directory.join("other.d/README"), "").expect("a file");
    let config = directory.join("zonekeeper.toml");
    let text = "include = [\"conf.d/*.toml\", \"other.d/*.toml\"]\n[registry.main]\nzookeeper = \"127.0.0.1:1\"\n\
        cache_file = \"missing/cache\"\n[[zone]]\norigin = \"service.\"\n\
        [dns]\nlisten = [\"127.0.0.1:5300\"]\nserial_file = \"serials\"\n\
        [announce]\nstate = \"identity\"\non_stop = [\"no-such-program\"]\n\
        [[service]]\nname = \"api\"\nport = 80\naddress = \"10.0.0.1\"\ncheck.exec = { command = [\"/no/such/check\"] }\n\
        [[service]]\nname = \"web\"\nport = 80\naddress = \"10.0.0.1\"\ncheck.exec = { command = [\"SCRIPT\", \"x\"] }\n";
    let text = text.replace("SCRIPT", &directory.join("script").to_string_lossy());
    std::fs::write(&config, text).expect("a configuration");
    let here = directory.display();
    for (user, more) in [(None, vec![]), (Some("65534"), vec![format!("{here} cannot be written to by this user")])] {
        let (code, said) = check(&config, user);
        assert_eq!(code, 0, "{said}");
        let missing = format!("warning: `cache_file` of registry.main: the directory {here}/missing does not exist");
        let listed = format!("warning: `include`: {here}/conf.d cannot be listed");
        let none = format!("warning: `include`: no file is called {here}/other.d/*.toml, of 1 there");
        let files = if user.is_none() {
            vec![
                format!("warning: serials: {here}/serials is no serial file: it does not begin as a serial file does"),
                format!("warning: `state` of [announce]: {here}/identity is empty: delete it; the machine-id is used"),
            ]
        } else {
            vec!["warning: serials: ".to_owned(), "warning: `state` of [announce]: ".to_owned()]
        };
        let programs = [
            "warning: `on_stop` of [announce]: there is no program `no-such-program` in ".to_owned(),
            "warning: `check.exec` of service `api`: /no/such/check does not exist; the service will not".to_owned(),
            format!("warning: `check.exec` of service `web`: {here}/script is not executable by this user"),
        ];
        for line in [missing, listed, none].into_iter().chain(files).chain(programs).chain(more) {
            assert!(said.contains(&line), "{line:?} is not in\n{said}");
        }
        assert_eq!(said.matches("warning: ").count(), 8, "{said}");
        assert!(said.contains("zonekeeper.toml: no errors, 8 warnings\n"), "{said}");
    }
    std::fs::remove_dir_all(directory).expect("its own directory");
}

#[test]
fn a_good_host_has_no_warnings() {
    let directory = directory();
    std::fs::create_dir_all(directory.join("conf.d")).expect("a directory");
    let config = directory.join("zonekeeper.toml");
    let text = "include = [\"conf.d/*.toml\"]\n[registry.main]\nzookeeper = \"127.0.0.1:1\"\ncache_file = \"cache\"\n\
        [[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:5300\"]\nserial_file = \"new/serials\"\n\
        [announce]\nstate = \"new/identity\"\non_stop = [\"/bin/true\"]\n\
        [[service]]\nname = \"api\"\nport = 80\naddress = \"10.0.0.1\"\ncheck.exec = { command = [\"true\"] }\n";
    std::fs::write(&config, text).expect("a configuration");
    let (code, said) = check(&config, None);
    assert!(code == 0 && !said.contains("warning"), "{said}");
    assert!(!directory.join("new").exists(), "it makes nothing");
    std::fs::remove_dir_all(directory).expect("its own directory");
}

#[test]
fn addresses_that_nobody_can_reach_and_certificates_that_are_not_there_are_errors() {
    let config = scratch("zonekeeper.toml");
    for (address, why) in [
        ("0.0.0.0", "in 0.0.0.0/8"),
        ("::", "no host's address"),
        ("255.255.255.255", "the broadcast address"),
        ("224.0.0.1", "a multicast address"),
        ("fe80::1", "a link-local address without its interface"),
        ("localhost", "another host wherever it is looked up"),
    ] {
        let text = "[registry.main]\nzookeeper = \"127.0.0.1:1\"\n[[service]]\nname = \"web\"\nport = 80\n".to_owned()
            + &format!("address = \"{address}\"\n");
        std::fs::write(&config, text).expect("a configuration");
        let (code, said) = check(&config, None);
        assert_eq!(code, 64, "{address}: {said}");
        assert!(said.contains(":6:11: error: `address` is ") && said.contains(why), "{address}: {said}");
    }
    let text = "[registry.main]\nzookeeper = \"127.0.0.1:1\"\ntls = { ca = \"/no/such/ca.pem\" }\n\
                [[service]]\nname = \"web\"\nport = 80\n";
    std::fs::write(&config, text).expect("a configuration");
    let (code, said) = check(&config, None);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("error: registry.main: ") && said.contains("/no/such/ca.pem"), "{said}");
}
