//! A conversation on disk; `fixtures/README.md` says what its files mean.

use super::common;
use super::tree::Node;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncml::auth::{DigestKind, Secret, Verifier};
use syncml::message::Timestamp;
use syncml::session::{Busy, Host, Server, ServerConfig, ServerIdentity, Speaker};
use syncml::store::{AccountNo, BookNo, Guid, ItemRow, MapState, Principal, PrincipalKind, Store, Verdict};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    #[serde(skip)]
    pub name: String,
    #[serde(skip)]
    pub folder: PathBuf,
    /// Rows of the catalogue that it proves.
    pub proves: Vec<String>,
    /// In a sentence.
    pub says: String,
    /// Between whom it was recorded; absent where it was written by hand.
    #[serde(default)]
    pub recorded: Option<String>,
    #[serde(default)]
    server: ServerFlags,
    /// Passwords by name. What the books hold is in `start-ACCOUNT-BOOK.vcf` and `end-ACCOUNT-BOOK.vcf`; without a file, nothing.
    accounts: BTreeMap<String, String>,
    /// By device id.
    #[serde(default)]
    platforms: BTreeMap<String, Platform>,
    #[serde(default)]
    clock: Clock,
    /// The encodings that can say this: what is no element of any version has no token in WBXML.
    #[serde(default = "both")]
    pub encodings: Vec<String>,
    /// Kinds of values that differ from run to run, and stand under a name.
    pub volatile: Vec<String>,
    /// What happens before the request of that number.
    #[serde(default)]
    before: BTreeMap<usize, Vec<Event>>,
    /// Requests that break the grammar, or say what they must not, on purpose: nobody else is asked to judge them.
    #[serde(default)]
    deviant: Vec<usize>,
    /// In WBXML, digests go as they are and without a Format, as some peers send them.
    #[serde(default)]
    pub raw_digests: bool,
    /// By number of a request, the nonce of the MAC in its transport's header, and the password if it is not the account's.
    #[serde(default)]
    pub macs: BTreeMap<usize, String>,
    /// Agreements of devices in the end, where they matter.
    #[serde(default)]
    pairs: Vec<Pair>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ServerFlags {
    allow_basic: bool,
    allow_device: bool,
    protected: bool,
    max_msg_size: Option<u64>,
    max_obj_size: Option<u64>,
    max_items: Option<u64>,
    refuse_md5: bool,
    require_mac: bool,
    /// The server's own name and secret.
    identity: Option<(String, String)>,
    /// Passwords of books that have one of their own.
    books: BTreeMap<String, String>,
}

impl Host for ServerFlags {
    fn identity(&self, _: &Speaker<'_>) -> Option<ServerIdentity> {
        let (name, secret) = self.identity.clone()?;
        Some(ServerIdentity { name, secret: Secret::new(secret) })
    }

