//! NOTIFY (RFC 1996): tells the secondaries that a zone has changed, so that they need not wait for their refresh.
//!
//! [`NotifyPlan`] decides, purely: changes that come quickly are told together, what nobody acknowledges is told again,
//! and after some attempts no more until the next change. Who has a key is told with it, and is believed only with it
//! (RFC 8945). [`run`] has the sockets, and follows the zones' events.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::dns::message::parse::Message;
use crate::dns::message::sizes::{AA, MAX_UDP};
use crate::dns::message::tsig::{Asker, Checked};
use crate::dns::message::writer::{Compress, Section, WireRecord, Writer};
use crate::dns::serve::since_1970;
use crate::dns::transfer::secondaries::Secondary;
use crate::zone::Zone;
use crate::zone::events::Changes;
use crate::zone::journal;
use crate::zone::record::rtype;

/// A secondary is told of new changes at most this often: a storm of them is a few transfers. NSD takes no more than
/// one transfer a second, and begins again when it gets two.
const SPACING: Duration = Duration::from_secs(1);

/// Patience with the first attempt; each one after it twice as long (RFC 1996 §3.6).
const TIMEOUT: Duration = Duration::from_secs(1);

/// Attempts for one serial: a minute's worth.
const ATTEMPTS: u32 = 6;

/// A zone, and who is told of its changes.
pub type NotifyTargets = (Arc<Zone>, Vec<Secondary>);

/// Plan of who is told what, and when.
#[derive(Debug, Default)]
pub struct NotifyPlan {
    tellings: Vec<Telling>,
}

/// One zone and one secondary.
#[derive(Debug)]
struct Telling {
    zone: Arc<Zone>,
    secondary: Secondary,
    /// Key that the last message was signed with, if it was.
    asker: Option<Asker>,
    /// The last serial told.
    told: Option<u32>,
    /// Time at which it was told first.
    began: Option<Instant>,
    state: SecondaryState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SecondaryState {
    /// Acknowledged, given up, or nothing was ever to be told.
    Quiet,
    /// Told so many times, under this ID; again when it is due.
    Waiting { id: u16, attempts: u32, due: Instant },
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub secondary: SocketAddr,
    /// The message.
    pub message: Vec<u8>,
}

impl NotifyPlan {
    /// From now on these secondaries are told of these zones. Those that were told before are not told again of what
    /// they know.
    pub fn tell(&mut self, told: &[NotifyTargets]) {
        let mut before = std::mem::take(&mut self.tellings);
        for (zone, secondaries) in told {
            for secondary in secondaries {
                let is_same =
                    |telling: &mut Telling| Arc::ptr_eq(&telling.zone, zone) && telling.secondary == *secondary;
                let known = before.extract_if(.., is_same).next();
                self.tellings.push(known.unwrap_or_else(|| Telling::new(Arc::clone(zone), secondary.clone())));
            }
        }
    }

    /// Returns whether there is nobody to be told.
    pub fn is_empty(&self) -> bool {
        self.tellings.is_empty()
    }

    /// The secondaries.
    pub fn secondaries(&self) -> impl Iterator<Item = SocketAddr> {
        self.tellings.iter().map(|telling| telling.secondary.address)
    }

    /// Returns the messages to be sent at `now`, which is `unix` in seconds since 1970. `id` gives the ID of each
    /// message.
    pub fn due(&mut self, now: Instant, unix: u64, mut id: impl FnMut() -> u16) -> Vec<Outgoing> {
        self.tellings.iter_mut().filter_map(|telling| telling.due(now, unix, &mut id)).collect()
    }

    /// Returns the time at which something is to be sent next, as far as no zone changes before.
    pub fn wake(&self) -> Option<Instant> {
        self.tellings.iter().filter_map(Telling::wake).min()
    }

    /// The zones.
    fn zones(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.tellings.iter().map(|telling| &telling.zone)
    }

