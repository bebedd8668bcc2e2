//! `syncml search`: what an account has in its books, by words and digits; and copies of it.

mod chat;
mod copy;

use crate::books;
use crate::database::{self, DatabaseArgs};
use crate::failure::{Failure, Result};
use crate::output::{self, Table, moment};
use std::path::PathBuf;
use syncml::contact::search::{Query, Rank};
use syncml::session::datastore::title;
use syncml::store::search::{Cursor, Hit, MOST_HITS, search};
use syncml::store::{AccountNo, BookNo, Store};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The beginnings of words (of a name, an organisation, an address, a note), three or more digits out of a number, Chinese,
    /// Japanese or Korean characters in a row. All of them must be found
    #[arg(required_unless_present = "chat", value_name = "WORDS")]
    words: Vec<String>,
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account
    #[arg(long, value_name = "NAME", alias = "account")]
    user: String,
    /// Only this book, as `syncml book list` shows it; else all of the account
    #[arg(long)]
    book: Option<String>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=MOST_HITS as u64))]
    limit: u64,
    /// Go on after a page, with what it said under `next`
    #[arg(long, value_name = "NEXT", conflicts_with = "to")]
    after: Option<String>,
    /// Copy all that is found: into a new file of cards (.vcf) or a table (.csv), or one file each into a folder
    #[arg(long, value_name = "DIR|FILE.vcf|FILE.csv")]
    to: Option<PathBuf>,
    /// Answer a chat instead: of the lines on standard input those that ask, such as "@book Ann's number?" or
    /// "@通讯录 王小明的邮箱", are answered in the form of the chat, with that and nothing else; only from one book, contacts
    /// unless --book says
    #[arg(long, conflicts_with_all = ["words", "after", "to", "limit", "json"])]
    chat: bool,
    /// Output for machines, with the contents
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.chat {
        return chat::run(&args.db, &args.user, args.book.as_deref().unwrap_or("contacts"));
    }
    let query: Query = args.words.join(" ").parse().map_err(|error| Failure::usage(format!("{error}")))?;
    let cursor = args.after.as_deref().map(str::parse::<Cursor>).transpose();
    let cursor = cursor.map_err(|error| Failure::usage(format!("--after: {error}")))?;
    let book = args.book.as_deref().map(books::named).transpose()?.map(|kind| kind.book);
    let store = args.db.open()?;
    let account = database::account(store.as_ref(), &args.user)?;
    let asked = Asked { store: store.as_ref(), account, book, query };
    match &args.to {
        Some(to) => copy::copy(&asked, to, args.json),
        None => show(&asked, cursor, args),
    }
}

/// A search that was understood.
struct Asked<'s> {
    store: &'s dyn Store,
    account: AccountNo,
    book: Option<BookNo>,
    query: Query,
}

impl Asked<'_> {
    /// Visits all that is found.
    fn each(&self, mut visit: impl FnMut(&Hit) -> Result<()>) -> Result<()> {
        let mut cursor = None;
        loop {
            let page = search(self.store, self.account, self.book, &self.query, cursor, MOST_HITS)?;
            page.hits.iter().try_for_each(&mut visit)?;
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Up to `limit` hits, and where to go on.
    fn page(&self, mut cursor: Option<Cursor>, limit: usize) -> Result<(Vec<Hit>, Option<Cursor>)> {
        let mut hits = Vec::new();
        loop {
            let page = search(self.store, self.account, self.book, &self.query, cursor, limit - hits.len())?;
            hits.extend(page.hits);
            cursor = page.next;
            if hits.len() >= limit || cursor.is_none() {
                return Ok((hits, cursor));
            }
        }
    }
}

fn show(asked: &Asked<'_>, cursor: Option<Cursor>, args: &Args) -> Result<()> {
    let (hits, next) = asked.page(cursor, usize::try_from(args.limit).unwrap_or(MOST_HITS))?;
    if args.json {
        let hits: Vec<_> = hits.iter().map(json).collect();
        let next = next.map(|next| next.to_string());
        output::json(&serde_json::json!({ "ok": true, "hits": hits, "next": next }));
        return Ok(());
    }
    let mut table = Table::new(&["book", "guid", "name", "found in"]);
    for hit in &hits {
        let found: Vec<_> = hit.matched.iter().map(|(property, text)| format!("{property}: {text}")).collect();
        table.row([title(hit.book).into_owned(), hit.item.guid.to_string(), name(hit), found.join(" | ")]);
    }
    match hits.len() {
        0 => println!("nothing found"),
        count => {
            table.print();
            println!("{count} found{}", next.map_or(String::new(), |next| format!(", and more: --after {next}")));
        }
    }
    Ok(())
}

fn json(hit: &Hit) -> serde_json::Value {
    let matched = hit.matched.iter().map(|(property, text)| serde_json::json!({ "property": property, "text": text }));
    serde_json::json!({
        "book": title(hit.book),
        "guid": hit.item.guid,
        "revision": hit.item.revision,
        "changed": moment(hit.item.at),
        "name": name(hit),
        "in_name": hit.rank == Rank::Name,
        "matched": matched.collect::<Vec<_>>(),
        "content": String::from_utf8_lossy(&hit.item.content),
    })
}

/// What a list calls an item.
fn name(hit: &Hit) -> String {
    let label = books::numbered(hit.book).and_then(|book| book.label(&hit.item.content));
    label.unwrap_or_else(|| books::NO_NAME.to_owned())
}
