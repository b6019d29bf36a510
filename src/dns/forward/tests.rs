//! The forwarder before name servers that do what the tests want, on real sockets.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::MessageType;
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, Record};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;
use crate::dns::message::parse::{Message as Read, reads};

/// A name server that answers every question in the same manner, and counts them.
struct Fake {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _task: Aborted,
}

/// Manner in which it answers.
#[derive(Clone, Copy)]
enum Manner {
    Address(u8),
    Code(ResponseCode),
    NoSuchName,
    Referral,
    Silence,
    /// It does not know EDNS, and says so with this code, with or without the question.
    NoEdns(u8, bool),
    /// A TXT record of so many bytes, whatever was announced.
    Large(usize),
    /// A record without data.
    Empty,
    /// An address for longer than anybody may keep it.
    ForEver,
    /// That all of it is to be had over TCP.
    Truncated,
}

struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Fake {
    async fn start(manner: Manner) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut packet = [0; 1500];
            loop {
                let Ok((length, client)) = socket.recv_from(&mut packet).await else { continue };
                let Ok(question) = Message::from_vec(&packet[..length]) else { continue };
                counter.fetch_add(1, Ordering::SeqCst);
                if let (Manner::NoEdns(code, has_question), true) = (manner, question.edns.is_some()) {
                    let mut error = packet[..length].to_vec();
                    (error[2], error[3]) = (0x81, 0x80 | code);
                    error[6..12].fill(0);
                    // Of the question and the OPT record behind it, which has no options.
                    error.truncate(if has_question { length - 11 } else { 12 });
                    error[4..6].copy_from_slice(&[0, u8::from(has_question)]);
                    let _ = socket.send_to(&error, client).await;
                } else if let Some(answer) = answer(manner, question) {
                    let _ = socket.send_to(&answer.to_vec().unwrap(), client).await;
                }
            }
        });
        Self { address, asked, _task: Aborted(task) }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn source(&self) -> UpstreamSource {
        UpstreamSource::Server(Upstream::plain(self.address))
    }
}

fn answer(manner: Manner, mut message: Message) -> Option<Message> {
    let name = message.queries[0].name().clone();
    message.metadata.message_type = MessageType::Response;
    let apex = || Name::from_ascii("example.").unwrap();
    match manner {
        Manner::Silence => return None,
        Manner::Truncated => message.metadata.truncation = true,
        Manner::Code(code) => message.metadata.response_code = code,
        Manner::Large(size) => {
            let text = (0..size / 200).map(|i| format!("{i:0200}")).collect();
            message.add_answer(Record::from_rdata(name, 60, RData::TXT(hickory_proto::rr::rdata::TXT::new(text))));
        }
        Manner::Empty => {
            message.add_answer(Record::from_rdata(name, 60, RData::Update0(RecordType::A)));
        }
        Manner::ForEver => {
            message.add_answer(Record::from_rdata(name, u32::MAX, RData::A(A::new(192, 0, 2, 1))));
        }
        Manner::NoEdns(..) => {
            message.add_answer(Record::from_rdata(name, 60, RData::A(A::new(192, 0, 2, 7))));
        }
        Manner::Address(last) => {
            message.add_answer(Record::from_rdata(name, 60, RData::A(A::new(192, 0, 2, last))));
        }
        Manner::NoSuchName => {
            message.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(apex(), apex(), 1, 3600, 600, 86400, 30);
            message.add_authority(Record::from_rdata(apex(), 60, RData::SOA(soa)));
        }
        Manner::Referral => {
            let ns = hickory_proto::rr::rdata::NS(Name::from_ascii("ns.example.").unwrap());
            message.add_authority(Record::from_rdata(apex(), 60, RData::NS(ns)));
        }
    }
    Some(message)
}

fn forwarder(sources: Vec<UpstreamSource>) -> Forwarder {
    forwarder_at(sources, ServerAddresses::default())
}

fn forwarder_at(sources: Vec<UpstreamSource>, ours: ServerAddresses) -> Forwarder {
    Forwarder::new(
        CheckedSettings::new(sources, &PathBuf::from("/nonexistent"), ForwardLimits::default()).unwrap(),
        ours,
        Arc::default(),
    )
}

/// `www.example.` A, with RD; `flags` is the second byte of flags.
fn query(flags: u8, edns: bool) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 0x01, flags, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    query.extend_from_slice(b"\x03www\x07example\0\0\x01\0\x01");
    if edns {
        query.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\x80\0\0\0");
    }
    query
}