    /// Takes a response in, at `unix`. What is none to anything that was sent is ignored.
    pub fn receive(&mut self, from: SocketAddr, message: &[u8], unix: u64) {
        let Ok(message) = Message::parse(message) else { return };
        let response = &message.request;
        if !response.is_response() || response.opcode() != OPCODE {
            return;
        }
        let id = response.id();
        let is_meant = |telling: &&mut Telling| {
            telling.secondary.address == from
                && matches!(telling.state, SecondaryState::Waiting { id: sent, .. } if sent == id)
        };
        let Some(telling) = self.tellings.iter_mut().find(is_meant) else { return };
        // Where a question comes back it must be ours.
        let question = response.question.as_ref();
        if question.is_some_and(|question| question.name.folded() != *telling.zone.origin()) {
            return;
        }
        match telling.asker.as_ref().map(|asker| asker.check(&message, unix)) {
            None | Some(Checked::Good) => {}
            Some(Checked::Unsigned(error)) => {
                // It may not be the secondary who says so: it is told again.
                let zone = telling.zone.origin();
                warn!(%zone, secondary = %from, error, "a secondary does not take the key of a NOTIFY");
                return;
            }
            Some(Checked::Bad) => return,
        }
        telling.state = SecondaryState::Quiet;
        let (zone, rcode) = (telling.zone.origin(), response.rcode());
        if rcode == 0 {
            debug!(%zone, secondary = %from, serial = telling.told, "a secondary has taken a NOTIFY");
        } else {
            // Asking again would not change its mind.
            warn!(%zone, secondary = %from, rcode, "a secondary refuses NOTIFY: is it configured for the zone?");
        }
    }
}

impl Telling {
    fn new(zone: Arc<Zone>, secondary: Secondary) -> Self {
        Self { zone, secondary, asker: None, told: None, began: None, state: SecondaryState::Quiet }
    }

    fn due(&mut self, now: Instant, unix: u64, id: &mut impl FnMut() -> u16) -> Option<Outgoing> {
        // A zone that cannot be transferred now is not worth asking about.
        if !self.zone.is_transferable() {
            return None;
        }
        let serial = self.zone.serial();
        let is_new = self.told != Some(serial);
        if is_new && self.began.is_none_or(|began| now >= began + SPACING) {
            (self.told, self.began) = (Some(serial), Some(now));
            return self.send(now, unix, id(), 0);
        }
        let SecondaryState::Waiting { id, attempts, due } = self.state else { return None };
        if now < due {
            return None;
        }
        if attempts >= ATTEMPTS {
            self.state = SecondaryState::Quiet;
            let (zone, secondary) = (self.zone.origin(), self.secondary.address);
            warn!(%zone, %secondary, serial, "a secondary does not answer NOTIFY: it will find out by its refresh");
            return None;
        }
        self.send(now, unix, id, attempts)
    }

    /// Returns the time at which [`Self::due`] may have something to send, as far as the zone does not change before.
    fn wake(&self) -> Option<Instant> {
        if !self.zone.is_transferable() {
            return None;
        }
        let spaced = self.began.filter(|_| self.told != Some(self.zone.serial())).map(|began| began + SPACING);
        let again = match self.state {
            SecondaryState::Waiting { due, .. } => Some(due),
            SecondaryState::Quiet => None,
        };
        spaced.into_iter().chain(again).min()
    }

