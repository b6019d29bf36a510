//! The gate before the ordinary answers: access, signatures, cookies, and zone transfers.
//!
//! A transport gives every request to [`Gate::admit`] first, but for those that [`crate::dns::fast::respond`] answers
//! by the same [`Policy`]. Pure: addresses and the time are arguments.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tracing::{debug, info};

use super::answer::{Ede, Rcode};
use super::cookie::Mode;
use super::policy::{CookieVerdict, OptionVerdict, Policy};
use super::rate::RrlAction;
use crate::dns::message::options::{self, Tail};
use crate::dns::message::parse::{Malformed, Message};
use crate::dns::message::request::{Edns, Opt, Request};
use crate::dns::message::sizes::{HEADER, RA, TC};
use crate::dns::message::tsig::{self, Signer, Verdict};
use crate::dns::transfer::{Kind, Transfer, TransferRefusal};
use crate::dns::transport::Transport;
use crate::zone::Zones;
use crate::zone::name::Name;

/// The gate of a server.
#[derive(Debug)]
pub struct Gate {
    zones: Zones,
    policy: ArcSwap<Policy>,
    running: Arc<AtomicUsize>,
}

/// A query that is not for the hot path.
#[derive(Debug)]
pub enum Received {
    /// As it came: nobody has read it.
    Packet(Vec<u8>),
    /// As the hot path has read it.
    Request(Request),
}

impl From<Vec<u8>> for Received {
    fn from(packet: Vec<u8>) -> Self {
        Self::Packet(packet)
    }
}

/// Outcome of a request at the gate.
#[derive(Debug)]
pub enum Admitted {
    /// This is the answer.
    Answer(Vec<u8>),
    /// This is the answer, cut, since its network got too many.
    Slip(Vec<u8>),
    /// There is none, since its network got too many.
    Limited,
    /// There is none: it is no query.
    Dropped,
    /// These messages are.
    Transfer(Running),
    /// The ordinary path answers this request, with these options in its OPT, and the signer signs what it says.
    Pass(Option<Signer>, Tail),
}

/// A transfer that has its place among those that may run at once.
#[derive(Debug)]
pub struct Running {
    /// The messages.
    pub(in crate::dns) transfer: Transfer,
    _place: TransferPermit,
}

impl Running {
    /// Kind of the answer.
    pub fn kind(&self) -> Kind {
        self.transfer.kind()
    }
}

/// More at once would be a burden; secondaries come again.
const MAX_TRANSFERS: usize = 32;

impl Gate {
    /// A gate before `zones`.
    pub fn new(zones: Zones, policy: Policy) -> Self {
        Self { zones, policy: ArcSwap::from_pointee(policy), running: Arc::default() }
    }

    /// Policy that holds now. Load it once for a batch of requests.
    pub fn policy(&self) -> Guard<Arc<Policy>> {
        self.policy.load()
    }

    /// From now on that holds which `change` makes of what holds now. It may be called more than once.
    pub fn change_policy(&self, change: impl Fn(&Policy) -> Policy) {
        self.policy.rcu(|policy| change(policy));
    }

    /// Decides about a query that came from `peer`, at `now`, a time since 1970. Returns the request beside that, if it
    /// is one.
    pub fn admit(
        &self,
        received: Received,
        peer: IpAddr,
        transport: Transport,
        now: Duration,
    ) -> (Option<Request>, Admitted) {
        let policy = self.policy();
        let (request, verdict) = match received {
            Received::Request(request) => (request, Verdict::Unsigned),
            Received::Packet(packet) => match Message::parse(&packet) {
                Ok(message) if message.request.is_response() => return (None, Admitted::Dropped),
                Ok(message) if message.request.question.is_none() => (message.request, Verdict::Unsigned),
                // Its response could not be signed.
                Ok(message) if transport == Transport::Quic && message.signature.is_some() => {
                    let answer = prohibited(&message.request, &Tail::default());
                    (message.request, Verdict::Bad(answer))
                }
                Ok(message) => {
                    let verdict = tsig::check(&message, &policy.keys, now.as_secs());
                    (message.request, verdict)
                }
                Err(malformed) => {
                    let is_bounded = policy.bound(&peer, !transport.is_datagram(), now) != RrlAction::Send;
                    let admitted = if is_bounded { Admitted::Limited } else { form_error(&malformed, &policy, peer) };
                    return (None, admitted);
                }
            },
        };
        let admitted = self.judge(&request, verdict, &policy, (peer, transport), now);
        (Some(request), admitted)
    }

