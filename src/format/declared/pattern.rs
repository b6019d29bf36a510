//! Patterns of paths: `{service}/{host}:{port}`.
//!
//! An element of a pattern matches one element of a path. A capture takes a part of it: the shortest that fits, but
//! `{host}` the longest; `{port}` takes 1 to 5 digits, `{seq}` the ten of a sequential znode. Nothing else is special.
//! Znode names come from anybody and may have a megabyte, so a match has a budget that grows with the name alone.

use std::ops::Range;

use crate::diagnostic::Problem;

/// A mistake in a pattern or a template, at a range of its bytes.
pub(super) type Mistake = Problem<Range<usize>>;

/// Index of a capture by its name and its place.
type Lookup<'l> = dyn FnMut(&str, Range<usize>) -> Result<usize, Mistake> + 'l;

/// Values of captures by their index, as pieces of a path.
pub(super) type Captured<'p> = Vec<Option<&'p str>>;

/// Bytes that a match may look at: this many for each of the element, and [`BASE`].
const A_BYTE: usize = 16;
const BASE: usize = 64 * 1024;

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    elements: Vec<Element>,
}

/// A pattern of one element of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Capture { index: usize, kind: CaptureKind },
}

/// Text that a capture takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CaptureKind {
    /// Anything, the shortest that fits.
    Word,
    /// Anything, the longest that fits.
    Host,
    /// 1 to 5 digits.
    Port,
    /// Ten digits.
    Sequence,
}

impl CaptureKind {
    fn named(name: &str) -> Self {
        match name {
            "host" => Self::Host,
            "port" => Self::Port,
            "seq" => Self::Sequence,
            _ => Self::Word,
        }
    }

    fn fits(self, text: &str) -> bool {
        let is_number = || text.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Word | Self::Host => !text.is_empty(),
            Self::Port => (1..=5).contains(&text.len()) && is_number(),
            Self::Sequence => text.len() == 10 && is_number(),
        }
    }
}

impl Pattern {
    /// Reads a pattern with captures of its own; their names are added to `names`.
    pub(super) fn defining(text: &str, names: &mut Vec<Box<str>>) -> Result<Self, Mistake> {
        Self::parse(text, &mut |name, at| {
            if names.iter().any(|known| **known == *name) {
                return Err(Mistake::error(at, format!("{{{name}}} is there twice")));
            }
            names.push(name.into());
            Ok(names.len() - 1)
        })
    }

    /// Reads a pattern of which the captures are among `names`.
    pub(super) fn using(text: &str, names: &[Box<str>]) -> Result<Self, Mistake> {
        let mut used = Vec::new();
        Self::parse(text, &mut |name, at| {
            let index = capture(name, at.clone(), names)?;
            if used.contains(&index) {
                return Err(Mistake::error(at, format!("{{{name}}} is there twice")));
            }
            used.push(index);
            Ok(index)
        })
    }

    fn parse(text: &str, capture: &mut Lookup<'_>) -> Result<Self, Mistake> {
        let (mut elements, mut start) = (Vec::new(), 0);
        for element in text.split('/') {
            if matches!(element, "" | "." | "..") {
                let at = start..(start + element.len()).max(start + 1).min(text.len().max(1));
                let what = if element.is_empty() {
                    "an element is empty".into()
                } else {
                    format!("no znode is called `{element}`")
                };
                return Err(Mistake::error(at, what));
            }
            elements.push(Element { pieces: pieces(element, start, capture)? });
            start += element.len() + 1;
        }
        Ok(Self { elements })
    }

    /// Its elements.
    pub(super) fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// Number of bytes that are as they are written: the more, the fewer paths match.
    pub(super) fn literal_length(&self) -> usize {
        let pieces = self.elements.iter().flat_map(|element| &element.pieces);
        pieces.map(|piece| if let Piece::Literal(text) = piece { text.len() } else { 0 }).sum()
    }

