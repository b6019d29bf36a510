//! Signed requests and responses (RFC 8945), on bytes. Pure: the time is an argument, in seconds since 1970.
//!
//! A request is [`check`]ed before anybody looks at what it asks; what comes back signs each message of the answer.
//! MACs that are cut short are not taken. What this server asks itself is the [`Asker`]'s.

mod asker;
mod record;

use std::sync::Arc;

pub use asker::{Asker, Checked};

use super::key::TsigKey;
use super::parse::Message;
use super::request::Opt;
use crate::zone::name::Name;
use record::{FUDGE, Signature, append, read, time48, unsign, variables};

/// Verdict on the signature of a request.
#[derive(Debug)]
pub enum Verdict {
    /// There is none.
    Unsigned,
    /// It is good: the answer is to be signed with this.
    Good(Signer),
    /// It is not: this is the whole answer (RFC 8945 §5.2).
    Bad(Vec<u8>),
}

const FORMERR: u8 = 1;
const NOTAUTH: u8 = 9;

/// TSIG errors (RFC 8945 §3): what is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Error {
    Sig = 16,
    Key = 17,
    Time = 18,
    Trunc = 22,
}

/// Judges the signature of a request at `now`.
pub fn check(message: &Message<'_>, keys: &[Arc<TsigKey>], now: u64) -> Verdict {
    let (request, Some(record)) = (&message.request, &message.signature) else { return Verdict::Unsigned };
    // RFC 8945 §5.2: what cannot be interpreted is a FORMERR.
    let Some(signature) = &read(record) else { return Verdict::Bad(request.response(FORMERR, false)) };
    // Unknown keys and wrong MACs are answered without a MAC: there is nothing to make one with, or nobody to trust.
    let unsigned = |error| {
        let mut response = request.response(NOTAUTH, false);
        request.push_opt(&mut response, Opt::default());
        push(&mut response, signature, signature.time, error, &[], &[]);
        Verdict::Bad(response)
    };
    let known = |key: &&Arc<TsigKey>| key.name == signature.key && *key.algorithm.wire() == *signature.algorithm.wire();
    let Some(key) = keys.iter().find(known) else { return unsigned(Error::Key) };
    let length = key.algorithm.length();
    match signature.mac.len() {
        mac if mac > length || mac < (length / 2).max(10) => return Verdict::Bad(request.response(FORMERR, false)),
        _ => {}
    }
    let unsigned_message = unsign(message.bytes, signature);
    let variables = variables(key, signature.time, signature.fudge, signature.error, signature.other);
    // A shortened MAC may be right, and is not enough (RFC 8945 §5.2.2.1).
    if signature.mac.len() < length {
        return unsigned(Error::Trunc);
    }
    if !key.verify(&[&unsigned_message, &variables], signature.mac) {
        return unsigned(Error::Sig);
    }
    let mut signer = Signer { key: Arc::clone(key), prior: signature.mac.to_vec(), is_first: true };
    if now.abs_diff(signature.time) > u64::from(signature.fudge) {
        let mut response = request.response(NOTAUTH, false);
        request.push_opt(&mut response, Opt::default());
        // The client's time, so that it can check the MAC, and ours beside it (RFC 8945 §5.2.3).
        signer.sign_with(&mut response, signature.time, Error::Time as u16, &time48(now));
        return Verdict::Bad(response);
    }
    Verdict::Good(signer)
}

/// Signs the messages of one answer, in their order.
#[derive(Debug)]
pub struct Signer {
    key: Arc<TsigKey>,
    /// The MAC before: the request's, then that of each message (RFC 8945 §5.3.1).
    prior: Vec<u8>,
    is_first: bool,
}

impl Signer {
    /// The key.
    pub fn key(&self) -> &Name {
        &self.key.name
    }

    /// Bytes that a signature takes.
    pub fn size(&self) -> usize {
        self.key.name.wire().len() + 10 + self.key.algorithm.wire().len() + 16 + self.key.algorithm.length()
    }

    /// Signs the next message of the answer.
    pub fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        self.sign_with(message, now, 0, &[]);
    }

    fn sign_with(&mut self, message: &mut Vec<u8>, time: u64, error: u16, other: &[u8]) {
        let length = u16::try_from(self.prior.len()).unwrap_or_default().to_be_bytes();
        let variables = if self.is_first {
            variables(&self.key, time, FUDGE, error, other)
        } else {
            [&time48(time)[..], &FUDGE.to_be_bytes()].concat()
        };
        let mac = self.key.mac(&[&length, &self.prior, message, &variables]);
        let id = u16::from_be_bytes([message[0], message[1]]);
        append(message, self.key.name.wire(), self.key.algorithm.wire(), (time, FUDGE), &mac, (id, error), other);
        self.prior = mac;
        self.is_first = false;
    }
}

fn push(message: &mut Vec<u8>, asked: &Signature<'_>, time: u64, error: Error, mac: &[u8], other: &[u8]) {
    let (name, algorithm) = (asked.key.wire(), asked.algorithm.wire());
    append(message, name, algorithm, (time, asked.fudge), mac, (asked.original_id, error as u16), other);
}

#[cfg(test)]
pub(in crate::dns) mod tests {
    use super::*;
    use crate::dns::message::key::Algorithm;

    pub(in crate::dns) const NOW: u64 = 1_800_000_000;

    pub(in crate::dns) fn key(name: &str, secret: &[u8]) -> Arc<TsigKey> {
        Arc::new(TsigKey::new(&Name::parse(name).unwrap(), Algorithm::Sha256, secret.to_vec()))
    }

