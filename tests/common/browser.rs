//! A browser without a script, over plain sockets.
// What fails here fails the test. Each file of tests uses a part of it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used, dead_code)]

use crate::program::{PASSWORD, World};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// It keeps cookies.
pub(crate) struct Browser {
    pub(crate) address: String,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What came.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first text between two others.
    pub(crate) fn between(&self, before: &str, after: &str) -> Option<&str> {
        let from = self.body.find(before)? + before.len();
        let len = self.body[from..].find(after)?;
        Some(&self.body[from..from + len])
    }

    pub(crate) fn token(&self) -> String {
        self.between("name=\"token\" value=\"", "\"").unwrap_or_else(|| panic!("no form: {}", self.body)).to_owned()
    }

    pub(crate) fn field(&self, name: &str) -> String {
        let value = self.between(&format!("name=\"{name}\" value=\""), "\"");
        value.unwrap_or_else(|| panic!("no {name}: {}", self.body)).to_owned()
    }

    /// The inputs whose names begin so, with what is in them.
    pub(crate) fn inputs(&self, begin: &str) -> Vec<(String, String)> {
        let inputs = self.body.split('<').filter(|tag| tag.starts_with("input "));
        let part = |tag: &str, name: &str| {
            let from = tag.find(&format!(" {name}=\""))? + name.len() + 3;
            Some(tag[from..from + tag[from..].find('"')?].to_owned())
        };
        let inputs = inputs.filter_map(|tag| Some((part(tag, "name")?, part(tag, "value").unwrap_or_default())));
        inputs.filter(|(name, _)| name.starts_with(begin)).collect()
    }

    #[track_caller]
    pub(crate) fn says(&self, status: u16, texts: &[&str]) -> &Self {
        assert_eq!(self.status, status, "{}", self.body);
        for text in texts {
            assert!(self.body.contains(text), "{text:?} is not in {}", self.body);
        }
        self
    }
}

impl Browser {
    pub(crate) fn new(world: &World) -> Self {
        let address = world.url.split('/').nth(2).unwrap().to_owned();
        Self { address, cookies: BTreeMap::new(), headers: Vec::new() }
    }

    /// One that is signed in.
    pub(crate) fn of(world: &World, name: &str) -> Self {
        let mut browser = Self::new(world);
        let page = browser.sign_in(name, PASSWORD);
        assert_eq!((page.status, page.header("location")), (303, Some("/console")), "{}", page.body);
        browser
    }

    pub(crate) fn sign_in(&mut self, name: &str, password: &str) -> Page {
        let token = self.get("/console/sign-in").token();
        self.send("POST", "/console/sign-in", Some(&[("token", &token), ("name", name), ("password", password)]))
    }

    pub(crate) fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, None)
    }

    /// Fills in a form of a page, as the person would who sees it.
    pub(crate) fn post(&mut self, seen: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = seen.token();
        let mut all = vec![("token", token.as_str())];
        all.extend_from_slice(fields);
        self.send("POST", path, Some(&all))
    }

    /// Goes where an answer leads.
    pub(crate) fn follow(&mut self, page: &Page) -> Page {
        assert_eq!(page.status, 303, "{}", page.body);
        let path = page.header("location").unwrap().to_owned();
        self.get(&path)
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, fields: Option<&[(&str, &str)]>) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if !cookies.is_empty() {
            head += &format!("Cookie: {}\r\n", cookies.join("; "));
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let body = fields.map(encoded).unwrap_or_default();
        if fields.is_some() {
            head += &format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
        }
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: Vec<_> = lines.filter_map(pair).collect();
        for (_, cookie) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match cookie.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        Page { status, headers, body: body.to_owned() }
    }
}

pub(crate) fn encoded(fields: &[(&str, &str)]) -> String {
    let code = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    fields.iter().map(|(name, value)| format!("{}={}", code(name), code(value))).collect::<Vec<_>>().join("&")
}
