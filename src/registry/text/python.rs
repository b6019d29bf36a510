//! Reading Python expressions.
//!
//! zc.zk hands a value to Python's `eval`, Python 2's. This reads literals and arithmetic between them (`arithmetic`),
//! and calls nothing: text (`'…'`, `"…"`, `u'…'`, pieces side by side), numbers, `True`, `False`, `None`, lists, tuples
//! and dicts; `60 * 5`, `1 << 20`, `['a'] + ['b']`. A comment may follow.

use super::arithmetic::{Operator, signed};
use super::literal::{Literal, LiteralEntries};
use crate::diagnostic::Problem;

/// Limit of nested lists and dicts: what `serde_json` still reads back with an object around it.
const NESTING: usize = 100;

/// A fault at a byte of the text.
pub(super) type Fault = Problem<usize>;

/// Reads the expression that is all of `text`, but for a comment behind it, and evaluates it.
pub(super) fn parse(text: &str) -> Result<Literal, Fault> {
    let mut reader = LiteralReader { text, at: 0, depth: 0 };
    let mut value = reader.value()?;
    if reader.eat(',') {
        // A tuple needs no parentheses.
        let mut items = vec![value];
        reader.space();
        while !matches!(reader.peek(), None | Some('#')) {
            items.push(reader.value()?);
            if !reader.eat(',') {
                break;
            }
            reader.space();
        }
        value = Literal::List(items);
    }
    match reader.peek() {
        None | Some('#') => Ok(value),
        Some(other) => Err(reader.fault(format!("unexpected `{other}` after the value"))),
    }
}

