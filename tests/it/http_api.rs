//! The admin server as programs use it: its description, pages, validators and compression.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;

use crate::harness::app::{Running, scratch};
use crate::harness::{eventually, readers};

/// A server of so many services with an instance each, named `s00000` and so on, and its seed.
async fn server_of(services: usize) -> (Running, std::path::PathBuf) {
    let seed = scratch("seed.tree");
    let mut tree = "/services\n".to_owned();
    for number in 0..services {
        let (high, low) = (number / 250, number % 250);
        let _ = write!(tree, "  /s{number:05}\n    /providers\n      /10.0.{high}.{low}:80\n        pid = 7\n");
    }
    std::fs::write(&seed, tree).unwrap();
    let server =
        Running::start(&format!("[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n", seed.display()));
    eventually("the registry is read", async || (get(server.admin, "/readyz", "").status == 200).then_some(())).await;
    (server, seed)
}

/// An answer: its status, head and body as they came.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let is_it = |line: &&str| line.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case(name));
        self.head.lines().find(is_it).and_then(|line| line.split_once(": ")).map(|(_, value)| value.trim())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.head))
    }
}

/// The answer over HTTP/1.0, which is in one piece, to a request with these further lines of a head.
fn get(admin: SocketAddr, target: &str, head: &str) -> Answer {
    let mut stream = TcpStream::connect(admin).unwrap();
    write!(stream, "GET {target} HTTP/1.0\r\nHost: x\r\n{head}\r\n").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: all[end + 4..].to_vec() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_present_list_is_told_so_until_something_changes() {
    let (server, seed) = server_of(300).await;
    let whole = get(server.admin, "/v1/services", "");
    let tag = whole.header("etag").expect("a validator").to_owned();
    let again = |target: &str| get(server.admin, target, &format!("If-None-Match: {tag}\r\n"));
    let known = again("/v1/services");
    assert_eq!((known.status, known.body.len()), (304, 0), "{}", known.head);
    assert_eq!(known.header("etag"), Some(&*tag));
    assert_eq!(again("/v1/services/s00007?fields=path,in").status, 304);
    // A change of the data of one instance, and nothing else.
    let text = std::fs::read_to_string(&seed).unwrap();
    std::fs::write(&seed, text.replacen("pid = 7", "pid = 8", 1)).unwrap();
    let changed = eventually("the change", async || Some(again("/v1/services")).filter(|one| one.status == 200)).await;
    assert_eq!(changed.json()["services"].as_array().map(Vec::len), Some(300));
    assert_ne!(changed.header("etag"), Some(&*tag));
    let read = |answer: &Answer| answer.json()["services"][0]["instances"][0]["metadata"]["pid"].clone();
    eventually("the changed data", async || {
        (read(&get(server.admin, "/v1/services", "")) != read(&whole)).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_are_compressed_for_those_who_take_it() {
    let (server, _) = server_of(300).await;
    let plain = get(server.admin, "/v1/services", "");
    let packed = get(server.admin, "/v1/services", "Accept-Encoding: br, gzip\r\n");
    assert_eq!(packed.header("content-encoding"), Some("gzip"), "{}", packed.head);
    assert_eq!(plain.header("vary"), Some("accept-encoding"), "{}", plain.head);
    assert!(packed.body.len() * 5 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    let mut child = std::process::Command::new("gzip")
        .args(["-dc"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command `gzip`");
    let mut stdin = child.stdin.take().expect("its input");
    let body = packed.body.clone();
    let writing = std::thread::spawn(move || stdin.write_all(&body));
    let unpacked = child.wait_with_output().expect("its output");
    writing.join().expect("no panic").expect("all is read");
    assert!(unpacked.status.success());
    assert_eq!(unpacked.stdout, plain.body, "it is the same");
    let short = get(server.admin, "/v1/services/s00001?fields=path", "Accept-Encoding: gzip\r\n");
    assert_eq!(short.header("content-encoding"), None, "what is short stays as it is");
    server.stop().await;
}

/// One of three thousand: in pages of a hundred, with the fields that a list shows.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_three_thousand_services_is_there_at_once() {
    let (server, _) = server_of(3_000).await;
    let mut target = "/v1/services?fields=path,in,out&limit=100".to_owned();
    let (mut times, mut paths) = (Vec::new(), Vec::new());
    loop {
        let begun = Instant::now();
        let page = get(server.admin, &target, "");
        times.push(begun.elapsed());
        let page_json = page.json();
        let services = page_json["services"].as_array().expect("services");
        paths.extend(services.iter().map(|one| one["path"].as_str().expect("a path").to_owned()));
        let Some(link) = page.header("link") else { break };
        let next = link.trim_start_matches('<').split('>').next().expect("an address");
        next.clone_into(&mut target);
    }
    let expected: Vec<String> = (0..3_000).map(|number| format!("s{number:05}")).collect();
    assert_eq!(paths, expected);
    let whole = (0..10).map(|_| {
        let begun = Instant::now();
        get(server.admin, "/v1/services", "");
        begun.elapsed()
    });
    let (page, whole) = (times.iter().min().expect("pages"), whole.min().expect("lists"));
    println!("3,000 services: a page of 100 in {page:?}, all of them in {whole:?}");
    // Whatever else the machine does: a page costs a part of the list.
    assert!(*page * 3 < whole, "{page:?} and {whole:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_description_allows_is_answered_as_it_says() {
    let (server, _) = server_of(20).await;
    let url = format!("http://{}/v1/openapi.json", server.admin);
    let out = tokio::task::spawn_blocking(move || {
        let arguments = [
            "run",
            &url,
            // Orders end the process, or start another one; and events without end are a stream.
            "--exclude-path-regex",
            "^/v1/(reload|restart|leave)$",
            "--header",
            "Accept: application/json",
            "--phases",
            "examples,coverage,fuzzing",
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--max-examples",
            "25",
            "--generation-deterministic",
            "--generation-with-security-parameters",
            "false",
            "--request-timeout",
            "20",
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--no-color",
        ];
        let directory = scratch("schemathesis").parent().expect("a directory").to_owned();
        readers::schemathesis(&arguments).current_dir(directory).stdin(Stdio::null()).output().expect("python3")
    })
    .await
    .expect("no panic");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(get(server.admin, "/readyz", "").status, 200, "it lives");
    server.stop().await;
}
