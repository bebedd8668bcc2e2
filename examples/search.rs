//! How long a search takes: `cargo run --release --example search -- [CONTACTS [books N | accounts N]]`.
//!
//! Fills an SQLite database with contacts (1,000,000 by default; in one book, in N books of one account, or in N accounts), says how
//! long indexing took and what it takes on disk, and then how long the first page of fifty takes of searches of several kinds, warm.

#![allow(clippy::disallowed_methods)] // a program: it reads its arguments and the clock

use std::error::Error;
use std::time::{Duration, Instant};
use syncml::contact::search::Query;
use syncml::message::Timestamp;
use syncml::store::search::{catch_up, search};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{AccountNo, BookNo, BookWriter, Draft, Store, Verdict};

type Outcome<T> = Result<T, Box<dyn Error>>;

const PAGE: usize = 50;
const EACH: usize = 101;
const STEP: usize = 2_000;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let count: usize = words.first().map_or(Ok(1_000_000), |text| text.parse())?;
    let parts: usize = words.get(2).map_or(Ok(1), |text| text.parse())?;
    let by_account = words.get(1).is_some_and(|word| word == "accounts");
    let place = |part: usize| match (by_account, part) {
        (true, _) => (AccountNo(1 + part as i64), BookNo::CONTACTS),
        (false, 0) => (AccountNo(1), BookNo::CONTACTS),
        (false, _) => (AccountNo(1), BookNo(1 << 60 | part as i64)),
    };
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("search.db");
    let store = SqliteStore::open(&path)?;
    let size = || std::fs::metadata(&path).map_or(0, |data| data.len() / 1_000_000);

    let begun = Instant::now();
    let per_part = count.div_ceil(parts);
    for part in 0..parts {
        let (account, book) = place(part);
        let (mut number, end) = (part * per_part, ((part + 1) * per_part).min(count));
        while number < end {
            let upto = (number + STEP).min(end);
            store.step(account, &mut |tx| {
                let row = tx.lock_books(&[book])?.remove(0);
                let mut writer = BookWriter::new(row, None, Timestamp(0));
                for number in number..upto {
                    writer.add(Draft::of(book, card(number as u64).into_bytes()));
                }
                writer.flush(tx)?;
                Ok(Verdict::Commit)
            })?;
            number = upto;
        }
    }
    println!(
        "{count} contacts in {parts} {}: {:.1} s, {} MB",
        words.get(1).map_or("book", |it| it),
        begun.elapsed().as_secs_f64(),
        size()
    );
    let (begun, before) = (Instant::now(), size());
    let accounts = if by_account { parts } else { 1 };
    for account in 0..accounts {
        catch_up(&store, AccountNo(1 + account as i64), None, &mut |_| {})?;
    }
    drop(store);
    let store = SqliteStore::open(&path)?;
    println!("indexed: {:.1} s, {} MB more", begun.elapsed().as_secs_f64(), size().saturating_sub(before));

    let mut all = Vec::new();
    for (kind, make) in KINDS {
        let mut times = Vec::new();
        let (mut hits, mut empty) = (0, 0);
        for round in 0..EACH + 5 {
            let number = mix(round as u64 * 977) % count as u64;
            let account = place(if by_account { number as usize / per_part } else { 0 }).0;
            let text = make(number);
            let query: Query = text.parse()?;
            let begun = Instant::now();
            let page = search(&store, account, None, &query, None, PAGE)?;
            // The first ones warm the cache.
            if round >= 5 {
                times.push(begun.elapsed());
                hits += page.hits.len();
                empty += usize::from(page.hits.is_empty());
            }
        }
        times.sort_unstable();
        println!(
            "{kind:28} median {:7.2} ms, 95 % {:7.2} ms, worst {:7.2} ms; {:4.1} hits a page, {empty} without",
            millis(times[EACH / 2]),
            millis(times[EACH * 95 / 100]),
            millis(times[EACH - 1]),
            hits as f64 / EACH as f64,
        );
        all.extend(times);
    }
    all.sort_unstable();
    println!("all: median {:.2} ms, worst {:.2} ms", millis(all[all.len() / 2]), millis(all[all.len() - 1]));
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

type Make = fn(u64) -> String;

