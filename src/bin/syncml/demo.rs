//! `syncml demo`: a server and two platforms on this machine, from the first sync to a merged conflict.

use crate::books::{self, BookKind};
use crate::cards;
use crate::database;
use crate::failure::{Exit, Failure, Result};
use crate::folder::STATE;
use crate::job::{Job, Outcome};
use crate::link::Link;
use crate::output::{Table, bytes};
use crate::platform;
use crate::progress::{Progress, interrupted, short};
use crate::serve::InProcess;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncml::auth::{Secret, Verifier};
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Version};
use syncml::service::book::Layout;
use syncml::session::{Counts, Credentials, Profiles, ServerConfig};
use syncml::store::{AccountNo, Draft, Guid, Revision, Store, StoreError, Tx, Verdict, replica};
use syncml::transport::http::client;
use uuid::Uuid;

/// The account whose book the platforms share.
const ACCOUNT: &str = "demo";

/// Rows per step.
const PAGE: usize = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the two sample books are (folders phone and desktop)
    #[arg(long, value_name = "DIR")]
    books: Option<PathBuf>,
    /// Work in this new folder and keep it, to look around afterwards
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let samples = samples(args.books.as_deref())?;
    let place = Place::new(args.keep.as_deref())?;
    let mut demo = Demo::set_up(&place.path, &samples)?;
    println!("A backup server on SQLite listens on {}.", demo.server.url());
    println!("Two platforms share the book of the account {ACCOUNT:?}; each has a device id and a shared secret.\n");

    println!("Before the first sync");
    demo.show()?;
    for (name, what) in [("phone", "first sync"), ("desktop", "first sync"), ("phone", "changes")] {
        demo.sync(name, what)?;
    }
    println!("\nAfter the first sync: who was in both books is there once, with the details of both");
    demo.show()?;

    println!("Edits on both sides");
    demo.edit("phone", "dana-levi.vcf", "+972541230044", "+972541239999", "changes Dana's number")?;
    demo.edit(
        "phone",
        "Katarzyna Nowak.vcf",
        "END:VCARD",
        "NOTE:Met in Kraków.\r\nEND:VCARD",
        "adds a note to Katarzyna",
    )?;
    demo.delete("phone", "fox-taxi.vcf", "deletes the taxi")?;
    demo.add("phone", "yara.vcf", "Yara;Moreau", "+33612300201", "adds Yara")?;
    demo.edit("desktop", "Luca Ferraro.vcf", "555 0160", "555 0166", "changes Luca's number")?;
    demo.edit(
        "desktop",
        "Katarzyna Nowak.vcf",
        "END:VCARD",
        "NICKNAME:Kasia\r\nEND:VCARD",
        "adds a nickname to Katarzyna",
    )?;
    demo.add("desktop", "Tomas Vesely.vcf", "Tomáš;Veselý", "+420601123202", "adds Tomáš")?;
    println!();
    for name in ["phone", "desktop", "phone", "desktop"] {
        demo.sync(name, "changes")?;
    }
    println!("\nAfter the edits: Katarzyna, changed on both sides, has the note and the nickname everywhere");
    demo.show()?;
    demo.print_steps();
    demo.verdict()
}

