//! The server's side: frames in, frames out, until the peer goes or the server ends.

use super::frame::{Frame, FrameError};
use crate::transport::line::Line;
use crate::transport::listen::{Connection, Listener};
use crate::transport::reception::{Incoming, Reception};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// Serves frames until the listener is stopped ([`Listener::stopper`]); messages in hand are answered then.
pub fn serve(listener: Listener, reception: Reception) {
    listener.serve(Arc::new(move |connection| converse(&connection, &reception)));
}

fn converse(connection: &Connection<'_>, reception: &Reception) {
    let Ok(stream) = connection.stream.try_clone() else { return };
    let mut line = Line::new(stream, connection.options.idle, None);
    loop {
        let frame = next(&mut line, connection, reception.limit());
        let (answer, go_on) = match frame {
            Ok(None) => return,
            Ok(Some(_)) if connection.is_ending() => (ending(), false),
            Ok(Some(frame)) => (answer(connection, reception, &frame), true),
            Err(FrameError::Io(error)) => {
                debug!(%error, "a connection broke");
                return;
            }
            // Where the next frame begins is not known.
            Err(error @ FrameError::TooLarge { .. }) => (Frame::refusal(413, &error.to_string()), false),
            Err(error) => (Frame::refusal(400, &error.to_string()), false),
        };
        line.wait_for(connection.options.timeout);
        if answer.write(&mut line).is_err() || !go_on {
            if !go_on {
                drain(&mut line);
            }
            return;
        }
    }
}

/// Waits for a frame for a while, and then for the rest of it for another.
fn next(line: &mut Line, connection: &Connection<'_>, limit: usize) -> Result<Option<Frame>, FrameError> {
    line.wait_for(connection.options.idle);
    let mut first = [0; 1];
    loop {
        match line.read(&mut first) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    line.wait_for(connection.options.timeout);
    Frame::read(&mut (&first[..]).chain(line), limit, &mut |_| ())
}

fn answer(connection: &Connection<'_>, reception: &Reception, frame: &Frame) -> Frame {
    if frame.status != 0 {
        return Frame::refusal(400, "this is an answer; send a request");
    }
    let address = connection.peer.to_string();
    let answered = reception.answer(&Incoming {
        content_type: &frame.content_type,
        body: &frame.body,
        mac: frame.mac.as_deref(),
        protected: connection.options.protected,
        loopback: !connection.options.protected && connection.peer.is_loopback(),
        address: Some(&address),
    });
    match answered {
        Ok(reply) => Frame::new(200, reply.content_type, reply.mac.as_deref(), reply.body),
        Err(refusal) => Frame::refusal(refusal.http_status(), &refusal.to_string()),
    }
}

/// What is said to who comes while the server ends. Nothing was done with the message.
fn ending() -> Frame {
    Frame::refusal(503, "the server is about to end; send the message again in a moment")
}

/// Lets the peer read why it is refused: a socket that is closed with bytes unread takes back what was said last.
fn drain(line: &mut Line) {
    const MOST: u64 = 1 << 20;
    line.wait_for(Duration::from_secs(2));
    drop(line.half_close());
    drop(std::io::copy(&mut line.take(MOST), &mut std::io::sink()));
}
