//! Contacts, devices and what is held, on the page.

use super::browser::{Browser, Page, encoded};
use super::program::{PASSWORD, World, card, run, set};
use super::{file_of, guid, holding, items, synced, world};
use std::fs;

#[test]
fn r3_search_finds_names_numbers_and_words() {
    let world = synced(&[
        ("Zoë Östberg", "TEL;TYPE=CELL:+46 70-174 06 01\r\nEMAIL:zoe@example.com\r\n"),
        ("小明 王", "TEL:010 5555\r\nNOTE:飲茶\r\n"),
        ("Bo <b>Bold</b>", "ORG:Fish & Chips\r\n"),
    ]);
    let mut browser = Browser::of(&world, "ada");
    for (query, found) in [
        ("zoe", &["Östberg"][..]),
        ("OSTBERG", &["Östberg"]),
        ("4670174", &["Östberg"]),
        ("example", &["Östberg"]),
        ("王", &["小明"]),
        ("飲茶", &["小明"]),
        ("chips", &["Bo &lt;b&gt;Bold&lt;/b&gt;"]),
        ("o", &["Östberg"]),
        ("b bol", &["Bo &lt;b&gt;"]),
        ("nobody", &[]),
    ] {
        for path in ["/console?", "/console/book/1?", "/console/book/1/rows?"] {
            let page = browser.get(&format!("{path}{}", encoded(&[("q", query)])));
            page.says(200, found);
            let count = page.body.matches("/console/book/1/item/").count();
            assert_eq!(count, found.len(), "{query} {}", page.body);
            assert!(!page.body.contains("<b>Bold"), "escaped");
        }
    }
    browser.get("/console?q=nobody").says(200, &["Nothing is found."]);
    let page = browser.get(&format!("/console?{}", encoded(&[("q", "\"><script>")])));
    page.says(200, &["value=\"&quot;&gt;&lt;script&gt;\""]);
}

