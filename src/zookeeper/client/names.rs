//! Look-ups of the servers' names: at each attempt anew, each bounded in time, and one at a time for a name, so that a
//! silent resolver costs one waiting thread a name, however long it is silent.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::registry::Cause;

/// Time that an attempt waits for a look-up; then it goes by what was found last.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Outcome of a look-up.
type Resolution = Option<Result<Vec<IpAddr>, String>>;

/// The names of an ensemble's servers.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerNames(Arc<Mutex<HashMap<String, Name>>>);

#[derive(Debug, Default)]
struct Name {
    /// The look-up under way.
    running: Option<watch::Receiver<Resolution>>,
    /// The addresses it had last.
    last: Vec<IpAddr>,
}

impl ServerNames {
    /// The addresses of `host`: those of now, or, where the resolver does not say, those it said last.
    ///
    /// # Errors
    /// [`Cause::UnknownName`], [`Cause::Silent`] or [`Cause::Other`], and what was wrong, for a person.
    pub(super) async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, (Cause, String)> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let mut running = self.start(host).map_err(|why| (Cause::Other, why))?;
        let found = match timeout(LOOKUP_TIMEOUT, running.wait_for(Option::is_some)).await {
            Ok(Ok(found)) => found.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = names.entry(host.to_owned()).or_default();
        let failed = match found {
            Some(Ok(addresses)) if !addresses.is_empty() => {
                name.last.clone_from(&addresses);
                return Ok(addresses);
            }
            Some(Ok(_)) => (Cause::UnknownName, "the name has no address".to_owned()),
            Some(Err(why)) => (Cause::UnknownName, format!("the name cannot be resolved: {why}")),
            None => (Cause::Silent, format!("the name cannot be resolved: no answer within {LOOKUP_TIMEOUT:?}")),
        };
        if name.last.is_empty() { Err(failed) } else { Ok(name.last.clone()) }
    }

    /// The look-up of `host` that is under way, or a new one.
    fn start(&self, host: &str) -> Result<watch::Receiver<Resolution>, String> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = names.entry(host.to_owned()).or_default();
        if let Some(running) = name.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return Ok(running.clone());
        }
        let (done, running) = watch::channel(None);
        let asked = host.to_owned();
        // A thread of its own: getaddrinfo blocks, and what it takes away from is nobody else's.
        let look_up = move || {
            let found = (asked.as_str(), 0).to_socket_addrs();
            let found = found.map(|found| found.map(|address| address.ip()).collect()).map_err(|why| why.to_string());
            done.send_replace(Some(found));
        };
        let started = std::thread::Builder::new().name("zookeeper-names".into()).spawn(look_up);
        started.map_err(|error| format!("the name cannot be resolved: there is no thread for it: {error}"))?;
        name.running = Some(running.clone());
        Ok(running)
    }
}
