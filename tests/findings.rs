//! What fuzzing found, and a small corpus, replayed: every file of `fuzz/findings/TARGET` and `fuzz/corpus/TARGET` goes
//! through the same function that libFuzzer drives. The seeds that fuzzing begins with are made here, too, of `fixtures/`.
// It reads and writes files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use syncml::codec::{Encoding, Limits, adapt, decode, encode, encode_devinf};
use syncml::kit::fuzz::{TARGETS, Target};
use syncml::message::{Command, Data, Item, Message, Version};
use syncml::transport::obex::{self, Code, Header, Packet};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn targets() -> Vec<Target> {
    #[cfg(feature = "http")]
    let http = Some(syncml::transport::http::fuzz::TARGET);
    #[cfg(not(feature = "http"))]
    let http = None;
    TARGETS.iter().copied().chain([syncml::transport::obex::fuzz::TARGET]).chain(http).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    all.sort();
    all
}

/// Replays what is in a folder of each target; how many there were.
fn replay(what: &str) -> usize {
    let mut count = 0;
    for target in targets() {
        for path in files(&root().join("fuzz").join(what).join(target.name)) {
            let bytes = fs::read(&path).unwrap();
            count += 1;
            let done = catch_unwind(|| (target.run)(&bytes));
            assert!(done.is_ok(), "{} breaks a promise of {}", path.display(), target.name);
        }
    }
    count
}

#[test]
fn what_was_found_stays_mended() {
    assert!(replay("findings") > 0, "what was found is kept");
}

#[test]
fn the_corpus_keeps_all_promises() {
    let count = replay("corpus");
    assert!(count >= 100, "only {count} files");
    let sizes = targets()
        .iter()
        .flat_map(|target| files(&root().join("fuzz/corpus").join(target.name)))
        .map(|path| fs::metadata(path).unwrap().len())
        .sum::<u64>();
    assert!(sizes <= 200_000, "{sizes} bytes: the corpus that is kept is small");
}

/// Every target has a program, and is told of in the README; every folder is of a target.
#[test]
fn every_target_is_fuzzed() {
    let fuzz = root().join("fuzz");
    let (cargo, readme) =
        (fs::read_to_string(fuzz.join("Cargo.toml")).unwrap(), fs::read_to_string(fuzz.join("README.md")).unwrap());
    for target in targets() {
        let program = format!("fuzz_targets/{}.rs", target.name);
        assert!(fuzz.join(&program).is_file() && cargo.contains(&format!("path = \"{program}\"")), "{program}");
        assert!(readme.contains(&format!("| {} |", target.name)), "{} is not in fuzz/README.md", target.name);
    }
    if cfg!(feature = "http") {
        for what in ["findings", "corpus"] {
            for entry in fs::read_dir(fuzz.join(what)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(targets().iter().any(|target| target.name == name), "fuzz/{what}/{name} is of no target");
            }
        }
    }
}

/// The seeds are made, and keep all promises. `SYNCML_SEEDS=FOLDER` writes them, for libFuzzer to begin with.
#[test]
fn seeds_keep_all_promises() {
    let folder = std::env::var("SYNCML_SEEDS").ok().filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let mut counts = Vec::new();
    for target in targets() {
        let all = seeds(target.name);
        for (number, bytes) in all.iter().enumerate() {
            if let Some(folder) = &folder {
                let folder = folder.join(target.name);
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(format!("{number:04}")), bytes).unwrap();
            }
            // In an ordinary run one of eight is enough: others have their own tests.
            if folder.is_some() || number % 8 == 0 {
                let done = catch_unwind(|| (target.run)(bytes));
                assert!(done.is_ok(), "seed {number} of {}: {}", target.name, bytes.escape_ascii());
            }
        }
        counts.push((target.name, all.len()));
    }
    assert!(counts.iter().all(|(_, count)| *count >= 10), "{counts:?}");
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "xml" => messages().into_iter().chain(malformed("xml")).collect(),
        "wbxml" => messages().iter().filter_map(|bytes| to_wbxml(bytes)).chain(malformed("wbxml")).collect(),
        "devinf" => devinfs(),
        "card" => cards(),
        "san" => sans(),
        "filter" => filters(),
        "http" => https(),
        "obex" => obexes(),
        "auth" => credentials(),
        // Strings of choices: the first ones of every kind, and a few that are long.
        _ => (0..=255_u8).map(|first| choices(first, 12)).chain((0..64).map(|first| choices(first * 4, 400))).collect(),
    }
}

