//! Every row of the catalogue (`fixtures/catalogue.json`) is proved by a fixture or a test that fails without it.
//!
//! A conversation cites rows in its `proves`; a test in a line `/// Catalogue: SAN-1, SAN-2` above it. From these
//! `fixtures/COVERAGE.md` is made: `SYNCML_BLESS=1` writes it.
//!
//! A row may be what other rows say together (`as`): it is proved when all of them are. What is not built yet stands on
//! the list `open`, from which a row has to be taken as soon as something proves it.
#![allow(clippy::unwrap_used)] // what fails here fails the test
#![allow(clippy::disallowed_methods)] // the environment asks for the table to be written

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use syncml::kit::conformance::checks;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    rows: Vec<Row>,
    /// Rows that nothing proves yet, with the reason.
    open: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    /// Where the rule comes from.
    at: String,
    /// What has to hold.
    says: String,
    /// The rows that say the same together.
    #[serde(default, rename = "as")]
    parts: Vec<String>,
}

/// Proofs by row, in the order in which they were found.
type Proofs = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
struct Proving {
    proves: Vec<String>,
}

impl Catalogue {
    fn load() -> Self {
        serde_json::from_str(&fs::read_to_string(root().join("fixtures/catalogue.json")).unwrap()).unwrap()
    }

    fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    fn is_open(&self, row: &Row) -> bool {
        self.open.contains_key(&row.id) || row.parts.iter().any(|part| self.open.contains_key(part))
    }

    /// What is wrong with the catalogue, given what was found.
    fn faults(&self, proofs: &Proofs) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut ids = BTreeSet::new();
        for row in &self.rows {
            if !ids.insert(&row.id) {
                wrong.push(format!("{} stands twice in the catalogue", row.id));
            }
            if let Some(part) = row.parts.iter().find(|part| self.row(part).is_none_or(|row| !row.parts.is_empty())) {
                wrong.push(format!("{} is said to be {part}, which is no row of its own", row.id));
            }
        }
        for (id, by) in proofs.iter().filter(|(id, _)| self.row(id).is_none()) {
            wrong.push(format!("{id}, cited by {}, is no row of fixtures/catalogue.json", by.join(", ")));
        }
        for id in self.open.keys() {
            match (self.row(id), proofs.get(id)) {
                (None, _) => wrong.push(format!("{id} on the list `open` is no row")),
                (_, Some(by)) => {
                    wrong.push(format!("{id} is proved by {}: take it from the list `open`", by.join(", ")))
                }
                _ => {}
            }
        }
        for row in self.rows.iter().filter(|row| !self.is_open(row)) {
            let by_parts = !row.parts.is_empty() && row.parts.iter().all(|part| proofs.contains_key(part));
            if !by_parts && !proofs.contains_key(&row.id) {
                wrong.push(format!("nothing proves {}: {}", row.id, row.says));
            }
        }
        wrong
    }

    /// `fixtures/COVERAGE.md`.
    fn coverage(&self, proofs: &Proofs) -> String {
        let open = self.rows.iter().filter(|row| self.is_open(row)).count();
        let mut out = format!(
            "# Coverage\n\nMade by `SYNCML_BLESS=1 cargo test --test catalogue` from `catalogue.json` and what cites its rows; \
             `README.md` says how.\n{} rows, {} of which are proved and {open} open. *kit*: how many checks of \
             `syncml conformance` ask it of any server.\n",
            self.rows.len(),
            self.rows.len() - open,
        );
        let kind = |row: &Row| match &*row.id {
            id if id.starts_with("10.2/") => 1,
            id if id.starts_with('X') || (id.starts_with('S') && id.len() == 2) => 2,
            _ => 0,
        };
        for (number, title) in ["The catalogue", "The checklist of §10.2", "The mission"].into_iter().enumerate() {
            let _ = write!(out, "\n## {title}\n\n| id | rule | | kit | proved by |\n|---|---|---|--:|---|\n");
            for row in self.rows.iter().filter(|row| kind(row) == number) {
                let cited = proofs.get(&row.id).into_iter().flatten().map(|by| format!("`{by}`"));
                let mut by: Vec<String> = row.parts.iter().cloned().chain(cited).collect();
                if let Some(why) = self.open.get(&row.id) {
                    by.push(format!("**open**: {why}"));
                } else if self.is_open(row) {
                    by.push("**open**".to_owned());
                }
                let asked = match checks().iter().filter(|check| check.id == row.id).count() {
                    0 => String::new(),
                    count => count.to_string(),
                };
                let _ = writeln!(out, "| {} | {} | {} | {asked} | {} |", row.id, row.at, row.says, by.join(" · "));
            }
        }
        out
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What the conversations and the sources cite.
fn proofs() -> Proofs {
    let mut found: Vec<(String, String)> = Vec::new();
    for folder in sorted(&root().join("fixtures/conversations")) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(folder.join("conversation.json")).unwrap();
        let proving: Proving = serde_json::from_str(&text).unwrap();
        found.extend(proving.proves.into_iter().map(|id| (id, format!("conversations/{name}"))));
    }
    for folder in ["tests", "src"] {
        sources(&root().join(folder), &mut |path, text| {
            let file = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            found.extend(citations(text).into_iter().map(|(id, test)| (id, format!("{file} {test}"))));
        });
    }
    let mut proofs = Proofs::new();
    for (id, by) in found {
        proofs.entry(id).or_default().push(by);
    }
    proofs
}

