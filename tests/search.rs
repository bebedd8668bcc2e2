//! Search through the program: what a person types finds what devices backed up, of one account and of no other; and copies
//! of it (mission R3).
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "common/program.rs"]
mod program;

use program::{PASSWORD, World, card, run};
use serde_json::Value;
use std::fs;
use syncml::auth::Verifier;
use syncml::contact::identity::Kind;
use syncml::contact::search::{Query, searchable};
use syncml::message::Timestamp;
use syncml::store::search::{Hit, search};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{BookNo, BookWriter, Draft, Store, Verdict};

/// A named book, as a device backs one up.
const SIM: &str = "f79a61628800f51";

impl World {
    /// Puts an item into a book of an account, as an operator would.
    fn put(&self, user: &str, book: &str, content: &str) {
        self.write("item", content);
        let mut command = self.with_db(&["item", "put", "--user", user, "--book", book]);
        let (code, out, err) = run(command.arg(self.path("item")));
        assert_eq!(code, 0, "{out}\n{err}");
    }

    fn search(&self, user: &str, words: &str, more: &[&str]) -> Value {
        let mut command = self.with_db(&["search", words, "--user", user, "--json"]);
        let (code, out, err) = run(command.args(more));
        assert_eq!(code, 0, "{words}: {out}\n{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// (book, name) of what is found.
    fn found(&self, user: &str, words: &str, more: &[&str]) -> Vec<(String, String)> {
        let answer = self.search(user, words, more);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let hits = answer["hits"].as_array().unwrap();
        hits.iter().map(|hit| (text(&hit["book"]), text(&hit["name"]))).collect()
    }

    fn names_of(&self, words: &str) -> Vec<String> {
        self.found("ada", words, &[]).into_iter().map(|(_, name)| name).collect()
    }

    /// A refusal: its exit code and what it says.
    fn refused(&self, words: &[&str]) -> (i32, String) {
        let (code, out, err) = run(self.with_db(&["search"]).args(words));
        assert_eq!(out, "", "{err}");
        (code, err)
    }
}

/// Ada has three contacts from her phone, one from a SIM, a note; Bob has a contact of his own.
fn world() -> World {
    let world = World::new(&[]);
    world.write("phone/1.vcf", &card("Zoë Miller", "TEL:+86 138-0013-8000\r\nNOTE:sails with Anna\r\n"));
    world.write("phone/2.vcf", &card("王小明", "TEL:13900139000\r\nORG:Miller & Sons\r\n"));
    world.write("phone/3.vcf", &card("Anna Smith", "EMAIL:anna@example.org\r\nX-HOBBY:chess\r\n"));
    world.synced("phone", &[], 0);
    world.put("ada", SIM, &card("Zoe Sim", "TEL:0138001\r\n"));
    world.put("ada", "notes", "Ask Zoe about 138");
    world.write("bobs", &format!("{PASSWORD}\n"));
    let (code, _, err) = run(world.with_db(&["account", "add", "bob"]).arg("--password-file").arg(world.path("bobs")));
    assert_eq!(code, 0, "{err}");
    world.put("bob", "contacts", &card("Zoe Bobsfriend", "TEL:13800138\r\n"));
    world
}

/// What a device backed up is found by words, digits and characters, names first, in every book of the account.
#[test]
fn r3_words_digits_and_characters_find_what_is_backed_up() {
    let world = world();
    let sim = format!("book/{SIM}");
    let all = [("contacts", "Zoë Miller"), (&sim, "Zoe Sim"), ("notes", "Ask Zoe about 138")];
    let mut found = world.found("ada", "ZOE", &[]);
    assert_eq!(found.pop().unwrap().0, "notes");
    found.sort();
    assert_eq!(found, [(sim.clone(), all[1].1.to_owned()), (all[0].0.to_owned(), all[0].1.to_owned())]);
    for (words, names) in [
        ("zo mil", &["Zoë Miller"][..]),
        ("miller", &["Zoë Miller", "王小明"]),
        ("anna", &["Anna Smith", "Zoë Miller"]),
        ("+86 138 0013", &["Zoë Miller"]),
        ("9001", &["王小明"]),
        ("小明", &["王小明"]),
        ("chess", &["Anna Smith"]),
        ("anna@example", &["Anna Smith"]),
        ("zoe chess", &[]),
        ("iller", &[]),
    ] {
        assert_eq!(world.names_of(words), names, "{words}");
    }
    assert_eq!(world.found("ada", "zoe", &["--book", SIM]), [(sim, "Zoe Sim".to_owned())]);
    assert_eq!(world.found("ada", "zoe", &["--book", "calendar"]), []);
    let hit = &world.search("ada", "138001380", &[])["hits"][0];
    assert_eq!(hit["matched"], serde_json::json!([{ "property": "TEL", "text": "+86 138-0013-8000" }]));
    assert_eq!(hit["in_name"], true);
    let (code, out, _) = run(&mut world.with_db(&["search", "anna", "smith", "--user", "ada"]));
    assert_eq!(code, 0);
    assert!(out.contains("Anna Smith") && out.ends_with("1 found\n"), "{out}");
    let (code, out, _) = run(&mut world.with_db(&["search", "nobody", "--user", "ada"]));
    assert_eq!((code, out.as_str()), (0, "nothing found\n"));
}

/// A search sees what is there now, whatever devices did since the last.
#[test]
fn r3_what_is_found_follows_what_devices_do() {
    let world = world();
    assert_eq!(world.names_of("smith"), ["Anna Smith"]);
    world.write("phone/3.vcf", &card("Anna Jones", ""));
    fs::remove_file(world.path("phone/2.vcf")).unwrap();
    world.write("phone/4.vcf", &card("Ben Smith", ""));
    world.synced("phone", &[], 0);
    for (words, names) in
        [("smith", &["Ben Smith"][..]), ("jones", &["Anna Jones"]), ("小明", &[]), ("139", &[]), ("chess", &[])]
    {
        assert_eq!(world.names_of(words), names, "{words}");
    }
}

/// Pages, put together, are what is found.
#[test]
fn r3_pages_go_on_where_the_last_ended() {
    let world = world();
    let whole = world.names_of("zoe");
    let (mut names, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut more = vec!["--limit", "1"];
        if let Some(after) = &after {
            more.extend(["--after", after.as_str()]);
        }
        let page = world.search("ada", "zoe", &more);
        names.extend(page["hits"].as_array().unwrap().iter().map(|hit| hit["name"].as_str().unwrap().to_owned()));
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!((names.len(), &names), (3, &whole));
}

/// What is found goes into the terminal's own storage: a file of cards, a table, a folder.
#[test]
fn r3_what_is_found_is_copied() {
    let world = world();
    let to = |name: &str| {
        let mut command = world.with_db(&["search", "zoe", "--user", "ada", "--json"]);
        let (code, out, err) = run(command.arg("--to").arg(world.path(name)));
        assert_eq!(code, 0, "{err}");
        let answer: Value = serde_json::from_str(&out).unwrap();
        (answer["copied"].as_u64().unwrap(), answer["left_out"].as_u64().unwrap())
    };
    assert_eq!(to("hits.vcf"), (2, 1));
    let cards = world.read("hits.vcf");
    assert_eq!(cards.matches("BEGIN:VCARD").count(), 2);
    // Byte for byte, as the devices sent them.
    assert!(cards.contains("TEL:+86 138-0013-8000\r\nNOTE:sails with Anna\r\nEND:VCARD\r\n"), "{cards}");
    assert_eq!(to("hits.csv"), (2, 1));
    let table = world.read("hits.csv");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[0], "Name,Organization,Title,Phone,E-mail,Address,Birthday,Note,Book,Guid");
    assert!(lines.contains(&"Zoë Miller,,,+86 138-0013-8000,,,,sails with Anna,contacts,1"), "{table}");
    assert_eq!(to("hits"), (3, 0));
    let mut files: Vec<_> = fs::read_dir(world.path("hits")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().any(|name| name.to_string_lossy().contains(&format!("#book-{SIM}-"))), "{files:?}");
    // It can be brought in elsewhere.
    let (code, out, err) = run(world.with_db(&["import", "--user", "bob"]).arg(world.path("hits.vcf")));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(world.found("bob", "sails", &[]).len(), 1);
}

/// Nothing of another account is found, copied, or said.
#[test]
fn r3_another_accounts_cards_are_never_found() {
    let world = world();
    for words in ["bobsfriend", "zoe bobs", "13800138 bobsfriend"] {
        assert_eq!(world.names_of(words), [""; 0], "{words}");
    }
    assert_eq!(world.found("bob", "zoe", &[]), [("contacts".to_owned(), "Zoe Bobsfriend".to_owned())]);
    for words in ["anna", "小明", "miller", "9001"] {
        assert_eq!(world.found("bob", words, &[]), [], "{words}");
    }
    // A book of another is as one that never was.
    assert_eq!(world.found("bob", "zoe", &["--book", SIM]), []);
    // The place where another's search goes on says nothing of it.
    let next = world.search("ada", "zoe", &["--limit", "1"])["next"].as_str().unwrap().to_owned();
    let page = world.search("bob", "zoe", &["--after", &next]);
    assert!(!page.to_string().contains("Miller") && !page.to_string().contains("Sim"), "{page}");
}

/// What cannot be searched for is refused, and said why.
#[test]
fn r3_what_is_no_search_is_refused() {
    let world = world();
    let long = "a".repeat(257);
    for (words, code, says) in [
        (&["", "--user", "ada"][..], 2, "nothing to search for"),
        (&["+-()", "--user", "ada"], 2, "nothing to search for"),
        (&[&long, "--user", "ada"], 2, "too much"),
        (&["zoe"], 2, "--user"),
        (&["zoe", "--user", "eve"], 2, "no account"),
        (&["zoe", "--user", "ada", "--book", "cellar"], 5, "no book"),
        (&["zoe", "--user", "ada", "--after", "2-1"], 2, "--after"),
        (&["zoe", "--user", "ada", "--limit", "0"], 2, "--limit"),
        (&["zoe", "--user", "ada", "--to", "hits.pdf"], 2, ".vcf"),
    ] {
        let (found, text) = world.refused(words);
        assert_eq!(found, code, "{words:?}: {text}");
        assert!(text.contains(says), "{words:?}: {text}");
    }
    // What is there already is not written over.
    world.write("mine.vcf", "mine");
    let path = world.path("mine.vcf");
    let (code, text) = world.refused(&["zoe", "--user", "ada", "--to", path.to_str().unwrap()]);
    assert_eq!((code, world.read("mine.vcf").as_str()), (7, "mine"), "{text}");
}

/// Ten thousand contacts in two books: every search finds what reading each of them would find, page by page.
#[test]
fn r3_many_contacts_are_searched_as_by_reading_each() {
    const COUNT: usize = 10_000;
    let store = SqliteStore::open_in_memory().unwrap();
    let account = store.directory().put_login("ada", &Verifier::Md5([0; 16])).unwrap();
    let cards: Vec<String> = (0..COUNT).map(numbered).collect();
    let books = [BookNo::CONTACTS, BookNo::of_name(SIM).unwrap()];
    for (book, cards) in books.into_iter().zip(cards.chunks(COUNT / 2)) {
        store
            .step(account, &mut |tx| {
                let row = tx.lock_books(&[book])?.remove(0);
                let mut writer = BookWriter::new(row, None, Timestamp(0));
                for card in cards {
                    writer.add(Draft { content: card.as_bytes().into(), ..Draft::default() });
                }
                writer.flush(tx)?;
                Ok(Verdict::Commit)
            })
            .unwrap();
    }
    let items: Vec<_> = cards.iter().map(|card| searchable(Kind::Contact, card.as_bytes())).collect();
    for text in
        ["a", "an", "anna", "anna mill", "0001", "138", "13800", "1380000123", "王", "小明", "chess", "anna chess", "x"]
    {
        let query: Query = text.parse().unwrap();
        let mut read: Vec<_> = items
            .iter()
            .enumerate()
            .filter_map(|(n, item)| query.matches(item).map(|hit| (hit.rank, n / (COUNT / 2), n % (COUNT / 2) + 1)))
            .collect();
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = search(&store, account, None, &query, cursor, 500).unwrap();
            let place = |hit: &Hit| (hit.rank, usize::from(hit.book == books[1]), hit.item.guid.0 as usize);
            found.extend(page.hits.iter().map(place));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        read.sort_unstable();
        assert!(found == read, "{text}: {} found, {} by reading", found.len(), read.len());
    }
}

/// The n-th of many people.
fn numbered(n: usize) -> String {
    let given = ["Anna", "Ben", "Änne", "王"][n % 4];
    let family = ["Miller", "Mill", "Smith", "小明", "明小"][n % 5];
    let note = ["chess", "sails with Anna", "朋友小明", "room 138"][n / 7 % 4];
    card(&format!("{given} {family}"), &format!("TEL:+86 138-0{:03}-{:04}\r\nNOTE:{note}\r\n", n / 10_000, n))
}
