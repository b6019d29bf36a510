//! Other people's programs as Debian packages them: proxies and resolvers as users of ours, with the configurations
//! that `deploy/` keeps for them, and what [`secondary`](super::secondary) makes of name servers. None is ever run as a
//! service.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::app::scratch;
use super::spawner;

/// A program that uses our answers. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Consumer {
    program: &'static str,
    log: PathBuf,
    child: Child,
}

impl Consumer {
    /// Runs a program of this Debian package.
    pub(crate) fn start(program: &'static str, package: &str, arguments: &[&str]) -> Self {
        assert!(Path::new(program).exists(), "there is no {program}: install the package {package}");
        let log = scratch("output");
        let file = File::create(&log).expect("a log file");
        let both = file.try_clone().expect("a log file");
        let child = spawner::spawn(program, |command| {
            command.args(arguments).stdin(Stdio::null()).stdout(file).stderr(both);
        });
        let child = child.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
        Self { program, log, child }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        format!("--- {}\n{}", self.program, std::fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for Consumer {
    #[allow(clippy::disallowed_methods)] // it is called where one may block
    fn drop(&mut self) {
        // A program's children, such as NSD's, go with it only when it is asked to go.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        for _ in 0..300 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of `deploy/`, with each of these words replaced by another: what a test cannot take as it is.
pub(crate) fn deployed(name: &str, changes: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "deploy/{name} does not say {from} any more");
        text.replace(from, to)
    })
}

/// A configuration in a directory of its own.
pub(crate) fn written(name: &str, text: &str) -> PathBuf {
    let path = scratch(name);
    std::fs::write(&path, text).expect("a configuration");
    path
}
