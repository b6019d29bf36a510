//! The way of log lines to standard error: a bounded queue and one thread that writes, so that logging never waits.
//!
//! Standard error may be a pipe that nobody reads, a stopped terminal, a journal that has died or a full disk. With a
//! synchronous log each of them stops every task that logs, while the ZooKeeper session, which has a task of its own,
//! keeps registrations alive that nothing decides on any more. Here a line that finds no room is dropped and counted,
//! and a line says how many were lost as soon as writing works again.
//!
//! [`start`] is for programs that run on. Commands that end by themselves write directly: a pager may hold them up.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that may wait to be written: some 30,000 lines.
const ROOM: usize = 4 << 20;

/// Pause before a stream that takes nothing at present (`EAGAIN`: its owner made it non-blocking) is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// The queue in front of standard error, once [`start`] was called.
static STDERR: OnceLock<Queue> = OnceLock::new();

/// Puts the queue in front of standard error, for the log, for [`stderr`] and for panics.
///
/// # Errors
/// When no thread or no descriptor can be had: then standard error is written directly.
pub fn start() -> io::Result<()> {
    // A descriptor of its own: the lock of `std::io::Stderr` would pass a stalled write on to everybody else.
    let stream = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let queue = Queue::start(stream, ROOM, |lost, since| {
        tracing::warn!(lost, ?since, "log lines were lost: standard error was not read, or could not be written");
    })?;
    if STDERR.set(queue).is_ok() {
        // The default hook writes to standard error itself, and would wait there.
        std::panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            let backtrace = std::backtrace::Backtrace::capture();
            let backtrace = match backtrace.status() {
                std::backtrace::BacktraceStatus::Captured => format!("\n{backtrace}"),
                _ => String::new(),
            };
            tracing::error!("thread {} {panic}{backtrace}", thread.name().unwrap_or("without a name"));
        }));
    }
    Ok(())
}

/// Standard error: through the queue once [`start`] was called, directly before that.
pub fn stderr() -> Stderr {
    STDERR.get().map_or_else(|| Stderr::Direct(io::stderr()), |queue| Stderr::Queued(queue.clone()))
}

/// Lines lost since the start.
pub fn lost() -> u64 {
    STDERR.get().map_or(0, Queue::lost)
}

/// Waits until everything is written, for `limit` at most. Returns whether it is.
pub fn finish(limit: Duration) -> bool {
    STDERR.get().is_none_or(|queue| queue.finish(limit))
}

/// Text without characters that steer a terminal, cannot be seen or turn the direction of writing around: each is
/// written as `\u{200b}`, as the fields of log lines have it. Ends of lines and tabulators stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_odd = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_odd) {
        return text.into();
    }
    let written = |c: char| if is_odd(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(written).collect::<String>().into()
}

/// Returns whether a character cannot be seen: controls, formats (general category Cf), separators of lines, and
/// letters without a shape.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A writer to standard error; see [`stderr`].
#[derive(Debug)]
pub enum Stderr {
    /// Waits for the stream.
    Direct(io::Stderr),
    /// Never waits.
    Queued(Queue),
}

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            Self::Direct(stream) => stream.write(text),
            Self::Queued(queue) => {
                queue.push(text);
                Ok(text.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Direct(stream) => stream.flush(),
            Self::Queued(_) => Ok(()),
        }
    }
}

/// Lines on their way to a stream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue(Arc<SharedQueue>);

#[derive(Debug)]
struct SharedQueue {
    /// Bytes that may wait.
    room: usize,
    state: Mutex<QueueState>,
    /// Signalled when there is a line to write, and when the last one is written.
    moved: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    lines: VecDeque<Vec<u8>>,
    /// Bytes of `lines`, and of the line that is being written.
    bytes: usize,
    /// Lines lost since the start.
    lost: u64,
    /// Lines lost since that was last reported, and when the first of them was.
    unreported: Option<(u64, Instant)>,
}

impl QueueState {
    fn lose(&mut self) {
        self.lost += 1;
        self.unreported.get_or_insert_with(|| (0, Instant::now())).0 += 1;
    }
}