    fn judge(
        &self,
        request: &Request,
        verdict: Verdict,
        policy: &Policy,
        (peer, transport): (IpAddr, Transport),
        since_1970: Duration,
    ) -> Admitted {
        let now = since_1970.as_secs();
        // Whatever it is: an answer to it is an answer.
        let is_bounded = || policy.bound(&peer, !transport.is_datagram(), since_1970) != RrlAction::Send;
        if request.question.is_none() {
            if is_bounded() {
                return Admitted::Limited;
            }
            let answer = cookie_alone(policy, request, peer, now);
            return answer.map_or_else(|| Admitted::Pass(None, Tail::default()), Admitted::Answer);
        }
        let signer = match verdict {
            Verdict::Unsigned => None,
            Verdict::Good(signer) => Some(signer),
            Verdict::Bad(answer) => {
                debug!(%peer, "a request with a bad signature");
                return if is_bounded() { Admitted::Limited } else { Admitted::Answer(answer) };
            }
        };
        let mut tail = Tail::default();
        let (mut stance, mut is_proven) = (CookieVerdict::Answer, !transport.is_datagram());
        // What is to be said of another EDNS version is the handler's to say.
        let is_known = request.edns.is_none_or(|edns| edns.version == 0);
        if is_known {
            let options = request.edns.and_then(|edns| edns.options);
            OptionVerdict { stance, is_proven } =
                policy.judge(options.as_ref(), &peer, transport, since_1970, &mut tail);
        }
        // A good signature says more than a cookie.
        is_proven |= signer.is_some();
        match policy.bound(&peer, is_proven, since_1970) {
            RrlAction::Send => {}
            RrlAction::Slip => {
                return Admitted::Slip(unproven(request, policy, peer, (CookieVerdict::Truncate, &tail)));
            }
            RrlAction::Drop => return Admitted::Limited,
        }
        if is_known && let Some(Edns { options: None, .. }) = request.edns {
            return Admitted::Answer(finish(refusal(request, Rcode::FormErr, Opt::default()), signer, now));
        }
        if request.opcode() == 0 && !is_proven && stance != CookieVerdict::Answer {
            return Admitted::Answer(unproven(request, policy, peer, (stance, &tail)));
        }
        if request.is_transfer() && is_known {
            return self.transfer(request, policy, peer, transport, (signer, &tail), now);
        }
        // A secondary that may transfer must be able to ask for the SOA.
        let key = signer.as_ref().map(Signer::key);
        if !policy.may_query(&peer) && !self.may_transfer_of(request, policy, peer, key) {
            return Admitted::Answer(finish(prohibited(request, &tail), signer, now));
        }
        Admitted::Pass(signer, tail)
    }

    /// Returns whether a request is for a name in a zone that its sender may transfer.
    fn may_transfer_of(&self, request: &Request, policy: &Policy, peer: IpAddr, key: Option<&Name>) -> bool {
        let question = request.question.as_ref();
        let zone = question.and_then(|question| self.zones.find(question.name.folded().wire()));
        zone.is_some_and(|zone| policy.allow_transfer.decide(zone.origin(), peer, key))
    }

    fn transfer(
        &self,
        request: &Request,
        policy: &Policy,
        peer: IpAddr,
        transport: Transport,
        (signer, tail): (Option<Signer>, &Tail),
        now: u64,
    ) -> Admitted {
        let zone = request.question.as_ref().map_or_else(Name::root, |question| question.name.clone());
        if matches!(transport, Transport::Https | Transport::Quic) {
            debug!(%peer, %zone, transport = transport.name(), "no zone transfer");
            return Admitted::Answer(finish(prohibited(request, tail), signer, now));
        }
        if !policy.allow_transfer.decide(&zone.folded(), peer, signer.as_ref().map(Signer::key)) {
            info!(%peer, %zone, "a zone transfer is refused: allow_transfer does not allow it");
            return Admitted::Answer(finish(prohibited(request, tail), signer, now));
        }
        let begun = TransferPermit::take(&self.running).ok_or(Rcode::ServFail).and_then(|place| {
            Ok((Transfer::begin(&self.zones, request, tail.as_bytes(), transport).map_err(Rcode::from)?, place))
        });
        match begun {
            Ok((transfer, place)) => {
                debug!(%peer, %zone, kind = transfer.kind().as_str(), serial = transfer.serial(), "a zone transfer");
                Admitted::Transfer(Running { transfer: transfer.signed(signer), _place: place })
            }
            Err(rcode) => {
                debug!(%peer, %zone, ?rcode, "no zone transfer");
                let opt = Opt { options: tail.as_bytes(), ..Opt::default() };
                Admitted::Answer(finish(refusal(request, rcode, opt), signer, now))
            }
        }
    }
}