struct LiteralReader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> LiteralReader<'t> {
    /// A value that znodes can hold: a whole number of it has 64 bits.
    fn value(&mut self) -> Result<Literal, Fault> {
        self.space();
        let at = self.at;
        let value = self.expression(0)?;
        match value {
            Literal::Integer(number) if !(i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number) => {
                Err(Fault::error(at, format!("`{}` has more than 64 bits", self.text[at..self.at].trim_end())))
            }
            value => Ok(value),
        }
    }

    /// Values with operators of more than this rank between them, and the space behind them.
    fn expression(&mut self, rank: u8) -> Result<Literal, Fault> {
        let mut value = self.operand()?;
        self.space();
        while let Some((sign, operator)) = Operator::at_start(&self.text[self.at..])
            && operator.rank() > rank
        {
            let at = self.at;
            self.at += sign.len();
            let right = self.expression(operator.rank())?;
            value = operator.apply(&value, &right).map_err(|message| Fault::error(at, message))?;
            self.space();
        }
        Ok(value)
    }

    /// A value with the signs before it. A power binds tighter than a sign on its left: `-2 ** 2` is -4.
    fn operand(&mut self) -> Result<Literal, Fault> {
        self.space();
        let at = self.at;
        if let Some(sign @ ('+' | '-' | '~')) = self.peek() {
            let value = self.nested(|reader| {
                let value = reader.operand()?;
                reader.space();
                Ok(value)
            })?;
            return signed(sign, &value).map_err(|message| Fault::error(at, message));
        }
        let base = self.single()?;
        self.space();
        let at = self.at;
        if !self.text[at..].starts_with("**") {
            return Ok(base);
        }
        self.skip();
        // The second star is what a level of nesting skips.
        let power = self.nested(Self::operand)?;
        Operator::Power.apply(&base, &power).map_err(|message| Fault::error(at, message))
    }

    /// A value without signs and operators.
    fn single(&mut self) -> Result<Literal, Fault> {
        self.space();
        match self.peek() {
            None | Some('#') => Err(self.fault("a value is missing")),
            Some('[') => Ok(Literal::List(self.nested(|reader| reader.items(']'))?.0)),
            Some('(') => self.nested(Self::parentheses),
            Some('{') => Ok(Literal::Dict(self.nested(Self::dict)?)),
            Some(_) if self.begins_text() => self.texts(),
            Some('0'..='9' | '.') => self.number(),
            Some(_) => self.word(),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == NESTING {
            return Err(self.fault(format!("lists and dicts nest deeper than {NESTING}")));
        }
        self.depth += 1;
        self.skip();
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// The items up to `close`, and whether a comma came after the last one. One in parentheses may be a part of an
    /// expression.
    fn items(&mut self, close: char) -> Result<(Vec<Literal>, bool), Fault> {
        let mut items = Vec::new();
        let mut comma = true;
        loop {
            self.space();
            if self.eat(close) {
                return Ok((items, comma));
            }
            if !comma {
                return Err(self.fault(format!("`,` or `{close}` is missing")));
            }
            items.push(if close == ')' && items.is_empty() { self.expression(0)? } else { self.value()? });
            self.space();
            comma = self.eat(',');
        }
    }

    /// A tuple, or a value in parentheses.
    fn parentheses(&mut self) -> Result<Literal, Fault> {
        let (mut items, comma) = self.items(')')?;
        match items.pop() {
            Some(only) if items.is_empty() && !comma => Ok(only),
            last => {
                items.extend(last);
                Ok(Literal::List(items))
            }
        }
    }

    fn dict(&mut self) -> Result<Vec<(String, Literal)>, Fault> {
        let mut dict = LiteralEntries::default();
        let mut comma = true;
        loop {
            self.space();
            if self.eat('}') {
                return Ok(dict.entries);
            }
            if !comma {
                return Err(self.fault("`,` or `}` is missing"));
            }
            let key = self.key()?;
            self.space();
            if !self.eat(':') {
                return Err(self.fault("`:` is missing after the key"));
            }
            let value = self.value()?;
            dict.put(key, value);
            self.space();
            comma = self.eat(',');
        }
    }

    /// A key, as Python's `json` writes keys that are no text.
    fn key(&mut self) -> Result<String, Fault> {
        let at = self.at;
        match self.value()? {
            Literal::Text(text) => Ok(text),
            Literal::Bool(truth) => Ok(truth.to_string()),
            Literal::Null => Ok("null".to_owned()),
            Literal::Integer(number) => Ok(number.to_string()),
            Literal::Float(number) => Ok(format!("{number:?}")),
            Literal::List(_) | Literal::Dict(_) => Err(Fault::error(at, "a list or a dict cannot be a key")),
        }
    }

    /// One text, or several side by side, which Python puts together.
    fn texts(&mut self) -> Result<Literal, Fault> {
        let mut text = String::new();
        while self.begins_text() {
            let prefix = self.take_while(|before, c| before.is_empty() && matches!(c, 'u' | 'U'));
            let is_unicode = !prefix.is_empty();
            self.text(is_unicode, &mut text)?;
            self.space();
        }
        Ok(Literal::Text(text))
    }

    fn begins_text(&self) -> bool {
        let rest = &self.text[self.at..];
        rest.strip_prefix(['u', 'U']).unwrap_or(rest).starts_with(['\'', '"'])
    }

    /// One text, the reader before its quote. A text of Python 2 is bytes: where they are UTF-8, as what zc.zk exports
    /// of a `string_value`, they are read so.
    fn text(&mut self, is_unicode: bool, into: &mut String) -> Result<(), Fault> {
        let start = self.at;
        let quote = self.next();
        let (mut plain, mut bytes) = (String::new(), Vec::new());
        loop {
            match self.next() {
                None => return Err(Fault::error(start, "the text does not end on this line")),
                next if next == quote => break,
                Some('\\') => {
                    let is_number = matches!(self.peek(), Some('x' | '0'..='7'));
                    let character = self.escape()?;
                    plain.push(character);
                    match u8::try_from(u32::from(character)) {
                        Ok(byte @ 0x80..) if is_number => bytes.push(byte),
                        _ => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
                    }
                }
                Some(character) => {
                    plain.push(character);
                    bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
                }
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) if !is_unicode => into.push_str(&text),
            _ => into.push_str(&plain),
        }
        Ok(())
    }

    /// The character that an escape stands for, the reader behind its backslash. A backslash before a character that
    /// has no meaning stands for itself.
    fn escape(&mut self) -> Result<char, Fault> {
        let plain = match self.peek() {
            Some('0'..='7') => return self.character(3, 1, 8),
            Some('x') => return self.character(2, 2, 16),
            Some('u') => return self.character(4, 4, 16),
            Some('U') => return self.character(8, 8, 16),
            Some('N') => return Err(self.fault("characters by name are not known here: write \\u and the number")),
            Some(same @ ('\\' | '\'' | '"')) => same,
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            _ => return Ok('\\'),
        };
        self.skip();
        Ok(plain)
    }

    /// A character by its number: `least` to `most` digits, behind a letter unless they are octal.
    fn character(&mut self, most: usize, least: usize, radix: u32) -> Result<char, Fault> {
        let at = self.at - 1;
        if radix == 16 {
            self.skip();
        }
        let digits = self.take_while(|before, c| before.len() < most && c.is_digit(radix));
        if digits.len() < least {
            return Err(Fault::error(at, format!("the escape needs {least} hexadecimal digits")));
        }
        let character = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        character.ok_or_else(|| Fault::error(at, "the escape stands for no character"))
    }

    fn number(&mut self) -> Result<Literal, Fault> {
        let at = self.at;
        let fault = |message: String| Fault::error(at, message);
        let token = self.take_while(|before, c| {
            let exponent = before.ends_with(['e', 'E']) && !before.starts_with("0x");
            c.is_ascii_alphanumeric() || matches!(c, '_' | '.') || (exponent && matches!(c, '+' | '-'))
        });
        let no_number = || fault(format!("`{token}` is no number"));
        if !token.starts_with(|c: char| c.is_ascii_digit() || c == '.') || token.ends_with('_') || token.contains("__")
        {
            return Err(no_number());
        }
        let plain = token.replace('_', "").to_ascii_lowercase();
        let (digits, radix) = whole(&plain);
        if digits.chars().all(|digit| digit.is_digit(radix)) {
            if radix == 10 && digits.starts_with('0') && digits.bytes().any(|digit| digit != b'0') {
                return Err(fault(format!("`{token}` begins with a zero: an octal number is written 0o")));
            }
            if digits.is_empty() {
                return Err(no_number());
            }
            let magnitude = i128::from_str_radix(digits, radix).ok();
            return magnitude
                .filter(|number| *number <= i128::from(u64::MAX))
                .map(Literal::Integer)
                .ok_or_else(|| fault(format!("`{token}` has more than 64 bits")));
        }
        match plain.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Literal::Float(number)),
            Ok(_) => Err(fault(format!("`{token}` is too large"))),
            Err(_) => Err(no_number()),
        }
    }

    /// `True`, `False`, `None`.
    fn word(&mut self) -> Result<Literal, Fault> {
        let at = self.at;
        match self.take_while(|_, c| c.is_alphanumeric() || c == '_') {
            "True" => Ok(Literal::Bool(true)),
            "False" => Ok(Literal::Bool(false)),
            "None" => Ok(Literal::Null),
            "" => Err(self.fault(format!("`{}` begins no value", self.peek().unwrap_or(' ')))),
            word => {
                let message = format!("`{word}` is not known: text stands in quotes, and nothing is called");
                Err(Fault::error(at, message))
            }
        }
    }

    /// Takes characters as long as `accept` likes them; it is told what was taken before.
    fn take_while(&mut self, accept: impl Fn(&str, char) -> bool) -> &'t str {
        let rest = &self.text[self.at..];
        let end = rest.char_indices().find(|(at, c)| !accept(&rest[..*at], *c)).map_or(rest.len(), |(at, _)| at);
        self.at += end;
        &rest[..end]
    }

    fn space(&mut self) {
        self.take_while(|_, c| matches!(c, ' ' | '\t' | '\u{c}'));
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip(&mut self) {
        self.next();
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.skip();
        }
        found
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::error(self.at, message)
    }
}

