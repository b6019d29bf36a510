//! DNS cookies (RFC 7873) in the form that servers of different makers share (RFC 9018): a client that shows the cookie
//! it was given shows that it is where it says it is. Pure: the time is an argument, in seconds since 1970.

use std::fmt;
use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::dns::message::options::Presented;

/// Use of cookies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: they are not looked at.
    Off,
    /// Clients that send one get one.
    #[default]
    On,
    /// Over UDP only those who have a good one are answered.
    Required,
}

impl Mode {
    /// Reads `"off"`, `"on"` or `"required"`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "on" => Some(Self::On),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// A server's secret (RFC 9018 §4.4). Never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The server's part of a cookie: version, three reserved bytes, when it was made, and a hash.
pub type ServerCookie = [u8; 16];

/// The only version there is (RFC 9018 §4.1).
const VERSION: u8 = 1;
/// A cookie is good for so long, renewed when it is half as old, and may come from a clock that is so far ahead
/// (RFC 9018 §4.3).
const LIFETIME: i32 = 3600;
const RENEWAL: i32 = 1800;
const AHEAD: i32 = 300;

impl Secret {
    /// The secret of these bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The hash that a cookie ends with: over what the client sent, what precedes the hash, and where the client is
    /// (RFC 9018 §4.4).
    fn hash(&self, client: [u8; 8], head: [u8; 8], address: IpAddr) -> [u8; 8] {
        let mut input = [0; 32];
        input[..8].copy_from_slice(&client);
        input[8..16].copy_from_slice(&head);
        let length = match address.to_canonical() {
            IpAddr::V4(address) => {
                input[16..20].copy_from_slice(&address.octets());
                20
            }
            IpAddr::V6(address) => {
                input[16..].copy_from_slice(&address.octets());
                32
            }
        };
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&input[..length]);
        hasher.finish().to_le_bytes()
    }

    /// A cookie made at `now`.
    fn make(&self, client: [u8; 8], address: IpAddr, now: u32) -> ServerCookie {
        let mut cookie = [0; 16];
        cookie[0] = VERSION;
        cookie[4..8].copy_from_slice(&now.to_be_bytes());
        let [head, _] = halves(cookie);
        cookie[8..].copy_from_slice(&self.hash(client, head, address));
        cookie
    }
}

/// The secrets of a server: the first makes cookies, all of them are accepted. So cookies outlive the change of a
/// secret, and replicas can be given a new one one after the other (RFC 9018 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    current: Secret,
    accepted: Vec<Secret>,
}

impl Secrets {
    /// A server with one secret.
    pub fn new(secret: Secret) -> Self {
        Self { current: secret, accepted: Vec::new() }
    }

    /// Reads a file of secrets: a line of 32 hexadecimal digits each, the first of them the one in use. Empty lines,
    /// and those that begin with `#`, are comments.
    ///
    /// # Errors
    /// What is wrong, without a secret in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut secrets = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(line.as_bytes()).ok();
            let secret = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
            secrets.push(Secret(secret.ok_or(format!("line {number} is not 32 hexadecimal digits"))?));
        }
        if secrets.is_empty() {
            return Err("has no secret".into());
        }
        Ok(Self { current: secrets.remove(0), accepted: secrets })
    }

    /// The same with a new secret; the one that it replaces goes on being accepted, and those before it do not.
    pub fn rotated(&self, fresh: Secret) -> Self {
        Self { current: fresh, accepted: vec![self.current] }
    }

    /// Returns whether a client shows a good cookie, and the one to give it.
    pub fn judge(&self, presented: Presented, address: IpAddr, now: u64) -> (bool, ServerCookie) {
        let Presented { client, server, .. } = presented;
        // Serial number arithmetic (RFC 9018 §4.3): in 2106 the time begins anew.
        let now = u32::try_from(now & u64::from(u32::MAX)).unwrap_or_default();
        let fresh = || self.current.make(client, address, now);
        let Some(cookie) = server else { return (false, fresh()) };
        let [head, hash] = halves(cookie);
        let made = u32::from_be_bytes([cookie[4], cookie[5], cookie[6], cookie[7]]);
        let age = now.wrapping_sub(made).cast_signed();
        if cookie[0] != VERSION || !(-AHEAD..=LIFETIME).contains(&age) {
            return (false, fresh());
        }
        // The reserved bytes are hashed as they came (RFC 9018 §4.2).
        let is_ours =
            |secret: &Secret| u64::from_ne_bytes(secret.hash(client, head, address)) == u64::from_ne_bytes(hash);
        if is_ours(&self.current) {
            return (true, if age > RENEWAL { fresh() } else { cookie });
        }
        (self.accepted.iter().any(is_ours), fresh())
    }
}

