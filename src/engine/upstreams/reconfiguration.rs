//! Other upstreams and routes than before: what stays keeps its connections and what is known of it, and what goes is waited for.

use super::connection::Connection;
use super::routes::Routes;
use super::split::Split;
use super::upstream::Upstream;
use super::{UpstreamPool, own_options};
use crate::config::Config;
use crate::engine::effects::{Effects, Task};
use crate::engine::keys::ConnectionKey;
use crate::engine::routes::route_upstreams;
use crate::engine::upstream_set::UpstreamSet;

impl UpstreamPool {
    /// Another configuration holds from now on. With `renew`, even connections to upstreams that stay take no more queries: others are made,
    /// by what holds now. Gives the numbers that stand for other upstreams than before.
    pub fn reconfigure(
        &mut self,
        config: &Config,
        renew: bool,
        fx: &mut Effects<'_>,
    ) -> UpstreamSet {
        let busy = self.connections.values().map(|c| c.upstream).collect();
        let fresh = self.numbers.change(config, busy);
        // Rare: so many upstreams are new that one needs the number of one with connections.
        for key in self.keys(|connection| fresh.contains(connection.upstream)) {
            self.cut(key, fx);
        }
        for configured in config.all_upstreams() {
            let number = self.numbers.of(configured);
            match number.and_then(|number| self.upstreams.get_mut(number)) {
                Some(known) if number.is_some_and(|number| !fresh.contains(number)) => {
                    known.keep(configured);
                }
                Some(other) => *other = Upstream::new(configured),
                // Numbers that nobody had yet are in the same order.
                None => self.upstreams.push(Upstream::new(configured)),
            }
        }
        let kept = self.numbers.configured();
        for (number, upstream) in self.upstreams.iter_mut().enumerate() {
            if !kept.contains(number) {
                upstream.remove();
            }
        }
        let split = Split::new(config, self.split_key, &self.numbers);
        let routes = route_upstreams(config, &self.numbers);
        let mut routes = Routes::new(self.upstreams.len(), routes, split);
        routes.go_on(&self.routes, fresh);
        self.routes = routes;
        self.own = own_options(config);
        self.in_flight = config.limits().link_in_flight;
        self.timeout = config.timeout();
        self.end_connections(
            |connection| renew || !kept.contains(connection.upstream),
            fx,
        );
        fresh
    }

    /// These connections end when their queries are answered; those that are not up yet end now.
    fn end_connections(&mut self, which: impl Fn(&Connection) -> bool, fx: &mut Effects<'_>) {
        for key in self.keys(which) {
            match self.connections.get_mut(key) {
                Some(up) if up.is_up() => up.closing = true,
                _ => drop(self.close_one(key, fx)),
            }
        }
        self.close_idle(fx);
    }

    /// Closes a connection, and has its queries sent elsewhere. They are not to blame.
    fn cut(&mut self, key: ConnectionKey, fx: &mut Effects<'_>) {
        if let Some(closed) = self.close_one(key, fx) {
            for transaction in closed.pipeline.live_transactions() {
                fx.task(Task::ConnectionLost(transaction, key, false));
            }
        }
    }
}