impl From<TransferRefusal> for Rcode {
    fn from(refusal: TransferRefusal) -> Self {
        match refusal {
            TransferRefusal::FormErr => Self::FormErr,
            TransferRefusal::ServFail => Self::ServFail,
            TransferRefusal::NotAuth => Self::NotAuth,
        }
    }
}

/// An answer that is its code and its OPT.
fn refusal(request: &Request, rcode: Rcode, opt: Opt<'_>) -> Vec<u8> {
    let mut response = request.response(rcode.low_bits(), false);
    request.push_opt(&mut response, Opt { high_bits: rcode.high_bits(), ..opt });
    response
}

/// REFUSED, and for those who speak EDNS why.
fn prohibited(request: &Request, tail: &Tail) -> Vec<u8> {
    let opt = Opt { options: tail.as_bytes(), extended: Some((Ede::Prohibited.code(), "")), ..Opt::default() };
    refusal(request, Rcode::Refused, opt)
}

/// FORMERR to bytes that are no message.
fn form_error(malformed: &Malformed, policy: &Policy, peer: IpAddr) -> Admitted {
    let Some(mut response) = malformed.response() else { return Admitted::Dropped };
    response[3] |= recursion_bit(policy, peer);
    Admitted::Answer(response)
}

/// RA, where recursion is to be had (RFC 1035 §4.1.1): it says the same in whatever answer.
fn recursion_bit(policy: &Policy, peer: IpAddr) -> u8 {
    if policy.may_recurse(&peer) { RA } else { 0 }
}

/// Response for clients that did not show that they are where they say they are.
fn unproven(request: &Request, policy: &Policy, peer: IpAddr, (stance, tail): (CookieVerdict, &Tail)) -> Vec<u8> {
    let opt = Opt { options: tail.as_bytes(), ..Opt::default() };
    let mut response = if stance == CookieVerdict::BadCookie {
        refusal(request, Rcode::BadCookie, opt)
    } else {
        let mut response = refusal(request, Rcode::NoError, opt);
        response[2] |= TC;
        response
    };
    response[3] |= recursion_bit(policy, peer);
    response
}

/// The answer to a query that has no question and a cookie: the cookie alone (RFC 7873 §5.4). None for anything else.
fn cookie_alone(policy: &Policy, request: &Request, peer: IpAddr, now: u64) -> Option<Vec<u8>> {
    if request.opcode() != 0 || request.counts() != [0, 0, 0, 1] || policy.cookies == Mode::Off {
        return None;
    }
    let edns = request.edns.filter(|edns| edns.version == 0)?;
    let cookie = edns.options?.cookie.filter(|_| policy.may_query(&peer))?;
    let (is_good, server) = policy.secrets.judge(cookie, peer, now);
    // Without the server's part it is the question for one.
    let is_bad = !is_good && cookie.has_server;
    let rcode = if is_bad { Rcode::BadCookie } else { Rcode::NoError };
    let mut tail = Tail::default();
    tail.push(options::COOKIE, &[&cookie.client, &server]);
    let mut response = refusal(request, rcode, Opt { options: tail.as_bytes(), ..Opt::default() });
    response[3] |= recursion_bit(policy, peer);
    Some(response)
}

fn finish(mut message: Vec<u8>, signer: Option<Signer>, now: u64) -> Vec<u8> {
    if let Some(mut signer) = signer {
        signer.sign(&mut message, now);
    }
    message
}

/// Signs an ordinary answer; one that the signature makes longer than `limit` is cut to its question, with TC
/// (RFC 8945 §5.3). `head` is the length of the answer's header and question.
pub fn sign(mut answer: Vec<u8>, mut signer: Signer, (head, limit): (usize, usize), now: u64) -> Vec<u8> {
    if answer.len() + signer.size() > limit {
        answer.truncate(head);
        answer[2] |= TC;
        answer[6..HEADER].fill(0);
    }
    signer.sign(&mut answer, now);
    answer
}

