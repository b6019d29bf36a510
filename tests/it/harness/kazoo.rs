//! kazoo, the writer that nobody here wrote: a Python process that does what it is told, line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

const DRIVER: &str = include_str!("kazoo_driver.py");

/// A kazoo client with a session of its own. Dropping it ends the process without closing the session.
pub(crate) struct Kazoo {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Kazoo {
    /// Connects to `servers`.
    pub(crate) fn connect(servers: &str) -> Self {
        // Debian's kazoo belongs to Debian's Python.
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", DRIVER, servers])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run /usr/bin/python3: install the package python3 ({error})"));
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut kazoo = Self { child, input, output };
        let ready = kazoo.answer();
        assert!(ready["ok"] == true, "kazoo: {ready} (install the package python3-kazoo)");
        kazoo
    }

    /// Creates a znode and its parents.
    pub(crate) fn create(&mut self, path: &str, data: &[u8], ephemeral: bool) {
        self.tell(&json!({"op": "create", "path": path, "data": data, "ephemeral": ephemeral}));
    }

    pub(crate) fn set(&mut self, path: &str, data: &[u8]) {
        self.tell(&json!({"op": "set", "path": path, "data": data}));
    }

    pub(crate) fn delete(&mut self, path: &str) {
        self.tell(&json!({"op": "delete", "path": path}));
    }

    /// Data and ephemeral owner of a znode.
    pub(crate) fn get(&mut self, path: &str) -> Option<(Vec<u8>, i64)> {
        let answer = self.tell(&json!({"op": "get", "path": path}));
        let data = answer["data"].as_array()?;
        let data = data.iter().filter_map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
        Some((data, answer["owner"].as_i64()?))
    }

    /// The transaction that created a znode: another one whenever it is another znode.
    pub(crate) fn czxid(&mut self, path: &str) -> Option<i64> {
        self.tell(&json!({"op": "get", "path": path}))["czxid"].as_i64()
    }

    fn tell(&mut self, order: &Value) -> Value {
        writeln!(self.input, "{order}").expect("kazoo listens");
        let answer = self.answer();
        assert!(answer["ok"] == true, "kazoo: {order}: {answer}");
        answer
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("kazoo answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("kazoo said {line:?}: {error}"))
    }
}

impl Drop for Kazoo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
