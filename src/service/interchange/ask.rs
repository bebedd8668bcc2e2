//! Questions in a chat, and their answers in its own form (mission I6).
//!
//! A line asks if what is said begins with `@book` or `@通讯录`:
//!
//! | asks | for |
//! |---|---|
//! | `@book Ann`, `@通讯录 王小明` | the numbers |
//! | `@book Ann's e-mail?`, `@book what is Ann's e-mail` | that field |
//! | `@book address of Ann Doe` | that field |
//! | `@通讯录 王小明的邮箱？` | that field |
//!
//! A field is called as in the layout `generic`, or number, phone, e-mail, address, birthday, company, 电话, 号码, 邮箱, 地址, 生日 or 单位.
//! Nothing but the contact's name and what is asked for is answered.

use super::field::Field;
use super::kind::Kind;
use super::layout::Layout;
use super::read::talk::{is_name, stamped};
use crate::contact::card::{Card, Property, decode_document};
use crate::contact::lens::{Fields, Lens, view};
use crate::contact::search::{Query, searchable};

/// Contacts that are named where it is not clear which is meant.
const NAMED: usize = 5;

/// Values of one contact in an answer.
const VALUES: usize = 10;

/// What is asked with, and who answers.
const MENTIONS: [(&str, Language, &str); 2] =
    [("@book", Language::English, "book"), ("@通讯录", Language::Chinese, "通讯录")];

/// Whole properties by the words for them.
const WORDS: &[(&str, &[&str])] = &[
    ("TEL", &["number", "numbers", "phone", "phones", "phone number", "telephone", "电话", "电话号码", "号码"]),
    ("EMAIL", &["mail", "e-mail", "email", "mail address", "e-mail address", "邮箱", "邮件", "电子邮箱"]),
    ("ADR", &["address", "addresses", "地址", "住址"]),
    ("BDAY", &["birthday", "生日"]),
    ("ORG", &["company", "organisation", "organization", "单位", "公司"]),
];

/// What people say around a question.
const BEFORE: [&str; 10] =
    ["what is", "what's", "who is", "give me", "tell me", "show me", "please", "请问", "查一下", "请"];
const BEHIND: [&str; 5] = ["是什么", "是多少", "是谁", "呢", "please"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    English,
    Chinese,
}

/// A chat, line by line.
#[derive(Clone, Debug, Default)]
pub struct Chat {
    /// The last line that said who speaks, if what is said follows it.
    speaks: Option<Form>,
}

/// What stands before and behind the speaker's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Form {
    before: String,
    behind: String,
    /// Whether what is said is on the next line.
    breaks: bool,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    who: String,
    /// The word for what is asked for, and what it is; nothing where the word is not known.
    wanted: (String, Option<Wanted>),
    language: Language,
    form: Option<Form>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// All properties of a name.
    Property(&'static str),
    Field(Field),
}

impl Chat {
    /// Takes a line; gives the question, if it is one.
    pub fn line(&mut self, line: &str) -> Option<Question> {
        let line = line.trim_start_matches('\u{feff}').trim_end();
        let (form, said) = match spoken(line) {
            Some((form, "")) => {
                self.speaks = Some(Form { breaks: true, ..form });
                return None;
            }
            Some((form, said)) => {
                self.speaks = None;
                (Some(form), said)
            }
            None => (self.speaks.clone(), line),
        };
        Question::of(said.trim(), form)
    }
}

/// Who speaks on a line, and what: the form around the name.
fn spoken(line: &str) -> Option<(Form, &str)> {
    let (name, said) = stamped(line).or_else(|| {
        if let Some((name, said)) = line.strip_prefix('<').and_then(|rest| rest.split_once("> ")) {
            return is_name(name).then_some((name, said));
        }
        let (name, said) = line.split_once([':', '：'])?;
        (is_name(name) && !name.starts_with('@')).then_some((name, said))
    })?;
    let at = line.find(name)?;
    let end = at + name.len();
    let behind = line[end..].strip_suffix(said)?;
    Some((Form { before: line[..at].to_owned(), behind: behind.to_owned(), breaks: false }, said.trim()))
}

impl Question {
    fn of(said: &str, form: Option<Form>) -> Option<Self> {
        let (language, rest) = MENTIONS.iter().find_map(|(mention, language, _)| {
            let head = said.get(..mention.len()).filter(|head| head.eq_ignore_ascii_case(mention))?;
            let rest = &said[head.len()..];
            let ends = *language == Language::Chinese || rest.starts_with([' ', ',', ':']) || rest.is_empty();
            ends.then_some((*language, rest))
        })?;
        let mut asked = bare(rest);
        while let Some(rest) = BEFORE.iter().find_map(|word| without(asked, word)) {
            asked = bare(rest);
        }
        while let Some(rest) = BEHIND.iter().find_map(|word| asked.strip_suffix(word)) {
            asked = bare(rest);
        }
        let (who, word) = parts(asked);
        let wanted = if word.is_empty() { Some(Wanted::Property("TEL")) } else { Wanted::called(word) };
        let who = bare(who).to_owned();
        (!who.is_empty()).then(|| Self { who, wanted: (word.to_owned(), wanted), language, form })
    }

