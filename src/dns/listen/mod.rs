//! Sockets: bound all or none at the start, then served. UDP by threads of their own ([`udp`]), which take datagrams in
//! batches on Linux ([`batch`]) and one by one elsewhere ([`plain`]); TCP by threads with a runtime each ([`tcp`]);
//! what is not for the hot path goes through a bounded queue to threads of its own ([`slow`]). Those of a service
//! manager are taken as they are ([`passed`]).

mod accept;
#[cfg(target_os = "linux")]
mod batch;
mod connections;
mod datagrams;
pub mod https;
pub mod limits;
mod passed;
mod plain;
mod prefetch;
mod quic;
mod route;
mod slow;
mod stream;
mod tcp;
pub mod tls;
mod udp;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dns::Error;
use crate::dns::config::Config;
use crate::dns::forward::Forwarder;
use crate::dns::serve::Service;
use crate::dns::serve::gate::Gate;
use crate::dns::serve::metrics::Metrics;
use crate::dns::transport::Transport;
use crate::zone::Zones;
use accept::{Acceptor, Protocol};
pub use passed::Passed;
use slow::{Slow, Waiting};
use stream::StreamContext;
use tls::{Certificates, Handshakes};
use udp::Worker;

/// Room for bursts; the kernel caps it at `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Bound sockets, not yet answering.
#[derive(Debug, Default)]
pub struct Bound {
    /// For each address one socket a thread.
    udp: Vec<Vec<UdpSocket>>,
    /// The same for TCP.
    tcp: Vec<Vec<TcpListener>>,
    addresses: Vec<SocketAddr>,
    /// The same for each address of an encrypted transport.
    encrypted: Vec<(Transport, SocketAddr, Vec<TcpListener>)>,
    /// One socket for each address of DNS over QUIC.
    quic: Vec<(SocketAddr, UdpSocket)>,
    /// Path of DNS over HTTPS.
    path: Arc<str>,
    /// True if the sockets of plain DNS are the service manager's.
    is_passed: bool,
}

/// Bound sockets from the process image before this one, with the queries that wait in them.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Its UDP sockets, several an address.
    pub udp: Vec<UdpSocket>,
    /// Its TCP listeners, several an address.
    pub tcp: Vec<TcpListener>,
    /// Sockets of plain DNS that the service manager has passed: where there are any, they alone are used for it.
    pub passed: Passed,
}

impl Inherited {
    /// Takes out the listeners on `address`, of those that [`take`](Self::take) left.
    fn take_tcp(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        let is_meant = |local: SocketAddr| local == address || (address.port() == 0 && local.ip() == address.ip());
        let Some(real) =
            self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).find(|local| is_meant(*local))
        else {
            return Vec::new();
        };
        self.tcp.extract_if(.., |listener| listener.local_addr().is_ok_and(|local| local == real)).collect()
    }

    /// Takes out a socket on `address`, of those that [`take`](Self::take) left.
    fn take_udp(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        let is_meant = |local: SocketAddr| local == address || (address.port() == 0 && local.ip() == address.ip());
        let at = self.udp.iter().position(|socket| socket.local_addr().is_ok_and(is_meant))?;
        Some(self.udp.swap_remove(at))
    }

    /// Takes out those on `address`; where it has no port, those on any port of the same host address. None unless
    /// there are some of both kinds.
    fn take(&mut self, address: SocketAddr) -> Option<(SocketAddr, Vec<UdpSocket>, Vec<TcpListener>)> {
        let is_meant = |local: SocketAddr| local == address || (address.port() == 0 && local.ip() == address.ip());
        let real = self.udp.iter().filter_map(|socket| socket.local_addr().ok()).find(|local| is_meant(*local))?;
        let is_real = |local: std::io::Result<SocketAddr>| local.is_ok_and(|local| local == real);
        let udp: Vec<_> = self.udp.extract_if(.., |socket| is_real(socket.local_addr())).collect();
        let tcp: Vec<_> = self.tcp.extract_if(.., |listener| is_real(listener.local_addr())).collect();
        (!udp.is_empty() && !tcp.is_empty()).then_some((real, udp, tcp))
    }
}

