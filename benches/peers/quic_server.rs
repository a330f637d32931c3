//! A server for DNS over QUIC (RFC 9250) that answers every query for A and AAAA with the same two addresses.
//!
//! It says `ready` once it listens, and serves until it is stopped.

mod question;
#[path = "../../tests/support/quic.rs"]
#[expect(dead_code, reason = "tests do more with it")]
mod quic;

use std::error::Error;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use dotward::runtime::Runtime;
use dotward::transports::async_std::AsyncStd;
use dotward::wire::HEADER_LEN;
use question::question_end;
use quic::QuicServer;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Queries that a client may have in flight: more than any asks at once.
const STREAMS: u32 = 1_000;
/// Before a message on a stream.
const PREFIX: usize = 2;
const TTL: [u8; 4] = [0, 0, 1, 44];
const A: [u8; 4] = [192, 0, 2, 1];
const AAAA: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The type of AAAA records, as its last octet.
const TYPE_AAAA: u8 = 28;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, key] = arguments.as_slice() else {
        return Err("usage: quic_server ADDRESS:PORT CERTIFICATE KEY".into());
    };
    let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?,
            PrivateKeyDer::from_pem_file(key)?,
        )?;
    tls.alpn_protocols = vec![b"doq".to_vec()];
    let runtime = AsyncStd::default();
    let mut server = QuicServer::new(&runtime, address.parse()?, Arc::new(tls), STREAMS);
    println!("ready");
    runtime.block_on(poll_fn(|cx| {
        loop {
            server.poll(cx);
            server.lost.clear();
            let heard = std::mem::take(&mut server.heard);
            if heard.is_empty() {
                return Poll::Pending;
            }
            for (asked, query) in heard {
                if let Some(response) = query.get(PREFIX..).and_then(response_to) {
                    server.say(asked, &response);
                }
            }
        }
    }))
}

/// The response to a query, without an OPT record. To what has no question there is none.
fn response_to(query: &[u8]) -> Option<Vec<u8>> {
    let question = query.get(HEADER_LEN..question_end(query)?)?;
    let rtype = *question.get(question.len().checked_sub(3)?)?;
    let address = if rtype == TYPE_AAAA { &AAAA[..] } else { &A };
    let mut response = query.get(..2)?.to_vec();
    // A response without an error, recursion desired and available; one question, one answer.
    response.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    response.extend(question);
    // The name is the question's; class IN.
    response.extend([0xc0, 12, 0, rtype, 0, 1]);
    response.extend(TTL);
    response.extend([0, address.len() as u8]);
    response.extend(address);
    Some(response)
}
