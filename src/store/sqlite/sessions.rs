//! Devices, sessions and their queued statuses.

use super::super::*;
use super::failure::OrFailure;
use super::rows;
use super::tx::{SqliteTx, rows_at_most};
use rusqlite::params;

const DEVICE: &str =
    "SELECT device, device_id, devinf, profile, nonce_count, nonce_out, nonce_in, last_seen FROM device";
const SESSION: &str =
    "SELECT token, device, session_id, last_msg_id, last_digest, recent_digests, last_reply, reply_type,
                       state_version, state, deadline, books FROM session";

impl SqliteTx<'_> {
    pub(super) fn device(&self, device_id: &str) -> Result<Option<DeviceRow>> {
        self.one(&format!("{DEVICE} WHERE account = ?1 AND device_id = ?2"), (self.account, device_id), rows::device)
    }

    pub(super) fn device_by_no(&self, device: DeviceNo) -> Result<Option<DeviceRow>> {
        self.one(&format!("{DEVICE} WHERE account = ?1 AND device = ?2"), (self.account, device.0), rows::device)
    }

    pub(super) fn devices(&self) -> Result<Vec<DeviceRow>> {
        self.all(&format!("{DEVICE} WHERE account = ?1 ORDER BY device"), [self.account], rows::device)
    }

    pub(super) fn put_device(&self, row: &DeviceRow) -> Result<DeviceNo> {
        let known = "SELECT device FROM device WHERE account = ?1 AND device_id = ?2";
        let known = if row.device == DeviceNo::NEW {
            self.one(known, (self.account, &row.device_id), |row| row.get(0).map(DeviceNo))?
        } else {
            Some(row.device)
        };
        let Some(device) = known else {
            let sql = "INSERT INTO device (account, device, device_id, profile, nonce_count, nonce_out, nonce_in,
                        last_seen, devinf)
                       VALUES (?1, (SELECT ifnull(max(device), 0) + 1 FROM device WHERE account = ?1), ?2, ?3, ?4, ?5,
                        ?6, ?7, ?8) RETURNING device";
            let device = self.prepare(sql)?.query_row(
                params![
                    self.account,
                    row.device_id,
                    row.profile,
                    row.nonce_count,
                    row.nonce_out,
                    row.nonce_in,
                    row.last_seen.0,
                    row.devinf
                ],
                |row| row.get(0),
            );
            return device.or_failure().map(DeviceNo);
        };
        // What is set is taken out of its index and put in again, though it is the same: so a name that stays is left alone.
        let same_name =
            "UPDATE device SET profile = ?4, nonce_count = ?5, nonce_out = ?6, nonce_in = ?7, last_seen = ?8,
                          devinf = ?9 WHERE account = ?1 AND device = ?2 AND device_id = ?3";
        let renamed = "UPDATE device SET device_id = ?3, profile = ?4, nonce_count = ?5, nonce_out = ?6, nonce_in = ?7,
                        last_seen = ?8, devinf = ?9 WHERE account = ?1 AND device = ?2";
        for sql in [same_name, renamed] {
            let params = params![
                self.account,
                device.0,
                row.device_id,
                row.profile,
                row.nonce_count,
                row.nonce_out,
                row.nonce_in,
                row.last_seen.0,
                row.devinf
            ];
            if self.run(sql, params)? > 0 {
                return Ok(device);
            }
        }
        Err(StoreError::Corrupt(format!("there is no device {device} to update")))
    }

    pub(super) fn session(&self, key: SessionKey<'_>) -> Result<Option<SessionRow>> {
        match key {
            SessionKey::Token(token) => {
                let sql = format!("{SESSION} WHERE account = ?1 AND token = ?2");
                self.one(&sql, (self.account, token.0), rows::session)
            }
            SessionKey::Ids(device, session_id) => {
                let sql = format!(
                    "{SESSION} WHERE account = ?1 AND device = ?2 AND session_id = ?3 ORDER BY rowid DESC LIMIT 1"
                );
                self.one(&sql, (self.account, device.0, session_id), rows::session)
            }
        }
    }

    pub(super) fn put_session(&self, row: &SessionRow) -> Result<()> {
        // As with devices: the ids of a session stay what they are, and so do their indexes.
        let goes_on = "UPDATE session SET last_msg_id = ?5, last_digest = ?6, recent_digests = ?7, last_reply = ?8,
                        reply_type = ?9, state_version = ?10, state = ?11, deadline = ?12,
                        books = ?13 WHERE account = ?1 AND token = ?2 AND device = ?3 AND session_id = ?4";
        let begins =
            "INSERT INTO session (account, token, device, session_id, last_msg_id, last_digest, recent_digests,
                       last_reply, reply_type, state_version, state, deadline, books)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                      ON CONFLICT (account, token) DO UPDATE SET device = excluded.device,
                       session_id = excluded.session_id, last_msg_id = excluded.last_msg_id,
                       last_digest = excluded.last_digest, recent_digests = excluded.recent_digests,
                       last_reply = excluded.last_reply, reply_type = excluded.reply_type,
                       state_version = excluded.state_version,
                       state = excluded.state, deadline = excluded.deadline, books = excluded.books";
        for sql in [goes_on, begins] {
            let params = params![
                self.account,
                row.token.0,
                row.device.0,
                row.session_id,
                row.last_msg_id,
                row.last_digest,
                row.recent_digests.as_flattened(),
                row.last_reply,
                row.reply_type,
                row.state_version,
                row.state,
                row.deadline.0,
                rows::pack_books(&row.books)
            ];
            if self.run(sql, params)? > 0 {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn drop_rival_sessions(&self, device: DeviceNo, books: &[BookNo], keep: &Token) -> Result<u64> {
        let sql = "SELECT token, books FROM session WHERE account = ?1 AND device = ?2 AND token <> ?3";
        let mut rivals = self.all(sql, (self.account, device.0, keep.0), |row| {
            Ok((row.get::<_, [u8; 16]>(0)?, rows::unpack_books(row, 1)?))
        })?;
        rivals.retain(|(_, theirs)| theirs.is_empty() || theirs.iter().any(|book| books.contains(book)));
        rivals.iter().try_for_each(|(token, _)| self.remove_session(token))?;
        Ok(rivals.len() as u64)
    }

    pub(super) fn count_sessions(&self, device: DeviceNo) -> Result<u64> {
        let sql = "SELECT count(*) FROM session WHERE account = ?1 AND device = ?2";
        Ok(self.one(sql, (self.account, device.0), |row| row.get(0))?.unwrap_or(0_i64).cast_unsigned())
    }

    pub(super) fn audit(&self, row: &AuditRow) -> Result<()> {
        let sql = "INSERT INTO audit (at, account, actor, action, object, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let AuditRow { at, actor, action, object, outcome, .. } = row;
        self.run(sql, params![at.0, self.account, actor, action, object, outcome]).map(drop)
    }

    pub(super) fn expire_sessions(&self, now: Timestamp) -> Result<usize> {
        let sql = "SELECT token FROM session WHERE account = ?1 AND deadline < ?2";
        let over = self.all(sql, (self.account, now.0), |row| row.get::<_, [u8; 16]>(0))?;
        over.iter().try_for_each(|token| self.remove_session(token))?;
        Ok(over.len())
    }

    pub(super) fn queue_statuses(&self, token: &Token, statuses: &[Vec<u8>]) -> Result<()> {
        let mut insert = self.prepare("INSERT INTO status_queue (account, token, bytes) VALUES (?1, ?2, ?3)")?;
        for status in statuses {
            insert.execute((self.account, token.0, status)).or_failure()?;
        }
        Ok(())
    }

    pub(super) fn queued_statuses(&self, token: &Token, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        let sql = "SELECT seq, bytes FROM status_queue WHERE account = ?1 AND token = ?2 ORDER BY seq LIMIT ?3";
        self.all(sql, (self.account, token.0, rows_at_most(limit)), |row| Ok((row.get(0)?, row.get(1)?)))
    }

    pub(super) fn drop_statuses(&self, token: &Token, upto: i64) -> Result<()> {
        let sql = "DELETE FROM status_queue WHERE account = ?1 AND token = ?2 AND seq <= ?3";
        self.run(sql, (self.account, token.0, upto)).map(drop)
    }

    fn remove_session(&self, token: &[u8; 16]) -> Result<()> {
        self.run("DELETE FROM session WHERE account = ?1 AND token = ?2", (self.account, token))?;
        self.run("DELETE FROM status_queue WHERE account = ?1 AND token = ?2", (self.account, token)).map(drop)
    }
}
