//! The names of transactions and connections. A name is never used twice.

use slotmap::new_key_type;

new_key_type! {
    /// Names a transaction: a query that was accepted and is not answered yet.
    pub struct TransactionKey;
    /// Names a connection to an upstream, from the decision to make it until its end.
    pub struct ConnectionKey;
}
