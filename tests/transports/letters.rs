//! Letters in a folder, and crashes at each step.

use super::{Place, comes_and_stays_in_step, device, fill, sync};
use crate::common::numbered;
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use syncml::codec::Encoding;
use syncml::session::{Client, Outgoing};
use syncml::transport::dropbox::{self, DropOptions, DropTransport, Folder, Shelf, Tray};
use syncml::transport::tcp::Frame;
use syncml::transport::{Cancel, Conduct, RunError, TransportError, Watch, now, run};

/// Whatever a server is called, its sessions have a token: their messages need no credential of their own.
#[test]
fn sessions_have_a_token_over_every_transport() {
    for (uri, has_one) in [
        ("http://h/", true),
        ("tcp://h:1", true),
        ("obex://h:1", true),
        ("dropbox:box", true),
        ("IMEI:490154203237518", false),
    ] {
        let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
        let shelf: Arc<dyn Shelf> = Arc::new(Folder::open(dir.path()).unwrap());
        let _tended = Tended::new(&place, Arc::clone(&shelf));
        let device = device("dev", uri, Encoding::Xml);
        let mut addresses = Addresses::default();
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
        run(&mut client, &mut letters(shelf), &Conduct::default(), &mut addresses).unwrap();
        assert_eq!(addresses.0.last().unwrap().contains("?s="), has_one, "{:?}", addresses.0);
    }
}

/// Where each message went.
#[derive(Default)]
struct Addresses(Vec<String>);

impl Watch for Addresses {
    fn sending(&mut self, _: u32, request: &Outgoing) {
        self.0.push(request.uri.clone());
    }
}

