//! A hundred thousand packets that nobody should send, over UDP and TCP, at the binary as it is shipped: every reply is
//! DNS, memory and descriptors stay level, and whoever asks properly meanwhile is answered.
//!
//! `ZONEKEEPER_PACKETS=1000000` sends more, `ZONEKEEPER_SEED=7` others.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use fastrand::Rng;
use hickory_proto::op::{Message, ResponseCode};
use tokio::task::block_in_place;

use crate::comparison::ZONE;
use crate::comparison::questions::Questions;
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::asker::{Asker, Over, framed};
use crate::harness::{PATIENCE, eventually};

/// Packets between two proper questions.
const BLOCK: usize = 100;

/// What a proper question's ID is; no other packet has it.
const PROPER: u16 = 0xffff;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_bad_packets_are_survived_and_leave_nothing_behind() {
    let file = scratch("service.zone");
    std::fs::write(&file, ZONE).unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let server = Binary::serve(&format!(
        "[[zone]]\norigin = \"service.\"\nfile = \"{}\"\n[dns]\nlisten = [\"{address}\"]\n",
        file.display()
    ));
    eventually("an answer", async || is_right(&mut Asker::new(address), Over::Udp).then_some(())).await;
    block_in_place(|| {
        let mut storm = Storm::new(address, setting("ZONEKEEPER_SEED", 8906));
        let packets = usize::try_from(setting("ZONEKEEPER_PACKETS", 100_000)).unwrap();
        // What is needed once, such as a runtime's threads and each one's scratch memory, is no leak.
        storm.rage(packets / 10);
        let before = (resident(server.id()), descriptors(server.id()));
        storm.rage(packets - packets / 10);
        assert_eq!(storm.sent, packets);
        let after = resident(server.id());
        println!(
            "{packets} packets, {} replies over UDP and {} over TCP; {} KiB before, {after} KiB after",
            storm.replies[0], storm.replies[1], before.0
        );
        assert!(storm.replies.iter().all(|replies| *replies > packets / 10), "{:?}", storm.replies);
        assert!(after < before.0 + 8 * 1024, "{} KiB grew to {after} KiB", before.0);
        let begun = Instant::now();
        while descriptors(server.id()) > before.1 {
            assert!(begun.elapsed() < PATIENCE, "{} descriptors, {} before", descriptors(server.id()), before.1);
            std::thread::yield_now();
        }
    });
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// Sends bad packets, and looks at what comes back.
struct Storm {
    server: SocketAddr,
    rng: Rng,
    questions: Questions,
    udp: UdpSocket,
    proper: Asker,
    sent: usize,
    /// Over UDP, over TCP.
    replies: [usize; 2],
}

impl Storm {
    fn new(server: SocketAddr, seed: u64) -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect(server).unwrap();
        udp.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let (rng, questions) = (Rng::with_seed(seed), Questions::new(ZONE, seed));
        Self { server, rng, questions, udp, proper: Asker::new(server), sent: 0, replies: [0; 2] }
    }

    fn rage(&mut self, packets: usize) {
        let end = self.sent + packets;
        while self.sent < end {
            let block: Vec<Vec<u8>> = (0..BLOCK.min(end - self.sent)).map(|_| self.bad_packet()).collect();
            self.sent += block.len();
            match self.rng.u8(..5) {
                0 => self.broken_stream(&block),
                1 | 2 => self.over_tcp(&block),
                _ => self.over_udp(&block),
            }
            let over = if self.rng.bool() { Over::Udp } else { Over::Tcp };
            assert!(is_right(&mut self.proper, over), "after {} packets, over {over:?}", self.sent);
        }
    }

    /// Random bytes, or a question that was tampered with.
    fn bad_packet(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        let mut packet = if rng.u8(..10) == 0 {
            (0..rng.usize(..600)).map(|_| rng.u8(..)).collect()
        } else {
            self.questions.next_one().packet
        };
        for _ in 0..rng.usize(..5) {
            match rng.u8(..6) {
                0 => packet.truncate(rng.usize(..=packet.len())),
                1 => packet.extend((0..rng.usize(..40)).map(|_| rng.u8(..))),
                // Counts, types and lengths that are off by a little.
                2 if packet.len() > 12 => {
                    let at = rng.usize(4..12);
                    packet[at] = rng.u8(..3);
                }
                // Two messages in one, or half of it twice.
                3 if packet.len() > 12 => {
                    let at = rng.usize(12..packet.len());
                    packet.extend_from_within(at..);
                }
                4 if packet.len() > 14 => {
                    let at = rng.usize(12..packet.len() - 1);
                    packet[at..at + 2].copy_from_slice(&[0xc0, rng.u8(..)]);
                }
                _ if packet.is_empty() => {}
                _ => {
                    let at = rng.usize(..packet.len());
                    packet[at] = rng.u8(..);
                }
            }
        }
        if packet.starts_with(&PROPER.to_be_bytes()) {
            packet[0] = 0;
        }
        packet.truncate(1400);
        packet
    }

    fn over_udp(&mut self, block: &[Vec<u8>]) {
        for packet in block {
            self.udp.send(packet).unwrap();
        }
        let begun = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            assert!(begun.elapsed() < PATIENCE, "UDP is not answered any more");
            self.udp.send(&proper()).unwrap();
            // What comes after the proper answer is read the next time.
            while let Ok(length) = self.udp.recv(&mut buffer) {
                if self.is_proper(&buffer[..length], 0) {
                    return;
                }
            }
        }
    }

    fn over_tcp(&mut self, block: &[Vec<u8>]) {
        let mut stream = self.connect();
        let all: Vec<u8> = block.iter().map(Vec::as_slice).chain([&*proper()]).flat_map(framed).collect();
        stream.write_all(&all).unwrap();
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("an answer over TCP");
            let mut reply = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut reply).expect("all of an answer");
            if self.is_proper(&reply, 1) {
                return;
            }
        }
    }

    /// Bytes without regard to where messages begin, and then nothing more, or an end in the middle.
    fn broken_stream(&mut self, block: &[Vec<u8>]) {
        let mut stream = self.connect();
        // The server may have had enough of it before the end.
        let _ = stream.write_all(&block.concat());
        if self.rng.bool() {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Checks a reply; says whether it is that to the proper question.
    fn is_proper(&mut self, reply: &[u8], transport: usize) -> bool {
        self.replies[transport] += 1;
        let message = Message::from_vec(reply).unwrap_or_else(|error| panic!("{error}: {reply:?}"));
        assert!(reply[2] & 0x80 != 0, "a query came back: {reply:?}");
        if message.metadata.id != PROPER {
            return false;
        }
        assert_eq!((message.metadata.response_code, message.answers.len()), (ResponseCode::NoError, 2));
        true
    }
}

/// `two.service` A, in bytes.
fn proper() -> Vec<u8> {
    let [high, low] = PROPER.to_be_bytes();
    [&[high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x03two\x07service\0\0\x01\0\x01"].concat()
}

/// Whether a proper question has its proper answer.
fn is_right(asker: &mut Asker, over: Over) -> bool {
    let answer = asker.ask(&proper(), over, Duration::from_secs(5));
    let message = answer.and_then(|bytes| Message::from_vec(&bytes).ok());
    message.is_some_and(|message| message.answers.len() == 2)
}

/// Memory of a process, in KiB.
fn resident(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("a process").count()
}
