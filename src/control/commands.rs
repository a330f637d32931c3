//! What requests do. What takes a while is not waited for here: the server looks again until it is there.

use super::explain::{self, AskedWith};
use super::log_trace::LogTrace;
use super::peer::Peer;
use super::request::{Refusal, Request};
use crate::engine::{Cache, Explained, FailureId, Flush};
use crate::json::Json;
use crate::logger;
use crate::reload::{Outcome, Reloads};
use crate::serve::{Asked, Control};
use crate::status::about::About;
use crate::status::report;
use crate::status::totals::{Totals, Unmeasured};
use log::{LevelFilter, info};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

/// How long the loops are waited for. They go round within milliseconds, but where all processors are busy with others.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// A query is answered within the longest time that can be configured, which is 60 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(65);
/// Files may be on a server that does not respond.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);

/// What came of a request.
pub type Done = Result<Json, Refusal>;

/// Carries requests out.
pub struct Commands {
    control: Control,
    about: About,
    reloads: Reloads,
    trace: LogTrace,
}

/// A request that takes a while.
pub struct Pending {
    what: What,
    until: Instant,
}

enum What {
    Reload(Receiver<Outcome>),
    Explain(Box<Question>, Receiver<Asked>),
}

/// A question that is explained.
struct Question {
    name: Vec<u8>,
    qtype: u16,
    known: Vec<(usize, Explained)>,
}

/// What follows from a request.
pub enum Answer {
    Now(Done),
    Later(Pending),
}

impl Commands {
    /// The loops are asked and told by `control`.
    pub fn new(control: Control, runtime: String, reloads: Reloads) -> Self {
        let about = About {
            runtime,
            started: SystemTime::now(),
            since: Instant::now(),
        };
        Self {
            control,
            about,
            reloads,
            trace: LogTrace::default(),
        }
    }

    /// When something is to be done, if no request comes before.
    pub fn next_alarm(&self) -> Option<Instant> {
        self.trace.until()
    }

    /// Does what is due.
    pub fn time(&mut self, now: Instant) {
        self.trace.time(now);
    }

    /// Carries a request out, or begins to.
    pub fn carry_out(&mut self, request: Request, by: Peer, now: Instant) -> Answer {
        match request {
            Request::Status => Answer::Now(self.status(now)),
            Request::Explain { name, qtype } => self.explain(name, qtype, now),
            Request::Why(id) => Answer::Now(self.why(id)),
            Request::Reload => {
                info!("{by} has the configuration read again");
                let pending = Pending {
                    what: What::Reload(self.reloads.ask()),
                    until: now + RELOAD_LIMIT,
                };
                Answer::Later(pending)
            }
            Request::Flush(flush) => Answer::Now(self.flush(&flush, by)),
            Request::LogLevel(level) => {
                info!("{by} sets the level of the log: {}", word(level));
                logger::set_level(level);
                Answer::Now(Ok(Json::Object(vec![("level", Json::text(word(level)))])))
            }
            Request::Trace(time) => {
                self.trace.set(time, by, now);
                let mut members = told_log();
                members.push(self.told_trace(now));
                Answer::Now(Ok(Json::Object(members)))
            }
        }
    }

    fn status(&self, now: Instant) -> Done {
        let totals = Totals::measure(&self.control).map_err(refusal)?;
        let mut members = report::members(&totals, &self.about);
        members.extend(told_log());
        members.push(self.told_trace(now));
        Ok(Json::Object(members))
    }

    /// For how long queries are traced still.
    fn told_trace(&self, now: Instant) -> (&'static str, Json) {
        let left = self.trace.until();
        let left = left.map(|until| until.saturating_duration_since(now));
        let seconds = |left: Duration| {
            let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            Json::Number(i64::try_from(seconds).unwrap_or(i64::MAX))
        };
        ("trace_seconds_left", Json::maybe(left, seconds))
    }

