//! Curator's own x-discovery (Debian's package) with Spring Cloud Zookeeper's payload: a Java program that reads what
//! is registered, as Spring's `DiscoveryClient` does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::app::scratch;
use super::driver::Driver;

const INSTALL: &str = "install the packages libcurator-discovery-java and openjdk-17-jdk-headless, as tests/run does";
const JARS: [&str; 12] = [
    "curator-x-discovery",
    "curator-recipes",
    "curator-framework",
    "curator-client",
    "zookeeper",
    "zookeeper-jute",
    "guava",
    "jackson-core",
    "jackson-databind",
    "jackson-annotations",
    "slf4j-api",
    "slf4j-nop",
];

/// The path on which Java finds Curator.
pub(super) fn jars() -> String {
    let all = JARS.map(|jar| format!("/usr/share/java/{jar}.jar"));
    for jar in &all {
        assert!(Path::new(jar).exists(), "{jar} is missing: {INSTALL}");
    }
    all.join(":")
}

/// The directory of the classes, compiled once a process.
fn classes() -> &'static Path {
    static CLASSES: OnceLock<PathBuf> = OnceLock::new();
    CLASSES.get_or_init(|| {
        let (to, sources) = (scratch("classes"), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/harness/spring"));
        let mut command = Command::new("javac");
        command.args(["-cp", &jars(), "-d"]).arg(&to);
        command
            .args(["SpringReader", "Strict", "ZookeeperInstance"].map(|class| sources.join(format!("{class}.java"))));
        let compiled = command.output().unwrap_or_else(|error| panic!("cannot run javac: {INSTALL} ({error})"));
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        to
    })
}

/// A reader of the services below one znode.
pub(crate) struct Spring(Driver);

impl Spring {
    /// Connects to `servers` and reads what is below `root`.
    pub(crate) fn connect(servers: &str, root: &str) -> Self {
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp", &format!("{}:{}", classes().display(), jars())]);
        command.args(["SpringReader", servers, root]);
        Self(Driver::run("Curator", &mut command, INSTALL))
    }

    /// The names of its `queryForNames()`, in order.
    pub(crate) fn names(&mut self) -> Vec<String> {
        let found = self.0.tell(&json!({"op": "names"}))["found"].take();
        let mut names: Vec<String> = serde_json::from_value(found).expect("names");
        names.sort();
        names
    }

    /// The instances of its `queryForInstances(name)`.
    pub(crate) fn instances(&mut self, name: &str) -> Vec<Value> {
        self.found("instances", name)
    }

    /// The instances that a `ServiceCache` of that name has, which follows its watches.
    pub(crate) fn cached(&mut self, name: &str) -> Vec<Value> {
        self.found("cached", name)
    }

    fn found(&mut self, op: &str, name: &str) -> Vec<Value> {
        let found = self.0.tell(&json!({"op": op, "name": name}))["found"].take();
        let mut found: Vec<Value> = serde_json::from_value(found).expect("instances");
        found.sort_by_key(|one| (one["address"].to_string(), one["port"].as_u64()));
        found
    }
}
