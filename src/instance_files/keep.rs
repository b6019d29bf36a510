//! One file: written when what it has to say has changed, and its command run.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::config::{FileConfig, FileForm};
use super::list::{ReadList, Unknown};
use crate::announce::check::exec;
use crate::announce::check::outcome::ProbeFailure;
use crate::backoff::Backoff;
use crate::disk;

/// Time without a change after which a burst is over.
const CALM: Duration = Duration::from_millis(100);
/// Time that a burst may put the writing off.
const LONGEST: Duration = Duration::from_secs(1);
/// Time between two looks without a change: addresses of host names come without one.
const LOOK: Duration = Duration::from_secs(10);
/// Time that a command may take.
const COMMAND: Duration = Duration::from_secs(60);
/// Pauses before what failed is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(120));

/// State of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Time at which it was written last by this process; none where it was right already.
    pub written_at: Option<SystemTime>,
    /// Number of instances in it; none before it is known to be right.
    pub instances: Option<usize>,
    /// Number of times that it was written.
    pub writes: u64,
    /// Number of times that it could not be written, or that its command failed.
    pub failures: u64,
    /// Reason for which it stays as it was; none where that is not known yet to be wrong.
    pub waits: Option<Unknown>,
    /// The last failure, until it goes well.
    pub trouble: Option<String>,
}

/// Keeps one file.
pub(super) struct Keeper {
    config: FileConfig,
    read: ReadList,
    report: Arc<Mutex<FileReport>>,
    /// True if the command is to run, as the file was written since it last ran well.
    is_due: bool,
}

impl Keeper {
    pub(super) fn new(config: FileConfig, read: ReadList, report: Arc<Mutex<FileReport>>) -> Self {
        Self { config, read, report, is_due: false }
    }

