//! Who is signed in (threats: docs/console.md).
//!
//! A session's id is random, is in the browser's cookie, and is kept as a digest: as a session of the account in the store,
//! like those of devices, so that any node knows it. It ends when it rests for [`REST`], after [`LONGEST`], when somebody
//! signs out, and when the password changes. What a form must bring to prove that it is this page's derives from it.

use super::form::Fields;
use crate::auth::{Attempts, Presented, Secret, verify};
use crate::message::Timestamp;
use crate::store::{
    AccountNo, DeviceNo, Login, Result, SessionKey, SessionRow, Store, StoreError, Token, Verdict, local_origin,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// How long a session may rest, in seconds.
pub(super) const REST: i64 = 30 * 60;
/// How long a session lasts at most, in seconds.
pub(super) const LONGEST: i64 = 12 * 60 * 60;
/// Sessions of one account; one more ends the others.
const MOST: u64 = 20;
/// No session of a device has this version, nor is one of these taken for a device's.
const STATE_VERSION: i64 = -1;
/// The name under which the page writes, in the history.
pub(super) const ORIGIN: &str = "console";

/// A person who is signed in. There is none but by [`Door`], and the store is reached through one: so no handler can forget
/// to ask who it is, nor reach another account by mistake.
pub(super) struct SignedIn {
    store: Arc<dyn Store>,
    account: AccountNo,
    name: String,
    origin: DeviceNo,
    id: String,
}

impl SignedIn {
    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(super) const fn account(&self) -> AccountNo {
        self.account
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Under which what is written here is in the history.
    pub(super) const fn origin(&self) -> DeviceNo {
        self.origin
    }

    /// What each form of this session has to bring.
    pub(super) fn form_token(&self) -> String {
        form_token(&self.id)
    }

    /// What a form brings to prove that just this was shown to this session before.
    pub(super) fn proof(&self, what: &str) -> String {
        let proof = Sha256::new_with_prefix(b"syncml console shown\0").chain_update(&self.id).chain_update(what);
        hex(&proof.finalize())
    }

    /// Whether it does.
    pub(super) fn proves(&self, given: &str, what: &str) -> bool {
        given.as_bytes().ct_eq(self.proof(what).as_bytes()).into()
    }

    /// Looks at the account.
    pub(super) fn look<T>(&self, mut work: impl FnMut(&mut dyn crate::store::Tx) -> Result<T>) -> Result<T> {
        let mut found = None;
        self.store.look(self.account, &mut |tx| {
            found = Some(work(tx)?);
            Ok(())
        })?;
        found.ok_or_else(not_run)
    }

    /// Changes something of it.
    pub(super) fn step<T>(&self, mut work: impl FnMut(&mut dyn crate::store::Tx) -> Result<(T, Verdict)>) -> Result<T> {
        let mut done = None;
        self.store.step(self.account, &mut |tx| {
            let (outcome, verdict) = work(tx)?;
            done = Some(outcome);
            Ok(verdict)
        })?;
        done.ok_or_else(not_run)
    }
}

fn not_run() -> StoreError {
    StoreError::Corrupt("a step ended without having run".to_owned())
}

/// A form that this page sent to this session, and that came back.
pub(super) struct Posted(Fields);

impl Posted {
    /// `None` for a form that does not prove it.
    pub(super) fn check(who: &SignedIn, fields: Fields) -> Option<Self> {
        is_token(&fields, &who.id).then_some(Self(fields))
    }
}

impl std::ops::Deref for Posted {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

/// What a form brings: derived from a secret that only its own browser has, and telling nothing of it.
pub(super) fn form_token(secret: &str) -> String {
    hex(&Sha256::new_with_prefix(b"syncml console form\0").chain_update(secret).finalize())
}

/// Whether a form brings the token that goes with the secret.
pub(super) fn is_token(fields: &Fields, secret: &str) -> bool {
    let given = fields.get("token").unwrap_or_default();
    given.as_bytes().ct_eq(form_token(secret).as_bytes()).into()
}

/// 244 random bits.
pub(super) fn random_id() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Whether it looks like one of [`random_id`].
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Why nobody was let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The name or the password is wrong.
    Wrong,
    /// After too many guesses: wait so many seconds.
    Wait(i64),
}

/// What a session's row remembers.
#[derive(Serialize, Deserialize)]
struct State {
    /// The login.
    name: String,
    /// When it began, in milliseconds.
    begun: i64,
    /// What tells that the password is still the one it was opened with; needs the session's id to be made.
    mark: String,
}

/// Where sessions begin and end.
pub(super) struct Door {
    store: Arc<dyn Store>,
    attempts: Arc<Attempts>,
}

impl Door {
    pub(super) const fn new(store: Arc<dyn Store>, attempts: Arc<Attempts>) -> Self {
        Self { store, attempts }
    }

    #[cfg(test)]
    fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Signs somebody in; gives the text of the cookie. Nobody and a wrong password cost the same and are answered the same.
    pub(super) fn sign_in(
        &self,
        name: &str,
        password: &str,
        address: &str,
        now: Timestamp,
    ) -> Result<std::result::Result<String, Denied>> {
        // Asked before, as the store may take its time.
        let login = self.store.directory().login(name)?;
        let presented = Presented::Basic { user: name.to_owned(), password: Secret::new(password.to_owned()) };
        let verifiers: Vec<_> = login.iter().map(|login| login.verifier.clone()).collect();
        let is_good = || verify(&presented, &verifiers, &[]).is_some();
        match self.attempts.check((name, address), password.as_bytes(), now, is_good) {
            Err(seconds) => return Ok(Err(Denied::Wait(seconds))),
            Ok(false) => return Ok(Err(Denied::Wrong)),
            Ok(true) => {}
        }
        let Some(login) = login else { return Ok(Err(Denied::Wrong)) };
        self.begin(name, &login, now).map(Ok)
    }

    fn begin(&self, name: &str, login: &Login, now: Timestamp) -> Result<String> {
        let id = random_id();
        let state = State { name: name.to_owned(), begun: now.0, mark: mark(&id, login) };
        let state = serde_json::to_vec(&state).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let token = digest(&id);
        self.store.step(login.account, &mut |tx| {
            let device = local_origin(tx, ORIGIN, now)?;
            tx.expire_sessions(now)?;
            let row = SessionRow::new(token, device, ORIGIN, STATE_VERSION, now.plus_seconds(REST));
            tx.put_session(&SessionRow { state: state.clone(), ..row })?;
            if tx.count_sessions(device)? > MOST {
                tx.drop_rival_sessions(device, &[], &token)?;
            }
            Ok(Verdict::Commit)
        })?;
        Ok(format!("{}.{id}", login.account))
    }

    /// Who has that cookie, if anybody has.
    pub(super) fn find(&self, cookie: &str, now: Timestamp) -> Result<Option<SignedIn>> {
        let Some((account, id)) = parse(cookie) else { return Ok(None) };
        let mut row = None;
        self.store.look(account, &mut |tx| {
            row = tx.session(SessionKey::Token(&digest(id)))?;
            Ok(())
        })?;
        let Some(mut row) = row.filter(|row| row.state_version == STATE_VERSION && row.deadline > now) else {
            return Ok(None);
        };
        let Ok(state) = serde_json::from_slice::<State>(&row.state) else { return Ok(None) };
        let end = Timestamp(state.begun).plus_seconds(LONGEST);
        let login = self.store.directory().login(&state.name)?.filter(|login| login.account == account);
        let still = login.is_some_and(|login| bool::from(mark(id, &login).as_bytes().ct_eq(state.mark.as_bytes())));
        if !still || end <= now {
            return Ok(None);
        }
        let origin = row.device;
        // Not at each request: that would be a write for each.
        if row.deadline < now.plus_seconds(REST / 2).min(end) {
            row.deadline = now.plus_seconds(REST).min(end);
            self.put(account, &row)?;
        }
        Ok(Some(SignedIn { store: self.store.clone(), account, name: state.name, origin, id: id.to_owned() }))
    }

    /// Ends a session.
    pub(super) fn sign_out(&self, who: &SignedIn, now: Timestamp) -> Result<()> {
        self.store.step(who.account, &mut |tx| {
            if let Some(row) = tx.session(SessionKey::Token(&digest(&who.id)))? {
                tx.put_session(&SessionRow { deadline: Timestamp(0), ..row })?;
            }
            tx.expire_sessions(now)?;
            Ok(Verdict::Commit)
        })
    }

    /// Updates the row of a session that is still there.
    fn put(&self, account: AccountNo, row: &SessionRow) -> Result<()> {
        self.store.step(account, &mut |tx| match tx.session(SessionKey::Token(&row.token))? {
            Some(_) => tx.put_session(row).map(|()| Verdict::Commit),
            None => Ok(Verdict::Rollback),
        })
    }
}

/// Account and id of a cookie.
fn parse(cookie: &str) -> Option<(AccountNo, &str)> {
    let (account, id) = cookie.split_once('.')?;
    Some((AccountNo(account.parse().ok().filter(|_| is_id(id))?), id))
}

/// Under which a session is kept.
fn digest(id: &str) -> Token {
    let whole: [u8; 32] = Sha256::new_with_prefix(b"syncml console session\0").chain_update(id).finalize().into();
    let mut token = [0; 16];
    token.copy_from_slice(&whole[..16]);
    Token(token)
}

fn mark(id: &str, login: &Login) -> String {
    let mut digest = Sha256::new_with_prefix(b"syncml console mark\0");
    for part in [id.as_bytes(), login.verifier.scheme().as_bytes(), &login.verifier.to_bytes()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Verifier;
    use crate::store::memory::MemoryStore;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn door() -> Door {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new([1; 32]));
        for name in ["ada", "bob"] {
            let secret = Secret::new(format!("{name}'s"));
            store.directory().put_login(name, &Verifier::md5(name, &secret)).unwrap();
        }
        Door::new(store, Arc::default())
    }

    fn cookie(door: &Door) -> String {
        door.sign_in("ada", "ada's", "::1", NOW).unwrap().unwrap()
    }

    fn finds(door: &Door, cookie: &str, seconds: i64) -> bool {
        door.find(cookie, NOW.plus_seconds(seconds)).unwrap().is_some()
    }

    #[test]
    fn only_the_right_password_opens() {
        let door = door();
        for (name, password) in [("ada", "bob's"), ("ada", ""), ("eve", "eve's"), ("", "")] {
            assert_eq!(door.sign_in(name, password, "::1", NOW).unwrap(), Err(Denied::Wrong), "{name}");
        }
        let who = door.find(&cookie(&door), NOW).unwrap().unwrap();
        assert_eq!((who.name(), Some(who.account())), ("ada", door.store().directory().account("ada").unwrap()));
    }

    #[test]
    fn guesses_are_slowed_down() {
        let door = door();
        for guess in 0..=Attempts::FREE {
            let guess = guess.to_string();
            assert_eq!(door.sign_in("ada", &guess, "::1", NOW).unwrap(), Err(Denied::Wrong));
        }
        assert_eq!(door.sign_in("ada", "ada's", "::1", NOW).unwrap(), Err(Denied::Wait(1)));
        assert!(door.sign_in("ada", "ada's", "::2", NOW).unwrap().is_ok(), "from elsewhere");
        assert!(door.sign_in("ada", "ada's", "::1", NOW.plus_seconds(1)).unwrap().is_ok());
    }

    #[test]
    fn sessions_end() {
        let door = door();
        let cookie = cookie(&door);
        assert!(finds(&door, &cookie, REST - 1));
        assert!(finds(&door, &cookie, REST + REST / 2), "it did not rest");
        assert!(!finds(&door, &cookie, 3 * REST));
        let used = self::cookie(&door);
        for seconds in (0..LONGEST).step_by(600) {
            assert!(finds(&door, &used, seconds), "{seconds}");
        }
        assert!(!finds(&door, &used, LONGEST));
    }

    #[test]
    fn a_session_ends_with_its_password_and_by_signing_out() {
        let door = door();
        let (one, two) = (cookie(&door), cookie(&door));
        let who = door.find(&one, NOW).unwrap().unwrap();
        door.sign_out(&who, NOW).unwrap();
        assert_eq!((finds(&door, &one, 0), finds(&door, &two, 0)), (false, true));
        let secret = Secret::new("new".to_owned());
        door.store().directory().put_login("ada", &Verifier::md5("ada", &secret)).unwrap();
        assert!(!finds(&door, &two, 0));
    }

    #[test]
    fn cookies_are_not_made_up() {
        let door = door();
        let cookie = cookie(&door);
        let (account, id) = cookie.split_once('.').unwrap();
        let bob = door.store().directory().account("bob").unwrap().unwrap();
        for wrong in
            ["", "x", "1.", &format!("{bob}.{id}"), &format!("{account}.{}", random_id()), &format!("{account}.{id}0")]
        {
            assert!(!finds(&door, wrong, 0), "{wrong}");
        }
        // What the store keeps opens nothing.
        let kept = hex(&digest(id).0);
        assert!(!finds(&door, &format!("{account}.{kept}{kept}"), 0));
    }

    #[test]
    fn one_more_session_than_an_account_may_have_ends_the_others() {
        let door = door();
        let first = cookie(&door);
        let all: Vec<_> = (1..MOST).map(|_| cookie(&door)).collect();
        assert!(finds(&door, &first, 0) && all.iter().all(|cookie| finds(&door, cookie, 0)));
        let last = cookie(&door);
        assert!(finds(&door, &last, 0) && !finds(&door, &first, 0));
    }

    #[test]
    fn a_form_is_of_its_session() {
        let door = door();
        let [one, two] = [(); 2].map(|()| door.find(&cookie(&door), NOW).unwrap().unwrap());
        let form = |token: &str| Fields::from_iter([("token".to_owned(), token.to_owned())]);
        assert!(Posted::check(&one, form(&one.form_token())).is_some());
        for wrong in [two.form_token().as_str(), "", &one.id] {
            assert!(Posted::check(&one, form(wrong)).is_none());
        }
        assert!(Posted::check(&one, Fields::default()).is_none());
    }
}
