//! A configuration that was read again, taken by a running server.

use std::fmt::Write as _;

use anyhow::anyhow;
use futures_util::future::join_all;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::descriptors::bound;
use super::files::FIRST_READING;
use super::registry::wishes;
use super::{App, zone_of};
use crate::admin::control;
use crate::config::Config;
use crate::disk;
use crate::registry::ReaderName;

impl App {
    /// Re-reads the zone files, one that has become wrong leaving what was read before in force, and takes a
    /// configuration that was read again. Zone files that take long are waited for a while, or until `stop`, and taken
    /// when they come.
    pub(super) async fn reload(&mut self, config: Option<Config>, stop: &CancellationToken) -> control::Outcome {
        let taken = match config {
            Some(config) => self.take(config),
            None => Ok(String::new()),
        };
        // Each by itself: one that hangs holds up no other.
        let files = self.zone_files.iter().map(|(_, file)| file.clone());
        let reading = join_all(files.map(|file| disk::aside(move || file.reload())));
        tokio::select! {
            () = stop.cancelled() => {}
            read = timeout(FIRST_READING, reading) => {
                if read.is_err() {
                    warn!("not every zone file is read yet; those that are late are taken when they have been read");
                }
            }
        }
        taken
    }

    /// From now on holds what `config` says of DNS and of services. Services that it has like the present one are not
    /// touched.
    fn take(&mut self, mut config: Config) -> control::Outcome {
        bound(&mut config, self.tcp);
        let mut taken = String::new();
        // Whether there is DNS at all is decided at the start.
        let dns = self.server.as_ref().zip(config.dns_settings());
        if let Some(Err(error)) = dns.map(|(server, settings)| server.take(settings)) {
            let error = format!("{:#}", anyhow!(error));
            warn!(error, "the configuration is not taken, the one before stays in force");
            if let Some(control) = &self.control {
                control.rejected(&error);
            }
            return Err(format!("the configuration is not taken, the one before stays in force: {error}"));
        }
        if dns.is_some() {
            zone_of::take(&self.zones, &config, self.config.serial_file().is_some());
        }
        for moved in self.config.announce.moves_to(&config.announce) {
            let (name, port) = (&*moved.from.name.value, moved.from.port);
            let file = moved.to.unwrap_or(moved.from).file.display();
            let why = if moved.to.is_some() { format!(": {moved}") } else { String::new() };
            if moved.to.is_some() {
                warn!(service = name, port, %file, "the service is registered elsewhere: {moved}");
            } else {
                warn!(service = name, port, %file, "the service has left the configuration and is being withdrawn");
            }
            let _ = writeln!(taken, "withdrawn: {name}, port {port}, of {}{why}", moved.from.file.display());
        }
        for service in config.announce.moves_to(&self.config.announce).iter().map(|come| come.from) {
            let (name, port, file) = (&*service.name.value, service.port, service.file.display());
            let _ = writeln!(taken, "added: {name}, port {port}, of {file}");
        }
        for service in config.announce.changed_since(&self.config.announce) {
            let _ = writeln!(taken, "changed: {}, port {}", service.name.value, service.port);
        }
        // The readers are those of the start. What they have of the new configuration is what it says of theirs.
        let readers: Vec<_> = self.config.readers().collect();
        let of = |name: &ReaderName| readers.iter().find(|reader| reader.name == *name);
        for (name, services) in &self.services {
            let wanted = of(name).map(|reader| config.services_of_reader(reader)).unwrap_or_default();
            if let Err(error) = services.set(wanted) {
                warn!(registry = %name, %error, "the services stay as they are");
                let _ = writeln!(taken, "not taken: the services of registry {name}: {error}");
            }
        }
        for (name, publisher) in &self.publishers {
            let registry = config.registries.iter().find(|registry| registry.name == name.registry);
            if let Some((reader, registry)) = of(name).zip(registry) {
                let mut reader = reader.clone();
                reader.registry.linger = registry.linger;
                publisher.take(wishes(&config, &reader));
            }
        }
        for (name, period) in &self.verifications {
            if let Some(registry) = config.registries.iter().find(|registry| registry.name == name.registry) {
                period.send_if_modified(|period| std::mem::replace(period, registry.zookeeper.verify) != *period);
            }
        }
        if let Some(files) = &self.instance_files {
            files.take(&config.files);
        }
        let pending = self.config.fixed_differences(&config);
        self.take_http(config.admin.as_ref());
        if let Some(control) = &self.control {
            control.taken(pending.clone());
        }
        for part in pending {
            warn!("{part} is not what it was: that takes effect at the next start");
            let _ = writeln!(taken, "takes effect at the next start: {part}");
        }
        info!(services = config.announce.services.len(), "configuration re-read");
        let services = config.announce.services.len();
        self.config.announce.services = config.announce.services;
        Ok(format!("the configuration is taken, {services} services\n{taken}"))
    }
}
