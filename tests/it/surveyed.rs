//! `zonekeeper survey`: what it prints of an ensemble serves what is registered there.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::admin::page;
use crate::harness::app::Running;
use crate::harness::kazoo::Kazoo;
use crate::harness::samples::write;
use crate::harness::{eventually, zk};

/// Samples of as many conventions: their znodes, and the instances that are made of them.
fn samples() -> Vec<(PathBuf, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conventions");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the samples")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let sample: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("a sample");
        (path, sample)
    };
    files.into_iter().map(read).collect()
}

/// Conventions that `survey` finds by the samples of these names.
const FOUND: [&str; 25] = [
    "kafka",
    "patroni",
    "solr",
    "druid",
    "pulsar",
    "bookkeeper",
    "hiveserver2",
    "hbase",
    "hdfs",
    "clickhouse",
    "mesos",
    "flink",
    "kratos",
    "jodis",
    "canal",
    "orchestrator",
    "d2",
    "nerve",
    "seata",
    "fluss",
    "rpcx",
    "schema-registry",
    "serverset",
    "dubbo-python",
    "sofa-rpc",
];

fn survey(servers: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["survey", servers]).output().expect("the binary");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Instances that are expected and may be in DNS: host and port.
fn expected(sample: &Value) -> Vec<(String, u64)> {
    let all = sample["expect"].as_array().expect("a list").iter();
    all.filter_map(|one| Some((one["host"].as_str()?.to_owned(), one["port"].as_u64().filter(|port| *port > 0)?)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_survey_prints_of_eight_conventions_serves_all_eight() {
    let seed = std::env::var("ZONEKEEPER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("ZONEKEEPER_SEED={seed}");
    let mut all = samples();
    all.retain(|(path, _)| FOUND.iter().any(|name| path.file_stem().is_some_and(|stem| stem == *name)));
    assert_eq!(all.len(), FOUND.len());
    fastrand::Rng::with_seed(seed).shuffle(&mut all);
    all.truncate(8);
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    for (_, sample) in &all {
        write(&mut kazoo, sample);
    }
    let printed = survey(&servers);
    println!("{printed}");
    assert!(!printed.contains("Not understood"), "{printed}");
    // The harness has its own addresses.
    let config = printed.split("[dns]").next().expect("the registry and the zone");
    let server = Running::start(config);
    for (path, sample) in &all {
        let wanted = expected(sample);
        assert!(!wanted.is_empty(), "{}", path.display());
        for (host, port) in wanted {
            let instance = format!("\"host\":\"{host}\",\"port\":{port}");
            let what = format!("{instance} of {}", path.display());
            eventually(&what, async || page(server.admin, "/v1/services").contains(&instance).then_some(())).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn survey_says_what_it_does_not_understand_and_what_is_empty() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/brokers/ids", b"", false);
    kazoo.create("/strange/things", b"\xff\x00", false);
    let printed = survey(&servers);
    assert!(printed.contains("has nothing that is understood as services"), "{printed}");
    assert!(printed.contains("# /brokers/ids (kafka) is there and has no instance now"), "{printed}");
    assert!(printed.contains("# Not understood: /strange."), "{printed}");
    let nobody = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["survey", "127.0.0.1:1"]).output();
    let nobody = nobody.expect("the binary");
    let words = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(nobody.status.code() == Some(1) && words.contains("cannot connect to 127.0.0.1:1"), "{words}");
}
