//! The server's side: each letter is answered once.

use super::folder::Folder;
use super::{AROUND, Shelf, Tray, to_letter};
use crate::transport::Cancel;
use crate::transport::reception::{Incoming, Reception};
use crate::transport::tcp::Frame;
use std::io;
use std::time::Duration;
use tracing::{debug, info, warn};

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Letters that were answered.
    pub answered: usize,
    /// Letters that were answered before, and lay there still.
    pub cleared: usize,
    /// Letters that wait, because the server cannot work on them now.
    pub waiting: usize,
}

/// How a folder is served.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The pause between two looks into it.
    pub pause: Duration,
    /// How long an answer lies there for its client.
    pub answers: Duration,
    /// Whether nobody can read the letters on their way, as the host guarantees.
    pub protected: bool,
}

impl Default for Keep {
    /// Half a second; 30 days.
    fn default() -> Self {
        Self { pause: Duration::from_millis(500), answers: Duration::from_secs(30 * 86_400), protected: false }
    }
}

/// Answers all letters that lie there, in the order in which they came. To be called by one at a time.
///
/// # Errors
/// The shelf's own. Whatever was done then stays done, and nothing is done twice by the next call.
pub fn tend(shelf: &dyn Shelf, reception: &Reception, protected: bool) -> io::Result<Tended> {
    let mut tended = Tended::default();
    for name in shelf.list(Tray::In)? {
        // The answer lies there: a crash came before the letter was taken away.
        let before = shelf.read(Tray::Out, &name, usize::MAX - 1)?;
        if before.is_some() {
            shelf.remove(Tray::In, &name)?;
            tended.cleared += 1;
            continue;
        }
        let limit = reception.limit();
        let frame = match shelf.read(Tray::In, &name, limit + AROUND) {
            Ok(Some(letter)) => Frame::read(&mut &letter[..], limit, &mut |_| ()).ok().flatten(),
            // Its sender does not want it any more.
            Ok(None) => continue,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => None,
            Err(error) => return Err(error),
        };
        let answer = match frame {
            Some(frame) if frame.status == 0 => answer(reception, &frame, protected),
            _ => Frame::refusal(400, "this is no letter to a server, or too large"),
        };
        // It may be better later: nobody waits at the other end.
        if answer.status == 503 {
            tended.waiting += 1;
            continue;
        }
        shelf.put(Tray::Out, &name, &to_letter(&answer)?)?;
        shelf.remove(Tray::In, &name)?;
        tended.answered += 1;
    }
    Ok(tended)
}

fn answer(reception: &Reception, frame: &Frame, protected: bool) -> Frame {
    let answered = reception.answer(&Incoming {
        content_type: &frame.content_type,
        body: &frame.body,
        mac: frame.mac.as_deref(),
        protected,
        // It lay on this machine, and who may write there the folder's owner decides.
        loopback: !protected,
        address: None,
    });
    match answered {
        Ok(reply) => Frame::new(200, reply.content_type, reply.mac.as_deref(), reply.body),
        Err(refusal) => Frame::refusal(refusal.http_status(), &refusal.to_string()),
    }
}

/// Tends a folder until it is stopped; the letter in hand is answered then. Answers that nobody fetched are taken away after
/// a while.
pub fn serve(folder: &Folder, reception: &Reception, keep: &Keep, stop: &Cancel) {
    while !stop.is_suspending() {
        match tend(folder, reception, keep.protected) {
            Ok(tended) if tended != Tended::default() => debug!(?tended, "letters were answered"),
            Ok(_) => {}
            Err(error) => warn!(%error, "the drop box cannot be used; it is tried again"),
        }
        clear(folder, keep.answers);
        stop.wait(keep.pause);
    }
}

fn clear(folder: &Folder, after: Duration) {
    let old = |name: &String| folder.age(Tray::Out, name).is_some_and(|age| age > after);
    for name in folder.list(Tray::Out).unwrap_or_default().iter().filter(|name| old(name)) {
        if folder.remove(Tray::Out, name).is_ok() {
            info!("an answer that nobody fetched was taken away");
        }
    }
}
