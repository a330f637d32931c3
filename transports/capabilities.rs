//! Checks a configuration against the capabilities of a runtime.

use super::Capabilities;
use crate::config::{Config, ConfigError};

impl Capabilities {
    /// An error names the first setting that needs a capability the runtime lacks.
    pub fn allow(self, config: &Config) -> Result<(), ConfigError> {
        if config.workers().get() > 1 && !(self.shared_ports && self.threads) {
            let reason = "this runtime has one worker: it cannot share a port or has no threads";
            return Err(ConfigError::new("workers", &config.workers(), reason));
        }
        let wildcard = config
            .listen()
            .iter()
            .find(|l| l.addr().ip().is_unspecified() && l.modes(config.modes()).udp());
        if let (false, Some(listen)) = (self.reply_source, wildcard) {
            let reason = "this runtime cannot reply from the address that was asked, which UDP clients expect: \
                          name each address, or serve TCP alone";
            return Err(ConfigError::new("listen", &listen.addr(), reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Modes;
    use std::num::NonZeroUsize;

    const LEAST: Capabilities = Capabilities {
        reply_source: false,
        shared_ports: false,
        threads: false,
    };

    fn config(listen: &str, modes: Modes, workers: usize) -> Config {
        let config = Config::builder().modes(modes);
        let config = config.listen([listen.parse().unwrap()]);
        let config = config.workers(NonZeroUsize::new(workers).unwrap());
        config.build().unwrap()
    }

    #[test]
    fn what_a_runtime_cannot_do_is_refused_by_name() {
        let error = |config| LEAST.allow(&config).unwrap_err().to_string();
        assert!(error(config("127.0.0.1:53", Modes::UdpAndTcp, 2)).starts_with("workers \"2\": "));
        assert!(
            error(config("0.0.0.0:53", Modes::UdpAndTcp, 1)).starts_with("listen \"0.0.0.0:53\": ")
        );
        assert!(error(config("[::]:53", Modes::UdpAndTcp, 1)).starts_with("listen \"[::]:53\": "));
    }

    #[test]
    fn what_it_can_do_is_allowed() {
        assert_eq!(
            LEAST.allow(&config("127.0.0.1:53", Modes::UdpAndTcp, 1)),
            Ok(())
        );
        assert_eq!(LEAST.allow(&config("0.0.0.0:53", Modes::Tcp, 1)), Ok(()));
        assert_eq!(
            Capabilities::NATIVE.allow(&config("[::]:53", Modes::UdpAndTcp, 8)),
            Ok(())
        );
    }
}