/// A connection, a message in two packets, its answer, an ABORT, and the end; with packets that were damaged.
fn obexes() -> Vec<Vec<u8>> {
    let id = || Header::ConnectionId(7);
    let packet = |code, headers| Packet::new(code, headers).to_bytes().unwrap();
    let connect = |code, headers| Packet::connect(code, 300, headers).to_bytes().unwrap();
    let media = || Header::Type("application/vnd.syncml+wbxml".to_owned());
    let mac = || Header::Http(b"x-syncml-hmac: algorithm=MD5, username=\"a\", mac=b\r\n".to_vec());
    let packets = [
        connect(Code::CONNECT, vec![Header::Target(obex::TARGET.to_vec())]),
        packet(Code::PUT, vec![id(), media(), Header::Length(700), mac(), Header::Body(vec![b'x'; 200])]),
        packet(Code::PUT_FINAL, vec![id(), Header::Name("m".to_owned()), Header::EndOfBody(vec![b'y'; 500])]),
        packet(Code::GET_FINAL, vec![id(), media()]),
        packet(Code::GET_FINAL, vec![id()]),
        packet(Code::ABORT, vec![id()]),
        packet(Code::DISCONNECT, vec![id(), Header::Other(0x97, vec![1])]),
        connect(Code::SUCCESS, vec![id(), Header::Who(obex::TARGET.to_vec())]),
        packet(Code::CONTINUE, Vec::new()),
        packet(Code::SUCCESS, Vec::new()),
        packet(Code::CONTINUE, vec![id(), media(), Header::Body(vec![b'z'; 100])]),
        packet(Code::SUCCESS, vec![id(), Header::EndOfBody(b"end".to_vec())]),
    ];
    let (requests, responses) = packets.split_at(7);
    let mut all = vec![[&[3], requests.concat().as_slice()].concat(), [&[200], responses.concat().as_slice()].concat()];
    for at in 0..packets.len() {
        let mut damaged = packets.clone();
        let place = (at * 7 + 3) % damaged[at].len();
        damaged[at][place] ^= 1 << (at % 8);
        all.push([&[at as u8], damaged.concat().as_slice()].concat());
    }
    all
}

fn choices(first: u8, length: usize) -> Vec<u8> {
    let mut state = u32::from(first).wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::once(first).chain(std::iter::repeat_with(next).take(length)).collect()
}

/// Requests and replies of all conversations, and the vectors.
fn messages() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut folders: Vec<PathBuf> = files_and_folders(&root().join("fixtures/conversations"));
    folders.extend(["fixtures/vectors", "fixtures/schema/good"].map(|folder| root().join(folder)));
    for folder in folders {
        for path in files(&folder).into_iter().filter(|path| path.extension().is_some_and(|it| it == "xml")) {
            let bytes = fs::read(path).unwrap();
            // What comes with long contents is for others.
            if bytes.len() <= 16_000 {
                all.push(bytes);
            }
        }
    }
    all
}

fn files_and_folders(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn to_wbxml(xml: &[u8]) -> Option<Vec<u8>> {
    let mut message = decode(xml, Encoding::Xml, &Limits::default()).ok()?;
    adapt(&mut message, Encoding::Wbxml);
    encode(&message, Encoding::Wbxml).ok()
}

fn malformed(extension: &str) -> Vec<Vec<u8>> {
    let of_kind = |path: &PathBuf| path.extension().is_some_and(|it| it == extension);
    files(&root().join("fixtures/malformed"))
        .iter()
        .filter(|path| of_kind(path))
        .map(|path| fs::read(path).unwrap())
        .collect()
}

fn items<'m>(message: &'m Message<'_>) -> Vec<&'m Item<'m>> {
    fn of<'m>(commands: &'m [Command<'_>], all: &mut Vec<&'m Item<'m>>) {
        for command in commands {
            match command {
                Command::Change(it) => all.extend(&it.items),
                Command::Put(it) => all.extend(&it.items),
                Command::Results(it) => all.extend(&it.items),
                Command::Alert(it) => all.extend(&it.items),
                Command::Sync(it) => of(&it.commands, all),
                Command::Container(it) => of(&it.commands, all),
                _ => {}
            }
        }
    }
    let mut all = Vec::new();
    of(&message.body, &mut all);
    all
}

