//! Devices, sessions and their queued statuses.

use super::super::*;
use super::conn::{OwnedValues, Values};
use super::failure::OrFailure;
use super::known::{Known, Shelf};
use super::rows::{self, escape, escape_some};
use super::tx::{PostgresTx, rows_at_most};
use std::borrow::Cow;

macro_rules! device_where {
    ($rest:literal) => {
        concat!(
            "SELECT device, device_id, devinf, profile, nonce_count, nonce_out, nonce_in, last_seen FROM device
              WHERE account = $1 AND ",
            $rest
        )
    };
}

macro_rules! session_where {
    ($rest:literal) => {
        concat!(
            "SELECT token, device, session_id, last_msg_id, last_digest, recent_digests, last_reply, reply_type,
              state_version, state, deadline, books FROM session WHERE account = $1 AND ",
            $rest
        )
    };
}

impl PostgresTx<'_> {
    /// In a step, the row of a device is locked before anything of it is decided: its next nonce is used once, and two
    /// messages that begin a session at two nodes come one after the other.
    pub(super) fn device(&mut self, device_id: &str) -> Result<Option<DeviceRow>> {
        if let Some(known) = self.known.device.as_ref().filter(|known| known.device_id == device_id) {
            return Ok(Some(known.clone()));
        }
        let (account, device_id) = (self.account, escape(device_id));
        let sql = match self.locks {
            true => device_where!("device_id = $2 FOR UPDATE"),
            false => device_where!("device_id = $2"),
        };
        let found = self.one(sql, &[&account, &device_id], rows::device)?;
        self.know(found.as_ref());
        Ok(found)
    }

    pub(super) fn device_by_no(&mut self, device: DeviceNo) -> Result<Option<DeviceRow>> {
        if let Some(known) = self.known.device.as_ref().filter(|known| known.device == device) {
            return Ok(Some(known.clone()));
        }
        let account = self.account;
        let sql = match self.locks {
            true => device_where!("device = $2 FOR UPDATE"),
            false => device_where!("device = $2"),
        };
        let found = self.one(sql, &[&account, &device.0], rows::device)?;
        self.know(found.as_ref());
        Ok(found)
    }

    /// A step that locks a device knows it from then on, and nothing more of one that it locked before.
    fn know(&mut self, device: Option<&DeviceRow>) {
        if let Some(device) = device.filter(|_| self.locks) {
            self.known = Known::of(device.clone());
        }
    }

    pub(super) fn devices(&mut self) -> Result<Vec<DeviceRow>> {
        let account = self.account;
        self.all(device_where!("true ORDER BY device"), &[&account], rows::device)
    }

    pub(super) fn put_device(&mut self, row: &DeviceRow) -> Result<DeviceNo> {
        const INSERT: &str = "INSERT INTO device (account, device, device_id, profile, nonce_count, nonce_out, nonce_in,
              last_seen, devinf)
             SELECT $1, coalesce((SELECT device FROM device WHERE account = $1 ORDER BY device DESC LIMIT 1), 0) + 1, $2,
              $3, $4, $5, $6, $7, $8 ON CONFLICT DO NOTHING RETURNING device";
        const UPDATE: &str = "UPDATE device SET device_id = $3, profile = $4, nonce_count = $5, nonce_out = $6,
              nonce_in = $7, last_seen = $8, devinf = $9 WHERE account = $1 AND device = $2";
        let account = self.account;
        let known = match row.device {
            DeviceNo::NEW => self.device(&row.device_id)?.map(|row| row.device),
            known => Some(known),
        };
        if let Some(device) = known.filter(|known| self.known.is_of(*known)) {
            let values: OwnedValues = vec![
                Box::new(account),
                Box::new(device.0),
                Box::new(escape(&row.device_id).into_owned()),
                Box::new(escape_some(row.profile.as_deref()).map(Cow::into_owned)),
                Box::new(row.nonce_count),
                Box::new(row.nonce_out.clone()),
                Box::new(row.nonce_in.clone()),
                Box::new(row.last_seen.0),
                Box::new(row.devinf.clone()),
            ];
            self.later(UPDATE, values)?;
            self.known.device = Some(DeviceRow { device, ..row.clone() });
            return Ok(device);
        }
        let (device_id, profile) = (escape(&row.device_id), escape_some(row.profile.as_deref()));
        let (count, seen) = (row.nonce_count, row.last_seen.0);
        let (nonce_out, nonce_in, devinf) = (&row.nonce_out, &row.nonce_in, &row.devinf);
        let Some(device) = known else {
            let made = self.one(
                INSERT,
                &[&account, &device_id, &profile, &count, nonce_out, nonce_in, &seen, devinf],
                |row| row.try_get(0).or_failure().map(DeviceNo),
            )?;
            return made.ok_or_else(|| self.overtaken("a device"));
        };
        let values: Values<'_> =
            &[&account, &device.0, &device_id, &profile, &count, nonce_out, nonce_in, &seen, devinf];
        match self.run(UPDATE, values)? {
            0 => Err(StoreError::Corrupt(format!("there is no device {device} to update"))),
            _ => Ok(device),
        }
    }

    /// The device's row is locked before the session's, here as where a session begins.
    pub(super) fn session(&mut self, key: SessionKey<'_>) -> Result<Option<SessionRow>> {
        const OF_TOKEN: &str =
            device_where!("device = (SELECT device FROM session WHERE account = $1 AND token = $2) FOR UPDATE");
        const BY_TOKEN: &str = session_where!("token = $2 FOR UPDATE");
        let account = self.account;
        let found = match key {
            SessionKey::Token(token) => {
                let values: Values<'_> = &[&account, &&token.0[..]];
                if self.locks {
                    let mut found = self.queries(&[(OF_TOKEN, values), (BY_TOKEN, values)])?;
                    let (session, device) = (found.pop().unwrap_or_default(), found.pop().unwrap_or_default());
                    let device = device.first().map(rows::device).transpose()?;
                    self.know(device.as_ref().filter(|device| !self.known.is_of(device.device)));
                    session.first().map(rows::session).transpose()?
                } else {
                    self.one(session_where!("token = $2"), values, rows::session)?
                }
            }
            SessionKey::Ids(device, session_id) => {
                if self.locks && !self.known.is_of(device) {
                    self.device_by_no(device)?;
                }
                let sql = match self.locks {
                    true => session_where!("device = $2 AND session_id = $3 ORDER BY seq DESC LIMIT 1 FOR UPDATE"),
                    false => session_where!("device = $2 AND session_id = $3 ORDER BY seq DESC LIMIT 1"),
                };
                self.one(sql, &[&account, &device.0, &escape(session_id)], rows::session)?
            }
        };
        if let Some(row) = found.as_ref().filter(|row| self.known.is_of(row.device)) {
            self.known.keep_session(row.token);
        }
        Ok(found)
    }

    pub(super) fn put_session(&mut self, row: &SessionRow) -> Result<()> {
        const UPDATE: &str = "UPDATE session SET device = $3, session_id = $4, last_msg_id = $5, last_digest = $6,
              recent_digests = $7, last_reply = $8, reply_type = $9, state_version = $10, state = $11, deadline = $12,
              books = $13 WHERE account = $1 AND token = $2";
        const PUT: &str = "INSERT INTO session (account, token, device, session_id, last_msg_id, last_digest,
              recent_digests, last_reply, reply_type, state_version, state, deadline, books)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             ON CONFLICT (account, token) DO UPDATE SET device = excluded.device, session_id = excluded.session_id,
              last_msg_id = excluded.last_msg_id, last_digest = excluded.last_digest,
              recent_digests = excluded.recent_digests, last_reply = excluded.last_reply,
              reply_type = excluded.reply_type, state_version = excluded.state_version, state = excluded.state,
              deadline = excluded.deadline, books = excluded.books";
        let books: Vec<i64> = row.books.iter().map(|book| book.0).collect();
        let values: OwnedValues = vec![
            Box::new(self.account),
            Box::new(row.token.0.to_vec()),
            Box::new(row.device.0),
            Box::new(escape(&row.session_id).into_owned()),
            Box::new(i64::from(row.last_msg_id)),
            Box::new(row.last_digest.to_vec()),
            Box::new(row.recent_digests.as_flattened().to_vec()),
            Box::new(row.last_reply.clone()),
            Box::new(escape(&row.reply_type).into_owned()),
            Box::new(row.state_version),
            Box::new(row.state.clone()),
            Box::new(row.deadline.0),
            Box::new(books),
        ];
        // Most are locked and there.
        self.later(if self.known.session == Some(row.token) { UPDATE } else { PUT }, values)
    }

    pub(super) fn drop_rival_sessions(&mut self, device: DeviceNo, books: &[BookNo], keep: &Token) -> Result<u64> {
        const DROP: &str = "DELETE FROM session WHERE account = $1 AND device = $2 AND token <> $3
              AND (books = '{}' OR books && $4::bigint[]) RETURNING token";
        let books: Vec<i64> = books.iter().map(|book| book.0).collect();
        let account = self.account;
        self.drop_statuses_of(DROP, &[&account, &device.0, &&keep.0[..], &books]).map(|gone| gone as u64)
    }

    pub(super) fn count_sessions(&mut self, device: DeviceNo) -> Result<u64> {
        let account = self.account;
        let sql = "SELECT count(*) FROM session WHERE account = $1 AND device = $2";
        let count = self.one(sql, &[&account, &device.0], |row| row.try_get::<_, i64>(0).or_failure())?;
        Ok(count.unwrap_or_default().cast_unsigned())
    }

    pub(super) fn audit(&mut self, row: &AuditRow) -> Result<()> {
        const ADD: &str =
            "INSERT INTO audit (account, at, actor, action, object, outcome) VALUES ($1, $2, $3, $4, $5, $6)";
        let account = self.account;
        let [actor, action, object, outcome] =
            [&row.actor, &row.action, &row.object, &row.outcome].map(|text| escape(text).into_owned());
        self.run(ADD, &[&account, &row.at.0, &actor, &action, &object, &outcome]).map(drop)
    }

    pub(super) fn expire_sessions(&mut self, now: Timestamp) -> Result<usize> {
        const DROP: &str = "DELETE FROM session WHERE account = $1 AND token = ANY (ARRAY(
              SELECT token FROM session WHERE account = $1 AND deadline < $2 FOR UPDATE SKIP LOCKED)) RETURNING token";
        let account = self.account;
        self.drop_statuses_of(DROP, &[&account, &now.0])
    }

    /// Removes sessions by a statement, and their statuses; answers how many.
    fn drop_statuses_of(&mut self, sql: &'static str, values: Values<'_>) -> Result<usize> {
        let gone: Vec<Vec<u8>> = self.all(sql, values, |row| row.try_get(0).or_failure())?;
        let count = gone.len();
        if count > 0 {
            self.known.forget_session(&gone);
            let drop = "DELETE FROM status_queue WHERE account = $1 AND token = ANY ($2)";
            self.later(drop, vec![Box::new(self.account), Box::new(gone)])?;
        }
        Ok(count)
    }

    pub(super) fn queue_statuses(&mut self, token: &Token, statuses: &[Vec<u8>]) -> Result<()> {
        const INSERT: &str = "INSERT INTO status_queue (account, token, bytes)
             SELECT $1, $2, bytes FROM unnest($3::bytea[]) WITH ORDINALITY AS n (bytes, place) ORDER BY place";
        self.known.fill(Shelf::Statuses);
        let values: OwnedValues = vec![Box::new(self.account), Box::new(token.0.to_vec()), Box::new(statuses.to_vec())];
        self.later(INSERT, values)
    }

    pub(super) fn queued_statuses(&mut self, token: &Token, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        if self.known.lacks_statuses(token) {
            return Ok(Vec::new());
        }
        let sql = "SELECT seq, bytes FROM status_queue WHERE account = $1 AND token = $2 ORDER BY seq LIMIT $3";
        let account = self.account;
        self.all(sql, &[&account, &&token.0[..], &rows_at_most(limit)], |row| {
            Ok((row.try_get(0).or_failure()?, row.try_get(1).or_failure()?))
        })
    }

    pub(super) fn drop_statuses(&mut self, token: &Token, upto: i64) -> Result<()> {
        let sql = "DELETE FROM status_queue WHERE account = $1 AND token = $2 AND seq <= $3";
        self.later(sql, vec![Box::new(self.account), Box::new(token.0.to_vec()), Box::new(upto)])
    }
}
