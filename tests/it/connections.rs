//! TCP connections and their limits (RFC 7766 §6.2, RFC 9210 §4).

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::harness::PATIENCE;
use crate::harness::app::serve;
use crate::harness::dig::dig;

/// A query, behind its length.
fn query() -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii("api.service.").unwrap(), RecordType::A));
    let message = message.to_vec().unwrap();
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat()
}

/// Whether a query over the connection is answered.
async fn is_answered(stream: &mut TcpStream) -> bool {
    if stream.write_all(&query()).await.is_err() {
        return false;
    }
    let Ok(length) = timeout(PATIENCE, stream.read_u16()).await.expect("an answer or an end") else { return false };
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.unwrap();
    Message::from_vec(&message).unwrap().metadata.response_code == ResponseCode::NoError
}

/// Waits until the server has ended the connection; says how long that took.
async fn end(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut buffer = [0; 4096];
    while !matches!(timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an end"), Ok(0) | Err(_)) {}
    begun.elapsed()
}

async fn connect(server: SocketAddr) -> TcpStream {
    TcpStream::connect(server).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_sheds_the_connection_that_was_idle_for_the_longest() {
    let server = serve("[dns.tcp]\nconnections = 3\nidle = \"1h\"\n").await;
    let (mut first, mut second) = (connect(server.dns).await, connect(server.dns).await);
    assert!(is_answered(&mut first).await && is_answered(&mut second).await);
    let mut third = connect(server.dns).await;
    assert!(is_answered(&mut third).await && is_answered(&mut first).await);
    let mut fourth = connect(server.dns).await;
    assert!(is_answered(&mut fourth).await, "it is let in");
    end(&mut second).await;
    assert!(is_answered(&mut first).await && is_answered(&mut third).await, "those that were busier stay");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_at_its_limit_loses_its_own_longest_idle_connection_and_never_the_new_one() {
    let server = serve("[dns.tcp]\nper_client = 2\nidle = \"1h\"\n").await;
    let (mut first, mut second) = (connect(server.dns).await, connect(server.dns).await);
    assert!(is_answered(&mut first).await && is_answered(&mut second).await && is_answered(&mut first).await);
    let mut third = connect(server.dns).await;
    assert!(is_answered(&mut third).await, "it is let in");
    end(&mut second).await;
    assert!(is_answered(&mut first).await && is_answered(&mut third).await, "those that were busier stay");
    server.stop().await;
}

/// Bytes that never become a query keep no connection open.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_idle_until_it_has_asked_a_whole_query() {
    let server = serve("[dns.tcp]\nidle = \"500ms\"\n").await;
    let mut silent = connect(server.dns).await;
    assert!(end(&mut silent).await >= Duration::from_millis(400));
    let trickling = connect(server.dns).await;
    let (mut from, mut to) = trickling.into_split();
    let trickle = tokio::spawn(async move {
        while to.write_all(&[1]).await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(timeout(PATIENCE, from.read(&mut [0; 1])).await.expect("an end").unwrap_or(0), 0);
    trickle.abort();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_there_for_ever_however_busy() {
    let server = serve("[dns.tcp]\ntotal = \"700ms\"\n").await;
    let begun = Instant::now();
    let mut stream = connect(server.dns).await;
    let mut answered = 0;
    while is_answered(&mut stream).await {
        answered += 1;
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(answered > 1 && begun.elapsed() >= Duration::from_millis(600), "{answered}, {:?}", begun.elapsed());
    assert!(is_answered(&mut connect(server.dns).await).await, "another one is welcome");
    server.stop().await;
}

/// And whatever TCP goes through, UDP does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_take_his_answers_is_cut() {
    let server = serve("[dns.tcp]\nwrite = \"300ms\"\nidle = \"1h\"\n").await;
    let mut stream = connect(server.dns).await;
    let many = query().repeat(2000);
    let begun = Instant::now();
    // Until no more are taken, since their answers are not, and then until the connection is cut.
    while let Ok(Ok(())) = timeout(PATIENCE, stream.write_all(&many)).await {
        assert!(begun.elapsed() < PATIENCE, "it takes everything");
        assert_eq!(dig(server.dns, "A api.service").data(), ["10.0.0.1"]);
    }
    assert!(begun.elapsed() < PATIENCE, "it is not cut");
    assert!(is_answered(&mut connect(server.dns).await).await);
    server.stop().await;
}
