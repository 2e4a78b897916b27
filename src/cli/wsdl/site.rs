//! The gateway as its clients would see it: which URLs are its own, where they lead, and what they would get there.

use std::sync::Arc;

use super::fetch::{self, Answer, Target};
use super::url::Url;
use crate::config::model::{Config, NodeTls, Rewrite};
use crate::gateway::{Route, RouteMatch, Snapshot, Upstream, tls};
use crate::head::{Request, Response, Version};
use crate::proxy::forwarding::{self, Onward, Policy, Scheme};
use crate::proxy::h1::Framing;
use crate::proxy::rewrite::Exchange;
use crate::soap::rewrite::Origin;
use crate::upstream::Registry;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

/// Where a URL leads.
pub enum Leads<'a> {
    /// To the gateway, by this route.
    Gateway(&'a Route),
    /// To the gateway, which has no route for it.
    NoRoute,
    /// Around the gateway, to this node.
    Node(&'a Upstream, usize),
    /// Around the gateway.
    Elsewhere,
}

/// A gateway that serves nobody.
pub struct Site {
    configured: Snapshot,
    /// The same, with all addresses rewritten on every upstream.
    rewriting: Snapshot,
    /// What clients call it.
    public: Origin,
    public_tls: Arc<ClientConfig>,
}

/// Which of the two configurations.
#[derive(Clone, Copy)]
pub enum Setting {
    /// As the file says.
    Configured,
    /// As if `rewrite: {}` stood on every upstream.
    Rewriting,
}

impl Site {
    /// Clients call it `public`; `None` = as the file lets suppose, for `url`.
    ///
    /// # Errors
    /// In words.
    pub fn new(config: &Config, url: &Url, public: Option<Url>, ca: Option<&std::path::Path>) -> Result<Self, String> {
        let compile =
            |config: Config| Snapshot::compile(config, &Registry::default()).map_err(|error| error.to_string());
        let mut other = config.clone();
        for upstream in &mut other.upstreams {
            upstream.rewrite = Some(Rewrite {
                public_url: upstream.rewrite.take().and_then(|rewrite| rewrite.public_url),
                ..Rewrite::default()
            });
        }
        let trusted = NodeTls { ca: ca.map(Into::into), ..NodeTls::default() };
        let mut site = Self {
            configured: compile(config.clone())?,
            rewriting: compile(other)?,
            public: url.origin.clone(),
            public_tls: tls::client(&trusted).map_err(|error| error.to_string())?,
        };
        if let Some(public) = public {
            site.public = public.origin;
        } else if let Some((upstream, _)) = site.node(&url.origin) {
            site.public =
                site.supposed(upstream).ok_or("no listener; say by --public what clients call the gateway")?;
        }
        Ok(site)
    }

    /// What clients call it.
    pub fn public(&self) -> &Origin {
        &self.public
    }

    /// Where a URL leads.
    pub fn leads(&self, url: &Url) -> Leads<'_> {
        if let Some(path) = self.own(url) {
            return self.route(url, &path).map_or(Leads::NoRoute, Leads::Gateway);
        }
        self.node(&url.origin).map_or(Leads::Elsewhere, |(upstream, node)| Leads::Node(upstream, node))
    }

    /// What stands at a node is called this by clients; `None` if no route leads there.
    pub fn published_as(&self, url: &Url) -> Option<Url> {
        let (upstream, _) = self.node(&url.origin)?;
        self.configured.routes.iter().filter(|route| route.config.upstream == upstream.config.name).find_map(|route| {
            let mut target = url.target.clone().into_bytes();
            let (strip, add) = (&route.config.strip_prefix, &route.config.add_prefix);
            if let Some(add) = add {
                let mut rest = Vec::new();
                forwarding::strip_prefix(&target, add.as_bytes(), &mut rest).then_some(())?;
                target = rest;
            }
            if let Some(strip) = strip {
                let mut whole = Vec::new();
                forwarding::add_prefix(&target, strip.as_bytes(), &mut whole);
                target = whole;
            }
            let outside = self.configured.upstreams.iter().find(|one| one.config.name == upstream.config.name)?;
            let prefix = prefix(outside).map_or_else(String::new, |(_, prefix)| prefix);
            let url = Url { origin: self.public.clone(), target: prefix + &String::from_utf8(target).ok()? };
            matches!(self.leads(&url), Leads::Gateway(found) if found.config.upstream == upstream.config.name)
                .then_some(url)
        })
    }

    /// What clients would get for `url`: of the gateway itself, or with `from_node` of a node behind it, asked as the gateway
    /// would ask it.
    ///
    /// # Errors
    /// In words.
    pub fn fetch(&self, url: &Url, from_node: bool) -> Result<Answer, String> {
        let mut head = self.request(url);
        let target = match self.leads(url) {
            Leads::Gateway(route) if from_node => {
                let target = route.upstream.targets.first().ok_or("its upstream has no node")?;
                let path = self.own(url).unwrap_or_default();
                head.set_target(path.as_bytes());
                let onward = self.onward(target.authority.as_bytes());
                forwarding::request(&mut head, &Policy::of(route), &onward, &mut Default::default());
                head.fields_mut().set(b"Accept-Encoding", b"identity");
                let name = target.server_name.clone();
                let tls = name.zip(route.upstream.tls.clone());
                Target { host: bare(&target.url.host), port: target.url.port, tls }
            }
            Leads::Node(upstream, node) => {
                let target = &upstream.targets[node];
                let tls = target.server_name.clone().zip(upstream.tls.clone());
                Target { host: bare(&target.url.host), port: target.url.port, tls }
            }
            _ => {
                let name = ServerName::try_from(bare(url.origin.host())).map_err(|error| error.to_string())?;
                let tls = url.origin.is_https().then(|| (name, self.public_tls.clone()));
                Target { host: bare(url.origin.host()), port: url.origin.port(), tls }
            }
        };
        fetch::get(&target, &head)
    }

    /// The document as a gateway with this setting would pass it on; `None` where it stays as it is.
    pub fn rewritten(&self, setting: Setting, url: &Url, answer: &Answer) -> Option<Vec<u8>> {
        let snapshot = match setting {
            Setting::Configured => &self.configured,
            Setting::Rewriting => &self.rewriting,
        };
        // With every import rewritten, what clients asked of a node they would have asked of the gateway.
        let published = match (setting, self.leads(url)) {
            (Setting::Rewriting, Leads::Node(..)) => Some(self.published_as(url)?),
            _ => None,
        };
        let url = published.as_ref().unwrap_or(url);
        let mut request = self.request(url);
        request.set_target(self.own(url)?.as_bytes());
        let RouteMatch::Found(route) = snapshot.routes.find(&request, None, None, true) else { return None };
        let route = snapshot.routes.get(route);
        let node = route.upstream.nodes.nodes().first()?.id;
        let exchange = Exchange::new(&self.onward(b""), &request, route, node, &Policy::of(route))?;
        let mut head: Response = answer.head.clone();
        let mut message = exchange.answer(&mut head, Framing::Length(answer.body.len() as u64), b"GET")?;
        message.take(&answer.body, true);
        (message.tally().changed > 0).then(|| std::mem::take(&mut message.out))
    }

    fn onward<'a>(&self, node_authority: &'a [u8]) -> Onward<'a> {
        Onward {
            peer: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            scheme: if self.public.is_https() { Scheme::Https } else { Scheme::Http },
            trusted: false,
            node_authority,
            client_cert: None,
        }
    }

    fn request(&self, url: &Url) -> Request {
        let mut head = Request::new();
        head.start(Version::Http11, b"GET", url.target.as_bytes());
        head.fields_mut().push(b"Host", authority(&url.origin).as_bytes());
        head.fields_mut().push(b"User-Agent", concat!("castile/", env!("CARGO_PKG_VERSION"), " (check)").as_bytes());
        head.fields_mut().push(b"Accept", b"*/*");
        head
    }

    /// Path and query as the gateway would get them; `None` if the URL is not its own.
    fn own(&self, url: &Url) -> Option<String> {
        let mut listeners = self.configured.listeners.iter().map(|listener| &listener.config);
        let is_ours = url.origin == self.public
            || listeners.any(|listener| {
                let address = listener.address;
                let is_name = url.origin.host() == self.public.host();
                let is_address = bare(url.origin.host()).parse() == Ok(address.ip());
                address.port() == url.origin.port()
                    && listener.tls.is_some() == url.origin.is_https()
                    && (is_name || is_address)
            });
        // The path of a public URL is taken off before the gateway sees it, or is a prefix that a route takes off.
        let public = self.configured.upstreams.iter().filter_map(|upstream| prefix(upstream));
        let public = public.filter(|(origin, _)| *origin == url.origin);
        let without = public.filter_map(|(_, prefix)| {
            let rest = url.target.strip_prefix(prefix.as_str()).filter(|rest| rest.starts_with('/'))?;
            Some([url.target.clone(), rest.to_owned()])
        });
        let mut paths: Vec<String> = without.flatten().collect();
        if is_ours {
            paths.push(url.target.clone());
        }
        let routed = paths.iter().position(|path| self.route(url, path).is_some());
        (!paths.is_empty()).then(|| paths.swap_remove(routed.unwrap_or(0)))
    }

    fn route(&self, url: &Url, path: &str) -> Option<&Route> {
        let mut head = self.request(url);
        head.set_target(path.as_bytes());
        match self.configured.routes.find(&head, None, None, true) {
            RouteMatch::Found(route) => Some(self.configured.routes.get(route)),
            _ => None,
        }
    }

    fn node(&self, origin: &Origin) -> Option<(&Upstream, usize)> {
        self.configured.upstreams.iter().find_map(|upstream| {
            let is_it = |target: &crate::gateway::Target| {
                let is_https = target.url.scheme == crate::config::model::Scheme::Https;
                Origin::new(is_https, target.authority.as_bytes()).as_ref() == Some(origin)
            };
            upstream.targets.iter().position(is_it).map(|index| (&**upstream, index))
        })
    }

    /// What clients call the gateway, as far as the file tells.
    fn supposed(&self, upstream: &Upstream) -> Option<Origin> {
        if let Some((origin, _)) = prefix(upstream) {
            return Some(origin);
        }
        let listener = &self.configured.listeners.first()?.config;
        let mut routes = self.configured.routes.iter().filter(|route| route.config.upstream == upstream.config.name);
        let host = routes.find_map(|route| route.config.host.clone().filter(|host| !host.contains('*')));
        let ip = match listener.address.ip() {
            ip if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
            ip => ip,
        };
        let host = host.unwrap_or_else(|| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() });
        Origin::new(listener.tls.is_some(), format!("{host}:{}", listener.address.port()).as_bytes())
    }
}

/// The public URL of an upstream: its origin, and its path without a slash at the end.
fn prefix(upstream: &Upstream) -> Option<(Origin, String)> {
    let url = upstream.config.rewrite.as_ref()?.public_url.as_deref()?;
    Origin::of_url(url).map(|(origin, path)| (origin, path.trim_end_matches('/').to_owned()))
}

/// As a `Host` field carries it.
fn authority(origin: &Origin) -> String {
    let text = origin.to_string();
    text.split_once("://").map_or(text.clone(), |(_, authority)| authority.to_owned())
}

fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}