/// One of the places for transfers; free again when it is dropped.
#[derive(Debug)]
struct TransferPermit(Arc<AtomicUsize>);

impl TransferPermit {
    fn take(running: &Arc<AtomicUsize>) -> Option<Self> {
        if running.fetch_add(1, Ordering::Relaxed) < MAX_TRANSFERS {
            return Some(Self(Arc::clone(running)));
        }
        running.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for TransferPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::tsig::tests::{NOW as SECONDS, QUERY, key, signed_request};
    use crate::dns::serve::access::{Networks, Transfers};
    use crate::dns::serve::cookie::{Secret, Secrets};
    use crate::dns::serve::rate;
    use crate::dns::transfer::secondaries::Allowed;
    use crate::zone::{Freshness, ZoneBuilder};

    const NOW: Duration = Duration::from_secs(SECONDS);
    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AXFR: &[u8] = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07service\0\0\xfc\0\x01";

    fn list(elements: &[&str]) -> Vec<String> {
        elements.iter().map(|element| (*element).to_owned()).collect()
    }

    fn front(allow_query: &[&str], allow_transfer: &[&str]) -> Gate {
        let mut writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build();
        writer.set_freshness(Freshness::Fresh);
        writer.commit(100);
        let keys = vec![key("xfr", b"0123456789abcdef")];
        let names: Vec<Name> = keys.iter().map(|key| key.name.clone()).collect();
        let transfers = Transfers::parse(&list(allow_transfer), &names).unwrap();
        let zones = Zones::new(vec![Arc::clone(writer.zone())]);
        let allow_query = Networks::parse(&list(allow_query)).unwrap();
        Gate::new(
            zones,
            Policy {
                keys,
                allow_query,
                allow_transfer: Allowed::new(transfers, &[]),
                ..Policy::new(Secrets::new(Secret::new([7; 16])))
            },
        )
    }

    fn admit(front: &Gate, message: &[u8], peer: IpAddr, transport: Transport, now: Duration) -> Admitted {
        front.admit(message.to_vec().into(), peer, transport, now).1
    }

    fn kind(admitted: &Admitted) -> (&'static str, u8) {
        match admitted {
            Admitted::Answer(answer) => ("answer", answer[3] & 0x0f),
            Admitted::Slip(_) => ("slip", 0),
            Admitted::Limited => ("limited", 0),
            Admitted::Dropped => ("dropped", 0),
            Admitted::Transfer(_) => ("transfer", 0),
            Admitted::Pass(None, _) => ("pass", 0),
            Admitted::Pass(Some(_), _) => ("signed", 0),
        }
    }

    #[test]
    fn nobody_transfers_unless_allowed_to() {
        let admit = |front: &Gate, message: &[u8]| kind(&self::admit(front, message, PEER, Transport::Tcp, NOW));
        assert_eq!(admit(&front(&["any"], &[]), AXFR), ("answer", 5));
        assert_eq!(admit(&front(&["any"], &["192.0.2.0/24"]), AXFR), ("transfer", 0));
        let keyed = front(&["any"], &["key xfr"]);
        assert_eq!(admit(&keyed, AXFR), ("answer", 5));
        let (good, bad) = (key("xfr", b"0123456789abcdef"), key("xfr", b"0123456789abcdeF"));
        assert_eq!(admit(&keyed, &signed_request(AXFR, &good, SECONDS)), ("transfer", 0));
        assert_eq!(admit(&keyed, &signed_request(AXFR, &bad, SECONDS)), ("answer", 9));
        assert_eq!(admit(&keyed, &signed_request(AXFR, &key("other", b"0123456789abcdef"), SECONDS)), ("answer", 9));
        assert_eq!(admit(&keyed, &signed_request(QUERY, &good, SECONDS)), ("signed", 0));
    }

    #[test]
    fn who_may_not_query_may_still_ask_for_the_soa_of_what_he_transfers() {
        let admit = |front: &Gate, message: &[u8]| kind(&self::admit(front, message, PEER, Transport::Udp, NOW));
        assert_eq!(admit(&front(&["10.0.0.0/8"], &[]), QUERY), ("answer", 5));
        assert_eq!(admit(&front(&["192.0.2.1"], &[]), QUERY), ("pass", 0));
        assert_eq!(admit(&front(&["10.0.0.0/8"], &["192.0.2.1"]), QUERY), ("pass", 0));
    }

    fn with_cookies(cookies: Mode) -> Gate {
        let front = front(&["any"], &["any"]);
        front.change_policy(|policy| Policy { cookies, ..policy.clone() });
        front
    }

    /// [`QUERY`] with an OPT that has this option.
    fn with_option(message: &[u8], code: u8, data: &[u8]) -> Vec<u8> {
        let length = u8::try_from(data.len()).unwrap();
        let mut message = [message, &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, length + 4, 0, code, 0, length], data].concat();
        message[11] = 1;
        message
    }

