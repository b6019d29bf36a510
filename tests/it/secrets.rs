//! A secret in every place where a configuration can have one: none of them is seen anywhere.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::agent::{blocking, until};
use crate::harness::admin::page;
use crate::harness::app::{Binary, free_port, scratch};

/// Every secret has this in it.
const MARK: &str = "Hu5h";

/// A web server that shows whoever asks what it was sent, and a password of its own.
fn indiscreet() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 4096];
            let length = stream.read(&mut asked).unwrap_or(0);
            let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
            let body = format!("{asked}\ndatabase.password = {MARK}-body\n");
            let (status, more) = if asked.contains(" /away") {
                ("302 Found", format!("Location: http://u:{MARK}-location@h/?access_token={MARK}-to\r\n"))
            } else {
                ("200 OK", String::new())
            };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

/// The configuration; lines with a secret in them are single lines.
fn configuration(servers: &str, web: SocketAddr, (dns, admin): (u16, u16), here: &Path) -> String {
    let write = |name: &str, text: &str| {
        std::fs::write(here.join(name), text).expect("a file");
        here.join(name).display().to_string()
    };
    let auth_file = write("auth", &format!("digest:reader:{MARK}-auth-file\n"));
    let key_file = write("key", "SHU1aC1rZXktZmlsZS1hYmNkZWY=\n");
    let cookie = write("cookie", "4875356800000000000000000000aaaa\n");
    let fast = "interval = \"100ms\", timeout = \"2s\", rise = 1, fall = 1";
    let service = |name: &str, port: u16, check: &str| {
        format!("[[service]]\nname = \"{name}\"\nport = {port}\naddress = \"192.0.2.10\"\n{check}\n")
    };
    let http = |path: &str, more: &str| {
        format!(
            "check.http = {{ url = \"http://u:{MARK}-url@{web}{path}?token={MARK}-query\", headers = {{ X-Api = \"{MARK}-header\", Authorization = '{MARK}-auth' }}, {fast}{more} }}"
        )
    };
    let exec = |script: &str| {
        format!(
            "check.exec = {{ command = [\"/bin/sh\", \"-c\", \"{script}\", {{ secret = \"{MARK}-exec\" }}], {fast} }}"
        )
    };
    format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"3s\"\nauth = \"digest:writer:{MARK}-auth\"\n\
         [registry.other]\nzookeeper = \"{servers}\"\nauth_file = \"{auth_file}\"\n\
         [[zone]]\norigin = \"service.\"\nregistry = \"main\"\nallow_transfer = [\"key xfr\", \"key other\"]\n\
         [[key]]\nname = \"xfr\"\nsecret = \"SHU1aC1rZXktYWJjZGVmZ2hpamtsbW4=\"\n\
         [[key]]\nname = \"other\"\nsecret_file = \"{key_file}\"\n\
         [dns]\nlisten = [\"127.0.0.1:{dns}\"]\ncookie_secret_file = \"{cookie}\"\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    ) + &[
        service("good", 1, &http("/", "")),
        service("matching", 2, &http("/", ", contains = \"all is well\"")),
        service("moved", 3, &http("/away", "")),
        service("told", 4, &exec("echo it is $0")),
        service("failing", 5, &exec("echo not $0 >&2; exit 3")),
        service("pattern", 7, &http("/", ", matches = \"^well$\"")),
    ]
    .map(|service| service.replacen("address =", "registry = \"main\"\naddress =", 1))
    .concat()
}

/// The configuration with a slip of the pen in one line after the other.
fn slips(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_secret = |line: &&str| line.contains(MARK) || line.starts_with("secret =");
    let mut slips = Vec::new();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| is_secret(line)) {
        let with = |new: String| {
            let mut lines = lines.clone();
            lines[number] = &new;
            lines.join("\n")
        };
        let last = line.rfind('"').expect("a value in quotes");
        slips.extend([
            with(line[..last].to_owned()),
            with(line.replace('"', "")),
            with(line.replacen('=', "", 1)),
            with(
                line.replace("interval = ", "intervall = ").replacen("auth =", "auht =", 1).replace("secret", "secrte"),
            ),
            with(
                line.replace("\"100ms\"", "\"soon\"")
                    .replace("url = \"http:", "url = \"ftp:")
                    .replace("digest:", "digset:"),
            ),
            with(line.replace("headers = {", "headers = [")),
            with(line.replace(" }, interval", " , interval")),
            with(format!("{line}\n{line}")),
            with(line.replace('"', "\"\"\"").replacen("\"\"\"", "\"\"", 2)),
        ]);
    }
    slips
}

