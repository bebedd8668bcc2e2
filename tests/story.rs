//! The story of docs/story.md: two phones and a SIM of one person, one of them lost, cleared, replaced. What the page says is
//! typed is typed, by a shell; what it says is answered has to be answered; and of the cards nothing is ever lost
//! (missions B1, B3, B5 to B7, B9, R3 and R5 in one).
//!
//! `SYNCML_BLESS=1` writes the answers into the page; then read them.
#![cfg(all(feature = "cli", unix))]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/browser.rs"]
mod browser;
#[path = "common/program.rs"]
mod program;

use browser::Browser;
use program::{World, run, syncml};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{env, fs};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/story.md");

/// Folders of the page, and whose books they are.
const BOOKS: [(&str, &str, &str); 4] = [
    ("first", "phone", "imei:490154203237518"),
    ("second", "phone", "imei:352099001761481"),
    ("sim", "sim", "imei:352099001761481"),
    ("new", "phone", "imei:356938035643809"),
];

/// Where the page's server listens. That of the test listens somewhere else.
const ADDRESS: &str = "127.0.0.1:8080";

/// A piece of the page, without its fences.
enum Piece {
    /// Prose, headings and what is fenced otherwise.
    Told(String),
    Typed(String),
    Answered(String),
}

fn pieces(page: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = page.split_inclusive('\n').peekable();
    while let Some(first) = lines.peek() {
        let fence = first.trim_end().strip_prefix("```").map(str::to_owned);
        let mut text = String::new();
        if fence.is_some() {
            lines.next();
            text.extend(lines.by_ref().take_while(|line| line.trim_end() != "```"));
        } else {
            while let Some(line) = lines.next_if(|line| !line.starts_with("```")) {
                text.push_str(line);
            }
        }
        pieces.push(match fence.as_deref() {
            None => Piece::Told(text),
            Some("sh") => Piece::Typed(text),
            Some("text") => Piece::Answered(text),
            Some(other) => panic!("what is `{other}`?"),
        });
    }
    pieces
}

fn page(pieces: &[Piece]) -> String {
    let written = pieces.iter().map(|piece| match piece {
        Piece::Told(text) => text.clone(),
        Piece::Typed(text) => format!("```sh\n{text}```\n"),
        Piece::Answered(text) => format!("```text\n{text}```\n"),
    });
    written.collect()
}

type Files = BTreeMap<String, Vec<u8>>;

