//! `syncml backup`, `syncml restore` and `syncml watch`: the phone books of a device (missions B1 to B8, R1 and R2).

pub(crate) mod backup;
pub(crate) mod restore;
pub(crate) mod watch;

use crate::books::{self, BookKind};
use crate::failure::{Exit, Failure, Result};
use crate::folder::{Folder, is_packed};
use crate::link::LinkArgs;
use crate::logging::LogArgs;
use crate::profiles::{ProfileArgs, TreatmentArgs};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use syncml::codec::{Limits, decode_devinf};
use syncml::service::book::{BookId, DeviceIdentity, Layout, Storage, Survey};
use syncml::store::replica::Book as _;

/// Bytes of the largest file that says what a book holds.
const MAX_LAYOUT: u64 = 1 << 20;

/// What all of these commands are told.
#[derive(Debug, clap::Args)]
pub(crate) struct PhoneArgs {
    /// The books: for each, the storage it is in – phone, sim, 3f00/7f10/6f3a – and the folder that has its cards
    #[arg(value_name = "STORAGE=DIR", required = true, value_parser = place)]
    books: Vec<Place>,
    #[command(flatten)]
    link: LinkArgs,
    /// The device the books are in: imei:… (or imeisv:…), imsi:…, number:+…, wlan:… or bluetooth:…
    #[arg(long, value_name = "KIND:ID")]
    device: DeviceIdentity,
    /// What a book holds: `sim`, `infer` (what its cards show), or a file: a layout (JSON), or the device information of a
    /// phone (XML or WBXML). Without it, everything; STORAGE=… says it for one book only
    #[arg(long, value_name = "[STORAGE=]WHAT")]
    layout: Vec<String>,
    #[command(flatten)]
    profiles: ProfileArgs,
    #[command(flatten)]
    treatment: TreatmentArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

/// A book as it is named on the command line.
#[derive(Clone, Debug)]
struct Place {
    storage: Storage,
    dir: PathBuf,
}

fn place(text: &str) -> std::result::Result<Place, String> {
    let (storage, dir) = text.split_once('=').ok_or("write STORAGE=DIR, such as phone=/home/ada/phone")?;
    if dir.is_empty() {
        return Err("the folder is missing behind =".to_owned());
    }
    Ok(Place { storage: Storage::parse(storage).map_err(|error| error.to_string())?, dir: dir.into() })
}

/// A book with all that is to be known before anybody is asked for anything.
struct Phone<'a> {
    storage: &'a Storage,
    dir: &'a Path,
    id: BookId,
    layout: Layout,
}

impl PhoneArgs {
    /// Looks at everything that the command line names.
    fn books(&self) -> Result<Vec<Phone<'_>>> {
        self.log.start();
        if self.device.is_passing() {
            eprintln!(
                "syncml: this address was made up by the device and may change; its books would be other ones then"
            );
        }
        let mut books: Vec<Phone<'_>> = Vec::new();
        for Place { storage, dir } in &self.books {
            if books.iter().any(|known| known.storage == storage) {
                return Err(Failure::usage(format!("the storage {storage} is there twice")));
            }
            if books.iter().any(|known| known.dir == dir) {
                return Err(Failure::usage(format!("the folder {} is there twice; it is one book", dir.display())));
            }
            let id = BookId::new(&self.device, storage);
            books.push(Phone { storage, dir, id, layout: Layout::default() });
        }
        for said in &self.layout {
            let storages = || books.iter().map(|book| book.storage.to_string());
            let (storage, what) = match said.split_once('=') {
                Some((storage, what)) if storages().any(|known| known == storage.to_ascii_lowercase()) => {
                    (Some(storage.to_ascii_lowercase()), what)
                }
                Some(_) if !Path::new(said).exists() => {
                    return Err(Failure::usage(format!("--layout {said}: no such storage is among the books")));
                }
                _ => (None, said.as_str()),
            };
            for book in
                books.iter_mut().filter(|book| storage.as_ref().is_none_or(|it| *it == book.storage.to_string()))
            {
                book.layout = layout(what, book)?;
            }
        }
        Ok(books)
    }
}

/// What `--layout` says of a book.
fn layout(what: &str, book: &Phone<'_>) -> Result<Layout> {
    let wrong = |reason: String| Failure::usage(format!("--layout {what}: {reason}"));
    match what {
        "sim" => return Ok(Layout::sim()),
        "infer" => {
            return infer(book).and_then(|seen| Layout::of_records(&seen).map_err(|error| wrong(error.to_string())));
        }
        _ => {}
    }
    let path = Path::new(what);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(MAX_LAYOUT).read_to_end(&mut bytes));
    file.map_err(|error| Failure::file(path, "read", &error))?;
    let unusable = |reason: String| Failure::new(Exit::File, format!("{what}: {reason}"));
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        let json = String::from_utf8_lossy(&bytes);
        return Layout::read(&json).map_err(|error| unusable(error.to_string()));
    }
    let devinf = decode_devinf(&bytes, &Limits::default())
        .map_err(|error| unusable(format!("it is neither a layout nor device information: {error}")))?;
    let declared = Layout::of_devinf(&devinf, &format!("./{}", book.storage));
    match declared.map_err(|error| unusable(error.to_string()))? {
        Some(layout) => Ok(layout),
        None => Err(unusable("this device does not say what its contacts hold".to_owned())),
    }
}

/// Looks through the cards of a book.
fn infer(book: &Phone<'_>) -> Result<Survey> {
    let mut folder = Folder::open(book.dir, contacts()?)?;
    let failed = |reason: String| Failure::new(Exit::File, reason);
    let mut seen = Survey::default();
    for entry in folder.entries().map_err(failed)? {
        // What cannot be read is told when it is collected.
        if let Ok(Some(content)) = folder.read(&entry.id) {
            seen.add(&content);
        }
    }
    Ok(seen)
}

/// All these books are of contacts; what tells them apart is their name at the server.
fn contacts() -> Result<&'static BookKind> {
    books::named("contacts")
}

/// Whether a folder has packed cards: then what comes new is packed, too.
fn has_packed(dir: &Path, book: &BookKind) -> bool {
    fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| is_packed(book, &entry.file_name()))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn books_are_storages_and_folders() {
        let read = |text: &str| place(text).map(|it| (it.storage.to_string(), it.dir.display().to_string()));
        assert_eq!(read("SIM=/a=b"), Ok(("sim".to_owned(), "/a=b".to_owned())));
        for (wrong, reason) in
            [("phone", "STORAGE=DIR"), ("phone=", "missing"), ("two words=x", "a-z"), ("=x", "1 to 64")]
        {
            assert!(read(wrong).is_err_and(|error| error.contains(reason)), "{wrong}");
        }
    }
}
