//! Rules about providers: which are meant, and what becomes of them.

use super::url::ProviderUrl;
use super::values::{self, Standing, host, is_true};
use crate::model::{Host, Instance};

/// Host that is any.
pub(super) const ANY_HOST: &str = "0.0.0.0";
/// Value that is any.
const ANY: &str = "*";

/// A rule. What it does not say is as it was.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// The providers that are meant; of several, any. Empty for all.
    pub(super) addresses: Vec<Address>,
    /// Parameters that a provider must have.
    pub(super) conditions: Vec<(String, String)>,
    /// True if providers are disabled, false if they are enabled again.
    disabled: Option<bool>,
    /// Their weight.
    weight: Option<u16>,
    /// True if only what a provider does not say itself is taken.
    is_absent: bool,
    /// Order in which rules are followed: of two, the later has the last word.
    pub(super) order: (bool, String, i64),
}

/// Providers by host and port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// The host; none for any.
    host: Option<Host>,
    /// The port; none for any.
    port: Option<u16>,
}

impl Address {
    /// Reads `host`, `host:port`, `0.0.0.0`, `0.0.0.0:port` or `0.0.0.0:*`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (at, port) = match text.rsplit_once(':') {
            Some((at, ANY)) => (at, None),
            Some((at, port)) if host(text).is_none() => (at, Some(port.parse().ok().filter(|port| *port != 0)?)),
            _ => (text, None),
        };
        Some(Self { host: if at == ANY_HOST { None } else { Some(host(at)?) }, port })
    }

    fn is_of(&self, instance: &Instance) -> bool {
        let is_same = |host: &Host| match (host, &instance.endpoint.host) {
            (Host::Name(one), Host::Name(other)) => one.eq_ignore_ascii_case(other),
            (one, other) => one == other,
        };
        self.host.as_ref().is_none_or(is_same) && self.port.is_none_or(|port| port == instance.endpoint.port)
    }
}

impl Rule {
    /// A rule about the providers at these addresses that says nothing yet.
    pub(super) fn about(addresses: Vec<Address>) -> Self {
        Self { addresses, ..Self::default() }
    }

    /// Reads an override of the old kind, a URL; none where it is switched off, about consumers, or none at all.
    pub(super) fn of_url(url: &ProviderUrl) -> Option<Self> {
        let is_absent = match url.protocol.as_str() {
            "override" => false,
            "absent" => true,
            _ => return None,
        };
        if url.get("enabled").is_some_and(|enabled| !is_true(enabled)) {
            return None;
        }
        let is_any = url.host == ANY_HOST;
        // A host alone is a consumer's.
        let address = match (is_any, url.port()) {
            (true, port) => Address { host: None, port },
            (false, Some(port)) => Address { host: Some(host(&url.host)?), port: Some(port) },
            (false, None) => return None,
        };
        let mut rule = Self { is_absent, ..Self::about(vec![address]) };
        for (key, value) in &url.parameters {
            let is_condition = ["application", "group", "version"].contains(&key.as_str());
            if let Some(key) = key.strip_prefix('~').or_else(|| is_condition.then_some(key)) {
                rule.require(key, value);
            }
        }
        rule.order = (!is_any, url.host.clone(), url.get("priority").and_then(|text| text.parse().ok()).unwrap_or(0));
        rule.set(url.get("disabled"), url.get("weight"));
        rule.says_something().then_some(rule)
    }

    /// Has the rule be about providers with this value of a parameter.
    pub(super) fn require(&mut self, key: &str, value: &str) {
        if !value.is_empty() && value != ANY {
            self.conditions.push((key.to_owned(), value.to_owned()));
        }
    }

    /// Sets what becomes of the providers.
    pub(super) fn set(&mut self, disabled: Option<&str>, weight: Option<&str>) {
        self.disabled = disabled.map(is_true);
        self.weight = weight.and_then(values::weight);
    }

    /// Returns whether anything becomes of them.
    pub(super) fn says_something(&self) -> bool {
        self.disabled.is_some() || self.weight.is_some()
    }

    /// Follows the rule, if it is about this provider; `words` names it for people.
    pub(super) fn apply(
        &self,
        url: &ProviderUrl,
        instance: &Instance,
        standing: &mut Standing,
        words: &dyn Fn() -> String,
    ) {
        let is_meant = self.addresses.is_empty() || self.addresses.iter().any(|address| address.is_of(instance));
        let has = |(key, value): &(String, String)| url.get(key) == Some(value);
        if !is_meant || !self.conditions.iter().all(has) {
            return;
        }
        let is_said = |key: &str| self.is_absent && url.get(key).is_some();
        if let Some(weight) = self.weight.filter(|_| !is_said("weight")) {
            (standing.weight, standing.weight_by) = (Some(weight), Some(words()));
        }
        if let Some(is_disabled) = self.disabled.filter(|_| !is_said("disabled")) {
            (standing.is_disabled, standing.disabled_by) = (is_disabled, Some(words()));
        }
    }
}