impl Queue {
    /// Starts a queue of `room` bytes in front of `stream`. `report` is called on the queue's thread when writing works
    /// again after lines were lost: their number, and how long ago the first of them was.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        stream: impl Write + Send + 'static,
        room: usize,
        report: impl Fn(u64, Duration) + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Self(Arc::new(SharedQueue { room, state: Mutex::default(), moved: Condvar::new() }));
        let work = queue.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || work.run(stream, &report))?;
        Ok(queue)
    }

    /// Adds a line, or counts it as lost where there is no room.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.bytes + line.len() > self.0.room {
            state.lose();
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        drop(state);
        self.0.moved.notify_all();
    }

    /// Lines lost since the start.
    pub fn lost(&self) -> u64 {
        self.state().lost
    }

    /// Waits until everything is written, for `limit` at most. Returns whether it is.
    pub fn finish(&self, limit: Duration) -> bool {
        let waited = self.0.moved.wait_timeout_while(self.state(), limit, |state| state.bytes > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.bytes == 0
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut stream: impl Write, report: &dyn Fn(u64, Duration)) {
        let mut is_torn = false;
        loop {
            let waited = self.0.moved.wait_while(self.state(), |state| state.lines.is_empty());
            let line = waited.unwrap_or_else(PoisonError::into_inner).lines.pop_front().unwrap_or_default();
            // The line behind one that was written in part begins on a line of its own.
            let written = if is_torn { write(&mut stream, b"\n") } else { Ok(()) };
            let written = written.and_then(|()| write(&mut stream, &line));
            is_torn = matches!(written, Err(has_begun) if has_begun || is_torn);
            let mut state = self.state();
            state.bytes -= line.len();
            let has_room = state.bytes <= self.0.room / 2;
            let lost = match written {
                Ok(()) if has_room => state.unreported.take(),
                Ok(()) => None,
                Err(_) => {
                    state.lose();
                    None
                }
            };
            let is_done = state.bytes == 0;
            drop(state);
            if let Some((lost, since)) = lost {
                report(lost, since.elapsed());
            }
            if is_done {
                self.0.moved.notify_all();
            }
        }
    }
}

/// Writes all of `text`, however long the stream takes. The error says whether some of it is written.
#[allow(clippy::disallowed_methods)] // the thread is its own
fn write(stream: &mut impl Write, text: &[u8]) -> Result<(), bool> {
    let mut rest = text;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(rest.len() < text.len()),
            Ok(length) => rest = &rest[length..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(_) => return Err(rest.len() < text.len()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(visible("a\tb\nü é\u{65}\u{301} 名"), "a\tb\nü é\u{65}\u{301} 名");
        assert_eq!(visible("red\u{1b}[31m\u{9b}1m\r"), "red\\u{1b}[31m\\u{9b}1m\\r");
        assert_eq!(visible("a\u{200b}b\u{202e}c\u{feff}\u{e0041}"), "a\\u{200b}b\\u{202e}c\\u{feff}\\u{e0041}");
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_holds_nobody_up() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (report, reported) = mpsc::channel();
        let queue = Queue::start(writer, 200_000, move |lost, _| report.send(lost).unwrap()).unwrap();
        let line = [b'x'; 99].into_iter().chain([b'\n']).collect::<Vec<_>>();
        // A pipe takes 64 KiB, the queue 200,000 bytes.
        let begun = Instant::now();
        (0..10_000).for_each(|_| queue.push(&line));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(!queue.finish(Duration::from_millis(20)));
        let lost = queue.lost();
        assert!((7_000..8_001).contains(&lost), "{lost}");
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            let mut piece = [0; 4096];
            while text.last() != Some(&b'!') {
                let length = reader.read(&mut piece).unwrap();
                text.extend_from_slice(&piece[..length]);
            }
            text.len()
        });
        assert_eq!(reported.recv().unwrap(), lost);
        queue.push(b"the end!");
        assert_eq!(reading.join().unwrap() as u64, (10_000 - lost) * 100 + 8);
        assert!(queue.finish(Duration::from_secs(10)));
        assert_eq!(queue.lost(), lost);
    }

    /// A stream that fails until it is told otherwise, as a full disk does: in the middle of a line.
    struct Disk(mpsc::Receiver<()>, mpsc::Sender<u8>, usize);

    impl Write for Disk {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            if self.0.try_recv().is_ok() {
                self.2 = usize::MAX;
            }
            if self.2 == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.2 -= 1;
            self.1.send(text[0]).unwrap();
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_a_full_disk_the_log_goes_on_with_a_line_of_its_own() {
        let ((free, is_free), (sender, written)) = (mpsc::channel(), mpsc::channel());
        let (report, reported) = mpsc::channel();
        let queue = Queue::start(Disk(is_free, sender, 7), 1000, move |lost, _| report.send(lost).unwrap()).unwrap();
        for line in ["one\n", "two two\n", "three\n"] {
            queue.push(line.as_bytes());
            assert!(queue.finish(Duration::from_secs(10)), "a failed write does not hold up the rest");
        }
        free.send(()).unwrap();
        queue.push(b"four\n");
        assert_eq!(reported.recv().unwrap(), 2);
        let text: Vec<u8> = written.try_iter().collect();
        assert_eq!(String::from_utf8(text).unwrap(), "one\ntwo\nfour\n");
    }
}
