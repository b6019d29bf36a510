//! Certificates for tests of TLS.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::app::{free_port, scratch};
use super::spawner;
use super::zk::pause;

/// A certification authority and what it vouched for, made by openssl.
pub(crate) struct Authority(PathBuf);

impl Authority {
    pub(crate) fn new() -> Self {
        let directory = scratch("ca").parent().expect("a directory").to_owned();
        let authority = Self(directory);
        authority.openssl("req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=authority -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.pem");
        authority
    }

    /// Makes NAME.pem and NAME.key, for 127.0.0.1.
    pub(crate) fn issue(&self, name: &str) {
        self.issue_for(name, "IP:127.0.0.1,DNS:localhost");
    }

    /// Makes NAME.pem and NAME.key, for these alternative names.
    pub(crate) fn issue_for(&self, name: &str, names: &str) {
        let extensions =
            format!("subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n");
        std::fs::write(self.file("extensions"), extensions).unwrap();
        self.openssl(&format!("req -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        self.openssl(&format!("x509 -req -days 2 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out {name}.pem"));
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Starts a web server that shows NAME.pem, and waits until it listens: its process, and its port.
    pub(crate) fn web_server(&self, name: &str) -> (Child, u16) {
        let port = free_port();
        let web = spawner::spawn("openssl", |command| {
            command.args(["s_server", "-www", "-accept", &format!("127.0.0.1:{port}")]);
            command.arg("-cert").arg(self.file(&format!("{name}.pem")));
            command.arg("-key").arg(self.file(&format!("{name}.key")));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        });
        let web = web.expect("the command `openssl` (package openssl)");
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "openssl does not listen");
            pause();
        }
        (web, port)
    }

    fn openssl(&self, arguments: &str) {
        let done =
            Command::new("openssl").args(arguments.split(' ')).current_dir(&self.0).stdin(Stdio::null()).output();
        let done = done.expect("the command `openssl` (package openssl)");
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }
}
