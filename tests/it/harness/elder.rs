//! A ZooKeeper 3.5, as far as clients can tell. No archive of Debian's has one, so this stands before a newer server and
//! does to requests that 3.5 does not know what 3.5 does: it answers "unimplemented" and closes the connection
//! (`UnimplementedRequestProcessor`, the same in 3.4 and 3.5). Unlike 3.4 it knows `create2`, also in batches.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// multiRead, getEphemerals, getAllChildrenNumber, setWatches2, addWatch, whoAmI.
const UNKNOWN: [i32; 6] = [22, 103, 104, 105, 106, 107];
const UNIMPLEMENTED: i32 = -6;
/// `exists("/")`, which stands in for them, so that the answer comes in its turn.
const EXISTS: &[u8] = &[0, 0, 0, 3, 0, 0, 0, 1, b'/', 0];

/// Puts an old face on `server`, for as long as the process lives. Where clients connect.
pub(crate) fn before(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A connection that fails here fails for the client.
            let _ = open(client, server);
        }
    });
    address
}

fn open(client: TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let refused: Arc<Mutex<BTreeSet<i32>>> = Arc::default();
    let (mut to_server, mut from_client) = (server.try_clone()?, client.try_clone()?);
    let noting = Arc::clone(&refused);
    thread::spawn(move || {
        let _ = requests(&mut from_client, &mut to_server, &noting);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let (mut from_server, mut to_client) = (server, client);
        let _ = replies(&mut from_server, &mut to_client, &refused);
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn requests(from: &mut TcpStream, to: &mut TcpStream, refused: &Mutex<BTreeSet<i32>>) -> io::Result<()> {
    // The first asks for the session, and has no head.
    write(to, &read(from)?)?;
    loop {
        let mut request = read(from)?;
        if let (Some(xid), Some(kind)) = (number(&request, 0), number(&request, 4))
            && UNKNOWN.contains(&kind)
        {
            refused.lock().unwrap_or_else(PoisonError::into_inner).insert(xid);
            request.truncate(4);
            request.extend_from_slice(EXISTS);
        }
        write(to, &request)?;
    }
}

fn replies(from: &mut TcpStream, to: &mut TcpStream, refused: &Mutex<BTreeSet<i32>>) -> io::Result<()> {
    write(to, &read(from)?)?;
    loop {
        let mut reply = read(from)?;
        let is_refused = |xid: i32| refused.lock().unwrap_or_else(PoisonError::into_inner).contains(&xid);
        if number(&reply, 0).is_some_and(is_refused) {
            reply.truncate(12);
            reply.extend_from_slice(&UNIMPLEMENTED.to_be_bytes());
            return write(to, &reply);
        }
        write(to, &reply)?;
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