/// The folder with the sample books.
fn samples(given: Option<&Path>) -> Result<PathBuf> {
    let places = [Path::new("fixtures/books"), Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/books"))];
    let found = given.or_else(|| places.into_iter().find(|place| place.is_dir()));
    found.map(Path::to_owned).ok_or_else(|| {
        Failure::new(Exit::File, "the sample books (fixtures/books of the sources) are not here; say --books DIR")
    })
}

/// A folder that goes away with the demo, unless it is to be kept.
struct Place {
    path: PathBuf,
    keep: bool,
}

impl Place {
    fn new(keep: Option<&Path>) -> Result<Self> {
        let path = match keep {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("syncml-demo-{}", Uuid::new_v4().simple())),
        };
        fs::create_dir_all(&path).map_err(|error| Failure::file(&path, "made", &error))?;
        Ok(Self { path, keep: keep.is_some() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

struct Platform {
    device_id: String,
    folder: PathBuf,
    secret: Secret,
}

struct Step {
    platform: String,
    what: &'static str,
    outcome: Outcome,
}

struct Demo {
    book: &'static BookKind,
    store: Arc<dyn Store>,
    account: AccountNo,
    server: InProcess,
    platforms: BTreeMap<&'static str, Platform>,
    steps: Vec<Step>,
}

impl Demo {
    fn set_up(place: &Path, samples: &Path) -> Result<Self> {
        let store = database::open(&place.join("server.db"))?;
        let nobody = Verifier::Md5(*Uuid::new_v4().as_bytes());
        let account = store.directory().put_login(ACCOUNT, &nobody)?;
        let mut platforms = BTreeMap::new();
        for name in ["phone", "desktop"] {
            let folder = place.join(name);
            copy(&samples.join(name), &folder)?;
            let secret = Secret::new(Uuid::new_v4().simple().to_string());
            let device_id = format!("{name}-platform");
            platform::put(store.as_ref(), &device_id, &secret, &[ACCOUNT.to_owned()])?;
            platforms.insert(name, Platform { device_id, folder, secret });
        }
        let mut config = ServerConfig::default();
        // The shared secret's credential is the same each time, so it needs TLS or, as here, loopback.
        config.allow_basic = true;
        let server = InProcess::start(Arc::clone(&store), config)?;
        Ok(Self { book: books::named("contacts")?, store, account, server, platforms, steps: Vec::new() })
    }

    fn sync(&mut self, name: &str, what: &'static str) -> Result<()> {
        let platform = &self.platforms[name];
        let mut http = client::Options::default();
        http.cancel = interrupted();
        let job = Job {
            dir: &platform.folder,
            link: Link {
                to: self.server.url().to_owned(),
                others: Vec::new(),
                encoding: Encoding::Xml,
                version: Version::V12,
                credentials: Credentials::Device { account: ACCOUNT.to_owned(), secret: platform.secret.clone() },
                control: None,
                server: None,
                http,
            },
            book: self.book,
            local: self.book.name,
            remote: self.book.name,
            device_id: Some(&platform.device_id),
            mode: AlertCode::TWO_WAY,
            filter: None,
            allow_mass_delete: false,
            profiles: Profiles::shipped(),
            layout: &Layout::default(),
            called: None,
        };
        let outcome = job.run(&mut Progress::new(true, None))?;
        let (received, sent) = totals(&outcome);
        println!(
            "{name} syncs ({what}): received {}, sent {}, {} messages, {} out, {} in, {:.0} ms",
            short(&received),
            short(&sent),
            outcome.report.messages,
            bytes(outcome.report.bytes_sent),
            bytes(outcome.report.bytes_received),
            outcome.seconds * 1e3,
        );
        self.steps.push(Step { platform: name.to_owned(), what, outcome });
        match self.steps.last_mut().and_then(|step| step.outcome.failure.take()) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn edit(&self, name: &str, file: &str, from: &str, to: &str, what: &str) -> Result<()> {
        let path = self.platforms[name].folder.join(file);
        let text = fs::read_to_string(&path).map_err(|error| Failure::file(&path, "read", &error))?;
        fs::write(&path, text.replace(from, to)).map_err(|error| Failure::file(&path, "written", &error))?;
        println!("  {name} {what}");
        Ok(())
    }

    fn delete(&self, name: &str, file: &str, what: &str) -> Result<()> {
        let path = self.platforms[name].folder.join(file);
        fs::remove_file(&path).map_err(|error| Failure::file(&path, "deleted", &error))?;
        println!("  {name} {what}");
        Ok(())
    }

    fn add(&self, name: &str, file: &str, person: &str, number: &str, what: &str) -> Result<()> {
        let (given, family) = person.split_once(';').unwrap_or((person, ""));
        let card = format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nN:{family};{given};;;\r\nFN:{given} {family}\r\n\
            TEL;TYPE=CELL:{number}\r\nEND:VCARD\r\n"
        );
        let path = self.platforms[name].folder.join(file);
        fs::write(&path, card).map_err(|error| Failure::file(&path, "written", &error))?;
        println!("  {name} {what}");
        Ok(())
    }

    /// Shows the three books side by side, joined by the server's map.
    fn show(&self) -> Result<()> {
        let items = items(self.store.as_ref(), self.account, self.book)?;
        let mut head = vec!["GUID".to_owned()];
        let mut maps = Vec::new();
        for (name, platform) in &self.platforms {
            head.push(format!("LUID on {name}"));
            head.push(format!("file on {name}"));
            let luids = luids(self.store.as_ref(), self.account, self.book, &platform.device_id)?;
            maps.push((luids, files(&platform.folder, self.book)?));
        }
        head.push("name".to_owned());
        let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
        for (guid, (name, _)) in &items {
            let mut row = vec![guid.to_string()];
            for (luids, files) in &mut maps {
                let luid = luids.get(guid).cloned().unwrap_or_default();
                row.push(luid.clone());
                row.push(files.by_luid.remove(&luid).unwrap_or_default());
            }
            row.push(name.clone());
            table.row(row);
        }
        for (column, (_, files)) in maps.iter().enumerate() {
            for (file, name) in files
                .by_luid
                .values()
                .map(|file| (file, ""))
                .chain(files.unknown.iter().map(|(file, name)| (file, name.as_str())))
            {
                let mut row = vec![String::new(); 2 * maps.len() + 2];
                row[2 * column + 2].clone_from(file);
                name.clone_into(&mut row[2 * maps.len() + 1]);
                table.row(row);
            }
        }
        table.print();
        println!();
        Ok(())
    }

    fn print_steps(&self) {
        let mut table =
            Table::new(&["platform", "step", "mode", "received", "sent", "messages", "bytes out", "bytes in", "ms"]);
        for Step { platform, what, outcome } in &self.steps {
            let (received, sent) = totals(outcome);
            let mode = outcome.report.books.first().map(|book| book.mode.clone()).unwrap_or_default();
            table.row([
                platform.clone(),
                (*what).to_owned(),
                mode,
                short(&received),
                short(&sent),
                outcome.report.messages.to_string(),
                outcome.report.bytes_sent.to_string(),
                outcome.report.bytes_received.to_string(),
                format!("{:.0}", outcome.seconds * 1e3),
            ]);
        }
        table.print();
    }

    /// Whether all three books hold the same contacts.
    fn verdict(&self) -> Result<()> {
        let here: BTreeSet<_> =
            items(self.store.as_ref(), self.account, self.book)?.into_values().map(|it| it.1).collect();
        for (name, platform) in &self.platforms {
            if files(&platform.folder, self.book)?.meanings != here {
                return Err(Failure::new(Exit::Problems, format!("the book on {name} is not the server's")));
            }
        }
        println!("\nThe server and both platforms hold the same {} contacts.", here.len());
        Ok(())
    }
}

fn totals(outcome: &Outcome) -> (Counts, Counts) {
    outcome.report.books.first().map(|book| (book.received, book.sent)).unwrap_or_default()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|error| Failure::file(to, "made", &error))?;
    for file in fs::read_dir(from).map_err(|error| Failure::file(from, "read", &error))? {
        let file = file.map_err(|error| Failure::file(from, "read", &error))?;
        let target = to.join(file.file_name());
        fs::copy(file.path(), &target).map_err(|error| Failure::file(&target, "written", &error))?;
    }
    Ok(())
}

/// Live items by GUID, with their names and fingerprints.
fn items(store: &dyn Store, account: AccountNo, book: &BookKind) -> Result<BTreeMap<Guid, (String, [u8; 16])>> {
    let mut items = BTreeMap::new();
    store.step(account, &mut |tx| {
        items.clear();
        let Some(row) = tx.book(book.book)? else { return Ok(Verdict::Rollback) };
        let mut after = Revision(0);
        loop {
            let page = tx.changes(book.book, after, row.head, PAGE)?;
            let Some(last) = page.last() else { return Ok(Verdict::Rollback) };
            after = last.revision;
            let live = page.into_iter().filter(|item| !item.deleted);
            items.extend(
                live.map(|item| (item.guid, (book.label(&item.content).unwrap_or_default(), item.fingerprint))),
            );
        }
    })?;
    Ok(items)
}

/// What a device calls the items.
fn luids(store: &dyn Store, account: AccountNo, book: &BookKind, device: &str) -> Result<BTreeMap<Guid, String>> {
    let mut luids = BTreeMap::new();
    store.step(account, &mut |tx| {
        luids = map_of(tx, book, device)?.into_iter().collect();
        Ok(Verdict::Rollback)
    })?;
    Ok(luids)
}

fn map_of(tx: &mut dyn Tx, book: &BookKind, device: &str) -> std::result::Result<Vec<(Guid, String)>, StoreError> {
    let mut rows = Vec::new();
    let Some(device) = tx.device(device)? else { return Ok(rows) };
    let epoch = tx.pair(device.device, book.book)?.map(|pair| pair.epoch).unwrap_or_default();
    let mut after = Guid(0);
    loop {
        let page = tx.map_page(device.device, book.book, epoch, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(rows) };
        after = last.guid;
        rows.extend(page.into_iter().map(|row| (row.guid, row.luid)));
    }
}

/// The files of a platform: those it has given a LUID, and others with their names.
struct Files {
    by_luid: BTreeMap<String, String>,
    unknown: Vec<(String, String)>,
    /// Fingerprints of the cards.
    meanings: BTreeSet<[u8; 16]>,
}

fn files(folder: &Path, book: &BookKind) -> Result<Files> {
    let mut known = BTreeMap::new();
    if folder.join(STATE).exists() {
        let store = database::open(&folder.join(STATE))?;
        if let Some((_, account)) = store.directory().accounts()?.into_iter().next() {
            known = luids(store.as_ref(), account, book, replica::DEVICE_ID)?
                .into_iter()
                .map(|(guid, file)| (file, guid.to_string()))
                .collect();
        }
    }
    let mut files = Files { by_luid: BTreeMap::new(), unknown: Vec::new(), meanings: BTreeSet::new() };
    let mut paths: Vec<_> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| Failure::file(folder, "read", &error))?;
    paths.sort();
    for path in paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "vcf")) {
        let content = fs::read(&path).map_err(|error| Failure::file(&path, "read", &error))?;
        if cards::check(book, &content).is_err() {
            continue;
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = book.label(&content).unwrap_or_default();
        files.meanings.insert(Draft::of(book.book, content.as_slice()).fingerprint);
        match known.remove(&file) {
            Some(luid) => drop(files.by_luid.insert(luid, file)),
            None => files.unknown.push((file, name)),
        }
    }
    Ok(files)
}