#[test]
fn b9_long_books_come_in_pages() {
    let mut cards = String::new();
    for n in 0..120 {
        cards += &card(&format!("Name{n:03} Doe"), "");
    }
    let world = world();
    world.write("all.vcf", &cards);
    let (code, _, err) = run(world.with_db(&["import", "--user", "ada"]).arg(world.path("all.vcf")));
    assert_eq!(code, 0, "{err}");
    let mut browser = Browser::of(&world, "ada");
    let (mut seen, mut path) = (Vec::new(), "/console/book/1".to_owned());
    loop {
        let page = browser.get(&path);
        page.says(200, &[]);
        let names = page.body.split("<bdi>Name").skip(1).map(|rest| rest[..3].to_owned());
        seen.extend(names);
        match page.between("<a class=\"action\" href=\"/console/book/1?after=", "\"") {
            Some(after) => path = format!("/console/book/1?after={after}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..120).map(|n| format!("{n:03}")).collect::<Vec<_>>());
}

#[test]
fn b9_an_edit_reaches_the_device_and_unknown_properties_stay() {
    let lines = "TEL;TYPE=CELL:+49301111\r\nX-STRANGE;X-P=q:keeps\r\nPHOTO;ENCODING=b;TYPE=JPEG:aGVsbG8=\r\n";
    let world = synced(&[("Zoe Berg", lines)]);
    let guid = guid(&world, "Zoe Berg");
    let mut browser = Browser::of(&world, "ada");
    browser.get(&format!("/console/book/1/item/{guid}")).says(200, &["Zoe Berg", "+49301111", "X-STRANGE", "keeps"]);
    let form = browser.get(&format!("/console/book/1/item/{guid}/edit"));
    form.says(200, &["X-STRANGE"]);
    let (number, revision) = (holding(&form, "TEL", "+49301111"), form.field("revision"));
    // What the browser sends is the whole form.
    let mut fields = form.inputs("");
    fields.retain(|(name, _)| !["token", "revision"].contains(&name.as_str()));
    fields.iter_mut().filter(|(name, _)| *name == number).for_each(|(_, value)| *value = "+49302222".to_owned());
    fields.push(("EMAIL-new".to_owned(), "zoe@example.com".to_owned()));
    fields.retain(|(name, value)| name != "EMAIL-new" || !value.is_empty());
    fields.push(("revision".to_owned(), revision));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = browser.post(&form, &format!("/console/book/1/item/{guid}/edit"), &fields);
    browser.follow(&page).says(200, &["It is saved.", "+49302222", "zoe@example.com"]);
    let before = items(&world)[0]["content"].as_str().unwrap().to_owned();
    for line in
        ["TEL;TYPE=CELL:+49302222", "X-STRANGE;X-P=q:keeps", "PHOTO;ENCODING=b;TYPE=JPEG:aGVsbG8=", "FN:Zoe Berg"]
    {
        assert!(before.lines().any(|it| it == line), "{line} in {before}");
    }
    let report = world.synced("phone", &[], 0);
    assert_eq!(World::counts(&report), [[0, 1, 0], [0, 0, 0]]);
    let card = fs::read_to_string(file_of(&world, "phone", "Zoe Berg")).unwrap();
    for line in ["+49302222", "X-STRANGE;X-P=q:keeps", "zoe@example.com"] {
        assert!(card.contains(line), "{line} in {card}");
    }
    // The same form once more says nothing new.
    let form = browser.get(&format!("/console/book/1/item/{guid}/edit"));
    let page =
        browser.post(&form, &format!("/console/book/1/item/{guid}/edit"), &[("revision", &form.field("revision"))]);
    browser.follow(&page).says(200, &["Nothing was changed."]);
    assert_eq!(World::counts(&world.synced("phone", &[], 0)), [[0; 3]; 2]);
}

#[test]
fn b9_new_and_deleted_contacts_reach_the_device() {
    let world = synced(&[("Zoe Berg", "")]);
    let mut browser = Browser::of(&world, "ada");
    let form = browser.get("/console/book/1/new");
    browser.post(&form, "/console/book/1/new", &[("TEL-new", " ")]).says(422, &["A contact needs a name"]);
    let fields = [("N-new_0", "Ek"), ("N-new_1", "Bo"), ("TEL-new", "+46 1"), ("TEL-new-kind", "WORK")];
    let page = browser.post(&form, "/console/book/1/new", &fields);
    browser.follow(&page).says(200, &["It is saved.", "Bo Ek", "+46 1", "work"]);
    world.synced("phone", &[], 0);
    assert_eq!(world.names("phone"), set(["Zoe Berg", "Bo Ek"]));
    let path = format!("/console/book/1/item/{}", guid(&world, "Bo Ek"));
    let seen = browser.get(&path);
    browser.post(&seen, &format!("{path}/delete"), &[("revision", "1")]).says(409, &["is not deleted"]);
    browser.post(&seen, &format!("{path}/delete"), &[("revision", "x")]).says(400, &[]);
    let page = browser.post(&seen, &format!("{path}/delete"), &[("revision", &seen.field("revision"))]);
    browser.follow(&page).says(200, &["It is deleted."]);
    world.synced("phone", &[], 0);
    assert_eq!(world.names("phone"), set(["Zoe Berg"]));
    assert_eq!(browser.get(&path).status, 404);
    let page = browser.post(&form, &format!("{path}/edit"), &[("revision", &seen.field("revision")), ("FN-2", "Late")]);
    page.says(409, &["It was deleted meanwhile."]);
}

/// A card that somebody has open in a form, and that the phone changed meanwhile.
struct Crossed {
    guid: String,
    browser: Browser,
    path: String,
    form: Page,
    /// The field of the title, as the form has it.
    title: String,
    revision: String,
}

impl Crossed {
    fn new(world: &World, from: &str, to: &str) -> Self {
        let guid = guid(world, "Zoe Berg");
        let mut browser = Browser::of(world, "ada");
        let path = format!("/console/book/1/item/{guid}/edit");
        let form = browser.get(&path);
        let (title, revision) = (holding(&form, "TITLE", "Captain"), form.field("revision"));
        let file = file_of(world, "phone", "Zoe Berg");
        fs::write(&file, fs::read_to_string(&file).unwrap().replace(from, to)).unwrap();
        world.synced("phone", &[], 0);
        Self { guid: guid.to_string(), browser, path, form, title, revision }
    }

    /// What is answered to another title.
    fn retitle(&mut self, title: &str) -> Page {
        let fields = [("revision", self.revision.as_str()), (self.title.as_str(), title)];
        self.browser.post(&self.form, &self.path, &fields)
    }
}

#[test]
fn b9_a_devices_edit_in_between_is_merged() {
    let world = synced(&[("Zoe Berg", "TEL:+49301111\r\nTITLE:Captain\r\n")]);
    let mut crossed = Crossed::new(&world, "END:VCARD", "TEL:+49302222\r\nEND:VCARD");
    let page = crossed.retitle("Admiral");
    let said = ["together with what was changed meanwhile", "Admiral", "+49301111", "+49302222"];
    crossed.browser.follow(&page).says(200, &said);
    world.synced("phone", &[], 0);
    let card = fs::read_to_string(file_of(&world, "phone", "Zoe Berg")).unwrap();
    assert!(["Admiral", "+49301111", "+49302222"].iter().all(|text| card.contains(text)), "{card}");
}

#[test]
fn b9_what_cannot_be_merged_is_shown() {
    let world = synced(&[("Zoe Berg", "TITLE:Captain\r\n")]);
    let mut crossed = Crossed::new(&world, "Captain", "Pirate");
    let page = crossed.retitle("Admiral");
    let Crossed { guid, mut browser, path, form, title, revision } = crossed;
    page.says(409, &["Nothing is saved yet.", "Pirate", "Admiral"]);
    assert!(items(&world)[0]["content"].as_str().unwrap().contains("Pirate"));
    // The person decides; what loses is in the history.
    let overrule = page.field("overrule");
    let fields = [("revision", revision.as_str()), (&title, "Admiral"), ("overrule", &overrule)];
    let page = browser.post(&page, &path, &fields);
    browser.follow(&page).says(200, &["Admiral"]);
    browser.get(&format!("/console/book/1/item/{guid}/history/{overrule}")).says(200, &["Pirate", "Captain"]);
    world.synced("phone", &[], 0);
    assert!(fs::read_to_string(file_of(&world, "phone", "Zoe Berg")).unwrap().contains("Admiral"));
    // A revision that never was is no base.
    let page = browser.post(&form, &path, &[("revision", "999"), (&title, "Nobody")]);
    assert_eq!(page.status, 404);
}

#[test]
fn r3_devices_are_shown_with_how_far_they_are() {
    let world = synced(&[("Zoe Berg", "")]);
    let mut browser = Browser::of(&world, "ada");
    let page = browser.get("/console/devices");
    page.says(
        200,
        &[
            "ended well",
            "Last good sync",
            "everything",
            "No device is syncing now.",
            "<td data-name=\"Changes waiting\">0</td>",
            "<td data-name=\"Kind of sync\">slow: everything is compared</td>",
        ],
    );
    browser.get("/console/devices/live").says(200, &["No device is syncing now."]);
    let form = browser.get("/console/book/1/new");
    browser.post(&form, "/console/book/1/new", &[("N-new_1", "New")]);
    browser.get("/console/devices").says(200, &["<td data-name=\"Changes waiting\">1</td>"]);
    world.synced("phone", &[], 0);
    browser.get("/console/devices").says(200, &["<td data-name=\"Kind of sync\">two-way</td>", "ended well"]);
}

/// A phone that deleted nearly everything, which waits for a decision.
fn held() -> (World, Browser) {
    let cards: Vec<_> = (0..30).map(|n| (format!("Name{n:02} Doe"), format!("TEL:+4930111{n:02}\r\n"))).collect();
    let world = synced(&cards.iter().map(|(name, lines)| (name.as_str(), lines.as_str())).collect::<Vec<_>>());
    for n in 0..25 {
        fs::remove_file(world.path(&format!("phone/{n}.vcf"))).unwrap();
    }
    let (_, out, err) = run(world.sync("phone").arg("--allow-mass-delete"));
    assert_eq!(world.server_names().len(), 30, "{out}{err}");
    let browser = Browser::of(&world, "ada");
    (world, browser)
}

#[test]
fn b9_held_deletions_are_kept() {
    let (world, mut browser) = held();
    browser.get("/console/devices").says(200, &["something waits for your decision"]);
    let seen = browser.get("/console/held");
    seen.says(200, &["25 of 30 contacts would be deleted", "Name00 Doe", "and 5 more"]);
    let (book, device) = (seen.field("book"), seen.field("device"));
    let fields = |decision| [("book", book.as_str()), ("device", device.as_str()), ("decision", decision)];
    browser.post(&seen, "/console/held", &fields("perhaps")).says(400, &[]);
    let mut strange = fields("discard");
    strange[1].1 = "no-such-device";
    browser.post(&seen, "/console/held", &strange).says(404, &[]);
    browser.send("POST", "/console/held", Some(&fields("release"))).says(403, &["Nothing was done."]);
    browser.post(&seen, "/console/held", &fields("discard")).says(200, &["25 stay and go back to the device"]);
    browser.get("/console/held").says(200, &["Nothing waits for your decision."]);
    world.synced("phone", &[], 0);
    assert_eq!((world.names("phone").len(), world.server_names().len()), (30, 30));
}

#[test]
fn b9_held_deletions_are_done() {
    let (world, mut browser) = held();
    let seen = browser.get("/console/held");
    let fields = [("book", &*seen.field("book")), ("device", &*seen.field("device")), ("decision", "release")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post(&seen, "/console/held", &fields).says(200, &["25 are deleted, 0 stay."]);
    assert_eq!(world.server_names().len(), 5);
}

#[test]
fn b9_the_page_speaks_chinese() {
    let world = synced(&[("小明 王", "")]);
    let mut browser = Browser::new(&world);
    browser.headers = vec![("Accept-Language", "zh-CN,zh;q=0.9".to_owned())];
    browser.get("/console/sign-in").says(200, &["<html lang=\"zh-Hans\">", "登录"]);
    browser.headers.clear();
    let page = browser.get("/console/language?to=zh-Hans");
    assert_eq!(page.header("location"), Some("/console"));
    browser.sign_in("ada", PASSWORD);
    browser.get("/console").says(200, &["联系人", "小明 王", "<html lang=\"zh-Hans\">", "hreflang=\"en\""]);
    browser.get("/console/language?to=en");
    browser.get("/console").says(200, &["<html lang=\"en\">"]);
}
