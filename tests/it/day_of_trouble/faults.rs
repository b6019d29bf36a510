//! What goes wrong on a day of trouble: how each fault begins, and how it ends.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::around::ip;
use super::world::{World, hanging};
use crate::agent::{HANG, OK, UNAVAILABLE};
use crate::harness::PATIENCE;
use crate::harness::kazoo::Kazoo;

/// Something that goes wrong, or comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The network to ZooKeeper: connections are closed.
    Cut,
    /// The network to ZooKeeper: nothing passes.
    Stall,
    /// The network to ZooKeeper: its address cannot be reached.
    Unreachable,
    /// ZooKeeper stands still (SIGSTOP).
    Freeze,
    /// ZooKeeper is killed and started again.
    KillZooKeeper,
    /// ZooKeeper is killed and started again without its data.
    Wipe,
    /// The rights to read a part of the registry, or to write there, are taken away.
    Locked,
    /// Somebody puts big znodes beside the services.
    Blobs,
    /// Another host registers something or takes it out.
    Far,
    /// The listener of a service dies or comes back.
    Port,
    /// A web server falls ill, hangs or is well again.
    Web,
    /// The heartbeats stop or go on.
    Beat,
    /// A command fails, hangs, or is well again.
    Job,
    /// The address that a service is registered at leaves its interface, and comes back.
    Address,
    /// The resolver is silent.
    Resolver,
    /// The disk of the file that a heartbeat touches does not answer.
    SilentDisk,
    /// The settings of all checks are edited.
    Edit,
    /// The main file is broken for a while.
    BreakMain,
    /// A snippet is emptied, broken and mended.
    Snippet,
    /// The configuration cannot be read for a while.
    Rights,
    /// SIGHUP, fifty times.
    Hangups,
    /// Nobody reads the log for a while.
    Unread,
    /// Clients take all connections.
    Clients,
    /// No file can be opened.
    Descriptors,
    /// No process or thread can be started.
    Processes,
    /// The disk is full for a while.
    FullDisk,
    /// Identity, serials and cache are emptied, filled with garbage, unreadable or gone.
    StateFiles,
    /// zonekeeper stands still for longer than its session lives.
    Stop,
    /// `zonekeeper restart`.
    Restart,
    /// zonekeeper is killed and started again.
    Kill,
}

pub(super) const FAULTS: [Fault; 30] = [
    Fault::Cut,
    Fault::Stall,
    Fault::Unreachable,
    Fault::Freeze,
    Fault::KillZooKeeper,
    Fault::Wipe,
    Fault::Locked,
    Fault::Blobs,
    Fault::Far,
    Fault::Port,
    Fault::Web,
    Fault::Beat,
    Fault::Job,
    Fault::Address,
    Fault::Resolver,
    Fault::SilentDisk,
    Fault::Edit,
    Fault::BreakMain,
    Fault::Snippet,
    Fault::Rights,
    Fault::Hangups,
    Fault::Unread,
    Fault::Clients,
    Fault::Descriptors,
    Fault::Processes,
    Fault::FullDisk,
    Fault::StateFiles,
    Fault::Stop,
    Fault::Restart,
    Fault::Kill,
];

/// What faults touch, of which one at a time does.
const PROXY: u8 = 1;
const SERVER: u8 = 2;
const MAIN: u8 = 4;
const SNIPPETS: u8 = 8;
const PROCESS: u8 = 16;
const DISK: u8 = 32;

/// The files that are kept on the disk.
const KEPT: [&str; 3] = ["identity", "serials", "cache"];

impl Fault {
    /// What it touches, in bits: those that touch the same are not there at the same time.
    pub(super) fn touches(self) -> u8 {
        match self {
            Self::Cut | Self::Stall | Self::Unreachable => PROXY,
            Self::Freeze | Self::KillZooKeeper | Self::Locked | Self::Blobs | Self::Far => SERVER,
            Self::Wipe => SERVER | PROCESS | DISK,
            Self::Edit | Self::BreakMain => MAIN,
            Self::Snippet => SNIPPETS,
            Self::Rights => MAIN | SNIPPETS,
            Self::Hangups | Self::Unread | Self::Clients | Self::Descriptors | Self::Processes | Self::Stop => PROCESS,
            Self::FullDisk => DISK | PROCESS | MAIN | SERVER,
            Self::StateFiles => DISK | PROCESS | MAIN,
            // A configuration that is broken is not restarted with, and not started with.
            Self::Restart | Self::Kill => PROCESS | MAIN | SNIPPETS,
            _ => 0,
        }
    }

    /// Whether nothing can be asked while it is there.
    pub(super) fn silences(self) -> bool {
        matches!(self, Self::Stop | Self::Kill)
    }

