//! Connections of one thread, whatever is around the messages on them: what they share, and the hot path on memory of
//! the thread.

use std::cell::{LazyCell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::connections::Open;
use crate::dns::fast::{
    self, Candidate, MAX_TCP, Parsed, PendingQuery, Query, Written, ZoneNumber, ZoneState, ZoneStates,
};
use crate::dns::message::options::Tail;
use crate::dns::message::padding::pad;
use crate::dns::serve::exchange::{self, Exchange};
use crate::dns::serve::gate::{Gate, Received};
use crate::dns::serve::metrics::{Counters, Tally};
use crate::dns::serve::outcome::Outcome;
use crate::dns::serve::{Service, since_1970};
use crate::dns::transport::Transport;
use crate::zone::Zones;

/// What the connections of one thread share.
pub(super) struct StreamContext {
    pub(super) zones: Zones,
    pub(super) front: Arc<Gate>,
    pub(super) service: Service,
    pub(super) counters: Arc<Counters>,
    pub(super) open: Arc<Open>,
    pub(super) transport: Transport,
}

/// Of so many rounds of answers one is timed.
const TIME_EVERY: u32 = 16;

/// Answers are written once there are so many bytes of them, even if more queries are there.
pub(super) const FLUSH: usize = 128 << 10;

/// The length of the first message, when all of it is there (RFC 1035 §4.2.2).
pub(super) fn whole_message(input: &[u8]) -> Option<usize> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    (rest.len() >= length).then_some(length)
}

/// Appends a message behind its length.
pub(super) fn push(output: &mut Vec<u8>, response: &[u8]) {
    if let Ok(length @ 1..) = u16::try_from(response.len()) {
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(response);
    }
}

/// Why no more of what was read is answered for the moment.
pub(super) enum Stopped {
    /// All whole messages are.
    Done,
    /// There is much to write.
    Full,
    /// This message is not for the hot path.
    Slow(Received),
}

/// Answers the messages in `input` from `done` on, all from one state of the zones.
pub(super) fn answer_all(
    input: &[u8],
    done: &mut usize,
    client: SocketAddr,
    output: &mut Vec<u8>,
    shared: &StreamContext,
) -> Stopped {
    SCRATCH.with_borrow_mut(|Scratch { query, response, spare, tail, tally, rounds }| {
        *rounds = rounds.wrapping_add(1);
        let started = rounds.is_multiple_of(TIME_EVERY).then(Instant::now);
        let mut answered = 0;
        tally.fit(&shared.counters);
        let (policy, now) = (shared.front.policy(), LazyCell::new(since_1970));
        let loaded = ZoneStates::new(&shared.zones, &policy, std::mem::take(spare));
        let mut stopped = Stopped::Done;
        while let Some(length) = whole_message(&input[*done..]) {
            if output.len() >= FLUSH {
                stopped = Stopped::Full;
                break;
            }
            let packet = &input[*done + 2..*done + 2 + length];
            *done += 2 + length;
            let (transport, peer) = (shared.transport, || client.ip());
            let exchange = |query, zone, outcome| Exchange { transport, peer: &peer, query, zone, outcome };
            let mut zone = 0;
            let parsed = fast::parse(packet, query);
            let built = match parsed {
                Parsed::Drop => {
                    exchange(exchange::ReadQuery::Malformed, zone, Outcome::Dropped).finish(tally);
                    continue;
                }
                Parsed::Plain => {
                    let random = fastrand::u32(..);
                    let asked = PendingQuery { packet, query, peer: &peer, now: &|| *now, transport, random };
                    let candidate = loaded.find(query);
                    zone = ZoneNumber::counted(candidate.map(Candidate::number));
                    fast::respond(&loaded, &asked, candidate, tail, response)
                }
                Parsed::Slow => Written::Slow,
            };
            match built {
                Written::Response { length, rcode, truncated, extended, is_empty } => {
                    answered += 1;
                    let outcome = Outcome::Response { rcode, truncated, extended, is_empty };
                    exchange(exchange::ReadQuery::Hot(query), zone, outcome).finish(tally);
                    let response = &response[..length.into()];
                    if transport.is_padded() && query.is_padded() {
                        let mut padded = response.to_vec();
                        pad(&mut padded, 0);
                        push(output, &padded);
                    } else {
                        push(output, response);
                    }
                }
                // Whoever has a connection is where he says he is: no rate bounds what he gets.
                Written::Slow | Written::Slip { .. } | Written::Limited => {
                    stopped = Stopped::Slow(fast::hand_over(parsed, packet, query));
                    break;
                }
            }
        }
        shared.counters.add(tally);
        if let Some(started) = started.filter(|_| answered > 0) {
            shared.counters.took(started.elapsed(), answered);
        }
        *spare = loaded.into_spare();
        stopped
    })
}

/// Outcome of one message.
pub(super) enum Answered {
    /// This is the response.
    Response(Vec<u8>),
    /// There is none to it.
    Nothing,
    /// It is not for the hot path.
    Slow(Received),
}

/// Answers one message.
pub(super) fn answer_one(packet: &[u8], client: SocketAddr, shared: &StreamContext) -> Answered {
    let (mut framed, mut output) = (Vec::with_capacity(2 + packet.len()), Vec::new());
    push(&mut framed, packet);
    match answer_all(&framed, &mut 0, client, &mut output, shared) {
        Stopped::Slow(received) => Answered::Slow(received),
        Stopped::Done | Stopped::Full if output.is_empty() => Answered::Nothing,
        Stopped::Done | Stopped::Full => Answered::Response(output.split_off(2)),
    }
}

/// Memory that a thread answers with; made once, as clearing 64 KiB for each answer would cost more than the answer.
struct Scratch {
    query: Query,
    /// Room in which a response is written before its length is known.
    response: Vec<u8>,
    spare: Vec<ZoneState>,
    tail: Tail,
    tally: Tally,
    /// Rounds of answers so far, of which some are timed.
    rounds: u32,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            query: Query::default(),
            response: vec![0; MAX_TCP],
            spare: Vec::new(),
            tail: Tail::default(),
            tally: Tally::default(),
            rounds: 0,
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_when_they_are_whole() {
        assert_eq!(whole_message(&[]), None);
        assert_eq!(whole_message(&[0]), None);
        assert_eq!(whole_message(&[0, 2, 7]), None);
        assert_eq!(whole_message(&[0, 2, 7, 8, 9]), Some(2));
        assert_eq!(whole_message(&[0, 0]), Some(0));
    }
}
