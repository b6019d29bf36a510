//! Order of those who contend for a lock: kazoo's (`kazoo/recipe/lock.py`). Pure.

/// Names after a contender's own id, before its number: kazoo's `Lock` and `WriteLock`, and its `ReadLock`.
const MARKS: [&str; 2] = ["__lock__", "__rlock__"];
/// Digits of a number, as ZooKeeper writes it.
const DIGITS: usize = 10;

/// Mark of our own contenders.
pub(super) const MARK: &str = MARKS[0];

/// A contender's number as it is compared, as text; none of a child that does not contend.
fn number(name: &str) -> Option<&str> {
    MARKS.iter().find_map(|mark| {
        let number = &name[name.rfind(mark)? + mark.len()..];
        let digits = number.strip_prefix('-').unwrap_or(number);
        (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
    })
}

/// The children that contend, in the order in which they get the lock. A reader's is among them: an exclusive lock
/// waits for it.
pub(super) fn queue(children: &[String]) -> Vec<&str> {
    let mut queue: Vec<(&str, &str)> =
        children.iter().filter_map(|name| Some((number(name)?, name.as_str()))).collect();
    queue.sort_unstable();
    queue.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_are_served_by_number_whatever_their_ids_are() {
        let children =
            ["f0__lock__0000000002", "a9__lock__0000000010", "00__rlock__0000000001", "lease", "x__lock__12"];
        let children: Vec<String> = children.iter().map(ToString::to_string).collect();
        assert_eq!(queue(&children), ["00__rlock__0000000001", "f0__lock__0000000002", "a9__lock__0000000010"]);
    }

    #[test]
    fn numbers_beyond_the_largest_come_as_kazoo_has_them() {
        let children = ["b__lock__0000000001", "a__lock__-2147483648", "c__lock__00000000011"].map(str::to_owned);
        assert_eq!(queue(&children), ["a__lock__-2147483648", "b__lock__0000000001"]);
    }
}
