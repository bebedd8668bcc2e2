//! What was: conflicts, the past of cards and books.

use super::browser::{Browser, Page};
use super::program::{run, set};
use super::{file_of, guid, holding, items, synced, world};
use serde_json::Value;
use std::fs;

/// Mission X2: what a sync decided between two who changed the same field is seen, by whom and what lost, in the page and by the
/// program; what lost is taken back, alone, and reaches the device.
#[test]
fn x2_b9_conflicts_are_listed_and_what_lost_is_taken_back() {
    let world = synced(&[("Zoe Berg", "TITLE:Captain\r\n")]);
    let guid = guid(&world, "Zoe Berg");
    let mut browser = Browser::of(&world, "ada");
    let list = "/console/book/1/conflicts";
    browser.get(list).says(200, &["There was no conflict."]);
    let path = format!("/console/book/1/item/{guid}");
    let form = browser.get(&format!("{path}/edit"));
    let title = holding(&form, "TITLE", "Captain");
    browser.post(&form, &format!("{path}/edit"), &[("revision", &form.field("revision")), (&title, "Admiral")]);
    let lost = guid + 1;
    let file = file_of(&world, "phone", "Zoe Berg");
    let edited = fs::read_to_string(&file).unwrap().replace("TITLE:Captain", "TITLE:Pirate\r\nNOTE:Arr");
    fs::write(&file, edited).unwrap();
    world.synced("phone", &[], 0);
    browser.get("/console/devices").says(200, &["Conflicts: 1", list]);
    browser.get("/console/history").says(200, &["changed, a conflict", list]);
    let page = browser.get(list);
    page.says(200, &["Zoe Berg", "TITLE", "what the device said", &format!("Revision {lost}"), "Take it back"]);
    assert!(!page.body.contains("There was no conflict."));
    let decided = page.field("revision");
    browser.get(&format!("{path}/history/{decided}")).says(200, &["Conflict", "TITLE", &format!("Revision {lost}")]);
    browser.get(&format!("{path}/history/{lost}")).says(200, &["Admiral"]);
    browser.get("/console/language?to=zh-Hans");
    browser.get(list).says(200, &["冲突", "设备的内容", "取回"]);
    browser.get("/console/language?to=en");

    // The same by the program.
    let history = |args: &[&str]| {
        let (code, out, err) = run(&mut world.with_db(&[&["history"], args, &["--user", "ada", "--json"]].concat()));
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let told = history(&["list", "--conflicts"]);
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(
        (&told[0]["book"], &told[0]["guid"], &told[0]["won"], &told[0]["lost"], &told[0]["fields"]),
        (&"contacts".into(), &guid.into(), &"peer".into(), &lost.into(), &serde_json::json!(["TITLE"]))
    );
    assert_eq!(told[0]["revision"].to_string(), decided);
    assert_eq!(told[0]["name"], "Zoe Berg");
    for none in [&["--since", decided.as_str()][..], &["--since", "2999-01-01T00:00:00Z"], &["--guid", "999"]] {
        let all = [&["list", "--conflicts", "--book", "contacts"], none].concat();
        assert_eq!(history(&all), serde_json::json!([]), "{none:?}");
    }
    assert_eq!(history(&["list", "--conflicts", "--since", "1"]), told);
    let log = history(&["list"]);
    let marked: Vec<_> = log.as_array().unwrap().iter().filter(|row| !row["conflict"].is_null()).collect();
    assert_eq!(marked.len(), 1, "{log}");
    assert_eq!((&marked[0]["revision"], &marked[0]["conflict"]["lost"]), (&told[0]["revision"], &lost.into()));
    let (code, out, _) = run(world.with_db(&["history", "list", "--conflicts"]).args(["--user", "ada"]));
    assert!(code == 0 && out.contains("what came in") && out.contains("TITLE"), "{out}");
    let (code, _, err) = run(world.with_db(&["history", "list", "--since", "1"]).args(["--user", "ada"]));
    assert!(code == 2 && err.contains("--conflicts"), "{err}");
    assert_eq!(history(&["restore", "--conflict", &decided, "--dry-run"])["outcome"], "changed");
    let wrong = ["history", "restore", "--conflict", "1", "--user", "ada"];
    let (code, _, err) = run(&mut world.with_db(&wrong));
    assert!(code == 2 && err.contains("decided no conflict"), "{err}");

    // Another account's is as one that never was, and a form has to be this page's.
    let (code, _, err) =
        run(world.with_db(&["account", "add", "eve"]).arg("--password-file").arg(world.path("password")));
    assert_eq!(code, 0, "{err}");
    let mut eve = Browser::of(&world, "eve");
    let theirs = eve.get(list);
    theirs.says(200, &["There was no conflict."]);
    eve.post(&theirs, &format!("{list}/take"), &[("revision", &decided)]).says(422, &["nothing lost in it"]);
    let foreign = browser.post(&theirs, &format!("{list}/take"), &[("revision", &decided)]);
    assert_eq!(foreign.status, 403);
    let (code, out, _) = run(world.with_db(&["history", "list", "--conflicts", "--json"]).args(["--user", "eve"]));
    assert_eq!((code, out.trim()), (0, "[]"));
    assert!(items(&world)[0]["content"].as_str().unwrap().contains("Pirate"));

    // Taken back: the title and nothing else.
    browser.post(&page, &format!("{list}/take"), &[("revision", "1")]).says(422, &["nothing lost in it"]);
    let done = browser.post(&page, &format!("{list}/take"), &[("revision", &decided)]);
    browser.follow(&done).says(200, &["It is as it was."]);
    world.synced("phone", &[], 0);
    let card = fs::read_to_string(file_of(&world, "phone", "Zoe Berg")).unwrap();
    assert!(card.contains("Admiral") && card.contains("NOTE:Arr") && !card.contains("Pirate"), "{card}");
}

#[test]
fn x2_b9_many_conflicts_come_in_pages() {
    let cards: Vec<_> = (0..60).map(|n| (format!("Name{n:02} Doe"), format!("TEL:+4930111{n:02}\r\n"))).collect();
    let world = synced(&cards.iter().map(|(name, lines)| (name.as_str(), lines.as_str())).collect::<Vec<_>>());
    fs::create_dir(world.path("tablet")).unwrap();
    world.synced("tablet", &[], 0);
    for dir in ["phone", "tablet"] {
        for file in fs::read_dir(world.path(dir)).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|ending| ending == "vcf") {
                let card = fs::read_to_string(&file).unwrap();
                fs::write(&file, card.replace("END:", &format!("TITLE:of the {dir}\r\nEND:"))).unwrap();
            }
        }
        world.synced(dir, &[], 0);
    }
    let mut browser = Browser::of(&world, "ada");
    let first = browser.get("/console/book/1/conflicts");
    let rows = |page: &Page| page.body.matches("Take it back").count();
    assert_eq!(rows(&first), 50);
    let before = first.between("/console/book/1/conflicts?before=", "\"").unwrap().to_owned();
    let second = browser.get(&format!("/console/book/1/conflicts?before={before}"));
    assert_eq!((second.status, rows(&second)), (200, 10));
    assert!(second.between("/console/book/1/conflicts?before=", "\"").is_none());
    let named = |page: &Page, n: usize| page.body.contains(&format!("Name{n:02} Doe"));
    assert!((0..60).all(|n| named(&first, n) != named(&second, n)));
    browser.get("/console/devices").says(200, &["Conflicts: 60"]);
}