async fn ask(forwarder: &Forwarder) -> Result<ReceivedAnswer, Failure> {
    ask_with(forwarder, &query(0, false)).await
}

async fn ask_with(forwarder: &Forwarder, query: &[u8]) -> Result<ReceivedAnswer, Failure> {
    let request = Read::parse(query).unwrap().request;
    assert!(Forwarder::can_take(&request));
    let question = ForwardQuestion::about(&request.question.as_ref().unwrap().name, &request).unwrap();
    if let Some(known) = forwarder.known(&question, Instant::now()) {
        return Ok(known);
    }
    forwarder.answer(&question, &forwarder.place().unwrap()).await
}

fn address(found: &ReceivedAnswer) -> String {
    found.answers.iter().map(|record| record.data.to_string()).collect()
}

#[tokio::test]
async fn servfail_refused_and_a_referral_lead_to_the_next_and_nxdomain_is_final() {
    for (manner, times) in [
        (Manner::Code(ResponseCode::ServFail), 1),
        (Manner::Code(ResponseCode::Refused), 1),
        // It may mean EDNS.
        (Manner::Code(ResponseCode::NotImp), 2),
        (Manner::Referral, 1),
    ] {
        let (bad, good) = (Fake::start(manner).await, Fake::start(Manner::Address(1)).await);
        let forwarder = forwarder(vec![bad.source(), good.source()]);
        assert_eq!(address(&ask(&forwarder).await.unwrap()), "192.0.2.1");
        assert_eq!((bad.asked(), good.asked()), (times, 1));
    }
    let (final_one, other) = (Fake::start(Manner::NoSuchName).await, Fake::start(Manner::Address(1)).await);
    let forwarder = forwarder(vec![final_one.source(), other.source()]);
    let found = ask(&forwarder).await.unwrap();
    assert_eq!((found.rcode, found.authorities.len(), other.asked()), (ResponseCode::NXDomain, 1, 0));
    assert_eq!(found.authorities[0].name.to_string(), "example.");
}

