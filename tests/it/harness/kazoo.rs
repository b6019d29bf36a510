//! kazoo, the writer that nobody here wrote: a Python process that does what it is told, line by line.

use std::process::Command;

use serde_json::json;

use super::driver::Driver;

/// A kazoo client with a session of its own. Dropping it ends the process without closing the session.
pub(crate) struct Kazoo(Driver);

impl Kazoo {
    /// Connects to `servers`.
    pub(crate) fn connect(servers: &str) -> Self {
        // Debian's kazoo belongs to Debian's Python.
        let mut command = Command::new("/usr/bin/python3");
        let install = "install the packages python3 and python3-kazoo";
        Self(Driver::python("kazoo", &mut command, include_str!("kazoo_driver.py"), servers, install))
    }

    /// Creates a znode and its parents.
    pub(crate) fn create(&mut self, path: &str, data: &[u8], ephemeral: bool) {
        self.0.tell(&json!({"op": "create", "path": path, "data": data, "ephemeral": ephemeral}));
    }

    /// Creates a znode that only the digest user `who` (`user:password`) can do anything with, below one that exists.
    pub(crate) fn create_locked(&mut self, path: &str, data: &[u8], who: &str) {
        self.0.tell(&json!({"op": "create_locked", "path": path, "data": data, "who": who}));
    }

    pub(crate) fn set(&mut self, path: &str, data: &[u8]) {
        self.0.tell(&json!({"op": "set", "path": path, "data": data}));
    }

    /// Lets only the digest user `who` (`user:password`) do anything with a znode.
    pub(crate) fn lock(&mut self, path: &str, who: &str) {
        self.0.tell(&json!({"op": "lock", "path": path, "who": who}));
    }

    /// Lets everybody read a znode, and nobody do anything else with it.
    pub(crate) fn read_only(&mut self, path: &str) {
        self.0.tell(&json!({"op": "read_only", "path": path}));
    }

    /// Lets everybody do anything with a znode.
    pub(crate) fn unlock(&mut self, path: &str) {
        self.0.tell(&json!({"op": "unlock", "path": path}));
    }

    pub(crate) fn delete(&mut self, path: &str) {
        self.0.tell(&json!({"op": "delete", "path": path}));
    }

    /// Data and ephemeral owner of a znode.
    pub(crate) fn get(&mut self, path: &str) -> Option<(Vec<u8>, i64)> {
        let answer = self.0.tell(&json!({"op": "get", "path": path}));
        let data = answer["data"].as_array()?;
        let data = data.iter().filter_map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
        Some((data, answer["owner"].as_i64()?))
    }

    /// The names of a znode's children, in order; none where it is not there.
    pub(crate) fn children(&mut self, path: &str) -> Vec<String> {
        let mut answer = self.0.tell(&json!({"op": "children", "path": path}));
        serde_json::from_value(answer["children"].take()).expect("names")
    }

    /// Tries what is to be refused: how it failed.
    pub(crate) fn attempt(&mut self, op: &str, path: &str) -> String {
        let answer = self.0.attempt(&json!({"op": op, "path": path, "data": []}));
        answer["error"].as_str().unwrap_or_default().to_owned()
    }

    /// The transaction that created a znode: another one whenever it is another znode.
    pub(crate) fn czxid(&mut self, path: &str) -> Option<i64> {
        self.0.tell(&json!({"op": "get", "path": path}))["czxid"].as_i64()
    }
}