    fn send(&mut self, now: Instant, unix: u64, id: u16, attempts: u32) -> Option<Outgoing> {
        self.state = SecondaryState::Waiting { id, attempts: attempts + 1, due: now + TIMEOUT * (1 << attempts) };
        let mut message = message(&self.zone, id)?;
        self.asker = self.secondary.key.as_ref().map(|key| Asker::sign(key, &mut message, unix));
        Some(Outgoing { secondary: self.secondary.address, message })
    }
}

const OPCODE: u8 = 4;

/// The message: the zone's SOA asked for, and told (RFC 1996 §3.7).
fn message(zone: &Zone, id: u16) -> Option<Vec<u8>> {
    let table = zone.load();
    let soa = journal::soa(table.get(zone.origin().wire())?)?;
    let origin = zone.origin().wire();
    let mut head = id.to_be_bytes().to_vec();
    head.extend_from_slice(&[OPCODE << 3 | AA, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    head.extend_from_slice(origin);
    head.extend_from_slice(&[rtype::SOA.to_be_bytes(), [0, 1]].concat());
    let mut writer = Writer::new(head, MAX_UDP);
    let record = WireRecord { owner: origin, rtype: rtype::SOA, class: 1, ttl: soa.ttl, rdata: &soa.rdata };
    writer.push(Section::Answer, &record, Compress::Owners).then(|| writer.finish())
}

/// The address to tell `secondary` from: secondaries take a NOTIFY only from whom they transfer from, which is an
/// address that DNS answers on; where that does not say one, the system's choice.
pub fn source(secondary: IpAddr, listening: &[SocketAddr]) -> IpAddr {
    let fits = |own: &IpAddr| {
        own.is_ipv4() == secondary.is_ipv4() && !own.is_unspecified() && own.is_loopback() == secondary.is_loopback()
    };
    listening.iter().map(SocketAddr::ip).find(fits).unwrap_or(match secondary {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    })
}

/// Tells until `stop`, whom `told` says. `listening` are the addresses that DNS answers on.
pub async fn run(mut told: watch::Receiver<Vec<NotifyTargets>>, listening: Vec<SocketAddr>, stop: CancellationToken) {
    let (mut plan, mut sockets, mut buffer) = (NotifyPlan::default(), HashMap::new(), [0; MAX_UDP]);
    plan.tell(&told.borrow_and_update());
    let mut changes = Changes::of(plan.zones().map(|zone| zone.follow()));
    open(&plan, &listening, &mut sockets).await;
    loop {
        let unix = since_1970().as_secs();
        for socket in sockets.values() {
            while let Ok((length, from)) = socket.try_recv_from(&mut buffer) {
                plan.receive(from, &buffer[..length], unix);
            }
        }
        let now = tokio::time::Instant::now().into_std();
        for Outgoing { secondary, message } in plan.due(now, unix, || fastrand::u16(..)) {
            let Some(socket) = sockets.get(&source(secondary.ip(), &listening)) else { continue };
            // It is told again, whatever the reason was.
            if let Err(error) = socket.send_to(&message, secondary).await {
                debug!(%secondary, %error, "cannot send a NOTIFY");
            }
        }
        let wake = plan.wake();
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = told.changed() => {
                plan.tell(&told.borrow_and_update());
                changes = Changes::of(plan.zones().map(|zone| zone.follow()));
                open(&plan, &listening, &mut sockets).await;
            }
            () = changes.changed() => {}
            () = readable(&sockets) => {}
            () = tokio::time::sleep_until(wake.unwrap_or(now).into()), if wake.is_some() => {}
        }
    }
}

/// Waits until something has come in at one of these sockets.
async fn readable(sockets: &HashMap<IpAddr, UdpSocket>) {
    poll_fn(|context| {
        // An error is one of a message that was sent: the socket goes on.
        let is_ready = |socket: &UdpSocket| socket.poll_recv_ready(context).is_ready();
        if sockets.values().any(is_ready) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Opens a socket for every address that secondaries are told from.
async fn open(plan: &NotifyPlan, listening: &[SocketAddr], sockets: &mut HashMap<IpAddr, UdpSocket>) {
    for secondary in plan.secondaries() {
        let source = source(secondary.ip(), listening);
        if sockets.contains_key(&source) {
            continue;
        }
        match UdpSocket::bind((source, 0)).await {
            Ok(socket) => drop(sockets.insert(source, socket)),
            Err(error) => warn!(%secondary, %source, %error, "cannot send NOTIFY from this address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::key::TsigKey;
    use crate::dns::message::tsig::tests::{NOW as UNIX, key};
    use crate::dns::message::tsig::{Verdict, check};
    use crate::zone::Freshness;
    use crate::zone::ZoneBuilder;
    use crate::zone::name::Name;
    use crate::zone::offer::{Offer, Rank};
    use crate::zone::writer::ZoneWriter;

    fn secondary() -> SocketAddr {
        "192.0.2.9:53".parse().unwrap()
    }

    fn plan(writer: &ZoneWriter, key: Option<Arc<TsigKey>>) -> NotifyPlan {
        let mut plan = NotifyPlan::default();
        plan.tell(&[(Arc::clone(writer.zone()), vec![Secondary { address: secondary(), key }])]);
        plan
    }

    fn zone() -> (ZoneWriter, NotifyPlan, Instant) {
        let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build();
        writer.commit(100);
        let plan = plan(&writer, None);
        (writer, plan, tokio::time::Instant::now().into_std())
    }

    fn change(writer: &mut ZoneWriter, label: u32) {
        let owner = Name::parse(&format!("s{label}.service")).unwrap();
        writer.put("x", vec![Offer { owner, rank: Rank::Real, sets: Box::default() }]);
        writer.commit(100).unwrap();
    }

    fn serial(outgoing: &Outgoing) -> u32 {
        let numbers = outgoing.message.last_chunk::<20>().unwrap();
        u32::from_be_bytes([numbers[0], numbers[1], numbers[2], numbers[3]])
    }

    fn acknowledge(outgoing: &Outgoing) -> Vec<u8> {
        let mut message = outgoing.message.clone();
        message[2] |= 0x80;
        message
    }

    #[test]
    fn a_storm_of_changes_is_told_together_and_the_last_is_never_missed() {
        let (mut writer, mut plan, begun) = zone();
        assert!(plan.due(begun, UNIX, || 1).is_empty(), "there is nothing to transfer yet");
        writer.set_freshness(Freshness::Fresh);
        let mut told = Vec::new();
        for step in 0..100 {
            change(&mut writer, step);
            for outgoing in plan.due(begun + Duration::from_millis(u64::from(step) * 20), UNIX, || 1) {
                plan.receive(secondary(), &acknowledge(&outgoing), UNIX);
                told.push(serial(&outgoing));
            }
        }
        assert_eq!(told.len(), 2, "{told:?}");
        let last = plan.due(begun + Duration::from_secs(3), UNIX, || 1);
        assert_eq!(serial(&last[0]), writer.zone().serial());
        plan.receive(secondary(), &acknowledge(&last[0]), UNIX);
        assert!(plan.due(begun + Duration::from_secs(1000), UNIX, || 1).is_empty());
    }

    #[test]
    fn what_is_not_acknowledged_is_told_again_and_given_up_in_the_end() {
        let (mut writer, mut plan, begun) = zone();
        writer.set_freshness(Freshness::Fresh);
        let times = |plan: &mut NotifyPlan, from: u64| -> Vec<u64> {
            (from..from + 200).filter(|at| !plan.due(begun + Duration::from_secs(*at), UNIX, || 7).is_empty()).collect()
        };
        assert_eq!(times(&mut plan, 0), [0, 1, 3, 7, 15, 31]);
        let mut writer = writer;
        change(&mut writer, 1);
        assert_eq!(times(&mut plan, 300), [300, 301, 303, 307, 315, 331]);
    }

    #[test]
    fn only_the_right_response_counts() {
        let (mut writer, mut plan, begun) = zone();
        writer.set_freshness(Freshness::Fresh);
        let sent = plan.due(begun, UNIX, || 7).remove(0);
        let good = acknowledge(&sent);
        let changed = |at: usize, byte: u8| {
            let mut message = good.clone();
            message[at] = byte;
            message
        };
        for wrong in [changed(1, 8), changed(2, 0x24), changed(2, 0x84), changed(13, b'x'), good[..11].to_vec()] {
            plan.receive(secondary(), &wrong, UNIX);
        }
        plan.receive("192.0.2.8:53".parse().unwrap(), &good, UNIX);
        assert_eq!(plan.due(begun + TIMEOUT, UNIX, || 7).len(), 1, "still waiting");
        plan.receive(secondary(), &changed(3, 5), UNIX);
        assert!(plan.due(begun + TIMEOUT * 100, UNIX, || 7).is_empty(), "a refusal is an answer");
    }

    #[test]
    fn a_notify_comes_from_an_address_that_answers() {
        let listening: Vec<SocketAddr> =
            ["127.0.0.1:53", "[::1]:53", "192.0.2.1:53", "0.0.0.0:54"].map(|text| text.parse().unwrap()).into();
        let source = |text: &str| source(text.parse().unwrap(), &listening).to_string();
        assert_eq!(source("127.0.0.5"), "127.0.0.1");
        assert_eq!(source("::1"), "::1");
        assert_eq!(source("198.51.100.1"), "192.0.2.1");
        assert_eq!(source("2001:db8::1"), "::");
    }

    #[test]
    fn who_has_a_key_is_told_with_it_and_believed_only_with_it() {
        let (mut writer, _, begun) = zone();
        writer.set_freshness(Freshness::Fresh);
        let key = key("xfr", b"0123456789abcdef");
        let mut plan = plan(&writer, Some(Arc::clone(&key)));
        let sent = plan.due(begun, UNIX, || 7).remove(0);
        let request = Message::parse(&sent.message).unwrap();
        plan.receive(secondary(), &request.request.response(0, true), UNIX);
        let Verdict::Bad(no_such_key) = check(&request, &[], UNIX) else { panic!("it is taken") };
        plan.receive(secondary(), &no_such_key, UNIX);
        let again = plan.due(begun + TIMEOUT, UNIX, || 7).remove(0);
        let request = Message::parse(&again.message).unwrap();
        let Verdict::Good(mut signer) = check(&request, &[key], UNIX) else { panic!("it is not signed") };
        let mut response = request.request.response(0, true);
        signer.sign(&mut response, UNIX);
        plan.receive(secondary(), &response, UNIX);
        assert!(plan.due(begun + TIMEOUT * 100, UNIX, || 7).is_empty());
    }

    #[test]
    fn who_stays_on_the_list_is_not_told_again_and_who_comes_is() {
        let (mut writer, mut plan, begun) = zone();
        writer.set_freshness(Freshness::Fresh);
        let sent = plan.due(begun, UNIX, || 7).remove(0);
        plan.receive(secondary(), &acknowledge(&sent), UNIX);
        let other = "192.0.2.10:53".parse().unwrap();
        let list = [secondary(), other].map(|address| Secondary { address, key: None });
        plan.tell(&[(Arc::clone(writer.zone()), list.into())]);
        let sent = plan.due(begun, UNIX, || 8);
        assert_eq!(sent.iter().map(|outgoing| outgoing.secondary).collect::<Vec<_>>(), [other]);
        plan.tell(&[]);
        assert!(plan.is_empty() && plan.due(begun + TIMEOUT, UNIX, || 9).is_empty());
    }
}
