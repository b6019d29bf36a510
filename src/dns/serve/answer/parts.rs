//! Parts of answers: codes, records and sections, before they are written.

use std::borrow::Cow;

use crate::zone::name::Name;

/// Response codes (IANA DNS RCODEs), those given here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rcode {
    /// Everything is in order, there may be no data.
    NoError,
    /// The question could not be read.
    FormErr,
    /// The data are not there, or too old.
    ServFail,
    /// The name does not exist.
    NxDomain,
    /// An operation this server does not do.
    NotImp,
    /// Not for this server to answer.
    Refused,
    /// An EDNS version this server does not know (RFC 6891 §6.1.3).
    BadVers,
    /// Not the server of that zone, or a signature that is not good (RFC 8945 §5.2).
    NotAuth,
    /// A cookie is demanded, and the one that is there is not good (RFC 7873 §8).
    BadCookie,
    /// The name that a DNAME leads to is too long for a name (RFC 6672 §2.2).
    YxDomain,
}

impl Rcode {
    /// The four bits of it that are in the header; the others are in the OPT record.
    pub fn low_bits(self) -> u8 {
        match self {
            Self::NoError | Self::BadVers => 0,
            Self::FormErr => 1,
            Self::ServFail => 2,
            Self::NxDomain => 3,
            Self::NotImp => 4,
            Self::Refused => 5,
            Self::BadCookie => 7,
            Self::YxDomain => 6,
            Self::NotAuth => 9,
        }
    }

    /// The first code with these bits in the header.
    pub fn of_low_bits(bits: u8) -> Option<Self> {
        let all = [
            Self::NoError,
            Self::FormErr,
            Self::ServFail,
            Self::NxDomain,
            Self::NotImp,
            Self::Refused,
            Self::YxDomain,
            Self::BadCookie,
            Self::NotAuth,
        ];
        all.into_iter().find(|rcode| rcode.low_bits() == bits)
    }

    /// The eight bits of it that are in the OPT record (RFC 6891 §6.1.3).
    pub fn high_bits(self) -> u8 {
        u8::from(matches!(self, Self::BadVers | Self::BadCookie))
    }
}

/// Extended errors (RFC 8914), those given here. Of those about policy (15 to 18) only Prohibited can be true: Blocked,
/// Censored and Filtered (§4.16 to §4.18) tell of names that are kept from the client by a list, and this server has
/// none: what it has it gives to everybody who may ask, and what it forwards it passes on as it came, others' extended
/// errors not among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ede {
    /// 3: the answer was true when ZooKeeper was last seen.
    StaleAnswer,
    /// 14: the registry has not been read yet.
    NotReady,
    /// 18: whoever asks may not: the name, the zone, or this server to ask others.
    Prohibited,
    /// 19: the name did not exist when ZooKeeper was last seen.
    StaleNxDomain,
    /// 20: not one of our zones.
    NotAuthoritative,
    /// 22: the registry was last seen too long ago.
    NoReachableAuthority,
    /// Whatever is said of a name that is unknown ([`crate::zone::unknown`]).
    Of(u16),
}

impl Ede {
    /// Its info code.
    pub fn code(self) -> u16 {
        match self {
            Self::StaleAnswer => 3,
            Self::NotReady => 14,
            Self::Prohibited => 18,
            Self::StaleNxDomain => 19,
            Self::NotAuthoritative => 20,
            Self::NoReachableAuthority => 22,
            Self::Of(code) => code,
        }
    }
}

/// A question of class IN.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The name in wire form and lower case.
    pub name: &'q [u8],
    /// The type, by number.
    pub rtype: u16,
}

/// Owner of a record of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The name asked for, as it was spelled.
    Question,
    /// Another name.
    Name(Name),
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rr<'t> {
    /// Its owner.
    pub owner: Owner,
    /// Its type, by number.
    pub rtype: u16,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// Its data in wire form.
    pub rdata: Cow<'t, [u8]>,
}

/// The sections of an answer, before EDNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'t> {
    /// The response code.
    pub rcode: Rcode,
    /// AA: the answer is ours to give.
    pub authoritative: bool,
    /// The answer section.
    pub answers: Vec<Rr<'t>>,
    /// The authority section.
    pub authority: Vec<Rr<'t>>,
    /// The additional section, without OPT.
    pub additionals: Vec<Rr<'t>>,
    /// So many of the first of them are of no use elsewhere: TC where not all have room.
    pub glue: usize,
    /// An extended error, for clients that speak EDNS.
    pub extended: Option<Ede>,
    /// Text for people that goes with it; may be empty.
    pub explanation: Cow<'t, str>,
    /// The name outside the zones at which the aliases in the answer end; `None` where they end in a zone.
    pub leads: Option<Name>,
}

impl Answer<'_> {
    /// An answer that is nothing but its code.
    pub fn bare(rcode: Rcode, extended: Option<Ede>) -> Self {
        Self {
            rcode,
            authoritative: false,
            answers: Vec::new(),
            authority: Vec::new(),
            additionals: Vec::new(),
            glue: 0,
            extended,
            explanation: Cow::default(),
            leads: None,
        }
    }
}
