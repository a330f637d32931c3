//! The log: lines to standard error, written by a thread of its own.
//!
//! A caller only puts a line into a bounded queue. While standard error is blocked, as by a full pipe or a stopped journal, lines are lost
//! and counted, and queries are answered all the same. Crates for log output, such as `env_logger` and `fern`, write in the caller's thread;
//! over this queue they would replace only the format of a line.

mod level;
mod line;

use std::io::{self, Write};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};

pub use level::{level, names_queries, set_level, trace};
pub use line::Format;
use line::{Entry, Style, line};

/// Lines that may wait to be written: at 100 octets each 100 KiB, and several seconds of a busy log.
const QUEUE_LINES: usize = 1_024;

/// How often `flush` tries to enter a full queue.
const RETRY: Duration = Duration::from_millis(1);

/// A WASI component has one thread: the caller writes the line to the host.
const HAS_THREADS: bool = cfg!(not(target_family = "wasm"));

/// Starts to log lines of this level and the more severe ones to standard error, in this format. Where that is the journal, each begins with its
/// severity, which the journal understands (sd-daemon(3)). A second call in one process is an error.
pub fn start(level: LevelFilter, format: Format) -> io::Result<Handle> {
    let style = Style {
        format,
        for_journal: stderr_is_journal(),
    };
    let handle = Handle::spawn(io::stderr(), style)?;
    log::set_boxed_logger(Box::new(handle.clone())).map_err(io::Error::other)?;
    set_level(level);
    Ok(handle)
}

/// Whether standard error is the journal, whose device and inode systemd puts into a variable (systemd.exec(5)). The variable alone is not
/// enough: a terminal that systemd started passes it on to all programs in it.
#[cfg(unix)]
fn stderr_is_journal() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/dev/stderr")
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

#[cfg(not(unix))]
fn stderr_is_journal() -> bool {
    false
}

/// The log, as its callers see it. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Handle {
    queue: SyncSender<Queued>,
    /// Lines that found the queue full and are not reported yet.
    lost: Arc<AtomicU64>,
    style: Style,
}

#[derive(Debug)]
enum Queued {
    Line(String),
    /// Signalled when the lines before it are written.
    Mark(mpsc::Sender<()>),
}

impl Handle {
    fn spawn(sink: impl Write + Send + 'static, style: Style) -> io::Result<Self> {
        let (queue, entries) = mpsc::sync_channel(QUEUE_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let reported = lost.clone();
        if HAS_THREADS {
            thread::Builder::new()
                .name("log".to_owned())
                .spawn(move || write(&entries, &reported, sink, style))?;
        }
        Ok(Self { queue, lost, style })
    }

    /// Waits until all lines so far are written, but no longer than `timeout`. Returns whether they are.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let (mark, reached) = mpsc::channel();
        while let Err(TrySendError::Full(_)) = self.queue.try_send(Queued::Mark(mark.clone())) {
            if left().is_zero() {
                return false;
            }
            thread::sleep(RETRY);
        }
        reached.recv_timeout(left()).is_ok()
    }
}

impl Log for Handle {
    /// The `log` crate itself compares levels (`log::set_max_level`).
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = line(self.style, SystemTime::now(), record.into());
        if !HAS_THREADS {
            // A failure to write the log cannot be logged.
            drop(io::stderr().write_all(line.as_bytes()));
        } else if self.queue.try_send(Queued::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does not wait, because the caller may be an event loop. [`Handle::flush`] is for the exit.
    fn flush(&self) {}
}

/// The writer thread, which ends with the process. A line that cannot be written is lost.
fn write(entries: &Receiver<Queued>, lost: &AtomicU64, mut sink: impl Write, style: Style) {
    while let Ok(first) = entries.recv() {
        let mut marks = Vec::new();
        // As many as the queue holds, so that the report follows the line after which lines were lost.
        for entry in iter::once(first)
            .chain(entries.try_iter())
            .take(QUEUE_LINES)
        {
            match entry {
                Queued::Line(line) => drop(sink.write_all(line.as_bytes())),
                Queued::Mark(mark) => marks.push(mark),
            }
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let report = line(
                style,
                SystemTime::now(),
                Entry {
                    level: Level::Warn,
                    target: module_path!(),
                    message: format_args!("{lost} log lines lost"),
                },
            );
            drop(sink.write_all(report.as_bytes()));
        }
        drop(sink.flush());
        for mark in marks {
            // An error means that nobody waits any more.
            let _ = mark.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    /// Long enough for any machine; reached only when the test fails.
    const PATIENCE: Duration = Duration::from_secs(30);

    const JOURNAL: Style = Style {
        format: Format::Text,
        for_journal: true,
    };

    fn log(handle: &Handle, text: &str) {
        handle.log(
            &Record::builder()
                .level(Level::Info)
                .args(format_args!("{text}"))
                .build(),
        );
    }

    #[test]
    fn a_sink_that_nobody_reads_never_blocks_those_who_log() {
        // fault 89: 10 MB into a pipe that holds far less, and all of it is accounted for in the
        // end.
        const LINES: usize = 10_000;
        let (reader, writer) = io::pipe().unwrap();
        let handle = Handle::spawn(writer, JOURNAL).unwrap();
        let text = "x".repeat(1_024);
        for _ in 0..LINES {
            log(&handle, &text);
        }
        assert!(!handle.flush(Duration::ZERO), "the pipe took everything");

        let (mut written, mut lost) = (0, 0);
        for line in BufReader::new(reader).lines() {
            let line = line.unwrap();
            let report = line
                .strip_prefix("<4>")
                .and_then(|rest| rest.strip_suffix(" log lines lost"));
            if let Some(count) = report {
                lost += count.parse::<usize>().unwrap();
            } else {
                assert_eq!(line, format!("<6>{text}"));
                written += 1;
            }
            if written + lost == LINES {
                break;
            }
        }
        assert_eq!(written + lost, LINES);
        assert!(
            lost > 0 && written >= QUEUE_LINES,
            "{written} written, {lost} lost"
        );
        assert!(handle.flush(PATIENCE), "everything was read");
    }

    #[test]
    fn flush_waits_for_the_sink_and_keeps_the_order() {
        let (reader, writer) = io::pipe().unwrap();
        let handle = Handle::spawn(writer, JOURNAL).unwrap();
        assert!(handle.flush(PATIENCE), "nothing to wait for");
        log(&handle, "one");
        log(&handle, "two");
        assert!(handle.flush(PATIENCE));
        let mut lines = BufReader::new(reader).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "<6>one");
        assert_eq!(lines.next().unwrap().unwrap(), "<6>two");
    }

    #[test]
    fn a_sink_that_fails_does_not_end_the_log() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let handle = Handle::spawn(Broken, JOURNAL).unwrap();
        for text in ["one", "two"] {
            log(&handle, text);
            assert!(handle.flush(PATIENCE));
        }
    }
}
