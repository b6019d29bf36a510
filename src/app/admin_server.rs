//! The admin server of an app: its listener, which the image before this one may have left, and its certificate.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;

use super::App;
use crate::admin::config::Config;
use crate::admin::{self, Sources};
use crate::dns::listen::tls::{Certificate, Handshakes};

/// Returns whether an inherited listener is on the address that is asked for.
fn is_meant(listener: &TcpListener, wanted: SocketAddr) -> bool {
    let is_same = |local: SocketAddr| local.ip() == wanted.ip() && [0, local.port()].contains(&wanted.port());
    listener.local_addr().is_ok_and(is_same)
}

impl App {
    /// The listener of `config`: the inherited one, if it is on the same address.
    ///
    /// # Errors
    /// When its address cannot be listened on.
    pub(super) fn admin_listener(config: &Config, inherited: Option<TcpListener>) -> Result<TcpListener, admin::Error> {
        match inherited {
            Some(listener) if is_meant(&listener, config.listen) => Ok(listener),
            _ => admin::bind(config.listen),
        }
    }

    /// Serves `sources` over HTTP to so many connections at once.
    pub(super) fn serve_http(
        &mut self,
        listener: TcpListener,
        config: &Config,
        sources: Sources,
        connections: usize,
    ) -> anyhow::Result<()> {
        let certificate = config.tls.clone().map(|files| Certificate::new("the admin server", files));
        let tls = certificate.clone().map(Handshakes::http).transpose().context("TLS of the admin server")?;
        let socket = admin::socket::listen(config);
        let running = admin::spawn(listener, tls, socket, sources, connections, self.stop.clone())?;
        self.parts.spawn(async move { ("admin".into(), running.await.map_err(Into::into)) });
        if let Some(certificate) = &certificate {
            self.spawn("admin certificate", Arc::clone(certificate).follow(self.stop.clone()));
        }
        self.admin_certificate = certificate;
        Ok(())
    }

    /// Takes what a reload may change of the admin server.
    pub(super) fn take_http(&self, config: Option<&Config>) {
        if let Some(control) = &self.control {
            control.set_token_file(config.and_then(|admin| admin.token_file.clone()));
        }
        if let Some((certificate, files)) =
            self.admin_certificate.as_ref().zip(config.and_then(|admin| admin.tls.as_ref()))
        {
            certificate.change(files);
        }
    }
}