    /// What to search for; `None` where it names nobody that could be.
    #[must_use]
    pub fn query(&self) -> Option<Query> {
        self.who.parse().ok()
    }

    /// The answer, in the form of the question, from the contacts that a search for its [`query`](Self::query) found. Those whose
    /// names are not meant are left out.
    #[must_use]
    pub fn answer(&self, found: &[Vec<u8>]) -> String {
        let text = self.text(found);
        let Some(Form { before, behind, breaks }) = &self.form else { return text };
        let name = MENTIONS.iter().find(|it| it.1 == self.language).map_or("", |it| it.2);
        let gap = if *breaks {
            "\n"
        } else if behind.ends_with(' ') || behind.is_empty() {
            ""
        } else {
            " "
        };
        format!("{before}{name}{behind}{gap}{text}")
    }

    fn text(&self, found: &[Vec<u8>]) -> String {
        let zh = self.language == Language::Chinese;
        let (word, wanted) = &self.wanted;
        let Some(wanted) = wanted else {
            return if zh {
                format!("不知道什么是{word}")
            } else {
                format!("nothing is known by the name of {word}")
            };
        };
        let meant = self.meant(found);
        match &meant[..] {
            [] if zh => format!("没有叫{}的人", self.who),
            [] => format!("nobody is called {}", self.who),
            [(name, card)] => {
                let colon = if zh { "：" } else { ": " };
                let values = wanted.values(card, zh);
                match values.is_empty() {
                    true if zh => format!("{name}{colon}没有{}", if word.is_empty() { "号码" } else { word }),
                    true => format!("{name}{colon}no {}", if word.is_empty() { "number" } else { word }),
                    false => format!("{name}{colon}{}", values.join(if zh { "，" } else { ", " })),
                }
            }
            several => {
                let names: Vec<&str> = several.iter().take(NAMED).map(|(name, _)| name.as_str()).collect();
                let more = if several.len() > NAMED { " …" } else { "" };
                match zh {
                    true => format!("是哪一位？{}{more}", names.join("、")),
                    false => format!("which one? {}{more}", names.join(", ")),
                }
            }
        }
    }

    /// Those who are called so: wholly, else in part.
    fn meant(&self, found: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
        let (lens, query) = (Lens::from(Fields::of_names(["NICKNAME"])), self.query());
        let is_called = |card: &Vec<u8>| {
            let names = view(card, &lens)?;
            query.as_ref()?.matches(&searchable(crate::contact::identity::Kind::Contact, &names))?;
            let content = decode_document(card);
            let name = Card::parse(&content).ok()?.text("FN")?.trim().to_owned();
            // A name is said on one line.
            Some((name.split_whitespace().collect::<Vec<_>>().join(" "), card.clone()))
        };
        let mut meant: Vec<_> = found.iter().filter_map(is_called).collect();
        let wholly = |(name, _): &(String, Vec<u8>)| name.to_lowercase() == self.who.to_lowercase();
        if meant.iter().any(wholly) {
            meant.retain(wholly);
        }
        meant
    }
}

impl Wanted {
    fn called(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        if let Some((property, _)) = WORDS.iter().find(|(_, words)| words.contains(&word.as_str())) {
            return Some(Self::Property(property));
        }
        let layout = Layout::named("generic")?;
        layout.fields_of(&[word]).pop().flatten().map(Self::Field)
    }

    /// What a contact says of it, each with its kind where there are several.
    fn values(&self, card: &[u8], zh: bool) -> Vec<String> {
        let content = decode_document(card);
        let Ok(card) = Card::parse(&content) else { return Vec::new() };
        let said: Vec<&Property<'_>> = match self {
            Self::Property(name) => card.all(name).collect(),
            Self::Field(field) => {
                card.all(field.property()).filter(|it| field.kind == Kind::Any || Kind::of(it) == field.kind).collect()
            }
        };
        let text = |property: &&Property<'_>| {
            let parts = property.components();
            let text =
                if property.is("ADR") || property.is("ORG") { parts.join(", ") } else { property.text().into_owned() };
            let words: Vec<&str> = text.split([',', ' ', '\n']).map(str::trim).filter(|it| !it.is_empty()).collect();
            match property.is("ADR") || property.is("ORG") {
                true => parts.iter().map(|it| it.trim()).filter(|it| !it.is_empty()).collect::<Vec<_>>().join(", "),
                false => words.join(" "),
            }
        };
        let texts: Vec<(Kind, String)> = said.iter().map(|it| (Kind::of(it), text(it))).collect();
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty()).take(VALUES).collect::<Vec<_>>();
        let several = texts.len() > 1;
        let kind = |kind: Kind| if zh { kind.label_zh() } else { kind.label() };
        let shown = texts.into_iter().map(|(of, text)| match several && of != Kind::Any {
            true => format!("{} {text}", kind(of)),
            false => text,
        });
        shown.collect()
    }
}

