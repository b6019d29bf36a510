//! The format of the cache file: bytes <-> a tree, over any writer. Nothing here opens a file.
//!
//! ```text
//! "zonekeeper cache\n"  version: u32le  ensemble: text  root: text
//! record…   in the order of the paths: the registry while it was read out
//! record…   in any order: what changed meanwhile, and is to be applied on top
//! NOTES  text   what the observer keeps beside the znodes; the last record, or not there
//! END  last zxid: u64le  root seen: u8  time of truth: u64le, milliseconds since 1970  records: u64le
//!      CRC-32 of all before it: u32le
//!
//! record:  KNOWN       path  data: text  czxid: number  mzxid: number  owner: number
//!          HELD        as KNOWN, of one that is refused since; last read: number, milliseconds since 1970
//!          KEPT        text: the last data of the znode of the record before that were understood
//!          UNREADABLE  path
//!          GONE        path
//! path:    bytes shared with the path before: number, the rest: text
//! text:    length: number, bytes        number: LEB128
//! ```
//! Version 1 has neither HELD nor KEPT, and neither zxid nor root seen. Nothing of a file is read but its version
//! before its checksum is right.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crc32fast::Hasher;

use crate::registry;
use crate::registry::Path;
use crate::registry::root;
use crate::registry::tree::{Entry, Known, Tree};

const MAGIC: &[u8] = b"zonekeeper cache\n";
const VERSION: u32 = 2;
/// The oldest that is read.
const OLDEST: u32 = 1;

const END: u8 = 0;
const KNOWN: u8 = 1;
const UNREADABLE: u8 = 2;
const GONE: u8 = 3;
const HELD: u8 = 4;
const NOTES: u8 = 5;
const KEPT: u8 = 6;

/// Record of one znode.
#[derive(Debug, Clone)]
pub(super) struct CacheRecord {
    /// Its entry; none when it went.
    pub(super) entry: Option<Entry>,
    /// Time of its last reading, where it is refused since.
    pub(super) last_read: Option<SystemTime>,
    /// The last data that were understood, where those that it has are not.
    pub(super) kept: Option<Box<[u8]>>,
}

/// Record of the ensemble as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EnsembleRecord {
    /// The largest zxid.
    pub(super) zxid: i64,
    /// True if the root was ever there.
    pub(super) root: bool,
}

/// Identity of the registry that a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheScope {
    /// The ensemble's connect string.
    pub ensemble: String,
    /// The mirrored root.
    pub root: Path,
}

impl CacheScope {
    /// Returns whether the registry of `other` can be the same: the same chroot and root, and at least one server in
    /// common, so that a server more or less in the connect string costs no cache.
    fn may_be(&self, other: &Self) -> bool {
        let (servers, chroot) = split(&self.ensemble);
        let (other_servers, other_chroot) = split(&other.ensemble);
        self.root == other.root
            && chroot == other_chroot
            && servers.split(',').any(|server| other_servers.split(',').any(|other| other == server))
    }
}

fn split(ensemble: &str) -> (&str, &str) {
    ensemble.find('/').map_or((ensemble, ""), |slash| ensemble.split_at(slash))
}

/// Why a file's content is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CacheRefusal {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It does not begin as a cache file does.
    #[error("it is not a cache file of zonekeeper")]
    Foreign,
    /// A later program wrote it.
    #[error("it is of version {0}, written by a newer zonekeeper; this one reads version {VERSION}")]
    Newer(u32),
    /// It is the cache of another registry.
    #[error("it holds {}{} of another registry, {}", .0.root, if .0.root.is_root() { "" } else { "/" }, .0.ensemble)]
    Other(CacheScope),
    /// It is cut off or was changed.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// Writes one file, record by record.
pub(super) struct Encoder<W> {
    out: W,
    crc: Hasher,
    path: String,
    record: Vec<u8>,
    records: u64,
    bytes: u64,
}