    /// Values of the captures where the path matches, `count` in all.
    pub(super) fn capture<'p>(&self, path: &'p str, count: usize) -> Option<Captured<'p>> {
        let mut captured = vec![None; count];
        self.matches(path, self.elements.len(), &mut captured).then_some(captured)
    }

    /// Values of the captures of its first `length` elements, where the path has as many and matches them; the empty
    /// path has none.
    pub(super) fn capture_first<'p>(&self, path: &'p str, length: usize, count: usize) -> Option<Captured<'p>> {
        let mut captured = vec![None; count];
        self.matches(path, length, &mut captured).then_some(captured)
    }

    /// Returns whether a path that has fewer elements may lead to one that matches.
    pub(super) fn leads_on(&self, path: &str, count: usize) -> bool {
        let length = length(path);
        length < self.elements.len() && self.capture_first(path, length, count).is_some()
    }

    fn matches<'p>(&self, path: &'p str, wanted: usize, captured: &mut [Option<&'p str>]) -> bool {
        if length(path) != wanted {
            return false;
        }
        let elements = self.elements[..wanted].iter();
        elements.zip(path.split('/')).all(|(element, name)| element.matches(name, captured))
    }

    /// The path with these captures; none where one of its captures has no value.
    pub(super) fn fill(&self, captured: &[Option<&str>]) -> Option<String> {
        let elements: Option<Vec<String>> = self.elements.iter().map(|element| element.fill(captured)).collect();
        Some(elements?.join("/"))
    }
}

impl Element {
    /// Returns whether the element of a path matches; the values of captures are put into `captured`.
    pub(super) fn matches<'p>(&self, name: &'p str, captured: &mut [Option<&'p str>]) -> bool {
        let mut budget = name.len().saturating_mul(A_BYTE).saturating_add(BASE);
        run(&self.pieces, name, captured, &mut budget)
    }

    /// The name with these captures; none where one of its captures has no value.
    pub(super) fn fill(&self, captured: &[Option<&str>]) -> Option<String> {
        let mut name = String::new();
        for piece in &self.pieces {
            name.push_str(match piece {
                Piece::Literal(text) => text,
                Piece::Capture { index, .. } => captured.get(*index).copied().flatten()?,
            });
        }
        Some(name)
    }
}

/// Index of the capture called `name`.
pub(super) fn capture(name: &str, at: Range<usize>, names: &[Box<str>]) -> Result<usize, Mistake> {
    let known: Vec<&str> = names.iter().map(|name| &**name).collect();
    known.iter().position(|known| *known == name).ok_or_else(|| {
        let help = match crate::settings::nearest(name, &known) {
            Some(near) => format!("did you mean {{{near}}}?"),
            None if known.is_empty() => "`path` has no captures".to_owned(),
            None => format!("`path` has {{{}}}", known.join("}, {")),
        };
        Mistake { help: Some(help), ..Mistake::error(at, format!("{{{name}}} is not in `path`")) }
    })
}

/// Number of a path's elements.
fn length(path: &str) -> usize {
    if path.is_empty() { 0 } else { path.split('/').count() }
}

fn pieces(element: &str, start: usize, capture: &mut Lookup<'_>) -> Result<Vec<Piece>, Mistake> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    while at < element.len() {
        let rest = &element[at..];
        let here = start + at;
        let Some(inner) = rest.strip_prefix('{') else {
            let length = rest.find(['{', '}']).unwrap_or(rest.len());
            if length == 0 {
                return Err(Mistake::error(here..here + 1, "no `{` goes with this `}`"));
            }
            pieces.push(Piece::Literal(rest[..length].into()));
            at += length;
            continue;
        };
        let Some(length) = inner.find('}') else {
            return Err(Mistake::error(here..here + 1, "this `{` is never closed"));
        };
        let (name, range) = (&inner[..length], here..here + length + 2);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let help = Some("a capture is called by letters, digits and `_`: {host}".to_owned());
            return Err(Mistake { help, ..Mistake::error(range, format!("{{{name}}} is not a capture")) });
        }
        if let Some(Piece::Capture { .. }) = pieces.last() {
            let help = Some("put what stands between them there, such as `:` or `-`".to_owned());
            let message = "nothing says where the capture before this one ends";
            return Err(Mistake { help, ..Mistake::error(range, message) });
        }
        pieces.push(Piece::Capture { index: capture(name, range)?, kind: CaptureKind::named(name) });
        at += length + 2;
    }
    Ok(pieces)
}

