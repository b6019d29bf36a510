//! What must hold for any packet that comes: what is sent back is DNS, is a response, has the packet's ID, is no longer
//! than it may be; and where the hot path answers, the rest of the server answers the same.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use zonekeeper::dns::fast::{self, MAX_TCP, MAX_UDP, Parsed, PendingQuery, Query, ROOM, Written, ZoneStates};
use zonekeeper::dns::message::options::Tail;
use zonekeeper::dns::serve::cookie::{Mode, Secrets};
use zonekeeper::dns::serve::gate::Gate;
use zonekeeper::dns::serve::metrics::Metrics;
use zonekeeper::dns::serve::policy::Policy;
use zonekeeper::dns::serve::{Reply, Service};
use zonekeeper::dns::transport::Transport;
use zonekeeper::zone::name::Name;
use zonekeeper::zone::{Freshness, ZoneBuilder, Zones, file};

/// Something for the hot path, and in a second zone something of all that is not.
const PLAIN: &str = "$TTL 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\nwww AAAA 2001:db8::2\n_a._tcp SRV 0 0 80 www\n\
    a.b TXT text\nlarge TXT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";
const OTHER: &str = "$TTL 60\n@ NS ns\nns A 192.0.2.1\n*.w A 192.0.2.2\nc CNAME c2\nc2 CNAME c\nd DNAME w\nsub NS ns.sub\n\
    ns.sub A 192.0.2.3\nmx MX 1 ns\nh HTTPS 1 ns\n";

/// Names for structured questions: labels in wire form, without the root's.
const NAMES: [&[u8]; 12] = [
    b"\x05plain",
    b"\x03www\x05plain",
    b"\x02_a\x04_tcp\x05plain",
    b"\x01b\x05plain",
    b"\x05large\x05plain",
    b"\x05other",
    b"\x01x\x01w\x05other",
    b"\x01c\x05other",
    b"\x01x\x01d\x05other",
    b"\x01x\x03sub\x05other",
    b"\x02mx\x05other",
    b"\x07example",
];

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const NOW: Duration = Duration::from_secs(1_700_000_000);

/// A server without sockets.
pub(crate) struct Server {
    zones: Zones,
    front: Arc<Gate>,
    service: Service,
}

impl Server {
    /// With two zones, and cookies.
    pub(crate) fn new() -> Self {
        let zone = |origin: &str, text: &str| {
            let origin = Name::parse(origin).expect("a name");
            let parsed = file::parse(text, &origin, &mut |_| Err(String::new())).expect("a zone");
            let mut writer = ZoneBuilder::new(origin, 5, 5).build();
            writer.put_static(parsed.records);
            writer.commit(1);
            writer.set_freshness(Freshness::Fresh);
            Arc::clone(writer.zone())
        };
        let zones = Zones::new(vec![zone("plain", PLAIN), zone("other", OTHER)]);
        let secrets = Secrets::parse("00112233445566778899aabbccddeeff").expect("a secret");
        let policy = Policy { cookies: Mode::On, nsid: b"fuzz".as_slice().into(), ..Policy::new(secrets) };
        let front = Arc::new(Gate::new(zones.clone(), policy));
        let counters = Metrics::default().counters(Transport::Udp);
        let service = Service::new(zones.clone(), Arc::clone(&front), counters, None);
        Self { zones, front, service }
    }

    /// The first byte says how the rest is taken: over UDP or TCP, as a packet or as choices for a question.
    pub(crate) fn check(&self, data: &[u8]) {
        let Some((&how, rest)) = data.split_first() else { return };
        let transport = if how & 1 == 0 { Transport::Udp } else { Transport::Tcp };
        let packet = if how & 2 == 0 { rest.to_vec() } else { question(rest) };
        let hot = self.hot(&packet, transport);
        let cold = self.cold(&packet, transport);
        for response in hot.iter().chain(&cold) {
            is_sound(response, &packet, transport);
        }
        if let Some(hot) = hot {
            let cold = cold.first().unwrap_or_else(|| panic!("only the hot path answers {packet:?}"));
            let read = |bytes: &[u8]| Message::from_vec(bytes).expect("it was read already");
            let (hot_message, cold_message) = (read(&hot), read(cold));
            assert_eq!(hot_message.metadata.response_code, cold_message.metadata.response_code, "{packet:?}");
            // QR to RD and RA to the code; a limit that one of the encoders meets a little earlier is no difference.
            let flags = |bytes: &[u8]| [bytes[2] & !0x02, bytes[3]];
            assert_eq!(flags(&hot), flags(cold), "{packet:?}");
            if !hot_message.metadata.truncation && !cold_message.metadata.truncation {
                assert_eq!(hot_message.answers.len(), cold_message.answers.len(), "{packet:?}");
                assert_eq!(hot_message.authorities.len(), cold_message.authorities.len(), "{packet:?}");
            }
            assert_eq!(hot_message.edns.is_some(), cold_message.edns.is_some(), "{packet:?}");
        }
    }

