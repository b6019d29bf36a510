//! Policy for requests: rights of clients, and what the server says of itself. One value, replaced whole when the
//! configuration is read again or a secret is changed. Pure.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::dns::config::Config;
use crate::dns::listen::limits::Limits;
use crate::dns::message::key::TsigKey;
use crate::dns::message::options::{self, Options, Tail};
use crate::dns::serve::access::Networks;
use crate::dns::serve::answer::Ede;
use crate::dns::serve::cookie::{Mode, Secrets};
use crate::dns::serve::identity::{self, Identity};
use crate::dns::serve::query_log::QueryLog;
use crate::dns::serve::rate::{Limiter, RrlAction};
use crate::dns::transfer::secondaries::Allowed;
use crate::dns::transport::Transport;
use crate::zone::record::rtype;

/// The policy of a server.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The keys that requests may be signed with.
    pub keys: Vec<Arc<TsigKey>>,
    /// Clients that may ask.
    pub allow_query: Networks,
    /// Clients that may transfer each zone.
    pub allow_transfer: Allowed,
    /// For whom questions outside the zones are forwarded; none where nothing is.
    pub allow_recursion: Option<Networks>,
    /// Use of cookies.
    pub cookies: Mode,
    /// Secrets that they are made with.
    pub secrets: Arc<Secrets>,
    /// True if they are random, and changed from time to time.
    pub is_random: bool,
    /// Addresses in an answer to a question for them; none for all.
    pub max_answers: Option<NonZeroUsize>,
    /// The server's name for those who ask for it (RFC 5001); empty for none.
    pub nsid: Arc<[u8]>,
    /// The answers of class CH about the server; none where such questions are refused.
    pub identity: Option<Arc<Identity>>,
    /// Limits of TCP connections.
    pub tcp: Limits,
    /// Limiter of the responses to each network; none for no limit.
    pub rate: Option<Arc<Limiter>>,
    /// Log of some of the queries; none for no log.
    pub query_log: Option<Arc<QueryLog>>,
}

/// Judgement of a request by its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionVerdict {
    /// Outcome.
    pub stance: CookieVerdict,
    /// True if the client is where it says it is: it has a good cookie, or came over TCP.
    pub is_proven: bool,
}

/// Outcome of a request by its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieVerdict {
    /// It is answered.
    Answer,
    /// It is answered with BADCOOKIE: the client knows cookies, and has no good one (RFC 7873 §5.2.3).
    BadCookie,
    /// It is answered with TC and nothing else: the client knows no cookies, and TCP shows as well where it is.
    Truncate,
}

impl Policy {
    /// Everybody may ask, nobody may transfer, and cookies are made with these secrets.
    pub fn new(secrets: Secrets) -> Self {
        Self {
            keys: Vec::new(),
            allow_query: Networks::everybody(),
            allow_transfer: Allowed::default(),
            allow_recursion: None,
            cookies: Mode::default(),
            secrets: Arc::new(secrets),
            is_random: true,
            max_answers: None,
            nsid: Arc::default(),
            identity: None,
            tcp: Limits::default(),
            rate: None,
            query_log: None,
        }
    }

    /// The policy of a configuration on the host of this name, but for limiter and log; with `secrets` where it has
    /// none.
    pub fn of(
        config: &Config,
        keys: Vec<Arc<TsigKey>>,
        allow_transfer: Allowed,
        secrets: Arc<Secrets>,
        host: &str,
    ) -> Self {
        Self {
            keys,
            allow_query: config.allow_query.clone(),
            allow_transfer,
            allow_recursion: (!config.forward.is_empty()).then(|| config.allow_recursion.clone()),
            cookies: config.cookies,
            secrets: config.cookie_secrets.clone().map_or(secrets, Arc::new),
            is_random: config.cookie_secrets.is_none(),
            max_answers: NonZeroUsize::new(config.max_answers),
            nsid: identity::nsid(&config.nsid, host).as_bytes().into(),
            identity: config.identity.then(|| Arc::new(Identity::new(&config.nsid, host))),
            tcp: config.tcp,
            rate: None,
            query_log: None,
        }
    }

