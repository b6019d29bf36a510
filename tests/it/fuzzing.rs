//! The checks of the fuzz targets in tests/fuzz, on seeded random input: bounded, so that every test run has them. What
//! a longer run found is kept below as a case of its own.
//!
//! `ZONEKEEPER_FUZZ=1000000` runs more of them, `ZONEKEEPER_SEED=7` others.

#[path = "../fuzz/checks/conventions.rs"]
mod conventions;
#[path = "../fuzz/checks/description.rs"]
mod description;
#[path = "../fuzz/checks/master_file.rs"]
mod master_file;
#[path = "../fuzz/checks/packet.rs"]
mod packet;

use fastrand::Rng;

use crate::comparison::ZONE;
use crate::comparison::questions::Questions;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_packet_gets_anything_but_dns_and_both_ways_agree() {
    let mut rng = Rng::with_seed(setting("ZONEKEEPER_SEED", 1035));
    let mut questions = Questions::new(ZONE, rng.u64(..));
    let server = packet::Server::new();
    for round in 0..setting("ZONEKEEPER_FUZZ", 40_000) {
        let how = rng.u8(..4);
        let mut data = vec![how];
        if how & 2 == 0 && round % 4 > 0 {
            data.extend_from_slice(&questions.next_one().packet);
            for _ in 0..rng.usize(..4) {
                let at = rng.usize(1..data.len());
                data[at] = rng.u8(..);
            }
        } else {
            data.extend((0..rng.usize(..120)).map(|_| rng.u8(..)));
        }
        server.check(&data);
    }
}

/// What master files are made of.
const PIECES: [&str; 48] = [
    "@",
    " ",
    "\t",
    "\n",
    "\n ",
    "(",
    ")",
    ";",
    "\"",
    "\\",
    "\\046",
    "\\.",
    "$ORIGIN ",
    "$TTL ",
    "$INCLUDE more",
    "$GENERATE 1-2 a A 1",
    "IN",
    "CH",
    "SOA",
    "NS",
    "A",
    "AAAA",
    "CNAME",
    "DNAME",
    "MX",
    "TXT",
    "SRV",
    "CAA",
    "NAPTR",
    "TLSA",
    "HTTPS",
    "SVCB",
    "CSYNC",
    "TYPE65280",
    "\\# 4 01020304",
    "1h30m",
    "300",
    "4294967295",
    "10.0.0.1",
    "2001:db8::1",
    "www",
    "*.a",
    "a.b.service.",
    "x.example.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "alpn=h2,h3 port=53",
    "ä",
    "0 5 \"x\"",
];

#[test]
fn no_text_is_more_than_problems_or_a_zone_that_can_be_written_and_read_again() {
    let mut rng = Rng::with_seed(setting("ZONEKEEPER_SEED", 1035));
    let lines: Vec<&str> = ZONE.lines().collect();
    for round in 0..setting("ZONEKEEPER_FUZZ", 40_000) / 4 {
        let mut data = Vec::new();
        if round % 2 == 0 {
            // Whole lines of a good file, with a byte changed now and then.
            for _ in 0..rng.usize(1..12) {
                data.extend_from_slice(lines[rng.usize(..lines.len())].as_bytes());
                data.push(b'\n');
            }
            for _ in 0..rng.usize(..3) {
                let at = rng.usize(..data.len());
                data[at] = rng.u8(..);
            }
            let _ = data.splice(..0, *b"$TTL 60\n");
        } else {
            for _ in 0..rng.usize(..30) {
                data.extend_from_slice(PIECES[rng.usize(..PIECES.len())].as_bytes());
                data.extend((rng.u8(..3) > 0).then_some(b' '));
            }
            if rng.u8(..4) == 0 {
                data.extend_from_slice(b"\xff$TTL 1\nmore A 10.0.0.9\n");
            }
        }
        master_file::check(&data);
    }
}

/// What tables of descriptions are made of.
const LINES: [&str; 24] = [
    "root = \"/r\"",
    "root = \"/\"",
    "path = \"{service}/{host}:{port}\"",
    "path = \"{service}/{id}\"",
    "path = \"{host},{port},{x}\"",
    "path = \"a/{id}-{seq}\"",
    "service = \"x/{id}\"",
    "service = \"{service}\"",
    "endpoint = \"{/a}:{/b|port}\"",
    "endpoint = \"{}\"",
    "endpoint = \"{/1/2}\"",
    "port = 0",
    "port = 80",
    "ports = { a = \"{/a}\", b = \"{port}\" }",
    "data = \"pairs\"",
    "data = \"protobuf\"",
    "data = \"java\"",
    "weight = \"{/w}\"",
    "weight_unit = 0.5",
    "tags = [\"{/a}\", \"x-{service}\"]",
    "up = { \"{/s}\" = [\"\", \"up\"] }",
    "needs = \"ready/{id}\"",
    "leader = \"lowest\"",
    "leader = \"leaders/{service}\"",
];

