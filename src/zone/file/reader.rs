//! Walks the entries of a master file: directives, owners, TTLs and classes; what holds from one entry to the next.
//!
//! It leaves the cutting of the text to `lexer`, a record's data to `rdata`, and what records owe each other to
//! `rules`.

use std::path::{Component, Path, PathBuf};

use super::lexer::{FileEntry, Lexer};
use super::parsed::{MAX_TEXT, Parsed, Problem, TOO_LARGE};
use super::rules::{self, At, Placed};
use crate::diagnostic::{Location, Severity};
use crate::zone::name::Name;
use crate::zone::rdata::word::{Fault, Spot, Word, name_of};
use crate::zone::rdata::{self, types};
use crate::zone::record::{Record, rtype};

/// Limit of nested `$INCLUDE`s.
const MAX_DEPTH: usize = 8;
/// Limit of included files in all; with the depth alone, files that include each other twice would double at every
/// level.
const MAX_INCLUDES: usize = 1000;
/// Limit of problems, and of remarks, that are kept: beyond these nobody reads on.
const MAX_PROBLEMS: usize = 1000;
/// The largest TTL (RFC 2181 §8), in seconds.
const MAX_TTL: u32 = i32::MAX.unsigned_abs();

/// The work of [`super::parse`].
pub(super) fn read(
    text: &str,
    origin: &Name,
    include: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<Parsed, Vec<Problem>> {
    let mut reader = Reader::new(origin, include);
    reader.text(FileScope { source: 0, text, origin: origin.clone(), owner: Owner::Unset });
    reader.finish()
}

/// The work of [`super::places`]: each record's owner and type, its file and its line.
pub(super) fn places(
    text: &str,
    origin: &Name,
    include: &mut dyn FnMut(&str) -> Result<String, String>,
    is_wanted: &dyn Fn(&Name) -> bool,
) -> Vec<(Name, u16, PathBuf, usize)> {
    let mut reader = Reader::new(origin, include);
    reader.text(FileScope { source: 0, text, origin: origin.clone(), owner: Owner::Unset });
    let Reader { placed, sources, .. } = reader;
    let wanted = placed.into_iter().filter(|placed| is_wanted(&placed.record.owner));
    wanted.map(|Placed { record, at }| (record.owner, record.rtype, sources[at.source].clone(), at.line)).collect()
}

/// The owner that an indented entry takes.
#[derive(Debug, Clone)]
enum Owner {
    /// There was no entry yet.
    Unset,
    /// The last entry's owner was wrong and is reported; records without a name of their own are checked and left.
    Lost,
    Is(Name),
}

/// State within one text.
struct FileScope<'t> {
    source: usize,
    text: &'t str,
    origin: Name,
    owner: Owner,
}

impl FileScope<'_> {
    fn at(&self, spot: Spot) -> At {
        let (column, width) = spot.place(self.text);
        At { source: self.source, line: spot.line, column, width }
    }
}

/// State from the first text to the last.
struct Reader<'i> {
    apex: Name,
    include: &'i mut dyn FnMut(&str) -> Result<String, String>,
    /// Names of the texts; the first has none.
    sources: Vec<PathBuf>,
    /// Those that are being read, as indices into `sources`.
    open: Vec<usize>,
    text_left: usize,
    includes_left: usize,
    /// Value of the last `$TTL`.
    ttl: Option<u32>,
    /// The TTL of the last record that had one.
    last_ttl: Option<u32>,
    ttl_missed: bool,
    placed: Vec<Placed>,
    problems: Vec<Problem>,
    remarks: Vec<Problem>,
}