#[track_caller]
fn says_nothing(what: &str, text: &str) {
    let secrets = [MARK, "SHU1aC1r", "48753568"];
    // As the header of HTTP has it, too.
    let basic = data_encoding::BASE64.encode(format!("u:{MARK}").as_bytes());
    for secret in secrets.into_iter().chain([&basic[..basic.len() - 4]]) {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{what}: {}", line.unwrap_or_default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_configuration_is_seen_anywhere() {
    blocking(|servers| {
        let path = scratch("zonekeeper.toml");
        let (web, dns, admin) = (indiscreet(), free_port(), free_port());
        let text = configuration(&servers, web, (dns, admin), path.parent().expect("a directory"));
        std::fs::write(&path, &text).expect("a configuration");
        let config = path.to_string_lossy().into_owned();
        let run = |arguments: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments).output().expect("the binary");
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            (output.status.success(), said)
        };
        let (is_good, said) = run(&["check", "--config", &config]);
        assert!(is_good, "{said}");
        says_nothing("check", &said);

        let binary = Binary::run(&["serve", "--log", "trace", "--config", &config]);
        let at: SocketAddr = (Ipv4Addr::LOCALHOST, admin).into();
        until("checks have passed and failed", || {
            std::net::TcpStream::connect(at).ok()?;
            let status = page(at, "/v1/status");
            let found = [
                "not contain \\\"all is well\\\"",
                "it is ***",
                "not ***",
                "302 Found, to ",
                "not match",
                "it answers 200",
            ];
            found.iter().all(|words| status.contains(words)).then_some(())
        });
        let see = |when: &str| {
            let paths = [
                "/",
                "/healthz",
                "/readyz",
                "/metrics",
                "/v1/status",
                "/v1/status?as=text",
                "/v1/registrations",
                "/v1/process",
                "/v1/services",
                "/v1/services/good",
                "/v1/dump",
                "/v1/prometheus",
                "/v1/dump?as=json",
                "/v1/dump?as=hosts",
                "/v1/explain?name=good.service",
                "/v1/explain?name=failing.service&as=json",
                "/nothing",
            ];
            for path in paths {
                says_nothing(&format!("{when}: {path}"), &page(at, path));
            }
            let admin = format!("127.0.0.1:{admin}");
            for command in
                [&["status"][..], &["status", "--json"], &["explain", "failing.service"], &["dump"], &["reload"]]
            {
                let (_, said) = run(&[command, &["--admin", &admin]].concat());
                says_nothing(&format!("{when}: {command:?}"), &said);
            }
            says_nothing(&format!("{when}: the log"), &binary.log());
        };
        see("at first");

        let slips = slips(&text);
        let mut refused = 0;
        for (number, slip) in slips.iter().enumerate() {
            std::fs::write(&path, slip).expect("a configuration");
            let (is_good, said) = run(&["check", "--config", &config]);
            refused += usize::from(!is_good);
            says_nothing(&format!("check of slip {number}"), &said);
            // Each is in the log; what is shown of it elsewhere is the same text.
            if number % 8 == 0 {
                let (_, said) = run(&["reload", "--admin", &format!("127.0.0.1:{admin}")]);
                says_nothing(&format!("reload of slip {number}"), &said);
                see(&format!("slip {number}"));
            }
        }
        assert!(refused > slips.len() / 2, "{refused} of {}", slips.len());
        // A private key that is none.
        let pem = scratch("client.pem");
        std::fs::write(&pem, format!("-----BEGIN PRIVATE KEY-----\n{MARK}-pem\n-----END PRIVATE KEY-----\n"))
            .expect("a file");
        let (pem, url) = (pem.display(), format!("https://u:{MARK}@{web}/"));
        let check = format!("check.http = {{ url = \"{url}\", cert = \"{pem}\", key = \"{pem}\" }}\n");
        std::fs::write(&path, format!("{text}[[service]]\nname = \"tls\"\nport = 9\n{check}"))
            .expect("a configuration");
        let (is_good, said) = run(&["check", "--config", &config]);
        assert!(!is_good && said.contains("client.pem"), "{said}");
        says_nothing("a key that is none", &said);
        // A byte that is no text, in the line of a secret.
        let mut bytes = text.replace(&format!("{MARK}-auth"), &format!("{MARK}\u{1}")).into_bytes();
        let at = bytes.iter().position(|byte| *byte == 1).expect("the byte");
        bytes[at] = 0xff;
        std::fs::write(&path, bytes).expect("a configuration");
        let (is_good, said) = run(&["check", "--config", &config]);
        assert!(!is_good && said.contains("is no UTF-8"), "{said}");
        says_nothing("a byte that is no text", &said);
        drop(binary);
    })
    .await;
}
