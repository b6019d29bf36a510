//! Certificates for tests of TLS.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::app::scratch;

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

    fn openssl(&self, arguments: &str) {
        let done =
            Command::new("openssl").args(arguments.split(' ')).current_dir(&self.0).stdin(Stdio::null()).output();
        let done = done.expect("the command `openssl` (package openssl)");
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }
}
