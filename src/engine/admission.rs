//! Whether a client's message is a query that is forwarded: its header, the access list, and names that are answered here.

use super::answered::Origin;
use super::client::Client;
use super::denials::Denials;
use super::effects::Effects;
use super::failure::Failure;
use super::local_names::{LocalAnswer, LocalNames};
use super::recorder::{Asked, Crowd, FailureId, Kind};
use super::routes::Routed;
use super::transactions::{WaitingClient, edns_of, size_limit};
use crate::config::{AccessList, Config};
use crate::wire::{self, ClientSubnet, Ede, Query, QuestionAt, Rcode, Recipient, Refusal};
use log::info;

/// What becomes of a message from a client.
pub enum Admission {
    /// It is a query that may be answered.
    Admit(Query),
    /// It was answered with an error.
    Refused,
    /// It was answered with an error, since its client may not ask.
    Denied(Query, Option<FailureId>),
    /// It is no query, and gets no answer.
    Dropped,
}

/// The rules.
pub struct Gate {
    allow: AccessList,
    local_names: LocalNames,
    denials: Denials,
    udp_payload: u16,
}

impl Gate {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        Self {
            allow: config.allow().clone(),
            local_names: LocalNames::new(config),
            denials: Denials::default(),
            udp_payload: config.limits().udp_payload,
        }
    }

    /// Another configuration holds from now on.
    pub fn reconfigure(&mut self, config: &Config) {
        let denials = std::mem::take(&mut self.denials);
        *self = Self {
            denials,
            ..Self::new(config)
        };
    }

    /// From now on these clients may ask.
    pub fn set_allow(&mut self, allow: AccessList) {
        self.allow = allow;
    }

    /// Looks at a message, and answers it if it is not to be forwarded.
    pub fn admit(&mut self, message: &[u8], client: Client, fx: &mut Effects<'_>) -> Admission {
        let scanned = wire::parse_query(message);
        // Nothing can be sent to port 0, and no client has it as its source port.
        if matches!(scanned, Err(Refusal::Drop)) || client.addr.port() == 0 {
            fx.stats.dropped += 1;
            return Admission::Dropped;
        }
        fx.stats.queries += 1;
        fx.stats.stream_queries += u64::from(!client.is_datagram());
        let ip = client.addr.ip();
        if !self.allow.allows(ip) && !client.is_inside() {
            fx.stats.denied += 1;
            if let Some(denial) = self.denials.note(ip, fx.now.mono) {
                info!("{denial}");
            }
            let why = Failure::NotAllowed.explain(std::iter::empty());
            let kind = Kind::Failed(Failure::NotAllowed);
            let asked = || Asked::refused(message, client);
            let why = fx.record_at_once(kind, why, Crowd::default(), fx.now.mono, asked);
            fx.failures.note(&why, fx.now.mono);
            let (reason, ede) = (why.failure.reason(), Some(why.ede()));
            self.refuse(message, client, (why.rcode, reason), ede, fx);
            let id = why.id();
            return scanned.map_or(Admission::Refused, |query| Admission::Denied(query, id));
        }
        match scanned {
            Ok(query) => Admission::Admit(query),
            Err(Refusal::Answer { rcode, .. }) => {
                let malformed = rcode == Rcode::FORMERR;
                fx.stats.malformed += u64::from(malformed);
                fx.stats.unsupported += u64::from(!malformed);
                let reason = if malformed {
                    "malformed"
                } else {
                    "unsupported"
                };
                self.refuse(message, client, (rcode, reason), None, fx);
                Admission::Refused
            }
            Err(Refusal::Drop) => Admission::Dropped,
        }
    }

    /// Answers a query on a route that does not forward, or for a name that is never forwarded. False if it is neither. A route of its own
    /// takes precedence over the special-use names, but not over hosts, nor over what is asked about the server itself.
    #[inline]
    pub fn answer_locally(
        &self,
        message: &[u8],
        query: &Query,
        client: &WaitingClient,
        routed: Routed,
        fx: &mut Effects<'_>,
    ) -> bool {
        let at = query.question;
        let may_answer =
            matches!(routed, Routed::Answer(..)) || self.local_names.may_answer(message, &at);
        may_answer && {
            // Copies go there, so that the values of the queries that are forwarded need not lie in memory.
            let reply = client.reply(at.octets(message));
            let cd = query.header.flags.cd();
            self.answer_if_local((message, at), routed, cd, client.client, reply, fx)
        }
    }

    #[inline(never)]
    fn answer_if_local(
        &self,
        (message, at): (&[u8], QuestionAt),
        routed: Routed,
        cd: bool,
        client: Client,
        reply: Recipient<'_>,
        fx: &mut Effects<'_>,
    ) -> bool {
        let names = &self.local_names;
        let otherwise = || match routed {
            Routed::Forward(route) if route.is_default() => names.special(message, &at),
            Routed::Forward(_) => names.identity(message, &at),
            Routed::Answer(route, apex) => {
                let absent = || names.negative_rcode(at.name(message));
                let about_us = names.identity(message, &at);
                about_us.or_else(|| Some(route.answer(apex, absent)))
            }
        };
        let ip = client.addr.ip();
        let configured = names.host(message, &at);
        let configured = configured.or_else(|| names.designated(message, &at, ip));
        let configured = configured.or_else(|| names.proof(message, &at));
        let Some(answer) = configured.or_else(otherwise) else {
            return false;
        };
        fx.stats.local += 1;
        let LocalAnswer {
            rcode,
            records,
            ede,
        } = answer;
        fx.reply(client, Origin::Local, |out| {
            wire::local_records(&reply, cd, rcode, records, ede, self.udp_payload, out);
        });
        true
    }

    /// Answers a message with an error, for a reason in a word.
    fn refuse(
        &self,
        message: &[u8],
        client: Client,
        (rcode, reason): (Rcode, &'static str),
        ede: Option<Ede<'_>>,
        fx: &mut Effects<'_>,
    ) {
        let Some(header) = wire::Header::parse(message) else {
            return;
        };
        let (question, opt) = match wire::parse_query(message) {
            Ok(query) => (Some(query.question), query.opt),
            Err(Refusal::Answer { question, opt, .. }) => (question, opt),
            Err(Refusal::Drop) => return,
        };
        let edns = opt.map(|opt| edns_of(message, &opt, client, ClientSubnet::Keep));
        let reply = Recipient {
            id: header.id,
            question: question.map_or(&[], |at| at.octets(message)),
            rd: header.flags.rd(),
            edns,
            limit: size_limit(client, edns.as_ref(), self.udp_payload),
        };
        let (flags, payload) = (header.flags, self.udp_payload);
        let head = (flags.opcode(), flags.cd(), rcode);
        fx.reply(client, Origin::Refused(reason), |out| {
            wire::local_response(&reply, head, ede, payload, out);
        });
        if rcode.is_extended() {
            fx.replies.extend(client, rcode.0 as u8);
        }
    }
}
