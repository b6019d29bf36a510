//! The DNS-data half: services in, immutable zone data out. Pure, but for the reader of master files; no tokio, no
//! sockets, and nothing of ZooKeeper.
//!
//! - [`name`], [`record`], [`entry`]: names, records and RRsets in wire form.
//! - [`build`]: what one service puts into a zone.
//! - [`writer`]: the one writer: offers in, commits out; [`serial`] numbers them.
//! - [`journal`]: the last commits, for differences between two serials.
//! - [`index`]: the names, for many readers at once, in tables of `hashed`, their entries in an `arena`; [`view`]: what
//!   a reader has of them; [`lookup`] answers from that (RFC 1034 §4.3.2); `watch`: the names that it must watch for.
//! - [`instances`] and `made`: the names that are as many as instances, made when somebody asks.
//! - [`unknown`]: names of which the zone does not know what it should; [`stale`]: those that it no longer reads.
//! - [`transferred`]: what of all that secondaries get.
//! - [`warnings`]: what those who run it are to know.
//! - [`mod@file`]: master files (RFC 1035 §5).

pub mod addresses;
mod arena;
pub mod build;
pub mod config;
pub mod entry;
pub mod file;
pub mod hashed;
pub mod index;
pub mod instances;
pub mod journal;
pub mod lookup;
mod made;
pub mod name;
pub mod order;
pub mod packed;
pub mod rdata;
pub mod record;
pub mod records;
pub mod serial;
mod sets;
mod slot;
pub mod soa;
pub mod stale;
pub mod transferred;
pub mod unknown;
pub mod view;
pub mod warnings;
mod watch;
pub mod writer;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use build::{Offer, Rank};
use index::{Index, IndexWriter};
use journal::{Bounds, Difference, Journal};
use name::Name;
use order::Order;
use record::rtype;
use sets::Sets;
use soa::Soa;
use stale::StaleNames;
use transferred::Transferred;
use view::View;
use warnings::Warnings;
use writer::file_serial::FileSerial;
use writer::{Commit, ZoneWriter};

/// Freshness of a zone's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// There is none yet: SERVFAIL.
    Loading,
    /// It is current.
    Fresh,
    /// It was current once and the source cannot be reached: served, and said so (RFC 8914, Stale Answer).
    Stale,
    /// It is too old to be served: SERVFAIL.
    Expired,
}

impl Freshness {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Loading, Self::Fresh, Self::Stale, Self::Expired];

    /// The state's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }
}

/// A zone as its readers see it.
#[derive(Debug)]
pub struct Zone {
    origin: Name,
    index: Arc<Index>,
    freshness: AtomicU8,
    minimal_responses: AtomicBool,
    order: AtomicU8,
    serial: AtomicU32,
    /// Fingerprint of the file that a zone is made of alone; 0 for any other.
    content: AtomicU64,
    journal: Mutex<Journal>,
    fixed: Option<Arc<Self>>,
    stale: StaleNames,
    /// True while transfers wait, as something is being looked up that belongs to them.
    holds_transfers: AtomicBool,
    warnings: Warnings,
}

impl Zone {
    /// The apex, in lower case.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// Returns whether a name, in wire form and lower case, is the apex or below it.
    fn has(&self, name: &[u8]) -> bool {
        let origin = self.origin.wire();
        let Some(start) = name.len().checked_sub(origin.len()) else { return false };
        name[start..] == *origin && is_label_start(name, start)
    }

    /// One state of all names. Hold it for one query.
    pub fn load(&self) -> View {
        View::new(self.index.load())
    }

    /// The zone without what a registry puts into it: its file and its own records. None for a zone that is its file
    /// and nothing else. Its serial means nothing.
    pub fn fixed(&self) -> Option<&Arc<Self>> {
        self.fixed.as_ref()
    }

    /// Names of which the last answers go on while the rest of the zone is current.
    pub fn stale(&self) -> &StaleNames {
        &self.stale
    }

    /// Freshness of the data now.
    pub fn freshness(&self) -> Freshness {
        Freshness::ALL[usize::from(self.freshness.load(Ordering::Relaxed)) % 4]
    }

    /// Says how far the data can be trusted from now on.
    pub fn set_freshness(&self, freshness: Freshness) {
        self.freshness.store(freshness as u8, Ordering::Relaxed);
    }