    /// Whether what was known may not be known for a moment after it.
    pub(super) fn forgets(self) -> bool {
        matches!(self, Self::Restart | Self::FullDisk | Self::StateFiles)
    }
}

/// How long a session lives without its server at least, and a registration without its process.
const SESSION_LIVES: Duration = Duration::from_millis(1_500);

impl Fault {
    /// Whether a service of this name may be denied, though it is well, where the fault is there for so long: its
    /// session ends, or what says whose znodes they are is lost.
    pub(super) fn may_deny(self, name: &str, variant: u8, length: Duration) -> bool {
        match self {
            Self::Wipe | Self::Stop => true,
            Self::Cut | Self::Stall | Self::Unreachable | Self::Freeze | Self::KillZooKeeper => length > SESSION_LIVES,
            Self::Kill => length > SESSION_LIVES / 2,
            Self::FullDisk => variant.is_multiple_of(2),
            Self::StateFiles => variant & 0x80 != 0,
            Self::Snippet => name == "extra",
            Self::Address => name == "net",
            _ => false,
        }
    }
}

/// What there is only while a fault is.
#[derive(Default)]
pub(super) struct There {
    silence: Option<crate::harness::house::Silence>,
    clients: Option<Clients>,
    kazoo: Option<Kazoo>,
}

impl World {
    pub(super) fn begin(&mut self, (fault, variant): (Fault, u8)) {
        match fault {
            Fault::Cut => self.proxy.cut(),
            Fault::Stall => self.proxy.stall(),
            Fault::Unreachable => ip("addr del 10.1.0.6/24 dev far0"),
            Fault::Freeze => self.zookeeper.freeze(),
            Fault::KillZooKeeper => self.zookeeper.kill(),
            Fault::Wipe => {
                self.zookeeper.kill();
                self.zookeeper.wipe();
                self.zookeeper.start_again();
                self.restore_far();
            }
            Fault::Locked => {
                let mut kazoo = Kazoo::connect(&self.zookeeper.address());
                kazoo.lock(locked(variant), "day:trouble");
                self.there.kazoo = Some(kazoo);
            }
            Fault::Blobs => self.put_blobs(true),
            Fault::Far => self.put_far(2 + variant % 4),
            Fault::Port => self.listening.turn(),
            Fault::Beat => self.beating.turn(),
            Fault::Web => {
                self.manner = match self.manner {
                    OK if variant.is_multiple_of(2) => UNAVAILABLE,
                    OK => HANG,
                    _ => OK,
                };
                self.web.behave(self.manner);
            }
            Fault::Job => job(self, variant),
            Fault::Address => {
                ip("addr del 10.2.0.10/24 dev own0");
                // It is missed after ten seconds.
                if self.is_long && self.alone {
                    self.has_address = false;
                    self.quiet();
                }
            }
            Fault::Resolver => self.resolving.set(false),
            Fault::SilentDisk => self.there.silence = Some(self.house.silence(self.beats())),
            Fault::Edit => self.edit(),
            Fault::BreakMain => {
                self.break_config();
                self.quiet_if_alone();
            }
            Fault::Snippet if self.alone => snippet(self),
            Fault::Snippet => self.write_snippet(["", "[[service]]\nname = "][usize::from(variant % 2)]),
            Fault::Rights => {
                set_mode(&self.readable(variant), 0);
                self.ours.signal("HUP");
                self.quiet_if_alone();
            }
            Fault::Hangups => {
                for _ in 0..50 {
                    self.ours.signal("HUP");
                }
            }
            Fault::Unread => {
                self.ours.read_log(false);
                // More than a pipe takes, at the level of this log.
                for _ in 0..40 {
                    self.ours.signal("HUP");
                }
                self.quiet_if_alone();
            }
            Fault::Clients => self.there.clients = Some(Clients::start([self.dns, self.admin])),
            Fault::Descriptors => self.ours.limit(&self.user, "nofile", 3),
            Fault::Processes => self.ours.limit(&self.user, "nproc", 1),
            Fault::FullDisk => {
                self.house.fill();
                self.put_far(6);
                if variant.is_multiple_of(2) {
                    self.ours.kill();
                    self.run();
                }
                self.quiet_if_alone();
            }
            Fault::StateFiles => {
                for (_, name) in KEPT.iter().enumerate().filter(|(bit, _)| (variant >> bit) & 1 != 0) {
                    spoil(&self.house.seen(name), variant >> 3);
                }
                if variant & 0x80 != 0 {
                    self.ours.kill();
                    self.run();
                }
                self.quiet_if_alone();
            }
            Fault::Stop => self.ours.signal("STOP"),
            Fault::Restart => self.restart(),
            Fault::Kill => self.ours.kill(),
        }
    }

