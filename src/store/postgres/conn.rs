//! A connection: its statements are prepared once, and what need not wait for an answer goes out with what does.

use super::super::{Result, StoreError};
use super::tls::Tls;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Error, NoTls, Row, SimpleQueryMessage, Statement};

/// What PostgreSQL answers.
pub(super) type Answer<T> = std::result::Result<T, Error>;

/// The values of a statement's parameters.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The same, of a statement that is sent later.
pub(super) type OwnedValues = Vec<Box<dyn ToSql + Send + Sync>>;

/// What comes back of a statement: rows, or how many were written.
type Done = (Vec<Row>, u64);

/// A statement that is sent when it is first asked for.
type Sent<'a> = Pin<Box<dyn Future<Output = Answer<Done>> + 'a>>;

/// Moves the bytes, as long as it is asked to.
type Wire = Pin<Box<dyn Future<Output = Answer<()>> + Send>>;

/// A connection, what it has prepared, and what waits to be sent.
pub(super) struct Conn {
    /// Goes before the line, which then ends in order.
    client: Client,
    line: Line,
    statements: HashMap<&'static str, Statement>,
    /// What goes out before whatever comes next, in the same exchange.
    waiting: Vec<Waiting>,
    /// Whether the server was told that a transaction begins.
    begun: bool,
    /// Its name in the table `mark`.
    name: String,
    /// How many steps it committed, or tried to.
    commits: i64,
}