#[test]
fn c6_a_card_is_brought_back_from_its_history() {
    let world = synced(&[("Zoe Berg", "TITLE:Captain\r\n")]);
    let guid = guid(&world, "Zoe Berg");
    let mut browser = Browser::of(&world, "ada");
    let item = format!("/console/book/1/item/{guid}");
    let form = browser.get(&format!("{item}/edit"));
    let title = holding(&form, "TITLE", "Captain");
    browser.post(&form, &format!("{item}/edit"), &[("revision", &form.field("revision")), (&title, "Admiral")]);
    let log = browser.get(&format!("{item}/history"));
    log.says(200, &["History of Zoe Berg", "added", "changed", "console"]);
    let first = format!("{item}/history/{guid}");
    let seen = browser.get(&first);
    seen.says(200, &["What has changed since", "Captain", "Admiral", "Bring this revision back"]);
    browser.post(&seen, &format!("{item}/restore"), &[("revision", "999")]).says(422, &["no moment of this book"]);
    let page = browser.post(&seen, &format!("{item}/restore"), &[("revision", &seen.field("revision"))]);
    browser.follow(&page).says(200, &["It is as it was.", "restore"]);
    assert!(items(&world)[0]["content"].as_str().unwrap().contains("Captain"));
    assert_eq!(browser.get(&format!("{item}/history/999")).status, 404);
}

