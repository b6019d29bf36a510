//! Files that are kept equal to what DNS gives of a service, for programs that read no SRV records: `[[file]]`.
//!
//! - [`config`]: what a table says.
//! - [`list`]: the instances, as plain data; [`shape`] and [`template`] write them. Pure.
//! - [`keep`]: one file: when it is written, and the command after it.
//!
//! A file is replaced as a whole, once for a burst of changes, and only by what is known: while the registry is not, or
//! the guard holds losses of the service back, the last one stays.

pub mod config;
mod keep;
pub mod list;
mod shape;
mod template;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use config::FileConfig;
pub use keep::FileReport;
use keep::Keeper;
use list::ReadList;

/// All files that are kept. Clones share them.
#[derive(Clone)]
pub struct InstanceFiles {
    read: ReadList,
    changed: watch::Receiver<u64>,
    kept: Arc<Mutex<Vec<KeptFile>>>,
}

/// A file that is kept, until this is dropped.
struct KeptFile {
    config: FileConfig,
    report: Arc<Mutex<FileReport>>,
    stop: CancellationToken,
}

impl std::fmt::Debug for InstanceFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.reports()).finish()
    }
}

impl InstanceFiles {
    /// Keeps no files yet. Those to come are read by `read`, again whenever `changed` has another number.
    pub fn new(read: ReadList, changed: watch::Receiver<u64>) -> Self {
        Self { read, changed, kept: Arc::default() }
    }

    /// From now on keeps these, and no others. Those that are as before are not touched; files that are not kept any
    /// longer stay where they are.
    pub fn take(&self, wanted: &[FileConfig]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in kept.extract_if(.., |one| !wanted.contains(&one.config)) {
            gone.stop.cancel();
        }
        for config in wanted {
            if kept.iter().any(|one| one.config == *config) {
                continue;
            }
            let (report, stop) = (Arc::default(), CancellationToken::new());
            let keeper = Keeper::new(config.clone(), Arc::clone(&self.read), Arc::clone(&report));
            tokio::spawn(keeper.run(self.changed.clone(), stop.clone()));
            kept.push(KeptFile { config: config.clone(), report, stop });
        }
    }

    /// State of each file.
    pub fn reports(&self) -> Vec<(FileConfig, FileReport)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let report = |one: &KeptFile| one.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept.iter().map(|one| (one.config.clone(), report(one))).collect()
    }

    /// Ends the keeping of all files.
    pub fn stop(&self) {
        self.take(&[]);
    }
}
