//! Which way a query takes, by the domain in which its name lies (split horizon).
//!
//! The name is read from the octets of the question, which costs a tenth of what simple-dns takes to make it a typed name, and each query
//! passes here, those that the cache answers too. [`Routes::find_typed`] reads the typed question instead. Where there is one (simple-dns
//! knows the type and the class), both decide alike: a test holds them to that, and so does each query that starts a transaction in a build
//! with assertions.

use super::local_names::{CONFIGURED_TTL, LocalAnswer};
use super::numbers::Numbers;
use super::suffixes::Suffixes;
use super::upstream_set::UpstreamSet;
use crate::config::{Config, Domain, Identity, Policy, Route, Target, Upstream};
use crate::wire::{Labels, QuestionAt, Rcode, TYPE_DS, typed_labels};
use simple_dns::{QTYPE, Question, TYPE};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A route that forwards, as a transaction knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardingRoute {
    /// Its place among those that forward; 0 is that of all names without a route of their own.
    pub number: u16,
    /// Its upstreams: queries on this route go to no others.
    pub upstreams: UpstreamSet,
    /// Stands for the set of its upstreams in the key of the cache, so that what was learned from others is not served.
    pub fingerprint: u32,
}

/// A route whose queries are answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalRoute {
    Refuse,
    NxDomain,
    Local,
}

/// What becomes of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    Forward(ForwardingRoute),
    /// It is answered here. The domain of the route starts at this octet of the name.
    Answer(LocalRoute, usize),
}

#[derive(Clone, Copy)]
enum Way {
    Forward(ForwardingRoute),
    Answer(LocalRoute),
}

/// All routes.
pub struct Routes {
    default: ForwardingRoute,
    /// `None` where there is only the default.
    domains: Option<Box<Suffixes<Way>>>,
}

impl Routes {
    /// As configured.
    pub fn new(config: &Config, numbers: &Numbers) -> Self {
        let default = forwarding_route(numbers, 0, config.upstreams());
        let mut forwarding = 0;
        let ways = config.routes().iter().map(|route| {
            let way = match route.target() {
                Target::Upstreams { upstreams, .. } => {
                    forwarding += 1;
                    Way::Forward(forwarding_route(numbers, forwarding, upstreams))
                }
                Target::Refuse => Way::Answer(LocalRoute::Refuse),
                Target::NxDomain => Way::Answer(LocalRoute::NxDomain),
                Target::Local => Way::Answer(LocalRoute::Local),
            };
            (route, way)
        });
        let domains = ways.flat_map(|(route, way)| route.domains().iter().map(move |d| (d, way)));
        let table = || Box::new(Suffixes::new(domains));
        Self {
            default,
            domains: (!config.routes().is_empty()).then(table),
        }
    }

    /// The upstreams of the default route.
    pub fn default_upstreams(&self) -> UpstreamSet {
        self.default.upstreams
    }

    /// The way of a query, by the octets of its question.
    #[inline]
    pub fn find(&self, message: &[u8], at: &QuestionAt) -> Routed {
        match &self.domains {
            None => Routed::Forward(self.default),
            Some(domains) => {
                let labels = Labels::of(at.name(message));
                let count = depth(labels.count(), at.qtype == TYPE_DS);
                let from_top = (0..count).map_while(|place| labels.from_top(place));
                self.route(domains, from_top, at.name_len)
            }
        }
    }

    /// The domain of the route that a query takes, by the octets of its question; `None` for the default route.
    pub fn domain(&self, message: &[u8], at: &QuestionAt) -> Option<Vec<u8>> {
        let name = at.name(message);
        let labels = Labels::of(name);
        let count = depth(labels.count(), at.qtype == TYPE_DS);
        let from_top = (0..count).map_while(|place| labels.from_top(place));
        let found = self.domains.as_ref()?.find(from_top)?;
        let mut domain = name.get(name.len().checked_sub(found.octets)?..)?.to_vec();
        domain.make_ascii_lowercase();
        Some(domain)
    }

    /// The way of a query, by its typed question.
    pub fn find_typed(&self, question: &Question<'_>) -> Routed {
        let Some(domains) = &self.domains else {
            return Routed::Forward(self.default);
        };
        let labels = typed_labels(question);
        let name_len = 1 + labels.clone().map(|label| 1 + label.len()).sum::<usize>();
        let count = depth(labels.len(), question.qtype == QTYPE::TYPE(TYPE::DS));
        self.route(domains, labels.rev().take(count), name_len)
    }

    fn route<'n>(
        &self,
        domains: &Suffixes<Way>,
        labels: impl Iterator<Item = &'n [u8]>,
        name_len: usize,
    ) -> Routed {
        match domains
            .find(labels)
            .map(|found| (found.value, found.octets))
        {
            None => Routed::Forward(self.default),
            Some((Way::Forward(route), _)) => Routed::Forward(route),
            Some((Way::Answer(route), octets)) => {
                Routed::Answer(route, name_len.saturating_sub(octets))
            }
        }
    }
}