    /// Returns whether it does not matter who asks: everybody may, nothing is forwarded, no cookies are demanded,
    /// responses are not bounded, and no query is logged.
    pub fn is_open(&self) -> bool {
        self.allow_query.is_everybody()
            && self.allow_recursion.is_none()
            && self.cookies != Mode::Required
            && self.rate.is_none()
            && self.query_log.is_none()
    }

    /// Returns whether plain queries from `peer` are answered.
    pub fn may_query(&self, peer: &IpAddr) -> bool {
        self.allow_query.decide(peer)
    }

    /// Returns whether questions outside the zones are forwarded for `peer`. Answers to it have RA set then, all of
    /// them (RFC 1035 §4.1.1).
    pub fn may_recurse(&self, peer: &IpAddr) -> bool {
        self.allow_recursion.as_ref().is_some_and(|clients| clients.decide(peer))
    }

    /// Why a question outside the zones is refused: because it would be forwarded for others, where recursion is
    /// desired, or because it is nobody's to ask here (RFC 8914 §4.19, §4.21).
    pub fn why_outside(&self, is_recursion_desired: bool, peer: &IpAddr) -> Ede {
        match &self.allow_recursion {
            Some(clients) if is_recursion_desired && !clients.decide(peer) => Ede::Prohibited,
            _ => Ede::NotAuthoritative,
        }
    }

    /// Limit of records of this type in an answer. Only addresses are bounded: who asks for SRV wants to know of all,
    /// and takes an instance that is missing for one that is gone.
    pub fn most(&self, rtype: u16) -> usize {
        match self.max_answers {
            Some(most) if matches!(rtype, rtype::A | rtype::AAAA) => most.get(),
            _ => usize::MAX,
        }
    }

    /// Decides about a query whose OPT, if it has one, says this, and leaves in `tail` what that of the answer says.
    /// `now` is the time since 1970.
    #[inline]
    pub fn judge(
        &self,
        asked: Option<&Options>,
        peer: &IpAddr,
        transport: Transport,
        now: Duration,
        tail: &mut Tail,
    ) -> OptionVerdict {
        tail.clear();
        // Most ask for nothing.
        let asks = asked.filter(|asked| asked.asks());
        let is_proven =
            asks.is_some_and(|asked| self.grant(asked, peer, transport, now, tail)) || !transport.is_datagram();
        let stance = match asked.and_then(|asked| asked.cookie) {
            _ if self.cookies != Mode::Required || is_proven => CookieVerdict::Answer,
            Some(_) => CookieVerdict::BadCookie,
            None => CookieVerdict::Truncate,
        };
        OptionVerdict { stance, is_proven }
    }

    /// Leaves in `tail` what these options ask for. Gives whether the cookie among them is good.
    fn grant(&self, asked: &Options, peer: &IpAddr, transport: Transport, now: Duration, tail: &mut Tail) -> bool {
        let mut is_good = false;
        if let Some(cookie) = asked.cookie.filter(|_| self.cookies != Mode::Off) {
            let server;
            (is_good, server) = self.secrets.judge(cookie, *peer, now.as_secs());
            tail.push(options::COOKIE, &[&cookie.client, &server]);
        }
        if asked.nsid && !self.nsid.is_empty() {
            tail.push(options::NSID, &[&self.nsid]);
        }
        // Only over TCP (RFC 7828 §3.2.1), in tenths of a second.
        if asked.keepalive && transport.is_connection() {
            let idle = u16::try_from(self.tcp.idle.as_millis() / 100).unwrap_or(u16::MAX);
            tail.push(options::KEEPALIVE, &[&idle.to_be_bytes()]);
        }
        is_good
    }

    /// Returns whether one more response goes to `peer`, who is proven or not, at `now`.
    pub fn bound(&self, peer: &IpAddr, is_proven: bool, now: Duration) -> RrlAction {
        match &self.rate {
            Some(rate) if !is_proven => rate.judge(*peer, now),
            _ => RrlAction::Send,
        }
    }
}
