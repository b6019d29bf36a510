//! EDNS options (RFC 6891 §6.1.2): those of a query that mean something here, and those that go back with the answer.
//! On bytes and without an allocation, for both paths. Pure.
//!
//! Everything else is skipped as if it were not there (RFC 6891 §6.1.2). Padding is answered over encrypted transports
//! only (RFC 7830 §6), behind all else ([`super::padding`]).

/// DNS NSID (RFC 5001).
pub const NSID: u16 = 3;
/// COOKIE (RFC 7873).
pub const COOKIE: u16 = 10;
/// edns-tcp-keepalive (RFC 7828).
pub const KEEPALIVE: u16 = 11;
/// PADDING (RFC 7830).
pub const PADDING: u16 = 12;

/// Bytes before an option's data: its code and its length.
pub const OPTION_HEAD: usize = 4;
/// The longest name that a server may give itself.
pub const MAX_NSID: usize = 128;

/// Options of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// The cookie.
    pub cookie: Option<Presented>,
    /// True if the server's name is wanted.
    pub nsid: bool,
    /// True if the client wants to know how long its connection may idle.
    pub keepalive: bool,
    /// True if it is padded, and its response may be.
    pub padding: bool,
}

/// A cookie as a client presents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// The client's part.
    pub client: [u8; 8],
    /// The server's part, if it is as long as those that are made here. One of another length is well-formed (RFC 7873
    /// §4) and not ours: like none.
    pub server: Option<[u8; 16]>,
    /// True if there is a server's part at all.
    pub has_server: bool,
}

impl Options {
    /// Returns whether any of them wants something back.
    #[inline]
    pub fn asks(&self) -> bool {
        self.cookie.is_some() || self.nsid || self.keepalive
    }

    /// Reads the data of an OPT record; none for what is malformed, which is a FORMERR (for cookies: RFC 7873 §5.2.2).
    pub fn read(mut rdata: &[u8]) -> Option<Self> {
        let mut options = Self::default();
        while let Some((&[code_high, code_low, high, low], rest)) = rdata.split_first_chunk::<OPTION_HEAD>() {
            let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            match u16::from_be_bytes([code_high, code_low]) {
                // Of several cookies the first counts (RFC 7873 §5.2).
                COOKIE if options.cookie.is_none() => options.cookie = Some(Presented::read(data)?),
                NSID => options.nsid = true,
                KEEPALIVE => options.keepalive = true,
                PADDING => options.padding = true,
                _ => {}
            }
            rdata = rest;
        }
        rdata.is_empty().then_some(options)
    }
}

impl Presented {
    fn read(data: &[u8]) -> Option<Self> {
        let (client, server) = data.split_first_chunk::<8>()?;
        match server.len() {
            0 | 8..=32 => {
                Some(Self { client: *client, server: server.try_into().ok(), has_server: !server.is_empty() })
            }
            _ => None,
        }
    }
}

/// The options of an answer but for the extended error, as they go on the wire. One serves for many answers.
#[derive(Debug, Clone)]
pub struct Tail {
    bytes: [u8; TAIL],
    length: usize,
}

/// A cookie, the longest name, and a time-out.
const TAIL: usize = OPTION_HEAD + 24 + OPTION_HEAD + MAX_NSID + OPTION_HEAD + 2;

impl Default for Tail {
    fn default() -> Self {
        Self { bytes: [0; TAIL], length: 0 }
    }
}

impl Tail {
    /// Takes everything out.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends an option whose data are these pieces; one that there is no room for is left out.
    pub fn push(&mut self, code: u16, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let (Some(room), Ok(short)) =
            (self.bytes.get_mut(self.length..self.length + OPTION_HEAD + length), u16::try_from(length))
        else {
            return;
        };
        let (head, mut data) = room.split_at_mut(OPTION_HEAD);
        head[..2].copy_from_slice(&code.to_be_bytes());
        head[2..].copy_from_slice(&short.to_be_bytes());
        for piece in pieces {
            let (to, rest) = data.split_at_mut(piece.len());
            to.copy_from_slice(piece);
            data = rest;
        }
        self.length += OPTION_HEAD + length;
    }

    /// Each option: its code and its data.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = self.as_bytes();
        std::iter::from_fn(move || {
            let (&[code_high, code_low, high, low], after) = rest.split_first_chunk::<OPTION_HEAD>()?;
            let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            rest = after;
            Some((u16::from_be_bytes([code_high, code_low]), data))
        })
    }

    /// The options in wire form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(code: u16, data: &[u8]) -> Vec<u8> {
        let mut tail = Tail::default();
        tail.push(code, &[data]);
        tail.as_bytes().to_vec()
    }

    #[test]
    fn options_that_mean_something_are_found_among_others() {
        let rdata =
            [option(8, &[0, 1, 0, 0]), option(NSID, b""), option(COOKIE, &[7; 8]), option(12, &[0; 40])].concat();
        let options = Options::read(&rdata).unwrap();
        let cookie = Presented { client: [7; 8], server: None, has_server: false };
        assert_eq!(options, Options { cookie: Some(cookie), nsid: true, keepalive: false, padding: true });
        assert_eq!(Options::read(b""), Some(Options::default()));
        assert!(Options::read(&option(KEEPALIVE, b"")).unwrap().keepalive);
    }

    /// RFC 7873 §4: 8 bytes, or 8 and 8 to 32 more. §5.2.2: anything else is malformed.
    #[test]
    fn cookies_are_as_long_as_they_may_be() {
        for length in 0..=60 {
            let read = Options::read(&option(COOKIE, &vec![1; length]));
            assert_eq!(read.is_some(), matches!(length, 8 | 16..=40), "{length}");
            let server = read.and_then(|options| options.cookie.unwrap().server);
            assert_eq!(server.is_some(), length == 24, "{length}");
        }
    }

    #[test]
    fn the_first_cookie_counts() {
        let rdata = [option(COOKIE, &[1; 8]), option(COOKIE, &[2; 24])].concat();
        assert_eq!(Options::read(&rdata).unwrap().cookie.unwrap().client, [1; 8]);
    }

    #[test]
    fn options_that_do_not_end_where_they_say_are_malformed() {
        let good = option(NSID, b"abc");
        for end in 1..good.len() {
            assert_eq!(Options::read(&good[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_tail_holds_the_longest_options_and_no_more() {
        let mut tail = Tail::default();
        tail.push(COOKIE, &[&[1; 8], &[2; 16]]);
        tail.push(NSID, &[&[3; MAX_NSID]]);
        tail.push(KEEPALIVE, &[&[0, 100]]);
        assert_eq!(tail.as_bytes().len(), TAIL);
        tail.push(NSID, &[]);
        assert_eq!(tail.as_bytes().len(), TAIL, "no room");
        assert!(tail.as_bytes().starts_with(&[0, 10, 0, 24, 1, 1, 1, 1, 1, 1, 1, 1, 2]));
        tail.clear();
        assert_eq!(tail.as_bytes(), b"");
    }
}
