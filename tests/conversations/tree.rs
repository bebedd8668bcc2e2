//! A message as a tree of elements: what fixtures are compared as, independently of the crate's own codec.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::fmt::Write as _;

/// Elements that are written in one line.
const FLAT: [&str; 13] = [
    "Chal", "Cred", "MapItem", "Meta", "Property", "Rx", "Rx-Pref", "Source", "Status", "SyncCap", "Target", "Tx",
    "Tx-Pref",
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// `xmlns` and the like, as written.
    pub attributes: String,
    pub children: Vec<Self>,
    pub text: String,
}

impl Node {
    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text at the end of a path.
    pub fn at(&self, path: &str) -> Option<&str> {
        path.split('/').try_fold(self, |node, name| node.child(name)).map(|node| &*node.text)
    }

    /// Visits every leaf with the names above it, the nearest first.
    pub fn leaves(&mut self, visit: &mut dyn FnMut(&[&str], &mut String)) {
        fn walk(node: &mut Node, above: &[&str], visit: &mut dyn FnMut(&[&str], &mut String)) {
            let name = std::mem::take(&mut node.name);
            let path: Vec<&str> = std::iter::once(&*name).chain(above.iter().copied()).collect();
            if node.children.is_empty() {
                visit(&path, &mut node.text);
            }
            for child in &mut node.children {
                walk(child, &path, visit);
            }
            node.name = name;
        }
        walk(self, &[], visit);
    }

    /// Reads a document. White space around elements is none.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::from_str(utf8(bytes)?);
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let top = open.last_mut().ok_or("an end without a start")?;
            match event {
                Event::Start(start) => open.push(Self::started(&start)?),
                Event::Empty(start) => top.children.push(Self::started(&start)?),
                Event::End(_) => {
                    let mut done = open.pop().ok_or("an end without a start")?;
                    if !done.children.is_empty() {
                        if !done.text.trim().is_empty() {
                            return Err(format!("text among the elements of {}", done.name));
                        }
                        done.text.clear();
                    }
                    open.last_mut().ok_or("an end without a start")?.children.push(done);
                }
                Event::Text(text) => top.text += &text,
                Event::CData(text) => top.text += &text,
                Event::GeneralRef(reference) => top.text.push(resolved(&reference)?),
                Event::Eof => break,
                Event::Decl(_) | Event::DocType(_) | Event::Comment(_) | Event::PI(_) => {}
            }
        }
        let [document] = &mut *open else { return Err("an element is not closed".to_owned()) };
        match document.children.len() {
            1 => Ok(document.children.remove(0)),
            count => Err(format!("{count} roots")),
        }
    }

    fn started(start: &BytesStart<'_>) -> Result<Self, String> {
        let mut attributes = String::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
            let _ = write!(attributes, " {}=\"{value}\"", attribute.key.as_ref());
        }
        Ok(Self { name: start.name().as_ref().to_owned(), attributes, ..Self::default() })
    }

    /// An element to a line, but for those that read better in one.
    pub fn pretty(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut out, Some(0));
        out
    }

    fn write(&self, out: &mut String, depth: Option<usize>) {
        let indent = |out: &mut String, depth: Option<usize>| {
            if let Some(depth) = depth {
                out.extend(std::iter::repeat_n("  ", depth));
            }
        };
        let end = if depth.is_some() { "\n" } else { "" };
        indent(out, depth);
        let Self { name, attributes, .. } = self;
        if self.children.is_empty() && self.text.is_empty() {
            let _ = write!(out, "<{name}{attributes}/>{end}");
            return;
        }
        let _ = write!(out, "<{name}{attributes}>");
        if self.children.is_empty() {
            for character in self.text.chars() {
                match character {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '\r' => out.push_str("&#13;"),
                    other => out.push(other),
                }
            }
        } else {
            let inside = depth.filter(|_| !FLAT.contains(&&**name)).map(|depth| depth + 1);
            if inside.is_some() {
                out.push('\n');
            }
            for child in &self.children {
                child.write(out, inside);
            }
            if inside.is_some() {
                indent(out, depth);
            }
        }
        let _ = write!(out, "</{name}>{end}");
    }

    /// The commands of a message, a line each.
    pub fn outline(&self) -> String {
        let mut out = String::new();
        for command in self.child("SyncBody").map(|body| &*body.children).unwrap_or_default() {
            let at = |path| command.at(path).unwrap_or_default();
            let _ = match &*command.name {
                "Status" => writeln!(out, "    Status {} {}/{} {}", at("Cmd"), at("MsgRef"), at("CmdRef"), at("Data")),
                "Alert" => writeln!(out, "    Alert {}", at("Data")),
                name => {
                    let inside: Vec<&str> = command
                        .children
                        .iter()
                        .map(|child| &*child.name)
                        .filter(|name| !["CmdID", "Target", "Source", "Meta", "NumberOfChanges"].contains(name))
                        .collect();
                    writeln!(out, "    {name} {}", inside.join(" "))
                }
            };
        }
        out
    }

    /// What differs, by path, at most so many lines.
    pub fn differences(&self, got: &Self, most: usize) -> Vec<String> {
        fn walk(path: &str, expected: &Node, got: &Node, out: &mut Vec<String>, most: usize) {
            if out.len() >= most {
                return;
            }
            if (&expected.name, &expected.attributes) != (&got.name, &got.attributes) {
                let tag = |node: &Node| format!("<{}{}>", node.name, node.attributes);
                out.push(format!("{path}: expected {}, got {}", tag(expected), tag(got)));
                return;
            }
            if expected.text != got.text {
                out.push(format!("{path}: expected {:?}, got {:?}", expected.text, got.text));
            }
            for (place, child) in expected.children.iter().enumerate() {
                let path = format!("{path}/{}[{}]", child.name, place + 1);
                match got.children.get(place) {
                    Some(other) => walk(&path, child, other, out, most),
                    None => out.push(format!("{path}: missing")),
                }
            }
            for child in got.children.iter().skip(expected.children.len()) {
                out.push(format!("{path}/{}: not expected", child.name));
            }
        }
        let mut out = Vec::new();
        walk(&self.name, self, got, &mut out, most);
        out.truncate(most);
        out
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

fn resolved(reference: &BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(format!("an unknown entity {:?}", other)),
    }
}
