//! The six kinds of sync (§3.1).

use crate::message::AlertCode;
use serde::{Deserialize, Serialize};

/// Which end of the conversation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Starts the session, assigns LUIDs.
    Client,
    /// Answers, owns the map, assigns GUIDs.
    Server,
}

/// A kind of sync, of one datastore in one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SyncType {
    /// Both sides send their changes.
    TwoWay,
    /// The client sends everything, the server compares, both end with the union.
    Slow,
    /// Only the client sends its changes.
    OneWayFromClient,
    /// The client sends everything; the server's set becomes that.
    RefreshFromClient,
    /// Only the server sends its changes.
    OneWayFromServer,
    /// The server sends everything; the client's set becomes that.
    RefreshFromServer,
}

impl SyncType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::TwoWay,
        Self::Slow,
        Self::OneWayFromClient,
        Self::RefreshFromClient,
        Self::OneWayFromServer,
        Self::RefreshFromServer,
    ];

    /// The alert code that asks for it.
    #[must_use]
    pub const fn alert(self) -> AlertCode {
        match self {
            Self::TwoWay => AlertCode::TWO_WAY,
            Self::Slow => AlertCode::SLOW,
            Self::OneWayFromClient => AlertCode::ONE_WAY_FROM_CLIENT,
            Self::RefreshFromClient => AlertCode::REFRESH_FROM_CLIENT,
            Self::OneWayFromServer => AlertCode::ONE_WAY_FROM_SERVER,
            Self::RefreshFromServer => AlertCode::REFRESH_FROM_SERVER,
        }
    }

    /// The kind an alert asks for; the by-server codes 206–210 count as the kinds they ask the client to start,
    /// because some peers echo them in their own init (§3.1).
    #[must_use]
    pub const fn from_alert(code: AlertCode) -> Option<Self> {
        Some(match code {
            AlertCode::TWO_WAY | AlertCode::TWO_WAY_BY_SERVER => Self::TwoWay,
            AlertCode::SLOW => Self::Slow,
            AlertCode::ONE_WAY_FROM_CLIENT | AlertCode::ONE_WAY_FROM_CLIENT_BY_SERVER => Self::OneWayFromClient,
            AlertCode::REFRESH_FROM_CLIENT | AlertCode::REFRESH_FROM_CLIENT_BY_SERVER => Self::RefreshFromClient,
            AlertCode::ONE_WAY_FROM_SERVER | AlertCode::ONE_WAY_FROM_SERVER_BY_SERVER => Self::OneWayFromServer,
            AlertCode::REFRESH_FROM_SERVER | AlertCode::REFRESH_FROM_SERVER_BY_SERVER => Self::RefreshFromServer,
            _ => return None,
        })
    }

    /// Whether `role` sends items.
    #[must_use]
    pub const fn sends(self, role: Role) -> bool {
        match role {
            Role::Client => !matches!(self, Self::OneWayFromServer | Self::RefreshFromServer),
            Role::Server => !matches!(self, Self::OneWayFromClient | Self::RefreshFromClient),
        }
    }

    /// Whether everything is sent instead of changes, so that the map is written anew (a new epoch).
    #[must_use]
    pub const fn is_full(self) -> bool {
        matches!(self, Self::Slow | Self::RefreshFromClient | Self::RefreshFromServer)
    }

    /// The kind that repairs a lost anchor and keeps the direction asked for (§3.3).
    #[must_use]
    pub const fn full(self) -> Self {
        match self {
            Self::TwoWay | Self::Slow => Self::Slow,
            Self::OneWayFromClient | Self::RefreshFromClient => Self::RefreshFromClient,
            Self::OneWayFromServer | Self::RefreshFromServer => Self::RefreshFromServer,
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwoWay => "two-way",
            Self::Slow => "slow",
            Self::OneWayFromClient => "one-way-from-client",
            Self::RefreshFromClient => "refresh-from-client",
            Self::OneWayFromServer => "one-way-from-server",
            Self::RefreshFromServer => "refresh-from-server",
        }
    }
}
