//! The query part of a request's target: `?registry=main&prefix=staging/`.

/// Reason for which a query says nothing that can be answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadQuery {
    /// A misspelt filter would otherwise show everything.
    #[error("there is no parameter `{key}` here, only {known}")]
    Unknown { key: String, known: &'static str },
    /// Which of the two was meant?
    #[error("`{key}` is given twice")]
    Twice { key: &'static str },
    /// A `%` without two hexadecimal digits, or bytes that are no text.
    #[error("`{0}` is not percent-encoded UTF-8")]
    Encoding(String),
    /// No time to wait for.
    #[error("`{0}` is no number of seconds from 1 to 65535")]
    Seconds(String),
}

/// Reads after how many seconds a page shall be loaded again, if that is wished.
pub(super) fn seconds(refresh: Option<String>) -> Result<Option<u16>, BadQuery> {
    let seconds = |text: String| match text.parse() {
        Ok(0) | Err(_) => Err(BadQuery::Seconds(text)),
        Ok(seconds) => Ok(seconds),
    };
    refresh.map(seconds).transpose()
}

/// Reads the parameters called `names`, in their order; `known` says their names in a message.
pub(super) fn parameters<const N: usize>(
    query: Option<&str>,
    names: [&'static str; N],
    known: &'static str,
) -> Result<[Option<String>; N], BadQuery> {
    let mut values = [const { None }; N];
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decode(key)?;
        let Some(at) = names.iter().position(|name| *name == key) else { return Err(BadQuery::Unknown { key, known }) };
        if values[at].replace(decode(value)?).is_some() {
            return Err(BadQuery::Twice { key: names[at] });
        }
    }
    Ok(values)
}

/// Undoes percent-encoding as forms write it: a plus is a space.
fn decode(text: &str) -> Result<String, BadQuery> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => digit(rest.next())
                .zip(digit(rest.next()))
                .map(|(high, low)| high << 4 | low)
                .ok_or_else(|| BadQuery::Encoding(text.to_owned()))?,
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| BadQuery::Encoding(text.to_owned()))
}

fn digit(byte: Option<u8>) -> Option<u8> {
    u8::try_from(char::from(byte?).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> Result<[Option<String>; 2], BadQuery> {
        parameters(Some(query), ["registry", "prefix"], "`registry` and `prefix`")
    }

    #[test]
    fn filters_are_read_and_decoded() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parameters(None, ["a"], ""), Ok([None]));
        assert_eq!(list("&"), Ok([None, None]));
        assert_eq!(list("prefix=a%2Fb+c%C3%A4"), Ok([None, some("a/b cä")]));
        assert_eq!(list("registry=main&prefix="), Ok([some("main"), some("")]));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let unknown = |query| matches!(list(query), Err(BadQuery::Unknown { .. }));
        assert!(unknown("perfix=a") && unknown("Registry=a") && unknown("=a"));
        assert_eq!(list("prefix=a&prefix=a"), Err(BadQuery::Twice { key: "prefix" }));
        for bad in ["prefix=%", "prefix=%4", "prefix=%zz", "prefix=%+1", "prefix=%ff", "%=a"] {
            assert!(matches!(list(bad), Err(BadQuery::Encoding(_))), "{bad}");
        }
    }
}