    fn book_verifier(&self, _: &Speaker<'_>, book: BookNo) -> Option<Verifier> {
        let (_, password) = self.books.iter().find(|(name, _)| book_of(name) == book)?;
        Some(Verifier::Password(Secret::new(password.clone())))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Platform {
    secret: String,
    accounts: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Clock {
    /// Seconds since 1970.
    start: i64,
    /// Seconds from a request to the next.
    step: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: 1_700_000_400, step: 1 }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Event {
    /// Time passes.
    Wait { seconds: i64 },
    /// A card is put into a book of the server.
    Put { account: String, book: String, card: String },
    /// The card that holds a text is replaced.
    Replace { account: String, book: String, holds: String, card: String },
    /// From now on the server is busy, or no more: `no`, `new-sessions`, `everything`.
    Busy { what: String },
    /// The card that holds a text is deleted.
    Delete { account: String, book: String, holds: String },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    account: String,
    device: String,
    book: String,
    /// The device's anchor of the last clean sync.
    #[serde(default)]
    peer_next: Option<String>,
    /// LUID, and a text that the card holds.
    #[serde(default)]
    maps: Option<BTreeMap<String, String>>,
}

fn both() -> Vec<String> {
    vec!["xml".to_owned(), "wbxml".to_owned()]
}

/// A server in the state that a conversation begins with.
pub struct Stage<'c> {
    conversation: &'c Conversation,
    pub server: Server,
    accounts: BTreeMap<String, AccountNo>,
    pub now: Timestamp,
}

/// Both sides of one exchange on disk.
pub enum Golden {
    Message(Node),
    /// No SyncML message but an error of the transport: status and text.
    Refusal(String),
}

impl Conversation {
    /// All of `fixtures/conversations`, by name.
    pub fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conversations");
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders.iter().map(|folder| Self::load(folder)).collect()
    }

    fn load(folder: &Path) -> Self {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(folder.join("conversation.json"))
            .unwrap_or_else(|error| panic!("{name}/conversation.json: {error}"));
        let loaded: Self = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for kind in &loaded.volatile {
            assert!(super::names::KINDS.contains(&&**kind), "{name}: {kind:?} is no kind of volatile value");
        }
        Self { name, folder: folder.to_owned(), ..loaded }
    }

    pub fn is_volatile(&self, kind: &str) -> bool {
        self.volatile.iter().any(|volatile| volatile == kind)
    }

    pub fn password(&self, account: &str) -> Option<&str> {
        self.accounts.get(account).map(|password| &**password)
    }

    pub fn secret(&self, device: &str) -> Option<&str> {
        self.platforms.get(device).map(|platform| &*platform.secret)
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        (1..).take_while(|number| self.file(*number, "request").is_some()).count()
    }

    /// `NN-request.*` or `NN-reply.*`.
    pub fn file(&self, number: usize, side: &str) -> Option<PathBuf> {
        let found = |extension| self.folder.join(format!("{number:02}-{side}.{extension}"));
        ["xml", "wbxml", "refusal"].map(found).into_iter().find(|path| path.exists())
    }

    pub fn request(&self, number: usize) -> Result<Node, String> {
        let path = self.file(number, "request").ok_or("no request")?;
        Node::read(&std::fs::read(path).map_err(|error| error.to_string())?)
    }

    pub fn reply(&self, number: usize) -> Result<Golden, String> {
        let path = self.file(number, "reply").ok_or("no reply is known (SYNCML_BLESS=1 writes it)")?;
        let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
        match path.extension().is_some_and(|extension| extension == "refusal") {
            true => Ok(Golden::Refusal(String::from_utf8_lossy(&bytes).trim_end().to_owned())),
            false => Node::read(&bytes).map(Golden::Message),
        }
    }

    /// The items of a file of cards; none where there is no file.
    fn cards(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let mut cards = vec![String::new()];
        for line in text.split_inclusive('\n') {
            let card = cards.last_mut().unwrap();
            *card += line;
            if ["END:VCARD", "END:VCALENDAR", "</Folder>", "</File>"].iter().any(|end| line.trim_end().ends_with(end)) {
                cards.push(String::new());
            }
        }
        cards.retain(|card| !card.is_empty());
        cards
    }

    pub fn stage(&self, store: Arc<dyn Store>) -> Stage<'_> {
        let now = Timestamp(self.clock.start * 1000);
        let mut accounts = BTreeMap::new();
        for (name, password) in &self.accounts {
            let verifier = Verifier::Password(Secret::new(password.clone()));
            let number = store.directory().put_login(name, &verifier).unwrap();
            accounts.insert(name.clone(), number);
            for (book, label) in BOOKS {
                for card in self.cards(&format!("start-{name}-{label}.vcf")) {
                    common::put(store.as_ref(), number, book, None, &card, now);
                }
            }
        }
        for (device, platform) in &self.platforms {
            let secret = Secret::new(platform.secret.clone());
            let verifiers = DigestKind::ALL.map(|digest| Verifier::device(digest, &secret, device)).to_vec();
            let principal = Principal { kind: PrincipalKind::Platform, verifiers };
            store.directory().put_principal(device, &principal).unwrap();
            for account in &platform.accounts {
                store.directory().set_grant(device, account, true).unwrap();
            }
        }
        let mut config = ServerConfig::default();
        config.allow_basic = self.server.allow_basic;
        config.allow_device = self.server.allow_device;
        config.max_msg_size = self.server.max_msg_size.unwrap_or(config.max_msg_size);
        config.max_items = self.server.max_items;
        config.max_obj_size = self.server.max_obj_size.unwrap_or(config.max_obj_size);
        config.refuse_md5 = self.server.refuse_md5;
        config.require_mac = self.server.require_mac;
        let server = Server::new(store, config).unwrap().with_host(Arc::new(self.server.clone()));
        Stage { conversation: self, server, accounts, now }
    }

    /// Whether a request is one that this project would say: not on purpose wrong, and not of a peer that was recorded.
    pub fn is_ours(&self, number: usize) -> bool {
        let of_a_peer = self.recorded.as_ref().is_some_and(|between| !between.starts_with("syncml "));
        !of_a_peer && !self.deviant.contains(&number)
    }

    pub const fn protected(&self) -> bool {
        self.server.protected
    }
}

