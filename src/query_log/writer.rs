//! The thread that writes the query log.

use super::line::line;
use crate::cli::{LogSink, LoggedClients, QueryLogTo};
use crate::serve::{Logged, QueryLog};
use log::{info, warn};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Responses that wait to be written, some hundred octets each: a burst, and a disk that is busy for a moment.
const QUEUE: usize = 4_096;
/// Octets that are written at once.
const BLOCK: usize = 8_192;
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
        let log = QueryLog::new(send);
        let own = log.counter();
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
                        out: Lines::new(out),
                        lost_lines: own,
                        lost: None,
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
                "the query log {to} is not open yet: is it a pipe that nobody reads? Until it is, up to {QUEUE} responses wait to be logged, and those beyond that are lost and counted (query-log)"
            ),
        }
        Ok(Self { log, asked, ended })
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
    out: Lines,
    /// Lines that could not be written, for the loops to count.
    lost_lines: Arc<AtomicU64>,
    /// Those since it last worked; `None` while it works.
    lost: Option<u64>,
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
                    self.flush();
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
                self.out.add(&line(&logged, self.clients));
                if self.out.is_full() {
                    self.flush();
                }
            }
        }
        self.flush();
    }

    fn reopen(&mut self) {
        self.flush();
        match open(&self.to) {
            Ok(out) => {
                self.out = Lines::new(out);
                info!("the query log {} is opened anew", self.to);
            }
            Err(error) => warn!(
                "{}; the one before is written to",
                unopened(&self.to, &error)
            ),
        }
    }

    /// Writes what waits. Trouble is told once, and its end when something was written again; what is lost meanwhile is counted.
    fn flush(&mut self) {
        let Some(written) = self.out.flush() else {
            return;
        };
        match written {
            Ok(()) => {
                if let Some(lost) = self.lost.take() {
                    let lines = if lost == 1 { "line is" } else { "lines are" };
                    info!(
                        "the query log {} is written again; {lost} {lines} lost",
                        self.to
                    );
                }
            }
            Err((error, lost)) => {
                if self.lost.is_none() {
                    warn!(
                        "the query log {} cannot be written (query-log): {error}; lines are lost, and counted, until it can",
                        self.to
                    );
                }
                self.lost_lines.fetch_add(lost, Ordering::Relaxed);
                self.lost = Some(self.lost.unwrap_or(0).saturating_add(lost));
            }
        }
    }
}

/// Whole lines on their way into a sink. What the sink does not take is lost: it may be full for days.
struct Lines {
    sink: Box<dyn Write>,
    waiting: Vec<u8>,
    /// The last line that was written lacks its end.
    is_torn: bool,
}

impl Lines {
    fn new(sink: Box<dyn Write>) -> Self {
        Self {
            sink,
            waiting: Vec::new(),
            is_torn: false,
        }
    }

    fn add(&mut self, line: &str) {
        self.waiting.extend_from_slice(line.as_bytes());
        self.waiting.push(b'\n');
    }

    /// Whether it is time to write.
    fn is_full(&self) -> bool {
        self.waiting.len() >= BLOCK
    }

    /// Writes what waits, or loses it, and says how many lines that are. `None` if nothing waits.
    fn flush(&mut self) -> Option<Result<(), (io::Error, u64)>> {
        if self.waiting.is_empty() {
            return None;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let mut written = 0;
        let outcome = self.write(&waiting, &mut written);
        let outcome = outcome.and_then(|()| self.sink.flush());
        let rest = waiting.get(written..).unwrap_or_default();
        let ends = |octets: &[u8]| octets.split(|octet| *octet == b'\n').skip(1).count();
        self.is_torn = match written.checked_sub(1).and_then(|last| waiting.get(last)) {
            Some(last) => *last != b'\n',
            None => self.is_torn,
        };
        let lost = ends(rest) as u64;
        self.waiting = waiting;
        self.waiting.clear();
        Some(outcome.map_err(|error| (error, lost)))
    }

    fn write(&mut self, all: &[u8], written: &mut usize) -> io::Result<()> {
        while self.is_torn {
            // The rest of that line is lost. The next one is whole.
            match self.sink.write(b"\n") {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => self.is_torn = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        while let Some(rest) = all.get(*written..).filter(|rest| !rest.is_empty()) {
            match self.sink.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => *written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A sink that takes so many octets more, and has those that it took.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            let count = octets.len().min(disk.0);
            disk.0 -= count;
            disk.1.extend_from_slice(&octets[..count]);
            match count {
                0 => Err(ErrorKind::StorageFull.into()),
                _ => Ok(count),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    // fault 179
    #[test]
    fn what_a_full_disk_does_not_take_is_counted_and_later_lines_are_whole() {
        let disk = Disk::default();
        let mut lines = Lines::new(Box::new(disk.clone()));
        let mut flush = |room: usize, new: &[&str]| {
            disk.0.lock().unwrap().0 = room;
            for line in new {
                lines.add(line);
            }
            lines.flush().map(|done| done.map_err(|(_, lost)| lost))
        };
        assert_eq!(flush(0, &[]), None, "nothing waits");
        assert_eq!(flush(99, &["first"]), Some(Ok(())));
        assert_eq!(flush(0, &["a", "b"]), Some(Err(2)));
        assert_eq!(flush(0, &["c"]), Some(Err(1)));
        // One line fits, and a part of the next.
        assert_eq!(flush(8, &["whole", "torn", "d"]), Some(Err(2)));
        assert_eq!(flush(0, &["e"]), Some(Err(1)));
        assert_eq!(flush(99, &["last"]), Some(Ok(())));
        let text = String::from_utf8(disk.0.lock().unwrap().1.clone()).unwrap();
        assert_eq!(text, "first\nwhole\nto\nlast\n");
    }
}
