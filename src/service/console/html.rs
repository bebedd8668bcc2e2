//! HTML that is escaped because there is no other way to write it.
//!
//! Names of elements and attributes are literals of this program. Texts and values are escaped on their way in; addresses
//! are [`Link`]s, which lead to this page only. [`Html`] is made here and nowhere else.

use std::fmt::Write as _;

/// The path under which the page is.
pub(super) const ROOT: &str = "/console";

/// Finished HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Puts something behind it.
    pub(super) fn push(&mut self, more: impl Into<Self>) {
        self.0.push_str(&more.into().0);
    }

    /// A whole document.
    pub(super) fn document(self) -> Vec<u8> {
        ["<!DOCTYPE html>\n", &self.0, "\n"].concat().into_bytes()
    }

    /// A part of one, to be put into it.
    pub(super) fn fragment(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// A text.
impl From<&str> for Html {
    fn from(text: &str) -> Self {
        let mut out = String::with_capacity(text.len() + 16);
        escape(text, &mut out);
        Self(out)
    }
}

impl From<Element> for Html {
    fn from(element: Element) -> Self {
        element.finish()
    }
}

impl<T: Into<Self>> From<Option<T>> for Html {
    fn from(some: Option<T>) -> Self {
        some.map(Into::into).unwrap_or_default()
    }
}

impl<T: Into<Self>> FromIterator<T> for Html {
    fn from_iter<I: IntoIterator<Item = T>>(parts: I) -> Self {
        let mut all = Self::default();
        parts.into_iter().for_each(|part| all.push(part));
        all
    }
}

/// An element that is being written.
#[derive(Clone, Debug)]
pub(super) struct Element {
    name: &'static str,
    head: String,
    inside: String,
}

/// Begins an element.
pub(super) fn el(name: &'static str) -> Element {
    Element { name, head: format!("<{name}"), inside: String::new() }
}

impl Element {
    /// Gives it an attribute; addresses are given by [`to`](Self::to).
    pub(super) fn attr(self, name: &'static str, value: impl AsRef<str>) -> Self {
        let addresses = ["href", "src", "action", "formaction", "style", "srcdoc"];
        debug_assert!(!addresses.contains(&name) && !name.starts_with("on"), "{name} is not for texts");
        self.put(name, value.as_ref())
    }

    fn put(mut self, name: &'static str, value: &str) -> Self {
        self.head.push(' ');
        self.head.push_str(name);
        self.head.push_str("=\"");
        escape(value, &mut self.head);
        self.head.push('"');
        self
    }

    /// Gives it an attribute without a value, or not.
    pub(super) fn flag(mut self, name: &'static str, on: bool) -> Self {
        if on {
            self.head.push(' ');
            self.head.push_str(name);
        }
        self
    }

    pub(super) fn class(self, name: &'static str) -> Self {
        self.attr("class", name)
    }

    /// Gives it the address that it is about: `href`, `action`, `src` or one that the script fetches.
    pub(super) fn to(self, name: &'static str, link: &Link) -> Self {
        self.put(name, &link.0)
    }

    /// Gives it the address of an element of the same page.
    pub(super) fn anchored(self, id: &'static str) -> Self {
        self.put("href", &format!("#{id}"))
    }

    pub(super) fn text(mut self, text: impl AsRef<str>) -> Self {
        escape(text.as_ref(), &mut self.inside);
        self
    }

    pub(super) fn add(mut self, inside: impl Into<Html>) -> Self {
        self.inside.push_str(&inside.into().0);
        self
    }

    pub(super) fn add_all<T: Into<Html>>(self, inside: impl IntoIterator<Item = T>) -> Self {
        self.add(inside.into_iter().collect::<Html>())
    }

    fn finish(self) -> Html {
        let Self { name, mut head, inside } = self;
        head.push('>');
        if !matches!(name, "br" | "hr" | "img" | "input" | "link" | "meta") {
            head.push_str(&inside);
            head.push_str("</");
            head.push_str(name);
            head.push('>');
        }
        Html(head)
    }
}

/// Characters that HTML cannot hold are shown as such.
fn escape(text: &str, out: &mut String) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(char),
            '\r' => {}
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fdd0}'..='\u{fdef}' => out.push('\u{fffd}'),
            char if u32::from(char) & 0xfffe == 0xfffe => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
}

/// An address within the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link(String);

impl Link {
    /// The address of a path, such as `/devices`.
    pub(super) fn new(path: &'static str) -> Self {
        Self(format!("{ROOT}{path}"))
    }

    /// Goes on with a number.
    pub(super) fn number(mut self, number: i64) -> Self {
        write!(self.0, "/{number}").unwrap_or_default();
        self
    }

    /// Goes on with a word.
    pub(super) fn then(mut self, word: &'static str) -> Self {
        self.0.push('/');
        self.0.push_str(word);
        self
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => self.0.push(byte.into()),
                _ => write!(self.0, "%{byte:02X}").unwrap_or_default(),
            }
        }
        self
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Html, Link, el};

    fn written(html: impl Into<Html>) -> String {
        String::from_utf8(html.into().fragment()).unwrap()
    }

    #[test]
    fn everything_is_escaped() {
        for (text, expected) in [
            ("plain é 王 🦊", "plain é 王 🦊"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("a & b &amp;", "a &amp; b &amp;amp;"),
            ("\" onload='x'", "&quot; onload=&#39;x&#39;"),
            ("a\0b\u{1b}c\u{85}\u{ffff}", "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}"),
            ("a\r\nb\tc", "a\nb\tc"),
        ] {
            assert_eq!(written(text), expected);
            assert_eq!(written(el("p").text(text)), format!("<p>{expected}</p>"));
            assert_eq!(written(el("input").attr("value", text)), format!("<input value=\"{expected}\">"));
        }
    }

    #[test]
    fn elements_nest_and_void_ones_do_not_end() {
        let list = el("ul").class("a").add_all((1..3).map(|n| el("li").text(n.to_string())));
        assert_eq!(written(list), "<ul class=\"a\"><li>1</li><li>2</li></ul>");
        assert_eq!(written(el("input").flag("checked", true).flag("disabled", false)), "<input checked>");
        assert_eq!(written(None::<super::Element>), "");
    }

    #[test]
    fn links_stay_on_the_page() {
        let link = Link::new("/book").number(1).then("item").number(-7).with("q", "a b&c=/\"é").with("after", "3");
        assert_eq!(link.as_str(), "/console/book/1/item/-7?q=a%20b%26c%3D%2F%22%C3%A9&after=3");
        let link = Link::new("").with("q", "javascript:alert(1)");
        assert_eq!(written(el("a").to("href", &link)), "<a href=\"/console?q=javascript%3Aalert%281%29\"></a>");
    }

    #[test]
    #[should_panic(expected = "not for texts")]
    fn addresses_are_no_texts() {
        let _ = el("a").attr("href", "javascript:alert(1)");
    }
}
