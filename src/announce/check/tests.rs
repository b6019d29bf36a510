//! The kinds of checks against servers and commands of this process.

use std::net::SocketAddr;

use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::diagnostic::{Problems, Span};
use crate::settings::Table;

fn table(entries: &[(&str, Said)]) -> Said {
    let entries = entries.iter().enumerate().map(|(index, (key, kind))| {
        let span = Span { file: 0, start: 10 * (index + 1), end: 10 * (index + 1) + 1 };
        ((*key).to_owned(), span, Value { span, kind: kind.clone() })
    });
    Said::Table(Table { span: Span::default(), entries: entries.collect() })
}

fn string(text: &str) -> Said {
    Said::String(text.to_owned())
}

fn strings(texts: &[&str]) -> Said {
    Said::Array(texts.iter().map(|text| Value { span: Span::default(), kind: string(text) }).collect())
}

/// The checks of a service with port 8080, and what is wrong with them.
fn read(kind: &str, settings: &[(&str, Said)]) -> (Vec<Check>, Vec<String>) {
    let Said::Table(service) = table(&[("check", table(&[(kind, table(settings))]))]) else { unreachable!() };
    let problems = Problems::default();
    let mut section = Section::new(&service, "service", &problems);
    let checks = Check::read_all(&mut section, "127.0.0.1:8080");
    section.finish();
    (checks, problems.into_vec().into_iter().map(|problem| problem.message).collect())
}

fn check(kind: &str, settings: &[(&str, Said)]) -> Check {
    let (mut checks, problems) = read(kind, settings);
    assert_eq!(problems, [""; 0]);
    checks.remove(0)
}

async fn probe(check: &Check) -> Probed {
    check.probe("a", &Tools::default()).await
}

/// A server that answers every connection with these bytes, once it has heard something, and tells what it heard.
async fn server(answer: &'static str) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, hears) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).await.unwrap_or(0);
            let _ = told.send(String::from_utf8_lossy(&piece[..length]).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, hears)
}

/// A port that refuses.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn tcp_is_about_connections_alone() {
    let (open, _hears) = server("").await;
    assert!(probe(&check("tcp", &[("address", string(&open.to_string()))])).await.is_ok());
    let found = probe(&check("tcp", &[("address", string(&closed().await.to_string()))])).await;
    assert!(found.unwrap_err().to_string().contains("refused"));
    assert_eq!(check("tcp", &[]).to_string(), "tcp 127.0.0.1:8080");
}

#[tokio::test]
async fn http_judges_status_and_body() {
    const ILL: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull";
    const WELL: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstate\r\n4\r\n: ok\r\n0\r\n\r\n";
    let url = |address: SocketAddr| ("url", string(&format!("http://{address}/health?x=1")));
    let (ill, _hears) = server(ILL).await;
    let (well, mut hears) = server(WELL).await;
    assert_eq!(probe(&check("http", &[url(ill)])).await, Err("it answers 503 Service Unavailable".into()));
    assert!(probe(&check("http", &[url(ill), ("status", string("500-599"))])).await.is_ok());
    assert!(probe(&check("http", &[url(ill), ("status", strings(&["200", "503"]))])).await.is_ok());
    assert!(probe(&check("http", &[url(well)])).await.is_ok());
    let request = hears.recv().await.unwrap();
    assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {well}\r\n")), "{request}");
    assert!(probe(&check("http", &[url(well), ("contains", string("state: ok"))])).await.is_ok());
    let found = probe(&check("http", &[url(well), ("contains", string("state: bad"))])).await;
    assert_eq!(found, Err("its answer of 9 bytes does not contain \"state: bad\"".into()));
    assert!(probe(&check("http", &[url(well), ("matches", string("^state: (ok|fine)$"))])).await.is_ok());
    assert!(probe(&check("http", &[url(well), ("matches", string("^ok"))])).await.is_err());
    while hears.try_recv().is_ok() {}
    let headers = table(&[("Host", string("shop.example")), ("X-Probe", string("1"))]);
    assert!(probe(&check("http", &[url(well), ("method", string("POST")), ("headers", headers)])).await.is_ok());
    let request = hears.recv().await.unwrap();
    assert!(request.starts_with("POST "), "{request}");
    assert!(request.contains("host: shop.example\r\n") && request.contains("x-probe: 1\r\n"), "{request}");
}

