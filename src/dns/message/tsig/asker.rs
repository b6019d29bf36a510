//! The asking side of signatures: signs a request of ours, and checks what comes back to it (RFC 8945 §5.1, §5.4).
//! Pure.

use std::sync::Arc;

use super::record::{FUDGE, append, read, unsign, variables};
use crate::dns::message::key::TsigKey;
use crate::dns::message::parse::Message;

/// A request that was signed, waiting for its response.
#[derive(Debug)]
pub struct Asker {
    key: Arc<TsigKey>,
    /// The request's MAC, which the response's is made with.
    mac: Vec<u8>,
}

/// Verdict on the signature of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is good.
    Good,
    /// There is none, and the other side says why: a TSIG error, such as 17 for a key that it does not have. Anybody
    /// could say so.
    Unsigned(u16),
    /// There is none, or it is none of ours.
    Bad,
}

impl Asker {
    /// Signs `message` at `now`, in seconds since 1970.
    pub fn sign(key: &Arc<TsigKey>, message: &mut Vec<u8>, now: u64) -> Self {
        let mac = key.mac(&[message, &variables(key, now, FUDGE, 0, &[])]);
        let id = message.first_chunk().copied().map_or(0, u16::from_be_bytes);
        append(message, key.name.wire(), key.algorithm.wire(), (now, FUDGE), &mac, (id, 0), &[]);
        Self { key: Arc::clone(key), mac }
    }

    /// Checks a response at `now`.
    pub fn check(&self, response: &Message<'_>, now: u64) -> Checked {
        let Some(signature) = response.signature.as_ref().and_then(read) else { return Checked::Bad };
        if signature.mac.is_empty() && signature.error != 0 {
            return Checked::Unsigned(signature.error);
        }
        let Self { key, mac } = self;
        if signature.key != key.name || *signature.algorithm.wire() != *key.algorithm.wire() {
            return Checked::Bad;
        }
        let length = u16::try_from(mac.len()).unwrap_or_default().to_be_bytes();
        let message = unsign(response.bytes, &signature);
        let variables = variables(key, signature.time, signature.fudge, signature.error, signature.other);
        let is_good = key.verify(&[&length, mac, &message, &variables], signature.mac)
            && now.abs_diff(signature.time) <= u64::from(signature.fudge);
        if is_good { Checked::Good } else { Checked::Bad }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::tsig::tests::{NOW, QUERY, key};
    use crate::dns::message::tsig::{Verdict, check};

    #[test]
    fn what_one_side_signs_the_other_takes() {
        let key = key("xfr", b"0123456789abcdef");
        let mut message = QUERY.to_vec();
        let asker = Asker::sign(&key, &mut message, NOW);
        let request = Message::parse(&message).unwrap();
        let Verdict::Good(mut signer) = check(&request, std::slice::from_ref(&key), NOW) else { panic!("not taken") };
        let check_at = |asker: &Asker, response: &[u8], now| {
            Message::parse(response).map_or(Checked::Bad, |response| asker.check(&response, now))
        };
        let mut response = request.request.response(0, true);
        assert_eq!(check_at(&asker, &response, NOW), Checked::Bad, "unsigned");
        signer.sign(&mut response, NOW);
        assert_eq!(check_at(&asker, &response, NOW), Checked::Good);
        assert_eq!(check_at(&asker, &response, NOW + 301), Checked::Bad, "old");
        for at in [3, 15, 20] {
            let mut changed = response.clone();
            changed[at] ^= 0x04;
            assert_eq!(check_at(&asker, &changed, NOW), Checked::Bad, "byte {at}");
        }
        let Verdict::Bad(refused) = check(&request, &[], NOW) else { panic!("an unknown key is taken") };
        assert_eq!(check_at(&asker, &refused, NOW), Checked::Unsigned(17));
        // The response to another request.
        let other = Asker::sign(&key, &mut QUERY.to_vec(), NOW - 1);
        assert_eq!(check_at(&other, &response, NOW), Checked::Bad);
        assert_eq!(check_at(&asker, b"", NOW), Checked::Bad);
    }
}
