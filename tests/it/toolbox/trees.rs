//! Trees as text: export, import, validate and diff, with the real zc.zk on the other side.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{RELEASES, complaint, ensemble, printed, run};
use crate::harness::app::scratch;
use crate::harness::kazoo::Kazoo;
use crate::harness::readers::ZcZk;
use crate::harness::release::Release;
use crate::harness::zk;

/// A file with this text.
fn file(text: &str) -> PathBuf {
    let path = scratch("registry.tree");
    std::fs::write(&path, text).expect("a file");
    path
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A tree text that nobody wrote, the same for each seed: names, values and links of all kinds.
fn seeded(seed: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut text = String::new();
    for top in 0..rng.usize(1..4) {
        node(&mut rng, &mut text, 0, &format!("top{top}"));
    }
    text
}

fn node(rng: &mut fastrand::Rng, text: &mut String, depth: usize, name: &str) {
    let indent = "  ".repeat(depth);
    let _ = write!(text, "{indent}/{name}");
    if rng.u8(..4) == 0 {
        let _ = write!(text, " : {}", ["api", "z4m cms", "a: b"][rng.usize(..3)]);
    }
    text.push('\n');
    let values = [
        "1",
        "-7",
        "0",
        "9007199254740993",
        "1.5",
        "-0.25",
        "1e100",
        "True",
        "False",
        "None",
        "''",
        "'plain'",
        "'it\\'s \"x\"'",
        "'two\\nlines\\ttab'",
        "u'\\xe9\\u4e2d'",
        "'caf\u{e9} \u{4e2d}\u{1f600}'",
        "[1, 'two', [3.5, None]]",
        "[]",
        "{}",
        "{'a': 1, 'b': {'c': [True]}}",
        "'back\\\\slash'",
        "'# no comment'",
        "(1, 2)",
        "'=> -> ='",
    ];
    let names = ["owner", "ttl", "a.b-c", "x_1", "weight%", "\u{e9}t\u{e9}"];
    if depth > 0 && rng.u8(..6) == 0 {
        let raw = ["'raw text'", "'caf\u{e9}'", "'[1, 2]'", "'null'", "'10.0.0.1:80'"];
        let _ = writeln!(text, "{indent}  string_value = {}", raw[rng.usize(..raw.len())]);
    } else {
        for name in names {
            if rng.u8(..3) == 0 {
                let _ = writeln!(text, "{indent}  {name} = {}", values[rng.usize(..values.len())]);
            }
        }
        for link in 0..rng.usize(..3) {
            let target = ["/top0", "../sibling", "/top0/child0/providers"][rng.usize(..3)];
            let _ = if rng.bool() {
                writeln!(text, "{indent}  link{link} -> {target}")
            } else {
                writeln!(text, "{indent}  link{link} => {target}{}", ["", " owner"][rng.usize(..2)])
            };
        }
    }
    if depth < 4 {
        let children =
            ["child0", "child1", "a-b", "a", "192.168.0.42:8080", "[2001:db8::1]:80", "providers", "caf\u{e9}"];
        for child in children {
            if rng.u8(..4) == 0 {
                node(rng, text, depth + 1, child);
            }
        }
    }
}

/// zc.zk's own examples: the trees of its README and what is in its tests.
fn examples() -> Vec<String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let readme = std::fs::read_to_string(target.join("readers/zc.zk/zc/zk/README.txt")).expect("zc.zk's README");
    let (mut found, mut block) = (Vec::new(), String::new());
    for line in readme.lines().chain(["end"]) {
        let is_tree = line.starts_with("  ") && !line.contains(">>>") && !line.contains("...");
        if is_tree || (line.is_empty() && !block.is_empty()) {
            block.push_str(line);
            block.push('\n');
        } else {
            let text = std::mem::take(&mut block);
            let first = text.lines().next().unwrap_or_default().trim_start();
            if first.starts_with('/') && zonekeeper::registry::text::parse(&text).is_ok() {
                found.push(text);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn zc_zk_exports_what_we_import_and_imports_what_we_export() {
    let examples = examples();
    assert!(examples.len() >= 8, "{} examples in zc.zk's README", examples.len());
    for release in RELEASES {
        let servers = ensemble(release).await;
        let mut zc = ZcZk::connect(&servers);
        let mut kazoo = Kazoo::connect(&servers);
        for path in ["/ours", "/theirs", "/back"] {
            kazoo.create(path, b"{}", false);
        }
        // Half of the seeds on each release, so that all of them are done in time.
        let seeds = (0..200).filter(|seed| (seed % 2 == 0) == (release == Release::System)).map(seeded);
        for (number, text) in examples.iter().cloned().chain(seeds).enumerate() {
            let text_file = file(&text);
            let (text_file, context) = (name(&text_file).to_owned(), format!("{release:?} {number}\n{text}"));
            printed(&servers, &["import", &text_file, "/ours", "--trim"]);
            // The same text twice over is nothing to do, and what is there is what the text says.
            assert_eq!(printed(&servers, &["diff", &text_file, "/ours"]), "", "{context}");
            if number % 20 == 0 {
                let again = printed(&servers, &["import", &text_file, "/ours", "--trim"]);
                assert_eq!(again, "created 0, changed 0, deleted 0\n", "{context}");
            }
            // What we export zc.zk imports.
            let exported = printed(&servers, &["export", "/ours"]);
            zc.import(&exported.replacen("/ours", "/theirs", 1), "/");
            assert_eq!(zc.differences("/ours", "/theirs"), Vec::<String>::new(), "{context}");
            // What it exports of that we import.
            let theirs = file(&zc.export("/theirs").replacen("/theirs", "/back", 1));
            printed(&servers, &["import", name(&theirs), "/", "--trim"]);
            assert_eq!(zc.differences("/ours", "/back"), Vec::<String>::new(), "{context}");
            for top in ["/ours", "/theirs", "/back"] {
                if number % 2 == 0 {
                    printed(&servers, &["rm", "-r", top]);
                    kazoo.create(top, b"{}", false);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_text_calculates_is_what_zc_zk_makes_of_it() {
    let servers = ensemble(Release::System).await;
    let mut zc = ZcZk::connect(&servers);
    let mut kazoo = Kazoo::connect(&servers);
    let expressions = [
        "60 * 60 * 24",
        "7 / 2, -7 / 2, 7 // -2, 7 / 2.0",
        "-7 % 3, 7 % -3, -7.5 % 2",
        "2 ** 10, -2 ** 2, 2 ** -1, 2 ** 3 ** 2",
        "1 << 20 | 1 ^ 3 & ~1",
        "(1 << 63) - 1, -1 >> 3",
        "'a' * 3 + u'b', 2 * 'xy'",
        "['a'] + ['b'] * 2",
        "{'a': 1 + 1, 'b': [True + 1, - - 3]}",
        "1,",
        "0.1 + 0.2, 1e3 * 2, 10 / 4.",
    ];
    for (number, top) in ["/ours", "/theirs"].into_iter().enumerate() {
        let mut text = format!("{top}\n");
        for (index, expression) in expressions.iter().enumerate() {
            let _ = writeln!(text, "  p{index} = {expression}");
        }
        if number == 0 { drop(printed(&servers, &["import", name(&file(&text))])) } else { zc.import(&text, "/") }
    }
    assert_eq!(zc.differences("/ours", "/theirs"), Vec::<String>::new());
    let (data, _) = kazoo.get("/ours").expect("it is there");
    assert!(String::from_utf8_lossy(&data).contains(r#""p1":[3,-4,-4,3.5]"#), "{}", String::from_utf8_lossy(&data));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing_and_says_all() {
    for release in RELEASES {
        let servers = ensemble(release).await;
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api", br#"{"ttl":5,"owner":"x"}"#, false);
        kazoo.create("/services/api/old/deep", b"", false);
        kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", true);
        kazoo.create("/services/other", b"", false);
        let text = file("/services\n  /api\n    ttl = 6\n    backup -> /b\n    /new\n");
        let before = printed(&servers, &["export", "--json", "--ephemeral"]);
        let plan = "~ /services/api: - owner = 'x'; ttl = 5 -> 6; + backup -> /b\n+ /services/api/new\n";
        assert_eq!(printed(&servers, &["import", name(&text), "--dry-run"]), plan);
        let deletions = "- /services/other\n- /services/api/old/deep\n- /services/api/old\n";
        assert_eq!(printed(&servers, &["import", name(&text), "--dry-run", "--trim"]), format!("{plan}{deletions}"));
        assert_eq!(printed(&servers, &["export", "--json", "--ephemeral"]), before);
        let different = run(&servers, &["diff", name(&text)]);
        assert_eq!(different.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&different.stdout), format!("{plan}{deletions}"));
        // Without --trim the rest stays, and is told.
        let imported = run(&servers, &["import", name(&text)]);
        assert_eq!(imported.stdout, b"created 1, changed 1, deleted 0\n");
        let said = String::from_utf8_lossy(&imported.stderr).into_owned();
        assert!(said.contains("3 znodes are not in") && said.contains("--trim deletes them"), "{said}");
        assert_eq!(printed(&servers, &["import", name(&text), "--trim"]), "created 0, changed 0, deleted 3\n");
        assert_eq!(printed(&servers, &["diff", name(&text)]), "");
        // Registrations and what is above them are still there.
        assert!(kazoo.get("/services/api/providers/10.0.0.1:80").is_some());
        let json: serde_json::Value =
            serde_json::from_slice(&run(&servers, &["diff", "--json", "--ephemeral", name(&text)]).stdout)
                .expect("JSON");
        assert_eq!(json["only"][0], "/services/api/providers/10.0.0.1:80", "{json}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_brings_back_everything_binary_data_and_rights_too() {
    for release in RELEASES {
        let (servers, other) = (ensemble(release).await, ensemble(release).await);
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api", br#"{"b" : 1.50, "a":"\u00fc"}"#, false);
        kazoo.create("/services/binary", b"\xff\x00", false);
        kazoo.create("/services/a name", b"text", false);
        kazoo.create("/services/own", b"", false);
        printed(&servers, &["acl", "/services/own", "world:anyone:r,ip:127.0.0.1:cdrwa"]);
        let left_out = run(&servers, &["export", "/services"]);
        assert_eq!(left_out.status.code(), Some(1));
        let said = String::from_utf8_lossy(&left_out.stderr).into_owned();
        assert!(
            said.contains("/services/binary and what is below it is left out: its data is no text; see --json"),
            "{said}"
        );
        let text = file(&printed(&servers, &["export", "/services", "--json", "--acl"]));
        printed(&other, &["import", name(&text)]);
        let mut there = Kazoo::connect(&other);
        for path in ["/services/api", "/services/binary", "/services/a name", "/services/own"] {
            assert_eq!(there.get(path).map(|(data, _)| data), kazoo.get(path).map(|(data, _)| data), "{path}");
        }
        assert_eq!(printed(&other, &["acl", "/services/own"]), "world:anyone:r\nip:127.0.0.1:cdrwa\n");
        assert_eq!(printed(&servers, &["diff", "--with", &other, "/services"]), "");
        kazoo.set("/services/api", br#"{"a":"\u00fc","b":2}"#);
        let different = run(&servers, &["diff", "--with", &other, "/services"]);
        assert_eq!((different.status.code(), &*different.stdout), (Some(1), &b"~ /services/api: b = 2 -> 1.5\n"[..]));
    }
}

#[test]
fn all_that_is_wrong_with_a_text_is_told_with_its_line_and_a_caret() {
    let text = file("/a\n  x = open('/etc/passwd')\n  y = 5\n  y = 6\n");
    let output = run("127.0.0.1:1", &["validate", name(&text)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("registry.tree:2:7: error: `open` is not known"), "{said}");
    assert!(said.contains("\n    2 |   x = open('/etc/passwd')\n      |       ^"), "{said}");
    assert!(said.contains("registry.tree:4:3: error: /a has a property `y` already"), "{said}");
    let text = file("{\"/a\": {\"data\": 5}}");
    let said = complaint("127.0.0.1:1", &["validate", name(&text)]);
    assert!(said.contains("registry.tree:1:") && said.contains("invalid type: integer `5`"), "{said}");
    let fine = file("/a\n  /b\n");
    assert!(printed("127.0.0.1:1", &["validate", name(&fine)]).ends_with(": fine, 2 znodes\n"));
    assert!(complaint("127.0.0.1:1", &["validate", "/nowhere/x"]).contains("cannot read /nowhere/x"));
}

/// A way to a server that closes all its connections after every so many requests.
fn cutting(server: SocketAddr, every: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let count = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(server) else { continue };
            let count = Arc::clone(&count);
            let (mut from, mut to) = (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let (mut client, mut server) = (client, server);
                let mut length = [0; 4];
                while client.read_exact(&mut length).is_ok() {
                    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
                    if client.read_exact(&mut frame).is_err() {
                        break;
                    }
                    // Every other time the request arrives, and its reply is lost.
                    let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                    let is_last = number.is_multiple_of(every);
                    if !is_last || (number / every).is_multiple_of(2) {
                        let _ = server.write_all(&length).and_then(|()| server.write_all(&frame));
                    }
                    if is_last {
                        break;
                    }
                }
                let _ = server.shutdown(Shutdown::Both);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_cut_again_and_again_ends_with_what_the_text_says() {
    let mut text = String::from("/big\n");
    for service in 0..60 {
        let _ = write!(text, "  /service-{service}\n    note = '{}'\n    /providers\n", "x".repeat(800));
        for instance in 0..30 {
            let _ = writeln!(text, "      /10.0.{service}.{instance}:80\n        data = '{}'", "y".repeat(600));
        }
    }
    let short = text.lines().take(40).fold(String::new(), |short, line| short + line + "\n");
    for release in RELEASES {
        // Servers before 3.6 read and create znodes one by one.
        let text = file(if release == Release::V3_4 { &short } else { &text });
        let servers = ensemble(release).await;
        let server = zk::shared_of(release).address();
        let address = cutting(server.parse().expect("an address"), 10);
        let cut = servers.replace(&server, &address.to_string());
        let mut attempts = 0;
        loop {
            attempts += 1;
            assert!(attempts < 60, "{release:?}: it never ends");
            let output = run(&cut, &["import", name(&text)]);
            if output.status.success() {
                break;
            }
            // Never without a word on what was done.
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let is_told = ["run it again", "cannot connect", "was lost", "no server", "expired"]
                .iter()
                .any(|word| said.contains(word));
            assert!(is_told, "{said}");
        }
        println!("{release:?}: {attempts} attempts");
        assert_eq!(printed(&servers, &["diff", name(&text)]), "");
        let deleted = loop {
            attempts += 1;
            assert!(attempts < 120, "{release:?}: it never ends");
            let output = run(&cut, &["rm", "-r", "/big"]);
            if output.status.success() || String::from_utf8_lossy(&output.stderr).contains("has neither a child") {
                break output;
            }
        };
        assert!(complaint(&servers, &["get", "/big"]).contains("/big does not exist"), "{deleted:?}");
    }
}
