//! A day of trouble: a script of faults, drawn from a seed, against the real binary, which serves DNS and registers
//! services in a real ZooKeeper. At each quiet moment DNS, znodes and health agree.
//!
//! Half a minute of it, and every kind of fault at least once, belongs to the tests. `ZONEKEEPER_DAY=600` is a long one (in
//! seconds), `ZONEKEEPER_SEED` one that was seen before. Its disk is a tmpfs of 256 KiB in a mount namespace.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

mod world;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::agent::{HANG, OK, UNAVAILABLE};
use crate::harness::admin;
use world::{World, hanging};

/// How long it goes on, unless the environment says otherwise.
const DAY: u64 = 30;

/// Something that goes wrong, or comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The network to ZooKeeper: connections are closed.
    Cut,
    /// The network to ZooKeeper: nothing passes.
    Stall,
    /// ZooKeeper stands still (SIGSTOP).
    Freeze,
    /// ZooKeeper is killed and started again.
    KillZooKeeper,
    /// The listener of a service dies or comes back.
    Port,
    /// A web server falls ill, hangs or is well again.
    Web,
    /// The heartbeat stops or goes on.
    Beat,
    /// A command fails, hangs, or is well again.
    Job,
    /// The settings of all checks are edited.
    Edit,
    /// The main file is broken for a while.
    BreakMain,
    /// A snippet is emptied, broken and mended.
    Snippet,
    /// Another host registers something or takes it out.
    Far,
    /// Nobody reads the log for a while.
    Unread,
    /// Clients take all connections.
    Clients,
    /// The disk is full for a while.
    FullDisk,
    /// SIGHUP, fifty times.
    Hangups,
    /// `zonekeeper restart`.
    Restart,
    /// zonekeeper is killed and started again.
    Kill,
}

const FAULTS: [Fault; 18] = [
    Fault::Cut,
    Fault::Stall,
    Fault::Freeze,
    Fault::KillZooKeeper,
    Fault::Port,
    Fault::Web,
    Fault::Beat,
    Fault::Job,
    Fault::Edit,
    Fault::BreakMain,
    Fault::Snippet,
    Fault::Far,
    Fault::Unread,
    Fault::Clients,
    Fault::FullDisk,
    Fault::Hangups,
    Fault::Restart,
    Fault::Kill,
];

/// One step of a script: what happens, for how long, and which of its variants.
#[derive(Debug, Clone, Copy)]
struct Step {
    fault: Fault,
    millis: u64,
    variant: u8,
}

/// The endless script of a seed: all faults in some order, then all in another one.
fn script(seed: u64) -> impl Iterator<Item = Step> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::from_fn(move || {
        let mut all = FAULTS;
        random.shuffle(&mut all);
        Some(all.map(|fault| Step { fault, millis: random.u64(200..1_500), variant: random.u8(..) }))
    })
    .flatten()
}

/// A number from the environment.
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Says how to have the same again, where the test fails.
struct Repeat(u64, Vec<Step>);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(seed, steps) = self;
            let _ = writeln!(std::io::stderr(), "ZONEKEEPER_SEED={seed}, in the last step of {steps:?}");
        }
    }
}

#[test]
fn dns_znodes_and_health_agree_at_every_quiet_moment_of_a_day_of_trouble() {
    let seed = from_environment("ZONEKEEPER_SEED").unwrap_or_else(|| fastrand::u64(..));
    let length = Duration::from_secs(from_environment("ZONEKEEPER_DAY").unwrap_or(DAY));
    let mut repeat = Repeat(seed, Vec::new());
    let mut world = World::start();
    world.quiet();
    let begun = Instant::now();
    for step in script(seed) {
        if repeat.1.len() >= FAULTS.len() && begun.elapsed() > length {
            break;
        }
        repeat.1.push(step);
        println!("{:?} {step:?}", begun.elapsed());
        happens(&mut world, step);
        world.quiet();
        assert!(!world.ours.log().contains("panicked"), "a part has panicked");
    }
    let missing: Vec<_> = FAULTS.iter().filter(|fault| repeat.1.iter().all(|step| step.fault != **fault)).collect();
    assert!(missing.is_empty(), "never drawn: {missing:?}");
    let (status, took) = world.ours.stop();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    assert!(!world.ours.log().contains("panicked"), "a part has panicked");
}

fn happens(world: &mut World, Step { fault, millis, variant }: Step) {
    let time = Duration::from_millis(millis);
    match fault {
        Fault::Cut | Fault::Stall => {
            if fault == Fault::Cut {
                world.proxy.cut();
            } else {
                world.proxy.stall();
            }
            sleep(time);
            world.answers();
            world.proxy.heal();
        }
        Fault::Freeze => {
            world.zookeeper.freeze();
            sleep(time);
            world.answers();
            world.zookeeper.thaw();
        }
        Fault::KillZooKeeper => {
            world.zookeeper.kill();
            sleep(time);
            world.answers();
            world.zookeeper.start_again();
        }
        Fault::Port => world.listening.turn(),
        Fault::Beat => world.beating.turn(),
        Fault::Web => {
            world.manner = match world.manner {
                OK if variant.is_multiple_of(2) => UNAVAILABLE,
                OK => HANG,
                _ => OK,
            };
            world.web.behave(world.manner);
        }
        Fault::Job => job(world, variant),
        Fault::Edit => world.edit(),
        Fault::BreakMain => {
            world.break_config();
            sleep(time);
            world.quiet();
            world.write_config();
        }
        Fault::Snippet => snippet(world, time),
        Fault::Far => world.put_far(2 + variant % 4),
        Fault::Unread => {
            world.ours.read_log(false);
            // More than a pipe takes, at the level of this log.
            for _ in 0..40 {
                world.ours.signal("HUP");
            }
            sleep(time);
            world.quiet();
            world.ours.read_log(true);
        }
        Fault::Clients => clients(world, time),
        Fault::FullDisk => {
            world.house.fill();
            world.put_far(6);
            if variant.is_multiple_of(2) {
                world.ours.kill();
                world.run();
            }
            sleep(time);
            world.quiet();
            world.house.empty();
        }
        Fault::Hangups => {
            for _ in 0..50 {
                world.ours.signal("HUP");
            }
            world.answers();
        }
        Fault::Restart => world.restart(),
        Fault::Kill => {
            world.ours.kill();
            sleep(time);
            world.run();
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

fn snippet(world: &mut World, time: Duration) {
    // What it held goes, and is not there again because the next version is broken.
    for (text, has_extra) in [("", false), ("[[service]]\nname = ", false)] {
        world.write_snippet(text);
        world.has_extra = has_extra;
        sleep(time);
        world.quiet();
    }
    world.write_snippet(&world.extra());
    world.has_extra = true;
    world.quiet();
    world.write_snippet("[[service]]\nname = ");
    sleep(time);
    world.quiet();
    world.write_snippet(&world.extra());
}

/// Takes every connection that DNS and the admin server give, and asks over UDP meanwhile.
fn clients(world: &World, time: Duration) {
    let begun = Instant::now();
    let mut open: Vec<TcpStream> = Vec::new();
    while begun.elapsed() < time || open.len() < 100 {
        for address in [world.dns, world.admin] {
            open.extend((0..20).filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok()));
        }
        for stream in &mut open {
            stream.set_nonblocking(true).expect("a socket");
        }
        open.retain_mut(|stream| stream.read(&mut [0; 16]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
        world.answers();
        assert!(begun.elapsed() < Duration::from_secs(30), "no more than {} connections", open.len());
    }
    drop(open);
    assert!(admin::page(world.admin, "/healthz").contains("200 OK"));
}
