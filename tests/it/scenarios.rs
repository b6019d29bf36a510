//! Runs the text scenarios of tests/scenarios: a registry in memory, the whole server around it, and dig.
//!
//! ```text
//! TREE … END                the registry from here on; DNS follows
//! ZONE … END                the master file of zone service. (before the first TREE)
//! CONFIG … END              more of the configuration, beginning with keys of that zone (before the first TREE)
//! QUERY SRV a.service +tcp  dig's own words
//! STATUS NOERROR qr aa      the response code, and all the flags but rd
//! ANSWER                    the section's records, in any order: a line each until an empty one or a keyword;
//!                           AUTHORITY and ADDITIONAL likewise. `SERIAL` is any number.
//! COUNT ANSWER 60           how many records a section has
//! EDNS EDE: 20, NOEDNS      a piece of a line about EDNS; or none at all
//! TCP                       the answer came over TCP
//! ```
//! An ANSWER section that is not mentioned must be empty.

use std::path::Path;

use zonekeeper::registry::text;

use crate::harness::app::{Running, scratch};
use crate::harness::dig::{Response, dig};
use crate::harness::eventually;

macro_rules! scenarios {
    ($($name:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/", stringify!($name), ".txt")).await;
        }
    )*};
}
scenarios!(names, forms, wire, master_file, links);

/// Every file is run by the list above.
#[test]
fn every_scenario_file_is_run() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".txt").unwrap_or_else(|| panic!("{name} is no scenario"));
        assert!(
            include_str!("scenarios.rs").contains(&format!("{stem},"))
                || include_str!("scenarios.rs").contains(&format!("{stem})")),
            "{name}"
        );
    }
}

struct Query {
    words: String,
    line: usize,
    expected: Vec<String>,
}

async fn run(file: &str) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (seed, zone) = (scratch("seed.tree"), scratch("service.zone"));
    let mut server: Option<Running> = None;
    let (mut has_zone, mut more) = (false, String::new());
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let mut block = || {
            let lines: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "END").collect();
            lines.join("\n") + "\n"
        };
        match line.split(' ').next().unwrap_or_default() {
            "ZONE" => {
                std::fs::write(&zone, block()).unwrap();
                has_zone = true;
            }
            "CONFIG" => more = block(),
            "TREE" => {
                let tree = block();
                std::fs::write(&seed, &tree).unwrap();
                match &server {
                    None => server = Some(start(&seed, has_zone.then_some(&*zone), &more).await),
                    Some(server) => follows(server, &tree).await,
                }
            }
            "QUERY" => {
                let mut expected = Vec::new();
                while let Some((_, line)) =
                    lines.next_if(|(_, line)| !line.starts_with("QUERY") && !line.starts_with("TREE"))
                {
                    expected.push(line.to_owned());
                }
                let words = line["QUERY ".len()..].to_owned();
                let server = server.as_ref().expect("a TREE before the first QUERY");
                check(file, server, Query { words, line: number + 1, expected });
            }
            "" | "#" => {}
            other => panic!("{file}:{}: what is {other}?", number + 1),
        }
    }
    server.expect("a TREE").stop().await;
}

async fn start(seed: &Path, zone: Option<&Path>, more: &str) -> Running {
    let file = zone.map(|path| format!("file = \"{}\"\n", path.display())).unwrap_or_default();
    let config =
        format!("[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n{file}{more}", seed.display());
    let server = Running::start(&config);
    // What the zone itself has is answered before the registry is read.
    eventually("an answer other than SERVFAIL", async || {
        (dig(server.dns, "A not-there-at-all.service").status != "SERVFAIL").then_some(())
    })
    .await;
    server
}

/// Waits until the addresses of the new tree, and no others, are answered for its first service with some.
async fn follows(server: &Running, tree: &str) {
    let nodes = text::parse(tree).expect("a tree");
    let instance = nodes.iter().find(|node| node.path.name().contains(':')).expect("an instance").path.clone();
    let service = instance.parent().and_then(|directory| directory.strip_suffix("/providers")).expect("a provider");
    let name = service.rsplit('/').next().unwrap_or_default();
    let port = instance.name().rsplit(':').next().unwrap_or_default().to_owned();
    let count = nodes.iter().filter(|node| node.path.parent() == instance.parent()).count();
    let target = instance.name().trim_end_matches(&format!(":{port}")).replace('.', "-");
    eventually("the new tree in DNS", async || {
        let answer = dig(server.dns, &format!("SRV {name}.service +tcp"));
        let shows =
            answer.answer.len() == count && answer.answer.iter().any(|line| line.contains(&format!("{target}.addr")));
        shows.then_some(())
    })
    .await;
}

fn check(file: &str, server: &Running, query: Query) {
    let Query { words, line, expected } = query;
    let response = dig(server.dns, &words);
    let place = format!("{file}:{line}: {words}\n{response:#?}");
    let mut answer_is_said = false;
    let mut lines = expected.iter().map(String::as_str).filter(|line| !line.starts_with('#')).peekable();
    while let Some(said) = lines.next() {
        let (keyword, rest) = said.split_once(' ').unwrap_or((said, ""));
        match keyword {
            "" => {}
            "STATUS" => {
                let mut flags: Vec<&str> = vec![&response.status];
                flags.extend(response.flags.iter().map(String::as_str).filter(|flag| *flag != "rd"));
                assert_eq!(flags.join(" "), rest, "{place}");
            }
            "ANSWER" | "AUTHORITY" | "ADDITIONAL" => {
                answer_is_said |= keyword == "ANSWER";
                let mut wanted = Vec::new();
                while let Some(record) = lines.next_if(|line| line.contains(" IN ")) {
                    wanted.push(record.to_owned());
                }
                assert_eq!(sorted(section(&response, keyword)), sorted(&wanted), "{keyword} of {place}");
            }
            "COUNT" => {
                let (keyword, count) = rest.split_once(' ').expect("COUNT SECTION N");
                answer_is_said |= keyword == "ANSWER";
                assert_eq!(section(&response, keyword).len().to_string(), count, "{keyword} of {place}");
            }
            "EDNS" => assert!(response.edns.iter().any(|line| line.contains(rest)), "{rest}: {place}"),
            "NOEDNS" => assert!(response.edns.is_empty(), "{place}"),
            "TCP" => assert!(response.tcp, "{place}"),
            other => panic!("{file}:{line}: what is {other}?"),
        }
    }
    assert!(answer_is_said || response.answer.is_empty() || response.has_flag("tc"), "an answer to {place}");
}

fn section<'r>(response: &'r Response, keyword: &str) -> &'r [String] {
    match keyword {
        "ANSWER" => &response.answer,
        "AUTHORITY" => &response.authority,
        _ => &response.additional,
    }
}

/// Sorted, and with every serial taken as `SERIAL`.
fn sorted(records: &[String]) -> Vec<String> {
    let mut records: Vec<String> = records
        .iter()
        .map(|record| {
            let mut words: Vec<&str> = record.split(' ').collect();
            if words.get(3) == Some(&"SOA") {
                words[6] = "SERIAL";
            }
            words.join(" ")
        })
        .collect();
    records.sort();
    records
}
