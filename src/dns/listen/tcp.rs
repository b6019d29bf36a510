//! Messages behind their lengths on a stream (RFC 7766), plain or inside TLS (RFC 7858): what is there is read, all of
//! it is answered, and all answers are written at once. No more is read until the answers are taken: whatever a client
//! sends, one read of it is in memory.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connections::ConnectionPermit;
use super::stream::{FLUSH, Stopped, StreamContext, answer_all, push, whole_message};
use crate::dns::serve::Reply;

/// Questions of one connection that may be on their way to other name servers.
const MAX_LATER: usize = 64;

/// Room for queries that come together: a read that fills it is followed by another.
const READ: usize = 8 << 10;

/// Answers the queries on a connection until its end.
///
/// # Errors
/// Those of the stream, and when the client does not take its answers.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    client: SocketAddr,
    shared: &StreamContext,
    place: &ConnectionPermit,
) -> std::io::Result<()> {
    let mut input = Vec::with_capacity(READ);
    let mut output = Vec::new();
    // Answers that take their time: they are written when they are there, and what comes behind them does not wait
    // (RFC 7766 §6.2.1.1).
    let mut later: JoinSet<Vec<u8>> = JoinSet::new();
    let mut is_at_end = false;
    loop {
        // Whoever says nothing for too long is swept away.
        if later.is_empty() {
            if is_at_end || stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        } else {
            tokio::select! {
                // A client that asks more than can be on its way for it is read on when something was answered.
                read = stream.read_buf(&mut input), if !is_at_end && later.len() < MAX_LATER => is_at_end = read? == 0,
                Some(message) = later.join_next() => {
                    push(&mut output, &message.unwrap_or_default());
                    write(&mut stream, &mut output, shared).await?;
                    place.hear();
                }
            }
        }
        // Bytes that are no whole query hold no place.
        if whole_message(&input).is_some() {
            place.hear();
        }
        let mut done = 0;
        loop {
            let stopped = answer_all(&input, &mut done, client, &mut output, shared);
            let is_done = matches!(stopped, Stopped::Done);
            if let Stopped::Slow(received) = stopped {
                shared.counters.slow();
                match shared.service.reply_to(received, client, shared.transport, Instant::now()) {
                    Reply::Message(message) => message.iter().for_each(|message| push(&mut output, message)),
                    Reply::Later(message) => drop(later.spawn(message)),
                    Reply::Transfer(mut running) => {
                        while let Some(message) = running.next_message() {
                            push(&mut output, &message);
                            if output.len() >= FLUSH {
                                write(&mut stream, &mut output, shared).await?;
                                place.hear();
                                // Others have a turn between the parts of a large zone.
                                tokio::task::yield_now().await;
                            }
                        }
                    }
                }
            }
            if output.len() >= FLUSH || (is_done && !output.is_empty()) {
                write(&mut stream, &mut output, shared).await?;
            }
            if is_done {
                break;
            }
        }
        input.drain(..done);
    }
}

/// Writes everything, in the time that a client has to take it.
async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    output: &mut Vec<u8>,
    shared: &StreamContext,
) -> std::io::Result<()> {
    let writing = async {
        stream.write_all(output).await?;
        stream.flush().await
    };
    // No timer is set where the system takes everything at once, as it nearly always does.
    match timeout(shared.front.policy().tcp.write, writing).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(std::io::ErrorKind::TimedOut.into()),
    }
    output.clear();
    // A burst is over: its memory is for others.
    if output.capacity() > 4 * FLUSH {
        output.shrink_to(FLUSH);
    }
    Ok(())
}