    /// Says whether transfers and NOTIFY wait from now on.
    pub fn hold_transfers(&self, hold: bool) {
        self.holds_transfers.store(hold, Ordering::Release);
    }

    /// Returns whether secondaries may have the zone now: not before all of it is known, nor when it is too old.
    pub fn is_transferable(&self) -> bool {
        !matches!(self.freshness(), Freshness::Loading | Freshness::Expired)
            && !self.holds_transfers.load(Ordering::Acquire)
    }

    /// Returns whether positive answers leave out the zone's NS records.
    pub fn is_minimal(&self) -> bool {
        self.minimal_responses.load(Ordering::Relaxed)
    }

    /// Takes the settings that may change while the zone is served.
    fn set_live(&self, live: config::Live) {
        self.minimal_responses.store(live.minimal_responses, Ordering::Relaxed);
        self.order.store(live.order as u8, Ordering::Relaxed);
    }

    /// Returns how the first record of an answer is chosen now.
    pub fn order(&self) -> Order {
        Order::ALL[usize::from(self.order.load(Ordering::Relaxed)) % Order::ALL.len()]
    }

    /// The serial of the last commit.
    pub fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// A number for the content that the serial stands for, where the zone is only its master file: whoever keeps it
    /// can tell after a restart whether the same serial is the same zone. 0 for every other zone.
    pub fn content(&self) -> u64 {
        self.content.load(Ordering::Relaxed)
    }

    /// Warnings for those who run the zone.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Changes from `serial` to the last commit; none when the journal does not reach back to it.
    pub fn difference(&self, serial: u32) -> Option<Difference> {
        let past = self.journal.lock().unwrap_or_else(PoisonError::into_inner).since(serial)?;
        past.condense(&self.origin)
    }

    /// Part of the zone that secondaries get. To be taken after the table that it is applied to: a state of the zone is
    /// followed by the whole zone wherever this changes.
    pub fn transferred(&self) -> Arc<Transferred> {
        Arc::clone(self.journal.lock().unwrap_or_else(PoisonError::into_inner).transferred())
    }

    /// Returns whether that is something else than before; the journal then begins anew.
    fn set_transferred(&self, transferred: &Transferred) -> bool {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).set_transferred(transferred)
    }

    fn record(&self, commit: &Commit) {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).push(&self.origin, commit);
    }

    /// Sets how much of its past the zone keeps from now on. Not between the halves of a commit.
    fn keep_journal(&self, bounds: Bounds) {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).set_bounds(bounds);
    }

    /// Returns whether commits are kept for incremental transfers: somebody may transfer the zone.
    pub fn keeps_journal(&self) -> bool {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).is_kept()
    }

    /// Nothing leads from earlier serials to the next.
    fn forget_journal(&self) {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn set_serial(&self, serial: u32, content: u64) {
        self.content.store(content, Ordering::Relaxed);
        self.serial.store(serial, Ordering::Relaxed);
    }
}

/// The zones of a server.
#[derive(Debug, Clone, Default)]
pub struct Zones(Vec<Arc<Zone>>);

impl Zones {
    /// These zones.
    pub fn new(mut zones: Vec<Arc<Zone>>) -> Self {
        // The longest match is found first.
        zones.sort_by_key(|zone| std::cmp::Reverse(zone.origin().wire().len()));
        Self(zones)
    }

    /// The zone that a name, in wire form and lower case, belongs to.
    pub fn find(&self, name: &[u8]) -> Option<&Arc<Zone>> {
        self.0.iter().find(|zone| zone.has(name))
    }

    /// Finds the zone that answers a question of type `rtype` about a name, in wire form and lower case: its place in
    /// [`Self::iter`]. A DS question at an apex is for the parent zone, where that is here, too (RFC 4035 §3.1.4.1).
    pub fn place(&self, name: &[u8], rtype: u16) -> Option<usize> {
        let mut places = (0..self.0.len()).filter(|&place| self.0[place].has(name));
        let first = places.next()?;
        let is_for_parent = rtype == rtype::DS && self.0[first].origin.wire() == name;
        Some(places.next().filter(|_| is_for_parent).unwrap_or(first))
    }

    /// The one at `index` of [`Self::iter`].
    pub fn get(&self, index: usize) -> Option<&Arc<Zone>> {
        self.0.get(index)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.0.iter()
    }
}