    fn why(&self, id: FailureId) -> Done {
        let found = collected(&self.control.why(id))?
            .into_iter()
            .flatten()
            .next();
        let record = found.ok_or_else(|| {
            let text = format!(
                "there is no record of a failure {id}: its place was taken by later ones (record-size), dotward has been started since, or it records none"
            );
            Refusal::new("unknown_id", text)
        })?;
        let story = record.story().into_iter().map(Json::Text).collect();
        Ok(Json::Object(vec![
            ("id", Json::text(id.to_string())),
            ("story", Json::List(story)),
            ("record", Json::Text(record.lines())),
        ]))
    }

    fn flush(&self, flush: &Flush, by: Peer) -> Done {
        let mut caches: Vec<Arc<Cache>> = Vec::new();
        for cache in collected(&self.control.caches())? {
            if !caches.iter().any(|known| Arc::ptr_eq(known, &cache)) {
                caches.push(cache);
            }
        }
        let count: usize = caches.iter().map(|cache| cache.flush(flush)).sum();
        let what = match flush {
            Flush::All => "all of the cache",
            Flush::Name(_) => "a name",
            Flush::Suffix(_) => "a domain",
        };
        info!("{by} has {what} forgotten: responses {count} (flush)");
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Json::Object(vec![("flushed", Json::Number(count))]))
    }

    fn explain(&self, name: Vec<u8>, qtype: u16, now: Instant) -> Answer {
        let query = explain::query(&name, qtype, AskedWith::default());
        let mut known = match collected(&self.control.explain(&query)) {
            Ok(known) => known,
            // Each loop sends nothing about a question that is none.
            Err(refusal) => return Answer::Now(Err(refusal)),
        };
        known.sort_by_key(|(worker, _)| *worker);
        let query = explain::query(&name, qtype, AskedWith::clients(&known));
        let question = Question { name, qtype, known };
        let pending = Pending {
            what: What::Explain(Box::new(question), self.control.ask(&query)),
            until: now + ANSWER_LIMIT,
        };
        Answer::Later(pending)
    }
}

impl Pending {
    /// What came of it, if that is there.
    pub fn done(&mut self, now: Instant) -> Option<Done> {
        let is_late = now >= self.until;
        match &self.what {
            What::Reload(outcome) => match outcome.try_recv() {
                Ok(Ok(status)) => Some(Ok(Json::Object(vec![("status", Json::text(status))]))),
                Ok(Err(why)) => Some(Err(Refusal::new("failed", why))),
                Err(TryRecvError::Empty) if !is_late => None,
                Err(_) => {
                    let why =
                        "the configuration is not read yet; the log will say what comes of it";
                    Some(Err(Refusal::new("timeout", why)))
                }
            },
            What::Explain(question, asked) => {
                let asked = match asked.try_recv() {
                    Ok(asked) => Some(asked),
                    Err(TryRecvError::Empty) if !is_late => return None,
                    Err(_) => None,
                };
                let Question { name, qtype, known } = &**question;
                Some(Ok(explain::json((name, *qtype), known, asked.as_ref())))
            }
        }
    }
}

/// What the loops send, or that one of them hangs.
fn collected<T>(from: &Receiver<T>) -> Result<Vec<T>, Refusal> {
    let until = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match from.recv_timeout(left) {
            Ok(one) => all.push(one),
            Err(RecvTimeoutError::Disconnected) if all.is_empty() => {
                return Err(refusal(Unmeasured::Ended));
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(all),
            Err(RecvTimeoutError::Timeout) => return Err(refusal(Unmeasured::Hangs)),
        }
    }
}

fn refusal(why: Unmeasured) -> Refusal {
    match why {
        Unmeasured::Hangs => Refusal::new("hangs", "an event loop does not go round"),
        Unmeasured::Ended => Refusal::new("ending", "no event loop answers: the program ends"),
    }
}

/// The level of the log, and whether the log names what clients ask for, by its level or for a trace.
fn told_log() -> Vec<(&'static str, Json)> {
    vec![
        ("log_level", Json::text(word(logger::level()))),
        ("log_names_queries", Json::Bool(logger::names_queries())),
    ]
}

fn word(level: LevelFilter) -> String {
    level.to_string().to_lowercase()
}