    /// Keeps the file until `stop`; looks again whenever `changed` has another number.
    pub(super) async fn run(mut self, mut changed: watch::Receiver<u64>, stop: CancellationToken) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1, Duration::ZERO);
        loop {
            changed.mark_unchanged();
            let kept = stop.run_until_cancelled(self.keep()).await;
            let Some(kept) = kept else { return };
            let pause = match kept {
                Ok(()) => {
                    backoff.succeeded(std::time::Instant::now());
                    LOOK
                }
                Err(trouble) => {
                    self.failed(trouble);
                    backoff.failed(std::time::Instant::now(), fastrand::f64())
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
                outcome = changed.changed() => {
                    // Whoever told of changes has ended, and so does the process.
                    if outcome.is_err() {
                        return;
                    }
                    if stop.run_until_cancelled(calm(&mut changed)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Makes the file right, if it is known what is.
    ///
    /// # Errors
    /// The thing that could not be done, for people.
    async fn keep(&mut self) -> Result<(), String> {
        let (read, service) = (Arc::clone(&self.read), self.config.service.clone());
        let list = disk::aside(move || read(&service)).await.map_err(|error| error.to_string())?;
        let list = match list {
            Ok(list) => list,
            Err(unknown) => {
                self.change(|report| report.waits = Some(unknown));
                return Ok(());
            }
        };
        let text = match &self.config.form {
            FileForm::Shape(shape) => shape.render(&list).map_err(|error| error.to_string())?,
            FileForm::Template(template) => {
                template.render(&list).map_err(|error| format!("the template has a mistake in {error}"))?
            }
        };
        let count = list.instances.len();
        self.change(|report| report.waits = None);
        if self.write(text).await? {
            self.is_due = !self.config.command.is_empty();
            let path = self.config.path.display();
            info!(%path, service = self.config.service, instances = count, "the file is written");
            self.change(|report| {
                report.written_at = Some(SystemTime::now());
                report.writes += 1;
            });
        }
        self.change(|report| report.instances = Some(count));
        if self.is_due {
            self.command().await?;
            self.is_due = false;
        }
        self.change(|report| {
            if report.trouble.take().is_some() {
                info!(path = %self.config.path.display(), "the file is right again");
            }
        });
        Ok(())
    }

    /// Writes the file where it has another text, or none.
    async fn write(&self, text: String) -> Result<bool, String> {
        let (path, mode) = (self.config.path.clone(), self.config.mode);
        let write = move || {
            if has(&path, text.as_bytes()) {
                return Ok(false);
            }
            disk::replace_with(&path, text.as_bytes(), Some(mode)).map(|()| true)
        };
        let written = disk::aside(write).await.map_err(|error| error.to_string())?;
        written.map_err(|error| format!("cannot be written: {error}; {}", disk::advice(&error)))
    }

    async fn command(&self) -> Result<(), String> {
        let words = self.config.command.join(" ");
        match timeout(COMMAND, exec::run(&self.config.command, COMMAND)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(ProbeFailure::Bad(why) | ProbeFailure::NoResult(_, why))) => Err(format!("`{words}`: {why}")),
            Err(_) => Err(format!("`{words}` did not end within {COMMAND:?}; it was killed")),
        }
    }

    /// Records a failure, and tells of it once.
    fn failed(&self, trouble: String) {
        let path = self.config.path.display();
        self.change(|report| {
            report.failures += 1;
            if report.trouble.as_ref() != Some(&trouble) {
                warn!(%path, service = self.config.service, "the file is not as it should be: {trouble}; trying again");
            }
            report.trouble = Some(trouble);
        });
    }

    fn change(&self, change: impl FnOnce(&mut FileReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Returns whether a file has these bytes.
fn has(path: &Path, bytes: &[u8]) -> bool {
    let is_as_long = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == bytes.len() as u64);
    is_as_long && disk::read(path).is_ok_and(|there| there == bytes)
}

/// Waits until a burst is over.
async fn calm(changed: &mut watch::Receiver<u64>) {
    let end = Instant::now() + LONGEST;
    loop {
        changed.mark_unchanged();
        tokio::select! {
            () = sleep_until(end) => return,
            () = sleep(CALM) => return,
            outcome = changed.changed() => if outcome.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::super::InstanceFiles;
    use super::super::list::InstanceList;
    use super::super::list::samples::{instance, list};
    use super::super::shape::Shape;
    use super::*;

    /// A directory of this test's own.
    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("zonekeeper-files-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn config(path: &Path, command: &[&str]) -> FileConfig {
        FileConfig {
            service: "api_x".into(),
            path: path.to_owned(),
            form: FileForm::Shape(Shape::Hosts),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            mode: 0o640,
        }
    }

    struct Site {
        known: Arc<Mutex<Result<InstanceList, Unknown>>>,
        changes: watch::Sender<u64>,
        files: InstanceFiles,
    }

    impl Site {
        fn new(first: Result<InstanceList, Unknown>) -> Self {
            let (known, (changes, receiver)) = (Arc::new(Mutex::new(first)), watch::channel(0));
            let shared = Arc::clone(&known);
            let files = InstanceFiles::new(Arc::new(move |_: &str| shared.lock().unwrap().clone()), receiver);
            Self { known, changes, files }
        }

        fn now(&self, list: Result<InstanceList, Unknown>) {
            *self.known.lock().unwrap() = list;
            self.changes.send_modify(|number| *number += 1);
        }

        async fn until(&self, what: &str, is_so: impl Fn(&FileReport) -> bool) -> FileReport {
            let begun = std::time::Instant::now();
            loop {
                let report = self.files.reports()[0].1.clone();
                if is_so(&report) {
                    return report;
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {report:?}");
                sleep(Duration::from_millis(5)).await;
            }
        }
    }

    fn hosts(addresses: &[&str]) -> InstanceList {
        list(addresses.iter().map(|address| instance(address, 80, 1, 0)).collect())
    }

    #[tokio::test]
    async fn a_file_follows_is_written_once_for_a_burst_and_never_by_what_is_not_known() {
        let directory = directory("follows");
        let (path, runs) = (directory.join("deep/hosts"), directory.join("runs"));
        let script = format!("echo run >> {}", runs.display());
        let site = Site::new(Err(Unknown::Registry("main".into())));
        site.files.take(&[config(&path, &["sh", "-c", &script])]);
        site.until("waits", |report| report.waits.is_some()).await;
        assert!(!path.exists(), "nothing is known");

        site.now(Ok(hosts(&["10.0.0.1"])));
        site.until("the first", |report| report.writes == 1 && report.trouble.is_none()).await;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        for last in 0..50 {
            site.now(Ok(hosts(&["10.0.0.1", &format!("10.0.1.{last}")])));
            sleep(Duration::from_millis(2)).await;
        }
        site.until("the last of a burst", |_| std::fs::read_to_string(&path).unwrap().contains("10.0.1.49")).await;
        let report = site.until("the command", |report| report.writes >= 2).await;
        assert!(report.writes <= 4, "{report:?}");

        let before = std::fs::read_to_string(&path).unwrap();
        site.now(Err(Unknown::Guarded("main".into())));
        site.until("waits", |report| report.waits.is_some()).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);

        // Known again, and the same: nothing is written, nothing runs.
        let writes = site.files.reports()[0].1.writes;
        site.now(Ok(hosts(&["10.0.0.1", "10.0.1.49"])));
        site.until("known", |report| report.waits.is_none()).await;
        sleep(Duration::from_millis(50)).await;
        assert_eq!(site.files.reports()[0].1.writes, writes);
        let begun = std::time::Instant::now();
        let count = || std::fs::read_to_string(&runs).unwrap_or_default().lines().count() as u64;
        while count() < writes {
            assert!(begun.elapsed() < Duration::from_secs(20), "{} of {writes}", count());
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(count(), writes, "a run for each writing");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[tokio::test]
    async fn a_command_that_fails_is_run_again_and_a_file_that_cannot_be_written_is_told() {
        let directory = directory("fails");
        let (path, allowed) = (directory.join("hosts"), directory.join("allowed"));
        let script = format!("test -e {} || {{ echo not yet; exit 3; }}", allowed.display());
        let site = Site::new(Ok(hosts(&["10.0.0.1"])));
        site.files.take(&[config(&path, &["sh", "-c", &script])]);
        let report = site.until("a failure", |report| report.trouble.is_some()).await;
        assert!(report.trouble.as_ref().is_some_and(|trouble| trouble.contains("not yet")), "{report:?}");
        std::fs::write(&allowed, "").unwrap();
        let report = site.until("the next attempt", |report| report.trouble.is_none()).await;
        assert_eq!(report.writes, 1, "{report:?}");

        // In the file's place is a directory.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir_all(path.join("in the way")).unwrap();
        site.now(Ok(hosts(&["10.0.0.2"])));
        let report = site.until("a failure", |report| report.trouble.is_some()).await;
        assert!(report.trouble.as_ref().is_some_and(|trouble| trouble.contains("cannot be written")), "{report:?}");
        site.files.stop();
        assert!(site.files.reports().is_empty());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
