//! Aliases that lead from one zone of the server into another, to names of other name servers, and back: the whole
//! chain is in the answer, as BIND's and Knot's have it, so that stub resolvers need ask nobody else.

use std::net::{SocketAddr, UdpSocket};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{Name, RData, Record};

use crate::harness::app::{Running, scratch};
use crate::harness::dig::{Response, dig};
use crate::harness::eventually;

const CORP: &str = "\
$TTL 5
api CNAME two.service.
nx CNAME nope.service.
first CNAME second
second CNAME api
d DNAME service.
*.wild CNAME two.service.
loop CNAME loop.other.
out CNAME web.test.
nxout CNAME nope.test.
far CNAME far.test.
around CNAME around.test.
unread CNAME x.broken.
";

const OTHER: &str = "$TTL 5\nloop CNAME loop.corp.example.\nhost A 192.0.2.7\n";

/// What another name server knows, which does not know our zones.
fn upstream() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut packet = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut packet) {
            let Ok(query) = Message::from_vec(&packet[..length]) else { continue };
            let asked = query.queries[0].clone();
            let mut reply = Message::response(query.metadata.id, OpCode::Query);
            reply.metadata.message_type = MessageType::Response;
            reply.add_query(asked.clone());
            let name = |text: &str| Name::from_ascii(text).expect("a name");
            let alias = |target: &str| RData::CNAME(CNAME(name(target)));
            let (rcode, data) = match asked.name.to_lowercase().to_ascii().as_str() {
                "web.test." => (ResponseCode::NoError, Some(RData::A(A::new(192, 0, 2, 80)))),
                "inzone.test." => (ResponseCode::NXDomain, Some(alias("two.service."))),
                "inside.test." => (ResponseCode::NoError, Some(alias("api.corp.example."))),
                "gone.test." => (ResponseCode::NoError, Some(alias("nope.service."))),
                "far.test." => (ResponseCode::NoError, Some(alias("out.corp.example."))),
                "around.test." => (ResponseCode::NoError, Some(alias("around.corp.example."))),
                _ => (ResponseCode::NXDomain, None),
            };
            reply.metadata.response_code = rcode;
            reply.add_answers(data.map(|data| Record::from_rdata(asked.name.clone(), 60, data)));
            let _ = socket.send_to(&reply.to_vec().expect("a message"), peer);
        }
    });
    address
}

async fn start(dns: &str) -> Running {
    let (seed, corp, other, broken) = (scratch("seed.tree"), scratch("corp"), scratch("other"), scratch("broken"));
    let tree = "/services\n  /two\n    /providers\n      /10.0.0.1:80\n      /10.0.0.2:80\n";
    for (path, text) in [(&seed, tree), (&corp, CORP), (&other, OTHER), (&broken, "$TTL 5\nx A nonsense\n")] {
        std::fs::write(path, text).unwrap();
    }
    let zone = |origin: &str, path: &std::path::Path| {
        format!("[[zone]]\norigin = \"{origin}\"\nregistry = \"\"\nfile = \"{}\"\n", path.display())
    };
    let server = Running::start_with(&format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n{}{}{}[dns]\nlisten = [\"127.0.0.1:0\"]\n{dns}\n",
        seed.display(),
        zone("corp.example.", &corp),
        zone("other.", &other),
        zone("broken.", &broken)
    ));
    eventually("the registry", async || (dig(server.dns, "A two.service").status == "NOERROR").then_some(())).await;
    server
}

/// The owners and types of the answer section.
fn chain(response: &Response) -> Vec<String> {
    let part = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        format!("{} {}", words[0], words[3])
    };
    let mut chain: Vec<String> = response.answer.iter().map(part).collect();
    chain.dedup();
    chain
}