    /// Signs a request as a client does: as the first message, with nothing before it.
    pub(in crate::dns) fn signed_request(message: &[u8], key: &TsigKey, time: u64) -> Vec<u8> {
        let mut signed = message.to_vec();
        let mac = key.mac(&[message, &variables(key, time, FUDGE, 0, &[])]);
        let id = u16::from_be_bytes([message[0], message[1]]);
        append(&mut signed, key.name.wire(), key.algorithm.wire(), (time, FUDGE), &mac, (id, 0), &[]);
        signed
    }

    pub(in crate::dns) const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07service\0\0\x06\0\x01";

    fn error_of(response: &[u8]) -> (u8, u16, usize) {
        let message = Message::parse(response).unwrap();
        let signature = read(message.signature.as_ref().unwrap()).unwrap();
        (response[3] & 0x0f, signature.error, signature.mac.len())
    }

    #[test]
    fn a_good_signature_is_taken_and_the_answers_carry_theirs() {
        let key = key("xfr", b"0123456789abcdef");
        let message = signed_request(QUERY, &key, NOW - 299);
        let message = Message::parse(&message).unwrap();
        let Verdict::Good(mut signer) = check(&message, &[Arc::clone(&key)], NOW) else { panic!("not taken") };
        let request = &message.request;
        let mut prior = read(message.signature.as_ref().unwrap()).unwrap().mac.to_vec();
        for round in 0..3 {
            let plain = request.response(0, true);
            let mut answer = plain.clone();
            signer.sign(&mut answer, NOW);
            assert_eq!(answer.len(), plain.len() + signer.size());
            let parsed = Message::parse(&answer).unwrap();
            let theirs = read(parsed.signature.as_ref().unwrap()).unwrap();
            let length = u16::try_from(prior.len()).unwrap().to_be_bytes();
            let all = variables(&key, NOW, FUDGE, 0, &[]);
            let timers = [&time48(NOW)[..], &FUDGE.to_be_bytes()].concat();
            let variables = if round == 0 { all } else { timers };
            assert!(key.verify(&[&length, &prior, &plain, &variables], theirs.mac), "message {round}");
            prior = theirs.mac.to_vec();
        }
    }

    #[test]
    fn rfc8945_5_2_bad_keys_macs_and_times() {
        let (key, other) = (key("xfr", b"0123456789abcdef"), key("xfr", b"fedcba9876543210"));
        let verdict = |message: &[u8], keys: &[Arc<TsigKey>]| match check(&Message::parse(message).unwrap(), keys, NOW)
        {
            Verdict::Bad(response) => response,
            verdict => panic!("{verdict:?}"),
        };
        let message = signed_request(QUERY, &key, NOW);
        assert_eq!(error_of(&verdict(&message, &[])), (9, 17, 0), "BADKEY");
        assert_eq!(error_of(&verdict(&message, &[other])), (9, 16, 0), "BADSIG");
        let late = signed_request(QUERY, &key, NOW - 301);
        assert_eq!(error_of(&verdict(&late, &[Arc::clone(&key)])), (9, 18, 32), "BADTIME, signed");
        // Anything changed behind the signer's back.
        for at in [3, 15, 18] {
            let mut changed = message.clone();
            changed[at] ^= 0x10;
            assert_eq!(error_of(&verdict(&changed, &[Arc::clone(&key)])), (9, 16, 0), "byte {at}");
        }
    }

    #[test]
    fn rfc8945_5_2_2_1_short_macs_are_not_enough() {
        let key = key("xfr", b"0123456789abcdef");
        let mac = key.mac(&[QUERY, &variables(&key, NOW, FUDGE, 0, &[])]);
        for (length, rcode) in [(16, 9), (9, 1), (31, 9)] {
            let mut message = QUERY.to_vec();
            let id = (0x1234, 0);
            append(&mut message, key.name.wire(), key.algorithm.wire(), (NOW, FUDGE), &mac[..length], id, &[]);
            let Verdict::Bad(response) = check(&Message::parse(&message).unwrap(), &[Arc::clone(&key)], NOW) else {
                panic!("{length} bytes taken")
            };
            assert_eq!(response[3] & 0x0f, rcode, "{length}");
        }
    }

    /// A forwarder may have changed the ID: the signature is over the first one.
    #[test]
    fn the_original_id_is_what_was_signed() {
        let key = key("xfr", b"0123456789abcdef");
        let mut message = signed_request(QUERY, &key, NOW);
        message[..2].copy_from_slice(&[9, 9]);
        let message = Message::parse(&message).unwrap();
        assert!(matches!(check(&message, &[Arc::clone(&key)], NOW), Verdict::Good(_)));
        assert_eq!(message.request.id(), 0x0909);
    }

    /// RFC 8945 §5.2. It was taken for no signature, and the request answered whoever had sent it.
    #[test]
    fn a_signature_that_cannot_be_read_is_a_form_error() {
        let key = key("xfr", b"0123456789abcdef");
        let message = signed_request(QUERY, &key, NOW);
        // The class, and the length of the MAC.
        let owner = QUERY.len() + key.name.wire().len();
        for at in [owner + 3, owner + 10 + key.algorithm.wire().len() + 8] {
            let mut malformed = message.clone();
            malformed[at] ^= 0x01;
            let Verdict::Bad(response) = check(&Message::parse(&malformed).unwrap(), &[Arc::clone(&key)], NOW) else {
                panic!("byte {at} is taken")
            };
            assert_eq!(response, Message::parse(QUERY).unwrap().request.response(FORMERR, false));
        }
    }
}
