//! The thread that writes the query log.

use super::line::line;
use crate::cli::{LogSink, LoggedClients, QueryLogTo};
use crate::serve::{Logged, QueryLog};
use log::{info, warn};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Responses that wait to be written, some hundred octets each: a burst, and a disk that is busy for a moment.
const QUEUE: usize = 4_096;
/// How long a start waits for the file to be open. One that takes longer, such as a pipe that nobody reads, is not waited for.
const OPENING: Duration = Duration::from_secs(1);

/// The thread, as others see it. It ends by [`Writer::end`], or when no loop sends anything any more.
#[derive(Debug)]
pub struct Writer {
    log: QueryLog,
    asked: Arc<Asked>,
    ended: Receiver<()>,
}

/// What the thread was asked to do beside writing.
#[derive(Debug, Default)]
struct Asked {
    reopen: AtomicBool,
    end: AtomicBool,
}

impl Writer {
    /// Opens the file, and writes from now on. The text of an error is for the operator.
    pub fn start(to: &QueryLogTo) -> Result<Self, String> {
        let (send, queue) = sync_channel(QUEUE);
        let (opened, is_open) = channel();
        let (end, ended) = channel();
        let asked = Arc::new(Asked::default());
        let (to_write, asked_of) = (to.clone(), asked.clone());
        let work = move || {
            match open(&to_write) {
                Ok(out) => {
                    // Whoever started this may not wait any more.
                    let _told_or_late = opened.send(Ok(()));
                    let mut thread = Thread {
                        clients: to_write.clients,
                        to: to_write,
                        queue,
                        asked: asked_of,
                        out: BufWriter::new(out),
                        lost: 0,
                    };
                    thread.write_all();
                }
                Err(error) => {
                    if let Err(late) = opened.send(Err(error))
                        && let Err(error) = late.0
                    {
                        warn!("{}", unopened(&to_write, &error));
                    }
                }
            }
            // Nobody may wait for it.
            let _told_or_not = end.send(());
        };
        let spawned = thread::Builder::new()
            .name("dotward-queries".into())
            .spawn(work);
        spawned.map_err(|error| format!("queries cannot be logged (query-log): {error}"))?;
        match is_open.recv_timeout(OPENING) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(unopened(to, &error)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => warn!(
                "the query log {to} is not open yet: is it a pipe that nobody reads? Until it is, queries are not logged (query-log)"
            ),
        }
        Ok(Self {
            log: QueryLog::new(send),
            asked,
            ended,
        })
    }

    /// Where the loops send what they have answered.
    pub fn log(&self) -> QueryLog {
        self.log.clone()
    }

    /// Has the file opened anew.
    pub fn reopen(&self) {
        self.asked.reopen.store(true, Ordering::Relaxed);
        self.log.wake();
    }

    /// Has the rest written. False if that takes longer than this.
    pub fn end(self, patience: Duration) -> bool {
        self.asked.end.store(true, Ordering::Relaxed);
        self.log.wake();
        !matches!(
            self.ended.recv_timeout(patience),
            Err(RecvTimeoutError::Timeout)
        )
    }
}

fn unopened(to: &QueryLogTo, error: &io::Error) -> String {
    format!(
        "the query log {to} cannot be opened (query-log): {error}; its folder must exist, and this program must be allowed to write there"
    )
}

/// What is written to. Names are nobody else's business: a file that is made here is for its owner alone.
fn open(to: &QueryLogTo) -> io::Result<Box<dyn Write>> {
    Ok(match &to.sink {
        LogSink::StandardOutput => Box::new(io::stdout()),
        LogSink::File(path) => Box::new(open_file(path)?),
    })
}

fn open_file(path: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// What the thread has.
struct Thread {
    to: QueryLogTo,
    clients: LoggedClients,
    queue: Receiver<Option<Logged>>,
    asked: Arc<Asked>,
    out: BufWriter<Box<dyn Write>>,
    /// Lines that could not be written since that last worked.
    lost: u64,
}

impl Thread {
    fn write_all(&mut self) {
        loop {
            let next = match self.queue.try_recv() {
                Ok(next) => next,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if self.asked.end.load(Ordering::Relaxed) => break,
                Err(TryRecvError::Empty) => {
                    // Whoever follows the file sees the lines at once when it is quiet, and in blocks when it is not.
                    let flushed = self.out.flush();
                    self.note(flushed);
                    match self.queue.recv() {
                        Ok(next) => next,
                        Err(_) => break,
                    }
                }
            };
            if self.asked.reopen.swap(false, Ordering::Relaxed) {
                self.reopen();
            }
            if let Some(logged) = next {
                let line = line(&logged, self.clients) + "\n";
                let written = self.out.write_all(line.as_bytes());
                self.note(written);
            }
        }
        let flushed = self.out.flush();
        self.note(flushed);
    }

    fn reopen(&mut self) {
        let flushed = self.out.flush();
        self.note(flushed);
        match open(&self.to) {
            Ok(out) => {
                // What could not be written to the last one is lost with it.
                let before = std::mem::replace(&mut self.out, BufWriter::new(out));
                drop(before.into_parts());
                info!("the query log {} is opened anew", self.to);
            }
            Err(error) => warn!(
                "{}; the one before is written to",
                unopened(&self.to, &error)
            ),
        }
    }

    /// What became of writing. Trouble is told once, and its end.
    fn note(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) if self.lost > 0 => {
                info!(
                    "the query log {} is written again; about {} lines are lost",
                    self.to, self.lost
                );
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.lost == 0 {
                    warn!(
                        "the query log {} cannot be written (query-log): {error}; lines are lost until it can",
                        self.to
                    );
                }
                self.lost += 1;
            }
        }
    }
}