impl<W: Write> Encoder<W> {
    pub(super) fn new(out: W, scope: &CacheScope) -> io::Result<Self> {
        let (path, record) = (String::new(), Vec::new());
        let mut encoder = Self { out, crc: Hasher::new(), path, record, records: 0, bytes: 0 };
        encoder.record.extend_from_slice(MAGIC);
        encoder.record.extend_from_slice(&VERSION.to_le_bytes());
        text(&mut encoder.record, scope.ensemble.as_bytes());
        text(&mut encoder.record, scope.root.as_str().as_bytes());
        encoder.flush_record()?;
        Ok(encoder)
    }

    /// Adds what is known of `path`; none says that it is gone. Answers that say nothing for another session are left
    /// out.
    pub(super) fn put(&mut self, path: &Path, record: &CacheRecord) -> io::Result<()> {
        let CacheRecord { entry, last_read, kept } = record;
        let tag = match entry {
            Some(Entry::Known(_)) if last_read.is_some() => HELD,
            Some(Entry::Known(_)) => KNOWN,
            Some(Entry::Unreadable(registry::Error::NoAuth)) => UNREADABLE,
            Some(Entry::Unreadable(_)) | None => GONE,
        };
        let path = path.as_str();
        let shared = path.bytes().zip(self.path.bytes()).take_while(|(a, b)| a == b).count();
        self.record.push(tag);
        number(&mut self.record, shared as u64);
        text(&mut self.record, &path.as_bytes()[shared..]);
        if let Some(Entry::Known(known)) = entry {
            text(&mut self.record, &known.data);
            for value in [known.czxid, known.mzxid, known.ephemeral_owner] {
                number(&mut self.record, value.cast_unsigned());
            }
            if let Some(last_read) = last_read {
                number(&mut self.record, millis(*last_read));
            }
        }
        if let Some(kept) = kept {
            self.record.push(KEPT);
            text(&mut self.record, kept);
        }
        self.path.clear();
        self.path.push_str(path);
        self.records += 1;
        self.flush_record()
    }

    /// Adds what the observer keeps.
    pub(super) fn note(&mut self, notes: &[u8]) -> io::Result<()> {
        self.record.push(NOTES);
        text(&mut self.record, notes);
        self.flush_record()
    }

    /// Ends the file: its content was true at `when`. Gives back the writer, and how much was written.
    pub(super) fn finish(mut self, when: SystemTime, seen: EnsembleRecord) -> io::Result<(W, u64)> {
        self.record.push(END);
        self.record.extend_from_slice(&seen.zxid.to_le_bytes());
        self.record.push(u8::from(seen.root));
        self.record.extend_from_slice(&millis(when).to_le_bytes());
        self.record.extend_from_slice(&self.records.to_le_bytes());
        self.flush_record()?;
        let crc = self.crc.clone().finalize();
        self.out.write_all(&crc.to_le_bytes())?;
        self.out.flush()?;
        Ok((self.out, self.bytes + 4))
    }

    fn flush_record(&mut self) -> io::Result<()> {
        self.crc.update(&self.record);
        self.bytes += self.record.len() as u64;
        self.out.write_all(&self.record)?;
        self.record.clear();
        Ok(())
    }
}

/// Content of a file.
#[derive(Debug)]
pub struct Loaded {
    /// The znodes.
    pub tree: Tree,
    /// Notes that the observer kept beside them; may be empty.
    pub notes: Vec<u8>,
    /// Time at which it was true.
    pub when: SystemTime,
}

