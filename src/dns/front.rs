//! What stands before the ordinary answers, on bytes: who may ask at all, signatures, and zone transfers.
//!
//! A transport gives every request to [`Front::admit`] first (the fast path may skip it for plain queries as long as
//! [`Front::may_query`] holds). Pure: addresses and the time are arguments.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::{debug, info};

use super::access::{Networks, Transfers};
use super::key::Key;
use super::request::{HEADER, Request};
use super::transfer::{Kind, Transfer};
use super::tsig::{self, Signer, Verdict};
use crate::zone::Zones;

/// The gate of a server.
#[derive(Debug)]
pub struct Front {
    zones: Zones,
    keys: Vec<Arc<Key>>,
    allow_query: Networks,
    allow_transfer: Transfers,
    running: Arc<AtomicUsize>,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Admitted<'m> {
    /// This is the answer.
    Answer(Vec<u8>),
    /// These messages are.
    Transfer(Running),
    /// The ordinary path answers this message, and the signer signs what it says.
    Pass(Cow<'m, [u8]>, Option<Signer>),
}

/// A transfer that has its place among those that may run at once.
#[derive(Debug)]
pub struct Running {
    /// The messages.
    pub(super) transfer: Transfer,
    _place: Place,
}

impl Running {
    /// How it is answered.
    pub fn kind(&self) -> Kind {
        self.transfer.kind()
    }
}

/// More at once would be a burden; secondaries come again.
const MAX_TRANSFERS: usize = 32;

const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;

/// Extended error 18, Prohibited (RFC 8914 §4.19).
const PROHIBITED: u16 = 18;

impl Front {
    /// A gate before `zones`.
    pub fn new(zones: Zones, keys: Vec<Arc<Key>>, allow_query: Networks, allow_transfer: Transfers) -> Self {
        Self { zones, keys, allow_query, allow_transfer, running: Arc::default() }
    }

    /// A gate that lets everybody ask and nobody transfer.
    pub fn open(zones: Zones) -> Self {
        Self::new(zones, Vec::new(), Networks::everybody(), Transfers::default())
    }

    /// Whether plain queries from `peer` are answered.
    pub fn may_query(&self, peer: IpAddr) -> bool {
        self.allow_query.decide(peer)
    }

    /// Decides about a request that came from `peer`, at `now` in seconds since 1970.
    pub fn admit<'m>(&self, message: &'m [u8], peer: IpAddr, is_udp: bool, now: u64) -> Admitted<'m> {
        let Some(request) = Request::parse(message) else { return Admitted::Pass(message.into(), None) };
        let signer = match tsig::check(&request, &self.keys, now) {
            Verdict::Unsigned => None,
            Verdict::Good(signer) => Some(signer),
            Verdict::Bad(answer) => {
                debug!(%peer, "a request with a bad signature");
                return Admitted::Answer(answer);
            }
        };
        // What is to be said of another EDNS version is the handler's to say.
        if request.is_transfer() && request.edns.is_none_or(|edns| edns.version == 0) {
            return self.transfer(&request, peer, is_udp, signer, now);
        }
        // A secondary that may transfer must be able to ask for the SOA.
        let key = signer.as_ref().map(Signer::key);
        if !self.may_query(peer) && !self.allow_transfer.decide(peer, key) {
            return Admitted::Answer(finish(refused(&request), signer, now));
        }
        let message = if signer.is_some() { tsig::strip(&request).into() } else { message.into() };
        Admitted::Pass(message, signer)
    }

    fn transfer<'m>(
        &self,
        request: &Request<'_>,
        peer: IpAddr,
        is_udp: bool,
        signer: Option<Signer>,
        now: u64,
    ) -> Admitted<'m> {
        let zone = &request.question.name;
        if !self.allow_transfer.decide(peer, signer.as_ref().map(Signer::key)) {
            info!(%peer, %zone, "a zone transfer is refused: allow_transfer does not allow it");
            return Admitted::Answer(finish(refused(request), signer, now));
        }
        let begun = Place::take(&self.running).ok_or(SERVFAIL).and_then(|place| {
            let transfer = Transfer::begin(&self.zones, request, is_udp).map_err(|refusal| refusal as u8)?;
            Ok((transfer, place))
        });
        match begun {
            Ok((transfer, place)) => {
                debug!(%peer, %zone, kind = transfer.kind().as_str(), serial = transfer.serial(), "a zone transfer");
                Admitted::Transfer(Running { transfer: transfer.signed(signer), _place: place })
            }
            Err(rcode) => {
                debug!(%peer, %zone, rcode, "no zone transfer");
                let mut response = request.response(rcode, false);
                request.push_opt(&mut response, None);
                Admitted::Answer(finish(response, signer, now))
            }
        }
    }
}

/// REFUSED, and for those who speak EDNS why.
fn refused(request: &Request<'_>) -> Vec<u8> {
    let mut response = request.response(REFUSED, false);
    request.push_opt(&mut response, Some(PROHIBITED));
    response
}

fn finish(mut message: Vec<u8>, signer: Option<Signer>, now: u64) -> Vec<u8> {
    if let Some(mut signer) = signer {
        signer.sign(&mut message, now);
    }
    message
}