/// Matches all of `text`. Each byte that is looked at costs one of `budget`; without any left nothing matches.
fn run<'p>(pieces: &[Piece], text: &'p str, captured: &mut [Option<&'p str>], budget: &mut usize) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return text.is_empty() };
    let (index, kind) = match first {
        Piece::Literal(literal) => {
            return text.strip_prefix(&**literal).is_some_and(|text| run(rest, text, captured, budget));
        }
        Piece::Capture { index, kind } => (*index, *kind),
    };
    let mut bind = |value: &'p str| {
        if let Some(place) = captured.get_mut(index) {
            *place = Some(value);
        }
    };
    let (literal, rest) = match rest {
        [] => {
            bind(text);
            return kind.fits(text);
        }
        [Piece::Literal(end)] => {
            return text.strip_suffix(&**end).is_some_and(|value| {
                bind(value);
                kind.fits(value)
            });
        }
        [Piece::Literal(literal), rest @ ..] => (literal, rest),
        // Two captures side by side are refused when a pattern is read.
        [Piece::Capture { .. }, ..] => return false,
    };
    let last = literal.chars().next_back().map_or(1, char::len_utf8);
    let first = literal.chars().next().map_or(1, char::len_utf8);
    // The part of the text in which the literal is looked for.
    let (mut from, mut to) = (0, text.len());
    loop {
        let range = &text[from..to];
        let is_host = kind == CaptureKind::Host;
        let found = if is_host { range.rfind(&**literal) } else { range.find(&**literal) };
        let looked_at = match found {
            None => range.len(),
            Some(at) if is_host => range.len() - at,
            Some(at) => at + literal.len(),
        };
        let Some(left) = budget.checked_sub(looked_at + 1) else { return false };
        *budget = left;
        let Some(at) = found.map(|at| from + at) else { return false };
        let value = &text[..at];
        if kind.fits(value) && run(rest, &text[at + literal.len()..], captured, budget) {
            if let Some(place) = captured.get_mut(index) {
                *place = Some(value);
            }
            return true;
        }
        match kind {
            CaptureKind::Host => to = at + literal.len() - last,
            CaptureKind::Port if at > 5 => return false,
            CaptureKind::Sequence if at > 10 => return false,
            CaptureKind::Word | CaptureKind::Port | CaptureKind::Sequence => from = at + first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> (Pattern, Vec<Box<str>>) {
        let mut names = Vec::new();
        let pattern = Pattern::defining(text, &mut names).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"));
        (pattern, names)
    }

    fn captured(text: &str, path: &str) -> Option<String> {
        let (pattern, names) = pattern(text);
        let values = pattern.capture(path, names.len())?;
        let one = |(name, value): (_, Option<&str>)| format!("{name}={}", value.unwrap_or("?"));
        Some(names.iter().zip(values).map(one).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn captures_take_the_shortest_and_a_host_the_longest() {
        let all = [
            ("{service}/{host}:{port}", "api/h1:80", "service=api host=h1 port=80"),
            ("{host}:{port}", "2001:db8::1:80", "host=2001:db8::1 port=80"),
            (
                "{role}_{host}_{port}",
                "Server_pinot_2.example.com_8098",
                "role=Server host=pinot_2.example.com port=8098",
            ),
            ("{host}:{port}_{context}", "h:8983_solr_x", "host=h port=8983 context=solr_x"),
            ("{a}-{b}", "x-y-z", "a=x b=y-z"),
            ("json.info_{seq}", "json.info_0000000012", "seq=0000000012"),
            ("{id}_{seq}", "i-0_a_0000000042", "id=i-0_a seq=0000000042"),
            (
                "serverUri={host}:{port};version={version};sequence={seq}",
                "serverUri=h:1;version=3;x;sequence=0000000007",
                "host=h port=1 version=3;x seq=0000000007",
            ),
            ("{host},{port},{code}", "a,b,16020,17", "host=a,b port=16020 code=17"),
            ("x{a}x", "xxx", "a=x"),
            ("{a}ää{b}", "äääb", "a=ä b=b"),
            ("{host}ää{b}", "ääääb", "host=ää b=b"),
        ];
        for (pattern, path, expected) in all {
            assert_eq!(captured(pattern, path).as_deref(), Some(expected), "{pattern} on {path}");
        }
    }

    #[test]
    fn what_does_not_fit_does_not_match() {
        let all = [
            ("{host}:{port}", "h:123456"),
            ("{host}:{port}", "h:"),
            ("{host}:{port}", ":80"),
            ("{host}:{port}", "h:8o"),
            ("{host}:{port}", "a/h:80"),
            ("{a}/{b}", "a"),
            ("{a}/{b}", "a/b/c"),
            ("n{seq}", "n123456789"),
            ("n{seq}", "n12345678901"),
            ("a", ""),
            ("{seq}-{x}", "12345678901-a"),
        ];
        for (pattern, path) in all {
            assert_eq!(captured(pattern, path), None, "{pattern} on {path}");
        }
    }

    #[test]
    fn what_leads_to_a_match_is_told_from_what_leads_nowhere() {
        let (pattern, names) = pattern("{scope}/members/{id}");
        for (path, leads) in
            [("", true), ("a", true), ("a/members", true), ("a/history", false), ("a/members/x", false)]
        {
            assert_eq!(pattern.leads_on(path, names.len()), leads, "{path}");
        }
        assert_eq!(pattern.fill(&[Some("a"), Some("b")]).as_deref(), Some("a/members/b"));
        assert_eq!(pattern.fill(&[Some("a"), None]), None);
    }

    #[test]
    fn mistakes_say_where_they_are() {
        let mistake = |text: &str| {
            let mistake = Pattern::defining(text, &mut Vec::new()).unwrap_err();
            (mistake.at.clone(), mistake.message)
        };
        assert_eq!(mistake("{a}{b}"), (3..6, "nothing says where the capture before this one ends".to_owned()));
        assert_eq!(mistake("x/{a"), (2..3, "this `{` is never closed".to_owned()));
        assert_eq!(mistake("x}"), (1..2, "no `{` goes with this `}`".to_owned()));
        assert_eq!(mistake("{a}/{a}"), (4..7, "{a} is there twice".to_owned()));
        assert_eq!(mistake("a//b"), (2..3, "an element is empty".to_owned()));
        assert_eq!(mistake(""), (0..1, "an element is empty".to_owned()));
        assert_eq!(mistake("a/../b"), (2..4, "no znode is called `..`".to_owned()));
        assert_eq!(mistake("{/x}").1, "this `{` is never closed");
        assert_eq!(mistake("{a-b}").1, "{a-b} is not a capture");
        let names = ["host".into()];
        let mistake = Pattern::using("x/{hots}", &names).unwrap_err();
        assert_eq!((mistake.at, mistake.help.as_deref()), (2..8, Some("did you mean {host}?")));
    }

    /// A name of a megabyte, made to be tried in every way.
    #[test]
    fn a_long_name_takes_no_longer_than_it_is_long() {
        let name = "a-".repeat(500_000);
        let begun = std::time::Instant::now();
        for text in ["{a}-{b}-{c}-{d}-{port}", "{host}-{a}-{b}-{c}-{port}", "{a}-{seq}", "{host}a-{b}:{port}"] {
            assert_eq!(captured(text, &name), None);
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
