//! Serials that a restart cannot take back, whatever the clock does meanwhile: a file that says how far they may have
//! got. It runs some serials ahead of the zones, so that it is written rarely, and a crash loses nothing; an orderly stop
//! writes what was really reached.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::zone::name::Name;
use crate::zone::{Zone, serial};

/// How far the file is ahead of a zone when it is written.
const AHEAD: u32 = 120;

/// It is written again when no more than this is left.
const LEFT: u32 = 60;

/// How often that is looked at. A zone commits far less than [`LEFT`] times meanwhile.
const LOOK: Duration = Duration::from_millis(250);

/// The first line, so that nothing else is overwritten by mistake.
const TITLE: &str = "# zonekeeper serials: no zone was ever given out with a later one";

/// The file, and what it says.
#[derive(Debug, Default)]
pub(super) struct Serials {
    /// None where nothing is to be written.
    path: Option<PathBuf>,
    reached: BTreeMap<Name, u32>,
}

impl Serials {
    /// Reads the file; one that is not there yet is empty. Of a damaged one the whole lines are taken. One that cannot be
    /// read, or is something else, is moved aside, and where that fails, left alone: nothing is kept then. Each of these
    /// is logged, and none keeps DNS down.
    pub(super) fn open(path: &Path) -> Self {
        // A FIFO would be waited for.
        let text = match std::fs::metadata(path) {
            Ok(file) if !file.is_file() => Err(std::io::Error::other("it is not a regular file")),
            _ => std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        };
        let file = path.display();
        let (why, reached) = match text {
            Ok(text) => parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (None, BTreeMap::new()),
            Err(error) => (Some(error.to_string()), BTreeMap::new()),
        };
        let mut serials = Self { path: Some(path.to_owned()), reached };
        if let Some(why) = why {
            let mut name = path.as_os_str().to_owned();
            name.push(".refused");
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

    /// The serial that the first one of a zone must come after; 0 when none is known.
    pub(super) fn resume(&self, origin: &Name) -> u32 {
        self.reached.get(origin).copied().unwrap_or(0)
    }

    /// Brings the file ahead of these serials; whether it has to be written for that.
    fn keep_ahead<'z>(&mut self, now: impl IntoIterator<Item = (&'z Name, u32)>) -> bool {
        let mut is_due = false;
        for (origin, now) in now.into_iter().filter(|(_, now)| *now != 0) {
            let reached = self.resume(origin);
            if reached == 0 || serial::is_after(now, reached.wrapping_sub(LEFT)) {
                self.reached.insert(origin.clone(), now.wrapping_add(AHEAD).max(1));
                is_due = true;
            }
        }
        is_due
    }

    fn text(&self) -> String {
        self.reached.iter().fold(format!("{TITLE}\n"), |mut text, (origin, serial)| {
            let _ = writeln!(text, "{origin} {serial}");
            text
        })
    }

    /// Keeps the file ahead of the zones until `stop`, and writes their own serials then.
    pub(super) async fn follow(mut self, zones: Vec<Arc<Zone>>, stop: CancellationToken) {
        let mut failed = false;
        while !stop.is_cancelled() {
            if self.keep_ahead(zones.iter().map(|zone| (zone.origin(), zone.serial()))) || failed {
                failed = !self.write(failed).await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.reached.extend(zones.iter().map(|zone| (zone.origin().clone(), zone.serial())));
        self.write(false).await;
    }

    /// Writes the file; an error is logged unless the last attempt was one.
    async fn write(&self, failed_before: bool) -> bool {
        let Some(path) = self.path.clone() else { return true };
        let (text, file) = (self.text(), path.display().to_string());
        let written = tokio::task::spawn_blocking(move || replace(&path, &text)).await;
        match written.map_err(anyhow::Error::from).and_then(|written| written.map_err(Into::into)) {
            Ok(()) => true,
            Err(error) => {
                if !failed_before {
                    warn!(file, %error, "cannot write the serial file: a restart may go back");
                }
                false
            }
        }
    }
}

/// The serials of the file's whole lines, and what is wrong with the rest.
fn parse(text: &str) -> (Option<String>, BTreeMap<Name, u32>) {
    let Some(lines) = text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix('\n')) else {
        let why = if text.is_empty() { "it is empty" } else { "it does not begin as a serial file does" };
        return (Some(why.to_owned()), BTreeMap::new());
    };
    let (mut why, mut reached) = (None, BTreeMap::new());
    for line in lines.split_inclusive('\n') {
        // A number without its line's end may be cut off.
        let parsed = line.strip_suffix('\n').and_then(|line| {
            let (origin, serial) = line.split_once(' ')?;
            Some((Name::parse(origin).ok()?, serial.parse().ok()?))
        });
        match parsed {
            Some((origin, serial)) => drop(reached.insert(origin, serial)),
            None => why = why.or_else(|| Some(format!("it is damaged at {line:?}"))),
        }
    }
    (why, reached)
}

/// Writes a file so that it is there wholly or not at all, whenever the power goes.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    let temporary = path.with_extension("new");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory)?.sync_all()
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
        let text = Serials { path: None, reached: reached.clone() }.text();
        assert_eq!(parse(&text), (None, reached.clone()));
        for bad in ["", "service. 7\n", &format!("{TITLE}\nservice.\n"), &format!("{TITLE}\nservice. x\n")] {
            let (why, taken) = parse(bad);
            assert!(why.is_some() && taken.is_empty(), "{bad}");
        }
        // Cut off in the middle of the last serial: that one would be a wrong one.
        let (why, taken) = parse(&text[..text.len() - 3]);
        assert!(why.is_some() && taken.len() == reached.len() - 1, "{taken:?}");
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