/// Signs an ordinary answer; one that the signature makes longer than `limit` is cut to its question, with TC
/// (RFC 8945 §5.3).
pub fn sign(mut answer: Vec<u8>, mut signer: Signer, limit: usize, now: u64) -> Vec<u8> {
    if answer.len() < HEADER {
        return answer;
    }
    if answer.len() + signer.size() > limit {
        let end = super::request::read_name(&answer, HEADER).map_or(HEADER, |(_, end)| end + 4);
        answer.truncate(end);
        answer[2] |= 0x02;
        answer[6..HEADER].fill(0);
    }
    signer.sign(&mut answer, now);
    answer
}

/// One of the places for transfers; free again when it is dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(running: &Arc<AtomicUsize>) -> Option<Self> {
        if running.fetch_add(1, Ordering::Relaxed) < MAX_TRANSFERS {
            return Some(Self(Arc::clone(running)));
        }
        running.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tsig::tests::{NOW, QUERY, key, signed_request};
    use super::*;
    use crate::zone::name::Name;
    use crate::zone::{Freshness, ZoneBuilder};

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AXFR: &[u8] = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07service\0\0\xfc\0\x01";

    fn list(elements: &[&str]) -> Vec<String> {
        elements.iter().map(|element| (*element).to_owned()).collect()
    }

    fn front(allow_query: &[&str], allow_transfer: &[&str]) -> Front {
        let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build();
        writer.zone().set_freshness(Freshness::Fresh);
        writer.commit(100);
        let keys = vec![key("xfr", b"0123456789abcdef")];
        let names: Vec<Name> = keys.iter().map(|key| key.name.clone()).collect();
        let transfers = Transfers::parse(&list(allow_transfer), &names).unwrap();
        let zones = Zones::new(vec![Arc::clone(writer.zone())]);
        Front::new(zones, keys, Networks::parse(&list(allow_query)).unwrap(), transfers)
    }

    fn kind(admitted: &Admitted<'_>) -> (&'static str, u8) {
        match admitted {
            Admitted::Answer(answer) => ("answer", answer[3] & 0x0f),
            Admitted::Transfer(_) => ("transfer", 0),
            Admitted::Pass(_, None) => ("pass", 0),
            Admitted::Pass(_, Some(_)) => ("signed", 0),
        }
    }

    #[test]
    fn nobody_transfers_unless_allowed_to() {
        let admit = |front: &Front, message: &[u8]| kind(&front.admit(message, PEER, false, NOW));
        assert_eq!(admit(&front(&["any"], &[]), AXFR), ("answer", 5));
        assert_eq!(admit(&front(&["any"], &["192.0.2.0/24"]), AXFR), ("transfer", 0));
        let keyed = front(&["any"], &["key xfr"]);
        assert_eq!(admit(&keyed, AXFR), ("answer", 5));
        let (good, bad) = (key("xfr", b"0123456789abcdef"), key("xfr", b"0123456789abcdeF"));
        assert_eq!(admit(&keyed, &signed_request(AXFR, &good, NOW)), ("transfer", 0));
        assert_eq!(admit(&keyed, &signed_request(AXFR, &bad, NOW)), ("answer", 9));
        assert_eq!(admit(&keyed, &signed_request(AXFR, &key("other", b"0123456789abcdef"), NOW)), ("answer", 9));
        assert_eq!(admit(&keyed, &signed_request(QUERY, &good, NOW)), ("signed", 0));
    }

    #[test]
    fn who_may_not_query_may_still_ask_for_the_soa_of_what_he_transfers() {
        let admit = |front: &Front, message: &[u8]| kind(&front.admit(message, PEER, true, NOW));
        assert_eq!(admit(&front(&["10.0.0.0/8"], &[]), QUERY), ("answer", 5));
        assert_eq!(admit(&front(&["192.0.2.1"], &[]), QUERY), ("pass", 0));
        assert_eq!(admit(&front(&["10.0.0.0/8"], &["192.0.2.1"]), QUERY), ("pass", 0));
    }

    #[test]
    fn transfers_at_once_are_bounded_and_their_places_come_back() {
        let front = front(&["any"], &["any"]);
        let running: Vec<_> = (0..MAX_TRANSFERS).map(|_| front.admit(AXFR, PEER, false, NOW)).collect();
        assert!(running.iter().all(|admitted| kind(admitted).0 == "transfer"));
        assert_eq!(kind(&front.admit(AXFR, PEER, false, NOW)), ("answer", 2));
        drop(running);
        assert_eq!(kind(&front.admit(AXFR, PEER, false, NOW)).0, "transfer");
    }

    #[test]
    fn a_signed_answer_that_gets_too_long_is_cut_with_tc() {
        let key = key("xfr", b"0123456789abcdef");
        let message = signed_request(QUERY, &key, NOW);
        let request = Request::parse(&message).unwrap();
        let signer = || match tsig::check(&request, std::slice::from_ref(&key), NOW) {
            Verdict::Good(signer) => signer,
            verdict => panic!("{verdict:?}"),
        };
        let mut answer = request.response(0, true);
        answer.extend_from_slice(&[0; 450]);
        let cut = sign(answer.clone(), signer(), 512, NOW);
        assert_eq!(cut[2] & 0x02, 0x02, "TC");
        assert_eq!(cut.len(), QUERY.len() + signer().size());
        assert_eq!(sign(answer.clone(), signer(), 65_535, NOW).len(), answer.len() + signer().size());
    }
}
