//! Pieces that all pages are made of: links, times, badges, commands to copy. What stands in a registry is not trusted:
//! everything is escaped as it is put in, and what cannot be seen is written out.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{Markup, html};

use crate::admin::shapes::time_of;
use crate::admin::sources::{RegistrySource, Sources};
use crate::log;

/// Rows of one table; further ones are in the JSON.
pub(super) const ROWS: usize = 200;

/// Text of a registry as it is shown.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    log::visible(text)
}

/// A path or name as it is shown, which may be broken into lines after its slashes and dots.
pub(super) fn path(text: &str) -> Markup {
    let text = shown(text);
    html! {
        span.path {
            @for (i, part) in text.split_inclusive(['/', '.', ':']).enumerate() {
                @if i > 0 { wbr; }
                (part)
            }
        }
    }
}

/// Writes bytes as a path or a value of a query has them (RFC 3986 §2.1); slashes stay.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => encoded.push(byte.into()),
            _ => {
                encoded.push('%');
                for half in [byte >> 4, byte & 15] {
                    encoded.push(char::from_digit(half.into(), 16).unwrap_or_default().to_ascii_uppercase());
                }
            }
        }
    }
    encoded
}

/// Address of the page of the service at `below`. The registry is in it where there are several.
pub(super) fn service_url(sources: &Sources, source: &RegistrySource, below: &str) -> String {
    // A browser takes these two for steps, however they are encoded.
    let has_steps = below.split('/').any(|element| matches!(element, "." | ".."));
    let (path, query) = if has_steps || below.is_empty() {
        (String::new(), Some(format!("path={}", encoded(below))))
    } else {
        (encoded(below), None)
    };
    let registry = (sources.registries.len() > 1).then(|| format!("registry={}", encoded(&source.name.to_string())));
    let query: Vec<String> = query.into_iter().chain(registry).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/services/{path}{mark}{}", query.join("&"))
}

/// Link to the page of the service that the znode at `full` is of, named by that path; the path alone where there is no
/// such service.
pub(super) fn znode(sources: &Sources, source: &RegistrySource, full: &str) -> Markup {
    let service = source.reader.below(full).map(|below| source.reader.service_at(below).0);
    let service = service.filter(|service| source.reader.read(service).is_some());
    html! {
        @match service {
            Some(service) => a href=(service_url(sources, source, &service)) { (path(full)) },
            None => (path(full)),
        }
    }
}

/// Link to the explanation of a name, for a type.
pub(super) fn explain_url(name: &str, rtype: &str) -> String {
    format!("/explain?name={}&type={}", encoded(name), encoded(rtype))
}

/// A short word on a coloured ground.
pub(super) fn badge(kind: &str, word: &str) -> Markup {
    html! { span class={ "badge " (kind) } { (word) } }
}

/// The class of what is not as it should be.
pub(super) fn bad(is_bad: bool) -> Option<&'static str> {
    is_bad.then_some("bad")
}

/// A line about there being more than is shown, and where it is.
pub(super) fn more(total: usize, place: &Markup) -> Markup {
    html! { @if total > ROWS { p.quiet { "and " (count(total - ROWS)) " more: " (place) } } }
}

pub(super) fn none(words: &str) -> Markup {
    html! { p.quiet { (words) } }
}

/// A number with commas between its thousands.
pub(super) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate, with as many digits as matter.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        rate if rate < 0.05 => "0".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and is not negative"
        )]
        rate => count(rate.round() as u64),
    }
}

/// To the second, in the two largest units that matter.
pub(super) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A time in milliseconds since 1970 as its age, with the time itself beside it for machines and the mouse.
pub(super) fn ago(unix_ms: u64) -> Markup {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = now.saturating_sub(Duration::from_millis(unix_ms));
    html! {
        @if let Some(text) = time_of(unix_ms.cast_signed()) {
            time datetime=(text) title=(text) { (time(age)) " ago" }
        }
    }
}

/// A moment as its age.
pub(super) fn since(at: SystemTime) -> Markup {
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    ago(u64::try_from(at.as_millis()).unwrap_or_default())
}

/// A command line to copy, with what it does; none where a word of it cannot be written on a line.
pub(super) fn command(purpose: &str, words: &[&str]) -> Markup {
    let is_plain = !words.iter().any(|word| word.chars().any(log::is_hidden));
    let line = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    html! {
        @if is_plain {
            div.command {
                span.purpose { (purpose) }
                code data-copy=(purpose) { (line) }
            }
        }
    }
}

/// A word as a POSIX shell takes it, whatever is in it.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_of_words_whatever_a_registry_says() {
        assert_eq!(quoted("a/b.c:80"), "a/b.c:80");
        for (word, expected) in [
            ("", "''"),
            ("$(reboot)", "'$(reboot)'"),
            ("it's", r"'it'\''s'"),
            (r"com\.example", r"'com\.example'"),
            ("a b;c", "'a b;c'"),
            ("~root", "'~root'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
        assert_eq!(command("look", &["dig", "a\nb"]).into_string(), "", "no line for what ends it");
        let line = command("look", &["dig", "<a>"]).into_string();
        assert!(line.contains(r#"<code data-copy="look">dig '&lt;a&gt;'</code>"#), "{line}");
    }

    #[test]
    fn paths_become_addresses_and_back() {
        assert_eq!(encoded("staging/api_x"), "staging/api_x");
        assert_eq!(encoded("a b?c#d%e<ä>"), "a%20b%3Fc%23d%25e%3C%C3%A4%3E");
    }

    #[test]
    fn numbers_and_times_are_short() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(number), expected);
        }
        for (given, expected) in [(0.0, "0"), (0.26, "0.3"), (9.94, "9.9"), (10.4, "10"), (1840.2, "1,840")] {
            assert_eq!(rate(given), expected);
        }
        for (seconds, expected) in [(5, "5s"), (61, "1m 1s"), (3_700, "1h 1m"), (100_000, "1d 3h")] {
            assert_eq!(time(Duration::from_secs(seconds)), expected);
        }
    }
}