impl<'i> Reader<'i> {
    fn new(origin: &Name, include: &'i mut dyn FnMut(&str) -> Result<String, String>) -> Self {
        Self {
            apex: origin.folded(),
            include,
            sources: vec![PathBuf::new()],
            open: vec![0],
            text_left: MAX_TEXT,
            includes_left: MAX_INCLUDES,
            ttl: None,
            last_ttl: None,
            ttl_missed: false,
            placed: Vec::new(),
            problems: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

impl Reader<'_> {
    fn problem(&self, at: At, message: String) -> Problem {
        let path = self.sources[at.source].clone();
        Problem::error(Location { path, line: at.line, column: at.column, width: at.width }, message)
    }

    fn report(&mut self, at: At, message: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(self.problem(at, message));
        }
    }

    fn remark(&mut self, at: At, message: String) {
        if self.remarks.len() < MAX_PROBLEMS {
            self.remarks.push(Problem { severity: Severity::Warning, ..self.problem(at, message) });
        }
    }

    /// Holds the records to the rules of a zone and sums up.
    fn finish(mut self) -> Result<Parsed, Vec<Problem>> {
        let findings = rules::settle(&mut self.placed, &self.apex);
        for (at, message) in findings.problems {
            self.report(at, message);
        }
        for (at, message) in findings.remarks {
            self.remark(at, message);
        }
        for list in [&mut self.problems, &mut self.remarks] {
            if list.len() == MAX_PROBLEMS {
                let message = format!("there are {MAX_PROBLEMS} messages or more: the rest is left out");
                let severity = list[0].severity;
                list.push(Problem { severity, ..Problem::error(Location::default(), message) });
            }
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let records = self.placed.into_iter().map(|placed| placed.record).collect();
        Ok(Parsed { records, remarks: self.remarks, includes: self.sources.split_off(1) })
    }

    fn text(&mut self, mut scope: FileScope<'_>) {
        let mut lexer = Lexer::new(scope.text);
        while let Some(entry) = lexer.next_entry() {
            if self.problems.len() >= MAX_PROBLEMS {
                return;
            }
            let result = match entry {
                Ok(entry) => self.entry(&entry, &mut scope),
                Err(fault) => {
                    scope.owner = Owner::Lost;
                    Err(fault)
                }
            };
            if let Err(fault) = result {
                self.report(scope.at(fault.at), fault.message);
            }
        }
    }

    fn entry(&mut self, entry: &FileEntry<'_>, scope: &mut FileScope<'_>) -> Result<(), Fault> {
        match entry.words.split_first() {
            Some((first, rest)) if !entry.indented && !first.quoted && first.raw.starts_with('$') => {
                self.directive(first, rest, scope)
            }
            _ => self.record(entry, scope),
        }
    }

    fn directive(&mut self, directive: &Word<'_>, words: &[Word<'_>], scope: &mut FileScope<'_>) -> Result<(), Fault> {
        let kind = directive.raw.to_ascii_uppercase();
        let most = match kind.as_str() {
            "$ORIGIN" | "$TTL" => 1,
            "$INCLUDE" => 2,
            "$GENERATE" => return Err(directive.fault("`$GENERATE` is not understood: write the records out")),
            _ => return Err(directive.fault(format!("{} is no directive", directive.shown()))),
        };
        let word = words.first().ok_or_else(|| directive.fault(format!("`{kind}` must be followed by a value")))?;
        if let Some(extra) = words.get(most) {
            return Err(extra.fault(format!("{} is too much: `{kind}` ends before it", extra.shown())));
        }
        match kind.as_str() {
            "$ORIGIN" => scope.origin = name_of(word, &scope.origin)?,
            "$TTL" => self.ttl = Some(ttl_of(word)?),
            _ => self.include(word, words.get(1), scope)?,
        }
        Ok(())
    }

    /// Reads another file in place of the entry. The origin and the owner are as before when it ends (RFC 1035 §5.1).
    fn include(&mut self, file: &Word<'_>, origin: Option<&Word<'_>>, scope: &FileScope<'_>) -> Result<(), Fault> {
        let origin = origin.map_or(Ok(scope.origin.clone()), |word| name_of(word, &scope.origin))?;
        let name = String::from_utf8(file.bytes()?).map_err(|_| file.fault("a file's name must be UTF-8"))?;
        let path =
            plain_path(&name).ok_or_else(|| file.fault("an included file must lie in the zone file's directory"))?;
        let known = self.sources.iter().position(|source| *source == path);
        if known.is_some_and(|known| self.open.contains(&known)) {
            return Err(file.fault(format!("{} includes itself", file.shown())));
        }
        if self.open.len() > MAX_DEPTH {
            return Err(file.fault(format!("`$INCLUDE` is nested deeper than {MAX_DEPTH} files")));
        }
        if self.includes_left == 0 {
            return Err(file.fault(format!("more than {MAX_INCLUDES} files are included")));
        }
        self.includes_left -= 1;
        let text = (self.include)(&path.to_string_lossy())
            .map_err(|why| file.fault(format!("{} cannot be included: {why}", file.shown())))?;
        let left = self.text_left.checked_sub(text.len());
        self.text_left = left.ok_or_else(|| file.fault(format!("the zone file {TOO_LARGE}")))?;
        let source = known.unwrap_or_else(|| {
            self.sources.push(path);
            self.sources.len() - 1
        });
        self.open.push(source);
        self.text(FileScope { source, text: &text, origin, owner: scope.owner.clone() });
        self.open.pop();
        Ok(())
    }

    fn record(&mut self, entry: &FileEntry<'_>, scope: &mut FileScope<'_>) -> Result<(), Fault> {
        let mut words = entry.words.as_slice();
        let ([first, ..], [.., last]) = (words, words) else { return Ok(()) };
        if !entry.indented {
            words = &words[1..];
            scope.owner = match self.owner_of(first, &scope.origin) {
                Ok(owner) => Owner::Is(owner),
                Err(fault) => {
                    self.report(scope.at(fault.at), fault.message);
                    Owner::Lost
                }
            };
        }
        let head = EntryHead::read(words, last.spot)?;
        let rdata = rdata::parse(head.rtype, head.data, head.spot, &scope.origin)?;
        let spot = first.spot.to(head.spot);
        let at = scope.at(spot);
        let ttl = self.ttl_for(&head, &rdata, at);
        let owner = match &scope.owner {
            Owner::Is(owner) => owner.clone(),
            Owner::Lost => return Ok(()),
            Owner::Unset => {
                let message = "there is no owner before this record: begin its line with one";
                return Err(Fault::error(spot, message));
            }
        };
        if head.rtype == rtype::SOA && owner != self.apex {
            return Err(Fault::error(spot, format!("the SOA belongs at {}, not at {owner}", self.apex)));
        }
        self.placed.push(Placed { record: Record { owner, rtype: head.rtype, ttl, rdata }, at });
        Ok(())
    }

    fn owner_of(&self, word: &Word<'_>, origin: &Name) -> Result<Name, Fault> {
        let owner = name_of(word, origin)?.folded();
        if owner.is_at_or_below(&self.apex) {
            return Ok(owner);
        }
        Err(word.fault(format!("{owner} is not in the zone {}", self.apex)))
    }

    /// The TTL of a record (RFC 2308 §4): its own, else what `$TTL` says, else that of the record before.
    fn ttl_for(&mut self, head: &EntryHead<'_, '_>, rdata: &[u8], at: At) -> u32 {
        let minimum =
            (head.rtype == rtype::SOA).then(|| rdata.last_chunk().map(|bytes| u32::from_be_bytes(*bytes))).flatten();
        let ttl = head.ttl.or(self.ttl).or(self.last_ttl);
        let ttl = match (ttl, minimum) {
            (Some(ttl), _) => ttl,
            (None, Some(minimum)) => {
                let ttl = minimum.min(MAX_TTL);
                self.remark(at, format!("there is no TTL, so the SOA's negative TTL is taken: {ttl} seconds"));
                ttl
            }
            (None, None) => {
                // Once is enough: one `$TTL` mends them all.
                if !std::mem::replace(&mut self.ttl_missed, true) {
                    self.report(at, "there is no TTL: give the record one, or put `$TTL 1h` at the top".into());
                }
                return 0;
            }
        };
        if self.ttl.is_none() || head.ttl.is_some() {
            self.last_ttl = Some(ttl);
        }
        ttl
    }
}

/// A relative path without `.` and `..`; none for others.
fn plain_path(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (path != Path::new("")).then_some(path)
}

fn ttl_of(word: &Word<'_>) -> Result<u32, Fault> {
    let ttl = rdata::period(word.raw).filter(|ttl| *ttl <= MAX_TTL && !word.quoted);
    ttl.ok_or_else(|| {
        word.fault(format!("a TTL must be 0 to {MAX_TTL} seconds or a time such as `1h30m`, not {}", word.shown()))
    })
}

/// The front of a record: what stands between its owner and its data.
struct EntryHead<'w, 't> {
    ttl: Option<u32>,
    rtype: u16,
    /// Position of the type.
    spot: Spot,
    data: &'w [Word<'t>],
}

