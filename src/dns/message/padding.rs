//! Padding (RFC 7830, RFC 8467): responses on encrypted transports to clients that pad get so long that their length
//! says little.

use super::options::{OPTION_HEAD, PADDING};
use super::sizes::{MAX_TCP, OPT};
use super::walk;

/// Responses are padded to a multiple of so many bytes (RFC 8467 §4.1).
const BLOCK: usize = 468;

/// Pads a response whose last record is OPT; `behind` so many bytes follow it, such as a signature. Others stay as they
/// are.
pub fn pad(message: &mut Vec<u8>, behind: usize) {
    let Some(opt) = walk::last_opt(message) else { return };
    let size = message.len() + OPTION_HEAD + behind;
    let whole = size.next_multiple_of(BLOCK).min(MAX_TCP);
    let Some(length) = whole.checked_sub(size) else { return };
    let (head, before) = (opt + OPT, message.len());
    let data = before - head + OPTION_HEAD + length;
    let Ok(data) = u16::try_from(data) else { return };
    message.extend_from_slice(&PADDING.to_be_bytes());
    message.extend_from_slice(&u16::try_from(length).unwrap_or_default().to_be_bytes());
    message.resize(before + OPTION_HEAD + length, 0);
    message[head - 2..head].copy_from_slice(&data.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::options::Options;
    use crate::dns::message::parse::Message;
    use crate::dns::message::request::Opt;

    #[test]
    fn responses_are_blocks_of_468_bytes_and_still_messages() {
        let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x07service\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0";
        let request = Message::parse(query).unwrap().request;
        for (length, behind) in [(0, 0), (1, 0), (400, 0), (430, 0), (1000, 0), (0, 100)] {
            let mut response = request.response(0, true);
            let options = [&[0, 3], &u16::try_from(length).unwrap().to_be_bytes()[..], &vec![7; length]].concat();
            request.push_opt(&mut response, Opt { options: &options, ..Opt::default() });
            let before = response.len();
            pad(&mut response, behind);
            assert_eq!((response.len() + behind) % BLOCK, 0, "{length} {behind}");
            assert!(response.len() - before < BLOCK + OPTION_HEAD);
            let read = Message::parse(&response).unwrap().request.edns.unwrap();
            assert!(read.options.is_some_and(|options: Options| options.padding && options.nsid));
        }
        let mut without = request.response(0, true);
        pad(&mut without, 0);
        assert_eq!(without, request.response(0, true), "no OPT, no padding");
        let mut long = request.response(0, true);
        let options = [&[0, 3], &65_480_u16.to_be_bytes()[..], &vec![7; 65_480]].concat();
        request.push_opt(&mut long, Opt { options: &options, ..Opt::default() });
        pad(&mut long, 0);
        assert_eq!(long.len(), MAX_TCP);
    }
}
