//! The form of the log for systemd's journal: each line with the priority of its level (sd-daemon(3)), and without a
//! time, which the journal has.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// Lines for the journal.
pub(super) struct JournalLines(Format<Full, ()>);

impl JournalLines {
    pub(super) fn new() -> Self {
        Self(format().without_time().with_target(false).with_ansi(false))
    }
}

/// Returns whether standard error is the journal: `JOURNAL_STREAM` has its device and inode (systemd.exec(5)).
pub(super) fn is_standard_error() -> bool {
    let Some(journal) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let metadata = std::io::stderr().as_fd().try_clone_to_owned().and_then(|file| File::from(file).metadata());
    metadata.is_ok_and(|file| *format!("{}:{}", file.dev(), file.ino()) == *journal)
}

/// The priority of a level, as syslog(3) has it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

impl<S, N> FormatEvent<S, N> for JournalLines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        let priority = priority(*event.metadata().level());
        // Of several lines each is one of the journal's.
        text.lines().try_for_each(|line| writeln!(writer, "<{priority}>{line}"))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_line_has_the_priority_of_its_level_and_no_time() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .event_format(JournalLines::new())
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("it failed");
            tracing::warn!(path = "/x", "two\nlines");
            tracing::info!("fine");
            tracing::debug!("details");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        for (line, expected) in lines.iter().zip([
            ("<3>", "it failed"),
            ("<4>", "two"),
            ("<4>", "lines path=\"/x\""),
            ("<6>", "fine"),
            ("<7>", "details"),
        ]) {
            assert!(line.starts_with(expected.0) && line.ends_with(expected.1), "{line}");
        }
    }
}
