//! zonekeeper: an authoritative DNS server for a ZooKeeper service registry, and the agent that registers into it.
//!
//! The name is the two halves: [`zookeeper`] deals in znodes, [`zone`] in DNS data; [`registry`] is what the one
//! shows, and [`publish`] the only door to the other.
//!
//! ```text
//!  ZooKeeper ─watch─▶ zookeeper::mirror ─changed paths──▶ publish ──offers──▶ zone::writer ──commit──▶ zone::index
//!      ▲       reads    (pure; driver.rs                 reads services      decides what each        one table, swapped
//!      │                 does its I/O)                   by format/          name shows; serial       whole
//!      │                                                                                                   │
//!      └──creates── announce::driver ◀── announce::plan ◀── [[service]]              query ──▶ dns::fast ◀─┘
//!                   (its own session)    (pure)        checks                        reply ◀── dns::listen
//! ```
//! [`registry::cache`] keeps the last known tree for a start without ZooKeeper; [`zookeeper::verify`] reads everything
//! again, beside the watches; [`registry::links`] follows zc.zk's links, which `format::link` reads, and
//! [`registry::placed`] shows instances as children of services where their paths are otherwise. Each commit also goes
//! into the zone's `journal`, from which `dns::transfer` makes differences for secondaries. `announce::node` decides
//! about one registration, `announce::check::runner` about its checks; `announce::plan` has them all.
//!
//! # A query's way
//! 1. A socket of `dns::listen` receives it: UDP in batches, a thread a core; TCP, TLS, HTTPS and QUIC by connections.
//! 2. `dns::fast::parse` reads header, question and OPT, and hashes the name. Options of both ways are read by
//!    `dns::message::options`, and what is answered to them is decided by `dns::serve::policy`.
//! 3. `dns::fast::respond` finds the name's packed entry and copies its records behind the question: the fast way.
//! 4. Everything else (aliases, ANY, transfers, signatures, what is malformed: `fast::query` decides by the form,
//!    `fast::respond` by rights, freshness and what is at the name) is handed over with what was read of it
//!    (`fast::hand_over`), over UDP through a bounded queue (`listen::slow`) to threads of its own.
//! 5. `dns::message::parse` reads what nobody has read; no message is read twice (but by QUIC's library).
//! 6. `dns::serve::gate` judges the signature, has `serve::policy` judge cookie, rate and rights, and begins zone
//!    transfers (`dns::transfer`).
//! 7. `dns::serve::query` refuses, or has `serve::answer` look the name up in the tables of the zones; aliases that
//!    lead out of them go by `serve::chain` to `dns::forward`.
//! 8. `dns::message::writer` writes the records, names compressed, up to the client's limit; `dns::message::request`
//!    appends OPT, `dns::message::tsig` the signature.
//! 9. `dns::serve::exchange` ends the exchanges of both ways: they are counted there, and nowhere else. What is logged
//!    of them, `dns::serve::query_log` chooses; where it chooses nothing, the fast way does not know of it.
//! 10. The response leaves by the socket that the query came by.
//!
//! # Where things are
//! | row | modules | may import |
//! | --- | --- | --- |
//! | 0 | [`model`], [`backoff`], [`log`], [`disk`], `patience`; [`diagnostic`] → log; [`settings`] → diagnostic | nothing else of ours |
//! | 1 | [`registry`]; [`mod@format`] → model; [`zone`] → model | row 0, not each other |
//! | 2 | [`zookeeper`] → registry, backoff; [`dns`] → zone; [`export`] → zone | lower rows, not each other |
//! | 3 | [`publish`] → registry, format, zone; [`announce`] → zookeeper, registry, format | lower rows, not each other |
//! | 4 | [`inspect`] → publish, registry, format, zone | what people see of a registry: most sentences of `explain` are there |
//! | 5 | [`instance_files`] → announce; [`admin`] → `instance_files` | the readers and statuses of the rows below |
//! | 6 | [`config`] | every part's `Config` |
//! | 7 | [`app`], [`cli`] | everything |
//!
//! `tests/layers.rs` checks the table, and that no two files import each other. Foreign crates stay where they belong:
//! `zookeeper_client` in zookeeper/client/, `hickory_server` in dns/listen/quic.rs, `hickory_resolver` in dns/forward/
//! and zookeeper/client/srv.rs, `hickory_proto` in these two, in dns/serve/chain.rs, zone/ and export/, `rustls` in
//! dns/listen/, dns/forward/, zookeeper/client/, announce/check/tls.rs and cli/connect/, `toml` in settings/tree.rs,
//! `clap` in cli/, `axum` in admin/.
//!
//! # Where it is decided
//! - that an ensemble is older than what was seen of it, and for how long it is not believed: `mirror::holding` of
//!   zookeeper/, from what `mirror::doubt` has gathered; `hold` is read by `zookeeper::config`. (An *epoch* is the life
//!   of a connection.)
//! - whom a connection makes room for, and when it ends: `dns::listen::connections`, by `[dns.tcp]` (`listen::limits`).
//! - who this process is to ZooKeeper (passwords, SASL, certificates): `zookeeper::security` reads it, and
//!   zookeeper/client/attach.rs opens sessions with it.
//! - which znodes are mirrored at all: [`registry::selection`], by the convention.
//! - which instances of a service are served, and why one is not: `publish::read` with the convention; of two znodes of
//!   one endpoint which: `publish::reading`; while many go at once, `publish::guard`.
//! - drains: `format::drain` reads and writes the flags, `announce::drain` puts them into ZooKeeper, into service nodes
//!   or a tree of ours that `publish::drain_tree` follows; `publish::read` applies them, `publish::ends` ends them.
//! - what names a service has: `zone::records` with `zone::build`; which of several sources shows at a name:
//!   `zone::writer::contest`; names that are known without a znode: `publish::known`.
//! - what a configuration may say: `settings` reads values and words the mistakes, `diagnostic` shows them.
//! - when a file of `[[file]]` is written: `instance_files::keep`; what is in it: `app/instance_lists.rs`.
//! - what is an event, and why an instance has gone: [`publish::events`]; what a changed znode was before is noted by
//!   `registry::former` until the change has been shown.
//! - sockets that systemd has passed, and what it is told: app/manager.rs; `dns::listen` takes them as they are.
//! - readiness: `admin::ready`; a command's exit code: `cli/mod.rs`, but for `status` and signals.
//!
//! # What holds everywhere
//! - Decisions are pure, I/O is thin: `zookeeper::mirror`, `announce::plan`, `format`, `zone`, `dns::fast` and
//!   `dns::serve::answer` have no `async` and take the time as an argument.
//! - Only `publish` and the reader of a zone's own file write zones. A query loads one table and looks nowhere else.
//! - Names that are as many as instances (`addr` names, DNS-SD instances) are held by nobody: `zone::view` makes their
//!   records of what the table has.
//! - Nothing outside `zookeeper` and `announce` does anything with a session; `registry` keeps its number, and the ids
//!   of transactions, for people, the cache and the choice between two znodes of one endpoint.
//! - Before the registry was read completely once, its zones answer SERVFAIL, never NXDOMAIN, but for the names
//!   of their files. Losing ZooKeeper later removes no answer before `max_stale`, and never looks like an empty
//!   service.
//! - A zone has sources ([`zone::source`]), each with a precedence, and is as fresh as they are: nobody sets its
//!   freshness. A source is a reader of a registry: a mirror of its own with its own publisher, so that one in trouble
//!   hurts no other. Whoever waits for a zone follows its events ([`zone::events`]), which leave the one commit.
//! - Bad registry data is not an error but a value, counted and shown with its path; its neighbours are served.
//! - A task that ends unasked ends the process with its name; at the end, announcements go first and DNS last.
//!
//! # To add
//! - A znode convention: a file in format/conventions/ and its row in `CONVENTIONS`; a test wants its words in
//!   deploy/zonekeeper.toml and deploy/docs/names.md.
//!   One that needs no code is a table in format/declared/builtin.toml with a sample in tests/fixtures/conventions/;
//!   deploy/docs/conventions.md is written anew by `zonekeeper formats --markdown`.
//! - A check: a file in announce/check/ and its lines in announce/check/mod.rs (`CheckKind`, `KINDS` and what matches
//!   on them).
//! - A form of name, or of records that services get: a file in zone/records/ and its row in `FORMS` there. A record
//!   type: its row in zone/rdata/types.rs.
//! - An endpoint of the admin server: its handler and its lines in `ENDPOINTS` and `ROUTES` of admin/routes/mod.rs, in
//!   a file there if it is long, and its description in admin/openapi/, which a test compares with the routes; what it
//!   writes is made in admin/, of `admin::snapshot`.
//! - A command: a file in cli/, and its lines in cli/mod.rs; one of `registry` in cli/registry/, with an example that
//!   tests/it/toolbox/examples.rs runs.
//! - An output of whole zones: a file in export/ and its line in `export::Form`. A shape of `[[file]]`: its line and
//!   its function in `instance_files/shape.rs`.
//! - A setting: a key in the `Config` of its table, read as [`settings::live`] or [`settings::fixed`], and its lines in
//!   deploy/zonekeeper.toml. The `Config` of a table below `[dns]` is in the file that uses it (dns/serve/rate.rs,
//!   dns/listen/limits.rs, …). A fixed key is compared in config/pending.rs, one of `[dns]` in dns/config.rs; a live
//!   one of a table that is compared whole needs no more, else its part applies it: dns/server.rs and
//!   `dns::serve::policy`, `publish::known` for zones and registries, `announce::plan`. Tests compare the rows.

pub mod admin;
pub mod announce;
pub mod app;
pub mod backoff;
pub mod cli;
pub mod config;
pub mod diagnostic;
pub mod disk;
pub mod dns;
pub mod export;
pub mod format;
pub mod inspect;
pub mod instance_files;
pub mod log;
pub mod model;
mod patience;
pub mod publish;
pub mod registry;
pub mod settings;
pub mod zone;
pub mod zookeeper;
