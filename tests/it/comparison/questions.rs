//! Random questions about a zone: names in it, near it and out of it, types, classes, flags and EDNS of every kind.

use std::fmt;

use fastrand::Rng;
use zonekeeper::zone::name::Name;

use crate::harness::asker::Over;

/// One question, as it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) packet: Vec<u8>,
    pub(crate) over: Over,
    pub(crate) name: Name,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) opcode: u8,
    /// The version of EDNS, if it speaks any.
    pub(crate) edns: Option<u8>,
    /// Where the question ends.
    pub(crate) question_end: usize,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { over, name, rtype, class, opcode, edns, packet, .. } = self;
        let flags = &packet[2..4];
        write!(f, "{name} type {rtype} class {class} opcode {opcode} flags {flags:02x?} EDNS {edns:?} over {over:?}")
    }
}

/// Makes questions.
pub(crate) struct Questions {
    rng: Rng,
    /// The owners of the zone, and names its records point to.
    names: Vec<Name>,
    id: u16,
}

/// The types of the zone, and some that it has nothing of.
const TYPES: [u16; 36] = [
    1, 1, 1, 28, 28, 33, 33, 2, 2, 5, 5, 6, 12, 13, 15, 15, 16, 16, 17, 18, 35, 36, 37, 39, 39, 43, 44, 46, 47, 52, 61,
    64, 65, 256, 257, 65_400,
];

/// Options that a server is free to ignore: NSID, a client subnet, padding, keep-alive, and two nobody knows.
const OPTIONS: [&[u8]; 6] = [
    &[0, 3, 0, 0],
    &[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2],
    &[0, 12, 0, 4, 0, 0, 0, 0],
    &[0, 100, 0, 0],
    &[0xfd, 0xe9, 0, 3, 1, 2, 3],
    &[0xff, 0xfe, 0, 0, 0, 100, 0, 1, 9],
];

fn one_in(rng: &mut Rng, n: u8) -> u8 {
    u8::from(rng.u8(..n) == 0)
}

impl Questions {
    /// Questions about the zone `service.` in `text`, always the same for one seed.
    pub(crate) fn new(text: &str, seed: u64) -> Self {
        let origin = Name::parse("service").expect("a name");
        let relative = |word: &str| match word {
            "@" => Some(origin.clone()),
            word if word.ends_with('.') => Name::parse(word).ok(),
            word => Name::parse(&format!("{word}.service")).ok(),
        };
        let lines = text.lines().filter(|line| !line.starts_with([';', '$', ' ']));
        let words = lines.filter(|line| line.contains(" IN ")).flat_map(|line| {
            let data = line
                .split_whitespace()
                .last()
                .filter(|_| [" CNAME ", " NS ", " DNAME "].iter().any(|t| line.contains(t)));
            line.split_whitespace().next().into_iter().chain(data)
        });
        let mut names: Vec<Name> = words.filter_map(relative).collect();
        names.sort();
        names.dedup();
        Self { rng: Rng::with_seed(seed), names, id: 0 }
    }

    fn name(&mut self) -> Name {
        let rng = &mut self.rng;
        let known = self.names[rng.usize(..self.names.len())].clone();
        let labels = ["x", "*", "nobody", "_tcp", "a", "host", "in", "ns", "\u{1}", "deleg", "sub"];
        let below = |name: &Name, rng: &mut Rng| {
            name.child(labels[rng.usize(..labels.len())].as_bytes()).unwrap_or_else(|_| name.clone())
        };
        match rng.u8(..20) {
            0..9 => known,
            9..12 => below(&known, rng),
            12 | 13 => below(&below(&known, rng), rng),
            14 | 15 => known.parent().unwrap_or(known),
            16 => below(&known.parent().unwrap_or(known), rng),
            17 => {
                // As long as a name can be.
                let mut name = known;
                while let Ok(longer) = name.child(&vec![b'l'; rng.usize(1..64)]) {
                    name = longer;
                }
                name
            }
            18 => {
                let bytes: Vec<u8> = (0..rng.usize(1..20)).map(|_| rng.u8(..)).collect();
                Name::parse("service").and_then(|name| name.child(&bytes)).unwrap_or(known)
            }
            _ => {
                let elsewhere = [".", "com", "example.com", "service.example", "xservice", "version.bind", "ervice"];
                Name::parse(elsewhere[rng.usize(..elsewhere.len())]).unwrap_or(known)
            }
        }
    }

    /// The next question.
    pub(crate) fn next_one(&mut self) -> Asked {
        let name = self.name();
        let rng = &mut self.rng;
        let spelled: Vec<u8> =
            name.wire().iter().map(|byte| if rng.bool() { byte.to_ascii_uppercase() } else { *byte }).collect();
        // Lengths are no letters: 65 and more are no lengths.
        let rtype = match rng.u8(..20) {
            0 => 255,
            1 => rng.u16(..),
            _ => TYPES[rng.usize(..TYPES.len())],
        };
        let class: u16 = if rng.u8(..40) == 0 { [3, 4, 254, 255, 9][rng.usize(..5)] } else { 1 };
        let opcode = if rng.u8(..60) == 0 { rng.u8(..16) } else { 0 };
        // RD and CD come often, AD and Z sometimes.
        let flags =
            [opcode << 3 | u8::from(rng.bool()), one_in(rng, 4) << 4 | one_in(rng, 8) << 5 | one_in(rng, 16) << 6];
        self.id = self.id.wrapping_add(1);
        let mut packet = self.id.to_be_bytes().to_vec();
        packet.extend_from_slice(&flags);
        packet.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        packet.extend_from_slice(&spelled);
        packet.extend_from_slice(&rtype.to_be_bytes());
        packet.extend_from_slice(&class.to_be_bytes());
        let question_end = packet.len();
        let edns = (rng.u8(..4) > 0).then(|| if rng.u8(..30) == 0 { rng.u8(1..) } else { 0 });
        if let Some(version) = edns {
            packet[11] = 1;
            let size = [0, 512, 700, 1232, 1232, 1400, 4096, 65_535][rng.usize(..8)];
            let (dnssec_ok, unknown) = (rng.u8(..2) << 7, if rng.u8(..10) == 0 { rng.u8(..128) } else { 0 });
            let options = if rng.u8(..3) == 0 { OPTIONS[rng.usize(..OPTIONS.len())] } else { &[] };
            packet.extend_from_slice(&[0, 0, 41]);
            packet.extend_from_slice(&u16::to_be_bytes(size));
            packet.extend_from_slice(&[0, version, dnssec_ok | unknown, 0, 0]);
            packet.push(u8::try_from(options.len()).expect("a short option"));
            packet.extend_from_slice(options);
        }
        let over = if rng.u8(..6) == 0 { Over::Tcp } else { Over::Udp };
        Asked { packet, over, name: name.folded(), rtype, class, opcode, edns, question_end }
    }
}