    pub(super) fn end(&mut self, (fault, variant): (Fault, u8)) {
        match fault {
            Fault::Cut | Fault::Stall => self.proxy.heal(),
            Fault::Unreachable => ip("addr add 10.1.0.6/24 dev far0"),
            Fault::Freeze => self.zookeeper.thaw(),
            Fault::KillZooKeeper => self.zookeeper.start_again(),
            Fault::Locked => {
                if let Some(mut kazoo) = self.there.kazoo.take() {
                    kazoo.unlock(locked(variant));
                }
            }
            Fault::Blobs => self.put_blobs(false),
            Fault::Address => {
                ip("addr add 10.2.0.10/24 dev own0");
                self.has_address = true;
            }
            Fault::Resolver => self.resolving.set(true),
            Fault::SilentDisk => self.there.silence = None,
            Fault::BreakMain => self.write_config(),
            Fault::Snippet => {
                self.write_snippet(&self.extra());
                self.has_extra = true;
            }
            Fault::Rights => set_mode(&self.readable(variant), 0o755),
            Fault::Unread => self.ours.read_log(true),
            Fault::Clients => {
                if let Some(clients) = self.there.clients.take() {
                    clients.stop();
                }
            }
            Fault::Descriptors => self.ours.limit(&self.user, "nofile", 400),
            Fault::Processes => self.ours.limit(&self.user, "nproc", 4096),
            Fault::FullDisk => self.house.empty(),
            Fault::StateFiles => {
                for (_, name) in KEPT.iter().enumerate().filter(|(bit, _)| (variant >> bit) & 1 != 0) {
                    let path = self.house.seen(name);
                    let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path));
                }
                self.identity_lost |= variant & 1 != 0;
            }
            Fault::Stop => {
                // Longer than the session lives.
                sleep(Duration::from_secs(4));
                self.ours.signal("CONT");
            }
            Fault::Kill => self.run(),
            Fault::Wipe
            | Fault::Far
            | Fault::Port
            | Fault::Web
            | Fault::Beat
            | Fault::Job
            | Fault::Edit
            | Fault::Hangups
            | Fault::Restart => {}
        }
    }

    fn quiet_if_alone(&mut self) {
        if self.alone {
            self.quiet();
        }
    }
}

/// The znode that is locked.
fn locked(variant: u8) -> &'static str {
    ["/services/far/providers", "/services/far", "/services/plain/providers", "/services"][usize::from(variant % 4)]
}

fn set_mode(path: &FilePath, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
}

/// Makes something of a file that nothing can be done with.
fn spoil(path: &FilePath, variant: u8) {
    match variant % 4 {
        0 => std::fs::write(path, "").expect("an empty file"),
        1 => std::fs::write(path, fastrand::Rng::with_seed(7).choose_multiple(0..=255, 200)).expect("garbage"),
        2 if path.exists() => set_mode(path, 0),
        _ => {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn job(world: &World, variant: u8) {
    let (job, hang) = (&world.job, hanging(&world.job));
    if hang.exists() {
        std::fs::remove_file(hang).expect("a file");
    } else if !job.exists() {
        std::fs::write(job, "").expect("a file");
    } else if variant.is_multiple_of(2) {
        std::fs::remove_file(job).expect("a file");
    } else {
        std::fs::write(hang, "").expect("a file");
    }
}

fn snippet(world: &mut World) {
    // What it held goes, and is not there again because the next version is broken.
    for text in ["", "[[service]]\nname = "] {
        world.write_snippet(text);
        world.has_extra = false;
        world.quiet();
    }
    world.write_snippet(&world.extra());
    world.has_extra = true;
    world.quiet();
    world.write_snippet("[[service]]\nname = ");
    world.quiet();
}

/// Clients that take every connection that DNS and the admin server give.
struct Clients {
    over: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Clients {
    fn start(addresses: [SocketAddr; 2]) -> Self {
        let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_over, counted) = (Arc::clone(&over), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            let mut open: Vec<TcpStream> = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                for address in addresses {
                    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok();
                    open.extend((0..20).filter_map(connect));
                }
                for stream in &mut open {
                    stream.set_nonblocking(true).expect("a socket");
                }
                let is_open = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
                open.retain_mut(|stream| stream.read(&mut [0; 16]).is_err_and(is_open));
                counted.store(open.len(), Ordering::SeqCst);
                sleep(Duration::from_millis(20));
            }
        });
        Self { over, count, thread }
    }

    /// Waits until they have many, and ends them.
    fn stop(self) {
        let begun = Instant::now();
        while self.count.load(Ordering::SeqCst) < 100 {
            assert!(begun.elapsed() < PATIENCE, "no more than {} connections", self.count.load(Ordering::SeqCst));
            sleep(Duration::from_millis(20));
        }
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().expect("no panic");
    }
}