#[tokio::test]
async fn http_that_refuses_hangs_or_talks_nonsense_is_ill() {
    let at = |address: SocketAddr| check("http", &[("url", string(&format!("http://{address}/")))]);
    assert!(probe(&at(closed().await)).await.unwrap_err().to_string().contains("refused"));
    let (nonsense, _hears) = server("SSH-2.0-x\r\n").await;
    assert!(probe(&at(nonsense)).await.unwrap_err().to_string().starts_with("no answer"));
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut hangs = at(hanging.local_addr().unwrap());
    hangs.timeout = Duration::from_millis(100);
    assert_eq!(probe(&hangs).await, Err("no answer within 100ms".into()));
}

#[tokio::test]
async fn credentials_in_a_url_are_sent_and_not_shown() {
    let (web, mut hears) = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = ("url", string(&format!("http://user:pass@{web}/h")));
    let mut asked = async |more: &[(&str, Said)]| {
        let check = check("http", &[std::slice::from_ref(&url), more].concat());
        assert!(probe(&check).await.is_ok());
        assert_eq!(check.to_string(), format!("http http://{web}/h"));
        assert!(!format!("{check:?}").contains("pass") && !format!("{check:?}").contains("Bearer"), "{check:?}");
        hears.recv().await.unwrap()
    };
    assert!(asked(&[]).await.contains("authorization: Basic dXNlcjpwYXNz\r\n"));
    let own = asked(&[("headers", table(&[("Authorization", string("Bearer x"))]))]).await;
    assert!(own.contains("authorization: Bearer x\r\n") && !own.contains("Basic"), "{own}");
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_no_good_answer() {
    let hanging = |answer: &'static str| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut piece = [0; 4096];
                let _ = stream.read(&mut piece).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                open.push(stream);
            }
        });
        let mut check = check("http", &[("url", string(&format!("http://{address}/")))]);
        check.timeout = Duration::from_millis(200);
        probe(&check).await
    };
    let found = hanging("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(found, Err("no end of its answer within 200ms".into()));
    // A bad status is enough, whatever comes behind it.
    let found = hanging("HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(found, Err("it answers 500 Internal Server Error".into()));
    let (broken, _hears) = closing("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let found = probe(&check("http", &[("url", string(&format!("http://{broken}/")))])).await;
    assert!(found.clone().unwrap_err().to_string().starts_with("its answer breaks off"), "{found:?}");
}

/// A server that answers once it has heard something, and closes.
async fn closing(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut piece = [0; 4096];
            let _ = stream.read(&mut piece).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, serving)
}

#[tokio::test]
async fn a_body_is_looked_at_up_to_its_limit_and_the_words_say_so() {
    let body = format!("HTTP/1.1 200 OK\r\nContent-Length: 200007\r\n\r\n{}the end", "x".repeat(200_000));
    let (web, _hears) = server(Box::leak(body.into_boxed_str())).await;
    let with = |more: &[(&str, Said)]| {
        let url = ("url", string(&format!("http://{web}/")));
        check("http", &[&[url, ("contains", string("the end"))], more].concat())
    };
    assert_eq!(probe(&with(&[])).await, Ok("it answers as it should".into()));
    let found = probe(&with(&[("body_limit", string("64KiB"))])).await.unwrap_err().to_string();
    assert!(found.starts_with("the first 65536 bytes of its answer do not contain \"the end\""), "{found}");
    let (_, problems) = read("http", &[("url", string("http://h/")), ("body_limit", string("1GB"))]);
    assert!(problems[0].starts_with("`body_limit` must be a number of bytes such as"), "{problems:?}");
    let (_, problems) = read("http", &[("url", string("http://h/")), ("body_limit", Said::Integer(0))]);
    assert_eq!(problems, ["`body_limit` must be from 1 byte to 64MiB"]);
}

#[tokio::test]
async fn a_redirect_is_told_with_where_it_leads() {
    let (web, _hears) =
        server("HTTP/1.1 302 Found\r\nLocation: http://u:pw@h/login?token=abc&next=1\r\nContent-Length: 0\r\n\r\n")
            .await;
    let url = ("url", string(&format!("http://{web}/")));
    let found = probe(&check("http", std::slice::from_ref(&url))).await;
    assert_eq!(found, Err("it answers 302 Found, to http://h/login?token=***&next=1".into()));
    let found = probe(&check("http", &[url, ("status", Said::Integer(302))])).await;
    assert_eq!(found, Ok("it answers 302 Found, to http://h/login?token=***&next=1".into()));
}

#[tokio::test]
async fn http_is_asked_on_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("zonekeeper-http-{}", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&piece[..length]).into_owned()
    });
    let socket = ("socket", string(&path.to_string_lossy()));
    let check = check("http", &[("url", string("http://app/ping")), socket]);
    assert_eq!(check.to_string(), format!("http http://app/ping on {}", path.display()));
    assert_eq!(probe(&check).await, Ok("it answers 200 OK".into()));
    let request = server.await.unwrap();
    assert!(request.starts_with("GET /ping HTTP/1.1\r\nhost: app\r\n"), "{request}");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn secrets_of_a_command_are_not_shown() {
    let secret = table(&[("secret", string("hunter2"))]);
    let words = [string("/bin/sh"), string("-c"), string("echo $0; exit 1"), secret];
    let words = words.into_iter().map(|kind| Value { span: Span::default(), kind }).collect();
    let check = check("exec", &[("command", Said::Array(words))]);
    assert_eq!(check.to_string(), "exec /bin/sh -c echo $0; exit 1 ***");
    assert!(!format!("{check:?}").contains("hunter2"));
    assert_eq!(probe(&check).await, Err("exit status: 1: ***".into()));
    let odd = table(&[("hidden", string("x"))]);
    let (_, problems) = read("exec", &[("command", Said::Array(vec![Value { span: Span::default(), kind: odd }]))]);
    assert!(problems[0].contains("{ secret = \"…\" }"), "{problems:?}");
}

