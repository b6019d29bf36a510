//! Serials that a restart cannot take back, whatever the clock does meanwhile: a file that says how far they may have
//! got. It runs some serials ahead of the zones, so that it is written rarely, and a crash loses nothing; an orderly
//! stop writes what was really reached. Of zones that are only their files, whose serials are the files', it says
//! exactly what was given out, and what for ([`Zone::content`]).
//!
//! ```text
//! # zonekeeper serials: no zone was ever given out with a later one
//! service. 1796005000
//! example. 7
//! # content example. 8c5f2b7e01d4a396
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::files::left;
use crate::disk;
use crate::zone::events::Changes;
use crate::zone::name::Name;
use crate::zone::warnings::About;
use crate::zone::{Freshness, Zone, serial};

/// Number of serials that the file is ahead of a zone when it is written.
const AHEAD: u32 = 1200;

/// It is written again when no more than this is left.
const LEFT: u32 = 600;

/// Time between two attempts to write it where that fails.
const RETRY: Duration = Duration::from_millis(250);

/// Time that a disk may take to write the file before that is told.
const STALL: Duration = Duration::from_secs(5);

/// Trouble as long as the file was not read.
const NOT_READ: &str = "the serial file is not read, as its disk does not answer: serials may go back";

/// Beginning of a line that says what a serial was given out for.
const CONTENT: &str = "# content ";

/// The first line, so that nothing else is overwritten by mistake.
const TITLE: &str = "# zonekeeper serials: no zone was ever given out with a later one";

/// The file, and what it says.
#[derive(Debug, Default)]
pub(super) struct Serials {
    /// None where nothing is to be written.
    path: Option<PathBuf>,
    reached: BTreeMap<Name, u32>,
    contents: BTreeMap<Name, u64>,
    /// Serials of before that zones did not go on from, as the file was read too late. None is taken back.
    least: BTreeMap<Name, u32>,
    /// Source of the file that was not read in time; nothing is written before that.
    late: Option<Mutex<Receiver<Self>>>,
}

impl Serials {
    /// Reads the file, as [`Self::read`] does, and takes later serials out of `former` files, which were in use before
    /// and stay as they are. Their disks are waited for until `end`; what they hold is taken in whenever it comes.
    pub(super) fn open(path: &Path, former: Vec<PathBuf>, end: Instant) -> Self {
        let owned = path.to_owned();
        let read = disk::within(left(end), move || Self::read(&owned).with_former(&former));
        read.unwrap_or_else(|late| {
            warn!(file = %path.display(), "{NOT_READ}");
            Self { late: Some(Mutex::new(late)), ..Self::default() }
        })
    }

    /// Reads the file; one that is not there yet, nor its directory, is empty. Of a damaged one the whole lines are
    /// taken. One that cannot be read, or is something else, is moved aside, and where that fails, left alone: nothing
    /// is kept then. Each of these is logged, and none keeps DNS down.
    fn read(path: &Path) -> Self {
        let text = disk::read_when_there(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let file = path.display();
        let (why, reached) = match text {
            Ok(text) => parse(&text),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                (None, SerialMaps::default())
            }
            Err(error) => (Some(error.to_string()), SerialMaps::default()),
        };
        let (reached, contents) = reached;
        let mut serials = Self { path: Some(path.to_owned()), reached, contents, ..Self::default() };
        if let Some(why) = why {
            let name = disk::beside(path, ".refused");
            let moved = std::fs::rename(path, &name);
            let moved_to = match &moved {
                Ok(()) => name.display().to_string(),
                Err(error) => format!("nowhere, so that no serials are kept: {error}"),
            };
            let taken = serials.reached.len();
            warn!(%file, why, taken, moved_to, "the serial file is not taken as a whole: serials may go back");
            if moved.is_err() {
                serials.path = None;
            }
        }
        serials
    }

    fn with_former(mut self, files: &[PathBuf]) -> Self {
        for file in files.iter().filter(|file| file.is_file()) {
            let (_, (reached, contents)) = parse(&disk::read_text(file).unwrap_or_default());
            self.merge(reached, &contents);
        }
        self
    }

