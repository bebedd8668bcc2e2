//! Which packet a client sends next.

use super::object::{Object, Sending};
use super::packet::{Code, Header, ObexError, Packet};
use super::{MIN_PACKET, TARGET};

/// What a client waits for.
#[derive(Clone, Debug)]
pub enum ClientState {
    /// Nothing: there is no connection.
    Closed,
    /// The response to its CONNECT.
    Connecting,
    /// Nothing: it may put or get.
    Ready,
    /// Leave to send more of an object, or the word that it came.
    Putting(Putting),
    /// More of an object.
    Getting(Object),
    /// The response to its ABORT.
    Aborting,
    /// The response to its DISCONNECT.
    Disconnecting,
}

/// An object on its way.
#[derive(Clone, Debug)]
pub struct Putting {
    sending: Sending,
    /// Whether all of it was sent.
    all: bool,
}

/// What a response means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The operation goes on with this packet.
    Send(Vec<u8>),
    /// The connection stands.
    Connected,
    /// The object came.
    Put,
    /// An object.
    Got(Object),
    /// The operation was broken off.
    Aborted,
    /// The connection is over.
    Disconnected,
    /// The server does not do it; the connection stands, unless it was to begin.
    Refused(Code),
}

/// A client's side of a connection, without its bytes.
#[derive(Clone, Debug)]
pub struct ClientMachine {
    state: ClientState,
    own_max: u16,
    peer_max: u16,
    connection: Option<u32>,
    limit: usize,
}

impl ClientMachine {
    /// Takes packets of up to `max` bytes and objects of up to `limit`.
    #[must_use]
    pub fn new(max: u16, limit: usize) -> Self {
        let own_max = max.max(MIN_PACKET);
        Self { state: ClientState::Closed, own_max, peer_max: MIN_PACKET, connection: None, limit }
    }

    /// What it waits for.
    #[must_use]
    pub const fn state(&self) -> &ClientState {
        &self.state
    }

    /// The largest packet that the server takes, in bytes.
    #[must_use]
    pub const fn peer_max(&self) -> u16 {
        self.peer_max
    }

    /// The packet that begins a connection to a SyncML server.
    ///
    /// # Errors
    /// [`ObexError::Misuse`] when there is one.
    pub fn connect(&mut self) -> Result<Vec<u8>, ObexError> {
        match self.state {
            ClientState::Closed => {
                self.state = ClientState::Connecting;
                Packet::connect(Code::CONNECT, self.own_max, vec![Header::Target(TARGET.to_vec())]).to_bytes()
            }
            _ => Err(ObexError::Misuse),
        }
    }

    /// The first packet of an object.
    ///
    /// # Errors
    /// [`ObexError::Misuse`] when something else goes on; [`ObexError::Size`] when its type does not fit into a packet.
    pub fn put(&mut self, object: Object) -> Result<Vec<u8>, ObexError> {
        self.is_ready()?;
        self.put_on(Sending::new(object))
    }

    /// The request for an object of that type.
    ///
    /// # Errors
    /// [`ObexError::Misuse`] when something else goes on.
    pub fn get(&mut self, content_type: &str) -> Result<Vec<u8>, ObexError> {
        self.is_ready()?;
        let mut headers = self.id();
        headers.push(Header::Type(content_type.to_owned()));
        let bytes = Packet::new(Code::GET_FINAL, headers).to_bytes()?;
        self.state = ClientState::Getting(Object::default());
        Ok(bytes)
    }

    /// The packet that breaks off what goes on.
    ///
    /// # Errors
    /// [`ObexError::Misuse`] when nothing does.
    pub fn abort(&mut self) -> Result<Vec<u8>, ObexError> {
        match self.state {
            ClientState::Putting(_) | ClientState::Getting(_) => {
                self.state = ClientState::Aborting;
                Packet::new(Code::ABORT, self.id()).to_bytes()
            }
            _ => Err(ObexError::Misuse),
        }
    }

    /// The packet that ends the connection.
    ///
    /// # Errors
    /// [`ObexError::Misuse`] when something goes on, or there is none.
    pub fn disconnect(&mut self) -> Result<Vec<u8>, ObexError> {
        self.is_ready()?;
        self.state = ClientState::Disconnecting;
        Packet::new(Code::DISCONNECT, self.id()).to_bytes()
    }

    /// Takes a response, whole. After an error the connection is of no use any more.
    ///
    /// # Errors
    /// [`ObexError`].
    pub fn received(&mut self, bytes: &[u8]) -> Result<Heard, ObexError> {
        let connecting = matches!(self.state, ClientState::Connecting);
        let packet = Packet::response(bytes, connecting)?;
        let code = packet.code;
        match std::mem::replace(&mut self.state, ClientState::Closed) {
            ClientState::Closed | ClientState::Ready => Err(ObexError::Unexpected(code)),
            ClientState::Connecting => self.connected(&packet),
            ClientState::Putting(putting) => match code {
                Code::CONTINUE if !putting.all => self.put_on(putting.sending).map(Heard::Send),
                Code::CONTINUE => Err(ObexError::Unexpected(code)),
                Code::SUCCESS if putting.all => Ok(self.ready(Heard::Put)),
                // Before all was sent: that is no word of success.
                Code::SUCCESS => Err(ObexError::Unexpected(code)),
                code => Ok(self.ready(Heard::Refused(code))),
            },
            ClientState::Getting(mut object) => match code {
                Code::CONTINUE => {
                    object.take(&packet, self.limit)?;
                    self.state = ClientState::Getting(object);
                    Packet::new(Code::GET_FINAL, self.id()).to_bytes().map(Heard::Send)
                }
                Code::SUCCESS => {
                    object.take(&packet, self.limit)?;
                    Ok(self.ready(Heard::Got(object)))
                }
                code => Ok(self.ready(Heard::Refused(code))),
            },
            // Whatever it says: the operation is over.
            ClientState::Aborting => Ok(self.ready(Heard::Aborted)),
            ClientState::Disconnecting => {
                self.connection = None;
                Ok(Heard::Disconnected)
            }
        }
    }

    fn connected(&mut self, packet: &Packet) -> Result<Heard, ObexError> {
        if packet.code != Code::SUCCESS {
            return Ok(Heard::Refused(packet.code));
        }
        let who = packet.headers.iter().find_map(|header| match header {
            Header::Who(who) => Some(who.as_slice()),
            _ => None,
        });
        // One that does not say who it is may be anything that takes objects.
        if who != Some(TARGET) {
            return Err(ObexError::Stranger);
        }
        self.connection = packet.connection();
        self.peer_max = packet.max.unwrap_or(MIN_PACKET);
        Ok(self.ready(Heard::Connected))
    }

    fn put_on(&mut self, mut sending: Sending) -> Result<Vec<u8>, ObexError> {
        let (packet, all) = sending.next(self.connection, self.peer_max, (Code::PUT, Code::PUT_FINAL))?;
        self.state = ClientState::Putting(Putting { sending, all });
        packet.to_bytes()
    }

    fn ready(&mut self, heard: Heard) -> Heard {
        self.state = ClientState::Ready;
        heard
    }

    fn is_ready(&self) -> Result<(), ObexError> {
        if matches!(self.state, ClientState::Ready) { Ok(()) } else { Err(ObexError::Misuse) }
    }

    fn id(&self) -> Vec<Header> {
        self.connection.map(Header::ConnectionId).into_iter().collect()
    }
}
