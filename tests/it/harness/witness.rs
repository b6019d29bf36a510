//! A client that asks all the while for services that are well, and keeps which of them were denied.

#![allow(clippy::disallowed_methods)] // on a thread of its own

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// The time between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(40);
/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_millis(200);

/// The client, on a thread of its own.
pub(crate) struct Witness {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Denied>>,
}

/// A service that was answered for without an address: when, which, and the code of the response.
pub(crate) type Denied = (Duration, &'static str, u8);

impl Witness {
    /// Begins to ask for the addresses of these services.
    pub(crate) fn start(server: SocketAddr, names: Vec<&'static str>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let (begun, mut denied) = (Instant::now(), Vec::new());
            while !is_over.load(Ordering::SeqCst) {
                for name in &names {
                    if let Some(code) = ask(server, name) {
                        denied.push((begun.elapsed(), *name, code));
                    }
                }
                sleep(PAUSE);
            }
            denied
        });
        Self { over, thread }
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Vec<Denied> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().expect("no panic")
    }
}

/// Asks for the addresses of a service; gives the code of a response that denies them.
fn ask(server: SocketAddr, name: &str) -> Option<u8> {
    const SERVFAIL: u8 = 2;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(LIMIT)).expect("a socket");
    let mut query = vec![0x2a, 0x2a, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [name, "service"] {
        query.push(u8::try_from(label.len()).expect("a label"));
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    // None of these is an answer: nobody listens, or it is late.
    socket.send(&query).ok()?;
    let mut response = [0; 512];
    let length = socket.recv(&mut response).ok()?;
    let is_response = length > 12 && response[2] & 0x80 != 0;
    let (code, answers) = (response[3] & 15, u16::from_be_bytes([response[6], response[7]]));
    (is_response && code != SERVFAIL && answers == 0).then_some(code)
}
