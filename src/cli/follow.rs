//! Asks again and again for the instances of a service that DNS gives, for `watch` and `wait`.

use std::time::Duration;

use serde::Deserialize;

use super::ask::{AdminServer, Refused};

/// Time that a server may take longer than it was asked to wait.
const SLACK: Duration = Duration::from_secs(10);

/// The instances of a service that DNS gives now.
#[derive(Debug, Deserialize)]
pub(super) struct Given {
    pub(super) index: u64,
    pub(super) instances: Vec<GivenInstance>,
    /// The largest time to live that any was given with, in seconds.
    pub(super) ttl: u32,
    /// Seconds since one went, if one is known to have gone.
    pub(super) gone_s: Option<f64>,
}

/// An instance that DNS gives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct GivenInstance {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) weight: u16,
    pub(super) priority: u16,
}

/// Asks what DNS gives of `name`, after an event later than `index`, or `wait` at the latest.
///
/// # Errors
/// Also where that is not known, as the registry is not.
pub(super) fn ask(
    server: &AdminServer,
    name: &str,
    instance: Option<&str>,
    index: Option<u64>,
    wait: Duration,
) -> anyhow::Result<Given> {
    let (number, seconds) = (index.unwrap_or_default().to_string(), format!("{}ms", wait.as_millis()));
    let mut parameters = vec![("name", name)];
    parameters.extend(instance.map(|instance| ("instance", instance)));
    if index.is_some() {
        parameters.extend([("index", number.as_str()), ("wait", &seconds)]);
    }
    let answer = server.get_within("/v1/instances", &parameters, wait + SLACK)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Returns whether an error will not pass: the question itself is wrong.
pub(super) fn is_final(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| (400..500).contains(&refused.status))
}
