//! The binary in a mount namespace that outlives it, with a disk of its own that can be filled and made read-only, and
//! with a log that is a pipe and is read only when the test says so.

#![allow(clippy::disallowed_methods)] // it is called where one may block

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::app::scratch;
use super::{PATIENCE, spawner};

/// Bytes of the log that are kept: its end.
const KEPT: usize = 4 << 20;

/// Mounts a file system that answers nothing over a directory, and takes it away at SIGUSR1.
const SILENT: &str = "
import ctypes, os, signal, sys
libc, path = ctypes.CDLL(None, use_errno=True), sys.argv[1].encode()
fd = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other'.encode()
if libc.mount(b'silent', path, b'fuse.silent', 0, options) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
def answer(*_):
    MNT_DETACH = 2
    libc.umount2(path, MNT_DETACH)
    os.close(fd)
signal.signal(signal.SIGUSR1, answer)
print('up', flush=True)
while True:
    signal.pause()
";

/// A mount namespace with a small tmpfs. Dropping it ends it.
pub(crate) struct House {
    holder: Child,
    disk: PathBuf,
}

impl House {
    /// A namespace with a tmpfs of so many KiB.
    pub(crate) fn with_disk(kib: u32) -> Self {
        let disk = scratch("disk");
        std::fs::create_dir_all(&disk).expect("a directory");
        let script = format!("mount -t tmpfs -o size={kib}k disk \"$1\" && echo up && exec sleep 1000000");
        Self::held_by(disk, &["sh", "-c", &script, "sh"])
    }

    /// The same, where this file is resolv.conf, and everybody may write to the disk.
    pub(crate) fn with_resolver(kib: u32, resolv: &Path) -> Self {
        let disk = scratch("disk");
        std::fs::create_dir_all(&disk).expect("a directory");
        let resolv = resolv.display();
        let script = format!(
            "mount --bind {resolv} /etc/resolv.conf && mount -t tmpfs -o size={kib}k,mode=0777 disk \"$1\" && echo up && \
             exec sleep 1000000"
        );
        Self::held_by(disk, &["sh", "-c", &script, "sh"])
    }

    /// A namespace that this program prepares, says so, and holds; its last argument is the directory of the disk.
    fn held_by(disk: PathBuf, program: &[&str]) -> Self {
        let holder = spawner::spawn("unshare", |command| {
            command.arg("--mount").args(program).arg(&disk);
            command.stdin(Stdio::null()).stdout(Stdio::piped());
        });
        let mut holder = holder.expect("`setpriv` and `unshare` (package util-linux)");
        let mut said = String::new();
        let out = holder.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut said).expect("its output");
        assert_eq!(said, "up\n", "a mount namespace takes root, `mount` (package mount), python3 and /dev/fuse");
        Self { holder, disk }
    }

    /// A namespace whose disk has these files, and does not answer until [`Self::answer`]: a FUSE file system that
    /// serves nobody, as a network file system whose server is away.
    pub(crate) fn silent(files: &[(&str, &str)]) -> Self {
        let disk = scratch("disk");
        std::fs::create_dir_all(&disk).expect("a directory");
        for (name, text) in files {
            std::fs::write(disk.join(name), text).expect("a file");
        }
        Self::held_by(disk, &["python3", "-c", SILENT])
    }

    /// Has a silent disk answer, with its files.
    pub(crate) fn answer(&self) {
        let status = Command::new("kill").arg("-USR1").arg(self.holder.id().to_string()).status();
        assert!(status.expect("the command `kill`").success());
    }

    /// The directory of the disk, as the binary sees it.
    pub(crate) fn disk(&self) -> &Path {
        &self.disk
    }

    /// The same directory, or what is in it, as this process sees it.
    pub(crate) fn seen(&self, name: &str) -> PathBuf {
        let disk = self.disk.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(disk).join(name)
    }

    /// Leaves no room on the disk.
    pub(crate) fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.seen("filling")).expect("a file");
        for size in [4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Makes room again.
    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.seen("filling")).expect("the filling");
    }

    /// Mounts its disk again with these options: `ro`, `rw`.
    pub(crate) fn remount(&self, options: &str) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()));
        command.args(["mount", "-o", &format!("remount,{options}")]).arg(&self.disk);
        assert!(command.status().expect("`nsenter` (package util-linux)").success(), "remount,{options}");
    }

    /// Has a directory, as the binary sees it, answer nothing.
    pub(crate) fn silence(&self, directory: &Path) -> Silence {
        let child = spawner::spawn("nsenter", |command| {
            command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id())).args(["python3", "-c", SILENT]);
            command.arg(directory).stdin(Stdio::null()).stdout(Stdio::piped());
        });
        let mut child = child.expect("`nsenter` (package util-linux)");
        let mut said = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut said).expect("its output");
        assert_eq!(said, "up\n", "a silent directory takes root, python3 and /dev/fuse");
        Silence(child)
    }

    /// Runs `zonekeeper` in it, with these limits in words of prlimit(1).
    pub(crate) fn run(&self, limits: &[&str], arguments: &[&str]) -> Housed {
        self.run_by(limits, &[env!("CARGO_BIN_EXE_zonekeeper")], arguments)
    }

    /// Runs this program, which turns into `zonekeeper`.
    pub(crate) fn run_by(&self, limits: &[&str], program: &[&str], arguments: &[&str]) -> Housed {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let child = spawner::spawn("nsenter", |command| {
            command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id())).arg("prlimit").args(limits);
            command.args(program).args(arguments);
            let both = writer.try_clone().expect("a pipe");
            command.stdin(Stdio::null()).stdout(both).stderr(writer);
        });
        let child = child.expect("`nsenter` and `prlimit` (package util-linux)");
        let log = Log { bytes: Arc::default(), is_read: Arc::new(AtomicBool::new(true)) };
        let follower = log.clone();
        std::thread::spawn(move || follower.follow(reader));
        Housed { child, log }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A directory that answers nothing, until this is dropped.