/// What people search for, made from a contact that is there.
const KINDS: &[(&str, Make)] = &[
    ("one letter", |n| family(n)[..1].to_owned()),
    ("two letters", |n| family(n)[..2].to_owned()),
    ("three letters", |n| family(n)[..3].to_owned()),
    ("family name", family),
    ("given and family name", |n| format!("{} {}", given(n), family(n))),
    ("given name and one letter", |n| format!("{} {}", given(n), &family(n)[..1])),
    ("three digits", |n| tel(n)[4..7].to_owned()),
    ("three first digits", |n| tel(n)[..3].to_owned()),
    ("five digits", |n| tel(n)[3..8].to_owned()),
    ("a whole number", tel),
    ("a Chinese family name", |n| han(n).chars().take(1).collect()),
    ("a Chinese name", han),
    ("a word of notes", |n| NOTES[n as usize % NOTES.len()].to_owned()),
    ("name and word of notes", |n| format!("{} {}", family(n), NOTES[n as usize % NOTES.len()])),
    ("e-mail", |n| format!("{}.{}@", given(n), family(n))),
    ("nothing", |n| format!("{} zzyzx", family(n))),
];

const STARTS: [&str; 20] = [
    "ba", "be", "bro", "da", "fi", "ga", "ha", "jo", "ka", "la", "ma", "mi", "na", "pa", "ro", "sa", "schu", "ta",
    "wa", "we",
];
const MIDDLES: [&str; 16] = ["ck", "ll", "mm", "nn", "rt", "ss", "tt", "rd", "l", "m", "n", "r", "s", "t", "v", "z"];
const ENDS: [&str; 12] = ["er", "mann", "s", "ley", "son", "ski", "berg", "ing", "ez", "o", "ard", "el"];
const GIVEN: [&str; 40] = [
    "anna", "ben", "carla", "david", "emma", "felix", "greta", "hugo", "ida", "jan", "karl", "lena", "max", "nina",
    "otto", "paula", "quentin", "rosa", "simon", "tina", "uwe", "vera", "walter", "xenia", "yara", "zoe", "amir",
    "bella", "chen", "dora", "erik", "fatma", "georg", "hana", "ivan", "julia", "kira", "leo", "mara", "noah",
];
const SURNAMES: [&str; 20] = [
    "王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "郭", "何", "高", "林",
    "罗",
];
const HAN: [&str; 24] = [
    "伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超", "霞", "平",
    "刚", "小", "文", "华", "建",
];
const NOTES: [&str; 12] = [
    "sails",
    "chess",
    "neighbour",
    "dentist",
    "school",
    "choir",
    "plumber",
    "football",
    "holiday",
    "office",
    "market",
    "garden",
];

fn mix(number: u64) -> u64 {
    let mixed = (number ^ 0x9e37_79b9_7f4a_7c15 ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One of them, by one of the numbers drawn for a contact.
fn pick<'t>(all: &[&'t str], number: u64, drawn: u64) -> &'t str {
    all[(mix(number.wrapping_mul(31).wrapping_add(drawn)) % all.len() as u64) as usize]
}

fn family(n: u64) -> String {
    format!(
        "{}{}{}{}",
        pick(&STARTS, n, 1),
        pick(&MIDDLES, n, 2),
        pick(&["", "a", "e", "i", "o"], n, 12),
        pick(&ENDS, n, 3)
    )
}

fn given(n: u64) -> String {
    pick(&GIVEN, n, 4).to_owned()
}

fn han(n: u64) -> String {
    format!("{}{}{}", pick(&SURNAMES, n, 5), pick(&HAN, n, 6), pick(&HAN, n, 7))
}

fn tel(n: u64) -> String {
    format!("{}{:08}", pick(&["138", "139", "150", "170", "186"], n, 8), mix(n ^ 0xbeef) % 100_000_000)
}

fn card(n: u64) -> String {
    let (given, family) = (given(n), family(n));
    let name = if n.is_multiple_of(4) { han(n) } else { format!("{given} {family}") };
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:{};{};;;\r\nFN:{name}\r\nORG:{} {}\r\nTEL;TYPE=CELL:+86{}\r\nTEL;TYPE=WORK:010-{:08}\r\n\
         EMAIL:{given}.{family}@example.org\r\nADR;TYPE=HOME:;;{} Street {};Town;;{:05};Land\r\nNOTE:{} and {} {given}\r\nEND:VCARD\r\n",
        if n.is_multiple_of(4) { "" } else { &family },
        if n.is_multiple_of(4) { "" } else { &given },
        pick(&ENDS, n, 9),
        pick(&["Ltd", "GmbH", "Inc", "Sons"], n, 10),
        tel(n),
        mix(n ^ 0xcafe) % 100_000_000,
        pick(&STARTS, n, 11),
        n % 200,
        n % 99_999,
        NOTES[n as usize % NOTES.len()],
        pick(&NOTES, n, 13),
    )
}
