//! Overrides of what providers say of themselves: URLs in `<interface>/configurators`, which old administrators' tools
//! write, and YAML in `config/dubbo/<application or interface>.configurators`, which newer ones do.
//!
//! Source: `AbstractConfigurator.java` and `ConfigParser.java` of Dubbo 3.3. An item of YAML is about a side: without
//! `side` Dubbo follows it on neither. With `provider`, `addresses` are providers; with `consumer` they are consumers,
//! so that only what is about all of those is followed here. Items with `match` are conditions on requests, and are
//! skipped.

use std::collections::BTreeMap;

use super::rules::{ANY_HOST, Address, Rule};
use super::url::ProviderUrl;
use super::values::{Standing, is_true};
use super::yaml::Yaml;
use crate::format::placement::{Beside, Decoded};

/// Name of the znode that holds an interface's overrides.
pub(super) const DIRECTORY: &str = "configurators";
/// End of the names of znodes that hold YAML about an application or an interface.
pub(super) const SUFFIX: &str = ".configurators";
/// Path below the root of the znode that holds those.
const CONFIG: &str = "config/dubbo";
/// Value that is any.
const ANY: &str = "*";

/// Follows all that is said about the providers of an interface: URLs, then what is said of applications, then of the
/// interface. What cannot be read is told of the first provider that it may be about.
pub(super) fn apply(interface: &str, instances: &mut [Decoded<'_>], beside: &dyn Beside) {
    let mut old = Vec::new();
    let mut bad = Vec::new();
    for name in beside.children(&format!("{interface}/{DIRECTORY}")) {
        match ProviderUrl::read(name) {
            Ok(url) => old.extend(Rule::of_url(&url)),
            Err(error) => bad.push(format!("{interface}/{DIRECTORY} holds an override that is not followed: {error}")),
        }
    }
    old.sort_by(|one, other| one.order.cmp(&other.order));
    if let Some(first) = instances.first_mut() {
        first.instance.remarks.append(&mut bad);
    }
    let mut read: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    for Decoded { below, instance, .. } in instances {
        let name = below.rsplit('/').next().unwrap_or_default();
        let Ok(url) = ProviderUrl::read(name) else { continue };
        let (is_disabled, weight) = (url.is_disabled(), instance.weight);
        let mut standing = Standing { is_disabled, weight, disabled_by: None, weight_by: None };
        for rule in &old {
            rule.apply(&url, instance, &mut standing, &|| format!("an override in {interface}/{DIRECTORY}"));
        }
        for key in keys(interface, &url) {
            let path = format!("{CONFIG}/{key}{SUFFIX}");
            let rules = read.entry(key).or_insert_with_key(|key| {
                let Some(data) = beside.data(&path) else { return Vec::new() };
                match Yaml::read(data) {
                    Ok(yaml) => rules(&yaml, interface, key),
                    Err(why) => {
                        instance.remarks.push(format!("{path} is not followed: {why}"));
                        Vec::new()
                    }
                }
            });
            for rule in rules.iter() {
                rule.apply(&url, instance, &mut standing, &|| format!("the configurator {path}"));
            }
        }
        standing.give(instance);
    }
}

/// Keys under which YAML about a provider may be: its application's and, in the forms of old and new tools, its
/// interface's with version and group.
fn keys(interface: &str, url: &ProviderUrl) -> Vec<String> {
    let mut keys: Vec<String> = url.get("application").map(str::to_owned).into_iter().collect();
    let (version, group) = (url.get("version").unwrap_or_default(), url.get("group").unwrap_or_default());
    keys.push(interface.to_owned());
    for (version, group) in [("", ""), (version, ""), ("", group), (version, group)] {
        keys.push(format!("{interface}:{version}:{group}"));
        if !version.is_empty() && group.is_empty() {
            keys.push(format!("{interface}:{version}"));
        }
        if !group.is_empty() {
            let version = if version.is_empty() { String::new() } else { format!(":{version}") };
            keys.push(format!("{group}*{interface}{version}"));
        }
    }
    keys.sort_unstable_by_key(|key| (key.starts_with(interface) || key.contains('*'), key.clone()));
    keys.dedup();
    keys.retain(|key| !key.contains('/'));
    keys
}

/// The rules of a document about `key`.
fn rules(document: &Yaml, interface: &str, key: &str) -> Vec<Rule> {
    let is_off = |yaml: &Yaml| yaml.text("enabled").is_some_and(|enabled| !is_true(enabled));
    let is_of_application = document.text("scope") == Some("application");
    let mut rules = Vec::new();
    for item in document.list("configs") {
        let is_general = item.text("type").is_none_or(|kind| kind == "general");
        if is_off(if is_general { document } else { item }) || item.get("match").is_some() {
            continue;
        }
        let (addresses, providers) = (item.texts("addresses"), item.texts("providerAddresses"));
        let (applications, services) = (item.texts("applications"), item.texts("services"));
        let meant = match item.text("side") {
            Some("provider") if providers.is_empty() => addresses,
            Some("provider") => providers,
            // Whoever is of this application, or runs there, sees others than everybody does.
            Some("consumer") if is_of_application || !applications.is_empty() => continue,
            Some("consumer") if addresses.iter().all(|address| address.starts_with(ANY_HOST)) => providers,
            _ => continue,
        };
        let is_about = |service: &&str| *service == ANY || is_service(service, interface);
        if is_of_application && !services.is_empty() && !services.iter().any(is_about) {
            continue;
        }
        let of_applications = match (is_of_application, &*applications) {
            (true, _) => vec![key],
            (false, []) => vec![ANY],
            (false, _) => applications,
        };
        let parameters = item.get("parameters");
        let of = |key| parameters.and_then(|parameters| parameters.text(key));
        for application in of_applications {
            let addresses = meant.iter().filter_map(|one| Address::read(one)).collect();
            let mut rule = Rule::about(addresses);
            rule.require("application", application);
            rule.set(of("disabled"), of("weight"));
            // Of addresses that are all unreadable nobody is meant, not everybody.
            if rule.says_something() && (meant.is_empty() || !rule.addresses.is_empty()) {
                rules.push(rule);
            }
        }
    }
    rules
}

/// Returns whether `group/interface:version` is about an interface.
fn is_service(service: &str, interface: &str) -> bool {
    let service = service.split_once('/').map_or(service, |(_, rest)| rest);
    service.split(':').next() == Some(interface)
}