impl<'w, 't> EntryHead<'w, 't> {
    /// Reads TTL and class, in either order or not there, and the type. `end` is where the entry ends.
    fn read(mut words: &'w [Word<'t>], end: Spot) -> Result<Self, Fault> {
        let mut ttl = None;
        let mut has_class = false;
        loop {
            let missing = || Fault::error(end, "the record's type is missing after this");
            let (word, data) = words.split_first().ok_or_else(missing)?;
            let fault = |message: &str| word.fault(format!("{} {message}", word.shown()));
            if word.quoted {
                return Err(fault("stands where the record's type should"));
            } else if rdata::period(word.raw).is_some() {
                if ttl.replace(ttl_of(word)?).is_some() {
                    return Err(fault("is a second TTL"));
                }
            } else if let Some(class) = class_number(word.raw) {
                if class != 1 {
                    return Err(fault("is a class that is not served: only IN is"));
                }
                if std::mem::replace(&mut has_class, true) {
                    return Err(fault("is a second class"));
                }
            } else {
                let rtype =
                    types::type_number(word.raw).ok_or_else(|| fault("is no TTL, no class and no record type"))?;
                return match types::refusal(rtype) {
                    Some(why) => Err(fault(why)),
                    None => Ok(Self { ttl, rtype, spot: word.spot, data }),
                };
            }
            words = data;
        }
    }
}

/// The number of a class (IANA "DNS CLASSes", RFC 3597 §5).
fn class_number(word: &str) -> Option<u16> {
    const CLASSES: &[(&str, u16)] = &[("IN", 1), ("CS", 2), ("CH", 3), ("HS", 4), ("NONE", 254)];
    let named = CLASSES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number);
    named.or_else(|| types::strip_prefix_ignoring_case(word, "CLASS")?.parse().ok())
}
