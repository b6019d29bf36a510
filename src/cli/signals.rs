//! SIGTERM, SIGINT and SIGUSR2, on a thread with a runtime of its own: whatever hangs elsewhere, they are heard, and
//! the process ends in its time.

use std::time::Duration;

use rustix::process::{Signal as Name, getpid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The end in order takes no longer than this, besides `drain` and `on_stop`.
const LIMIT: Duration = Duration::from_millis(9_500);

/// Ends that signals ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    /// SIGTERM, SIGINT: take everything out, and end.
    pub(super) withdraw: CancellationToken,
    /// SIGUSR2: end, and leave the registrations to the next process.
    pub(super) keep: CancellationToken,
}

impl Ends {
    /// Cancels these at signals. `pauses` is the time that `drain` and `on_stop` may take besides. From when this
    /// returns no signal is lost.
    pub(super) fn follow(&self, pauses: Duration) -> std::io::Result<()> {
        let (ends, (ready, is_ready)) = (self.clone(), std::sync::mpsc::channel());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            runtime.block_on(async {
                let signals = (|| {
                    let signal = |kind| signal(kind);
                    Ok((
                        signal(SignalKind::terminate())?,
                        signal(SignalKind::interrupt())?,
                        signal(SignalKind::user_defined2())?,
                    ))
                })();
                match signals {
                    Ok((terminate, interrupt, keep)) => {
                        let _ = ready.send(Ok(()));
                        ends.hear(terminate, interrupt, keep, pauses).await;
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            });
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(run)?;
        is_ready.recv().unwrap_or_else(|_| Err(std::io::Error::other("the thread for signals has ended")))
    }

    async fn hear(&self, mut terminate: Signal, mut interrupt: Signal, mut keep: Signal, pauses: Duration) {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = keep.recv() => "SIGUSR2",
        };
        let limit = if name == "SIGUSR2" { LIMIT } else { LIMIT + pauses };
        // Before anything that could block.
        let deadline = std::thread::Builder::new().name("deadline".to_owned()).spawn(move || {
            std::thread::park_timeout(limit);
            std::process::exit(1);
        });
        if name == "SIGUSR2" { &self.keep } else { &self.withdraw }.cancel();
        info!("{name}");
        // A second signal is a person who does not want to wait; also one after SIGUSR2.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(limit), if deadline.is_err() => {}
        }
        warn!("stopped at once by a second signal");
        std::process::exit(1);
    }
}

/// Asks this process to end in order, as SIGTERM does.
pub(super) fn terminate_self() {
    if let Err(error) = kill_process(getpid(), Name::TERM) {
        warn!(%error, "cannot send SIGTERM to this process");
    }
}
