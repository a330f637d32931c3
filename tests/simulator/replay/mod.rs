//! The record of a failure, played again: `dotward why ID --output FILE` writes it, and here a fresh core lives through it in virtual time, and
//! has to come to the same end.

mod file;
mod plan;
mod player;
#[cfg(test)]
mod tests;

pub use file::File;
pub use player::play;