    /// The answer's code with its upper bits, and the cookie in it.
    fn cookie_of(admitted: &Admitted, question_end: usize) -> (u16, Option<Vec<u8>>) {
        let Admitted::Answer(answer) = admitted else { panic!("{admitted:?}") };
        let opt = &answer[question_end..];
        let rcode = u16::from(opt[5]) << 4 | u16::from(answer[3] & 0x0f);
        (rcode, (opt[11..].starts_with(&[0, 10, 0, 24])).then(|| opt[15..39].to_vec()))
    }

    /// RFC 7873 §5.2.3 and §5.2.5, §6: not over TCP.
    #[test]
    fn without_a_good_cookie_nobody_is_answered_over_udp_where_it_is_required() {
        let front = with_cookies(Mode::Required);
        let query = with_option(QUERY, 10, &[1; 8]);
        let (rcode, cookie) = cookie_of(&admit(&front, &query, PEER, Transport::Udp, NOW), QUERY.len());
        assert_eq!(rcode, 23);
        assert_eq!(kind(&admit(&front, &query, PEER, Transport::Tcp, NOW)), ("pass", 0));
        let again = with_option(QUERY, 10, &cookie.unwrap());
        assert_eq!(kind(&admit(&front, &again, PEER, Transport::Udp, NOW)), ("pass", 0));
        assert_eq!(cookie_of(&admit(&front, &again, [192, 0, 2, 7].into(), Transport::Udp, NOW), QUERY.len()).0, 23);
        // Who does not know cookies knows TC.
        let Admitted::Answer(answer) = admit(&front, QUERY, PEER, Transport::Udp, NOW) else { panic!("it passes") };
        assert_eq!((answer[2] & 0x02, answer[3] & 0x0f, answer.len()), (0x02, 0, QUERY.len()));
        assert_eq!(kind(&admit(&front, QUERY, PEER, Transport::Tcp, NOW)), ("pass", 0));
        // A signature says more.
        let signed = signed_request(QUERY, &key("xfr", b"0123456789abcdef"), SECONDS);
        assert_eq!(kind(&admit(&front, &signed, PEER, Transport::Udp, NOW)), ("signed", 0));
    }

    /// RFC 7873 §5.2.2.
    #[test]
    fn a_malformed_cookie_is_a_form_error() {
        for cookies in [Mode::Off, Mode::On, Mode::Required] {
            for length in [0, 7, 9, 15, 41] {
                let query = with_option(QUERY, 10, &vec![1; length]);
                assert_eq!(kind(&admit(&with_cookies(cookies), &query, PEER, Transport::Udp, NOW)), ("answer", 1));
            }
        }
    }

    /// RFC 7873 §5.4.
    #[test]
    fn a_query_without_a_question_gets_a_cookie() {
        let nothing = &b"\x12\x34\x01\0\0\0\0\0\0\0\0\0"[..];
        let query = with_option(nothing, 10, &[1; 8]);
        let front = with_cookies(Mode::On);
        let (rcode, cookie) = cookie_of(&admit(&front, &query, PEER, Transport::Udp, NOW), HEADER);
        assert_eq!(rcode, 0);
        let good = with_option(nothing, 10, &cookie.unwrap());
        assert_eq!(cookie_of(&admit(&front, &good, PEER, Transport::Udp, NOW), HEADER).0, 0);
        let bad = with_option(nothing, 10, &[1; 24]);
        assert_eq!(cookie_of(&admit(&front, &bad, PEER, Transport::Udp, NOW), HEADER).0, 23);
        assert_eq!(kind(&admit(&with_cookies(Mode::Off), &query, PEER, Transport::Udp, NOW)), ("pass", 0));
        assert_eq!(kind(&admit(&front, nothing, PEER, Transport::Udp, NOW)), ("pass", 0), "no cookie");
    }