/// Binds UDP and TCP on each address, as far as `inherited` has no sockets there; port 0 takes one that is free for
/// both.
///
/// # Errors
/// The first address that cannot be bound, with the system's reason.
pub fn bind(config: &Config, mut inherited: Inherited) -> Result<Bound, Error> {
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, Into::into),
        threads => threads,
    };
    let path = config.https.as_ref().map_or_else(Arc::default, |https| https.path.as_str().into());
    let mut bound = Bound { path, is_passed: !inherited.passed.is_empty(), ..Bound::default() };
    for (address, udp, tcp) in std::mem::take(&mut inherited.passed).prepare(threads)? {
        bound.addresses.push(address);
        bound.tcp.push(tcp);
        bound.udp.push(udp);
    }
    for &address in config.listen.iter().filter(|_| !bound.is_passed) {
        let (tcp, address, udp) = match inherited.take(address) {
            Some((real, udp, tcp)) => as_many((real, config.freebind), udp, tcp, threads)?,
            None => bind_pair(address, config.freebind, threads)?,
        };
        bound.addresses.push(address);
        bound.tcp.push(tcp);
        bound.udp.push(udp);
    }
    let encrypted = config.encrypted().flat_map(|(transport, tls)| tls.listen.iter().map(move |one| (transport, *one)));
    for (transport, address) in encrypted {
        if transport == Transport::Quic {
            bound.quic.push(bind_quic(address, config.freebind, &mut inherited)?);
            continue;
        }
        let failed = |source| Error::Bind { transport: transport.name(), address, source };
        let mut listeners = inherited.take_tcp(address);
        if let Some(listener) = listeners.first() {
            let real = listener.local_addr().map_err(failed)?;
            fill_up(&mut listeners, real, config.freebind, threads).map_err(failed)?;
        } else {
            let probe = tcp_socket(address, config.freebind, false).map_err(failed)?;
            let real = local_address(&probe).map_err(failed)?;
            listeners = tcp_listeners(probe, (real, config.freebind), threads).map_err(failed)?;
        }
        let real = listeners.first().and_then(|listener| listener.local_addr().ok());
        bound.encrypted.push((transport, real.unwrap_or(address), listeners));
    }
    Ok(bound)
}

/// One socket: the packets of a connection must come to the same.
fn bind_quic(address: SocketAddr, freebind: bool, inherited: &mut Inherited) -> Result<(SocketAddr, UdpSocket), Error> {
    let failed = |source| Error::Bind { transport: Transport::Quic.name(), address, source };
    let socket = match inherited.take_udp(address) {
        Some(socket) => socket,
        None => udp_socket(address, freebind, false).map_err(failed)?,
    };
    Ok((socket.local_addr().map_err(failed)?, socket))
}

/// As many sockets as threads, where there are those of another number of threads already.
fn as_many(
    (address, freebind): (SocketAddr, bool),
    mut udp: Vec<UdpSocket>,
    mut tcp: Vec<TcpListener>,
    threads: usize,
) -> Result<(Vec<TcpListener>, SocketAddr, Vec<UdpSocket>), Error> {
    let failed = |transport| move |source| Error::Bind { transport, address, source };
    udp.truncate(threads);
    while udp.len() < threads {
        udp.push(udp_socket(address, freebind, true).map_err(failed("UDP"))?);
    }
    fill_up(&mut tcp, address, freebind, threads).map_err(failed("TCP"))?;
    Ok((tcp, address, udp))
}

fn fill_up(
    listeners: &mut Vec<TcpListener>,
    address: SocketAddr,
    freebind: bool,
    threads: usize,
) -> std::io::Result<()> {
    // A socket that another process has bound may be for one alone: then it is shared.
    if cfg!(target_os = "linux")
        && let Some(first) = listeners.first()
        && !SockRef::from(first).reuse_port()?
    {
        listeners.first().map(|first| first.set_nonblocking(true)).transpose()?;
        return passed::fill_up(listeners, threads, TcpListener::try_clone);
    }
    listeners.truncate(threads);
    while listeners.len() < threads {
        let socket = tcp_socket(address, freebind, true)?;
        socket.listen(1024)?;
        listeners.push(socket.into());
    }
    Ok(())
}

