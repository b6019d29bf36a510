//! The servers that SRV records name, looked up at each attempt to connect: a set that changes while a connection
//! stands counts from the next one on.
//!
//! The resolvers of /etc/resolv.conf are asked, read anew each time, and the targets are then looked up as names of
//! servers always are; or the one resolver that the connect string names, for the targets as well. Where resolvers do
//! not answer, the servers that were found last serve on.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use tokio::time::timeout;

use super::servers::ServerAddress;
use crate::registry::{Cause, Error};
use crate::zookeeper::dns_srv::SrvSource;

/// Time that a look-up may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// Time after which a resolver is asked once more.
const AGAIN: Duration = Duration::from_millis(1500);

/// The servers that were found last.
#[derive(Debug, Clone, Default)]
pub(super) struct SrvServers(Arc<Mutex<Vec<ServerAddress>>>);

impl SrvServers {
    /// The servers that are named now; `encrypted` says how they are spoken to.
    ///
    /// # Errors
    /// [`Error::NoServer`] where there are no records, or no answer, and none was found earlier.
    pub(super) async fn look_up(&self, source: &SrvSource<'_>, encrypted: bool) -> Result<Vec<ServerAddress>, Error> {
        let found = timeout(PATIENCE, ask(source, encrypted)).await;
        let failed = |cause, why: &str| {
            Err(Error::NoServer { cause, detail: format!("the servers' SRV records at {}: {why}", source.name).into() })
        };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(Ok(servers)) if servers.is_empty() => failed(Cause::UnknownName, "there are none"),
            Ok(Ok(servers)) => {
                last.clone_from(&servers);
                Ok(servers)
            }
            Ok(Err(error)) if error.is_nx_domain() => failed(Cause::UnknownName, "no such name"),
            Ok(Err(error)) if error.is_no_records_found() => failed(Cause::UnknownName, "there are none"),
            _ if !last.is_empty() => Ok(last.clone()),
            Ok(Err(error)) => failed(Cause::Other, &error.to_string()),
            Err(_) => failed(Cause::Silent, &format!("no answer within {PATIENCE:?}")),
        }
    }
}

async fn ask(source: &SrvSource<'_>, encrypted: bool) -> Result<Vec<ServerAddress>, NetError> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = match source.resolver {
        None => TokioResolver::builder(provider)?,
        Some(address) => {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            server.connections.iter_mut().for_each(|connection| connection.port = address.port());
            TokioResolver::builder_with_config(ResolverConfig::from_name_servers(vec![server]), provider)
        }
    };
    let options = builder.options_mut();
    (options.timeout, options.attempts, options.cache_size) = (AGAIN, 2, 0);
    let resolver = builder.build()?;
    // With the final dot no search list is gone through.
    let name = format!("{}.", source.name.trim_end_matches('.'));
    let found = resolver.srv_lookup(name).await?;
    let records = found.answers().iter().filter_map(|record| match &record.data {
        // RFC 2782: the root says that there is no such service.
        RData::SRV(srv) if !srv.target.is_root() && srv.port > 0 => Some((srv.priority, srv.port, srv.target.clone())),
        _ => None,
    });
    let servers = records.map(async |(priority, port, target)| {
        let mut addresses: Vec<IpAddr> = Vec::new();
        if source.resolver.is_some()
            && let Ok(found) = resolver.lookup_ip(target.clone()).await
        {
            addresses.extend(found.iter());
        }
        let host = target.to_ascii().trim_end_matches('.').to_owned();
        ServerAddress { host, port, encrypted, priority, addresses }
    });
    Ok(join_all(servers).await)
}
