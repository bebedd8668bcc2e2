//! Status codes (§4) and alert codes (§3.1). Numbers without a name here are kept and travel on unchanged.

use std::fmt;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$cdoc:meta])* $const:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u16);

        impl $name {
            $($(#[$cdoc])* pub const $const: Self = Self($value);)*

            /// The constant's name, if the number has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($const)),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{}({name})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    };
}

codes! {
    /// The outcome of a command, as carried in `Status/Data`.
    StatusCode {
        /// Busy; only on the header, by a server.
        IN_PROGRESS = 101,
        /// Done.
        OK = 200,
        /// The item was added.
        ITEM_ADDED = 201,
        /// Accepted for processing.
        ACCEPTED = 202,
        /// Done, by somebody else's word.
        NON_AUTHORITATIVE = 203,
        /// There is nothing to answer.
        NO_CONTENT = 204,
        /// The originator should look again.
        RESET_CONTENT = 205,
        /// Done in part.
        PARTIAL_CONTENT = 206,
        /// Conflict resolved with a merge.
        CONFLICT_MERGED = 207,
        /// Conflict resolved: the client's command won.
        CLIENT_WINS = 208,
        /// Conflict resolved by keeping both.
        CONFLICT_DUPLICATED = 209,
        /// Deleted, but not archived.
        DELETED_WITHOUT_ARCHIVE = 210,
        /// Nothing to delete under that id.
        NOT_DELETED = 211,
        /// Authenticated for the session.
        AUTHENTICATED = 212,
        /// Chunk accepted and buffered.
        CHUNK_ACCEPTED = 213,
        /// Cancelled after completion.
        CANCELLED = 214,
        /// The user declined.
        NOT_EXECUTED = 215,
        /// Rolled back with its Atomic.
        ROLLED_BACK = 216,
        /// The request cannot be understood.
        BAD_REQUEST = 400,
        /// The credential is wrong.
        INVALID_CREDENTIALS = 401,
        /// Payment needed.
        PAYMENT_NEEDED = 402,
        /// Understood, and refused.
        FORBIDDEN = 403,
        /// No such thing.
        NOT_FOUND = 404,
        /// Not on this target.
        NOT_ALLOWED = 405,
        /// An optional feature that this peer does not have.
        UNSUPPORTED_FEATURE = 406,
        /// A credential is needed.
        MISSING_CREDENTIALS = 407,
        /// Too late.
        TIMEOUT = 408,
        /// Conflict, unresolved.
        CONFLICT = 409,
        /// Gone for good.
        GONE = 410,
        /// The first chunk lacks its Size.
        SIZE_REQUIRED = 411,
        /// Parts are missing.
        INCOMPLETE_COMMAND = 412,
        /// Too large.
        ENTITY_TOO_LARGE = 413,
        /// The address is too long.
        URI_TOO_LONG = 414,
        /// The type or format is unknown.
        UNSUPPORTED_MEDIA_TYPE = 415,
        /// The declared size exceeds `MaxObjSize`.
        SIZE_TOO_BIG = 416,
        /// Try again later.
        RETRY_LATER = 417,
        /// It is there already.
        ALREADY_EXISTS = 418,
        /// Conflict resolved: the server's data won.
        SERVER_WINS = 419,
        /// The device is full.
        DEVICE_FULL = 420,
        /// Unknown search or filter grammar.
        UNKNOWN_GRAMMAR = 421,
        /// Malformed filter.
        BAD_CGI = 422,
        /// Soft delete of an item that was deleted for good.
        SOFT_DELETE_CONFLICT = 423,
        /// The assembled object is not as long as declared.
        SIZE_MISMATCH = 424,
        /// Not permitted by an access control list.
        PERMISSION_DENIED = 425,
        /// The rest of a partial item is not wanted: send it whole.
        PARTIAL_NOT_ACCEPTED = 426,
        /// The folder has children.
        NOT_EMPTY = 427,
        /// The move failed.
        MOVE_FAILED = 428,
        /// It failed.
        COMMAND_FAILED = 500,
        /// The command is unknown here.
        NOT_IMPLEMENTED = 501,
        /// A gateway failed.
        BAD_GATEWAY = 502,
        /// Overloaded.
        SERVICE_UNAVAILABLE = 503,
        /// A gateway waited too long.
        GATEWAY_TIMEOUT = 504,
        /// The DTD version is not spoken here.
        VERSION_NOT_SUPPORTED = 505,
        /// The application failed; try again.
        PROCESSING_ERROR = 506,
        /// The Atomic failed.
        ATOMIC_FAILED = 507,
        /// A slow sync or refresh is needed.
        REFRESH_REQUIRED = 508,
        /// Reserved; libsynthesis answers it when it cannot resume.
        CANNOT_RESUME = 509,
        /// The data store failed.
        STORE_FAILURE = 510,
        /// The server failed badly.
        SERVER_FAILURE = 511,
        /// The synchronization failed.
        SYNC_FAILED = 512,
        /// The protocol version is not spoken here.
        PROTOCOL_NOT_SUPPORTED = 513,
        /// Cancelled before completion.
        CANCELLED_INCOMPLETE = 514,
        /// The Atomic could not be rolled back.
        ROLLBACK_FAILED = 516,
        /// The answer to an Atomic does not fit.
        ATOMIC_RESPONSE_TOO_LARGE = 517,
    }
}

codes! {
    /// What an Alert announces, as carried in `Alert/Data`.
    AlertCode {
        /// Show a text.
        DISPLAY = 100,
        /// Two-way sync.
        TWO_WAY = 200,
        /// Two-way sync in which everything is sent and compared.
        SLOW = 201,
        /// The client's changes only.
        ONE_WAY_FROM_CLIENT = 202,
        /// The client's whole set replaces the server's.
        REFRESH_FROM_CLIENT = 203,
        /// The server's changes only.
        ONE_WAY_FROM_SERVER = 204,
        /// The server's whole set replaces the client's.
        REFRESH_FROM_SERVER = 205,
        /// The server asks for a two-way sync.
        TWO_WAY_BY_SERVER = 206,
        /// The server asks for the client's changes.
        ONE_WAY_FROM_CLIENT_BY_SERVER = 207,
        /// The server asks for the client's whole set.
        REFRESH_FROM_CLIENT_BY_SERVER = 208,
        /// The server offers its changes.
        ONE_WAY_FROM_SERVER_BY_SERVER = 209,
        /// The server offers its whole set.
        REFRESH_FROM_SERVER_BY_SERVER = 210,
        /// The client asks for the result of a busy server.
        RESULT = 221,
        /// Send the next message of your package.
        NEXT_MESSAGE = 222,
        /// A chunked object was broken off.
        NO_END_OF_DATA = 223,
        /// Suspend the session (1.2).
        SUSPEND = 224,
        /// Resume a suspended session (1.2).
        RESUME = 225,
        /// Something of no other kind, which its item's Meta names (device management 1.2).
        GENERIC = 1226,
    }
}

impl StatusCode {
    /// Whether the command did what it asked for, in one of the ways the protocol counts as done (2xx).
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >= 200 && self.0 < 300
    }
}
