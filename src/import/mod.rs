//! The configuration of another forwarder as one of dotward: what `dotward import` writes. Text in, text out: no file is opened here.
//!
//! `detect` tells the formats apart. Each format has a file that makes a [`Draft`] of its text, by way of a `syntax` where it has one: `yaml`, `toml`,
//! `lua`, and `stamp` for what stands in `sdns://`. A draft has servers (`server`), settings and routes, and remarks on all that is different
//! in dotward. `render` writes it as a file, piece by piece, so that a piece that dotward refuses can be made a comment.

mod blocky;
mod cloudflared;
mod coredns;
mod detect;
mod dnscrypt_proxy;
mod dnsdist;
mod draft;
mod error;
mod lua;
mod node;
mod options;
mod remark;
mod render;
mod resolved;
mod server;
mod source;
mod stamp;
mod stubby;
mod text;
mod toml;
mod unbound;
mod yaml;

pub use detect::Format;
pub(crate) use draft::Draft;
pub use error::ImportError;
pub(crate) use render::Page;

/// Reads a file of another program by its name and octets; without a format, its text says which program that is. An error names the file and the line.
pub(crate) fn translate(
    name: &str,
    octets: &[u8],
    format: Option<Format>,
) -> Result<Draft, ImportError> {
    let source = source::Source::read(name, octets)?;
    let format = match format {
        Some(format) => format,
        None => detect::detect(&source)?,
    };
    let mut draft = Draft::new(&source, format);
    let read = match format {
        Format::Stubby => stubby::read,
        Format::Unbound => unbound::read,
        Format::Resolved => resolved::read,
        Format::DnscryptProxy => dnscrypt_proxy::read,
        Format::Dnsdist => dnsdist::read,
        Format::CoreDns => coredns::read,
        Format::Blocky => blocky::read,
        Format::Cloudflared => cloudflared::read,
    };
    read(&source, &mut draft)?;
    draft.finish(&source)?;
    Ok(draft)
}

#[cfg(test)]
mod tests;
