//! Which packet a server answers with.

use super::object::{Object, Sending};
use super::packet::{Code, Header, ObexError, Packet};
use super::{MIN_PACKET, TARGET};

/// What a server waits for.
#[derive(Clone, Debug)]
pub enum ServerState {
    /// A CONNECT.
    Closed,
    /// An object, or a request for the answer to the last one.
    Idle,
    /// More of an object.
    Receiving(Object),
    /// What its host answers to an object.
    Asking,
    /// A request for more of an answer.
    Sending(Giving),
}

/// An answer on its way.
#[derive(Clone, Debug)]
pub struct Giving(Sending);

/// What a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send this packet.
    Say(Vec<u8>),
    /// Send this packet; the connection is over.
    Close(Vec<u8>),
    /// A message came: [`ServerMachine::answered`] is to be called, and its packet sent.
    Ask(Object),
}

/// What a host says to a message: the answer, or the HTTP status that says why there is none.
pub type Answered = Result<Object, u16>;

/// A server's side of a connection, without its bytes.
#[derive(Clone, Debug)]
pub struct ServerMachine {
    state: ServerState,
    own_max: u16,
    peer: Peer,
    limit: usize,
    /// The answer to the last message, until the next one comes: a GET may be repeated.
    answer: Option<Object>,
}

/// What is known of the client.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The number of its connection.
    pub connection: u32,
    /// The largest packet it takes, in bytes.
    pub max: u16,
}

impl ServerMachine {
    /// Takes packets of up to `max` bytes and messages of up to `limit`; `connection` is the number that a connection gets.
    #[must_use]
    pub fn new(max: u16, limit: usize, connection: u32) -> Self {
        let peer = Peer { connection, max: MIN_PACKET };
        Self { state: ServerState::Closed, own_max: max.max(MIN_PACKET), peer, limit, answer: None }
    }

    /// What it waits for.
    #[must_use]
    pub const fn state(&self) -> &ServerState {
        &self.state
    }

    /// What is known of the client.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// Takes a request, whole. What is wrong with it is said in the response.
    ///
    /// # Errors
    /// [`ObexError`], when nothing can be said any more.
    pub fn received(&mut self, bytes: &[u8]) -> Result<Turn, ObexError> {
        let Ok(packet) = Packet::request(bytes) else { return self.refuse(Code::BAD_REQUEST) };
        match packet.code {
            Code::CONNECT => self.connect(&packet),
            Code::ABORT => {
                // What was half received is dropped; an answer may still be got.
                if !matches!(self.state, ServerState::Closed) {
                    self.state = ServerState::Idle;
                }
                say(Code::SUCCESS)
            }
            Code::DISCONNECT => {
                (self.state, self.answer) = (ServerState::Closed, None);
                Packet::new(Code::SUCCESS, Vec::new()).to_bytes().map(Turn::Close)
            }
            _ if matches!(self.state, ServerState::Closed) => self.refuse(Code::FORBIDDEN),
            _ if packet.connection().is_some_and(|id| id != self.peer.connection) => self.refuse(Code::UNAVAILABLE),
            Code::PUT | Code::PUT_FINAL => self.put(&packet),
            Code::GET => say(Code::CONTINUE),
            Code::GET_FINAL => self.get(),
            _ => self.refuse(Code::NOT_IMPLEMENTED),
        }
    }

    /// Takes what the host says to the message of [`Turn::Ask`]; gives the response to it.
    ///
    /// # Errors
    /// [`ObexError::Misuse`] when there was none.
    pub fn answered(&mut self, answered: Answered) -> Result<Vec<u8>, ObexError> {
        if !matches!(self.state, ServerState::Asking) {
            return Err(ObexError::Misuse);
        }
        self.state = ServerState::Idle;
        let code = match answered {
            Ok(object) => {
                self.answer = Some(object);
                Code::SUCCESS
            }
            Err(status) => match Code::from_http(status) {
                Code::SUCCESS => Code::INTERNAL_ERROR,
                code => code,
            },
        };
        Packet::new(code, Vec::new()).to_bytes()
    }

    fn connect(&mut self, packet: &Packet) -> Result<Turn, ObexError> {
        (self.state, self.answer) = (ServerState::Closed, None);
        let ours = packet.headers.iter().any(|header| matches!(header, Header::Target(target) if target == TARGET));
        self.peer.max = packet.max.unwrap_or(MIN_PACKET);
        let (code, headers) = match ours {
            true => {
                self.state = ServerState::Idle;
                let id = Header::ConnectionId(self.peer.connection);
                (Code::SUCCESS, vec![id, Header::Who(TARGET.to_vec())])
            }
            false => (Code::NOT_FOUND, Vec::new()),
        };
        Packet::connect(code, self.own_max, headers).to_bytes().map(Turn::Say)
    }

    fn put(&mut self, packet: &Packet) -> Result<Turn, ObexError> {
        let mut object = match std::mem::replace(&mut self.state, ServerState::Idle) {
            ServerState::Receiving(object) => object,
            // One that begins anew takes the place of what went on.
            _ => Object::default(),
        };
        if object.take(packet, self.limit).is_err() {
            return self.refuse(Code::TOO_LARGE);
        }
        if packet.code.is_final() {
            (self.state, self.answer) = (ServerState::Asking, None);
            return Ok(Turn::Ask(object));
        }
        self.state = ServerState::Receiving(object);
        say(Code::CONTINUE)
    }

    fn get(&mut self) -> Result<Turn, ObexError> {
        let mut sending = match std::mem::replace(&mut self.state, ServerState::Idle) {
            ServerState::Sending(Giving(sending)) => sending,
            _ => match self.answer.clone() {
                Some(answer) => Sending::new(answer),
                None => return self.refuse(Code::NOT_FOUND),
            },
        };
        let codes = (Code::CONTINUE, Code::SUCCESS);
        // Its client may take packets that are too small for the headers.
        let Ok((packet, last)) = sending.next(Some(self.peer.connection), self.peer.max, codes) else {
            return self.refuse(Code::INTERNAL_ERROR);
        };
        if !last {
            self.state = ServerState::Sending(Giving(sending));
        }
        packet.to_bytes().map(Turn::Say)
    }

    /// Whatever went on is over.
    fn refuse(&mut self, code: Code) -> Result<Turn, ObexError> {
        if !matches!(self.state, ServerState::Closed) {
            self.state = ServerState::Idle;
        }
        say(code)
    }
}

fn say(code: Code) -> Result<Turn, ObexError> {
    Packet::new(code, Vec::new()).to_bytes().map(Turn::Say)
}