    /// RFC 7828 §3.2.1 and §3.3.2; RFC 7830 §6.
    #[test]
    fn only_tcp_is_told_how_long_it_may_idle_and_nobody_gets_padding() {
        let front = with_cookies(Mode::Off);
        let tail = |option, transport| match admit(&front, &with_option(QUERY, option, &[]), PEER, transport, NOW) {
            Admitted::Pass(_, tail) => tail.as_bytes().to_vec(),
            admitted => panic!("{admitted:?}"),
        };
        assert_eq!(tail(11, Transport::Tcp), [0, 11, 0, 2, 0, 100]);
        assert!(tail(11, Transport::Udp).is_empty());
        assert!(tail(12, Transport::Tcp).is_empty() && tail(12, Transport::Udp).is_empty());
    }

    #[test]
    fn an_unusual_query_counts_like_any_other() {
        let front = with_cookies(Mode::On);
        let config = rate::Config { responses: 2, ..rate::Config::default() };
        let rate = rate::Limiter::new(&config, [1; 16]).map(Arc::new);
        front.change_policy(|policy| Policy { rate: rate.clone(), ..policy.clone() });
        let ask = |message: &[u8], transport| kind(&admit(&front, message, PEER, transport, NOW)).0;
        let asked: Vec<_> = (0..6).map(|_| ask(QUERY, Transport::Udp)).collect();
        assert_eq!(asked, ["pass", "pass", "limited", "slip", "limited", "slip"]);
        assert_eq!(ask(b"\x12\x34\0\0", Transport::Udp), "limited", "garbage too");
        let unknown = signed_request(QUERY, &key("other", b"0123456789abcdef"), SECONDS);
        assert_eq!(ask(&unknown, Transport::Udp), "limited", "a signature that proves nothing");
        assert_eq!(ask(QUERY, Transport::Tcp), "pass", "TCP shows where the client is");
        assert_eq!(ask(&signed_request(QUERY, &key("xfr", b"0123456789abcdef"), SECONDS), Transport::Udp), "signed");
        let strict = with_cookies(Mode::Required);
        let (_, cookie) =
            cookie_of(&admit(&strict, &with_option(QUERY, 10, &[1; 8]), PEER, Transport::Udp, NOW), QUERY.len());
        assert_eq!(ask(&with_option(QUERY, 10, &cookie.unwrap()), Transport::Udp), "pass", "and so does a good cookie");
    }

    #[test]
    fn transfers_at_once_are_bounded_and_their_places_come_back() {
        let front = front(&["any"], &["any"]);
        let running: Vec<_> = (0..MAX_TRANSFERS).map(|_| admit(&front, AXFR, PEER, Transport::Tcp, NOW)).collect();
        assert!(running.iter().all(|admitted| kind(admitted).0 == "transfer"));
        assert_eq!(kind(&admit(&front, AXFR, PEER, Transport::Tcp, NOW)), ("answer", 2));
        drop(running);
        assert_eq!(kind(&admit(&front, AXFR, PEER, Transport::Tcp, NOW)).0, "transfer");
    }

    #[test]
    fn a_signed_answer_that_gets_too_long_is_cut_with_tc() {
        let key = key("xfr", b"0123456789abcdef");
        let message = signed_request(QUERY, &key, SECONDS);
        let message = Message::parse(&message).unwrap();
        let signer = || match tsig::check(&message, std::slice::from_ref(&key), SECONDS) {
            Verdict::Good(signer) => signer,
            verdict => panic!("{verdict:?}"),
        };
        let mut answer = message.request.response(0, true);
        answer.extend_from_slice(&[0; 450]);
        let cut = sign(answer.clone(), signer(), (QUERY.len(), 512), SECONDS);
        assert_eq!(cut[2] & 0x02, 0x02, "TC");
        assert_eq!(cut.len(), QUERY.len() + signer().size());
        assert_eq!(
            sign(answer.clone(), signer(), (QUERY.len(), 65_535), SECONDS).len(),
            answer.len() + signer().size()
        );
    }
}