/// Something of every item in all conversations, each once.
fn of_items(take: impl Fn(&Item<'_>) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for bytes in messages() {
        if let Ok(message) = decode(&bytes, Encoding::Xml, &Limits::default()) {
            all.extend(items(&message).into_iter().flat_map(&take));
        }
    }
    all.sort();
    all.dedup();
    all
}

fn devinfs() -> Vec<Vec<u8>> {
    of_items(|item| match &item.data {
        Some(Data::DevInf(devinf)) => Version::ALL
            .iter()
            .flat_map(|version| {
                [Encoding::Xml, Encoding::Wbxml].map(|encoding| encode_devinf(devinf, *version, encoding))
            })
            .filter_map(Result::ok)
            .collect(),
        _ => Vec::new(),
    })
}

/// Cards of the fixtures, alone and three at a time, with lenses.
fn cards() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = files(&root().join("fixtures/cards"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "vcf"))
        .map(|path| fs::read(path).unwrap())
        .collect();
    all.extend(of_items(|item| {
        let card = item.data.as_ref().and_then(Data::as_bytes).filter(|bytes| bytes.starts_with(b"BEGIN:VCARD"));
        card.filter(|bytes| bytes.len() < 3_000).map(<[u8]>::to_vec).into_iter().collect()
    }));
    let lenses: [&[u8]; 4] = [
        b"{}",
        br#"{"c":true,"r":[{"n":"EMAIL","o":1},{"n":"FN"},{"n":"N"},{"n":"NOTE","s":{"c":10}},{"n":"TEL","o":2}]}"#,
        br#"{"c":true,"i":true,"r":[{"n":"TEL","k":["cell"],"o":1},{"n":"TEL","t":["home","work"]},{"n":"N"}]}"#,
        br#"{"f":7}"#,
    ];
    let together = |(place, base): (usize, &Vec<u8>)| {
        let (one, other) = (&all[(place + 1) % all.len()], &all[(place + 2) % all.len()]);
        let edited = [&base[..base.len() / 2], b"NOTE:edited\r\n", &base[base.len() / 2..]].concat();
        let one: &[u8] = if place % 2 == 0 { one } else { &edited };
        let parts: [&[u8]; 5] = [base, one, other, lenses[place % 4], lenses[(place + 1) % 4]];
        parts.join(&0x1E)
    };
    let three: Vec<Vec<u8>> = all.iter().enumerate().map(together).collect();
    all.into_iter().chain(three).collect()
}

/// The notifications of the fixtures, from their hexadecimal lines, and those that were messages.
fn sans() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for path in files(&root().join("fixtures/notification")) {
        for line in fs::read_to_string(path).unwrap().lines().filter_map(|line| line.strip_prefix("bytes:")) {
            let digits: Vec<u8> = line.bytes().filter(u8::is_ascii_hexdigit).collect();
            let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            all.push(digits.chunks_exact(2).map(octet).collect());
        }
    }
    let alert = b"<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>1</SessionID><MsgID>1</MsgID>\
        <Target><LocURI>/</LocURI></Target><Source><LocURI>http://s</LocURI><LocName>s</LocName></Source></SyncHdr><SyncBody>\
        <Alert><CmdID>1</CmdID><Data>206</Data><Item><Source><LocURI>contacts</LocURI></Source></Item></Alert><Final/>\
        </SyncBody></SyncML>";
    all.push(alert.to_vec());
    all.extend(to_wbxml(alert));
    all
}

