//! The Unix socket of the admin server, for commands of this host: its place, and listening on it.
//!
//! A server whose configuration names no socket makes one in the runtime directory, named after the address that it
//! listens on, so that several servers of one host have several. Commands know the address from the same configuration
//! and look for the socket in the same directories.

use std::env;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use tracing::{debug, warn};

use super::config::Config;

/// Runtime directory of a service, as the template's unit has it.
const SYSTEM: &str = "/run/zonekeeper";

/// The socket of a server of `config`: the one that the configuration names, or one in the first runtime directory in
/// which it can be made. None where it cannot be listened on: the server goes on without it.
pub fn listen(config: &Config) -> Option<UnixListener> {
    if let Some(path) = &config.socket {
        let failed = |error| {
            let path = path.display();
            warn!(%path, %error, "[admin] socket: cannot listen on it; commands use the address");
        };
        return bind(path).map_err(failed).ok();
    }
    let name = file_name(config.listen)?;
    directories(|name| env::var_os(name)).into_iter().find_map(|directory| {
        let path = directory.join(&name);
        // Nobody has asked for this one: what hinders it is no trouble.
        let failed = |error| debug!(path = %path.display(), %error, "no admin socket here");
        let listener = std::fs::create_dir_all(&directory).and_then(|()| bind(&path)).map_err(failed).ok()?;
        debug!(path = %path.display(), "admin socket");
        Some(listener)
    })
}

/// Sockets at which a server of `config` may listen, the most likely first.
pub fn candidates(config: &Config) -> Vec<PathBuf> {
    if let Some(path) = &config.socket {
        return vec![path.clone()];
    }
    let Some(name) = file_name(config.listen) else { return Vec::new() };
    // A command may run in another environment than the service.
    let mut directories = directories(|name| env::var_os(name));
    if !directories.iter().any(|one| one == Path::new(SYSTEM)) {
        directories.push(SYSTEM.into());
    }
    directories.into_iter().map(|directory| directory.join(&name)).collect()
}

/// Name of the socket of a server at `address`; none where the system chooses the port, as no command would find it.
fn file_name(address: SocketAddr) -> Option<String> {
    match address {
        _ if address.port() == 0 => None,
        _ if address == Config::default().listen => Some("admin.sock".to_owned()),
        _ => Some(format!("admin-{address}.sock")),
    }
}

/// Directories for the sockets of services of this user, the best first: systemd's for this service alone, or that of
/// the session, then the system's.
fn directories(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    // Several are separated by colons (systemd.exec(5)).
    let own = variable("RUNTIME_DIRECTORY").and_then(|list| env::split_paths(&list).find(absolute));
    if let Some(own) = own {
        return vec![own];
    }
    let session = variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(absolute);
    session.map(|directory| directory.join("zonekeeper")).into_iter().chain([SYSTEM.into()]).collect()
}

/// Listens on the socket at `path`, which its user and group may open. One that a process before this one has left is
/// replaced.
///
/// # Errors
/// The reason for which it cannot be listened on: another process does, for one.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixStream::connect(path) {
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Vec<String> {
        let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        directories(value).iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_service_uses_its_own_directory_and_a_user_that_of_the_session() {
        assert_eq!(of(&[]), ["/run/zonekeeper"]);
        let session = ("XDG_RUNTIME_DIR", "/run/user/1000");
        assert_eq!(of(&[session]), ["/run/user/1000/zonekeeper", "/run/zonekeeper"]);
        assert_eq!(of(&[session, ("RUNTIME_DIRECTORY", "/run/dns:/run/other")]), ["/run/dns"]);
        for odd in ["", "relative"] {
            assert_eq!(of(&[("RUNTIME_DIRECTORY", odd), ("XDG_RUNTIME_DIR", odd)]), ["/run/zonekeeper"]);
        }
    }

    #[test]
    fn servers_of_one_host_have_sockets_of_their_own() {
        let name = |address: &str| file_name(address.parse().unwrap());
        assert_eq!(name("127.0.0.1:5380").as_deref(), Some("admin.sock"));
        assert_eq!(name("[::1]:5380").as_deref(), Some("admin-[::1]:5380.sock"));
        assert_eq!(name("127.0.0.1:5381").as_deref(), Some("admin-127.0.0.1:5381.sock"));
        assert_eq!(name("127.0.0.1:0"), None);
    }
}