    /// What the hot path says, if it is one for it.
    fn hot(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let mut query = Query::default();
        if fast::parse(packet, &mut query) != Parsed::Plain {
            return None;
        }
        let (policy, mut tail) = (self.front.policy(), Tail::default());
        let loaded = ZoneStates::new(&self.zones, &policy, Vec::new());
        let subject = loaded.find(&query);
        let mut out = vec![0; if transport.is_datagram() { ROOM } else { MAX_TCP }];
        let asked = PendingQuery { packet, query: &query, peer: &|| PEER, now: &|| NOW, transport, random: 1 << 28 };
        match fast::respond(&loaded, &asked, subject, &mut tail, &mut out) {
            Written::Response { length, .. } => {
                out.truncate(length.into());
                Some(out)
            }
            Written::Slow => None,
            Written::Slip { .. } | Written::Limited => panic!("nothing is limited: {packet:?}"),
        }
    }

    /// What the rest says.
    fn cold(&self, packet: &[u8], transport: Transport) -> Vec<Vec<u8>> {
        match self.service.reply_to(packet.to_vec().into(), (PEER, 53).into(), transport, Instant::now()) {
            Reply::Message(message) => message.into_iter().collect(),
            Reply::Transfer(_) => panic!("nobody may transfer: {packet:?}"),
            Reply::Later(_) => panic!("there is nobody to ask: {packet:?}"),
        }
    }
}

fn is_sound(response: &[u8], packet: &[u8], transport: Transport) {
    Message::from_vec(response).unwrap_or_else(|error| panic!("{error}: {response:?} to {packet:?}"));
    assert_eq!(response[..2], packet[..2], "the ID");
    assert!(packet[2] & 0x80 == 0, "a response was answered: {packet:?}");
    assert!(response[2] & 0x80 != 0, "QR: {response:?} to {packet:?}");
    assert_eq!(response[2] & 0x79, packet[2] & 0x79, "opcode and RD: {response:?} to {packet:?}");
    assert_eq!(response[3] & 0x60, 0, "Z and AD: {response:?} to {packet:?}");
    assert!(response.len() <= if transport.is_datagram() { MAX_UDP } else { MAX_TCP }, "{} bytes", response.len());
}

/// A query whose parts are chosen by these bytes: most of them are well-formed.
fn question(choices: &[u8]) -> Vec<u8> {
    let mut choices = choices.iter().copied();
    let mut next = || choices.next().unwrap_or_default();
    let mut packet = vec![next(), next(), next() & 0x7f, next(), 0, 1, 0, 0, 0, 0, 0, 0];
    for _ in 0..next() % 3 {
        let byte = next();
        packet.extend_from_slice(&[1, byte]);
    }
    packet.extend_from_slice(NAMES[usize::from(next()) % NAMES.len()]);
    packet.extend_from_slice(&[0, next() % 2, next(), 0, 1]);
    if next() % 4 > 0 {
        packet[11] = 1;
        packet.extend_from_slice(&[0, 0, 41, next() % 6, next(), 0, next() / 128, next(), 0, 0]);
        let at = packet.len();
        packet.push(0);
        for _ in 0..next() % 4 {
            let length = next() % 48;
            packet.extend_from_slice(&[0, next() % 20, 0, length]);
            packet.extend((0..length).map(|_| next()));
        }
        // Off by a little now and then.
        let length = packet.len() - at - 1;
        packet[at] = u8::try_from(length).unwrap_or(u8::MAX).wrapping_add(u8::from(next() == 255));
    }
    packet
}