fn filters() -> Vec<Vec<u8>> {
    let card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Doe;Zo\xC3\xAB\r\nFN:Zo\xC3\xAB Doe\r\nORG:ACME\r\nTEL:+1-555\r\nEND:VCARD\r\n";
    let mut all = Vec::new();
    let queries = [
        "ORG&EQ;ACME",
        "(N&CON;Doe&OR;N&CON;x)&AND;TEL&iEQ;+1555",
        "LUID&EQ;1",
        "BDAY&GT;19800101",
        "TEL&NE;NULL",
        "FN&iNCON;%C3%AB",
        "((((N&EQ;a))))",
        "REV&GE;20200101T000000Z&AND;REV&LT;20300101T000000Z",
        "X-A&LE;3&OR;ORG&EQ;&AND;ORG&EQ;ACME",
        "ORG&amp;EQ;ACME",
    ];
    for query in queries {
        let parts: [&[u8]; 4] = [query.as_bytes(), b"<PropName>TEL</PropName>,TEL", b"contacts?N&CON;x", card];
        all.push(parts.join(&0x1E));
    }
    all.extend(of_items(|item| {
        let text = |item: &Option<Item<'_>>| {
            item.as_ref().and_then(|it| it.data.as_ref()?.as_bytes().map(<[u8]>::to_vec)).unwrap_or_default()
        };
        let address = item.target.as_ref().map(|it| it.uri.as_bytes().to_vec()).unwrap_or_default();
        let Some(filter) = &item.filter else { return Vec::new() };
        vec![[text(&filter.record), text(&filter.field), address, card.to_vec()].join(&0x1E)]
    }));
    all
}

fn https() -> Vec<Vec<u8>> {
    let addresses = [
        ("http://h/sync", "http://h/sync?s=1"),
        ("https://u:p@h:443/a/b", "https://h/x#y"),
        ("http://[::1]:8080/a", "?s=AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAA"),
        ("https://h/a", "http://h/a"),
        ("http://h:80/", "//o/x"),
    ];
    let values = [
        "application/vnd.syncml+xml; charset=utf-8",
        "application/vnd.syncml+wbxml",
        "gzip;q=0.5, deflate, *;q=0",
        "algorithm=MD5, username=\"Robert \\\"Jordan\", mac=Zz6EivR3yeaaENcRN6lpAQ==",
        "120",
        "s=AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAA&x=1",
    ];
    let gzip: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x4a\x06\x00\xc2\x41\x24\x35\x03\x00\x00\x00";
    let deflate: &[u8] = b"\x78\x9c\x4b\x4c\x4a\x06\x00\x02\x4d\x01\x27";
    let mut all = Vec::new();
    for (place, (home, wanted)) in addresses.iter().enumerate() {
        for body in [gzip, deflate, &deflate[2..]] {
            let head = [&[*home, *wanted], &values[place % 4..]].concat().join("\n");
            all.push([head.as_bytes(), b"\n\n", body].concat());
        }
    }
    all
}

fn credentials() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        messages().into_iter().filter(|bytes| bytes.windows(6).any(|it| it == b"<Cred>")).take(40).collect();
    let mac = "algorithm=MD5, username=\"Bruce2\", mac=Zz6EivR3yeaaENcRN6lpAQ==";
    let token = "s=AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAA";
    for (media_type, format, data, name) in [
        ("syncml:auth-basic", "b64", "QnJ1Y2UyOk9oQmVoYXZl", ""),
        ("syncml:auth-basic", "", "Bruce2:OhBehave", "Bruce2"),
        ("syncml:auth-md5", "b64", "Zz6EivR3yeaaENcRN6lpAQ==", "Bruce2"),
        ("syncml:auth-MAC", "b64", "Zz6EivR3yeaaENcRN6lpAQ==", "Bruce2"),
        ("x-syncml:auth-device-md5", "b64", "Zz6EivR3yeaaENcRN6lpAQ==", "alice"),
        ("x-syncml:auth-device-sha256", "bin", "0123456789abcdef0123456789abcdef", "alice"),
    ] {
        let parts = [media_type, format, data, name, mac, token, "Tm9uY2U="].map(str::as_bytes);
        all.push(parts.join(&0x1E));
    }
    all
}

/// A claim in `docs/security.md` and `docs/console.md` names the test that shows it, as `FILE::NAME`.
#[test]
fn every_claim_names_a_test_that_exists() {
    let text =
        ["docs/security.md", "docs/console.md"].map(|page| fs::read_to_string(root().join(page)).unwrap()).concat();
    let mut count = 0;
    for (file, name) in text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::")) {
        let source =
            fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_else(|_| panic!("{file}.rs is no file"));
        let wanted = format!("fn {name}(");
        let is_test = source
            .match_indices(&wanted)
            .any(|(at, _)| source[..at].trim_end().ends_with(']') || file.starts_with("src/"));
        assert!(is_test, "{file}.rs has no test {name}");
        count += 1;
    }
    assert!(count >= 40, "only {count} claims name a test");
}
