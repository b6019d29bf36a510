//! A day of trouble: a script of faults, drawn from a seed, against the real binary, which serves DNS and registers
//! services in a real ZooKeeper. At each quiet moment DNS, znodes and health agree, nothing is said to be wrong, and
//! memory and descriptors are where they were.
//!
//! Every kind of fault at least once, alone or at the same time as others, belongs to the tests. `ZONEKEEPER_DAY=600`
//! is a long one (in seconds), `ZONEKEEPER_SEED` one that was seen before, `ZONEKEEPER_FAULTS=Kill,Wipe` one of these
//! kinds alone. It runs on a host of its own (a network namespace), with a disk of its own (a tmpfs of 256 KiB in a
//! mount namespace), as a user of its own.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

mod around;
mod faults;
mod world;

use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use faults::{FAULTS, Fault};
use world::World;

use crate::harness::witness::Witness;

/// The name of the test, which runs itself again on a host of its own.
const TEST: &str = "day_of_trouble::dns_znodes_and_health_agree_at_every_quiet_moment_of_a_day_of_trouble";
/// How long it goes on, unless the environment says otherwise: until every kind was drawn.
const DAY: Duration = Duration::from_secs(30);
/// As many faults are there at the same time.
const AT_ONCE: usize = 3;

/// A fault with its variant.
type Drawn = (Fault, u8);

/// One step of a script: what goes wrong at the same time, and for how long.
#[derive(Debug, Clone)]
struct Step {
    faults: Vec<Drawn>,
    /// The order in which they end.
    ends: Vec<usize>,
    millis: u64,
    /// Between one beginning, or end, and the next.
    pause: u64,
}

impl Step {
    /// Whether this service may be denied, though it is well, because its registration ended.
    fn may_deny(&self, name: &str) -> bool {
        let has = |kinds: &[Fault]| self.faults.iter().any(|(fault, _)| kinds.contains(fault));
        // What may not be written cannot be taken over, and the cache file is some seconds old.
        let away = [Fault::Locked, Fault::Cut, Fault::Stall, Fault::Unreachable, Fault::Freeze, Fault::KillZooKeeper];
        if has(&away) && has(&[Fault::Kill, Fault::Restart, Fault::StateFiles, Fault::FullDisk]) {
            return true;
        }
        let pauses = 2 * self.pause * u64::try_from(self.faults.len()).unwrap_or(0);
        let length = Duration::from_millis(self.millis + pauses);
        self.faults.iter().any(|(fault, variant)| fault.may_deny(name, *variant, length))
    }
}

/// The endless script of a seed: all faults in some order, then all in another one.
fn script(seed: u64, kinds: Vec<Fault>, is_long: bool) -> impl Iterator<Item = Step> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut waiting: Vec<Fault> = Vec::new();
    std::iter::from_fn(move || {
        if waiting.is_empty() {
            waiting.clone_from(&kinds);
            random.shuffle(&mut waiting);
        }
        let most = random.usize(1..=AT_ONCE);
        let (mut faults, mut taken) = (Vec::new(), 0);
        waiting.retain(|fault| {
            let fits = faults.len() < most && taken & fault.touches() == 0;
            if fits {
                taken |= fault.touches();
                faults.push((*fault, random.u8(..)));
            }
            !fits
        });
        let mut ends: Vec<_> = (0..faults.len()).collect();
        random.shuffle(&mut ends);
        // Some of a long day are longer than a session lives.
        let longest = if is_long && random.u8(..4) == 0 { 7_000 } else { 1_500 };
        Some(Step { faults, ends, millis: random.u64(200..longest), pause: random.u64(..300) })
    })
}

/// A value of the environment.
fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Says how to have the same again, where the test fails.
struct Repeat(u64, Vec<Step>);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(seed, steps) = self;
            let _ =
                writeln!(std::io::stderr(), "ZONEKEEPER_SEED={seed}, in the last of {} steps: {steps:?}", steps.len());
        }
    }
}

#[test]
fn dns_znodes_and_health_agree_at_every_quiet_moment_of_a_day_of_trouble() {
    let by_hand = ["ZONEKEEPER_DAY", "ZONEKEEPER_SEED", "ZONEKEEPER_FAULTS"];
    if !around::is_inside(TEST, by_hand.iter().any(|name| std::env::var_os(name).is_some())) {
        return;
    }
    let seed = from_environment("ZONEKEEPER_SEED").unwrap_or_else(|| fastrand::u64(..));
    let length = from_environment("ZONEKEEPER_DAY").map_or(DAY, Duration::from_secs);
    let only: Option<String> = from_environment("ZONEKEEPER_FAULTS");
    let is_meant =
        |fault: &Fault| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == format!("{fault:?}")));
    let kinds: Vec<_> = FAULTS.into_iter().filter(is_meant).collect();
    let mut repeat = Repeat(seed, Vec::new());
    println!("ZONEKEEPER_SEED={seed}");
    let mut world = World::start();
    world.is_long = length > DAY;
    world.all_is_well();
    let begun = Instant::now();
    let missing = |steps: &[Step]| -> Vec<_> {
        let is_missing = |kind: &&Fault| steps.iter().all(|step| step.faults.iter().all(|(fault, _)| fault != *kind));
        kinds.iter().filter(is_missing).copied().collect()
    };
    for step in script(seed, kinds.clone(), world.is_long) {
        if begun.elapsed() > length && missing(&repeat.1).is_empty() {
            break;
        }
        println!("{:?} {step:?}", begun.elapsed());
        repeat.1.push(step.clone());
        let witness = Witness::start(world.dns, world.healthy().into_iter().collect());
        happens(&mut world, &step);
        world.all_is_well();
        let mut denied = witness.stop();
        let healthy = world.healthy();
        denied.retain(|(_, name, _)| healthy.contains(name) && !step.may_deny(name));
        if world.identity_lost && step.faults.iter().any(|(fault, _)| [Fault::Kill, Fault::Restart].contains(fault)) {
            world.identity_lost = false;
            denied.clear();
        }
        assert!(denied.is_empty(), "healthy services were denied: {denied:?}");
        assert!(!world.ours.log().contains("panicked"), "a part has panicked");
    }
    assert!(missing(&repeat.1).is_empty(), "never drawn: {:?}", missing(&repeat.1));
    let (status, took) = world.ours.stop();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    assert!(!world.ours.log().contains("panicked"), "a part has panicked");
    println!("{} steps in {:?}, SIGTERM took {took:?}", repeat.1.len(), begun.elapsed());
}

fn happens(world: &mut World, step: &Step) {
    let pause = Duration::from_millis(step.pause);
    world.alone = step.faults.len() == 1;
    for drawn in &step.faults {
        world.begin(*drawn);
        sleep(pause);
    }
    sleep(Duration::from_millis(step.millis));
    let speaks = step.faults.iter().all(|(fault, _)| !fault.silences());
    if speaks {
        let knows = step.faults.iter().all(|(fault, _)| !fault.forgets());
        world.answers(knows);
    }
    for index in &step.ends {
        world.end(step.faults[*index]);
        sleep(pause);
    }
}
