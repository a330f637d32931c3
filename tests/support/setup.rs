//! The usual arrangement: one authority, one scripted upstream, and the program in front of it.

use std::net::SocketAddr;

use super::authority::{Authority, TempDir};
use super::client::{TcpClient, UdpClient};
use super::proxy::Proxy;
use super::script::{Received, Step};
use super::upstream::{Builder, DotServer};

/// A running program with its upstream. The program ends first.
pub struct Setup {
    /// The program.
    pub proxy: Proxy,
    /// Its upstream.
    pub upstream: DotServer,
    _trust: Trust,
}

/// An authority and the file that holds its root.
pub struct Trust {
    /// The authority.
    pub authority: Authority,
    /// The path of its root, as an argument.
    pub root: String,
    _files: TempDir,
}

impl Trust {
    /// A fresh authority.
    pub fn new() -> Self {
        let (authority, files) = (Authority::new(), TempDir::new());
        let root = authority.write_pem(files.path()).display().to_string();
        Self {
            authority,
            root,
            _files: files,
        }
    }

    /// The arguments of the program for these upstreams, in order, and more of them.
    pub fn args<'a>(&'a self, upstreams: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec!["serve", "--ca-file", &self.root];
        if !more.contains(&"--listen") {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        args.extend(upstreams.iter().flat_map(|spec| ["--upstream", spec]));
        args.extend(more);
        args
    }

    /// Starts the program with these upstreams, in order, and more arguments.
    pub fn proxy(&self, upstreams: &[&str], more: &[&str]) -> Proxy {
        Proxy::start(&self.args(upstreams, more))
    }
}

impl Setup {
    /// A program in front of an upstream that answers every query well.
    pub fn answering() -> Self {
        Self::build(|upstream| upstream, &[])
    }

    /// A program in front of a scripted upstream.
    pub fn scripted(script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::build(|upstream| upstream.script(script), &[])
    }

    /// A program with more arguments in front of an upstream of your own making.
    pub fn build(upstream: impl FnOnce(Builder) -> Builder, more: &[&str]) -> Self {
        let trust = Trust::new();
        let upstream = upstream(DotServer::with(trust.authority.good())).start();
        let proxy = trust.proxy(&[&upstream.spec()], more);
        Self {
            proxy,
            upstream,
            _trust: trust,
        }
    }

    /// Where the program listens, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// A UDP client of the program.
    pub fn udp(&self) -> UdpClient {
        UdpClient::new(self.address())
    }

    /// A TCP client of the program.
    pub fn tcp(&self) -> TcpClient {
        TcpClient::new(self.address())
    }
}
