//! Which record comes first, on real sockets: over UDP and TCP, from the fast path and the other one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::harness::app::{Running, scratch};
use crate::harness::asker::{Asker, Over};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::{eventually, zk};

const ROUNDS: u32 = 1_500;
const WAYS: [(Over, bool); 4] = [(Over::Udp, false), (Over::Tcp, false), (Over::Udp, true), (Over::Tcp, true)];

/// A server of `service.` over this seed, with more lines for the zone and for `[dns]`.
async fn server(seed: &str, zone: &str, dns: &str) -> Running {
    let path = scratch("seed.tree");
    std::fs::write(&path, seed).expect("a seed");
    let running = Running::start_with(&format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n{zone}\n[dns]\nlisten = [\"127.0.0.1:0\"]\n{dns}\n",
        path.display()
    ));
    eventually("an answer", async || (dig(running.dns, "SOA service").status == "NOERROR").then_some(())).await;
    running
}

/// A query; an unusual one has an additional record that the fast path does not take.
fn question(id: u16, name: &str, rtype: RecordType, is_slow: bool) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    let name = Name::from_ascii(name).expect("a name");
    message.add_query(Query::query(name.clone(), rtype));
    if is_slow {
        message.additionals.push(Record::from_rdata(name, 0, RData::A(A::new(192, 0, 2, 1))));
    }
    message.to_vec().expect("a message")
}

/// The addresses, or targets and ports, of an answer, in its order.
fn keys(answer: &[u8]) -> Vec<String> {
    let message = Message::from_vec(answer).expect("a message");
    let key = |record: &Record| match &record.data {
        RData::SRV(srv) => format!("{}:{}", srv.target.to_string().split('.').next().unwrap_or_default(), srv.port),
        data => data.to_string(),
    };
    message.answers.iter().map(key).collect()
}

/// Asks each question of a pattern `ROUNDS` times, in turn, and returns all answers to each.
fn answers(server: SocketAddr, pattern: &[(&str, RecordType)], (over, is_slow): (Over, bool)) -> Vec<Vec<Vec<String>>> {
    let mut asker = Asker::new(server);
    let mut all = vec![Vec::new(); pattern.len()];
    for round in 0..ROUNDS {
        for (i, (name, rtype)) in pattern.iter().enumerate() {
            let id = u16::try_from(round % 60_000).expect("an id").wrapping_add(u16::try_from(i).expect("few"));
            let packet = question(id, name, *rtype, is_slow);
            let answer = asker.ask(&packet, over, Duration::from_secs(5)).expect("an answer");
            all[i].push(keys(&answer));
        }
    }
    all
}

/// Asserts that these are draws with these weights: no count is further off than seven standard deviations.
fn are_drawn<'a>(drawn: impl Iterator<Item = &'a String>, weights: &[(&str, f64)]) {
    let mut counts = BTreeMap::<&str, u32>::new();
    for key in drawn {
        *counts.entry(key).or_default() += 1;
    }
    let all = f64::from(counts.values().sum::<u32>());
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    for key in counts.keys() {
        assert!(weights.iter().any(|(other, _)| other == key), "{key} is none of them: {counts:?}");
    }
    for (key, weight) in weights {
        let (count, share) = (f64::from(counts.get(key).copied().unwrap_or(0)), weight / total);
        let deviation = (all * share * (1.0 - share)).sqrt();
        assert!((count - all * share).abs() <= 7.0 * deviation, "{key}: {count} of {all}, weights {weights:?}");
    }
}