fn exec(script: &str) -> Check {
    check("exec", &[("command", strings(&["/bin/sh", "-c", script]))])
}

#[tokio::test]
async fn exec_is_about_the_exit_status_and_keeps_what_is_said() {
    assert_eq!(probe(&exec("echo fine; echo too >&2")).await, Ok("fine too".into()));
    assert_eq!(probe(&exec("echo no space; exit 3")).await, Err("exit status: 3: no space".into()));
    assert_eq!(probe(&exec("kill -9 $$")).await, Err("signal: 9 (SIGKILL)".into()));
    let missing = check("exec", &[("command", strings(&["/nonexistent/check"]))]);
    assert!(probe(&missing).await.unwrap_err().to_string().starts_with("cannot be run"));
    let much = probe(&exec("head -c 1000000 /dev/zero | tr '\\0' x")).await.unwrap();
    assert_eq!(much.len(), KEPT);
    let left = probe(&exec("sleep 5 & echo started")).await;
    assert_eq!(left, Ok("started".into()), "a process that is left behind is not waited for");
}

#[tokio::test]
async fn exec_is_killed_with_its_whole_group_when_time_is_out() {
    let mark = std::env::temp_dir().join(format!("zonekeeper-exec-{}", std::process::id()));
    let mut slow = exec(&format!("(sleep 1; touch {0}) & echo $! > {0}.pid; wait", mark.display()));
    slow.timeout = Duration::from_millis(400);
    assert_eq!(probe(&slow).await, Err("no result within 400ms".into()));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(!mark.exists(), "the child of the command went on");
    let pid = std::path::PathBuf::from(format!("{}.pid", mark.display()));
    assert!(pid.exists(), "the command had begun");
    std::fs::remove_file(pid).unwrap();
}