/// Reads a whole file.
pub(super) fn decode(bytes: &[u8], scope: &CacheScope) -> Result<Loaded, CacheRefusal> {
    let mut decoder = Decoder { rest: bytes.strip_prefix(MAGIC).ok_or(CacheRefusal::Foreign)?, version: VERSION };
    decoder.version = match u32::from_le_bytes(decoder.array()?) {
        version @ OLDEST..=VERSION => version,
        other => return Err(CacheRefusal::Newer(other)),
    };
    // From here on every byte is as it was written.
    let (content, crc) = decoder.rest.split_last_chunk::<4>().ok_or(CUT_OFF)?;
    let mut expected = Hasher::new();
    expected.update(&bytes[..bytes.len() - crc.len()]);
    if expected.finalize() != u32::from_le_bytes(*crc) {
        return Err(CacheRefusal::Damaged("the checksum is wrong, or it is cut off"));
    }
    decoder.rest = content;
    let ensemble = decoder.str()?.to_owned();
    let root = Path::new(decoder.str()?).map_err(|_| CacheRefusal::Damaged("its root is no path"))?;
    let found = CacheScope { ensemble, root };
    if !found.may_be(scope) {
        return Err(CacheRefusal::Other(found));
    }
    decoder.records(&found.root)
}

struct Decoder<'b> {
    rest: &'b [u8],
    version: u32,
}

impl<'b> Decoder<'b> {
    fn records(mut self, root: &Path) -> Result<Loaded, CacheRefusal> {
        // As every file was written a moment after the last reading, what is left of a clock's jump is no matter.
        let (now, unix) = (Instant::now(), millis(SystemTime::now()));
        let mut held = Vec::new();
        let mut nodes: Vec<(Path, Option<Entry>)> = Vec::new();
        let (mut path, mut beside) = (Vec::new(), Vec::new());
        let mut kept: BTreeMap<Path, Box<[u8]>> = BTreeMap::new();
        loop {
            let tag = self.byte()?;
            if tag == END {
                break;
            }
            if tag == NOTES {
                beside = self.text()?.to_vec();
                continue;
            }
            if tag == KEPT {
                let (at, _) = nodes.last().ok_or(CacheRefusal::Damaged("data of no znode are kept"))?;
                kept.insert(at.clone(), self.text()?.into());
                continue;
            }
            let shared = usize::try_from(self.number()?).unwrap_or(usize::MAX);
            if shared > path.len() {
                return Err(CacheRefusal::Damaged("a path shares more than there is"));
            }
            path.truncate(shared);
            path.extend_from_slice(self.text()?);
            let text = std::str::from_utf8(&path).map_err(|_| CacheRefusal::Damaged("a path is no text"))?;
            // What a server told of is taken as it is, here as in the mirror: no more is asked than a slash in front.
            let at = if text.starts_with('/') {
                Path::trusted(text)
            } else {
                return Err(CacheRefusal::Damaged("a path is no path"));
            };
            let entry = match tag {
                KNOWN | HELD => {
                    let data = self.text()?.into();
                    let mut number = || Ok::<_, CacheRefusal>(self.number()?.cast_signed());
                    let (czxid, mzxid, ephemeral_owner) = (number()?, number()?, number()?);
                    if tag == HELD {
                        let age = Duration::from_millis(unix.saturating_sub(self.number()?));
                        held.push((at.clone(), now.checked_sub(age)));
                    }
                    Some(Entry::Known(Known { data, czxid, mzxid, ephemeral_owner, ctime: 0 }))
                }
                UNREADABLE => Some(Entry::Unreadable(registry::Error::NoAuth)),
                GONE => None,
                _ => return Err(CacheRefusal::Damaged("there is a record of an unknown kind")),
            };
            kept.remove(&at);
            nodes.push((at, entry));
        }
        let seen = match self.version {
            OLDEST => None,
            _ => Some(EnsembleRecord { zxid: i64::from_le_bytes(self.array()?), root: self.byte()? != 0 }),
        };
        let when = u64::from_le_bytes(self.array()?);
        if u64::from_le_bytes(self.array()?) != nodes.len() as u64 || !self.rest.is_empty() {
            return Err(CacheRefusal::Damaged("it holds more or less than it says"));
        }
        let when =
            UNIX_EPOCH.checked_add(Duration::from_millis(when)).ok_or(CacheRefusal::Damaged("its time is no time"))?;
        let mut tree = Tree::from_records(nodes);
        for (path, read_at) in held {
            if tree.known(path.as_str()).is_some() {
                tree.set_refused(&path, root::RootRefusal { error: registry::Error::NoAuth, read_at });
            }
        }
        for (path, data) in kept {
            tree.keep(&path, Some(data));
        }
        let is_there = tree.get(root.as_str()).is_some();
        let EnsembleRecord { zxid, root } =
            seen.unwrap_or_else(|| EnsembleRecord { zxid: tree.last_zxid(), root: is_there });
        tree.set_zxid(zxid);
        if root {
            tree.see_root();
        }
        Ok(Loaded { tree, notes: beside, when })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CacheRefusal> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(*array)
    }