/// A drop box that somebody looks after.
struct Tended {
    stop: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Tended {
    fn new(place: &Place, shelf: Arc<dyn Shelf>) -> Self {
        let (stop, reception) = (Cancel::new(), place.reception.clone());
        let wish = stop.clone();
        let thread = thread::spawn(move || {
            while !wish.is_suspending() {
                // What fails here is a crash: the next round is the program started again.
                drop(dropbox::tend(shelf.as_ref(), &reception, false));
                wish.wait(Duration::from_millis(2));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Tended {
    fn drop(&mut self) {
        self.stop.suspend();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn letters(shelf: Arc<dyn Shelf>) -> DropTransport {
    let mut options = DropOptions::default();
    options.pause = Duration::from_millis(5);
    options.timeout = Duration::from_secs(60);
    DropTransport::new(shelf, "dropbox:box", options)
}

#[test]
fn a_sync_by_letters() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
        let shelf: Arc<dyn Shelf> = Arc::new(Folder::open(dir.path()).unwrap());
        let _tended = Tended::new(&place, Arc::clone(&shelf));
        let device = device("dev", "dropbox:box", encoding);
        comes_and_stays_in_step(&place, &device, &mut letters(Arc::clone(&shelf)));
        assert_eq!(shelf.list(Tray::Out).unwrap().len() + shelf.list(Tray::In).unwrap().len(), 0, "nothing is left");
    }
}

/// A shelf whose user crashes at one of its calls: before it does anything, or after it did it.
#[derive(Debug)]
struct Crashing {
    inner: Arc<dyn Shelf>,
    at: usize,
    before: bool,
    calls: AtomicUsize,
    crashed: AtomicBool,
    /// Answers that were laid there.
    answers: Mutex<Vec<String>>,
}

impl Crashing {
    fn new(inner: Arc<dyn Shelf>, at: usize, before: bool) -> Arc<Self> {
        let (calls, crashed) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { inner, at, before, calls, crashed, answers: Mutex::default() })
    }

    fn call<T>(&self, changes: bool, does: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        // Looking changes nothing: a crash there is one before the next change.
        let now = changes && self.calls.fetch_add(1, Ordering::SeqCst) == self.at;
        let crash = || {
            self.crashed.store(true, Ordering::SeqCst);
            io::Error::other("crash")
        };
        if now && self.before {
            return Err(crash());
        }
        let done = does()?;
        if now { Err(crash()) } else { Ok(done) }
    }
}

impl Shelf for Crashing {
    fn list(&self, tray: Tray) -> io::Result<Vec<String>> {
        self.call(false, || self.inner.list(tray))
    }

    fn read(&self, tray: Tray, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        self.call(false, || self.inner.read(tray, name, limit))
    }

    fn put(&self, tray: Tray, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.call(true, || {
            self.inner.put(tray, name, bytes)?;
            self.answers.lock().unwrap().push(name.to_owned());
            Ok(())
        })
    }

    fn remove(&self, tray: Tray, name: &str) -> io::Result<bool> {
        self.call(true, || self.inner.remove(tray, name))
    }
}

/// Catalogue: X1
#[test]
fn a_server_that_crashes_answers_each_letter_once() {
    for (at, before) in (0..40).flat_map(|at| [(at, true), (at, false)]) {
        let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
        let folder: Arc<dyn Shelf> = Arc::new(Folder::open(dir.path()).unwrap());
        let crashing = Crashing::new(Arc::clone(&folder), at, before);
        let _tended = Tended::new(&place, crashing.clone());
        let device = device("dev", "dropbox:box", Encoding::Wbxml);
        fill(&device, 0..6);
        (4..9).for_each(|n| place.put(&numbered(n)));
        let report = sync(&device, &mut letters(folder)).unwrap();
        assert!(report.clean, "{at}: {report:?}");
        assert_eq!((place.cards().len(), device.cards().len()), (9, 9), "{at}");
        let answers = crashing.answers.lock().unwrap().clone();
        let once: BTreeSet<&String> = answers.iter().collect();
        assert_eq!(once.len(), answers.len(), "{at} {before}: an answer was laid there twice");
        if !crashing.crashed.load(Ordering::SeqCst) {
            assert!(at >= 8, "there were only {at} steps");
            return;
        }
    }
    panic!("the session has more steps than were tried");
}

/// Catalogue: X1
#[test]
fn a_client_that_crashes_begins_again() {
    for (at, before) in (0..40).flat_map(|at| [(at, true), (at, false)]) {
        let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
        let folder: Arc<dyn Shelf> = Arc::new(Folder::open(dir.path()).unwrap());
        let _tended = Tended::new(&place, Arc::clone(&folder));
        let device = device("dev", "dropbox:box", Encoding::Wbxml);
        fill(&device, 0..6);
        (4..9).for_each(|n| place.put(&numbered(n)));
        let crashing = Crashing::new(Arc::clone(&folder), at, before);
        let first = sync(&device, &mut letters(crashing.clone()));
        if !crashing.crashed.load(Ordering::SeqCst) {
            assert!(first.unwrap().clean && at >= 8, "there were only {at} steps");
            return;
        }
        assert!(matches!(first, Err(RunError::Transport(TransportError::File { .. }))), "{first:?}");
        let report = sync(&device, &mut letters(folder)).unwrap();
        assert!(report.clean, "{at}: {report:?}");
        assert_eq!((place.cards().len(), device.cards().len()), (9, 9), "{at} {before}");
    }
    panic!("the session has more steps than were tried");
}

/// What is no letter is answered, too, and what cannot be answered now waits.
#[test]
fn strange_letters_do_not_stop_the_others() {
    let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
    let folder = Folder::open(dir.path()).unwrap();
    for (name, bytes) in [("a.sml", &b"nonsense"[..]), ("b.sml", b""), ("c.sml", b"SML1\0\0\0\0\0\xff\xff\xff\xff")] {
        folder.put(Tray::In, name, bytes).unwrap();
    }
    folder.put(Tray::In, "d.sml", &vec![b'x'; 1 << 20]).unwrap();
    let tended = dropbox::tend(&folder, &place.reception, false).unwrap();
    assert_eq!((tended.answered, tended.cleared, tended.waiting), (4, 0, 0));
    for name in folder.list(Tray::Out).unwrap() {
        let letter = folder.read(Tray::Out, &name, 1_000).unwrap().unwrap();
        assert_eq!(Frame::read(&mut &letter[..], 1_000, &mut |_| ()).unwrap().unwrap().status, 400, "{name}");
    }
    assert_eq!(dropbox::tend(&folder, &place.reception, false).unwrap(), dropbox::Tended::default());
}

/// Nobody looks after the box: the client takes its letter back.
#[test]
fn a_letter_that_nobody_answers_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder: Arc<dyn Shelf> = Arc::new(Folder::open(dir.path()).unwrap());
    let device = device("dev", "dropbox:box", Encoding::Xml);
    let mut options = DropOptions::default();
    options.timeout = Duration::from_millis(30);
    let mut transport = DropTransport::new(Arc::clone(&folder), "dropbox:box", options.clone());
    let ended = sync(&device, &mut transport).unwrap_err();
    assert!(matches!(ended, RunError::Transport(TransportError::Deadline)), "{ended}");
    assert_eq!(folder.list(Tray::In).unwrap().len(), 0);
    options.timeout = Duration::from_secs(600);
    let cancel = options.cancel.clone();
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        cancel.suspend();
    });
    let ended = sync(&device, &mut DropTransport::new(Arc::clone(&folder), "dropbox:box", options)).unwrap_err();
    assert!(matches!(ended, RunError::Stopped), "{ended}");
    assert_eq!(folder.list(Tray::In).unwrap().len(), 0);
    thread.join().unwrap();
}
