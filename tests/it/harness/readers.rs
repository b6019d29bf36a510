//! zc.zk and `nd_service_registry`, the real ones: libraries that nobody here wrote, whose users are to find what we
//! register and whose registrations we are to serve. `tests/fetch-readers` puts them under `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::driver::Driver;

pub(super) const INSTALL: &str = "run tests/fetch-readers, as tests/run does";

pub(super) fn fetched(what: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let path = target.join("readers").join(what);
    assert!(path.exists(), "{} is missing: {INSTALL}", path.display());
    path
}

/// Python 2 with zc.zk.
pub(super) fn python2() -> Command {
    let root = fetched("python2");
    let mut command = Command::new(root.join("usr/bin/python2.7"));
    // Its own libraries are where it was unpacked; no other Python's variables concern it.
    command.env("PYTHONHOME", root.join("usr")).env("PYTHONPATH", fetched("zc.zk"));
    command.env("LD_LIBRARY_PATH", root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH)));
    command
}

/// The packaged Python, with its kazoo and `nd_service_registry`.
pub(super) fn python3() -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.env("PYTHONPATH", fetched("nd"));
    command
}

/// schemathesis, with these arguments.
pub(crate) fn schemathesis(arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.env("PYTHONPATH", fetched("schemathesis")).args(["-m", "schemathesis.cli"]).args(arguments);
    command
}

/// A session of zc.zk's.
pub(crate) struct ZcZk(Driver);

impl ZcZk {
    pub(crate) fn connect(servers: &str) -> Self {
        Self(Driver::python("zc.zk", &mut python2(), include_str!("zc_zk_driver.py"), servers, INSTALL))
    }

    /// The names that its `children(path)` holds, each with what its `properties()` says.
    pub(crate) fn children(&mut self, path: &str) -> Value {
        self.0.tell(&json!({"op": "children", "path": path}))["found"].take()
    }

    /// What its `properties(path)` holds.
    pub(crate) fn properties(&mut self, path: &str) -> Value {
        self.0.tell(&json!({"op": "properties", "path": path}))["found"].take()
    }

    /// Imports a tree text below `path` with its `import_tree`, trimmed.
    pub(crate) fn import(&mut self, text: &str, path: &str) {
        self.0.tell(&json!({"op": "import", "text": text, "path": path, "trim": true}));
    }

    /// What its `export_tree(path)` writes.
    pub(crate) fn export(&mut self, path: &str) -> String {
        self.0.tell(&json!({"op": "export", "path": path}))["found"].as_str().unwrap_or_default().to_owned()
    }

    /// Where two trees differ, by the properties that it reads of each znode.
    pub(crate) fn differences(&mut self, one: &str, other: &str) -> Vec<String> {
        let mut answer = self.0.tell(&json!({"op": "differences", "path": one, "other": other}));
        serde_json::from_value(answer["found"].take()).unwrap_or_default()
    }

    /// Registers a server with its `register(path, address, **properties)`.
    pub(crate) fn register(&mut self, path: &str, address: &str, properties: &Value) {
        self.0.tell(&json!({"op": "register", "path": path, "address": address, "properties": properties}));
    }
}

/// A session of `nd_service_registry`'s.
pub(crate) struct Nd(Driver);

impl Nd {
    pub(crate) fn connect(servers: &str) -> Self {
        let install = "run tests/fetch-readers, as tests/run does, and install the package python3-kazoo";
        Self(Driver::python("nd_service_registry", &mut python3(), include_str!("nd_driver.py"), servers, install))
    }

    /// The children that its `get(path)` finds, each with its data.
    pub(crate) fn get(&mut self, path: &str) -> Value {
        self.0.tell(&json!({"op": "get", "path": path}))["found"].take()
    }

    /// Registers with its `set_node(path, data)`.
    pub(crate) fn set_node(&mut self, path: &str, data: &Value) {
        self.0.tell(&json!({"op": "set_node", "path": path, "data": data}));
    }
}