/// The digits and the radix of what may be a whole number, in lower case.
fn whole(token: &str) -> (&str, u32) {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = token.strip_prefix(prefix) {
            return (digits, radix);
        }
    }
    // Python 2 puts an L behind large numbers.
    (token.strip_suffix('l').unwrap_or(token), 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        let value = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        serde_json::to_string(&value).unwrap()
    }

    fn fault(text: &str) -> (usize, String) {
        let fault = parse(text).expect_err(text);
        (fault.at, fault.message)
    }

    #[test]
    fn every_kind_of_literal_has_its_json() {
        for (text, expected) in [
            ("'a'", r#""a""#),
            (r#""it's""#, r#""it's""#),
            ("u'x' \"y\"U'z'", r#""xyz""#),
            (r"'\x41\101\u00fc\U0001f600\n\'\q'", r#""AAü😀\n'\\q""#),
            (r"'caf\xc3\xa9' u'\xe9' '\xe9'", r#""cafééé""#),
            ("10", "10"),
            (" - 0x_ff # comment", "-255"),
            ("+0o17", "15"),
            ("0b101", "5"),
            ("1_000L", "1000"),
            ("18446744073709551615", "18446744073709551615"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("-2.", "-2.0"),
            ("1e-3", "0.001"),
            ("True", "true"),
            ("None", "null"),
            ("[1, 'a', [],]", r#"[1,"a",[]]"#),
            ("(1)", "1"),
            ("(1,)", "[1]"),
            ("()", "[]"),
            ("(1, 2)", "[1,2]"),
            ("{'b': 1, 'a': {True: None}, 2: [],}", r#"{"b":1,"a":{"true":null},"2":[]}"#),
            ("{'a': 1, 'b': 2, 'a': 3}", r#"{"a":3,"b":2}"#),
        ] {
            assert_eq!(json(text), expected, "{text}");
        }
    }

    #[test]
    fn arithmetic_is_python_2s() {
        for (text, expected) in [
            ("60 * 60 * 24", "86400"),
            ("2 + 3 * 4 - 1", "13"),
            ("(2 + 3) * 4", "20"),
            ("10 - 3 - 2", "5"),
            ("7 / 2, -7 / 2, 7 / -2, 7 // 2", "[3,-4,-4,3]"),
            ("7 % 3, -7 % 3, 7 % -3, -7 % -3", "[1,2,-2,-1]"),
            ("7 / 2., 7.5 // 2, -7.5 % 2", "[3.5,3.0,0.5]"),
            ("2 ** 10, -2 ** 2, 2 ** -1, 2 ** 3 ** 2, (-1) ** 999999999999", "[1024,-4,0.5,512,-1]"),
            ("1 << 20 | 1", "1048577"),
            ("(1 << 64) - 1", "18446744073709551615"),
            ("0xff & ~0xf ^ 1", "241"),
            ("-1 >> 200, 1024 >> 3", "[-1,128]"),
            ("+-+-5, - -5, ~-1", "[5,5,0]"),
            ("True + 1, -True", "[2,-1]"),
            ("'a' * 3 + u'b', 2 * 'xy', 'a' * -1", r#"["aaab","xyxy",""]"#),
            ("['a'] + ['b'] * 2", r#"["a","b","b"]"#),
            ("{'a': 1 + 1, 2 * 3: [4 - 1]}", r#"{"a":2,"6":[3]}"#),
            ("1,", "[1]"),
            ("1, # one", "[1]"),
            ("[] * 999999999999", "[]"),
        ] {
            assert_eq!(json(text), expected, "{text}");
        }
    }

    #[test]
    fn what_arithmetic_cannot_do_is_refused_where_it_stands() {
        for (text, at, word) in [
            ("1 / 0", 2, "by zero"),
            ("1 % 0.0", 2, "by zero"),
            ("0 ** -1", 2, "by zero"),
            ("1 +", 3, "missing"),
            ("* 2", 0, "begins no value"),
            ("'a' + 1", 4, "`+` does not go with a text"),
            ("{} + 1", 3, "`+` does not go with a dict"),
            ("-'a'", 0, "`-` does not go with a text"),
            ("1.5 << 1", 4, "whole numbers"),
            ("1 << -1", 2, "less than nothing"),
            ("1 << 64", 0, "64 bits"),
            ("1 << 200", 2, "128 bits"),
            ("[1 << 64]", 1, "64 bits"),
            ("(1, 1 << 64)", 4, "64 bits"),
            ("9 ** 9 ** 9", 2, "128 bits"),
            ("'a' * 9999999", 4, "1 MiB"),
            ("[[0] * 1000000] * 1000000", 16, "1 MiB"),
            ("1e308 * 10", 6, "too large"),
        ] {
            let (found, message) = fault(text);
            assert!(message.contains(word), "{text}: {message}");
            assert_eq!(found, at, "{text}: {message}");
        }
        assert!(fault(&"-".repeat(100_000)).1.contains("deeper"));
        assert!(fault(&"2 ** ".repeat(100_000)).1.contains("deeper"));
    }

    #[test]
    fn what_is_no_literal_is_refused_where_it_stands() {
        for (text, at, word) in [
            ("", 0, "missing"),
            ("# nothing", 0, "missing"),
            ("'open", 0, "does not end"),
            ("'a' 1", 4, "unexpected `1`"),
            ("1, 2 3", 5, "unexpected `3`"),
            ("[1 2]", 3, "`,` or `]`"),
            ("{1}", 2, "`:`"),
            ("{[]: 1}", 1, "key"),
            ("open('/etc/passwd')", 0, "`open` is not known"),
            ("b'x'", 0, "`b` is not known"),
            ("@", 0, "begins no value"),
            ("010", 0, "0o"),
            ("1__0", 0, "no number"),
            ("0x", 0, "no number"),
            ("1.2.3", 0, "no number"),
            ("--", 2, "missing"),
            ("1e999", 0, "too large"),
            ("18446744073709551616", 0, "64 bits"),
            (r"'ab\ud800'", 3, "no character"),
            (r"'\x4'", 1, "2 hexadecimal digits"),
            (r"'\N{BULLET}'", 2, "by name"),
        ] {
            let (found, message) = fault(text);
            assert!(message.contains(word), "{text}: {message}");
            assert_eq!(found, at, "{text}: {message}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let deepest = nested(NESTING);
        assert_eq!(json(&deepest), deepest);
        assert!(serde_json::from_str::<Literal>(&deepest).is_ok());
        assert!(fault(&nested(NESTING + 1)).1.contains("deeper"));
        assert!(fault(&"{1:(".repeat(100_000)).1.contains("deeper"));
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in
            [r#"{"b":[1,-2.5,1e300,true,null],"a":"it's\n\u0000\u0085 \"ü\" \\","":{}}"#, "18446744073709551615"]
        {
            let value: Literal = serde_json::from_str(text).unwrap();
            assert_eq!(parse(&value.to_string()), Ok(value), "{text}");
        }
    }
}