    /// Serials that another image of this process is to be given of the zones as they are.
    pub(super) fn of_zones<'z>(zones: impl IntoIterator<Item = &'z Zone>) -> String {
        let mut serials = Self::default();
        serials.keep(zones.into_iter().filter(|zone| zone.serial() != 0 && zone.freshness() != Freshness::Loading));
        serials.text()
    }

    /// Takes in what the image of this process before this one has given ([`Self::of_zones`]), without the file.
    pub(super) fn inherit(&mut self, text: &str) {
        let (_, (reached, contents)) = parse(text);
        self.merge(reached, &contents);
    }

    /// Takes serials that are later than those that are known.
    fn merge(&mut self, reached: BTreeMap<Name, u32>, contents: &BTreeMap<Name, u64>) {
        for (origin, there) in reached {
            let here = self.resume(&origin);
            if here == 0 || serial::is_after(there, here) {
                self.contents.remove(&origin);
                self.contents.extend(contents.get(&origin).map(|content| (origin.clone(), *content)));
                self.reached.insert(origin, there);
            }
        }
    }

    /// Fingerprint of the content of that serial, where the zone was only its file; 0 where that is not known.
    pub(super) fn content(&self, origin: &Name) -> u64 {
        self.contents.get(origin).copied().unwrap_or(0)
    }

    /// The serial that the first one of a zone must come after; 0 when none is known.
    pub(super) fn resume(&self, origin: &Name) -> u32 {
        self.reached.get(origin).copied().unwrap_or(0)
    }

    /// Brings the file ahead of these serials; whether it has to be written for that.
    fn keep_ahead<'z>(&mut self, now: impl IntoIterator<Item = (&'z Name, u32)>) -> bool {
        let mut is_due = false;
        for (origin, now) in now.into_iter().filter(|(_, now)| *now != 0) {
            self.contents.remove(origin);
            let reached = self.resume(origin);
            if reached == 0 || serial::is_after(now, reached.wrapping_sub(LEFT)) {
                self.reached.insert(origin.clone(), now.wrapping_add(AHEAD).max(1));
                is_due = true;
            }
        }
        is_due
    }

    /// Takes the very serials of these zones, and what they stand for; returns whether that is news.
    fn keep<'z>(&mut self, now: impl IntoIterator<Item = &'z Zone>) -> bool {
        let mut is_due = false;
        for (origin, serial, content) in now.into_iter().map(|zone| (zone.origin(), zone.serial(), zone.content())) {
            let least = self.least.get(origin).copied().filter(|least| serial::is_after(*least, serial));
            // What that one was given out for is not known.
            let (serial, content) = least.map_or((serial, content), |least| (least, 0));
            is_due |= self.reached.insert(origin.clone(), serial) != Some(serial);
            is_due |= if content == 0 {
                self.contents.remove(origin).is_some()
            } else {
                self.contents.insert(origin.clone(), content) != Some(content)
            };
        }
        is_due
    }

    fn text(&self) -> String {
        let mut text = format!("{TITLE}\n");
        for (origin, serial) in &self.reached {
            let _ = writeln!(text, "{origin} {serial}");
        }
        // In lines of their own, which versions that know nothing of them skip.
        for (origin, content) in &self.contents {
            let _ = writeln!(text, "{CONTENT}{origin} {content:x}");
        }
        text
    }

    /// Keeps the file ahead of the zones until `stop`, and writes their own serials then. As long as it cannot be
    /// written, the zones have a warning.
    pub(super) async fn follow(mut self, zones: Vec<Arc<Zone>>, stop: CancellationToken) {
        let warn_of = |error: Option<String>| {
            for zone in &zones {
                zone.warnings().set(About::Serials, error.clone());
            }
        };
        if let Some(late) = self.late.take() {
            warn_of(Some(NOT_READ.into()));
            let late = late.into_inner().unwrap_or_else(PoisonError::into_inner);
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(Ok(read)) = disk::aside(move || late.recv()) => {
                    info!(file = %read.path.as_deref().unwrap_or(Path::new("")).display(), "the serial file is read now");
                    self = Self { least: read.reached.clone(), ..read };
                    warn_of(None);
                }
            }
        }
        // Nobody was given a zone that was never there.
        let given = || zones.iter().map(|zone| &**zone).filter(|zone| zone.freshness() != Freshness::Loading);
        let mut failed = None;
        let mut changes = Changes::of(zones.iter().map(|zone| zone.follow()));
        while !stop.is_cancelled() {
            let of_files = self.keep(given().filter(|zone| zone.content() != 0));
            let others = given().filter(|zone| zone.content() == 0).map(|zone| (zone.origin(), zone.serial()));
            if self.keep_ahead(others) || of_files || failed.is_some() {
                let error = self.write(failed.as_deref(), &warn_of).await;
                warn_of(error.clone());
                failed = error;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = changes.changed() => {}
                // A disk may take it the next time.
                () = tokio::time::sleep(RETRY), if failed.is_some() => {}
            }
        }
        self.keep(given());
        self.write(failed.as_deref(), &warn_of).await;
    }

    /// Writes the file. Returns what is wrong where that fails; it is logged unless it is what was wrong `before`. A
    /// disk that takes nothing is told of and waited for.
    async fn write(&self, before: Option<&str>, warn_of: &impl Fn(Option<String>)) -> Option<String> {
        let Some(path) = self.path.clone() else {
            return Some(
                "serials are not kept, as the serial file cannot be used: a restart may take them back".into(),
            );
        };
        let (text, file) = (self.text(), path.display().to_string());
        let mut writing = std::pin::pin!(disk::aside(move || disk::replace(&path, text.as_bytes())));
        let mut is_told = before.is_some();
        let written = if let Ok(written) = tokio::time::timeout(STALL, &mut writing).await {
            written
        } else {
            let what = "the serial file is not written, as its disk does not answer: a restart may take serials back";
            if !is_told {
                warn!(file, "{what}");
            }
            is_told = true;
            warn_of(Some(format!("{file}: {what}")));
            writing.await
        };
        match written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(()) => {
                if is_told {
                    info!(file, "the serial file is written again");
                }
                None
            }
            Err(error) => {
                let help = disk::advice(&error);
                let what =
                    format!("cannot write the serial file {file}: {error}: a restart may take serials back; {help}");
                if !is_told {
                    warn!(file, %error, help, "cannot write the serial file: a restart may take serials back");
                }
                Some(what)
            }
        }
    }
}