    fn byte(&mut self) -> Result<u8, CacheRefusal> {
        Ok(self.array::<1>()?[0])
    }

    fn number(&mut self) -> Result<u64, CacheRefusal> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(CacheRefusal::Damaged("a number does not end"))
    }

    fn text(&mut self) -> Result<&'b [u8], CacheRefusal> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let (text, rest) = self.rest.split_at_checked(length).ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(text)
    }

    fn str(&mut self) -> Result<&'b str, CacheRefusal> {
        std::str::from_utf8(self.text()?).map_err(|_| CacheRefusal::Damaged("its head is no text"))
    }
}

const CUT_OFF: CacheRefusal = CacheRefusal::Damaged("it is cut off");

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    number(out, text.len() as u64);
    out.extend_from_slice(text);
}

fn millis(when: SystemTime) -> u64 {
    when.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    fn scope() -> CacheScope {
        CacheScope { ensemble: "zk1:2181,zk2:2181/prod".into(), root: path("/services") }
    }

    fn known(data: &[u8]) -> Entry {
        Entry::Known(Known { data: data.into(), czxid: 7, mzxid: 1 << 40, ephemeral_owner: -3, ctime: 0 })
    }

    fn record(entry: Option<Entry>) -> CacheRecord {
        CacheRecord { entry, last_read: None, kept: None }
    }

    fn when() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_800_000_000_123)
    }

    fn file() -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), &scope()).unwrap();
        for (at, entry) in [
            ("/services", known(b"")),
            ("/services/a", known(b"{}")),
            ("/services/a/providers", Entry::Unreadable(registry::Error::NoAuth)),
            ("/services/b", known(&[0xff; 300])),
            ("/services/\u{fc}", known(b"x")),
        ] {
            encoder.put(&path(at), &record(Some(entry))).unwrap();
        }
        let held = CacheRecord {
            last_read: Some(SystemTime::now() - Duration::from_secs(60)),
            ..record(Some(known(b"held")))
        };
        encoder.put(&path("/services/held"), &held).unwrap();
        let bad = |kept: &[u8]| CacheRecord { kept: Some(kept.into()), ..record(Some(known(b"{"))) };
        for (at, kept) in [("/services/odd", "good"), ("/services/odd2", "gone"), ("/services/odd3", "old")] {
            encoder.put(&path(at), &bad(kept.as_bytes())).unwrap();
        }
        // Meanwhile some were deleted, one was created, some were changed.
        encoder.put(&path("/services/odd2"), &record(Some(known(b"{}")))).unwrap();
        encoder.put(&path("/services/odd3"), &bad(b"new")).unwrap();
        encoder.put(&path("/services/b"), &record(None)).unwrap();
        encoder.put(&path("/services/a/c"), &record(Some(known(b"new")))).unwrap();
        encoder.put(&path("/services/a"), &record(Some(known(b"changed")))).unwrap();
        encoder.note(b"host\tx\t192.0.2.1\n").unwrap();
        encoder.finish(when(), EnsembleRecord { zxid: 1 << 41, root: true }).unwrap().0
    }

    fn refusal(bytes: &[u8]) -> String {
        decode(bytes, &scope()).unwrap_err().to_string()
    }

    /// Files of earlier versions stay readable.
    #[test]
    fn the_checksum_is_that_of_zip_whatever_the_pieces() {
        let mut crc = Hasher::new();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.finalize(), 0xcbf4_3926);
    }

    #[test]
    fn what_was_written_is_read_with_what_changed_meanwhile() {
        let Loaded { tree, notes, when: at } = decode(&file(), &scope()).unwrap();
        assert_eq!((at, &*notes), (when(), &b"host\tx\t192.0.2.1\n"[..]));
        let paths: Vec<_> = tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths[..4], ["/services", "/services/a", "/services/a/c", "/services/a/providers"]);
        assert_eq!(paths[4..8], ["/services/held", "/services/odd", "/services/odd2", "/services/odd3"]);
        assert_eq!(paths[8..], ["/services/\u{fc}"]);
        let kept = ["odd", "odd2", "odd3"].map(|name| tree.kept(&format!("/services/{name}")));
        assert_eq!(kept, [Some(&b"good"[..]), None, Some(b"new")]);
        assert_eq!((tree.zxid(), tree.is_root_seen()), (1 << 41, true));
        let age = tree.last_read("/services/held").unwrap().elapsed().as_secs();
        assert!((60..90).contains(&age), "what was refused is as old as it was: {age}");
        assert_eq!(tree.refused().count(), 2);
        assert_eq!(tree.get("/services/a"), Some(&known(b"changed")));
        assert_eq!(tree.get("/services/a/providers"), Some(&Entry::Unreadable(registry::Error::NoAuth)));
        assert_eq!(tree.bytes(), "changed".len() + "new".len() + "held".len() + 1 + "{{}{".len());
    }

    #[test]
    fn a_file_with_any_byte_changed_or_missing_is_refused() {
        let good = file();
        for at in 0..good.len() {
            assert!(decode(&good[..at], &scope()).is_err(), "cut off at {at}");
            for flip in [1, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert!(decode(&bad, &scope()).is_err(), "byte {at} ^ {flip:#x}");
            }
        }
        for bad in [[&*good, b"x"].concat(), good[..good.len() - 1].to_vec()] {
            assert_eq!(refusal(&bad), "it is damaged: the checksum is wrong, or it is cut off");
        }
    }

    #[test]
    fn noise_is_refused_even_under_a_right_checksum() {
        let mut rng = fastrand::Rng::with_seed(1);
        let good = file();
        let mut taken = 0;
        for _ in 0..20_000 {
            let mut bytes = good[..rng.usize(MAGIC.len() + 4..good.len() - 4)].to_vec();
            bytes.extend((0..rng.usize(..40)).map(|_| if rng.bool() { rng.u8(..7) } else { rng.u8(..) }));
            let mut crc = Hasher::new();
            crc.update(&bytes);
            bytes.extend_from_slice(&crc.finalize().to_le_bytes());
            taken += u32::from(decode(&bytes, &scope()).is_ok());
        }
        assert_eq!(taken, 0, "none has the right number of records at its end");
        assert_eq!(refusal(b""), "it is not a cache file of zonekeeper");
        assert_eq!(refusal(b"[registry.main]\nzookeeper = 1\n"), "it is not a cache file of zonekeeper");
    }

    #[test]
    fn a_newer_file_and_another_registrys_are_told_apart() {
        let mut newer = file();
        newer[MAGIC.len()] = 3;
        assert!(matches!(decode(&newer, &scope()), Err(CacheRefusal::Newer(3))));
        for (ensemble, root, taken) in [
            ("zk2:2181,zk9:2181/prod", "/services", true),
            ("zk1:2181,zk2:2181/test", "/services", false),
            ("zk1:2181,zk2:2181", "/services", false),
            ("zk9:2181/prod", "/services", false),
            ("zk1:2181,zk2:2181/prod", "/", false),
        ] {
            let scope = CacheScope { ensemble: ensemble.into(), root: path(root) };
            assert_eq!(decode(&file(), &scope).is_ok(), taken, "{ensemble} {root}");
        }
    }
}
