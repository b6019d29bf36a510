//! No message is read twice, whichever way it goes.

use super::*;
use crate::dns::forward::{CheckedSettings, ForwardLimits, Forwarder, ServerAddresses};
use crate::dns::message::parse::{Message as Read, reads};
use crate::dns::message::tsig::tests::{key, signed_request};
use crate::dns::message::tsig::{Verdict, check};
use crate::dns::serve::access::Transfers;
use crate::dns::transfer::notify::NotifyPlan;
use crate::dns::transfer::secondaries::{Allowed, Secondary};
use crate::zone::writer::ZoneWriter;

fn writer() -> ZoneWriter {
    let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build();
    let owner = Name::parse("www.service").unwrap();
    writer.put_static(vec![Record { owner, rtype: rtype::CNAME, ttl: 5, rdata: b"\x01a\x07service\0"[..].into() }]);
    writer.commit(1);
    writer.set_freshness(Freshness::Fresh);
    writer
}

/// A server that takes a key, lets everybody transfer, and forwards what it answers itself.
fn server(writer: &ZoneWriter) -> Server {
    let zones = Zones::new(vec![Arc::clone(writer.zone())]);
    let transfers = Transfers::parse(&["any".to_owned()], &[]).unwrap();
    let policy = Policy {
        keys: vec![key("xfr", b"0123456789abcdef")],
        allow_transfer: Allowed::new(transfers, &[]),
        allow_recursion: Some(Networks::everybody()),
        ..Policy::new(Secrets::new(SECRET))
    };
    let front = Arc::new(Gate::new(zones.clone(), policy));
    let said = CheckedSettings::new(Vec::new(), std::path::Path::new("/nowhere"), ForwardLimits::default()).unwrap();
    let forwarder = Arc::new(Forwarder::new(said, ServerAddresses::default(), Arc::default()));
    let counters = Metrics::default().counters(Transport::Udp);
    let service = serve::Service::new(zones.clone(), Arc::clone(&front), counters, Some(forwarder));
    Server { zones, front, service }
}

fn question(name: &str, rtype: u16) -> Vec<u8> {
    let mut packet = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    packet.extend_from_slice(Name::parse(name).unwrap().wire());
    packet.extend_from_slice(&[rtype.to_be_bytes(), [0, 1]].concat());
    packet
}

/// Takes a packet as the listeners do; returns how many messages were read, and sent.
fn reads(server: &Server, packet: &[u8], transport: Transport) -> (usize, usize) {
    reads::take();
    let mut query = Query::default();
    let parsed = fast::parse(packet, &mut query);
    let received = fast::hand_over(parsed, packet, &query);
    let sent = match server.service.reply_at(received, (PEER, 53).into(), transport, NOW) {
        Reply::Message(message) => message.into_iter().count(),
        Reply::Transfer(mut running) => std::iter::from_fn(|| running.next_message()).count(),
        Reply::Later(_) => panic!("there is nobody to ask"),
    };
    (reads::take(), sent)
}

#[test]
fn each_query_is_read_once() {
    let writer = writer();
    let server = server(&writer);
    let alias = question("www.service", rtype::A);
    let mut query = Query::default();
    assert_eq!(fast::parse(&alias, &mut query), Parsed::Plain, "read by the hot path, answered by the slow one");
    let now = NOW.as_secs();
    let signed = |packet: &[u8]| signed_request(packet, &key("xfr", b"0123456789abcdef"), now);
    for (what, packet, transport) in [
        ("slow UDP", alias.clone(), Transport::Udp),
        ("ANY over UDP", question("www.service", rtype::ANY), Transport::Udp),
        ("TCP", alias.clone(), Transport::Tcp),
        ("TLS", alias.clone(), Transport::Tls),
        ("signed", signed(&alias), Transport::Udp),
        ("a transfer", question("service", rtype::AXFR), Transport::Tcp),
        ("a signed transfer", signed(&question("service", rtype::AXFR)), Transport::Tcp),
        ("forwarded", question("localhost", rtype::A), Transport::Udp),
        ("malformed", alias[..20].to_vec(), Transport::Udp),
    ] {
        assert_eq!(reads(&server, &packet, transport), (1, 1), "{what}");
    }
}

#[test]
fn the_reply_to_a_notify_is_read_once() {
    let (writer, key, now) = (writer(), key("xfr", b"0123456789abcdef"), NOW.as_secs());
    let address = "192.0.2.9:53".parse().unwrap();
    let mut plan = NotifyPlan::default();
    plan.tell(&[(Arc::clone(writer.zone()), vec![Secondary { address, key: Some(Arc::clone(&key)) }])]);
    let begun = tokio::time::Instant::now().into_std();
    let sent = plan.due(begun, now, || 7).remove(0);
    let request = Read::parse(&sent.message).unwrap();
    let Verdict::Good(mut signer) = check(&request, &[key], now) else { panic!("it is not signed") };
    let mut response = request.request.response(0, true);
    signer.sign(&mut response, now);
    reads::take();
    plan.receive(address, &response, now);
    assert_eq!(reads::take(), 1);
    assert!(plan.due(begun + Duration::from_secs(60), now, || 8).is_empty(), "it was taken");
}
