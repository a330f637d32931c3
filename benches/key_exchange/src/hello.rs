//! `hello`: prints the length of the `ClientHello` with each candidate that this build has. What comes on standard input counts as the server's
//! part, so that the whole client is in the program. Built with one candidate, its size is that of a TLS client with it.

mod candidates;

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::error::Error;
use std::io::{Read, stdin};
use std::sync::Arc;

/// Of the length of usual names of resolvers.
const NAME: &str = "dns.example.net";

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Vec::new();
    stdin().read_to_end(&mut server)?;
    for (name, provider) in candidates::CANDIDATES {
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"dot".to_vec()];
        let mut client = ClientConnection::new(Arc::new(config), NAME.try_into()?)?;
        let mut hello = Vec::new();
        client.write_tls(&mut hello)?;
        println!("{name} {}", hello.len());
        client.read_tls(&mut &server[..])?;
        if let Err(error) = client.process_new_packets() {
            println!("{name}: {error}");
        }
    }
    Ok(())
}
