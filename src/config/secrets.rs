//! The pieces of a configuration's text that are shown to nobody: messages show the line they are about, and reports go
//! to the log, to `/v1/status` and to whoever asks for a reload.
//!
//! They are found in the text, not in the tree: where a quote or a bracket is missing, or a key is mistyped, there is
//! no tree that could be trusted. So what cannot be told is hidden.

use std::ops::Range;
use std::path::Path;

use crate::announce::check::url;
use crate::diagnostic::SourceText;

/// Words in keys whose values are hidden, with all that is in them.
const WORDS: [&str; 7] = ["auth", "secret", "token", "pass", "pwd", "credential", "header"];
/// Keys that are hidden also with a letter wrong.
const MISTYPED: [&str; 4] = ["auth", "secret", "token", "headers"];

/// Finds the pieces, in bytes, in their order.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut scan = Scan { text, at: 0, found: Vec::new(), table: false, open: Vec::new(), key: false, value: None };
    while scan.step() {}
    scan.found
}

/// Returns whether the values of a key are hidden. A path to a secret is none.
fn is_secret(key: &str) -> bool {
    let key = key.trim_matches(['"', '\'']).to_ascii_lowercase();
    !key.ends_with("_file")
        && (WORDS.iter().any(|word| key.contains(word))
            || MISTYPED.iter().any(|word| strsim::damerau_levenshtein(&key, word) == 1))
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    found: Vec<Range<usize>>,
    /// True below a header that names a secret.
    table: bool,
    /// For each bracket that is open: true if what is in it is hidden.
    open: Vec<bool>,
    /// True if the key that is being read is a secret's.
    key: bool,
    /// Behind an equals sign: true if the value is hidden.
    value: Option<bool>,
}

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// End of the present line.
    fn line_end(&self) -> usize {
        self.rest().find('\n').map_or(self.text.len(), |end| self.at + end)
    }

    /// Returns whether what stands here is in something hidden.
    fn is_hidden(&self) -> bool {
        self.table || self.value == Some(true) || self.open.last() == Some(&true)
    }

    fn hide(&mut self, piece: Range<usize>) {
        let text = self.text.get(piece.clone()).unwrap_or_default();
        let start = piece.start + (text.len() - text.trim_start().len());
        let end = start + text.trim().len();
        if start < end {
            self.found.push(start..end);
        }
    }

    /// Hides what is left of the line.
    fn hide_line(&mut self) {
        let end = self.line_end();
        self.hide(self.at..end);
        self.at = end;
    }

    /// Goes over one sign or word. Returns false at the end.
    fn step(&mut self) -> bool {
        if self.is_line_start()
            && let Some(header) = self.header()
        {
            self.table = header.split('.').any(|part| is_secret(part.trim()));
            self.open.clear();
            (self.key, self.value, self.at) = (false, None, self.line_end());
            return true;
        }
        let Some(sign) = self.rest().chars().next() else { return false };
        match sign {
            '\n' => {
                self.at += 1;
                if self.open.is_empty() {
                    self.value = None;
                }
                self.key = false;
            }
            ',' if !self.open.is_empty() => {
                self.at += 1;
                (self.key, self.value) = (false, None);
            }
            '=' if self.value != Some(true) => {
                self.at += 1;
                self.value = Some(self.key || self.is_hidden());
                self.key = false;
            }
            '#' if self.value != Some(true) => self.at = self.line_end(),
            '[' | '{' => {
                self.at += 1;
                self.open.push(self.is_hidden());
                (self.key, self.value) = (false, None);
            }
            ']' | '}' => {
                self.at += 1;
                self.open.pop();
                (self.key, self.value) = (false, None);
            }
            _ if sign.is_whitespace() => self.at += sign.len_utf8(),
            '"' | '\'' => self.string(sign),
            // Without quotes: it may have any sign in it.
            _ if self.value == Some(true) => self.hide_line(),
            _ => self.word(),
        }
        true
    }

    fn is_line_start(&self) -> bool {
        self.text.get(..self.at).is_some_and(|before| before.is_empty() || before.ends_with('\n'))
    }

    /// Text in the brackets of a header, if this line is one.
    fn header(&self) -> Option<&'t str> {
        let line = self.text.get(self.at..self.line_end())?.split('#').next()?.trim();
        let inner = line.strip_prefix('[')?.trim_start_matches('[').trim_end_matches(']').trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.\"' ".contains(c);
        (inner.starts_with(|c: char| c.is_ascii_alphabetic()) && inner.chars().all(is_name)).then_some(inner)
    }

    /// A key or a value in quotes.
    fn string(&mut self, quote: char) {
        let thrice = [quote; 3].iter().collect::<String>();
        let (start, escapes) = (self.at, quote == '"');
        let line_end = self.line_end();
        let (inner, end) = if let Some(rest) = self.rest().strip_prefix(&thrice) {
            match closing(rest, &thrice, escapes) {
                Some(length) => (start + 3..start + 3 + length, start + 6 + length),
                // The lines behind it are read as lines, unless they may be the secret's.
                None if self.is_hidden() => (start + 3..self.text.len(), self.text.len()),
                None => (start + 3..line_end.max(start + 3), line_end.max(start + 3)),
            }
        } else {
            match closing(self.text.get(start + 1..line_end).unwrap_or_default(), &quote.to_string(), escapes) {
                Some(length) => (start + 1..start + 1 + length, start + 2 + length),
                None => (start + 1..line_end, line_end),
            }
        };
        self.at = end;
        if self.value.is_none() && self.rest().trim_start_matches([' ', '\t']).starts_with(['=', '.']) {
            self.key |= is_secret(self.text.get(inner).unwrap_or_default());
            return;
        }
        let is_hidden = self.is_hidden() || self.key;
        self.note(inner, is_hidden);
        // A quote that is part of the secret would end it too early.
        let next = self.rest().trim_start_matches([' ', '\t', '\r']).chars().next();
        let is_over = match next {
            None | Some('\n') => true,
            Some(sign) => !self.open.is_empty() && [',', '}', ']'].contains(&sign),
        };
        if is_hidden && !is_over {
            self.hide_line();
        }
    }

    /// A key or a value without quotes.
    fn word(&mut self) {
        let start = self.at;
        let ends = |c: char| c.is_whitespace() || "=,[]{}#\"'".contains(c);
        let first = self.rest().chars().next().map_or(0, char::len_utf8);
        let length = self.rest().find(ends).unwrap_or(self.rest().len());
        self.at += length.max(first);
        if self.text.get(start..self.at).is_some_and(|word| word.contains("://")) {
            // A URL without quotes goes on to the next white space.
            let more = self.rest().split(char::is_whitespace).next().unwrap_or_default();
            self.at += more.trim_end_matches(',').len();
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        if self.rest().trim_start_matches([' ', '\t']).starts_with('=') {
            // Also where a comma is missing before it.
            self.value = None;
        }
        if self.value.is_some() {
            let is_hidden = self.is_hidden();
            self.note(start..self.at, is_hidden);
        } else if self.key && self.is_spaced(start) {
            // The equals sign is missing.
            self.at = start;
            self.hide_line();
        } else {
            self.key |= word.split('.').any(is_secret);
            self.note(start..self.at, self.is_hidden() && !self.rest().trim_start().starts_with(['=', '.']));
        }
    }

    /// Returns whether white space stands before a place: then it is not the rest of a dotted key.
    fn is_spaced(&self, at: usize) -> bool {
        self.text.get(..at).is_some_and(|before| before.ends_with(char::is_whitespace))
    }

    /// Hides a value, or what looks like a secret in it.
    fn note(&mut self, piece: Range<usize>, is_hidden: bool) {
        if is_hidden {
            return self.hide(piece);
        }
        let text = self.text.get(piece.clone()).unwrap_or_default();
        if let Some(auth) = ["digest:", "sasl:"].iter().find_map(|scheme| text.strip_prefix(scheme)) {
            let password = auth.find(':').map_or(auth, |colon| &auth[colon + 1..]);
            self.hide(piece.end - password.len()..piece.end);
        }
        let Some(place) = text.find("://").map(|slashes| slashes + 3) else { return };
        if let Some(at) = text[place..].rfind('@') {
            self.hide(piece.start + place..piece.start + place + at);
        }
        let Some(query) = text[place..].find('?').map(|mark| place + mark + 1) else { return };
        let mut at = piece.start + query;
        for parameter in text[query..].split('&') {
            if let Some((name, value)) = parameter.split_once('=').filter(|(name, _)| url::is_secret(name)) {
                let start = at + name.len() + 1;
                self.hide(start..start + value.len());
            }
            at += parameter.len() + 1;
        }
    }
}

