//! The TLS handshake of a scripted upstream, with what the client offered and what was agreed.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::server::{Accepted, Acceptor};
use rustls::{HandshakeKind, ServerConfig, ServerConnection};

use super::journal::{Handshake, Hello, Journal};

/// Reads the hello, completes the handshake, and writes both down. Gives what the client sent as early data, too.
pub fn accept(
    mut socket: &TcpStream,
    tls: Arc<ServerConfig>,
    journal: &Journal,
) -> io::Result<(ServerConnection, Vec<u8>)> {
    let accepted = read_hello(socket)?;
    let hello = accepted.client_hello();
    let server_name = hello.server_name().map(str::to_owned);
    let protocols = hello
        .alpn()
        .map(|names| names.map(<[u8]>::to_vec).collect())
        .unwrap_or_default();
    journal.write(|seen| {
        seen.hellos.push(Hello {
            server_name,
            protocols,
        });
    });

    let mut session = match accepted.into_connection(tls) {
        Ok(session) => session,
        Err((error, mut alert)) => {
            alert.write_all(&mut socket)?;
            return Err(io::Error::other(error));
        }
    };
    session.set_buffer_limit(None);
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    flush(&mut session, socket)?;
    let mut early = Vec::new();
    if let Some(mut data) = session.early_data() {
        data.read_to_end(&mut early)?;
    }
    let handshake = Handshake {
        version: session
            .protocol_version()
            .map(|version| format!("{version:?}"))
            .unwrap_or_default(),
        protocol: session.alpn_protocol().map(<[u8]>::to_vec),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        early_data: early.clone(),
    };
    journal.write(|seen| seen.handshakes.push(handshake));
    Ok((session, early))
}

fn read_hello(mut socket: &TcpStream) -> io::Result<Accepted> {
    let mut acceptor = Acceptor::default();
    while acceptor.read_tls(&mut socket)? > 0 {
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                alert.write_all(&mut socket)?;
                return Err(io::Error::other(error));
            }
        }
    }
    Err(ErrorKind::UnexpectedEof.into())
}

/// Sends what the session wants to send.
pub fn flush(session: &mut ServerConnection, mut socket: &TcpStream) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(&mut socket)?;
    }
    Ok(())
}