/// How many labels decide. DS records stand above the cut of their zone, so that a query for the ones of a domain goes to the servers of
/// the domain above (RFC 4035 section 3.1.4.1).
fn depth(labels: usize, is_ds: bool) -> usize {
    labels.saturating_sub(usize::from(is_ds))
}

impl ForwardingRoute {
    /// Whether it is that of all names without a route of their own.
    pub fn is_default(self) -> bool {
        self.number == 0
    }

    /// The default route, with so many upstreams.
    #[cfg(test)]
    pub fn default_of(upstreams: usize) -> Self {
        Self {
            upstreams: (0..upstreams).collect(),
            ..Self::default()
        }
    }
}

impl LocalRoute {
    /// The answer to a query for a name whose last part, from this octet on, is the domain of the route. `absent`: what is said of a name
    /// that does not exist.
    pub fn answer(self, apex: usize, absent: impl FnOnce() -> Rcode) -> LocalAnswer<'static> {
        match self {
            Self::Refuse => LocalAnswer::refused("queries for this domain are refused here"),
            Self::NxDomain => {
                let why = "this domain has no names, as configured here";
                LocalAnswer::negative(absent(), apex, CONFIGURED_TTL, why)
            }
            Self::Local => {
                let rcode = if apex == 0 { Rcode::NOERROR } else { absent() };
                let why = "a local domain, answered here";
                LocalAnswer::negative(rcode, apex, CONFIGURED_TTL, why)
            }
        }
    }
}

/// The upstreams of one route that forwards.
pub struct RouteUpstreams {
    /// Its domains, for the log; empty for the default route.
    pub domains: String,
    /// By number, the most preferred first.
    pub order: Vec<usize>,
    pub policy: Policy,
}

/// Those of all routes that forward, by number.
pub fn route_upstreams(config: &Config, numbers: &Numbers) -> Vec<RouteUpstreams> {
    let of = |domains, upstreams: &[Upstream], policy| RouteUpstreams {
        domains,
        order: numbers.of_all(upstreams),
        policy,
    };
    let default = of(String::new(), config.upstreams(), config.policy());
    let forwarding = config.routes().iter().filter_map(|route| {
        let Target::Upstreams { upstreams, policy } = route.target() else {
            return None;
        };
        Some(of(described(route), upstreams, *policy))
    });
    std::iter::once(default).chain(forwarding).collect()
}

/// The domains of a route, as far as they say enough.
fn described(route: &Route) -> String {
    let first = route.domains().first().map(Domain::to_string);
    let first = first.unwrap_or_default();
    match route.domains().len() {
        0 | 1 => first,
        more => format!("{first} and {} more", more - 1),
    }
}

fn forwarding_route(numbers: &Numbers, number: u16, upstreams: &[Upstream]) -> ForwardingRoute {
    ForwardingRoute {
        number,
        upstreams: numbers.of_all(upstreams).into_iter().collect(),
        fingerprint: fingerprint(upstreams),
    }
}

