//! Child processes that do not outlive the tests, however those end.
//!
//! Linux can kill a child when its parent dies, but ties that to the parent's *thread*, and tests are threads that end
//! long before the process does. So all children are spawned from one thread that lives as long as the process.

use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::thread;

type Job = (Command, mpsc::Sender<io::Result<Child>>);

/// Runs `program`; the caller adds arguments and files to the command before it starts. It is killed when this process
/// ends.
pub(crate) fn spawn(program: &str, prepare: impl FnOnce(&mut Command)) -> io::Result<Child> {
    static JOBS: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    // A server leaves nothing in the system's runtime directory.
    command.env("XDG_RUNTIME_DIR", super::app::scratch("run"));
    prepare(&mut command);
    let jobs = JOBS.get_or_init(|| Mutex::new(start()));
    let (reply, child) = mpsc::channel();
    let sent = jobs.lock().unwrap_or_else(PoisonError::into_inner).send((command, reply));
    sent.map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

fn start() -> mpsc::Sender<Job> {
    let (jobs, queue) = mpsc::channel::<Job>();
    thread::spawn(move || {
        for (mut command, reply) in queue {
            let _ = reply.send(command.spawn());
        }
    });
    jobs
}