fn firsts(answers: &[Vec<String>]) -> impl Iterator<Item = &String> {
    answers.iter().filter_map(|answer| answer.first())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dual_stack_client_that_asks_for_a_and_then_aaaa_gets_each_address_first_as_often() {
    let seed = "/services\n  /dual\n    /providers\n      /10.0.0.1:80\n      /10.0.0.2:80\n      /[2001:db8::1]:80\n      \
                /[2001:db8::2]:80\n  /three\n    /providers\n      /10.1.0.1:80\n      /10.1.0.2:80\n      /10.1.0.3:80\n";
    let server = server(seed, "", "threads = 1").await;
    let dual = ("dual.service.", RecordType::A);
    let pattern = [dual, ("dual.service.", RecordType::AAAA), ("three.service.", RecordType::A)];
    let four = [("10.0.0.1", 1.0), ("10.0.0.2", 1.0)];
    let six = [("2001:db8::1", 1.0), ("2001:db8::2", 1.0)];
    let three = [("10.1.0.1", 1.0), ("10.1.0.2", 1.0), ("10.1.0.3", 1.0)];
    for way in WAYS {
        // What else is asked, and how much of it, is of no concern to a question.
        for length in 1..=pattern.len() {
            let answers = answers(server.dns, &pattern[..length], way);
            for (answers, weights) in answers.iter().zip([&four[..], &six, &three]) {
                are_drawn(firsts(answers), weights);
            }
        }
    }
    server.stop().await;
}

const WEIGHTED: &str = "/services
  /some
    /providers
      /10.0.0.9:80
        weight = 5
        priority = 1
      /10.0.0.9:81
        weight = 15
        priority = 1
      /10.0.0.10:80
        weight = 40
        priority = 1
      /10.0.0.11:80
        weight = 0
        priority = 1
      /10.0.0.1:80
        weight = 1000
        priority = 2
  /none
    /providers
      /10.1.0.1:80
        weight = 0
      /10.1.0.2:80
        weight = 0
";

const BY_ADDRESS: [(&str, f64); 4] = [("10.0.0.9", 20.0), ("10.0.0.10", 40.0), ("10.0.0.11", 0.0), ("10.0.0.1", 0.0)];

#[tokio::test(flavor = "multi_thread")]
async fn the_first_record_on_the_wire_is_drawn_by_weight_among_the_lowest_priority() {
    let server = server(WEIGHTED, "", "").await;
    let pattern =
        [("some.service.", RecordType::A), ("some.service.", RecordType::SRV), ("none.service.", RecordType::A)];
    let by_port = [("10-0-0-9:80", 5.0), ("10-0-0-9:81", 15.0), ("10-0-0-10:80", 40.0), ("10-0-0-11:80", 0.0)];
    for way in WAYS {
        let answers = answers(server.dns, &pattern, way);
        for (answers, weights) in
            answers.iter().zip([&BY_ADDRESS[..], &by_port, &[("10.1.0.1", 1.0), ("10.1.0.2", 1.0)]])
        {
            are_drawn(firsts(answers), weights);
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uniform_takes_no_weights_and_fixed_is_by_address_on_the_wire() {
    let uniform = server(WEIGHTED, "order = \"uniform\"", "").await;
    let fixed = server(WEIGHTED, "order = \"fixed\"", "").await;
    let evenly = [("10.0.0.9", 1.0), ("10.0.0.10", 1.0), ("10.0.0.11", 1.0)];
    for way in WAYS {
        are_drawn(firsts(&answers(uniform.dns, &[("some.service.", RecordType::A)], way)[0]), &evenly);
        let pattern = [("some.service.", RecordType::A), ("some.service.", RecordType::SRV)];
        let answers = answers(fixed.dns, &pattern, way);
        assert!(answers[0].iter().all(|answer| *answer == ["10.0.0.9", "10.0.0.10", "10.0.0.11", "10.0.0.1"]));
        let by_port = ["10-0-0-9:80", "10-0-0-9:81", "10-0-0-10:80", "10-0-0-11:80", "10-0-0-1:80"];
        assert!(answers[1].iter().all(|answer| *answer == by_port), "{:?}", answers[1][0]);
    }
    uniform.stop().await;
    fixed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn max_answers_on_the_wire_draws_on_without_replacement() {
    let seed = "/services\n  /some\n    /providers\n      /10.0.0.1:80\n        weight = 10\n      /10.0.0.2:80\n        \
                weight = 20\n      /10.0.0.3:80\n        weight = 30\n";
    let server = server(seed, "", "max_answers = 2").await;
    for way in WAYS {
        let answers = answers(server.dns, &[("some.service.", RecordType::A)], way);
        assert!(answers[0].iter().all(|answer| answer.len() == 2 && answer[0] != answer[1]));
        are_drawn(firsts(&answers[0]), &[("10.0.0.1", 10.0), ("10.0.0.2", 20.0), ("10.0.0.3", 30.0)]);
        // 1: 2/6 * 10/40 + 3/6 * 10/30; 2: 1/6 * 20/50 + 3/6 * 20/30; 3: 1/6 * 30/50 + 2/6 * 30/40.
        let second = [("10.0.0.1", 0.25), ("10.0.0.2", 0.4), ("10.0.0.3", 0.35)];
        are_drawn(answers[0].iter().filter_map(|answer| answer.get(1)), &second);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_edns_gets_what_fits_and_one_with_it_an_empty_truncated_answer() {
    let instances: Vec<String> = (1..=200).map(|i| format!("      /10.0.0.{i}:80\n")).collect();
    let seed = format!("/services\n  /crowd\n    /providers\n{}", instances.concat());
    let server = server(&seed, "", "").await;
    for (rtype, least) in [("A", 29), ("SRV", 9)] {
        let plain = dig(server.dns, &format!("{rtype} crowd.service +noedns +ignore"));
        assert!(plain.has_flag("tc") && plain.answer.len() >= least && plain.size <= 512, "{plain:?}");
        let with_opt = dig(server.dns, &format!("{rtype} crowd.service +bufsize=1232 +ignore"));
        assert!(with_opt.has_flag("tc") && with_opt.answer.is_empty(), "{with_opt:?}");
        let whole = dig(server.dns, &format!("{rtype} crowd.service +noedns +tcp"));
        assert_eq!((whole.answer.len(), whole.has_flag("tc")), (200, false));
    }
    server.stop().await;
}

/// HAProxy and others take a doubled endpoint for two servers, and give it twice the load.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_znodes_of_one_endpoint_the_ephemeral_one_is_served_and_else_the_younger() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let (plain, mapped) = ("10.0.0.1:80", "[::ffff:10.0.0.1]:80");
    let mut znode = |service: &str, name: &str, weight: u16, is_ephemeral: bool| {
        let data = format!("{{\"weight\": {weight}}}");
        kazoo.create(&format!("/services/{service}/providers/{name}"), data.as_bytes(), is_ephemeral);
    };
    znode("ephemeral", plain, 11, true);
    znode("ephemeral", mapped, 12, false);
    znode("younger", plain, 13, false);
    znode("younger", mapped, 14, false);
    let server = Running::over_zookeeper(&servers, "");
    for (service, weight) in [("ephemeral", 11), ("younger", 14)] {
        let expected = [format!("0 {weight} 80 10-0-0-1.addr.service.")];
        let query = format!("SRV {service}.service");
        eventually(&query, async || (dig(server.dns, &query).data() == expected).then_some(())).await;
    }
    // The one that is served goes: the other takes its place.
    kazoo.delete(&format!("/services/ephemeral/providers/{plain}"));
    kazoo.delete(&format!("/services/younger/providers/{mapped}"));
    for (service, weight) in [("ephemeral", 12), ("younger", 13)] {
        let expected = [format!("0 {weight} 80 10-0-0-1.addr.service.")];
        let query = format!("SRV {service}.service");
        eventually(&query, async || (dig(server.dns, &query).data() == expected).then_some(())).await;
    }
    server.stop().await;
}
