//! Queries that are not for the hot path: what is stuck among them holds up nothing else.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::asker::{Asker, Over};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::secondary::KEY;

/// A server of `service.` with one service, `threads` UDP threads and a name server to forward to that never answers.
async fn server(threads: usize, silent: SocketAddr) -> (Binary, SocketAddr) {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, "/services\n  /api\n    /providers\n      /10.0.0.1:80\n").expect("a seed");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let binary = Binary::serve(&format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\nallow_transfer = [\"key {}\"]\n\
         [[key]]\nname = \"{}\"\nsecret = \"{}\"\n\
         [dns]\nlisten = [\"{address}\"]\nthreads = {threads}\nforward = [\"{silent}\"]\nforward_outstanding = 4096\n",
        seed.display(),
        KEY.0,
        KEY.0,
        KEY.1,
    ));
    eventually("DNS", async || binary.log().contains("DNS, UDP and TCP").then_some(())).await;
    eventually("an answer", async || (dig(address, "A api.service").status == "NOERROR").then_some(())).await;
    (binary, address)
}

fn question(id: u16, name: &str, rtype: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), rtype));
    message.to_vec().expect("a message")
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_questions_to_a_silent_name_server_hold_up_no_other_query_of_the_slow_path() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let (binary, address) = server(2, silent.local_addr().expect("an address")).await;
    let flood = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut asker = Asker::new(address);
    let (first, mut worst) = (Instant::now(), Duration::ZERO);
    for round in 0..30_u16 {
        for i in 0..100 {
            let query = question(i, &format!("n{round}-{i}.example."), RecordType::A);
            flood.send_to(&query, address).expect("the loopback interface");
        }
        // ANY is never the hot path's.
        let begun = Instant::now();
        let query = question(1000 + round, "api.service.", RecordType::ANY);
        let answer = asker.ask(&query, Over::Udp, Duration::from_secs(4)).expect("an answer in time");
        assert_eq!((answer[3] & 0x0f, answer[7]), (0, 1), "NOERROR, one record");
        worst = worst.max(begun.elapsed());
    }
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    let begun = Instant::now();
    let signed = dig(address, &format!("SOA service -y hmac-sha256:{}:{}", KEY.0, KEY.1));
    assert_eq!((&*signed.status, signed.answer.len()), ("NOERROR", 1), "{signed:?}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // All that time nothing of the flood was answered: it waits for four and a half seconds.
    flood.set_nonblocking(true).expect("a socket");
    let is_answered = flood.recv(&mut [0; 512]).is_ok();
    assert!(!is_answered || first.elapsed() > Duration::from_secs(4), "{}", binary.log());
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_slow_path_has_as_many_threads_as_udp() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let (binary, _) = server(3, silent.local_addr().expect("an address")).await;
    let tasks = std::fs::read_dir(format!("/proc/{}/task", binary.id())).expect("the process");
    let names = tasks.map(|task| std::fs::read_to_string(task.expect("a thread").path().join("comm")));
    let names: Vec<String> = names.map(|name| name.unwrap_or_default().trim().to_owned()).collect();
    for name in ["dns-udp", "dns-slow", "dns-tcp"] {
        assert_eq!(names.iter().filter(|other| *other == name).count(), 3, "{name}: {names:?}");
    }
}