struct Story {
    world: World,
    /// What was set for all that is typed later: the page's first block.
    settings: String,
    /// Every card that ever was in a folder.
    seen: BTreeMap<&'static str, BTreeSet<String>>,
    /// What was in a folder when it last had something.
    last: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Story {
    fn new(settings: &str) -> Self {
        let world = World { dir: tempfile::tempdir().unwrap(), server: None, url: String::new(), said: Arc::default() };
        Self { world, settings: settings.to_owned(), seen: BTreeMap::new(), last: BTreeMap::new() }
    }

    fn shell(&self, script: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_syncml")).parent().unwrap();
        let mut path = vec![program.to_owned()];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap()));
        // The variables that `syncml` goes by are to be the page's only.
        let clean = syncml();
        let mut command = Command::new("sh");
        for (name, value) in clean.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("PATH", env::join_paths(path).unwrap()).env("LC_ALL", "C").stdin(Stdio::null());
        command.current_dir(self.world.dir.path());
        command.args(["-e", "-c", &format!("{}{script}", self.settings)]);
        command
    }

    /// Types something, and gives back what is answered, but for progress and times.
    fn type_in(&mut self, typed: &str) -> String {
        if let Some(options) = typed.strip_prefix("syncml serve") {
            self.world.serve(self.shell(&format!("exec syncml serve --listen 127.0.0.1:0 {options}")));
            return String::new();
        }
        let before = self.files();
        let here = self.world.url.split('/').nth(2).unwrap_or(ADDRESS).to_owned();
        let (code, said, _) = run(&mut self.shell(&format!("exec 2>&1\n{}", typed.replace(ADDRESS, &here))));
        assert_eq!(code, 0, "{typed}{said}");
        let lines = said.lines().filter(|line| !is_progress(line));
        let said: String = lines.map(|line| timeless(&line.replace(&here, ADDRESS)) + "\n").collect();
        if said.contains("exit code") {
            assert!(self.files() == before, "what is refused changes no folder\n{typed}{said}");
        }
        for (folder, ..) in BOOKS {
            let cards = self.cards(folder);
            if !cards.is_empty() {
                self.seen.entry(folder).or_default().extend(cards.iter().cloned());
                self.last.insert(folder, cards);
            }
        }
        said
    }

    /// All that is in the folders, hidden state included.
    fn files(&self) -> Files {
        let mut files = Files::new();
        for (folder, ..) in BOOKS {
            for entry in fs::read_dir(self.world.path(folder)).into_iter().flatten() {
                let path = entry.unwrap().path();
                files.insert(path.display().to_string(), fs::read(path).unwrap());
            }
        }
        files
    }

    fn cards(&self, folder: &str) -> BTreeSet<String> {
        let folder = format!("{}/", self.world.path(folder).display());
        let files = self.files().into_iter();
        let cards = files.filter(|(path, _)| path.starts_with(&folder) && path.ends_with(".vcf"));
        cards.map(|(_, card)| lines(&String::from_utf8(card).unwrap())).collect()
    }

    fn json(&self, words: &[&str]) -> Value {
        let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        let (code, said, _) = run(&mut self.shell(&format!("syncml {} --json", words.join(" "))));
        assert_eq!(code, 0, "{words:?}: {said}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// What a book at the server holds, and all that it ever held.
    fn kept(&self, storage: &str, device: &str) -> [BTreeSet<String>; 2] {
        let (_, id, _) = run(syncml().args(["book", "id", storage, "--device", device]));
        let book = id.trim();
        let content = |row: &Value| lines(row["content"].as_str().unwrap());
        let live = self.json(&["list", "--user", "ada", "--book", book]);
        let live = live.as_array().unwrap().iter().map(content).collect();
        let past = self.json(&["history", "list", "--user", "ada", "--book", book, "--limit", "1000"]);
        let past = past.as_array().unwrap().iter().filter(|row| row["what"] != "deleted").map(|row| {
            let [guid, revision] = ["guid", "revision"].map(|key| row[key].to_string());
            content(
                &self.json(&["history", "show", "--user", "ada", "--book", book, "--guid", &guid, "--at", &revision]),
            )
        });
        [live, past.collect()]
    }
}

/// A card, however its lines end: in a message they end with CRLF, and what a shell writes ends with LF.
fn lines(card: &str) -> String {
    card.lines().map(|line| format!("{line}\n")).collect()
}

/// How far a command is; the page leaves that out.
fn is_progress(line: &str) -> bool {
    let words =
        ["backing up ", "reading the folder", "connecting to ", "message ", "writing the folder", "reporting to "];
    words.iter().any(|word| line.starts_with(word))
}

/// A line with one time in the place of any.
fn timeless(line: &str) -> String {
    const FORM: &str = "2026-11-22 09:30:00Z";
    let is_time = |text: &str| {
        let same = |(form, found): (u8, u8)| if form.is_ascii_digit() { found.is_ascii_digit() } else { form == found };
        text.len() == FORM.len() && FORM.bytes().zip(text.bytes()).all(same)
    };
    let (mut whole, mut rest) = (String::new(), line);
    while let Some(first) = rest.chars().next() {
        let time = rest.get(..FORM.len()).is_some_and(is_time);
        whole.push_str(if time { FORM } else { &rest[..first.len_utf8()] });
        rest = &rest[if time { FORM.len() } else { first.len_utf8() }..];
    }
    whole
}

#[test]
fn a_lost_phone_is_cleared_and_nothing_on_the_server_is_lost() {
    let text = fs::read_to_string(PAGE).unwrap();
    let mut pieces = pieces(&text);
    assert_eq!(page(&pieces), text, "the page is read whole");
    let bless = env::var_os("SYNCML_BLESS").is_some();
    let mut story: Option<Story> = None;
    let (mut typed, mut answer) = (String::new(), String::new());
    for piece in &mut pieces {
        match piece {
            Piece::Told(_) => {}
            Piece::Typed(block) => {
                assert_eq!(answer, "", "the page says nothing of what was answered to\n{typed}");
                typed.clone_from(block);
                match &mut story {
                    None => story = Some(Story::new(block)),
                    Some(story) => answer = story.type_in(block),
                }
            }
            Piece::Answered(promised) => {
                if bless {
                    promised.clone_from(&answer);
                }
                assert_eq!(answer, *promised, "{typed}");
                answer.clear();
            }
        }
    }
    assert_eq!(answer, "");
    if bless {
        fs::write(PAGE, page(&pieces)).unwrap();
    }

    let story = story.unwrap();
    for (folder, storage, device) in BOOKS {
        let [live, ever] = story.kept(storage, device);
        assert_eq!(live, story.last[folder], "what was in {folder} last is at the server, with all of its fields");
        // What came to the new phone by the restore is of the lost one's book; only what is its own is in its own.
        if folder != "new" {
            let lost: Vec<_> = story.seen[folder].difference(&ever).collect();
            assert!(lost.is_empty(), "of {folder} the server has no more: {lost:?}");
        }
    }
    assert_eq!(BOOKS.map(|(folder, ..)| story.seen[folder].len()), [4, 2, 2, 4], "cards there were");
    assert!(story.cards("first").is_empty(), "and the lost phone has none of them");

    let mut browser = Browser::of(&story.world, "ada");
    for words in ["dora", "960005", "bees"] {
        browser.get(&format!("/console?q={words}")).says(200, &["Dora Poe"]);
    }
}