/// A number for a set of upstreams, whatever their order and their labels. Within one configuration a name has one route, so that it
/// only has to tell the sets apart that one name had from one configuration to the next.
fn fingerprint(upstreams: &[Upstream]) -> u32 {
    let mut identities: Vec<Identity> = upstreams.iter().map(Identity::of).collect();
    identities.sort_unstable();
    let mut hasher = DefaultHasher::new();
    identities.hash(&mut hasher);
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;
    use crate::wire::testing::{header_only, name_octets};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn upstream(number: u8) -> Upstream {
        let address = ([192, 0, 2, number], 53).into();
        Upstream::known(&format!("u{number}"), "tcp", None, vec![address])
    }

    fn to(domains: &str, upstreams: &[u8]) -> Route {
        let upstreams = upstreams.iter().map(|number| upstream(*number)).collect();
        let policy = Policy::Failover;
        by(domains, Target::Upstreams { upstreams, policy })
    }

    fn by(domains: &str, target: Target) -> Route {
        let domains = domains.split_whitespace().map(|text| text.parse().unwrap());
        Route::new(domains.collect(), target)
    }

    fn config(routes: Vec<Route>) -> Config {
        let default = [upstream(1), upstream(2)];
        let config = Config::builder().upstreams(default).routes(routes);
        config.build().unwrap()
    }

    fn all_routes(config: &Config) -> Routes {
        Routes::new(config, &Numbers::new(config))
    }

    fn routed(routes: &Routes, name: &str, qtype: u16) -> Routed {
        let message = header_only(0x0100).question(&name_octets(name), qtype, 1);
        let message = message.build();
        let at = wire::parse_query(&message).unwrap().question;
        routes.find(&message, &at)
    }

    /// The number of the route that forwards a query.
    fn number(routes: &Routes, name: &str, qtype: u16) -> u16 {
        match routed(routes, name, qtype) {
            Routed::Forward(route) => route.number,
            Routed::Answer(..) => panic!("{name} is answered here"),
        }
    }

    #[test]
    fn a_query_takes_the_route_of_the_longest_domain() {
        let routes = all_routes(&config(vec![
            to("corp.example 10.in-addr.arpa", &[3]),
            by("ads.corp.example", Target::NxDomain),
            to("lab.corp.example", &[4, 1]),
        ]));
        for (name, expected) in [
            ("www.example.", 0),
            (".", 0),
            ("corp.example.", 1),
            ("a.b.CORP.example.", 1),
            ("7.0.0.10.in-addr.arpa.", 1),
            ("7.0.0.11.in-addr.arpa.", 0),
            ("x.lab.corp.example.", 2),
        ] {
            assert_eq!(number(&routes, name, 1), expected, "{name}");
        }
        let Routed::Forward(lab) = routed(&routes, "lab.corp.example.", 1) else {
            panic!("it is forwarded");
        };
        assert_eq!(lab.upstreams, UpstreamSet::from_iter([0, 3]));
        let ads = routed(&routes, "x.ads.corp.example.", 1);
        assert_eq!(ads, Routed::Answer(LocalRoute::NxDomain, 2));
    }

    #[test]
    fn a_ds_record_belongs_to_the_domain_above() {
        let routes = all_routes(&config(vec![
            to("corp.example", &[3]),
            to("lab.corp.example", &[4]),
            by("refused.example", Target::Refuse),
        ]));
        assert_eq!(number(&routes, "corp.example.", TYPE_DS), 0);
        assert_eq!(number(&routes, "lab.corp.example.", TYPE_DS), 1);
        assert_eq!(number(&routes, "a.lab.corp.example.", TYPE_DS), 2);
        assert_eq!(number(&routes, "refused.example.", TYPE_DS), 0);
        let below = routed(&routes, "a.refused.example.", TYPE_DS);
        assert_eq!(below, Routed::Answer(LocalRoute::Refuse, 2));
        let root = all_routes(&config(vec![to(".", &[3])]));
        assert_eq!(number(&root, ".", TYPE_DS), 1, "there is nothing above it");
    }

    #[test]
    fn what_is_answered_here_says_so() {
        let mut refused = LocalRoute::Refuse.answer(4, || Rcode::NXDOMAIN);
        assert_eq!(refused.rcode, Rcode::REFUSED);
        assert!(refused.records.next().is_none());
        assert_eq!(refused.ede.unwrap().code, 18);
        for (route, apex, rcode) in [
            (LocalRoute::NxDomain, 0, Rcode::NXDOMAIN),
            (LocalRoute::NxDomain, 4, Rcode::NXDOMAIN),
            (LocalRoute::Local, 0, Rcode::NOERROR),
            (LocalRoute::Local, 4, Rcode::NXDOMAIN),
        ] {
            let mut answer = route.answer(apex, || Rcode::NXDOMAIN);
            let soa = answer.records.next().unwrap();
            assert_eq!((answer.rcode, soa.owner_at, soa.rtype), (rcode, apex, 6));
        }
    }

    #[test]
    fn a_fingerprint_is_that_of_the_set_of_upstreams() {
        let of = |upstreams: &[u8]| {
            let all: Vec<Upstream> = upstreams.iter().map(|n| upstream(*n)).collect();
            fingerprint(&all)
        };
        assert_eq!(of(&[3, 4]), of(&[4, 3]));
        let relabelled = [upstream(4).with_label("x"), upstream(3)];
        assert_eq!(of(&[3, 4]), fingerprint(&relabelled));
        assert_ne!(of(&[3, 4]), of(&[3]));
        assert_ne!(of(&[3, 4]), of(&[3, 5]));
    }

    /// Names of few labels, some of them of octets that are no text.
    fn names() -> impl Strategy<Value = Vec<u8>> {
        let label = prop_oneof![
            "[abA]".prop_map(String::into_bytes),
            "[ab.-]{1,3}".prop_map(String::into_bytes),
            vec(any::<u8>(), 1..20),
        ];
        vec(label, 0..6).prop_map(|labels| {
            let mut name: Vec<u8> = Vec::new();
            for label in labels {
                name.push(label.len() as u8);
                name.extend(label);
            }
            name.push(0);
            name
        })
    }

    fn domains() -> impl Strategy<Value = Vec<String>> {
        let domain = vec("[ab]{1,2}", 0..4).prop_map(|labels| format!("{}.", labels.join(".")));
        proptest::collection::btree_set(domain, 0..30).prop_map(|set| set.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_typed_question_and_its_octets_decide_alike(
            domains in domains(), name in names(),
            qtype in prop_oneof![Just(1), Just(TYPE_DS), Just(255), any::<u16>()],
        ) {
            let targets = [Target::Refuse, Target::NxDomain, Target::Local];
            let routes = domains.iter().enumerate().map(|(n, domain)| match targets.get(n % 5) {
                Some(target) => by(domain, target.clone()),
                None => to(domain, &[n as u8]),
            });
            let routes = all_routes(&config(routes.collect()));
            let message = header_only(0x0100).question(&name, qtype, 1).build();
            let at = wire::parse_query(&message);
            // Some types are none that are forwarded.
            if let Ok(query) = at
                && let Some(typed) = wire::typed(&message, &query.question)
            {
                let found = routes.find(&message, &query.question);
                prop_assert_eq!(routes.find_typed(&typed), found);
            }
        }
    }
}
