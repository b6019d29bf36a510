//! Chromium without a window, told what to do over its pipe (the protocol of its developer tools). It runs whatever
//! script a page has.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::app::scratch;
use super::{PATIENCE, readers, spawner};

/// A browser with one page. Dropping it kills it.
pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    events: Vec<Value>,
    orders: u64,
    /// The page's session, once there is one.
    session: Option<String>,
}

impl Browser {
    /// Starts it with an empty page. It finds no host but this one.
    pub(crate) fn start() -> Self {
        let profile = scratch("browser");
        // Its pipes are the descriptors 3 and 4.
        let script = r#"exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null"#;
        let mut child = spawner::spawn("sh", |command| {
            command.args([
                "-c",
                script,
                "sh",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ]);
            command.args(["--disable-background-networking", "--hide-scrollbars", "--remote-debugging-pipe"]);
            command.arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
            command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        })
        .expect("`chromium`, of the Debian package chromium");
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self { child, input, messages, events: Vec::new(), orders: 0, session: None };
        let target = browser.tell("Target.createTarget", &json!({"url": "about:blank"}));
        let attached = browser.tell("Target.attachToTarget", &json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.tell(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Gives an order and waits for its result.
    pub(crate) fn tell(&mut self, method: &str, parameters: &Value) -> Value {
        self.orders += 1;
        let id = self.orders;
        let mut order = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            order["sessionId"] = session.as_str().into();
        }
        write!(self.input, "{order}\0").expect("a browser that listens");
        let begun = Instant::now();
        loop {
            let message = self.message(method, begun);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn message(&self, what: &str, begun: Instant) -> Value {
        let left = (2 * PATIENCE).saturating_sub(begun.elapsed());
        self.messages.recv_timeout(left).unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Has the page a size in pixels, as that of a phone up to 500, and the light or the dark palette.
    pub(crate) fn view(&mut self, width: u32, height: u32, is_dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width <= 500});
        self.tell("Emulation.setDeviceMetricsOverride", &size);
        let palette = if is_dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": palette}]});
        self.tell("Emulation.setEmulatedMedia", &features);
    }

    /// Goes to `url`, and waits until it is loaded.
    pub(crate) fn go(&mut self, url: &str) {
        let begun = Instant::now();
        self.events.retain(|event| event["method"] != "Page.loadEventFired");
        self.tell("Page.navigate", &json!({ "url": url }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.message(url, begun);
            self.events.push(event);
        }
    }

    /// The value of an expression, in the page; of a promise its outcome.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let order = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.tell("Runtime.evaluate", &order);
        assert!(result["exceptionDetails"].is_null(), "{expression:.200}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true. A page that is still being loaded may have nothing that it speaks of.
    #[allow(clippy::disallowed_methods)] // it is called where one may block
    pub(crate) fn until(&mut self, expression: &str) {
        let (begun, tried) =
            (Instant::now(), format!("(() => {{ try {{ return {expression} }} catch {{ return false }} }})()"));
        while self.value(&tried) != true {
            if begun.elapsed() > PATIENCE {
                let page = self.value("document.body.innerText");
                panic!("never {expression}: {page}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Types a text where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.tell("Input.insertText", &json!({ "text": text }));
    }

    /// Presses a key, such as `Tab`.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let order = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.tell("Input.dispatchKeyEvent", &order);
        }
    }

    /// What it has complained about since it was asked last: exceptions, and errors on its console.
    pub(crate) fn errors(&mut self) -> Vec<String> {
        // Those of what is under way come before the answer to this.
        self.value("1");
        let is_error = |event: &Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
            Some("Runtime.consoleAPICalled") => event["params"]["type"] == "error",
            _ => false,
        };
        let events = std::mem::take(&mut self.events);
        events.iter().filter(|event| is_error(event)).map(|event| event["params"].to_string()).collect()
    }

    /// Barriers of the page for people and their tools, as axe-core has them: those that are serious, and worse.
    pub(crate) fn barriers(&mut self) -> Vec<String> {
        let axe = std::fs::read_to_string(readers::fetched("axe/axe.min.js")).expect("axe-core");
        self.value(&format!("{axe}; true"));
        let found = self.value("axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)");
        let violations = found.as_array().expect("a list");
        let is_serious = |one: &&Value| one["impact"] == "serious" || one["impact"] == "critical";
        let described = |one: &Value| {
            let nodes: Vec<_> =
                one["nodes"].as_array().into_iter().flatten().take(3).map(|node| &node["html"]).collect();
            format!("{} ({}): {nodes:?}", one["id"], one["impact"])
        };
        violations.iter().filter(is_serious).map(described).collect()
    }

    /// Takes a picture of what is seen, as the PNG file at `path`.
    pub(crate) fn picture(&mut self, path: &Path) {
        let picture = self.tell("Page.captureScreenshot", &json!({"format": "png"}));
        let data = picture["data"].as_str().expect("a picture");
        std::fs::write(path, unbase64(data)).expect("a file");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads base64 (RFC 4648 §4).
fn unbase64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, byte| bits << 6 | u32::from(value(*byte)));
        let bits = (bits << (6 * (4 - four.len()))).to_be_bytes();
        bytes.extend_from_slice(&bits[1..four.len()]);
    }
    bytes
}