enum Waiting {
    Begin(&'static str),
    Statement(Statement, OwnedValues),
}

/// Which step of which connection.
pub(super) struct Mark {
    conn: String,
    step: i64,
}

impl Conn {
    /// A new one, set up by statements of which the last answers its name.
    pub(super) fn open(config: &Config, tls: Option<&Tls>, set_up: &str) -> Result<Answer<Self>> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Failed(format!("no connection to PostgreSQL: {error}")))?;
        let connected: Answer<(Client, Wire)> = runtime.block_on(async {
            match tls {
                None => config.connect(NoTls).await.map(|(client, wire)| (client, Box::pin(wire) as Wire)),
                Some(tls) => config.connect(tls.clone()).await.map(|(client, wire)| (client, Box::pin(wire) as Wire)),
            }
        });
        Ok(connected.and_then(|(client, wire)| {
            let mut conn = Self {
                client,
                line: Line { runtime, wire: Some(wire) },
                statements: HashMap::new(),
                waiting: Vec::new(),
                begun: false,
                name: String::new(),
                commits: 0,
            };
            let said = conn.line.wait(conn.client.simple_query(set_up))?;
            let name = said.iter().rev().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            conn.name = name.unwrap_or_default();
            Ok(conn)
        }))
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { conn: self.name.clone(), step: self.commits }
    }

    /// Begins a transaction, with the first statement in it.
    pub(super) fn begin(&mut self) {
        self.waiting.push(Waiting::Begin("BEGIN ISOLATION LEVEL READ COMMITTED"));
    }

    /// Likewise one that reads as of one moment.
    pub(super) fn begin_look(&mut self) {
        self.waiting.push(Waiting::Begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    }

    /// Commits, and leaves a mark of that. A connection where this failed must not be used any more.
    ///
    /// No timeout ends it: a commit that waits for a standby when its time is up counts as done, and is not safe there.
    pub(super) fn commit(&mut self) -> Answer<()> {
        let prepare = match self.commits {
            0 => format!(
                "PREPARE mark (bigint) AS INSERT INTO mark (conn, step) VALUES ('{}', $1) ON CONFLICT (conn) DO UPDATE
                  SET step = CASE WHEN mark.fenced THEN NULL ELSE excluded.step END, at = now(); ",
                self.name
            ),
            _ => String::new(),
        };
        self.commits += 1;
        let step = self.commits;
        self.batch(&format!("{prepare}SET LOCAL statement_timeout = 0; EXECUTE mark({step}); COMMIT"))?;
        self.begun = false;
        Ok(())
    }

    /// Ends a transaction that shall leave nothing. A connection where this failed must not be used any more.
    pub(super) fn roll_back(&mut self) -> Answer<()> {
        self.waiting.clear();
        if std::mem::take(&mut self.begun) { self.batch("ROLLBACK") } else { Ok(()) }
    }

    /// Ends a look. Nobody waits for the answer: it comes before that to what is asked next.
    pub(super) fn end_look(&mut self) {
        self.waiting.clear();
        if !std::mem::take(&mut self.begun) {
            return;
        }
        let mut sent = Box::pin(self.client.batch_execute("ROLLBACK"));
        // Written at once; what fails here fails whoever asks next.
        let once = poll_fn(|context| {
            drop(sent.as_mut().poll(context));
            Poll::Ready(Ok(()))
        });
        drop(self.line.wait(once));
    }

    /// Whether another connection's step was committed, which it cannot be any more once this is answered. A step that is
    /// just committing is waited for. May be asked again.
    pub(super) fn was_committed(&mut self, mark: &Mark) -> Answer<bool> {
        const FENCE: &str = "INSERT INTO mark (conn, step, fenced) VALUES ($1::text::uuid, 0, true)
             ON CONFLICT (conn) DO UPDATE SET fenced = true RETURNING step";
        self.begin();
        let rows = self.query(FENCE, &[&mark.conn])?;
        let last = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?;
        // Behind the other commit in the log: where this one has arrived, that one has.
        self.batch("SET LOCAL statement_timeout = 0; COMMIT")?;
        self.begun = false;
        Ok(last == Some(mark.step))
    }

    pub(super) fn query(&mut self, sql: &'static str, values: Values<'_>) -> Answer<Vec<Row>> {
        let answers = self.queries(&[(sql, values)])?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// Asks several things in one exchange: one after the other, each seeing what was committed before it.
    pub(super) fn queries(&mut self, asked: &[(&'static str, Values<'_>)]) -> Answer<Vec<Vec<Row>>> {
        let mut prepared = Vec::with_capacity(asked.len());
        for (sql, values) in asked {
            prepared.push((self.prepare(sql)?, *values));
        }
        let answers = self.exchange(|client| {
            let sent = prepared.iter().map(|(statement, values)| -> Sent<'_> {
                Box::pin(async move { client.query(statement, values).await.map(|rows| (rows, 0)) })
            });
            sent.collect()
        })?;
        Ok(answers.into_iter().map(|(rows, _)| rows).collect())
    }

    /// Answers how many rows were written.
    pub(super) fn execute(&mut self, sql: &'static str, values: Values<'_>) -> Answer<u64> {
        let statement = self.prepare(sql)?;
        let answers = self.exchange(|client| {
            vec![Box::pin(async move { client.execute(&statement, values).await.map(|count| (Vec::new(), count)) })]
        })?;
        Ok(answers.first().map_or(0, |(_, count)| *count))
    }

    /// A statement that goes out with the next one or with the commit, and fails there.
    pub(super) fn later(&mut self, sql: &'static str, values: OwnedValues) -> Answer<()> {
        let statement = self.prepare(sql)?;
        self.waiting.push(Waiting::Statement(statement, values));
        Ok(())
    }

    pub(super) fn batch(&mut self, sql: &str) -> Answer<()> {
        self.exchange(|client| vec![Box::pin(async move { client.batch_execute(sql).await.map(|()| (Vec::new(), 0)) })])
            .map(drop)
    }

    fn prepare(&mut self, sql: &'static str) -> Answer<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.line.wait(self.client.prepare(sql))?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    /// Sends what waits and then what is made here, and answers what came of the latter, or the first failure: after that
    /// nothing else was done, as a transaction in which something failed refuses the rest.
    fn exchange<'a>(&'a mut self, make: impl FnOnce(&'a Client) -> Vec<Sent<'a>>) -> Answer<Vec<Done>> {
        let waiting = std::mem::take(&mut self.waiting);
        self.begun |= waiting.iter().any(|one| matches!(one, Waiting::Begin(_)));
        let client = &self.client;
        let mut sent: Vec<Sent<'_>> = waiting.iter().map(|one| one.send(client)).collect();
        sent.extend(make(client));
        let mut answers = self.line.wait(all(sent))?;
        Ok(answers.split_off(waiting.len()))
    }
}

impl Waiting {
    fn send<'a>(&'a self, client: &'a Client) -> Sent<'a> {
        match self {
            Self::Begin(sql) => Box::pin(async move { client.batch_execute(sql).await.map(|()| (Vec::new(), 0)) }),
            Self::Statement(statement, values) => Box::pin(async move {
                let values = values.iter().map(|value| -> &(dyn ToSql + Sync) { &**value });
                client.execute_raw(statement, values).await.map(|count| (Vec::new(), count))
            }),
        }
    }
}

/// Sends all in their order, and waits for all of them; the first failure counts.
fn all(mut sent: Vec<Sent<'_>>) -> impl Future<Output = Answer<Vec<Done>>> {
    let mut done: Vec<Option<Answer<Done>>> = sent.iter().map(|_| None).collect();
    poll_fn(move |context| {
        for (one, done) in sent.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(answer) = one.as_mut().poll(context) {
                *done = Some(answer);
            }
        }
        match done.iter().all(Option::is_some) {
            true => Poll::Ready(done.drain(..).flatten().collect()),
            false => Poll::Pending,
        }
    })
}

/// What moves the bytes of a connection, while somebody waits for an answer.
struct Line {
    runtime: Runtime,
    /// `None` once the connection is gone.
    wire: Option<Wire>,
}

impl Line {
    /// Moves bytes until that is done, or the connection breaks, which then says why.
    fn wait<T>(&mut self, work: impl Future<Output = Answer<T>>) -> Answer<T> {
        let (mut work, wire) = (pin!(work), &mut self.wire);
        self.runtime.block_on(poll_fn(|context| {
            let done = work.as_mut().poll(context);
            let moved = wire.as_mut().map_or(Poll::Pending, |wire| wire.as_mut().poll(context));
            if moved.is_ready() {
                // Whoever still waits for an answer hears of that, too.
                *wire = None;
            }
            match (done, moved) {
                (Poll::Ready(done), _) => Poll::Ready(done),
                (Poll::Pending, Poll::Ready(Err(why))) => Poll::Ready(Err(why)),
                (Poll::Pending, _) => work.as_mut().poll(context),
            }
        }))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.take() {
            // The server is told.
            drop(self.runtime.block_on(wire));
        }
    }
}
