//! Other servers, as far as clients can tell: a front stands before a real ZooKeeper, and does to some requests what
//! servers do that do not know them. No archive of Debian's has a ZooKeeper 3.5, zetcd or `ClickHouse` Keeper.
//!
//! It may also lose events, as no server should.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Types of requests.
const MULTI_READ: i32 = 22;
const SET_WATCHES: i32 = 101;
const GET_EPHEMERALS: i32 = 103;
const GET_ALL_CHILDREN_NUMBER: i32 = 104;
const SET_WATCHES2: i32 = 105;
const ADD_WATCH: i32 = 106;
const WHO_AM_I: i32 = 107;

const UNIMPLEMENTED: i32 = -6;
/// `exists("/")`, which stands in for requests that are answered with an error, so that the answer comes in its turn.
const EXISTS: &[u8] = &[0, 0, 0, 3, 0, 0, 0, 1, b'/', 0];

/// What a server does with a request that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It answers "unimplemented" and closes the connection.
    AnswersAndCloses,
    /// It answers "unimplemented", and goes on.
    Answers,
    /// It closes the connection without a word.
    Closes,
}

/// A kind of server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Face {
    unknown: &'static [i32],
    manner: Manner,
}

impl Face {
    /// `ZooKeeper` as it is.
    pub(crate) const PLAIN: Self = Self { unknown: &[], manner: Manner::Answers };
    /// `ZooKeeper` 3.5 (`UnimplementedRequestProcessor`, the same in 3.4). Unlike 3.4 it knows `create2`, also in
    /// batches.
    pub(crate) const V3_5: Self = Self {
        unknown: &[MULTI_READ, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER, SET_WATCHES2, ADD_WATCH, WHO_AM_I],
        manner: Manner::AnswersAndCloses,
    };
    /// zetcd, which speaks the protocol of 3.4 and drops a connection on anything else.
    pub(crate) const ZETCD: Self = Self { manner: Manner::Closes, ..Self::V3_5 };
    /// The first `ClickHouse` Keepers: neither batches of reads nor persistent watches, nor watches set again.
    pub(crate) const FIRST_KEEPER: Self = Self {
        unknown: &[MULTI_READ, SET_WATCHES, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER, SET_WATCHES2, ADD_WATCH, WHO_AM_I],
        manner: Manner::Closes,
    };
    /// `ClickHouse` Keeper since 22.10: batches of reads, no persistent watches.
    pub(crate) const LATER_KEEPER: Self = Self {
        unknown: &[SET_WATCHES, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER, SET_WATCHES2, ADD_WATCH, WHO_AM_I],
        manner: Manner::Closes,
    };
    /// Persistent watches, no batches of reads.
    pub(crate) const WATCHES_ALONE: Self = Self { unknown: &[MULTI_READ], manner: Manner::Answers };
}

/// A front before a server, for as long as the process lives.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    face: Face,
    address: SocketAddr,
    /// Unknown requests that were made.
    asked: Arc<Mutex<Vec<i32>>>,
    /// Paths whose events are lost, and those that were.
    losing: Arc<Mutex<(BTreeSet<String>, Vec<String>)>>,
}

impl Front {
    /// Puts a face on `server`.
    pub(crate) fn before(server: SocketAddr, face: Face) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let front = Self { face, address, asked: Arc::default(), losing: Arc::default() };
        let kept = front.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection that fails here fails for the client.
                let _ = open(client, server, &front);
            }
        });
        kept
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The types of the unknown requests that clients have made, in order.
    pub(crate) fn asked(&self) -> Vec<i32> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loses the events of exactly these paths from now on.
    pub(crate) fn lose(&self, paths: &[&str]) {
        let mut losing = self.losing.lock().unwrap_or_else(PoisonError::into_inner);
        losing.0 = paths.iter().map(|path| (*path).to_owned()).collect();
    }

    /// The paths of events that were lost.
    pub(crate) fn lost(&self) -> Vec<String> {
        self.losing.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn loses(&self, reply: &[u8]) -> bool {
        let Some(path) = event(reply) else { return false };
        let mut losing = self.losing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lost = losing.0.contains(&path);
        losing.1.extend(is_lost.then_some(path));
        is_lost
    }
}

/// The path of a watch event; none for another frame.
fn event(frame: &[u8]) -> Option<String> {
    // xid -1, zxid, error; then type, state and path.
    if number(frame, 0)? != -1 {
        return None;
    }
    let length = usize::try_from(number(frame, 24)?).ok()?;
    Some(String::from_utf8_lossy(frame.get(28..28 + length)?).into_owned())
}

fn open(client: TcpStream, server: SocketAddr, front: &Front) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let refused: Arc<Mutex<BTreeSet<i32>>> = Arc::default();
    let (mut to_server, mut from_client) = (server.try_clone()?, client.try_clone()?);
    let (noting, asked, losing) = (Arc::clone(&refused), front.clone(), front.clone());
    thread::spawn(move || {
        let _ = requests(&mut from_client, &mut to_server, &asked, &noting);
        let _ = from_client.shutdown(Shutdown::Both);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let (mut from_server, mut to_client) = (server, client);
        let _ = replies(&mut from_server, &mut to_client, &losing, &refused);
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn requests(from: &mut TcpStream, to: &mut TcpStream, front: &Front, refused: &Mutex<BTreeSet<i32>>) -> io::Result<()> {
    // The first asks for the session, and has no head.
    write(to, &read(from)?)?;
    loop {
        let mut request = read(from)?;
        if let (Some(xid), Some(kind)) = (number(&request, 0), number(&request, 4))
            && front.face.unknown.contains(&kind)
        {
            front.asked.lock().unwrap_or_else(PoisonError::into_inner).push(kind);
            if front.face.manner == Manner::Closes {
                return Ok(());
            }
            refused.lock().unwrap_or_else(PoisonError::into_inner).insert(xid);
            request.truncate(4);
            request.extend_from_slice(EXISTS);
        }
        write(to, &request)?;
    }
}

fn replies(from: &mut TcpStream, to: &mut TcpStream, front: &Front, refused: &Mutex<BTreeSet<i32>>) -> io::Result<()> {
    write(to, &read(from)?)?;
    loop {
        let mut reply = read(from)?;
        let is_refused = |xid: i32| refused.lock().unwrap_or_else(PoisonError::into_inner).remove(&xid);
        if number(&reply, 0).is_some_and(is_refused) {
            reply.truncate(12);
            reply.extend_from_slice(&UNIMPLEMENTED.to_be_bytes());
            write(to, &reply)?;
            if front.face.manner == Manner::AnswersAndCloses {
                return Ok(());
            }
        } else if !front.loses(&reply) {
            write(to, &reply)?;
        }
    }
}

fn number(frame: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

/// A frame without its length.
fn read(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

fn write(to: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    to.write_all(&[&length.to_be_bytes(), frame].concat())
}
