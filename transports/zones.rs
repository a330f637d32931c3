//! The interfaces of this host by name.

/// The number of an interface, by which the system knows it in the zone of an address.
pub fn interface_number(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}