#[tokio::test]
async fn ttl_is_about_how_long_ago_a_file_was_touched() {
    let file = std::env::temp_dir().join(format!("zonekeeper-ttl-{}", std::process::id()));
    let said = || [("ttl", string("10s")), ("file", string(&file.to_string_lossy()))];
    assert!(probe(&check("ttl", &said())).await.unwrap_err().to_string().contains("No such file"));
    std::fs::write(&file, "").unwrap();
    assert!(probe(&check("ttl", &said())).await.is_ok());
    let old = std::time::SystemTime::now() - Duration::from_secs(11);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    assert!(probe(&check("ttl", &said())).await.unwrap_err().to_string().ends_with("10s is the limit"));
    std::fs::remove_file(&file).unwrap();
}

/// A server that answers each datagram but the first `lost` ones, with what it was sent and more.
async fn echo(lost: usize) -> SocketAddr {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 2048];
        for number in 0.. {
            let Ok((length, from)) = socket.recv_from(&mut datagram).await else { return };
            if number >= lost {
                let answer = [b"pong ", &datagram[..length]].concat();
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    address
}

#[tokio::test]
async fn udp_is_well_if_a_datagram_is_answered_though_one_was_lost() {
    let said = |address: SocketAddr, key, value, contains| {
        [("address", string(&address.to_string())), (key, string(value)), ("contains", string(contains))]
    };
    let address = echo(0).await;
    let good = check("udp", &said(address, "send", "ping", "pong ping"));
    assert_eq!(good.to_string(), format!("udp {address}"));
    assert_eq!(probe(&good).await, Ok("an answer of 9 bytes".into()));
    assert_eq!(probe(&check("udp", &said(address, "send_hex", "21", "!"))).await, Ok("an answer of 6 bytes".into()));
    let other = probe(&check("udp", &said(address, "send", "ping", "PONG"))).await.unwrap_err().to_string();
    assert_eq!(other, "the answer does not hold \"PONG\": pong ping");
    assert!(probe(&check("udp", &said(echo(2).await, "send", "ping", ""))).await.is_ok(), "the third one");
    let mut silent = check("udp", &said(echo(usize::MAX).await, "send", "ping", ""));
    silent.timeout = Duration::from_millis(300);
    assert!(probe(&silent).await.unwrap_err().to_string().contains("no answer"));
    let nobody = probe(&check("udp", &said(closed().await, "send", "ping", ""))).await.unwrap_err().to_string();
    assert!(nobody.contains("no answer from") && nobody.contains("refused"), "{nobody}");
}

#[test]
fn udp_says_what_it_cannot_send() {
    let told = |settings: &[(&str, Said)]| read("udp", settings).1;
    assert_eq!(told(&[]), ["the check says nothing that it sends"]);
    assert_eq!(told(&[("send", string(""))]), ["what is sent must have from 1 to 1200 bytes"]);
    assert_eq!(
        told(&[("send", string("a")), ("send_hex", string("00"))]),
        ["`send` and `send_hex` exclude each other"]
    );
    let hex = "`send_hex` must be pairs of hexadecimal digits, such as \"0a1b\"";
    assert_eq!(told(&[("send_hex", string("abc"))]), [hex]);
    let unix = "`address` must be a host and a port: a Unix socket takes no datagrams of UDP";
    assert_eq!(told(&[("send", string("a")), ("address", string("unix:/run/a"))]), [unix]);
}

#[test]
fn defaults_and_limits() {
    let (checks, problems) = read("tcp", &[]);
    assert_eq!(problems, [""; 0]);
    let Check { interval, timeout, rules, .. } = checks[0];
    assert_eq!((interval, timeout, rules), (Duration::from_secs(5), Duration::from_secs(2), Rules::default()));
    let (_, problems) = read(
        "http",
        &[
            ("url", string("ftp://x/")),
            ("interval", string("1ms")),
            ("rise", Said::Integer(0)),
            ("initial", string("well")),
            ("status", Said::Integer(99)),
            ("matches", string("(")),
            ("method", string("G T")),
            ("headers", table(&[("a b", string("x"))])),
            ("colour", string("red")),
        ],
    );
    assert_eq!(problems.len(), 9, "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.starts_with("`url` must be a URL such as")));
    for (url, key, value, told) in [
        ("https://a..b/", "method", string("GET"), "`url` has a host that no certificate can be for: \"a..b\""),
        ("https://a/", "ca", string("/nonexistent"), "/nonexistent cannot be read: No such file"),
        ("https://a/", "ca", string("ca.pem"), "`ca` must be an absolute path"),
        ("https://a/", "ca", string("/dev/null"), "/dev/null: there is no certificate in it"),
        ("http://a/", "verify", Said::Boolean(false), "`verify` is for https alone"),
    ] {
        let (_, problems) = read("http", &[("url", string(url)), (key, value)]);
        assert!(matches!(&problems[..], [problem] if problem.starts_with(told)), "{url}: {problems:?}");
    }
    let (checks, problems) = read("htp", &[]);
    assert_eq!((checks, problems), (vec![], vec!["there is no check of the kind `htp`".to_owned()]));
    assert_eq!(read("exec", &[("command", strings(&[]))]).1, ["`command` must name a program"]);
    assert_eq!(read("tcp", &[("address", string("::1:80"))]).1, ["`address` must be a host and a port"]);
}

/// An answer of gRPC: a message, and behind it the status.
struct Answer(Option<Bytes>, Option<HeaderMap>);

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = self.0.take().map(Frame::data);
        std::task::Poll::Ready(data.or_else(|| self.1.take().map(Frame::trailers)).map(Ok))
    }
}

