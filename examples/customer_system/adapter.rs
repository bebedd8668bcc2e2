//! The adapter: which five functions a customer system takes.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use syncml::service::interchange::Layout;
use syncml::service::interchange::ends::End;
use syncml::store::replica::{Applied, Book, BookOp, Entry};
use ureq::http::{Method, Request};

/// The most that is taken of an answer, in bytes.
const MOST: u64 = 1 << 20;

pub(crate) struct Adapter {
    agent: ureq::Agent,
    base: String,
    layout: Layout,
    /// What there is, with versions, as of `since`.
    known: BTreeMap<String, u64>,
    since: u64,
}

impl Adapter {
    pub(crate) fn new(address: SocketAddr, layout: Layout) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        Self { agent, base: format!("http://{address}"), layout, known: BTreeMap::new(), since: 0 }
    }

    /// Asks; gives the status and what the answer says.
    fn ask(&self, method: Method, path: &str, version: Option<u64>, body: &str) -> Result<(u16, Value), String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(version) = version {
            request = request.header("If-Match", version.to_string());
        }
        let wrong = |error: ureq::http::Error| error.to_string();
        let answer = match body {
            "" => self.agent.run(request.body(()).map_err(wrong)?),
            text => self.agent.run(request.body(text.to_owned()).map_err(wrong)?),
        };
        let mut answer = answer.map_err(|error| format!("the customer system: {error}"))?;
        let text = answer.body_mut().with_config().limit(MOST).read_to_string().map_err(|error| error.to_string())?;
        let value = serde_json::from_str(&text).map_err(|_| "the customer system does not answer JSON".to_owned())?;
        Ok((answer.status().as_u16(), value))
    }

    /// What changed since it was asked last.
    fn refresh(&mut self) -> Result<(), String> {
        let (status, said) = self.ask(Method::GET, &format!("/changes?since={}", self.since), None, "")?;
        let (Some(now), Some(changes), 200) = (said["now"].as_u64(), said["changes"].as_object(), status) else {
            return Err(format!("the customer system says {status}"));
        };
        for (id, version) in changes {
            match version.as_u64() {
                Some(version) => drop(self.known.insert(id.clone(), version)),
                None => drop(self.known.remove(id)),
            }
        }
        self.since = now;
        Ok(())
    }

    /// A card as the system's object, with the fields that it has besides.
    fn object(&self, card: &[u8], besides: Value) -> Result<String, String> {
        let (values, _) = self.layout.values(card).map_err(|error| error.to_string())?;
        let mut object = besides;
        for (path, value) in values {
            let mut place = &mut object;
            for name in path.split('.') {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                place = &mut place[name];
            }
            *place = if value.is_empty() { Value::Null } else { Value::String(value) };
        }
        Ok(object.to_string())
    }

    fn card(&self, object: &Value) -> Option<Vec<u8>> {
        let mut values = Vec::new();
        let (names, _) = self.layout.values(b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:-\r\nEND:VCARD\r\n").ok()?;
        for (path, _) in names {
            let found = path.split('.').try_fold(object, |object, name| object.get(name));
            if let Some(text) = found.and_then(Value::as_str) {
                values.push((path, text.to_owned()));
            }
        }
        self.layout.card(values.iter().map(|(path, text)| (path.as_str(), text.as_str())))
    }

    fn written(&mut self, id: Option<&str>, answer: (u16, Value)) -> Result<Applied, String> {
        match answer {
            (200 | 201, said) => {
                let id = id.or_else(|| said["id"].as_str()).ok_or("the customer system names no id")?.to_owned();
                let version = said["version"].as_u64().ok_or("the customer system names no version")?;
                self.known.insert(id.clone(), version);
                Ok(Applied::Done(Entry { id, version: version.to_be_bytes().to_vec() }))
            }
            (404 | 412, _) => Ok(Applied::Changed),
            (status, _) => Err(format!("the customer system says {status}")),
        }
    }
}

impl End for Adapter {
    fn shown(&self, card: &[u8]) -> Result<Vec<u8>, String> {
        let object = serde_json::from_str(&self.object(card, Value::Null)?).map_err(|error| error.to_string())?;
        self.card(&object).ok_or_else(|| "the customer system has no field for any of it".to_owned())
    }
}

impl Book for Adapter {
    fn entries(&mut self) -> Result<Vec<Entry>, String> {
        self.refresh()?;
        let entry = |(id, version): (&String, &u64)| Entry { id: id.clone(), version: version.to_be_bytes().to_vec() };
        Ok(self.known.iter().map(entry).collect())
    }

    fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String> {
        self.refresh()?;
        Ok(ids.iter().map(|id| self.known.get(*id).map(|version| version.to_be_bytes().to_vec())).collect())
    }

    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
        match self.ask(Method::GET, &format!("/contacts/{id}"), None, "")? {
            (200, object) => self.card(&object).map(Some).ok_or_else(|| "nothing of it is known here".to_owned()),
            (404, _) => Ok(None),
            (status, _) => Err(format!("the customer system says {status}")),
        }
    }

    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String> {
        let mut done = Vec::new();
        for op in ops {
            done.push(match *op {
                BookOp::Add { content, .. } => {
                    let answer = self.ask(Method::POST, "/contacts", None, &self.object(content, Value::Null)?)?;
                    self.written(None, answer)?
                }
                BookOp::Replace { id, expected, content } => {
                    let (_, besides) = self.ask(Method::GET, &format!("/contacts/{id}"), None, "")?;
                    let (path, object) = (format!("/contacts/{id}"), self.object(content, besides)?);
                    let answer = self.ask(Method::PUT, &path, version(expected), &object)?;
                    self.written(Some(id), answer)?
                }
                BookOp::Delete { id, expected } => {
                    match self.ask(Method::DELETE, &format!("/contacts/{id}"), version(expected), "")?.0 {
                        200 | 404 => {
                            self.known.remove(id);
                            Applied::Done(Entry { id: id.to_owned(), version: expected.to_vec() })
                        }
                        412 => Applied::Changed,
                        status => return Err(format!("the customer system says {status}")),
                    }
                }
            });
        }
        Ok(done)
    }
}

fn version(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}