impl Stage<'_> {
    /// The clock's step, and what else happens before a request.
    pub fn before(&mut self, number: usize) {
        if number > 1 {
            self.now = self.now.plus_seconds(self.conversation.clock.step);
        }
        let store = self.server.store().clone();
        for event in self.conversation.before.get(&number).map(Vec::as_slice).unwrap_or_default() {
            let find = |account: &str, book: &str, holds: &str| -> Guid {
                common::find(store.as_ref(), self.accounts[account], book_of(book), holds)
            };
            let card = |file: &str| std::fs::read_to_string(self.conversation.folder.join(file)).unwrap();
            match event {
                Event::Wait { seconds } => self.now = self.now.plus_seconds(*seconds),
                Event::Busy { what } => self.server.set_busy(match &**what {
                    "no" => Busy::No,
                    "new-sessions" => Busy::NewSessions,
                    "everything" => Busy::Everything,
                    other => panic!("{other:?} is no way to be busy"),
                }),
                Event::Put { account, book, card: file } => {
                    let account = self.accounts[account];
                    common::put(store.as_ref(), account, book_of(book), None, &card(file), self.now);
                }
                Event::Replace { account, book, holds, card: file } => {
                    let guid = Some(find(account, book, holds));
                    let account = self.accounts[account];
                    common::put(store.as_ref(), account, book_of(book), guid, &card(file), self.now);
                }
                Event::Delete { account, book, holds } => {
                    let guid = find(account, book, holds);
                    common::delete(store.as_ref(), self.accounts[account], book_of(book), guid, self.now);
                }
            }
        }
    }

    /// What is not as expected in the end.
    pub fn verify_end(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (account, number) in &self.accounts {
            for (book, name) in BOOKS {
                let expected = self.conversation.cards(&end_file(account, name));
                let got = self.cards(*number, book);
                for card in got.iter().filter(|card| !expected.contains(card)) {
                    wrong.push(format!("{account}'s {name} hold in the end, and should not:\n{card}"));
                }
                for card in expected.iter().filter(|card| !got.contains(card)) {
                    wrong.push(format!("{account}'s {name} do not hold in the end:\n{card}"));
                }
                if wrong.is_empty() && expected.len() != got.len() {
                    wrong.push(format!("{account}'s {name} hold {} cards, expected {}", got.len(), expected.len()));
                }
            }
        }
        for pair in &self.conversation.pairs {
            let (peer_next, maps) = self.pair(pair);
            let label = format!("{}'s {} and {}", pair.account, pair.book, pair.device);
            if pair.peer_next.is_some() && pair.peer_next != peer_next {
                wrong.push(format!("{label}: the device's anchor is {peer_next:?}, expected {:?}", pair.peer_next));
            }
            if let Some(expected) = &pair.maps {
                let fits = expected.len() == maps.len()
                    && expected.iter().all(|(luid, text)| maps.get(luid).is_some_and(|card| card.contains(text)));
                if !fits {
                    let lines: Vec<String> = maps
                        .iter()
                        .map(|(luid, card)| {
                            let line = card.lines().find(|line| line.starts_with("FN:")).unwrap_or_default();
                            format!("{luid} {line}")
                        })
                        .collect();
                    wrong.push(format!("{label}: the map is {lines:?}, expected {expected:?}"));
                }
            }
        }
        wrong
    }

    /// The device's anchor, and LUIDs with their cards.
    fn pair(&self, pair: &Pair) -> (Option<String>, BTreeMap<String, String>) {
        let (book, mut found) = (book_of(&pair.book), (None, BTreeMap::new()));
        self.server
            .store()
            .step(self.accounts[&pair.account], &mut |tx| {
                let Some(device) = tx.device(&pair.device)? else { return Ok(Verdict::Rollback) };
                let Some(row) = tx.pair(device.device, book)? else { return Ok(Verdict::Rollback) };
                let entries = tx.map_page(device.device, book, row.epoch, Guid(0), usize::MAX)?;
                for entry in entries.into_iter().filter(|entry| entry.state != MapState::Gone) {
                    let item = tx.items(book, &[entry.guid])?.remove(0);
                    let content = item.map(|item| String::from_utf8_lossy(&item.content).into_owned());
                    found.1.insert(entry.luid, content.unwrap_or_default());
                }
                found.0 = row.peer_next;
                Ok(Verdict::Rollback)
            })
            .unwrap();
        found
    }

    fn cards(&self, account: AccountNo, book: BookNo) -> Vec<String> {
        let items = common::items(self.server.store().as_ref(), account, book);
        let text = |item: &ItemRow<'_>| String::from_utf8(item.content.to_vec()).unwrap();
        // What is in a folder stands behind the folder's name.
        let place = |item: &ItemRow<'_>| {
            let folder = items.iter().find(|folder| Some(folder.guid) == item.parent)?;
            let text = text(folder);
            let (_, name) = text.split_once("<name>")?;
            Some(format!("in {}\n", name.split('<').next()?))
        };
        let mut cards: Vec<String> = items.iter().map(|item| place(item).unwrap_or_default() + &text(item)).collect();
        cards.sort();
        cards
    }

    /// Writes what the books hold now as the expected end.
    pub fn bless_end(&self) {
        for (account, number) in &self.accounts {
            for (book, name) in BOOKS {
                let file = self.conversation.folder.join(end_file(account, name));
                let cards = self.cards(*number, book);
                if !cards.is_empty() {
                    std::fs::write(file, cards.concat()).unwrap();
                } else if file.exists() {
                    std::fs::remove_file(file).unwrap();
                }
            }
        }
    }
}

fn end_file(account: &str, book: &str) -> String {
    format!("end-{account}-{book}.vcf")
}

const BOOKS: [(BookNo, &str); 6] = [
    (BookNo::CONTACTS, "contacts"),
    (BookNo::CALENDAR, "calendar"),
    (BookNo::TASKS, "tasks"),
    (BookNo::NOTES, "notes"),
    (BookNo::BOOKMARKS, "bookmarks"),
    (BookNo::FILES, "files"),
];

fn book_of(name: &str) -> BookNo {
    BOOKS.iter().find(|(_, known)| *known == name).unwrap_or_else(|| panic!("no book is called {name:?}")).0
}
