//! Protobuf messages (protobuf.dev, "Encoding") without their definitions: fields by their numbers.
//!
//! A pointer says what a field is: one that goes on takes it for a message, one that ends takes it for a number or a
//! text. Of a field that is there several times the first one counts. `HBase`'s header is skipped (`ZKMetadata.java`):
//! a byte 0xFF, a length of four bytes, as many bytes, and `PBUF`.

use serde_json::Value as Json;

use crate::format::error::Error;

/// Largest number of a field.
pub(super) const LARGEST: u64 = (1 << 29) - 1;

/// The message in data: without `HBase`'s header.
pub(super) fn message(data: &[u8]) -> &[u8] {
    let mut message = data;
    if let [0xff, a, b, c, d, rest @ ..] = data
        && let Ok(length) = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d]))
    {
        message = rest.get(length..).unwrap_or_default();
    }
    message.strip_prefix(b"PBUF").unwrap_or(message)
}

/// Reads all fields of a message, and none below them.
pub(super) fn check(message: &[u8]) -> Result<(), Error> {
    Fields(message).try_for_each(|field| field.map(|_| ()).map_err(|why| Error::BadData("a protobuf message", why)))
}

/// The value at a pointer, whose tokens are the numbers of fields.
pub(super) fn at(message: &[u8], pointer: &[Box<str>]) -> Option<Json> {
    let (last, way) = pointer.split_last()?;
    let mut message = message;
    for token in way {
        let Payload::Bytes(inner) = field(message, token)? else { return None };
        message = inner;
    }
    match field(message, last)? {
        #[allow(clippy::cast_possible_wrap)] // as it was written: negative ones are 64 bits
        Payload::Number(number) => Some((number as i64).into()),
        Payload::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Into::into),
    }
}

/// The first field of this number, in a message that can be read to its end.
fn field<'m>(message: &'m [u8], number: &str) -> Option<Payload<'m>> {
    let number: u64 = number.parse().ok()?;
    let mut found = None;
    for field in Fields(message) {
        let (at, payload) = field.ok()?;
        if at == number && found.is_none() {
            found = Some(payload);
        }
    }
    found
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payload<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

/// The fields of a message, from its front; it ends with the first that cannot be read.
struct Fields<'m>(&'m [u8]);

impl<'m> Iterator for Fields<'m> {
    type Item = Result<(u64, Payload<'m>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'m> Fields<'m> {
    fn field(&mut self) -> Result<(u64, Payload<'m>), String> {
        let tag = self.number().ok_or("it ends within the number of a field")?;
        let (number, wire) = (tag >> 3, tag & 7);
        if number == 0 || number > LARGEST {
            return Err(format!("it has a field of the number {number}"));
        }
        let cut = || format!("its field {number} is cut off");
        let payload = match wire {
            0 => Payload::Number(self.number().ok_or_else(cut)?),
            1 => Payload::Number(u64::from_le_bytes(self.array().ok_or_else(cut)?)),
            2 => {
                let length = self.number().ok_or_else(cut)?;
                Payload::Bytes(usize::try_from(length).ok().and_then(|length| self.take(length)).ok_or_else(cut)?)
            }
            5 => Payload::Number(u32::from_le_bytes(self.array().ok_or_else(cut)?).into()),
            other => return Err(format!("its field {number} has the wire type {other}")),
        };
        Ok((number, payload))
    }

    /// A variable-length number, of ten bytes at most.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            // Of the tenth byte one bit is left.
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(front)
    }
}