/// The rows that a source cites, each with the function below the citation.
fn citations(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut cited: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(ids) = line.strip_prefix("/// Catalogue: ") {
            cited.extend(ids.split(", "));
        } else if let Some((name, _)) = line.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')) {
            found.extend(cited.drain(..).map(|id| (id.to_owned(), name.to_owned())));
        }
    }
    assert!(cited.is_empty(), "a citation stands above no function: {cited:?}");
    found
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn sources(folder: &Path, visit: &mut dyn FnMut(&Path, &str)) {
    for path in sorted(folder) {
        if path.is_dir() && !path.ends_with(".work") {
            sources(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_row_is_proved_and_the_table_is_true() {
    let (catalogue, proofs) = (Catalogue::load(), proofs());
    let wrong = catalogue.faults(&proofs);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (path, table) = (root().join("fixtures/COVERAGE.md"), catalogue.coverage(&proofs));
    if std::env::var("SYNCML_BLESS").is_ok_and(|wanted| ["1", "all"].contains(&&*wanted)) {
        fs::write(&path, &table).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == table, "fixtures/COVERAGE.md is stale: SYNCML_BLESS=1 cargo test --test catalogue");
}

/// The promised ids are all there, the ranges of §10.4 spelled out.
#[test]
fn the_catalogue_is_whole() {
    let catalogue = Catalogue::load();
    for (prefix, last) in [
        ("VER", 3),
        ("HDR", 4),
        ("STA", 4),
        ("AUTH", 13),
        ("ANC", 5),
        ("INIT", 3),
        ("SYNC", 8),
        ("MAP", 5),
        ("MSG", 4),
        ("LO", 7),
        ("NOC", 1),
        ("BUSY", 2),
        ("SUS", 2),
        ("RES", 6),
        ("FLT", 6),
        ("HIER", 4),
        ("FLD", 1),
        ("DEL", 3),
        ("CON", 8),
        ("ATO", 1),
        ("DEVI", 3),
        ("WBX", 6),
        ("SAN", 4),
        ("HTTP", 3),
        ("OBEX", 1),
    ] {
        for number in 1..=last {
            assert!(catalogue.row(&format!("{prefix}-{number}")).is_some(), "{prefix}-{number}");
        }
    }
    for number in 1..=45 {
        assert!(catalogue.row(&format!("10.2/{number}")).is_some(), "10.2/{number}");
    }
}

/// The test itself: what it must not let pass.
#[test]
fn planted_faults_are_found() {
    let (catalogue, proofs) = (Catalogue::load(), proofs());
    let faults = |meddle: &dyn Fn(&mut Catalogue, &mut Proofs)| {
        let (mut catalogue, mut proofs) = (catalogue.clone(), proofs.clone());
        meddle(&mut catalogue, &mut proofs);
        catalogue.faults(&proofs).join("\n")
    };
    assert_eq!(faults(&|_, _| {}), "");
    let unproved = faults(&|_, proofs| drop(proofs.remove("DEL-1")));
    assert!(unproved.contains("nothing proves DEL-1"), "{unproved}");
    let through = faults(&|_, proofs| drop(proofs.remove("ANC-3")));
    assert!(through.contains("nothing proves 10.2/31"), "what another row stands for needs that row: {through}");
    let unknown = faults(&|_, proofs| drop(proofs.insert("NIX-1".to_owned(), vec!["somebody".to_owned()])));
    assert!(unknown.contains("NIX-1, cited by somebody, is no row"), "{unknown}");
    let done = faults(&|catalogue, proofs| {
        catalogue.open.insert("OBEX-1".to_owned(), "later".to_owned());
        proofs.insert("OBEX-1".to_owned(), vec!["somebody".to_owned()]);
    });
    assert!(done.contains("OBEX-1 is proved by somebody: take it from the list"), "{done}");
    let twice = faults(&|catalogue, _| catalogue.rows.push(catalogue.rows[0].clone()));
    assert!(twice.contains("stands twice"), "{twice}");
    assert_eq!(
        citations("/// About.\n/// Catalogue: A-1, B-2\n#[test]\nfn one() {}\nfn two() {}"),
        [("A-1".to_owned(), "one".to_owned()), ("B-2".to_owned(), "one".to_owned())]
    );
}
