//! Which ZooKeeper a test runs: the system's, or one of those that `tests/fetch-zookeepers` puts under `target`.

use std::path::{Path, PathBuf};

/// A release of ZooKeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Release {
    /// Debian's of today, 3.8 as this is written.
    #[default]
    System,
    /// 3.4: no addWatch, no multiRead, no create2.
    V3_4,
    /// 3.9.
    V3_9,
}

impl Release {
    /// The jars to run it, as Java takes them.
    pub(crate) fn classpath(self) -> String {
        if let (Self::System, Ok(classpath)) = (self, std::env::var("ZONEKEEPER_TEST_CLASSPATH")) {
            return classpath;
        }
        let jars = match self {
            // The manifest of the first names all but the logger, and half of what TLS needs.
            Self::System => {
                ["zookeeper", "slf4j-simple", "netty-codec", "netty-resolver"].into_iter().map(system).collect()
            }
            Self::V3_4 => vec![
                fetched("3.4", "zookeeper"),
                system("slf4j-api"),
                system("slf4j-simple"),
                system("log4j-1.2"),
                system("netty"),
                system("commons-cli"),
            ],
            // Its own jute before its manifest, which names the system's.
            Self::V3_9 => {
                vec![fetched("3.9", "zookeeper-jute"), fetched("3.9", "zookeeper"), system("slf4j-simple")]
            }
        };
        jars.iter().map(|jar| jar.to_string_lossy()).collect::<Vec<_>>().join(":")
    }
}

fn system(jar: &str) -> PathBuf {
    let path = Path::new("/usr/share/java").join(format!("{jar}.jar"));
    // Not every release needs each of these; a server that misses one of them says so.
    let needed = ["zookeeper", "slf4j-simple"].contains(&jar);
    assert!(
        !needed || path.exists(),
        "{} is missing: install the packages zookeeper and default-jre-headless",
        path.display()
    );
    path
}

fn fetched(release: &str, jar: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let path = target.join("zookeepers").join(release).join("usr/share/java").join(format!("{jar}.jar"));
    assert!(path.exists(), "{} is missing: run tests/fetch-zookeepers, as tests/run does", path.display());
    path
}