/// TCP first: a port that it gets is nearly always free for UDP, too.
fn bind_pair(
    address: SocketAddr,
    freebind: bool,
    threads: usize,
) -> Result<(Vec<TcpListener>, SocketAddr, Vec<UdpSocket>), Error> {
    let mut attempts = if address.port() == 0 { 16 } else { 1 };
    loop {
        attempts -= 1;
        let failed = |transport| move |source| Error::Bind { transport, address, source };
        // It keeps the port until every socket has it.
        let probe = tcp_socket(address, freebind, false).map_err(failed("TCP"))?;
        let real = local_address(&probe).map_err(failed("TCP"))?;
        let udp = match udp_sockets(real, freebind, threads) {
            Ok(udp) => udp,
            Err(_) if attempts > 0 => continue,
            Err(source) => return Err(failed("UDP")(source)),
        };
        return Ok((tcp_listeners(probe, (real, freebind), threads).map_err(failed("TCP"))?, real, udp));
    }
}

/// As many sockets as threads on one address; Linux shares the clients out among them (`SO_REUSEPORT`). Elsewhere that
/// option means other things, and the threads have one socket.
fn udp_sockets(address: SocketAddr, freebind: bool, threads: usize) -> std::io::Result<Vec<UdpSocket>> {
    if !cfg!(target_os = "linux") {
        let socket = udp_socket(address, freebind, false)?;
        return (0..threads).map(|_| socket.try_clone()).collect();
    }
    // Sharing is for our own threads: another process on the port is an error, and only a socket that does not want to
    // share finds out.
    drop(udp_socket(address, freebind, false)?);
    (0..threads).map(|_| udp_socket(address, freebind, true)).collect()
}

