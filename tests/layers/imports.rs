//! What a Rust source imports: cut into words, comments and texts left out, `use` trees, `self` and `super` resolved.
//!
//! It knows nothing of what is allowed.

/// A path that a source names, resolved to begin with `crate` or a foreign crate where it can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
}

/// What a source imports, its test code left out.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) imports: Vec<Import>,
    /// Where `async` and `await` stand.
    pub(super) async_lines: Vec<usize>,
    /// Modules behind a `#[cfg(test)] mod x;`.
    pub(super) test_modules: Vec<Vec<String>>,
}

impl Scan {
    /// Reads the text of `module`.
    pub(super) fn of(module: Vec<String>, text: &str) -> Self {
        let tokens = tokens(text);
        let mut scanner =
            Scanner { tokens: &tokens, at: 0, module, depth: 0, inline: Vec::new(), scan: Self::default() };
        while scanner.at < tokens.len() {
            scanner.step();
        }
        scanner.scan
    }
}

struct Scanner<'t> {
    tokens: &'t [Token],
    at: usize,
    /// The module that `self` is now.
    module: Vec<String>,
    depth: usize,
    /// The depths at which the inline modules that are open began.
    inline: Vec<usize>,
    scan: Scan,
}

impl Scanner<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn sees(&self, at: usize, expected: &[&str]) -> bool {
        expected.iter().enumerate().all(|(i, text)| self.text(at + i) == *text)
    }

    fn step(&mut self) {
        if self.sees(self.at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            self.at += 7;
            self.skip_test_item();
            return;
        }
        match self.text(self.at) {
            "{" => self.depth += 1,
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                if self.inline.last() == Some(&self.depth) {
                    self.inline.pop();
                    self.module.pop();
                }
            }
            "mod" if self.text(self.at + 2) == "{" => {
                self.module.push(self.text(self.at + 1).to_owned());
                self.inline.push(self.depth);
                self.at += 1; // the name is no path
            }
            "async" | "await" => self.scan.async_lines.push(self.tokens[self.at].line),
            "use" if self.text(self.at + 1) != "<" => {
                self.at += 1;
                self.use_tree(&[]);
                return;
            }
            _ if self.starts_path() => {
                self.path();
                return;
            }
            _ => {}
        }
        self.at += 1;
    }

    /// Leaves out the item behind `#[cfg(test)]`.
    fn skip_test_item(&mut self) {
        let mut nested = 0_usize;
        let is_use = self.text(self.at) == "use";
        while self.at < self.tokens.len() {
            match self.text(self.at) {
                "mod" if nested == 0 && self.text(self.at + 2) == ";" => {
                    let mut module = self.module.clone();
                    module.push(self.text(self.at + 1).to_owned());
                    self.scan.test_modules.push(module);
                }
                "(" | "[" | "{" => nested += 1,
                ")" | "]" => nested = nested.saturating_sub(1),
                "}" => {
                    nested = nested.saturating_sub(1);
                    if nested == 0 && !is_use {
                        self.at += 1;
                        return;
                    }
                }
                ";" if nested == 0 => {
                    self.at += 1;
                    return;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Reads a `use` tree: `a::{b, c::*} as d`.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        while self.at < self.tokens.len() {
            let line = self.tokens[self.at].line;
            match self.text(self.at) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while self.at < self.tokens.len() && self.text(self.at) != "}" {
                        if self.text(self.at) == "," {
                            self.at += 1;
                        } else {
                            self.use_tree(&segments);
                        }
                    }
                    self.at += 1;
                    return;
                }
                "," | ";" | "}" | "as" => {
                    while !matches!(self.text(self.at), "" | "," | ";" | "}") {
                        self.at += 1;
                    }
                    return;
                }
                segment => {
                    // In braces, `self` is what stands before them.
                    if segment != "self" || segments.is_empty() {
                        segments.push(segment.to_owned());
                    }
                    self.at += 1;
                    if self.text(self.at) != "::" {
                        self.import(line, &segments);
                    }
                }
            }
        }
    }

    /// Whether a path of at least two segments begins here.
    fn starts_path(&self) -> bool {
        let previous = if self.at == 0 { "" } else { self.text(self.at - 1) };
        let continues = previous == "." || (previous == "::" && self.at >= 2 && is_word(self.text(self.at - 2)));
        is_word(self.text(self.at)) && self.text(self.at + 1) == "::" && !continues
    }

    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let mut segments = vec![self.text(self.at).to_owned()];
        self.at += 1;
        while self.text(self.at) == "::" && is_word(self.text(self.at + 1)) {
            segments.push(self.text(self.at + 1).to_owned());
            self.at += 2;
        }
        self.import(line, &segments);
    }

    /// Notes a path, with `self` and `super` resolved.
    fn import(&mut self, line: usize, segments: &[String]) {
        let supers =
            segments.iter().skip_while(|segment| *segment == "self").take_while(|segment| *segment == "super").count();
        let selfs = segments.iter().take_while(|segment| *segment == "self").count();
        let resolved = if supers + selfs == 0 {
            segments.to_vec()
        } else {
            let base = &self.module[..self.module.len().saturating_sub(supers)];
            let rest = &segments[supers + selfs..];
            [&["crate".to_owned()], base, rest].concat()
        };
        self.scan.imports.push(Import { line, segments: resolved });
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// A word, `::`, or one other character.
#[derive(Debug)]
struct Token {
    line: usize,
    text: String,
}

/// Cuts a source into tokens; comments, texts and characters are left out.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (size, text) = match first {
            'b' | 'c' | 'r' if raw_text(rest).is_some() => (raw_text(rest).unwrap_or(1), None),
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), None),
            '/' if rest.starts_with("/*") => (comment(rest), None),
            '"' => (quoted(rest, '"'), None),
            '\'' => (character(rest), None),
            ':' if rest.starts_with("::") => (2, Some("::")),
            _ if is_word(rest) => {
                // `r#name` is the word `name`.
                let mark = if rest.starts_with("r#") { 2 } else { 0 };
                (mark + word_length(&rest[mark..]), Some(&rest[mark..mark + word_length(&rest[mark..])]))
            }
            _ if first.is_whitespace() => (first.len_utf8(), None),
            _ if first.is_ascii_digit() => (word_length(rest), None),
            _ => (first.len_utf8(), Some(&rest[..first.len_utf8()])),
        };
        if let Some(text) = text {
            tokens.push(Token { line, text: text.to_owned() });
        }
        line += rest[..size].matches('\n').count();
        rest = &rest[size..];
    }
    tokens
}

/// Length of the word or number that `text` begins with.
fn word_length(text: &str) -> usize {
    text.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(text.len())
}

/// Length of the block comment that `text` begins with; they nest.
fn comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text.as_bytes()[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text.as_bytes()[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Length of the text or character in quotes that `text` begins with.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the character that `text` begins with, or of the quote alone if it begins a lifetime.
fn character(text: &str) -> usize {
    let mut letters = text.chars().skip(1);
    match (letters.next(), letters.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\''),
        _ => 1,
    }
}

/// Length of the raw or byte text that `text` begins with, if it does: `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `b'…'`,
/// `c"…"`.
fn raw_text(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.trim_start_matches('#').starts_with('"') || (*prefix == "b" && rest.starts_with('\''))
        })
    })?;
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if !prefix.ends_with('r') {
        let quote = if rest.starts_with('\'') { '\'' } else { '"' };
        return (hashes == 0).then(|| prefix.len() + quoted(rest, quote));
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let inner = &rest[hashes + 1..];
    let end = inner.find(&close).map_or(text.len(), |end| prefix.len() + hashes + 1 + end + close.len());
    Some(end)
}
