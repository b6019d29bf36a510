//! The frame of every page: head, navigation, banner, footer, and the files that go with it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, html};

use super::parts::time;
use crate::admin::explain::ServerJson;
use crate::admin::snapshot::Snapshot;
use crate::admin::wrong;

/// Rights of a page in a browser: its own script, style and picture, its own forms, and to ask this server.
pub(in crate::admin) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Style of the pages.
pub(super) const STYLE: &str = include_str!("page.css");
/// Script of the pages, which work without.
pub(super) const SCRIPT: &str = include_str!("page.js");
/// Picture of the tab.
pub(super) const ICON: &str = include_str!("icon.svg");

/// Tag of these files: an upgrade has files of other addresses.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    (STYLE, SCRIPT, ICON).hash(&mut hasher);
    format!("{:x}", hasher.finish())
});

/// One page among the others.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) server: &'a ServerJson,
    pub(super) snapshot: &'a Snapshot,
    pub(super) is_ready: bool,
    /// Heading, and the beginning of the title.
    pub(super) heading: Heading<'a>,
    /// Address of this page without its `refresh`.
    pub(super) url: String,
    /// Seconds after which it loads itself again, without a script.
    pub(super) refresh: Option<u16>,
}

/// Subject of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heading<'a> {
    Overview,
    Service(&'a str),
    Changes,
    Explain,
}

impl Frame<'_> {
    /// The page around `body`.
    pub(super) fn page(&self, body: &Markup) -> String {
        let Self { server, snapshot, heading, refresh, .. } = self;
        let tag = &*TAG;
        let (title, is_overview) = match heading {
            Heading::Overview => (None, true),
            Heading::Service(service) => (Some(*service), false),
            Heading::Changes => (Some("Changes"), false),
            Heading::Explain => (Some("Explain"), false),
        };
        let current = |is_here: bool| is_here.then_some("page");
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    @if let Some(seconds) = refresh { meta http-equiv="refresh" content=(seconds); }
                    title { @if let Some(title) = title { (title) " · " } (server.host) " · zonekeeper" }
                    link rel="icon" type="image/svg+xml" href={ "/icon.svg?" (tag) };
                    link rel="stylesheet" href={ "/page.css?" (tag) };
                    script src={ "/page.js?" (tag) } defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        div.inner {
                            a.brand href="/" {
                                img src={ "/icon.svg?" (tag) } width="22" height="22" alt="";
                                span { "zonekeeper" }
                                span.host { (server.host) }
                            }
                            nav aria-label="Pages" {
                                a href="/" aria-current=[current(is_overview)] { "Overview" }
                                a href="/events" aria-current=[current(*heading == Heading::Changes)] { "Changes" }
                                a href="/explain" aria-current=[current(*heading == Heading::Explain)] { "Explain" }
                            }
                            span #live .livemark hidden { "live" }
                        }
                    }
                    main #main tabindex="-1" {
                        div #banner data-live { (banner(snapshot, self.is_ready)) }
                        (body)
                    }
                    p #news .unseen aria-live="polite" {}
                    footer {
                        p data-live #foot {
                            "zonekeeper " (server.version) " on " (server.host) ", process " (server.pid) ", up for "
                            (time(snapshot.uptime))
                        }
                        @match refresh {
                            Some(seconds) => p {
                                "This page loads itself again every " (seconds) " s: " a href=(self.url) { "stop" } "."
                            },
                            None => p.refresh { a href=(self.refreshed()) { "Load this page again every 5 s" } },
                        }
                    }
                }
            }
        };
        page.into_string()
    }

    fn refreshed(&self) -> String {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{separator}refresh=5", self.url)
    }
}

/// One sentence on how everything is, from the list that `zonekeeper status` ends with.
fn banner(snapshot: &Snapshot, is_ready: bool) -> Markup {
    let wrong = wrong::all(snapshot);
    let (class, sign) = match &*wrong {
        [] => ("banner good", "✓"),
        _ if is_ready => ("banner warn", "!"),
        _ => ("banner bad", "✕"),
    };
    html! {
        p class=(class) role="status" {
            span.sign aria-hidden="true" { (sign) }
            span {
                @if !is_ready { strong { "Not ready. " } }
                @match &*wrong {
                    [] => "All is well.",
                    [one] => (one),
                    [first, rest @ ..] => { (first) ", and " (rest.len()) " more " a href="/#problems" { "problems" } },
                }
            }
        }
    }
}

/// A section with a heading, which the script keeps current.
pub(super) fn section(id: &str, heading: &str, body: &Markup) -> Markup {
    html! {
        section id=(id) data-live aria-labelledby={ (id) "-heading" } {
            h2 id={ (id) "-heading" } { (heading) }
            (body)
        }
    }
}

/// The same where there may be nothing to show: then the script finds its place.
pub(super) fn optional(id: &str, heading: &str, body: Option<&Markup>) -> Markup {
    body.map_or_else(|| html! { section id=(id) data-live hidden {} }, |body| section(id, heading, body))
}