pub(crate) struct Silence(Child);

impl Drop for Silence {
    fn drop(&mut self) {
        let status = Command::new("kill").arg("-USR1").arg(self.0.id().to_string()).status();
        assert!(status.expect("the command `kill`").success());
        // It has let go of the directory when it is told to end.
        sleep(Duration::from_millis(100));
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What comes out of the pipe.
#[derive(Clone)]
struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
    is_read: Arc<AtomicBool>,
}

impl Log {
    fn follow(&self, mut pipe: std::io::PipeReader) {
        let mut piece = vec![0; 1 << 16];
        loop {
            while !self.is_read.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(5));
            }
            let Ok(length @ 1..) = pipe.read(&mut piece) else { return };
            let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
            bytes.extend_from_slice(&piece[..length]);
            let surplus = bytes.len().saturating_sub(2 * KEPT);
            if surplus > 0 {
                let surplus = bytes.len() - KEPT;
                bytes.drain(..surplus);
            }
        }
    }
}

/// A running binary. Dropping it kills it.
pub(crate) struct Housed {
    child: Child,
    log: Log,
}

impl Housed {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it has said.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Whether its log is read from now on.
    pub(crate) fn read_log(&self, is_read: bool) {
        self.log.is_read.store(is_read, Ordering::Relaxed);
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.expect("the command `kill`").success(), "cannot send SIG{name}");
    }

    /// Sets the soft limit of something in words of prlimit(1), `nofile`, where it runs as this user.
    pub(crate) fn limit(&self, user: &str, name: &str, most: u32) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups", "--", "prlimit", "--pid"]);
        let status = command.arg(self.child.id().to_string()).arg(format!("--{name}={most}:")).status();
        assert!(status.expect("`prlimit` (package util-linux)").success(), "{name}={most}");
    }

    /// Kills it on the spot.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a running process");
        self.child.wait().expect("its end");
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state")
    }

    /// Sends SIGTERM and waits for the end: how it ended, and how long that took.
    pub(crate) fn stop(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        self.signal("TERM");
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            sleep(Duration::from_millis(5));
        }
    }

    /// Bytes of its memory that are resident.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("its state");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    }

    /// How many file descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).expect("its descriptors").count()
    }
}

impl Drop for Housed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().filter(|line| !line.contains("DEBUG")).collect();
            let end = lines[lines.len().saturating_sub(100)..].join("\n");
            let _ = writeln!(std::io::stderr(), "--- end of the log of the binary ---\n{end}");
        }
    }
}
