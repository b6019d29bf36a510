//! Libraries that nobody here wrote, each in a process of its own that registers with it, takes back, and lists what
//! its users find: what DNS is compared with. `tests/fetch-readers` puts them under `target`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::app::scratch;
use super::driver::Driver;
use super::readers::{self, INSTALL, fetched};
use super::spring::jars;

const ORDERS: &str = include_str!("orders.py");

/// One of them. Dropping it ends it without closing its session.
pub(crate) struct Foreign {
    driver: Driver,
    /// Words of each order.
    own: Value,
}

impl Foreign {
    /// A client that notes when a znode's text changes.
    pub(crate) fn watch(servers: &str) -> Self {
        Self::python("kazoo", include_str!("watch.py"), servers)
    }

    /// Apache Curator's x-discovery and recipes, with the payload of Spring Cloud Zookeeper.
    pub(crate) fn curator(servers: &str) -> Self {
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-Xmx96m", "-cp"]);
        command.arg(format!("{}:{}", compiled().display(), jars()));
        command.args(["org.springframework.cloud.zookeeper.discovery.CuratorDriver", servers]);
        Self::run(
            "Curator",
            &mut command,
            "install the packages libcurator-discovery-java, libcurator-recipes-java and default-jdk-headless",
        )
    }

    /// `twitter.common.zookeeper`: services below `/aurora/role/prod`.
    pub(crate) fn serverset(servers: &str) -> Self {
        Self::python("twitter.common.zookeeper", include_str!("serverset.py"), servers)
    }

    /// Dubbo's Python library.
    pub(crate) fn dubbo(servers: &str) -> Self {
        Self::python("apache-dubbo", include_str!("dubbo.py"), servers)
    }

    /// SOFARPC's Node.js library.
    pub(crate) fn sofa(servers: &str) -> Self {
        let mut command = Command::new("node");
        command.args(["-e", include_str!("sofa.js"), servers]).env("NODE_PATH", fetched("sofa/node_modules"));
        Self::run("sofa-rpc-node", &mut command, "install the package nodejs, and run tests/fetch-readers")
    }

    /// Ranger's serviceprovider: services of the namespace `ranger/org`.
    pub(crate) fn ranger(servers: &str) -> Self {
        Self::python("serviceprovider", include_str!("ranger.py"), servers)
    }

    /// Patroni's access to ZooKeeper, without a PostgreSQL.
    pub(crate) fn store(servers: &str) -> Self {
        Self::python("Patroni", include_str!("store.py"), servers)
    }

    /// kazoo's recipes: `party`, `shallow` or `election`, below `/party` and so on.
    pub(crate) fn recipe(servers: &str, kind: &str) -> Self {
        let own = Self::python("kazoo", include_str!("recipes.py"), servers);
        Self { own: json!({"kind": kind}), ..own }
    }

    /// The ensemble's own configuration.
    pub(crate) fn ensemble(servers: &str) -> Self {
        Self::python("kazoo", include_str!("ensemble.py"), servers)
    }

    /// zc.zk: services below `/zc`.
    pub(crate) fn zc(servers: &str) -> Self {
        let program = format!("{ORDERS}\n{}", include_str!("zc.py"));
        let driver = Driver::python("zc.zk", &mut readers::python2(), &program, servers, INSTALL);
        Self { driver, own: json!({}) }
    }

    /// `nd_service_registry`: services below `/nd`.
    pub(crate) fn nd(servers: &str) -> Self {
        let program = format!("{ORDERS}\n{}", include_str!("nd.py"));
        let driver = Driver::python("nd_service_registry", &mut readers::python3(), &program, servers, INSTALL);
        Self { driver, own: json!({}) }
    }

    fn python(name: &'static str, program: &str, servers: &str) -> Self {
        let mut command = Command::new("/usr/bin/python3");
        command.env("PYTHONPATH", fetched("python3"));
        let driver = Driver::python(name, &mut command, &format!("{ORDERS}\n{program}"), servers, INSTALL);
        Self { driver, own: json!({}) }
    }

    fn run(name: &'static str, command: &mut Command, install: &str) -> Self {
        Self { driver: Driver::run(name, command, install), own: json!({}) }
    }

    /// Has it do `op`, with these words.
    pub(crate) fn tell(&mut self, op: &str, mut words: Value) -> Value {
        words["op"] = json!(op);
        for (key, value) in self.own.as_object().into_iter().flatten() {
            words[key] = value.clone();
        }
        self.driver.tell(&words)["found"].take()
    }

    /// Registers an instance.
    pub(crate) fn add(&mut self, service: &str, host: &str, port: u16) {
        self.tell("add", json!({"service": service, "host": host, "port": port}));
    }

    /// Takes back an instance that it has registered.
    pub(crate) fn remove(&mut self, service: &str, host: &str, port: u16) {
        self.tell("remove", json!({"service": service, "host": host, "port": port}));
    }

    /// The instances that the library's users find, as `host:port`, sorted.
    pub(crate) fn list(&mut self, service: &str) -> Vec<String> {
        let found = self.tell("list", json!({"service": service}));
        let text = |one: &Value| one.as_str().expect("an endpoint").to_owned();
        let mut found: Vec<String> = found.as_array().expect("a list").iter().map(text).collect();
        found.sort();
        found
    }
}

/// The directory of the program for Curator, which is compiled once a process.
fn compiled() -> &'static Path {
    static CLASSES: OnceLock<PathBuf> = OnceLock::new();
    CLASSES.get_or_init(|| {
        let source = scratch("CuratorDriver.java");
        std::fs::write(&source, include_str!("CuratorDriver.java")).expect("a file");
        let classes = source.parent().expect("a directory").to_owned();
        let mut command = Command::new("javac");
        command.args(["-nowarn", "-cp", &jars(), "-d"]).arg(&classes).arg(&source);
        let output = command.output().unwrap_or_else(|error| panic!("cannot run `javac`: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "install the packages libcurator-discovery-java, libcurator-recipes-java and default-jdk-headless: {said}"
        );
        classes
    })
}