fn halves(cookie: ServerCookie) -> [[u8; 8]; 2] {
    let [mut head, mut hash] = [[0; 8]; 2];
    head.copy_from_slice(&cookie[..8]);
    hash.copy_from_slice(&cookie[8..]);
    [head, hash]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    /// A cookie of both parts, or of the client's.
    fn presented(hex: &str) -> Presented {
        Presented {
            client: bytes(&hex[..16]),
            server: (hex.len() > 16).then(|| bytes(&hex[16..])),
            has_server: hex.len() > 16,
        }
    }

    /// Judges a cookie; returns what comes back, with the client's part.
    fn judge(secrets: &Secrets, hex: &str, address: &str, now: u64) -> (bool, String) {
        let presented = presented(hex);
        let (is_good, server) = secrets.judge(presented, address.parse().unwrap(), now);
        (is_good, data_encoding::HEXLOWER.encode(&[&presented.client[..], &server].concat()))
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    /// RFC 9018 appendix A.1 to A.3: a first cookie, a renewed one, and one with reserved bits, renewed.
    #[test]
    fn cookies_are_those_of_rfc9018() {
        let secrets = Secrets::parse(SECRET).unwrap();
        let first = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        assert_eq!(judge(&secrets, "2464c4abcf10c957", "198.51.100.100", 0x5cf7_9f11), (false, first.into()));
        let renewed = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
        assert_eq!(judge(&secrets, first, "198.51.100.100", 0x5cf7_a871), (true, renewed.into()));
        let (old, renewed) =
            ("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e");
        assert!(judge(&secrets, old, "203.0.113.203", 0x5cf7_9d00).0, "58 minutes old");
        assert_eq!(judge(&secrets, old, "203.0.113.203", 0x5cf7_a9ac), (false, renewed.into()), "and an hour later");
    }

    /// RFC 9018 appendix A.4: IPv6, and a secret that was replaced.
    #[test]
    fn a_replaced_secret_is_accepted_and_no_longer_used() {
        let secrets = Secrets::parse("445536bcd2513298075a5d379663c962\ndd3bdf9344b678b185a6f5cb60fca715\n").unwrap();
        let address = "2001:db8:220:1:59de:d0f4:8769:82b8";
        let old = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let new = "22681ab97d52c298010000005cf7c609a6bb79d16625507a";
        assert_eq!(judge(&secrets, old, address, 0x5cf7_c609), (true, new.into()));
        assert_eq!(judge(&secrets, new, address, 0x5cf7_c609), (true, new.into()));
        assert!(!judge(&Secrets::parse("445536bcd2513298075a5d379663c962").unwrap(), old, address, 0x5cf7_c609).0);
    }

    #[test]
    fn a_cookie_is_good_for_its_client_and_its_time_alone() {
        let secrets = Secrets::parse(SECRET).unwrap();
        let made = 1_000_000;
        let (_, cookie) = judge(&secrets, "2464c4abcf10c957", "192.0.2.1", made);
        let at = |now: u64| judge(&secrets, &cookie, "192.0.2.1", now);
        assert_eq!(at(made + 1800), (true, cookie.clone()), "given back as it is");
        assert!(at(made + 1801).0 && at(made + 1801).1 != cookie, "renewed");
        assert!(at(made + 3600).0 && !at(made + 3601).0);
        assert!(at(made - 300).0 && !at(made - 301).0);
        assert!(!judge(&secrets, &cookie, "192.0.2.2", made).0, "another address");
        assert!(judge(&secrets, &cookie, "::ffff:192.0.2.1", made).0, "the same address, mapped");
        for byte in 0..24 {
            let mut other = cookie.clone().into_bytes();
            other[2 * byte] = if other[2 * byte] == b'1' { b'2' } else { b'1' };
            assert!(!judge(&secrets, std::str::from_utf8(&other).unwrap(), "192.0.2.1", made).0, "byte {byte}");
        }
    }

    #[test]
    fn time_may_wrap() {
        let secrets = Secrets::parse(SECRET).unwrap();
        let (_, cookie) = judge(&secrets, "2464c4abcf10c957", "192.0.2.1", u64::from(u32::MAX) - 5);
        assert!(judge(&secrets, &cookie, "192.0.2.1", (1 << 32) + 10).0);
    }

    #[test]
    fn rotation_keeps_one_secret_back() {
        let one = Secrets::new(Secret::new([1; 16]));
        let (_, cookie) = judge(&one, "2464c4abcf10c957", "192.0.2.1", 7);
        let two = one.rotated(Secret::new([2; 16]));
        assert!(judge(&two, &cookie, "192.0.2.1", 7).0);
        assert!(!judge(&two.rotated(Secret::new([3; 16])), &cookie, "192.0.2.1", 7).0);
    }

    #[test]
    fn a_bad_file_is_refused_without_a_secret_in_the_message() {
        for bad in ["", "# nothing\n\n", "abc", &SECRET[..30], &format!("{SECRET}\nxyz"), &format!("{SECRET}00")] {
            let problem = Secrets::parse(bad).unwrap_err();
            assert!(!problem.contains("e5e9"), "{problem}");
        }
        assert!(!format!("{:?}", Secrets::parse(SECRET).unwrap()).contains("e5"), "not printed either");
    }
}
