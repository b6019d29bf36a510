//! A TCP proxy that breaks connections on command, as networks do.
//!
//! On threads of its own, so that it goes on whatever a test's runtime is busy with.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A proxy before one server. Dropping it closes all its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    delay: Duration,
    /// Both sides of each connection, to close them.
    connections: BTreeMap<u64, [TcpStream; 2]>,
    count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Cut,
    Stall,
    /// Nothing passes in one direction.
    Mute(Side),
    Over,
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Proxy {
    /// A proxy before `server`, on a free port of the loopback interface.
    pub(crate) fn start(server: SocketAddr) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, server)
    }

    /// The same at an address of this host.
    pub(crate) fn start_at(address: Ipv4Addr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port for the proxy");
        let address = listener.local_addr().expect("the proxy's address");
        let state = State { mode: Mode::Pass, delay: Duration::ZERO, connections: BTreeMap::new(), count: 0 };
        let shared = Arc::new(Shared { server, state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.state().mode == Mode::Over {
                    return;
                }
                // A connection that fails here fails for the client: that is all it has to learn.
                let _ = client.and_then(|client| accepting.open(client));
            }
        });
        Self { address, shared }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection, and each new one at once, until [`heal`](Self::heal).
    pub(crate) fn cut(&self) {
        self.set(Mode::Cut);
        self.blip();
    }

    /// Closes every connection once; new ones pass.
    pub(crate) fn blip(&self) {
        for (_, sides) in std::mem::take(&mut self.shared.state().connections) {
            close(&sides);
        }
    }

    /// Keeps connections open, takes new ones, and passes nothing on, until [`heal`](Self::heal).
    pub(crate) fn stall(&self) {
        self.set(Mode::Stall);
    }

    /// Keeps connections open and passes nothing on of what this side says, until [`heal`](Self::heal).
    pub(crate) fn mute(&self, side: Side) {
        self.set(Mode::Mute(side));
    }

    /// Passes everything on again, what a stall held back too.
    pub(crate) fn heal(&self) {
        self.set(Mode::Pass);
    }

    /// Passes every piece on so much later, in both directions.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.state().delay = delay;
    }

    fn set(&self, mode: Mode) {
        self.shared.state().mode = mode;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Over);
        self.blip();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn open(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        if self.state().mode == Mode::Cut {
            return Ok(());
        }
        let server = TcpStream::connect(self.server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ways = [
            (Side::Client, client.try_clone()?, server.try_clone()?),
            (Side::Server, server.try_clone()?, client.try_clone()?),
        ];
        let sides = [client, server];
        let id = {
            let mut state = self.state();
            if state.mode == Mode::Cut {
                close(&sides);
                return Ok(());
            }
            state.count += 1;
            let id = state.count;
            state.connections.insert(id, sides);
            id
        };
        for (side, from, to) in ways {
            let shared = Arc::clone(self);
            thread::spawn(move || {
                let _ = shared.pass(side, &from, &to);
                close(&[from, to]);
                shared.state().connections.remove(&id);
            });
        }
        Ok(())
    }

    /// Passes on what comes until either side closes.
    #[expect(clippy::disallowed_methods, reason = "runs on a thread of its own")]
    fn pass(&self, side: Side, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            let length = from.read(&mut piece)?;
            if length == 0 {
                return Ok(());
            }
            let delay = {
                let passing = self
                    .changed
                    .wait_while(self.state(), |state| state.mode == Mode::Stall || state.mode == Mode::Mute(side));
                passing.unwrap_or_else(PoisonError::into_inner).delay
            };
            if !delay.is_zero() {
                thread::sleep(delay);
            }
            to.write_all(&piece[..length])?;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn close(sides: &[TcpStream; 2]) {
    for side in sides {
        // Fails where the other side was first.
        let _ = side.shutdown(Shutdown::Both);
    }
}