const HOME: [&str; 2] = ["api.corp.example. CNAME", "two.service. A"];

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_into_another_zone_of_this_server_is_followed() {
    let server = start("").await;
    for transport in ["", " +tcp", " +norec"] {
        let ask = |words: &str| dig(server.dns, &format!("{words}{transport}"));
        let response = ask("A api.corp.example");
        assert_eq!(
            (&*response.status, chain(&response)),
            ("NOERROR", HOME.map(str::to_owned).to_vec()),
            "{response:?}"
        );
        assert!(response.has_flag("aa") && response.authority.is_empty(), "{response:?}");
        assert_eq!(response.answer.len(), 3);
        let srv = ask("SRV api.corp.example");
        assert_eq!(chain(&srv), ["api.corp.example. CNAME", "two.service. SRV"]);
        assert_eq!(srv.additional.len(), 2, "{srv:?}");
        let long = ask("A first.corp.example");
        assert_eq!(chain(&long)[..2], ["first.corp.example. CNAME", "second.corp.example. CNAME"]);
        assert_eq!(chain(&long)[2..], HOME);
        assert_eq!(
            chain(&ask("A two.d.corp.example")),
            ["d.corp.example. DNAME", "two.d.corp.example. CNAME", HOME[1]]
        );
        assert_eq!(chain(&ask("A x.wild.corp.example")), ["x.wild.corp.example. CNAME", HOME[1]]);
        // The code is that of the last name, and so is the SOA.
        let gone = ask("A nx.corp.example");
        assert_eq!((&*gone.status, chain(&gone)), ("NXDOMAIN", vec!["nx.corp.example. CNAME".to_owned()]));
        assert!(gone.authority[0].starts_with("service. ") && gone.has_flag("aa"), "{gone:?}");
        let nothing = ask("MX api.corp.example");
        assert_eq!((&*nothing.status, nothing.answer.len(), nothing.authority.len()), ("NOERROR", 1, 1));
        assert!(nothing.authority[0].starts_with("service. "), "{nothing:?}");
        assert_eq!(chain(&ask("CNAME api.corp.example")), ["api.corp.example. CNAME"]);
        // A loop ends where it began.
        let circle = ask("A loop.corp.example");
        assert_eq!(chain(&circle), ["loop.corp.example. CNAME", "loop.other. CNAME"]);
        assert_eq!(circle.status, "NOERROR");
        // What is outside is for others to say.
        assert_eq!(chain(&ask("A out.corp.example")), ["out.corp.example. CNAME"]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_into_a_zone_that_is_not_known_is_servfail() {
    let server = start("").await;
    for transport in ["", " +tcp"] {
        let response = dig(server.dns, &format!("A unread.corp.example{transport}"));
        assert_eq!((&*response.status, response.answer.len()), ("SERVFAIL", 0), "{response:?}");
        assert!(response.edns.iter().any(|line| line.starts_with("EDE: 14")), "{response:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_to_a_name_outside_is_followed_for_those_who_may_recurse() {
    let forward = format!("forward = [\"{}\"]\nallow_recursion = [\"127.0.0.1\"]", upstream());
    let server = start(&forward).await;
    for transport in ["", " +tcp", ""] {
        let ask = |words: &str| dig(server.dns, &format!("{words}{transport}"));
        let response = ask("A out.corp.example");
        assert_eq!(chain(&response), ["out.corp.example. CNAME", "web.test. A"], "{response:?}");
        assert_eq!((&*response.status, response.flags.join(" ")), ("NOERROR", "qr aa rd ra".to_owned()));
        let gone = ask("A nxout.corp.example");
        assert_eq!((&*gone.status, chain(&gone)), ("NXDOMAIN", vec!["nxout.corp.example. CNAME".to_owned()]));
        // Others do not know our zones: what leads here is answered here.
        for name in ["inzone.test", "INzone.test"] {
            let home = ask(&format!("A {name}"));
            assert_eq!((&*home.status, chain(&home)[1..].to_vec()), ("NOERROR", vec![HOME[1].to_owned()]), "{home:?}");
            assert!(!home.has_flag("aa") && home.has_flag("ra"), "{home:?}");
        }
        assert_eq!(chain(&ask("A inside.test")), ["inside.test. CNAME", HOME[0], HOME[1]]);
        assert_eq!(ask("A gone.test").status, "NXDOMAIN");
        let far = ask("A far.corp.example");
        let expected = ["far.corp.example. CNAME", "far.test. CNAME", "out.corp.example. CNAME", "web.test. A"];
        assert_eq!(chain(&far), expected, "{far:?}");
        let around = ask("A around.corp.example");
        assert_eq!(chain(&around), ["around.corp.example. CNAME", "around.test. CNAME"], "{around:?}");
    }
    for words in ["A out.corp.example +norec", "A out.corp.example -b 127.0.0.9"] {
        assert_eq!(chain(&dig(server.dns, words)), ["out.corp.example. CNAME"], "{words}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_to_a_name_outside_is_servfail_while_nobody_answers_for_it() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let server = start(&format!("forward = [\"{}\"]", silent.local_addr().unwrap())).await;
    let response = dig(server.dns, "A out.corp.example +time=9");
    assert_eq!((&*response.status, response.answer.len()), ("SERVFAIL", 0), "{response:?}");
    assert!(response.edns.iter().any(|line| line.starts_with("EDE: 22")), "{response:?}");
    server.stop().await;
}