#[test]
fn no_znode_and_no_table_of_a_description_is_more_than_an_instance_or_a_reason() {
    let mut rng = Rng::with_seed(setting("ZONEKEEPER_SEED", 20));
    let descriptions = zonekeeper::format::declared::builtin();
    for round in 0..setting("ZONEKEEPER_FUZZ", 40_000) {
        let number = rng.usize(..descriptions.len());
        let one = rng.choice(&descriptions[number].examples).expect("each has an example");
        let mut data = vec![u8::try_from(number).expect("there are few")];
        if round % 8 == 0 {
            data[0] = 255;
            for _ in 0..rng.usize(1..8) {
                data.extend_from_slice(LINES[rng.usize(..LINES.len())].as_bytes());
                data.push(b'\n');
            }
            data.push(255);
        }
        data.push(u8::try_from(one.path.len()).unwrap_or(u8::MAX));
        data.extend_from_slice(one.path.as_bytes());
        data.extend_from_slice(&one.data);
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(1..=data.len());
            match rng.u8(..4) {
                0 if at > 2 => data.truncate(at),
                1 => data.insert(at, *rng.choice(b"{}[]\",:/-0\xff\x00\x80;=&%\n|").expect("some")),
                _ if at < data.len() => data[at] = rng.u8(..),
                _ => data.extend_from_within(at / 2..),
            }
        }
        description::check(&data);
    }
}

/// What znodes of conventions are made of.
const ZNODES: [&str; 40] = [
    "a.B/providers/",
    "a.B/configurators/",
    "config/dubbo/s.configurators",
    "com/example/web/",
    "search/services/",
    "dubbo%3A%2F%2F10.0.0.1%3A20880%2Fa.B%3Fapplication%3Ds%26weight%3D5%26group%3Dg",
    "override%3A%2F%2F0.0.0.0%2Fa.B%3Fdisabled%3Dtrue",
    "bolt%3A%2F%2Fhost.example",
    "member_0000000001",
    "i-0_0000000001",
    "base64_52_eyJob3N0IjoiMTAuMC4wLjEiLCJwb3J0Ijo4MCwibmFtZSI6ImkifQ==_0000000001",
    "10.0.0.1:80",
    "/",
    "%",
    "%3A",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\"host\":\"10.0.0.1\",",
    "\"port\":80,",
    "\"name\":\"n\",\"id\":\"i\",\"address\":\"10.0.0.1\",",
    "\"serviceEndpoint\":{\"host\":\"h\",\"port\":1,\"inet\":\"10.0.0.1\"},",
    "\"additionalEndpoints\":{\"x\":{\"host\":\"h\",\"port\":2}},",
    "\"status\":\"ALIVE\"",
    "\"labels\":{\"a\":\"b\"},",
    "\"type\":\"rr_host\",\"rr_host\":{\"address\":\"10.0.0.1\",\"ports\":[80]},",
    "\"type\":\"service\",\"service\":{\"srvce\":\"_http\",\"proto\":\"_tcp\",\"port\":80},",
    "\"payload\":{\"metadata\":{\"instance_status\":\"UP\",\"dubbo.endpoints\":\"[]\"}},",
    "server.1=zk1:2888:3888:participant;0.0.0.0:2181\n",
    "configs:\n- side: provider\n  addresses: [0.0.0.0]\n  parameters: {weight: 5}\n",
    "\u{c}\0\u{1}",
    "null",
    "-1",
    "99999999999999999999",
    "ä",
    "\0",
];

#[test]
fn no_znodes_of_any_convention_do_more_than_be_read_or_say_why_not() {
    let mut rng = Rng::with_seed(setting("ZONEKEEPER_SEED", 1035));
    for _ in 0..setting("ZONEKEEPER_FUZZ", 40_000) {
        let mut data = vec![rng.u8(..)];
        for _ in 0..rng.usize(1..4) {
            for end in [rng.usize(1..4), rng.usize(..8)] {
                for _ in 0..end {
                    data.extend_from_slice(ZNODES[rng.usize(..ZNODES.len())].as_bytes());
                }
                data.push(0xff);
            }
        }
        for _ in 0..rng.usize(..3) {
            let at = rng.usize(..data.len());
            data[at] = rng.u8(..);
        }
        conventions::check(&data);
    }
}