#[tokio::test]
async fn one_that_is_silent_is_waited_for_once_and_is_behind_the_others_then() {
    let (silent, good) = (Fake::start(Manner::Silence).await, Fake::start(Manner::Address(1)).await);
    let forwarder = forwarder(vec![silent.source(), good.source()]);
    let dnssec = query(0, true);
    let begun = Instant::now();
    assert_eq!(address(&ask_with(&forwarder, &dnssec).await.unwrap()), "192.0.2.1");
    assert!(begun.elapsed() >= TIMEOUT && begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    let (asked, begun) = (silent.asked(), Instant::now());
    assert!(forwarder.describe().contains("behind the others"), "{}", forwarder.describe());
    assert_eq!(address(&ask_with(&forwarder, &dnssec).await.unwrap()), "192.0.2.1");
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    assert_eq!(silent.asked(), asked);
}

/// Firewalls let UDP through and drop TCP.
#[tokio::test]
async fn one_that_is_silent_over_tcp_after_a_truncated_answer_leaves_time_for_the_next() {
    let (cut, good) = (Fake::start(Manner::Truncated).await, Fake::start(Manner::Address(1)).await);
    let connections = tokio::net::TcpListener::bind(cut.address).await.unwrap();
    for sources in [vec![cut.source(), good.source()], vec![cut.source(), cut.source(), good.source()]] {
        let begun = Instant::now();
        assert_eq!(address(&ask(&forwarder(sources)).await.unwrap()), "192.0.2.1");
        assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    }
    let forwarder_of_both = forwarder(vec![cut.source(), good.source()]);
    ask_with(&forwarder_of_both, &query(0, true)).await.unwrap();
    let begun = Instant::now();
    ask_with(&forwarder_of_both, &query(0, true)).await.unwrap();
    assert!(begun.elapsed() < TIMEOUT, "it is behind the other now: {:?}", begun.elapsed());
    drop(connections);
    let begun = Instant::now();
    assert_eq!(address(&ask(&forwarder(vec![cut.source(), good.source()])).await.unwrap()), "192.0.2.1");
    assert!(begun.elapsed() < TIMEOUT, "one that refuses TCP costs no time: {:?}", begun.elapsed());
}

#[tokio::test]
async fn where_nobody_answers_the_client_is_told_before_he_gives_up() {
    let silent = Fake::start(Manner::Silence).await;
    let begun = Instant::now();
    assert_eq!(ask(&forwarder(vec![silent.source()])).await, Err(Failure::Unreachable));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let failing = Fake::start(Manner::Code(ResponseCode::ServFail)).await;
    assert_eq!(ask(&forwarder(vec![failing.source()])).await, Err(Failure::Unwilling));
    assert_eq!(ask(&forwarder(vec![])).await, Err(Failure::Unreachable));
}

#[tokio::test]
async fn answers_are_kept_for_their_time_to_live_but_not_those_about_signatures() {
    for (manner, rcode) in [(Manner::Address(1), ResponseCode::NoError), (Manner::NoSuchName, ResponseCode::NXDomain)] {
        let fake = Fake::start(manner).await;
        let forwarder = forwarder(vec![fake.source()]);
        for _ in 0..3 {
            let found = ask(&forwarder).await.unwrap();
            assert_eq!(found.rcode, rcode);
            assert!(found.answers.iter().chain(&found.authorities).all(|record| (1..=60).contains(&record.ttl)));
        }
        assert_eq!(fake.asked(), 1);
        // DO, and CD: other answers than the usual ones.
        ask_with(&forwarder, &query(0, true)).await.unwrap();
        ask_with(&forwarder, &query(0x10, false)).await.unwrap();
        assert_eq!(fake.asked(), 3);
    }
}

#[tokio::test]
async fn a_resolv_conf_is_read_again_when_it_changes() {
    let directory = std::env::temp_dir().join(format!("zonekeeper-forward-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("resolv.conf");
    std::fs::write(&path, "nameserver 192.0.2.1\nnameserver 127.0.0.9\n").unwrap();
    let ours = ServerAddresses { listening: vec!["127.0.0.9:53".parse().unwrap()], host: Vec::new() };
    let forwarder = forwarder_at(vec![UpstreamSource::File(path.clone())], ours);
    assert_eq!(forwarder.describe(), "  192.0.2.1:53\n", "and not this server itself");
    std::fs::write(&path, "nameserver 192.0.2.2\n").unwrap();
    forwarder.reload();
    assert_eq!(forwarder.describe(), "  192.0.2.2:53\n");
    std::fs::write(&path, "nameserver 127.0.0.9\n").unwrap();
    forwarder.reload();
    assert!(forwarder.describe().contains("nobody"));
    std::fs::remove_dir_all(directory).unwrap();
}

/// Forwarding that comes back: the upstream is known by a question that nobody else asks.
#[tokio::test]
async fn an_upstream_that_leads_back_here_is_asked_no_more() {
    let fake = Fake::start(Manner::Code(ResponseCode::Refused)).await;
    let forwarder = forwarder(vec![fake.source()]);
    let peer = Arc::clone(&forwarder.peers.load()[0]);
    let probe = ForwardQuestion {
        query: Query::query(peer.probe.clone(), RecordType::TXT),
        dnssec_ok: false,
        checking_disabled: false,
    };
    let probe = probe.request().to_vec().unwrap();
    assert_eq!(ask_with(&forwarder, &probe).await, Err(Failure::Unwilling));
    assert_eq!(ask(&forwarder).await, Err(Failure::Unreachable));
    assert_eq!(fake.asked(), 0);
    assert!(forwarder.describe().contains("forwards to this server"), "{}", forwarder.describe());
}

#[tokio::test]
async fn there_is_a_bound_on_questions_on_their_way() {
    let forwarder = forwarder(vec![]);
    let places: Vec<ForwardPermit> =
        (0..ForwardLimits::default().outstanding).map(|_| forwarder.place().unwrap()).collect();
    assert!(forwarder.place().is_none());
    drop(places);
    assert!(forwarder.place().is_some());
}

#[test]
fn only_questions_that_want_recursion_are_taken() {
    let can_take = |change: fn(&mut Vec<u8>)| {
        let mut query = query(0, false);
        change(&mut query);
        Forwarder::can_take(&Read::parse(&query).unwrap().request)
    };
    assert!(can_take(|_| ()));
    assert!(!can_take(|query| query[2] = 0), "RD");
    assert!(!can_take(|query| query[2] |= 0x28), "an update");
    let last = query(0, false).len() - 1;
    assert_eq!(last, 28);
    assert!(!can_take(|query| query[28] = 3), "class CH");
    assert!(!can_take(|query| query[26] = 252), "a transfer");
    assert!(can_take(|query| query[26] = 255), "ANY is an ordinary question to a resolver");
}

#[tokio::test]
async fn without_authorities_nobody_is_asked_over_tls() {
    let tls = Upstream { tls: Some("dns.example".into()), ..Upstream::plain("192.0.2.1:853".parse().unwrap()) };
    let refused = CheckedSettings::new(
        vec![UpstreamSource::Server(tls)],
        &PathBuf::from("/nonexistent/ca"),
        ForwardLimits::default(),
    );
    assert!(refused.unwrap_err().to_string().starts_with("cannot take authorities from /nonexistent/ca: "));
}

#[tokio::test]
async fn a_name_server_that_does_not_know_edns_is_asked_without_it_from_then_on() {
    for (code, has_question) in [(1, true), (1, false), (4, true), (4, false)] {
        let old = Fake::start(Manner::NoEdns(code, has_question)).await;
        let forwarder = forwarder(vec![old.source()]);
        let found = ask_with(&forwarder, &query(0x10, false)).await.unwrap();
        assert_eq!(found.answers.len(), 1, "{code} {has_question}");
        assert_eq!(old.asked(), 2, "with EDNS and without");
        ask_with(&forwarder, &query(0x10, false)).await.unwrap();
        assert_eq!(old.asked(), 3, "remembered");
        assert!(forwarder.describe().contains("without EDNS"), "{}", forwarder.describe());
    }
}

#[tokio::test]
async fn a_name_server_that_refuses_every_form_of_a_question_is_passed_over() {
    let bad = Fake::start(Manner::Code(ResponseCode::FormErr)).await;
    let good = Fake::start(Manner::Address(1)).await;
    let forwarder = forwarder(vec![bad.source(), good.source()]);
    assert_eq!(ask(&forwarder).await.unwrap().answers.len(), 1);
    assert_eq!((bad.asked(), good.asked()), (2, 1));
}

#[tokio::test]
async fn a_datagram_that_is_larger_than_announced_is_read() {
    let large = Fake::start(Manner::Large(20_000)).await;
    let found = ask(&forwarder(vec![large.source()])).await.unwrap();
    assert_eq!(found.answers.len(), 1);
}

#[tokio::test]
async fn a_record_without_data_is_passed_on() {
    let empty = Fake::start(Manner::Empty).await;
    reads::take();
    let found = ask(&forwarder(vec![empty.source()])).await.unwrap();
    assert_eq!(reads::take(), 2, "the question and what is said to it, each once");
    assert_eq!(found.answers.len(), 1);
    let request = query(0, false);
    let request = Read::parse(&request).unwrap().request;
    let room = reply::SizeLimit { size: 512, can_retry: true };
    let response = reply::encode(&request, &found, room).unwrap();
    assert!(response.ends_with(&[0, 0]), "no data: {response:?}");
}

#[tokio::test]
async fn a_time_to_live_is_a_day_at_most_from_the_first_answer_on() {
    let for_ever = Fake::start(Manner::ForEver).await;
    let forwarder = forwarder(vec![for_ever.source()]);
    for _ in 0..2 {
        assert_eq!(ask(&forwarder).await.unwrap().answers[0].ttl, 86_400);
    }
}

#[tokio::test]
async fn a_name_server_that_does_not_answer_is_reported_by_its_name_until_it_does() {
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let good = Fake::start(Manner::Address(1)).await;
    let forwarder = forwarder(vec![UpstreamSource::Server(Upstream::plain(address)), good.source()]);
    ask_with(&forwarder, &query(0x10, false)).await.unwrap();
    let reports = forwarder.reports();
    assert_eq!((&*reports[0].upstream, reports[0].is_up, reports[0].failures), (&*address.to_string(), false, 1));
    assert_eq!((reports[1].is_up, reports[1].answers), (true, 1));
}

#[tokio::test]
async fn localhost_is_answered_here() {
    let elsewhere = Fake::start(Manner::Address(1)).await;
    let forwarder = forwarder(vec![elsewhere.source()]);
    let mut query = query(0, false);
    query.splice(12..query.len() - 4, *b"\x09localhost\0");
    let request = Read::parse(&query).unwrap().request;
    let found =
        forwarder.local(&ForwardQuestion::about(&request.question.as_ref().unwrap().name, &request).unwrap()).unwrap();
    assert_eq!(found.answers[0].data, RData::A(A::new(127, 0, 0, 1)));
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn a_link_local_name_server_is_asked_through_its_interface() {
    let bad = Upstream { scope: Some("none0".to_owned()), ..Upstream::plain("[fe80::1]:53".parse().unwrap()) };
    let good = Fake::start(Manner::Address(1)).await;
    let forwarder = forwarder(vec![UpstreamSource::Server(bad), good.source()]);
    assert_eq!(
        ask(&forwarder).await.unwrap().answers.len(),
        1,
        "an interface that is not there is one more that is dead"
    );
    assert_eq!(forwarder.reports()[0].upstream, "[fe80::1%none0]:53");
}
