//! A process that does with a library what it is told: an order in JSON a line, and an answer a line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// The process. Dropping it ends it without closing its session with ZooKeeper.
pub(crate) struct Driver {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Driver {
    /// Runs `python`, a Python, with `program` and `servers`; `install` says what to do where it does not come up.
    pub(crate) fn python(
        name: &'static str,
        python: &mut Command,
        program: &str,
        servers: &str,
        install: &str,
    ) -> Self {
        Self::run(name, python.args(["-c", program, servers]), install)
    }

    /// Runs `command`, which has its arguments.
    pub(crate) fn run(name: &'static str, command: &mut Command, install: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {install} ({error})"));
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut driver = Self { name, child, input, output };
        let ready = driver.answer();
        assert!(ready["ok"] == true, "{name}: {ready} ({install})");
        driver
    }

    pub(crate) fn tell(&mut self, order: &Value) -> Value {
        let answer = self.attempt(order);
        assert!(answer["ok"] == true, "{}: {order}: {answer}", self.name);
        answer
    }

    /// As [`tell`](Self::tell), where it may be that it fails.
    pub(crate) fn attempt(&mut self, order: &Value) -> Value {
        writeln!(self.input, "{order}").expect("it listens");
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{} said {line:?}: {error}", self.name))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
