//! Reading the configuration again: as a whole or not at all.

use crate::cli::Settings;
use crate::config::{Config, Listen, Upstream};
use crate::locks::lock;
use crate::logger;
use crate::query_log::QueryLogs;
use crate::serve::Control;
use crate::systemd::{self, KeptSockets};
use crate::transports::prepare_beside;
use log::{error, info, warn};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What came of a reload: what is in force now, or why nothing has changed.
pub type Outcome = Result<String, String>;

/// Has the configuration read again, in a thread of its own: it reads files, and one on a server that does not respond must not keep anybody
/// waiting. Calls that come before it begins are one, and a call that has not begun reads the files as they are then.
#[derive(Clone, Debug)]
pub struct Reloads {
    wake: SyncSender<()>,
    /// Those that want to know what comes of it.
    asking: Arc<Mutex<Vec<Sender<Outcome>>>>,
}

impl Reloads {
    /// Starts the thread, which runs as long as the process. An error is of the system: no more threads.
    pub fn start(mut reloader: Reloader) -> io::Result<Self> {
        let (wake, wakes) = sync_channel(1);
        let asking: Arc<Mutex<Vec<Sender<Outcome>>>> = Arc::default();
        let those = asking.clone();
        let work = move || {
            for () in wakes {
                let those = std::mem::take(&mut *lock(&those));
                let cause = if those.is_empty() { SIGNAL } else { SOCKET };
                let outcome = reloader.reload(cause);
                for one in those {
                    // Whoever asked may have given up by now.
                    drop(one.send(outcome.clone()));
                }
            }
        };
        // Where there are no signals there may be no threads either.
        if cfg!(unix) {
            let thread = thread::Builder::new().name("dotward-reload".into());
            thread.spawn(work)?;
        }
        Ok(Self { wake, asking })
    }

    /// After SIGHUP.
    pub fn call(&self) {
        // One place: what does not fit is the call that waits there already.
        let _called = self.wake.try_send(());
    }

    /// For somebody who waits for the outcome, which comes once.
    pub fn ask(&self) -> Receiver<Outcome> {
        let (to, outcome) = mpsc::channel();
        lock(&self.asking).push(to);
        self.call();
        outcome
    }
}

/// Loops may be told a little later than this thread knows.
const MARGIN: Duration = Duration::from_secs(2);

/// What has the configuration read again, for the log.
const SIGNAL: &str = "SIGHUP";
const SOCKET: &str = "the control socket";

/// Reads what the settings came from again, and has the event loops serve by that.
pub struct Reloader {
    /// Those of the start. What only a start changes stays as it is there.
    started: Settings,
    /// The configuration that is in force.
    config: Config,
    control: Control,
    kept: KeptSockets,
    queries: Arc<QueryLogs>,
    /// Addresses that are served no more, and until when sockets of ours may be there.
    dropped: Vec<(SocketAddr, Instant)>,
}

impl Reloader {
    /// For loops that begin with these settings, and are told by `control`. A service manager has `kept` some of their sockets.
    pub fn new(
        started: Settings,
        control: Control,
        kept: KeptSockets,
        queries: Arc<QueryLogs>,
    ) -> Self {
        Self {
            config: started.config.clone(),
            started,
            control,
            kept,
            queries,
            dropped: Vec::new(),
        }
    }

    /// Reads arguments, variables and files again, because of this. If there is a mistake in them, nothing changes. The log says which it is, and so does the
    /// status that a service manager shows, which waits for either outcome.
    fn reload(&mut self, cause: &str) -> Outcome {
        systemd::reloading();
        // Whoever rotates files sends the signal, too, whatever is in the configuration.
        self.queries.reopen();
        let outcome = match self.read() {
            Ok(settings) => Ok(self.obey(settings, cause)),
            Err(why) => {
                error!("{cause}: {why}; the configuration stays as it was");
                Err(format!(
                    "the configuration that was read again is refused: {why}; the one before is in force"
                ))
            }
        };
        let (Ok(status) | Err(status)) = &outcome;
        systemd::ready(status);
        outcome
    }

    /// Has the loops serve by these settings, and says what is in force.
    fn obey(&mut self, settings: Settings, cause: &str) -> String {
        for warning in &settings.warnings {
            warn!("{warning}");
        }
        let from = settings
            .file
            .as_deref()
            .unwrap_or("arguments and variables");
        info!("{cause}: the configuration is read again: {from}");
        if settings.config.roots() != self.config.roots()
            && let Some(note) = settings.trust_note()
        {
            info!("{note}");
        }
        if settings.config.bootstrap() != self.config.bootstrap()
            && let Some(note) = settings.bootstrap_note()
        {
            info!("{note}");
        }
        let fixed = settings.fixed(&self.started);
        if !fixed.is_empty() {
            warn!("only a restart changes {}", fixed.join(", "));
        }
        logger::set_level(settings.log);
        if let Err(why) = self.queries.apply(settings.query_log.as_ref()) {
            error!("{cause}: {why}; queries are logged as before");
        }
        let config = settings.config;
        let bound = self.kept.change(&self.config, &config);
        self.control.reload_beside(config.clone(), bound);
        let listen: Vec<String> = config.listen().iter().map(Listen::to_string).collect();
        let upstreams: Vec<&str> = config.upstreams().iter().map(Upstream::label).collect();
        let status = format!(
            "the configuration was read again; serving on {}; upstreams: {}",
            listen.join(", "),
            upstreams.join(", ")
        );
        self.note_dropped(&config);
        self.config = config;
        status
    }

    /// Notes which addresses this configuration drops. Their sockets are closed when the last response has left, which is bounded by the time
    /// that a query has.
    fn note_dropped(&mut self, config: &Config) {
        let now = Instant::now();
        let until = now + self.config.timeout().max(config.timeout()) + MARGIN;
        let before: Vec<SocketAddr> = self.config.listen().iter().map(Listen::addr).collect();
        let after: Vec<SocketAddr> = config.listen().iter().map(Listen::addr).collect();
        let gone = before.into_iter().filter(|addr| !after.contains(addr));
        self.dropped.retain(|(_, until)| *until > now);
        self.dropped.extend(gone.map(|addr| (addr, until)));
    }

    fn read(&self) -> Result<Settings, String> {
        let mut settings = self.started.reload().map_err(|error| error.to_string())?;
        let config = self.kept.listen(settings.config)?;
        let now = Instant::now();
        let dropped = self.dropped.iter().filter(|(_, until)| *until > now);
        let dropped: Vec<SocketAddr> = dropped.map(|(addr, _)| *addr).collect();
        settings.config = prepare_beside(&self.config, &dropped, config)?;
        Ok(settings)
    }
}