#[test]
fn c6_a_book_is_set_back_and_that_is_undone() {
    let world = synced(&[("Zoe Berg", ""), ("Bo Ek", "")]);
    let mut browser = Browser::of(&world, "ada");
    let then = items(&world).iter().map(|item| item["guid"].as_i64().unwrap()).max().unwrap();
    let path = format!("/console/book/1/item/{}", guid(&world, "Bo Ek"));
    let seen = browser.get(&path);
    browser.post(&seen, &format!("{path}/delete"), &[("revision", &seen.field("revision"))]);
    let form = browser.get("/console/book/1/new");
    browser.post(&form, "/console/book/1/new", &[("N-new_1", "New")]);
    world.synced("phone", &[], 0);
    assert_eq!(world.names("phone"), set(["Zoe Berg", "New"]));
    browser.get("/console/history").says(200, &["Set the whole book back", "datetime-local"]);
    for wrong in ["at=yesterday", "revision=999", "revision=-1", ""] {
        browser.get(&format!("/console/book/1/restore?{wrong}")).says(422, &["no moment of this book"]);
    }
    browser.get("/console/book/1/restore?at=2999-01-01T00:00").says(200, &["Nothing differs."]);
    browser
        .get("/console/book/1/restore?at=1999-01-01T00:00:00")
        .says(200, &["0 come back, 0 are changed back, 2 are deleted."]);
    let plan = browser.get(&format!("/console/book/1/restore?revision={then}"));
    plan.says(200, &["1 come back, 0 are changed back, 1 are deleted."]);
    assert_eq!(world.server_names(), set(["Zoe Berg", "New"]), "a look changes nothing");
    let page = browser.post(&plan, "/console/book/1/restore", &[("revision", &plan.field("revision"))]);
    let page = browser.follow(&page);
    page.says(200, &["The book is as it was.", "Earlier restores"]);
    world.synced("phone", &[], 0);
    assert_eq!(world.names("phone"), set(["Zoe Berg", "Bo Ek"]));
    let undo = page.between("/console/book/1/restore?revision=", "\"").unwrap().to_owned();
    let plan = browser.get(&format!("/console/book/1/restore?revision={undo}"));
    let page = browser.post(&plan, "/console/book/1/restore", &[("revision", &plan.field("revision"))]);
    assert_eq!(page.status, 303);
    assert_eq!(world.server_names(), set(["Zoe Berg", "New"]));
}

/// A box of a device is a book: its past is seen, and nothing of it is edited (read only).
#[test]
fn c6_other_books_are_seen_and_not_edited() {
    let world = world();
    world.write("note.txt", "remember the milk");
    let put = ["item", "put", "--user", "ada", "--book", "notes"];
    let (code, _, err) = run(world.with_db(&put).arg(world.path("note.txt")));
    assert_eq!(code, 0, "{err}");
    let mut browser = Browser::of(&world, "ada");
    browser.get("/console/book/4").says(200, &["remember the milk"]);
    let item = "/console/book/4/item/1";
    let seen = browser.get(item);
    seen.says(200, &["What is in this book is not edited here."]);
    assert_eq!(browser.get(&format!("{item}/edit")).status, 404);
    assert_eq!(browser.get("/console/book/4/new").status, 404);
    browser.get(&format!("{item}/history")).says(200, &["added"]);
    browser.get(&format!("{item}/history/1")).says(200, &["It is no contact: 17 bytes."]);
    for (path, fields) in [("edit", [("revision", "1"), ("FN-new", "x")]), ("delete", [("revision", "1"), ("x", "")])] {
        assert_eq!(browser.post(&seen, &format!("{item}/{path}"), &fields).status, 404, "{path}");
    }
    assert_eq!(browser.get("/console/book/5").status, 404, "a book that is not there");
}
