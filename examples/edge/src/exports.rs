//! The interface: functions with C's calling convention, on the one instance of this module.
//!
//! `unsafe` are the names alone, for another symbol could bear the same one. No pointer is ever followed in here: the host
//! writes into memory that it was given, and reads what it was shown.

use crate::action::Action;
use crate::instance::Instance;
use std::cell::RefCell;
use std::ptr;

thread_local! {
    /// A module has one thread. No call is made out of it, so that none can come in while another is under way.
    static INSTANCE: RefCell<Instance> = RefCell::default();
}

fn with<T>(work: impl FnOnce(&mut Instance) -> T) -> T {
    INSTANCE.with_borrow_mut(work)
}

/// Room for what the next call takes: `len` octets, at most 65,536 (`null` if more). Valid until that call.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_room(len: usize) -> *mut u8 {
    with(|instance| {
        instance
            .room(len)
            .map_or(ptr::null_mut(), <[u8]>::as_mut_ptr)
    })
}

/// Starts, or starts anew. In the room: 48 octets that nobody can guess, then UTF-8 text with an upstream in each line, in
/// order of preference: `IP[:PORT]#NAME`, `tls://NAME[:PORT]`, or a provider's name. `timeout_ms` is how long a client waits
/// at most (100 to 60,000); `cache_octets` is the memory for answers, 0 keeps none.
///
/// `null` if all is well, else an action of the kind [`Wrong`](crate::Kind::Wrong).
#[unsafe(no_mangle)]
pub extern "C" fn dotward_start(len: usize, timeout_ms: u32, cache_octets: usize) -> *const Action {
    with(|instance| {
        let wrong = instance.start(len, timeout_ms, cache_octets);
        wrong.map_or(ptr::null(), ptr::from_ref)
    })
}

/// Sets the clock, and does what is due. Both counts are milliseconds from any origin and never go back: `monotonic` may
/// stand still while the machine is suspended, `wall` goes on and ages what is remembered.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_time(monotonic: f64, wall: f64) {
    with(|instance| instance.time(monotonic, wall));
}

/// When [`dotward_time`] has something to do, in monotonic milliseconds; infinity if nothing is due.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_alarm() -> f64 {
    with(|instance| instance.alarm())
}

/// A client asks. In the room: a DNS message without length prefix. `client` is the host's own name for whoever waits;
/// `datagram` is not 0 if the answer has to fit into a datagram.
///
/// 1 if a reply will come, exactly one and in time; 0 if the message deserves none.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_query(len: usize, client: u32, datagram: u32) -> u32 {
    with(|instance| instance.query(len, client, datagram != 0)).into()
}

/// A dial succeeded: the connection stands and the other end proved its name.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_link_up(link: u64) {
    with(|instance| instance.connected(link));
}

/// A dial failed: 0 unreachable, 1 not in time, 2 not who it should be, 3 any other failure of the handshake.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_dial_failed(link: u64, why: u32) {
    with(|instance| instance.connect_failed(link, why));
}

/// Octets came on a link, in the room: any part of the stream, cut anywhere.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_received(link: u64, len: usize) {
    with(|instance| instance.received(link, len));
}

/// A link ended by itself: `broken` is 0 if the other end closed it in order.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_link_down(link: u64, broken: u32) {
    with(|instance| instance.connection_lost(link, broken != 0));
}

/// The name of an upstream was looked up. In the room: its addresses as text, one in each line; none if it was not found.
/// They hold for `seconds`, but at least for a minute.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_resolved(upstream: u32, len: usize, seconds: u32) {
    with(|instance| instance.resolved(upstream, len, seconds));
}

/// The next thing to do, or `null`. It and its octets are valid until the next call of any function.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_next() -> *const Action {
    with(|instance| instance.next().map_or(ptr::null(), ptr::from_ref))
}

/// The end: whoever waits gets a failure, all links are closed. The actions for that are still to be taken.
#[unsafe(no_mangle)]
pub extern "C" fn dotward_close() {
    with(Instance::close);
}
