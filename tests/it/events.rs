//! What came, changed and went, over a real `ZooKeeper`: in `zonekeeper events`, in `/v1/events` and in the log.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::{blocking, registry, serve, service, through, until};
use crate::harness::admin::page;
use crate::harness::app::free_port;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;

/// A configuration with a zone and an admin server.
pub(crate) fn site(servers: &str, more: &str) -> (String, SocketAddr, SocketAddr) {
    let [dns, admin] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let text = registry(servers)
        + &format!(
            "linger = \"0s\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n[admin]\nlisten = \"{admin}\"\n{more}"
        );
    (text, dns, admin)
}

/// Runs a command that asks the server.
pub(crate) fn ask(admin: SocketAddr, arguments: &[&str]) -> Output {
    let admin = format!("localhost:{}", admin.port());
    Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments).args(["--admin", &admin]).output().unwrap()
}

pub(crate) fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The JSON that the server has at a path.
pub(crate) fn json(admin: SocketAddr, path: &str) -> Value {
    let page = page(admin, path);
    let (_, body) = page.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(&body[body.find('{').expect("an object")..=body.rfind('}').expect("its end")])
        .unwrap_or_else(|error| panic!("{error}: {page}"))
}

/// Sentences of the events about a name.
fn told(admin: SocketAddr, name: &str) -> Vec<String> {
    let list = json(admin, &format!("/v1/events?limit=1000&name={name}"));
    let events = list["events"].as_array().unwrap();
    events.iter().map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn which_instance_left_when_and_whose_session_it_was_is_one_command() {
    blocking(|servers| {
        let mut first = Kazoo::connect(&servers);
        first.create("/services/api_x/providers/10.0.0.1:80", b"", true);
        let (config, _, admin) = site(&servers, "");
        let (mut ours, _) = serve(&config);
        until("the first reading", || {
            TcpStream::connect(admin).ok()?;
            told(admin, "").iter().any(|text| text.starts_with("registry main live")).then_some(())
        });
        assert!(told(admin, "").iter().any(|text| text == "registry main read: 1 services, 1 instances in and 0 out"));
        let mut second = Kazoo::connect(&servers);
        let node = "/services/api_x/providers/10.0.0.2:80";
        second.create(node, b"", true);
        let owner = second.get(node).unwrap().1;
        let told_of = |what: &str| {
            let what = what.to_owned();
            until(&what, || told(admin, "api_x.service").contains(&what).then_some(()));
        };
        told_of("api_x: 10.0.0.2:80 added");
        second.delete(node);
        second.create(node, br#"{"weight": 3}"#, true);
        second.create("/services/other/providers/10.0.0.2:81", b"", true);
        drop(second);
        told_of(&format!("api_x: 10.0.0.2:80 gone, its session {owner:#x} is over"));
        first.create("/services/api_x/providers/10.0.0.3:80", b"", false);
        told_of("api_x: 10.0.0.3:80 added");
        first.set("/services/api_x/providers/10.0.0.3:80", br#"{"weight": 5}"#);
        told_of("api_x: 10.0.0.3:80 changed: weight default → 5");
        first.delete("/services/api_x/providers/10.0.0.3:80");
        told_of("api_x: 10.0.0.3:80 gone, its znode was deleted");
        let lines = printed(&ask(admin, &["events", "api_x", "--since", "1h"]));
        let gone = lines.lines().find(|line| line.contains("10.0.0.2:80 gone, its session")).expect("the line");
        let columns: Vec<&str> = gone.split('\t').collect();
        assert_eq!((columns.len(), columns[1]), (3, "gone"), "no colours and no columns in a pipe: {gone:?}");
        assert!(columns[0].ends_with('Z') && !gone.contains('\x1b'));
        let of_other = || {
            let lines = printed(&ask(admin, &["events", "/services/other", "--json"]));
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
        };
        let gone = || of_other().into_iter().find(|event| event["kind"] == "gone");
        let (gone, _) = until("it went with its session", gone);
        assert!(of_other().iter().all(|event| event["service"] == "other"));
        assert_eq!((&gone["cause"], &gone["session"]), (&"session".into(), &format!("{owner:#x}").into()));
        assert!(ours.log().contains("api_x: 10.0.0.2:80 added"), "{}", ours.log());
        ours.signal("TERM");
        ours.wait();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_our_own_agent_takes_out_is_withdrawn() {
    blocking(|servers| {
        let (config, _, admin) = site(&servers, &service("mine", 8080, ""));
        let (mut ours, path) = serve(&config);
        let told_of = |what: &str| {
            until(what, || {
                TcpStream::connect(admin).ok()?;
                told(admin, "mine").iter().any(|text| text == what).then_some(())
            });
        };
        told_of("mine: 192.0.2.10:8080 added");
        std::fs::write(&path, site(&servers, "").0.replace("[admin]", &format!("[admin] # {admin}"))).unwrap();
        ours.signal("HUP");
        told_of("mine: 192.0.2.10:8080 gone, withdrawn by this agent");
        assert!(told(admin, "").iter().any(|text| text.starts_with("configuration taken")));
        std::fs::write(&path, "nonsense").unwrap();
        ours.signal("HUP");
        until("a rejected configuration", || {
            told(admin, "").iter().any(|text| text.starts_with("configuration rejected: ")).then_some(())
        });
        ours.signal("TERM");
        ours.wait();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_again_says_only_what_has_changed_meanwhile() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api/providers/10.0.0.1:80", b"", true);
        let proxy = Proxy::start(servers.split_once('/').unwrap().0.parse().unwrap());
        let (config, _, admin) = site(&through(&proxy, &servers), "");
        let (mut ours, _) = serve(&config);
        until("the first reading", || {
            TcpStream::connect(admin).ok()?;
            told(admin, "").iter().any(|text| text.starts_with("registry main live")).then_some(())
        });
        let outage = |change: &mut dyn FnMut()| {
            let before = json(admin, "/v1/events?limit=0")["index"].as_u64().unwrap();
            proxy.cut();
            until("the outage", || told(admin, "").last()?.starts_with("registry main lost").then_some(()));
            change();
            proxy.heal();
            until("its end", || told(admin, "").last()?.starts_with("registry main live: after ").then_some(()));
            let list = json(admin, &format!("/v1/events?index={before}"));
            let events = list["events"].as_array().unwrap().clone();
            events.iter().map(|event| (event["kind"].as_str().unwrap().to_owned(), event["resync"] == true)).collect()
        };
        let kinds: Vec<(String, bool)> = outage(&mut || {});
        assert_eq!(kinds.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["lost", "live"], "no change");
        let kinds: Vec<(String, bool)> = outage(&mut || kazoo.create("/services/api/providers/10.0.0.2:80", b"", true));
        assert_eq!(kinds, [("lost".into(), false), ("added".into(), true), ("live".into(), false)]);
        ours.signal("TERM");
        ours.wait();
    })
    .await;
}

/// Reads a stream of events, from where `last` was.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(admin: SocketAddr, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        write!(stream, "GET /v1/events HTTP/1.0\r\nHost: x\r\nAccept: text/event-stream\r\n{last}\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while !line.starts_with("retry:") {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "no stream");
        }
        Self(reader)
    }

    /// The fields of the next event.
    fn next(&mut self) -> (String, Value, String) {
        let (mut id, mut data, mut kind) = (String::new(), Value::Null, String::new());
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream has ended");
            match line.trim_end().split_once(": ") {
                Some(("id", value)) => value.clone_into(&mut id),
                Some(("event", value)) => value.clone_into(&mut kind),
                Some(("data", value)) => data = serde_json::from_str(value).unwrap(),
                _ if line.trim_end().is_empty() && !id.is_empty() => return (id, data, kind),
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_goes_on_where_it_was_and_long_polling_waits_for_the_next() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api/providers/10.0.0.1:80", b"", true);
        let (config, _, admin) = site(&servers, "");
        let (mut ours, _) = serve(&config);
        until("the first reading", || {
            TcpStream::connect(admin).ok()?;
            told(admin, "").iter().any(|text| text.starts_with("registry main live")).then_some(())
        });
        let mut stream = Stream::open(admin, None);
        kazoo.create("/services/api/providers/10.0.0.2:80", b"", true);
        let (first, event, _) = stream.next();
        assert_eq!(event["text"], "api: 10.0.0.2:80 added");
        drop(stream);
        kazoo.create("/services/api/providers/10.0.0.3:80", b"", true);
        kazoo.create("/services/api/providers/10.0.0.4:80", b"", true);
        let mut stream = Stream::open(admin, Some(&first));
        let texts = [(); 2].map(|()| stream.next().1["text"].as_str().unwrap().to_owned());
        assert_eq!(texts, ["api: 10.0.0.3:80 added", "api: 10.0.0.4:80 added"]);
        for unknown in ["0-1", "nonsense", &first.replace('-', "x-")] {
            assert_eq!(Stream::open(admin, Some(unknown)).next().2, "reset", "{unknown}");
        }
        let list = json(admin, "/v1/services?fields=path,in");
        assert_eq!(list["services"], serde_json::json!([{"registry": "main", "path": "api", "in": 4}]));
        let index = list["index"].as_u64().unwrap();
        let begun = Instant::now();
        json(admin, &format!("/v1/services/api?index={index}&wait=500ms"));
        assert!(begun.elapsed() >= Duration::from_millis(500), "nothing has changed");
        let waiting = std::thread::spawn(move || {
            (json(admin, &format!("/v1/services/api?index={index}&wait=30s")), Instant::now())
        });
        std::thread::sleep(Duration::from_millis(300));
        kazoo.delete("/services/api/providers/10.0.0.4:80");
        let changed = Instant::now();
        let (service, answered) = waiting.join().unwrap();
        assert_eq!(service["in"], 3);
        assert!(service["index"].as_u64().unwrap() > index && answered < changed + Duration::from_secs(10));
        let reset = json(admin, "/v1/events?index=1");
        assert_eq!(reset["reset"], true);
        assert!(page(admin, &format!("/v1/services/api?index={index}")).contains("x-zonekeeper-index: "));
        ours.signal("TERM");
        ours.wait();
    })
    .await;
}
