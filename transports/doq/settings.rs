//! What all connections of QUIC share: limits and timeouts (RFC 9000 section 7.4), tokens, the memory for datagrams.

use crate::locks::lock;
use crate::runtime::Ring;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, TokenMemoryCache, TransportConfig, VarInt,
};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Without a datagram for so long a connection has ended, unless the server wants that sooner (RFC 9000 section 10.1).
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Octets of responses that the server may send before they were read: many whole messages.
const WINDOW: u32 = 1024 * 1024;
/// Octets of one response that the server may send likewise: one more than the largest message with its length, so that a larger one shows as
/// such.
const STREAM_WINDOW: u32 = 2 + 65_535 + 1;
/// Octets of queries that QUIC takes before they are acknowledged: several of the largest. Others wait, and count as backlog.
const SEND_WINDOW: u64 = 256 * 1024;
/// The only version that is spoken (RFC 9000 section 15).
const VERSION: u32 = 1;

/// What connections are made with.
#[derive(Clone)]
pub struct Settings {
    endpoint: Arc<EndpointConfig>,
    transport: Arc<TransportConfig>,
    /// By these a server knows that datagrams come from where they seem to (RFC 9000 section 8.1.3).
    tokens: Arc<TokenMemoryCache>,
    /// Where all of them receive.
    ring: Arc<Mutex<Ring>>,
}

impl Settings {
    pub fn new() -> Self {
        let mut endpoint = EndpointConfig::default();
        endpoint.supported_versions(vec![VERSION]);
        let mut transport = TransportConfig::default();
        transport
            // A server must open no stream (RFC 9250 section 4.2).
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .max_idle_timeout(IdleTimeout::try_from(IDLE_TIMEOUT).ok())
            .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
            .receive_window(VarInt::from_u32(WINDOW))
            .send_window(SEND_WINDOW)
            // Queries are small. What is never larger than every path lets pass needs no search for more, and is never fragmented.
            .mtu_discovery_config(None)
            .enable_segmentation_offload(false)
            .datagram_receive_buffer_size(None)
            // It would show the round-trip time to whoever is on the path (RFC 9000 section 17.4).
            .allow_spin(false);
        Self {
            endpoint: Arc::new(endpoint),
            transport: Arc::new(transport),
            tokens: Arc::new(TokenMemoryCache::default()),
            ring: Arc::default(),
        }
    }

    /// The end of one connection. Its random choices follow from the seed, if there is one.
    pub fn endpoint(&self, seed: Option<[u8; 32]>) -> Endpoint {
        Endpoint::new(self.endpoint.clone(), None, false, seed)
    }

    /// How to connect with these settings of TLS.
    pub fn client(&self, tls: Arc<rustls::ClientConfig>) -> io::Result<ClientConfig> {
        let tls = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
        let mut client = ClientConfig::new(Arc::new(tls));
        client.version(VERSION);
        client.transport_config(self.transport.clone());
        client.token_store(self.tokens.clone());
        Ok(client)
    }

    pub fn ring(&self) -> Arc<Mutex<Ring>> {
        // The last batch of another connection is of no use.
        lock(&self.ring).clear();
        self.ring.clone()
    }
}
