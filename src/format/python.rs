//! Values that Python's `json` writes and reads, and JSON does not have: `NaN`, `Infinity`, `-Infinity`, numbers that
//! are infinite (`1e999`) and halves of surrogate pairs (`"\ud83d"`). zc.zk and kazoo are Python: each such value is
//! left out, and nothing else with it.

/// The text with `instead` for each number that is none, and U+FFFD for half a character; and how many there were.
pub(super) fn mend(text: &str, instead: &str) -> (String, usize) {
    let (mut mended, mut count) = (String::with_capacity(text.len()), 0);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = string(rest, &mut mended, &mut count);
            rest = &rest[end..];
            continue;
        }
        // Words and numbers, as far as they go.
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        let word = &rest[..end];
        if word.is_empty() {
            mended.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let is_number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        let is_infinite = is_number && word.parse::<f64>().is_ok_and(f64::is_infinite);
        if matches!(word, "NaN" | "Infinity" | "-Infinity") || is_infinite {
            mended.push_str(instead);
            count += 1;
        } else {
            mended.push_str(word);
        }
        rest = &rest[end..];
    }
    (mended, count)
}

/// Copies the string at the start of `text`; where it ends.
fn string(text: &str, mended: &mut String, count: &mut usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut copied) = (1, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                break;
            }
            b'\\' => {
                let half = unit(bytes, at);
                let is_pair =
                    matches!(half, Some(0xd800..=0xdbff)) && matches!(unit(bytes, at + 6), Some(0xdc00..=0xdfff));
                match half {
                    Some(0xd800..=0xdfff) if is_pair => at += 12,
                    Some(0xd800..=0xdfff) => {
                        mended.push_str(&text[copied..at]);
                        mended.push_str("\\ufffd");
                        at += 6;
                        copied = at;
                        *count += 1;
                    }
                    // What is escaped may be more than a byte.
                    _ => at += 1 + text.get(at + 1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8),
                }
            }
            _ => at += 1,
        }
    }
    let end = at.min(text.len());
    mended.push_str(&text[copied..end]);
    end
}

/// The unit of UTF-16 that is written at `at` as `\u` and four digits.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_replaced_and_nothing_else() {
        for (text, mended, count) in [
            (
                r#"{"a":NaN,"b":[Infinity,-Infinity,1e999,-1e999,1e9]}"#,
                r#"{"a":null,"b":[null,null,null,null,1e9]}"#,
                4 + 1,
            ),
            (r#"{"a":"NaN 1e999 \"NaN","NaN":1}"#, r#"{"a":"NaN 1e999 \"NaN","NaN":1}"#, 0),
            (
                r#"{"a":"x\ud83d","b":"\ud83d\ude00","c":"\ude00\ud83d\\ud83d"}"#,
                r#"{"a":"x\ufffd","b":"\ud83d\ude00","c":"\ufffd\ufffd\\ud83d"}"#,
                3,
            ),
            (r#"{"a":true,"b":NaNa}"#, r#"{"a":true,"b":NaNa}"#, 0),
            (r#"{"ü":"\ü","#, r#"{"ü":"\ü","#, 0),
        ] {
            assert_eq!(mend(text, "null"), (mended.to_owned(), count), "{text}");
        }
    }

    #[test]
    fn seeded_garbage_costs_no_panic_and_what_was_json_stays_what_it_was() {
        let pieces = [
            "{",
            "}",
            "\"",
            "\\",
            "\\u",
            "d83d",
            "NaN",
            "1e999",
            "ü",
            ":",
            ",",
            "[",
            "]",
            "a",
            "-",
            "Infinity",
            "\\ud83d",
            " ",
            "\u{1f600}",
        ];
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..50_000 {
            let text: String = (0..rng.usize(..12)).map(|_| pieces[rng.usize(..pieces.len())]).collect();
            let (mended, count) = mend(&text, "null");
            assert!(count > 0 || mended == text, "{text:?} became {mended:?}");
        }
    }
}
