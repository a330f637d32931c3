//! Which query goes on which connection, and what there is no room for yet.

use super::super::domain::Domain;
use super::super::names::{domain_of_query, username};
use super::super::woken::PLACES;
use super::Isolated;
use crate::engine::Time;
use crate::runtime::Runtime;
use crate::transport::ConnectionError;
use std::task::Context;

impl<R: Runtime> Isolated<R> {
    /// Has a query sent on the connection of its domain. Gives it back if there is no place for another domain.
    fn admit(&mut self, message: Vec<u8>) -> Result<(), Vec<u8>> {
        let Some(id) = message.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
            return Ok(());
        };
        let now = self.way.runtime.now().mono;
        let name = domain_of_query(&message);
        let mut places = self.domains.iter();
        let place = match places.position(|(domain, _)| domain.name() == name) {
            Some(place) => place,
            None => match self.new_place(&name, now) {
                Ok(Some(place)) => place,
                Ok(None) => return Err(message),
                Err(why) => {
                    self.lost.push_back((id, ConnectionError::Io(why)));
                    return Ok(());
                }
            },
        };
        if let Some((domain, _)) = self.domains.get_mut(place) {
            domain.queue(id, message, now);
            self.woken.mark(place);
        }
        Ok(())
    }

    /// A place for a domain that has none. An error says that it can have no username.
    fn new_place(&mut self, name: &[u8], now: Time) -> Result<Option<usize>, String> {
        let tls = self.way.tls.apart(&self.way.to, username(name)?)?;
        let fresh = Domain::new(name.to_vec(), tls, now);
        let count = self.domains.len();
        if count < PLACES {
            self.domains.push((fresh, self.woken.waker(count)));
            return Ok(Some(count));
        }
        let unused = self.domains.iter_mut().enumerate();
        let unused = unused.filter(|(_, (domain, _))| !domain.is_used());
        let quietest = unused.min_by_key(|(_, (domain, _))| domain.quiet_since());
        Ok(quietest.map(|(place, (domain, waker))| {
            domain.close(&mut Context::from_waker(waker));
            *domain = fresh;
            place
        }))
    }

    /// Gives queries that wait for a place one, as far as there are any.
    pub(super) fn admit_queued(&mut self) {
        while let Some(message) = self.queued.pop_front() {
            if let Err(message) = self.admit(message) {
                self.queued.push_front(message);
                return;
            }
        }
    }
}
