//! Makes zones.

use std::net::IpAddr;
use std::sync::Arc;

use super::file_serial::FileSerial;
use super::index::IndexWriter;
use super::journal::Bounds;
use super::name::Name;
use super::offer::{Offer, Rank};
use super::record::rtype;
use super::rrset_builder::RrSetBuilder;
use super::served::Zone;
use super::soa::Soa;
use super::writer::ZoneWriter;

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

    /// A zone that is its master file and nothing else: the file numbers it ([`super::serial::of_file`]).
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
        let of_file = fixed.as_ref().map(|fixed| Arc::clone(fixed.zone()));
        let zone = Arc::new(Zone::new(origin.clone(), index, journal, of_file));
        let mut apex = RrSetBuilder::default();
        apex.add(rtype::NS, ttl, ns.wire());
        let mut base = vec![Offer { owner: origin, rank: Rank::Base, sets: apex.into_sets() }];
        let mut glue = RrSetBuilder::default();
        for address in addresses {
            glue.add_address(ttl, address);
        }
        base.push(Offer { owner: ns, rank: Rank::Base, sets: glue.into_sets() });
        let numbers = is_file.then(|| FileSerial::after(resume, content, build));
        ZoneWriter::new(zone, (index_writer, fixed), soa, base, numbers)
    }
}
