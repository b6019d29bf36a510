//! Orphans: processes that others have left behind and whose parent this process has become, as PID 1 of a container or
//! as a sub-reaper (prctl(2)). Commands of checks leave some, in the background or when they are killed at their time
//! limit; one that has ended stays a zombie, and counts against the container's limit, until its parent reaps it.
//!
//! After the process has executed itself anew, the commands of the image before are orphans, too. Children that this
//! image has started itself are waited for where they were started, at once. A zombie that is still there two seconds
//! later is nobody's.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, child_subreaper, getpid, waitid};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Time between two looks for zombies.
const POLL: Duration = Duration::from_secs(1);
/// Time that one's own parent may take.
const OURS: Duration = Duration::from_secs(2);

/// Returns whether orphans become children of this process.
pub(super) fn is_heir() -> bool {
    getpid().is_init() || matches!(child_subreaper(), Ok(Some(_)))
}

/// Reaps orphans until `stop`.
pub(super) async fn run(stop: CancellationToken) {
    let mut seen = HashMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POLL) => reap(&mut seen, Instant::now()),
        }
    }
}

/// Reaps the zombies that were there [`OURS`] ago; `seen` is when each was found.
fn reap(seen: &mut HashMap<i32, Instant>, now: Instant) {
    let zombies: Vec<i32> = children().into_iter().filter(|child| is_zombie(*child)).collect();
    seen.retain(|known, _| zombies.contains(known));
    for zombie in zombies {
        if now.saturating_duration_since(*seen.entry(zombie).or_insert(now)) < OURS {
            continue;
        }
        seen.remove(&zombie);
        if let Some(pid) = Pid::from_raw(zombie) {
            let reaped = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            debug!(pid = zombie, is_reaped = reaped.is_ok(), "an orphan has ended");
        }
    }
}

/// The children of all threads of this process (proc(5)), or of the whole where the kernel has no such
/// list.
fn children() -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists: Vec<_> = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    if !lists.is_empty() {
        return lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect();
    }
    let own = getpid().as_raw_nonzero().get().to_string();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    all.filter(|pid| stat(*pid).is_some_and(|(_, parent)| parent == own)).collect()
}

fn is_zombie(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state == "Z")
}

/// The state and the parent of a process: `7 (name) Z 1 …`. The name may hold anything.
fn stat(pid: i32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned);
    Some((words.next()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, clippy::zombie_processes)] // it is the zombie that is wanted
    fn a_zombie_is_reaped_when_nobody_has_waited_for_it_for_two_seconds() {
        let child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while !is_zombie(pid) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut seen = HashMap::from([(pid, Instant::now())]);
        let begun = seen[&pid];
        // Only this one: other tests wait for theirs.
        assert!(children().contains(&pid));
        let mut only = |now| {
            seen.retain(|known, _| *known == pid);
            reap(&mut seen, now);
        };
        only(begun + Duration::from_millis(1900));
        assert!(is_zombie(pid), "it may be waited for yet");
        only(begun + OURS);
        assert!(!is_zombie(pid));
    }
}
