//! Checks of what a configuration asks of this host and `serve` cannot do here: files that cannot be kept, commands
//! that cannot be run. What keeps DNS down is an error, the rest is a warning.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::announce::check::CheckKind;
use crate::announce::identity::HostIdentity;
use crate::app;
use crate::config::Config;
use crate::diagnostic::{Report, Severity};
use crate::disk;
use crate::disk::stall::asking;
use crate::dns::config::Config as DnsConfig;

/// Time that a disk may take for an answer.
pub(super) const DISK: Duration = Duration::from_secs(3);

/// Finds them for the user that runs this; `main` is the main file of `config`.
pub(super) fn problems(config: &Config, main: &Path) -> Report {
    let mut report = Report::default();
    for registry in &config.registries {
        let security = registry.zookeeper.security.clone();
        let loaded = answered(move || security.load().err().map(|error| error.to_string()));
        if let Some(error) = loaded {
            report.file(main, Severity::Error, &format!("registry.{}: {error}", registry.name));
        }
    }
    for (transport, tls) in config.dns.iter().flat_map(DnsConfig::encrypted) {
        let files = tls.files.clone();
        if let Some(why) = answered(move || files.load().err()) {
            report.file(main, Severity::Error, &format!("dns.{}: {why}", transport.label()));
        }
    }
    let mut warn = |file: &Path, message: String| report.file(file, Severity::Warning, &message);
    for reader in config.readers() {
        if let Some(file) = &reader.registry.zookeeper.cache_file
            && let Some(why) = of_file(file, |file| cannot_keep(file, false))
        {
            let key = format!("`cache_file` of registry.{}", reader.name);
            warn(main, format!("{key}: {why}; without it nothing is answered after a start without ZooKeeper"));
        }
    }
    if let Some(file) = config.serial_file() {
        let why = of_file(&file, |file| cannot_keep(file, true).or_else(|| app::unusable_serials(file)));
        let is_usable = why.is_none();
        if let Some(why) = why {
            warn(main, format!("serials: {why}; secondaries may miss changes after a restart"));
        }
        let owned = file.clone();
        let ahead = move || if is_usable { app::serials_ahead(&owned) } else { Vec::new() };
        for (zone, words) in disk::unless_stalled(DISK, move || asking(ahead)).unwrap_or_default() {
            warn(main, format!("zone {zone} in {}: {words}", file.display()));
        }
    }
    if let Some(file) = &config.announce.settings.state {
        let why = of_file(file, |file| cannot_keep(file, true).or_else(|| HostIdentity::unusable(file)));
        if let Some(why) = why {
            warn(main, format!("`state` of [announce]: {why}; the machine-id is used in its place"));
        }
    }
    if let Some(why) = config.announce.settings.on_stop.first().and_then(|program| of_program(program)) {
        warn(main, format!("`on_stop` of [announce]: {why}"));
    }
    for service in &config.announce.services {
        for check in &service.checks {
            let CheckKind::Exec(exec) = &check.kind else { continue };
            if let Some(why) = exec.command.first().and_then(|program| of_program(program)) {
                let name = &service.name.value;
                warn(
                    &service.file,
                    format!("`check.exec` of service `{name}`: {why}; the service will not be registered"),
                );
            }
        }
    }
    report
}

/// Fault that `find` finds with a file, or that its disk does not answer.
fn of_file(file: &Path, find: fn(&Path) -> Option<String>) -> Option<String> {
    let owned = file.to_owned();
    disk::unless_stalled(DISK, move || asking(|| find(&owned)))
        .unwrap_or_else(|error| Some(format!("{} cannot be looked at: {error}", file.display())))
}

/// Reason why a program cannot be run, if it cannot, or that its disk does not answer.
fn of_program(program: &str) -> Option<String> {
    let owned = program.to_owned();
    disk::unless_stalled(DISK, move || asking(|| cannot_run(&owned)))
        .unwrap_or_else(|error| Some(format!("{program} cannot be looked at: {error}")))
}

/// The same of several files.
fn answered(find: impl FnOnce() -> Option<String> + Send + 'static) -> Option<String> {
    disk::unless_stalled(DISK, move || asking(find)).unwrap_or_else(|error| Some(format!("its files: {error}")))
}

/// Reason why the file at `path` cannot be read or written over and over, if it cannot. `makes_directory`: its missing
/// directories are created.
fn cannot_keep(path: &Path, makes_directory: bool) -> Option<String> {
    let file = path.display();
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => return Some(format!("{file} is not a regular file")),
        Ok(_) if accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).is_err() => {
            return Some(format!("{file} cannot be read by this user"));
        }
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Some(format!("{file} cannot be read: {error}"));
        }
        _ => {}
    }
    // A new file is put in its place, so that the directory counts.
    let mut directory = parent(path);
    loop {
        let shown = directory.display();
        match std::fs::metadata(&directory) {
            Ok(found) if !found.is_dir() => return Some(format!("{shown} is not a directory")),
            Ok(_) => {
                let access = accessat(CWD, &directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
                let error = std::io::Error::from(access.err()?);
                return Some(format!("{shown} cannot be written to by this user: {error}"));
            }
            Err(error) if error.kind() == ErrorKind::NotFound && makes_directory => {
                let above = parent(&directory);
                if above == directory {
                    return Some(format!("{shown} does not exist"));
                }
                directory = above;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Some(format!("the directory {shown} does not exist"));
            }
            Err(error) => return Some(format!("{shown} cannot be looked at: {error}")),
        }
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}

/// Reason why a program cannot be run, if it cannot. One without a slash is looked for as execvp(3) does.
fn cannot_run(program: &str) -> Option<String> {
    if program.contains('/') {
        let path = Path::new(program);
        return match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{program} does not exist")),
            Err(error) => Some(format!("{program} cannot be run: {error}")),
            Ok(_) => (!is_program(path)).then(|| format!("{program} is not executable by this user")),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let is_there = std::env::split_paths(&path).any(|directory| is_program(&directory.join(program)));
    (!is_there).then(|| format!("there is no program `{program}` in {}", path.display()))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_is_looked_for_as_it_is_run() {
        let directory = std::env::temp_dir().join(format!("zonekeeper-programs-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("plain");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let plain = file.display().to_string();
        assert_eq!(cannot_run("sh"), None);
        assert_eq!(cannot_run("/bin/sh"), None);
        assert!(cannot_run("no-such-program").unwrap().starts_with("there is no program `no-such-program` in "));
        assert_eq!(cannot_run("/no/such"), Some("/no/such does not exist".to_owned()));
        assert_eq!(cannot_run(&plain), Some(format!("{plain} is not executable by this user")));
        assert!(cannot_run(&directory.display().to_string()).is_some(), "a directory is no program");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_needs_a_directory_that_is_there_or_can_be_made() {
        let directory = std::env::temp_dir().join(format!("zonekeeper-places-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("file"), "").unwrap();
        assert_eq!(cannot_keep(&directory.join("file"), false), None);
        assert_eq!(cannot_keep(&directory.join("new"), false), None);
        assert_eq!(cannot_keep(&directory.join("a/b/new"), true), None);
        let missing = directory.join("a/b");
        assert_eq!(
            cannot_keep(&missing.join("new"), false),
            Some(format!("the directory {} does not exist", missing.display()))
        );
        assert!(cannot_keep(&directory, false).unwrap().ends_with("is not a regular file"));
        assert!(cannot_keep(&directory.join("file/new"), true).is_some());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