/// Returns whether a label begins at `start` of a name in wire form.
fn is_label_start(name: &[u8], start: usize) -> bool {
    let mut at = 0;
    while at < start {
        match name.get(at) {
            Some(&length) if length > 0 => at += 1 + usize::from(length),
            _ => return false,
        }
    }
    at == start
}

/// Makes a zone: its apex as it is before any file or registry says more.
#[derive(Debug, Clone)]
pub struct ZoneBuilder {
    origin: Name,
    ttl: u32,
    negative_ttl: u32,
    addresses: Vec<IpAddr>,
    journal: Bounds,
    resume: u32,
    content: u64,
    build: u64,
    is_file: bool,
}

impl ZoneBuilder {
    /// A zone at `origin` (in lower case), with the times to live of its own records and of its negative answers.
    pub fn new(origin: Name, ttl: u32, negative_ttl: u32) -> Self {
        Self {
            origin,
            ttl,
            negative_ttl,
            addresses: Vec::new(),
            journal: Bounds::NONE,
            resume: 0,
            content: 0,
            build: 0,
            is_file: false,
        }
    }

    /// The addresses of the name server that the zone gets unless its file says another.
    pub fn addresses(mut self, addresses: Vec<IpAddr>) -> Self {
        self.addresses = addresses;
        self
    }

    /// Sets how much of its past the zone keeps for incremental transfers: nothing, unless this says more.
    pub fn journal(mut self, bounds: Bounds) -> Self {
        self.journal = bounds;
        self
    }

    /// A serial that was given out before this process began: the zone's first comes after it.
    pub fn resume(mut self, serial: u32) -> Self {
        self.resume = serial;
        self
    }

    /// The [`Zone::content`] that went with that serial; 0 where it is not known.
    pub fn resume_content(mut self, content: u64) -> Self {
        self.content = content;
        self
    }

    /// A number for this program: another one may make other records of the same file.
    pub fn build_id(mut self, build: u64) -> Self {
        self.build = build;
        self
    }

    /// A zone that is its master file and nothing else: the file numbers it ([`serial::of_file`]).
    pub fn numbered_by_its_file(mut self) -> Self {
        self.is_file = true;
        self
    }

    /// The zone's writer. A zone without a file gets `ns.<origin>` as its name server; one with a file says its own.
    pub fn build(self) -> ZoneWriter {
        // What is the file's alone is not written twice.
        let fixed = (!self.is_file).then(|| {
            let builder = Self { journal: Bounds::NONE, resume: 0, content: 0, ..self.clone() };
            Box::new(builder.numbered_by_its_file().build())
        });
        let Self { origin, ttl, negative_ttl, addresses, journal, resume, content, build, is_file } = self;
        // Names that are too long for a label more fall back to the apex itself.
        let below = |label: &[u8]| origin.child(label).unwrap_or_else(|_| origin.clone());
        let (ns, mailbox) = (below(b"ns"), below(b"hostmaster"));
        let soa = Soa {
            // A negative answer lives for the lesser of this and the minimum (RFC 2308 §5).
            ttl: ttl.max(negative_ttl),
            mname: ns.clone(),
            rname: mailbox,
            serial: resume,
            refresh: 60,
            retry: 10,
            expire: 86_400,
            minimum: negative_ttl,
        };
        let (index_writer, index) = IndexWriter::new();
        let zone = Arc::new(Zone {
            origin: origin.clone(),
            index,
            freshness: AtomicU8::new(Freshness::Loading as u8),
            minimal_responses: AtomicBool::new(config::Live::default().minimal_responses),
            order: AtomicU8::new(Order::default() as u8),
            serial: AtomicU32::new(0),
            content: AtomicU64::new(0),
            warnings: Warnings::default(),
            journal: Mutex::new(Journal::new(journal)),
            fixed: fixed.as_ref().map(|fixed| Arc::clone(fixed.zone())),
            stale: StaleNames::default(),
            holds_transfers: AtomicBool::new(false),
        });
        let mut apex = Sets::default();
        apex.add(rtype::NS, ttl, ns.wire());
        let mut base = vec![Offer { owner: origin, rank: Rank::Base, sets: apex.into_sets() }];
        let mut glue = Sets::default();
        for address in addresses {
            glue.add_address(ttl, address);
        }
        base.push(Offer { owner: ns, rank: Rank::Base, sets: glue.into_sets() });
        let numbers = is_file.then(|| FileSerial::after(resume, content, build));
        ZoneWriter::new(zone, (index_writer, fixed), soa, base, numbers)
    }
}