/// Content of a file: the serials, and what they were given out for.
type SerialMaps = (BTreeMap<Name, u32>, BTreeMap<Name, u64>);

/// Reason why the file at `path` will not be taken as it is, in a sentence with its path. One that is not there can be.
pub fn unusable(path: &Path) -> Option<String> {
    let why = match disk::read(path) {
        Ok(bytes) => parse(&String::from_utf8_lossy(&bytes)).0?,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return None,
        Err(error) => error.to_string(),
    };
    Some(format!("{} is no serial file: {why}", path.display()))
}

/// The serials in the file at `path`; none where it is not there or not one.
pub(super) fn kept(path: &Path) -> BTreeMap<Name, u32> {
    disk::read(path).map(|bytes| parse(&String::from_utf8_lossy(&bytes)).1.0).unwrap_or_default()
}

/// Reads the file's whole lines, and tells what is wrong with the rest.
fn parse(text: &str) -> (Option<String>, SerialMaps) {
    let Some(lines) = text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix('\n')) else {
        let why = if text.is_empty() { "it is empty" } else { "it does not begin as a serial file does" };
        return (Some(why.to_owned()), SerialMaps::default());
    };
    let (mut why, mut reached, mut contents) = (None, BTreeMap::new(), BTreeMap::new());
    for line in lines.split_inclusive('\n') {
        // A number without its line's end may be cut off.
        let parsed = line.strip_suffix('\n').and_then(|line| {
            if let Some(content) = line.strip_prefix(CONTENT) {
                let (origin, content) = content.split_once(' ')?;
                contents.insert(Name::parse(origin).ok()?, u64::from_str_radix(content, 16).ok()?);
                return Some(None);
            }
            let (origin, serial) = line.split_once(' ')?;
            Some(Some((Name::parse(origin).ok()?, serial.parse().ok()?)))
        });
        match parsed {
            Some(Some((origin, serial))) => drop(reached.insert(origin, serial)),
            Some(None) => {}
            None => why = why.or_else(|| Some(format!("it is damaged at {line:?}"))),
        }
    }
    (why, (reached, contents))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::ZoneBuilder;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn the_file_is_always_ahead_and_rarely_written() {
        let mut serials = Serials::default();
        let origin = name("service");
        let mut writes = 0;
        for now in 1000..2000 {
            writes += u32::from(serials.keep_ahead([(&origin, now)]));
            assert!(serial::is_after(serials.resume(&origin), now), "{now}");
        }
        assert!(writes < 20, "{writes}");
        assert!(!serials.keep_ahead([(&name("other"), 0)]), "a zone without a serial");
    }

    #[test]
    fn serials_go_round_here_too() {
        let mut serials = Serials::default();
        let origin = name("service");
        for step in 0..400_u32 {
            let now = (u32::MAX - 200).wrapping_add(step);
            serials.keep_ahead([(&origin, now)]);
            assert!(now == 0 || serial::is_after(serials.resume(&origin), now), "{now}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_taken() {
        let reached = BTreeMap::from([(name("service"), 7), (name("10.in-addr.arpa"), u32::MAX)]);
        let contents = BTreeMap::from([(name("service"), u64::MAX)]);
        let whole = Serials { reached: reached.clone(), contents: contents.clone(), ..Serials::default() }.text();
        assert_eq!(parse(&whole), (None, (reached.clone(), contents)));
        let text = Serials { reached: reached.clone(), ..Serials::default() }.text();
        for bad in ["", "service. 7\n", &format!("{TITLE}\nservice.\n"), &format!("{TITLE}\nservice. x\n")] {
            let (why, taken) = parse(bad);
            assert!(why.is_some() && taken.0.is_empty(), "{bad}");
        }
        // Cut off in the middle of the last serial: that one would be a wrong one.
        let (why, taken) = parse(&text[..text.len() - 3]);
        assert!(why.is_some() && taken.0.len() == reached.len() - 1, "{taken:?}");
        let (why, taken) = parse(&whole[..whole.len() - 3]);
        assert!(why.is_some() && taken == (reached, BTreeMap::new()), "{taken:?}");
    }

    /// The clock was set back an hour, or the zone ran ahead of it.
    #[test]
    fn a_restart_goes_on_after_the_last_serial() {
        let mut serials = Serials::default();
        let origin = name("service");
        serials.keep_ahead([(&origin, 5000)]);
        let mut writer = ZoneBuilder::new(origin.clone(), 5, 5).resume(serials.resume(&origin)).build();
        assert!(serial::is_after(writer.commit(1400).unwrap().serial, 5000));
    }
}