/// Serves gRPC on a connection: the service `well` is well and `ill` is ill, and there is no other.
async fn serve_grpc(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static) {
    let answer = async |request: Request<Incoming>| {
        let path = request.uri().path().to_owned();
        let body = wire::read(request.into_body(), 100, true).await?.bytes;
        let (message, status) = match (&*path, &*body) {
            ("/grpc.health.v1.Health/Check", b"\0\0\0\0\x06\x0a\x04well" | b"\0\0\0\0\0") => (Some(1), "0"),
            ("/grpc.health.v1.Health/Check", b"\0\0\0\0\x05\x0a\x03ill") => (Some(2), "0"),
            ("/grpc.health.v1.Health/Check", _) => (None, "5"),
            _ => (None, "12"),
        };
        let message = message.map(|status| Bytes::from(vec![0, 0, 0, 0, 2, 8, status]));
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
        Ok::<_, hyper::Error>(Response::new(Answer(message, Some(trailers))))
    };
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn grpc_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_grpc(stream));
        }
    });
    address
}

#[tokio::test]
async fn grpc_asks_the_standard_health_service() {
    let address = string(&grpc_server().await.to_string());
    let of = |service: &str| check("grpc", &[("address", address.clone()), ("service", string(service))]);
    assert_eq!(probe(&of("")).await, Ok("SERVING".into()));
    assert_eq!(probe(&of("well")).await, Ok("SERVING".into()));
    assert_eq!(probe(&of("ill")).await, Err("NOT_SERVING".into()));
    assert_eq!(probe(&of("other")).await, Err("it answers with gRPC status 5".into()));
    let (web, _hears) = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(probe(&check("grpc", &[("address", string(&web.to_string()))])).await.is_err());
}

#[test]
fn a_time_limit_that_passed_while_the_process_stood_still_is_no_result() {
    let (check, stage) = (exec("exit 0"), Stage::default());
    let found = check.out_of_time(&stage, Duration::from_millis(20));
    assert_eq!(found, ProbeFailure::Bad("no result within 2s".into()));
    assert!(matches!(check.out_of_time(&stage, Duration::from_secs(3)), ProbeFailure::NoResult(Shortage::Time, _)));
}

#[tokio::test]
async fn a_unix_socket_is_a_target_of_tcp_and_grpc() {
    let path = std::env::temp_dir().join(format!("zonekeeper-socket-{}", std::process::id()));
    let address = || [("address", string(&format!("unix:{}", path.display())))];
    let found = probe(&check("tcp", &address())).await;
    assert!(found.unwrap_err().to_string().contains("No such file"));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    assert_eq!(probe(&check("tcp", &address())).await, Ok("connected".into()));
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve_grpc(stream));
        }
    });
    assert_eq!(probe(&check("grpc", &address())).await, Ok("SERVING".into()));
    server.abort();
    std::fs::remove_file(&path).unwrap();
}
