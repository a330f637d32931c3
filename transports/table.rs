//! What the rows of the table in `mod.rs` expand to: one static enum over the protocols of this build, so that no query passes a `dyn`, and
//! the choice of a runtime by its name.

/// Expands the rows to the list of schemes and to a transport that speaks all of them.
macro_rules! protocols {
    ($( $(#[$gate:meta])* $scheme:literal, $port:literal, $encrypted:literal => $module:ident :: $Type:ident; )*) => {
        /// The schemes that this build can speak.
        pub const SCHEMES: &[Scheme] = &[$(
            $(#[$gate])*
            Scheme { name: $scheme, port: $port, encrypted: $encrypted },
        )*];

        /// Checks what [`Protocols::new`] checks, without a runtime. Returns remarks on settings that are valid and probably a mistake.
        pub fn check(config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
            let mut remarks = Vec::new();
            $( $(#[$gate])* remarks.extend($module::check(config)?); )*
            remarks.extend(listen_tls::check(config)?);
            Ok(remarks)
        }

        /// All protocols over one runtime; the scheme of an upstream that has one alone says which.
        pub struct Each<R: Runtime> {
            $( $(#[$gate])* $module: $module::$Type<R>, )*
        }

        impl<R: Runtime> Each<R> {
            /// As configured. An error says what is wrong with the configuration.
            fn new(runtime: &R, config: &Config) -> Result<Self, ConfigError> {
                Ok(Self {
                    $( $(#[$gate])* $module: $module::$Type::new(runtime.clone(), config)?, )*
                })
            }
        }

        impl<R: Runtime> Transport for Each<R> {
            type Connection = SingleConnection<R>;
            type Connect = AnyConnect<R>;

            fn connect(&self, to: &Upstream, addr: SocketAddr) -> AnyConnect<R> {
                match to.scheme() {
                    $( $(#[$gate])* $scheme => AnyConnect::$Type(self.$module.connect(to, addr)), )*
                    other => AnyConnect::Unknown(other),
                }
            }

            fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
                $( $(#[$gate])* self.$module.reconfigure(before, config)?; )*
                Ok(())
            }
        }

        /// Connecting by one of the protocols.
        pub enum AnyConnect<R: Runtime> {
            $(
                $(#[$gate])*
                #[doc = concat!("By `", $scheme, "`.")]
                $Type(<$module::$Type<R> as Transport>::Connect),
            )*
            /// By a scheme that this build lacks.
            Unknown(&'static str),
        }

        impl<R: Runtime> Future for AnyConnect<R> {
            type Output = Result<SingleConnection<R>, ConnectError>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                match &mut *self {
                    $(
                        $(#[$gate])*
                        Self::$Type(connect) => Pin::new(connect).poll(cx).map_ok(SingleConnection::$Type),
                    )*
                    Self::Unknown(scheme) => {
                        let why = format!("this build has no transport {scheme}");
                        Poll::Ready(Err(ConnectError::Unreachable(why)))
                    }
                }
            }
        }

        /// A connection by one of the protocols.
        #[allow(clippy::large_enum_variant, reason = "there are a few of them, and none lies in an array")]
        pub enum SingleConnection<R: Runtime> {
            $(
                $(#[$gate])*
                #[doc = concat!("By `", $scheme, "`.")]
                $Type(<$module::$Type<R> as Transport>::Connection),
            )*
        }

        impl<R: Runtime> Connection for SingleConnection<R> {
            fn is_early(&self) -> bool {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.is_early(), )* }
            }

            fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.poll_handshake(cx), )* }
            }

            fn queue(&mut self, message: &[u8]) {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.queue(message), )* }
            }

            fn backlog(&self) -> usize {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.backlog(), )* }
            }

            fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.poll_flush(cx), )* }
            }

            fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.poll_next(cx), )* }
            }

            fn ack_soon(&mut self) {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.ack_soon(), )* }
            }

            fn limits(&self) -> Limits {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.limits(), )* }
            }

            fn has_streams(&self) -> bool {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.has_streams(), )* }
            }

            fn change_path(&mut self) -> bool {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.change_path(), )* }
            }

            fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.poll_close(cx), )* }
            }

            fn describe(&self) -> String {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.describe(), )* }
            }

            fn certificate_left(&self) -> Option<Duration> {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.certificate_left(), )* }
            }

            fn authentication(&self) -> Option<Authentication> {
                match self { $( $(#[$gate])* Self::$Type(connection) => connection.authentication(), )* }
            }
        }
    };
}

/// Expands the rows to the list of runtimes and the choice among them.
macro_rules! runtimes {
    ($( $(#[$gate:meta])* $name:literal, $can:expr => $module:ident :: $Type:ident; )*) => {
        /// The runtimes that this build has; the first is the default.
        pub const RUNTIMES: &[&str] = &[$( $(#[$gate])* $name, )*];

        /// What a runtime can do; `None` if this build lacks it.
        pub fn capabilities(runtime: &str) -> Option<Capabilities> {
            match runtime {
                $( $(#[$gate])* $name => Some($can), )*
                _ => None,
            }
        }

        /// Has this work done on a runtime. An error says that this build lacks it.
        #[doc(hidden)]
        pub fn work_on<W: Work>(runtime: &str, work: W) -> Result<W::Output, RunError> {
            match runtime {
                $( $(#[$gate])* $name => Ok(work.done_on($module::$Type::default())), )*
                other => {
                    let _not_used_without_runtimes = work;
                    Err(RunError::NoRuntime(other.to_owned()))
                }
            }
        }

        /// Binds, or takes what is inherited; [`Started::serve`] then serves until `control` says otherwise. An error says why that cannot be.
        pub fn start(runtime: &str, config: Config, control: &Control, inherited: Inherited) -> Result<Started, RunError> {
            match runtime {
                $(
                    $(#[$gate])*
                    $name => {
                        $can.allow(&config).map_err(RunError::Config)?;
                        native::start::<$module::$Type>(config, control, inherited)
                    }
                )*
                other => {
                    let _not_used_without_runtimes = (config, control, inherited);
                    Err(RunError::NoRuntime(other.to_owned()))
                }
            }
        }
    };
}

pub(super) use {protocols, runtimes};