fn udp_socket(address: SocketAddr, freebind: bool, is_shared: bool) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(socket2::Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Smaller is not fatal.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_read_timeout(Some(udp::POLL))?;
    #[cfg(target_os = "linux")]
    if is_shared {
        socket.set_reuse_port(true)?;
        if address.is_ipv4() {
            // Where it cannot be had, responses are short enough all the same.
            let _ = batch::never_fragment(&socket);
        }
        if address.ip().is_unspecified() {
            batch::want_destination(&socket, address.is_ipv4())?;
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = is_shared;
    if freebind {
        allow_absent(&socket, address);
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// As many listeners as threads, on the address that `probe` has.
fn tcp_listeners(
    probe: Socket,
    (address, freebind): (SocketAddr, bool),
    threads: usize,
) -> std::io::Result<Vec<TcpListener>> {
    let listen = |socket: Socket| {
        socket.listen(1024)?;
        Ok(TcpListener::from(socket))
    };
    if !cfg!(target_os = "linux") {
        let listener = listen(probe)?;
        return (0..threads).map(|_| listener.try_clone()).collect();
    }
    // All are bound before any listens: then the one that keeps the address is in nobody's way.
    let sockets = (0..threads).map(|_| tcp_socket(address, freebind, true)).collect::<std::io::Result<Vec<_>>>()?;
    drop(probe);
    sockets.into_iter().map(listen).collect()
}

/// Lets a socket be bound to an address that no interface has yet. Where that cannot be had, such an address is an
/// error.
#[cfg(target_os = "linux")]
fn allow_absent(socket: &Socket, address: SocketAddr) {
    let _ = if address.is_ipv4() { socket.set_freebind_v4(true) } else { socket.set_freebind_v6(true) };
}

#[cfg(not(target_os = "linux"))]
fn allow_absent(_: &Socket, _: SocketAddr) {}

fn local_address(socket: &Socket) -> std::io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| std::io::ErrorKind::Unsupported.into())
}

fn tcp_socket(address: SocketAddr, freebind: bool, is_shared: bool) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(socket2::Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a process before this one may still linger.
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(is_shared)?;
    #[cfg(not(target_os = "linux"))]
    let _ = is_shared;
    socket.set_nonblocking(true)?;
    if freebind {
        allow_absent(&socket, address);
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

impl Bound {
    /// The addresses bound, with their real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses bound for encrypted transports, with their real ports.
    pub fn encrypted(&self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        let quic = self.quic.iter().map(|(address, _)| (Transport::Quic, *address));
        self.encrypted.iter().map(|(transport, address, _)| (*transport, *address)).chain(quic)
    }

    /// The same sockets again.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let udp = self.udp.iter().map(|sockets| sockets.iter().map(UdpSocket::try_clone).collect());
        let again = |listeners: &Vec<TcpListener>| -> std::io::Result<Vec<TcpListener>> {
            listeners.iter().map(TcpListener::try_clone).collect()
        };
        let encrypted = self.encrypted.iter().map(|(transport, address, all)| Ok((*transport, *address, again(all)?)));
        let quic = self.quic.iter().map(|(address, socket)| Ok((*address, socket.try_clone()?)));
        Ok(Self {
            udp: udp.collect::<std::io::Result<_>>()?,
            tcp: self.tcp.iter().map(again).collect::<std::io::Result<_>>()?,
            addresses: self.addresses.clone(),
            encrypted: encrypted.collect::<std::io::Result<_>>()?,
            quic: quic.collect::<std::io::Result<_>>()?,
            path: Arc::clone(&self.path),
            is_passed: self.is_passed,
        })
    }

    /// The sockets that this process has bound, for the next process image.
    pub fn sockets(&self) -> (impl Iterator<Item = &UdpSocket>, impl Iterator<Item = &TcpListener>) {
        let encrypted = self.encrypted.iter().flat_map(|(_, _, listeners)| listeners);
        let (udp, tcp) = (self.udp.iter().flatten(), self.tcp.iter().flatten());
        let udp = udp.filter(|_| !self.is_passed).chain(self.quic.iter().map(|(_, socket)| socket));
        (udp, tcp.filter(|_| !self.is_passed).chain(encrypted))
    }

    /// The sockets that the service manager has passed, each once, for the next process image.
    pub fn passed(&self) -> (Vec<&UdpSocket>, Vec<&TcpListener>) {
        let udp = passed::distinct(self.udp.iter().flatten().filter(|_| self.is_passed));
        (udp, passed::distinct(self.tcp.iter().flatten().filter(|_| self.is_passed)))
    }

    /// Answers from `zones`, behind `front`, until `stop`; what is outside the zones is the forwarder's.
    ///
    /// # Errors
    /// When a socket fails for good.
    pub async fn run(
        self,
        zones: Zones,
        front: Arc<Gate>,
        forwarder: Option<Arc<Forwarder>>,
        metrics: Arc<Metrics>,
        certificates: Certificates,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        // Threads that are left behind by an error stop with this.
        let stop = stop.child_token();
        let _stopper = stop.clone().drop_guard();
        let (slow, waiting) = Waiting::queue();
        let (ended, mut ends) = mpsc::channel(1);
        let mut threads = 0;
        for socket in self.udp.into_iter().flatten() {
            let (zones, slow, metrics) = (zones.clone(), slow.clone(), Arc::clone(&metrics));
            let (socket, front) = (Arc::new(socket), Arc::clone(&front));
            // A token of its own: threads that look at one would take it from each other.
            let stop = stop.child_token();
            let worker = Worker { socket, zones, front, slow, metrics, stop };
            on_a_thread("udp", ("UDP", ended.clone()), move || worker.run())?;
            threads += 1;
        }
        let mut tasks = JoinSet::new();
        let service = |counters| Service::new(zones.clone(), Arc::clone(&front), counters, forwarder.clone());
        if let Some(forwarder) = forwarder.clone() {
            let stop = stop.clone();
            tasks.spawn(async move { forwarder.follow(stop).await });
        }
        // They end when the last of the UDP threads has ended.
        drop(slow);
        for _ in 0..threads {
            let slow = Slow {
                service: service(metrics.counters(Transport::Udp)),
                waiting: waiting.clone(),
                later: Handle::current(),
                stop: stop.child_token(),
            };
            on_a_thread("slow", ("UDP", ended.clone()), move || slow.run())?;
        }
        threads *= 2;
        let open = connections::Open::new();
        for certificate in certificates.iter() {
            tasks.spawn(Arc::clone(certificate).follow(stop.clone()));
        }
        let mut listeners: Vec<(Transport, Protocol, Vec<TcpListener>)> =
            self.tcp.into_iter().map(|listeners| (Transport::Tcp, Protocol::Tcp, listeners)).collect();
        for (transport, _, sockets) in self.encrypted {
            // Without a certificate, which the configuration must name, nobody could shake hands.
            let Some(certificate) = certificates.get(transport) else { continue };
            let handshakes = Handshakes::new(transport, certificate);
            let handshakes = handshakes.map_err(|source| Error::Serve { transport: transport.name(), source })?;
            let protocol = match transport {
                Transport::Https => Protocol::Https(handshakes, Arc::clone(&self.path)),
                _ => Protocol::Tls(handshakes),
            };
            listeners.push((transport, protocol, sockets));
        }
        let listeners = listeners.into_iter().flat_map(|(transport, protocol, sockets)| {
            sockets.into_iter().map(move |listener| (transport, protocol.clone(), listener))
        });
        for (transport, protocol, listener) in listeners {
            let counters = metrics.counters(transport);
            let shared = StreamContext {
                service: service(Arc::clone(&counters)),
                front: Arc::clone(&front),
                zones: zones.clone(),
                counters,
                open: Arc::clone(&open),
                transport,
            };
            let acceptor = Acceptor { shared: Arc::new(shared), protocol };
            let stop = stop.child_token();
            on_a_thread(transport.label(), (transport.name(), ended.clone()), move || acceptor.run(listener, &stop))?;
            threads += 1;
        }
        for (_, socket) in self.quic {
            let Some(certificate) = certificates.get(Transport::Quic) else { continue };
            let (service, idle) = (service(metrics.counters(Transport::Quic)), front.policy().tcp.idle);
            let (listener, stop) = (quic::Listener { socket, certificate, service, idle }, stop.child_token());
            on_a_thread("quic", (Transport::Quic.name(), ended.clone()), move || listener.run(&stop))?;
            threads += 1;
        }
        while threads > 0 {
            let Some((transport, outcome)) = ends.recv().await else { break };
            threads -= 1;
            outcome.map_err(|source| Error::Serve { transport, source })?;
            if !stop.is_cancelled() {
                let source = std::io::Error::other("a thread ended unasked");
                return Err(Error::Serve { transport, source });
            }
        }
        Ok(())
    }
}

/// End of a thread, and what it served.
type Ended = (&'static str, std::io::Result<()>);

/// Serves on a thread of its own, called `dns-NAME`, whose end, be it a panic, comes through `ended`.
fn on_a_thread(
    name: &'static str,
    (transport, ended): (&'static str, mpsc::Sender<Ended>),
    serve: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    let thread = std::thread::Builder::new().name(format!("dns-{name}"));
    let run = move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(serve));
        let outcome = outcome.unwrap_or_else(|_| Err(std::io::Error::other("its thread panicked")));
        // Nobody listens any more at the very end.
        let _ = ended.blocking_send((transport, outcome));
    };
    thread.spawn(run).map_err(|source| Error::Serve { transport, source })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn an_address_that_no_interface_has_yet_is_listened_on_with_freebind_only() {
        for address in ["192.0.2.77:0", "[2001:db8::77]:0"] {
            let config = |freebind| Config { listen: vec![address.parse().unwrap()], freebind, ..Config::default() };
            let bound = bind(&config(true), Inherited::default()).unwrap();
            assert_eq!(bound.addresses()[0].ip(), address.parse::<SocketAddr>().unwrap().ip());
            assert!(bind(&config(false), Inherited::default()).is_err(), "{address}");
        }
    }
}