/// The length of what stands before the closing quotes.
fn closing(text: &str, quotes: &str, escapes: bool) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with(quotes) {
            return Some(at);
        }
        let sign = rest.chars().next()?;
        at += sign.len_utf8();
        if escapes && sign == '\\' {
            at += text.get(at..)?.chars().next()?.len_utf8();
        }
    }
}

/// A file of a configuration, whose secrets are not shown.
pub(super) fn source(path: &Path, text: impl Into<String>) -> SourceText {
    let text = text.into();
    let secrets = find(&text);
    SourceText::new(path, text).hiding(secrets)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::diagnostic::{Problem, Report, Span};

    /// The text with what is hidden cut out.
    fn shown(text: &str) -> String {
        let (mut shown, mut at) = (String::new(), 0);
        for piece in find(text) {
            if piece.end > at {
                shown += &text[at..piece.start.max(at)];
                shown.push('*');
                at = piece.end;
            }
        }
        shown + &text[at..]
    }

    #[test]
    fn values_of_secret_keys_are_hidden_and_nothing_else() {
        for (text, expected) in [
            ("auth = \"digest:u:hush\"\nroot = \"/x\"", "auth = \"*\"\nroot = \"/x\""),
            ("[[key]]\nname = \"xfr\"\nsecret = 'hush'", "[[key]]\nname = \"xfr\"\nsecret = '*'"),
            ("\"auth\"= \"hush\" # x", "\"auth\"= \"*\" *"),
            (
                "http = { headers = { A = \"hush\", B = 'hush' }, tiemout = \"2s\" }",
                "http = { headers = { A = \"*\", B = '*' }, tiemout = \"2s\" }",
            ),
            ("check.http.headers.a = \"hush\"\nport = 1", "check.http.headers.a = \"*\"\nport = 1"),
            (
                "[service.check.http.headers]\nX-Api = \"hush\"\n[admin]\nlisten = \"a\"",
                "[service.check.http.headers]\nX-Api = \"*\"\n[admin]\nlisten = \"a\"",
            ),
            ("command = [\"x\", { secret = \"hush\" }, \"y\"]", "command = [\"x\", { secret = \"*\" }, \"y\"]"),
            (
                "auth_file = \"/etc/x\"\nkey = \"/k.pem\"\nport = 0",
                "auth_file = \"/etc/x\"\nkey = \"/k.pem\"\nport = 0",
            ),
            ("# auth\nname = \"auth = x\"", "# auth\nname = \"auth = x\""),
            ("token = \"\"\"\nhu\nsh\"\"\"\nport = 0", "token = \"\"\"\n*\"\"\"\nport = 0"),
            ("path = [\"a\",\n  \"b\"]", "path = [\"a\",\n  \"b\"]"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn credentials_in_urls_are_hidden_wherever_they_stand() {
        for (text, expected) in [
            ("url = \"http://u:hush@h/p\"", "url = \"http://*@h/p\""),
            ("urll = \"http://u:hu@sh@h/?x=1&token=hush&y=2\"", "urll = \"http://*@h/?x=1&token=*&y=2\""),
            ("url = http://u:hush@h/", "url = http://*@h/"),
            ("url = http://h/?token=hush, port = 1", "url = http://h/?token=*, port = 1"),
            ("url = \"http://h/health?x=1\"", "url = \"http://h/health?x=1\""),
            ("x = \"sasl:u:hu:sh\"", "x = \"sasl:u:*\""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_shows_no_secret() {
        for text in [
            "auth = \"digest:u:hush",
            "auth = digest:u:hush",
            "auth = hush, hush # hush",
            "auth = \"digest:u:\"hush\"",
            "auth = 'x'hush",
            "auht = \"hush\"",
            "secrte = \"hush\"",
            "auth : \"digest:u:hush\"",
            "auth \"hush\"",
            "auth hush",
            "{ x = http://h/?a=b headers = { A = hush } }",
            "{ x = 1 secret = \"hush\" }",
            "auth: hush",
            "headers = { a = \"hush\"\nb = \"hush\"",
            "headers = { a = \"hush, b = \"hush\" }",
            "x = [\n{ secret = \"hush\"",
            "x = \"\"\"\nsecret = \"hush\"",
            "x = [1,\n[service.check.http.headers]\na = \"hush\"",
            "secret = \"\"\"\nhush\nhush",
            "command = [\"x\", { secret = \"hu\"hush\" }]",
            "password = { file = 1, x = \"hush\" }",
            "{ secret = hush }",
            "secret=hush",
            "secret = \"\\\"hush\"",
            "AUTH = \"hush\"",
        ] {
            assert!(!shown(text).contains("hush"), "{text}\n{}", shown(text));
        }
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        let signs = [
            "[", "]", "{", "}", "=", "\"", "'", "\"\"\"", "'''", "#", "\n", ",", ".", "auth", "x", "ü", "\\", " ",
            "://", "@", "?", "&",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let text: String = (0..random.usize(..24)).map(|_| signs[random.usize(..signs.len())]).collect();
            for piece in find(&text) {
                assert!(text.get(piece.clone()).is_some(), "{text:?} {piece:?}");
            }
        }
        assert!(find(&"[".repeat(1 << 20)).is_empty());
    }

    #[test]
    fn a_secret_in_the_line_is_not_shown_and_the_caret_stays_where_it_belongs() {
        let of = |text: &str, wrong: &str, message: &str| {
            let start = text.find(wrong).unwrap();
            let span = Span { file: 0, start, end: start + wrong.len() };
            let problem = Problem { help: Some(format!("write \"{wrong}\"")), ..Problem::error(span, message) };
            Report::new(&[crate::config::source(Path::new("z.toml"), text)], &[problem]).to_string()
        };
        let text = "http = { headers = { A = \"hush\" }, prot = 1 }";
        let expected = "\
z.toml:1:36: error: is wrong
    1 | http = { headers = { A = \"***\" }, prot = 1 }
      |                                    ^^^^
  help: write \"prot\"
";
        let expected = expected.replace("36", &(text.find("prot").unwrap() + 1).to_string());
        let shown = of(text, "prot", "is wrong");
        assert_eq!(shown.replace(' ', ""), expected.replace(' ', ""), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].find("prot"), lines[2].find('^'), "{shown}");
        let unquoted = of("auth = digest:u:hush", "digest:u:hush", "not digest:u:hush");
        assert_eq!(
            unquoted,
            "z.toml:1:8: error: not ***\n    1 | auth = ***\n      |        ^^^\n  help: write \"***\"\n"
        );
    }
}