/// Whose, and what.
fn parts(asked: &str) -> (&str, &str) {
    for whose in ["'s ", "’s "] {
        if let Some((who, word)) = asked.rsplit_once(whose) {
            return (who, bare(word));
        }
    }
    if let Some((word, who)) = asked.split_once(" of ") {
        return (who, bare(without(word, "the").unwrap_or(word)));
    }
    match asked.rsplit_once('的') {
        Some((who, word)) => (who, bare(word)),
        None => (asked, ""),
    }
}

/// What follows a word at the beginning.
fn without<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let head = text.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
    let rest = &text[head.len()..];
    (!word.is_ascii() || rest.starts_with(' ')).then_some(rest)
}

fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ",.:;!?，。：；！？".contains(c))
}

#[cfg(test)]
mod tests {
    use super::Chat;

    fn card(lines: &str) -> Vec<u8> {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.replace('\n', "\r\n")).into_bytes()
    }

    fn answered(chat: &str) -> Vec<String> {
        let book = [
            card(
                "FN:Ann Doe\nTEL;TYPE=CELL:5550001\nTEL;TYPE=WORK:5550002\nEMAIL:ann@example.org\nNOTE:Ben's sister\nADR;TYPE=HOME:;;Weg 1;Bonn;;53111;",
            ),
            card("FN:Ann Roe\nTEL:5550003"),
            card("FN:Ben\nNICKNAME:Benny\nNOTE:secret"),
            card("FN:王小明\nTEL;TYPE=CELL:13800138000\nTEL;TYPE=HOME:01062751234\nEMAIL:wang@example.cn"),
        ];
        let mut asked = Chat::default();
        chat.lines().filter_map(|line| asked.line(line)).map(|question| question.answer(&book)).collect()
    }

    #[test]
    fn i6_what_is_asked_in_a_chat_is_answered_in_its_form_and_nothing_else() {
        for (chat, wanted) in [
            ("@book Ann Doe", &["Ann Doe: Mobile 5550001, Work 5550002"][..]),
            ("@book Ann Doe's mobile?", &["Ann Doe: 5550001"]),
            ("@Book what is Ann Doe’s e-mail?", &["Ann Doe: ann@example.org"]),
            ("@book please give me the address of Ann Doe!", &["Ann Doe: Weg 1, Bonn, 53111"]),
            ("@book ann", &["which one? Ann Doe, Ann Roe"]),
            ("@book Ann Roe's work phone", &["Ann Roe: no work phone"]),
            ("@book Benny's number", &["Ben: no number"]),
            ("@book Ben's shoe size", &["nothing is known by the name of shoe size"]),
            ("@book Cid?", &["nobody is called Cid"]),
            // Only names count: neither notes nor numbers lead to anybody.
            ("@book sister", &["nobody is called sister"]),
            ("@book 5550003", &["nobody is called 5550003"]),
            ("@通讯录 王小明", &["王小明：手机 13800138000，家庭 01062751234"]),
            ("@通讯录王小明的邮箱是什么？", &["王小明：wang@example.cn"]),
            ("@通讯录 请问王小明的地址", &["王小明：没有地址"]),
            ("@通讯录 李雷的手机", &["没有叫李雷的人"]),
            // In the form of each chat.
            ("[10:20] <ann> @book Ann Roe\n[10:21] <ben> thanks", &["[10:20] <book> Ann Roe: 5550003"]),
            ("<ann> @book Ann Roe", &["<book> Ann Roe: 5550003"]),
            ("Zoe: @book Ann Roe", &["book: Ann Roe: 5550003"]),
            ("04/03/2012, 10:21 - Zoë Miller: @book Ann Roe", &["04/03/2012, 10:21 - book: Ann Roe: 5550003"]),
            (
                "2012-03-04 10:20:30 李雷(1234567)\n@通讯录 王小明的手机\n好的\n2012-03-04 10:21:00 Zoe\n@book Ben",
                &["2012-03-04 10:20:30 通讯录\n王小明：13800138000", "2012-03-04 10:21:00 book\nBen: no number"],
            ),
            ("Zoe: is @book here?\nann@book.example\n@bookkeeper Ann\n@book\n@book ?\n", &[]),
        ] {
            assert_eq!(answered(chat), wanted, "{chat}");
        }
    }
}
