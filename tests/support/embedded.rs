//! A forwarder within the test, by the library alone: for what is configured there and not by arguments.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::{self, JoinHandle};

use dotward::config::{Config, ConfigBuilder};
use dotward::engine::Stats;
use dotward::runtime::Runtime;
use dotward::serve::{Command, Control, Options, Sockets, serve};
use dotward::transports::{Protocols, async_std::AsyncStd};

/// An event loop on a thread of its own. Dropping it ends it.
pub struct Embedded {
    address: SocketAddr,
    /// Its commands.
    pub control: Control,
    thread: Option<JoinHandle<Stats>>,
}

impl Embedded {
    /// Serves on a port of the system's choice, as configured otherwise.
    pub fn start(config: ConfigBuilder) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config: Config = config.listen([any.into()]).build().expect("a good one");
        let runtime = AsyncStd::default();
        let sockets = Sockets::bind(&runtime, &config).expect("free");
        let address = sockets.addresses()[0];
        let protocols = Protocols::new(&runtime, &config).expect("good roots");
        let control = Control::new();
        let options = Options::new(config).expect("randomness").control(&control);
        let serving = serve(runtime.clone(), protocols, sockets, options);
        Self {
            address,
            control,
            thread: Some(thread::spawn(move || runtime.block_on(serving))),
        }
    }

    /// Where it serves, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.control.send(Command::Stop);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
