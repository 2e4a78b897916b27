//! Addresses rewritten in one exchange (`rewrite`): what the client sees of the node's, and the other way round.

use super::forwarding::{self, HostPolicy, Onward, Scheme};
use super::h1::Framing;
use crate::gateway::{Rewriting, Route};
use crate::head::{Fields, Name, Request, Response};
use crate::soap::Content;
use crate::soap::rewrite::{Addresses, Change, Origin, Replaced, Rewriter, Tally};
use crate::upstream::NodeId;

/// Messages up to this size keep a known length: answers are held until they are whole, and requests are read up to here
/// for the end of their Header. Larger answers become chunked. Taste: WSDLs are 5 to 60 KiB.
const HELD_BYTES_MAX: u64 = 64 << 10;

/// What is rewritten in one exchange.
#[derive(Debug)]
pub struct Exchange<'a> {
    rewriting: &'a Rewriting,
    outward: Addresses,
    inward: Addresses,
}

/// What a request begins with, instead of what came.
#[derive(Debug)]
pub struct Beginning {
    /// What goes out.
    pub bytes: Vec<u8>,
    /// How much of what came it stands for.
    pub replaces: usize,
}

/// The message of an answer on its way.
#[derive(Debug)]
pub struct Answer {
    rewriter: Rewriter,
    /// What can go on.
    pub out: Vec<u8>,
    /// Nothing comes after `out`.
    pub is_whole: bool,
    /// The head has gone on.
    pub has_begun: bool,
    framing: Framing,
}

impl<'a> Exchange<'a> {
    /// Of a request that goes to this node; `None` where nothing is rewritten, or the client's address is none.
    pub fn new(
        onward: &Onward<'_>,
        request: &Request,
        route: &'a Route,
        node: NodeId,
        policy: &forwarding::Policy,
    ) -> Option<Self> {
        let rewriting = route.upstream.rewriting.as_ref()?;
        let target = route.upstream.target(node)?;
        let is_https = target.url.scheme == crate::config::model::Scheme::Https;
        let inside = Origin::new(is_https, target.authority.as_bytes())?;
        let (scheme, host) = forwarding::asked_for(request, onward);
        let client = Origin::new(scheme == Scheme::Https, &host);
        let mut stripped = Vec::new();
        let is_stripped = !policy.strip_prefix.is_empty()
            && forwarding::strip_prefix(request.path(), &policy.strip_prefix, &mut stripped);
        let strip = if is_stripped { std::str::from_utf8(&policy.strip_prefix).ok()? } else { "" };
        let (public, prefix) = match &rewriting.public {
            // A public URL with the route's prefix in it has it already.
            Some((origin, path)) if path.ends_with(strip) => (origin.clone(), path.clone()),
            Some((origin, path)) => (origin.clone(), format!("{path}{strip}")),
            None => {
                let told = if onward.trusted { forwarded_prefix(request.fields())? } else { String::new() };
                (client.clone()?, format!("{told}{strip}"))
            }
        };
        let mut asked = vec![public.clone()];
        asked.extend(match &policy.host {
            HostPolicy::Pass => Origin::new(onward.scheme == Scheme::Https, request.authority()),
            HostPolicy::Node => None,
            HostPolicy::Name(name) => Origin::new(is_https, name),
        });
        asked.extend(client.clone());
        let added = std::str::from_utf8(&policy.add_prefix).ok()?;
        let clients = client.into_iter().chain([public.clone()]).collect();
        Some(Self {
            rewriting,
            outward: Addresses::new(rewriting.nodes.clone(), asked, public, added, &prefix)?,
            inward: Addresses::new(clients, Vec::new(), inside, &prefix, added)?,
        })
    }

    /// What rewrites a request's message; `None` where nothing in it is.
    pub fn request(&self, fields: &Fields) -> Option<Rewriter> {
        Rewriter::new(std::sync::Arc::clone(&self.rewriting.requests), self.inward.clone(), content(fields))
    }

    /// Rewrites what a request begins with, as far as it is here; `None` where it stays.
    pub fn beginning(&self, fields: &Fields, body: &[u8], is_whole: bool) -> Option<Beginning> {
        let mut rewriter = self.request(fields)?;
        let mut bytes = Vec::new();
        rewriter.push(body, &mut bytes);
        if is_whole {
            rewriter.end(&mut bytes);
        }
        told(&rewriter, "request");
        (rewriter.is_over() && rewriter.tally().changed > 0).then_some(Beginning { bytes, replaces: body.len() })
    }

    /// Rewrites the head of an answer.
    pub fn head(&self, head: &mut Response) {
        let is_public_clear = !self.outward.to().is_https();
        let mut changed = Fields::default();
        let mut any = false;
        for field in head.fields().iter() {
            let value = if self.rewriting.cookies && field.known == Name::SetCookie {
                cookie(field.value, &self.outward, is_public_clear)
            } else if self.rewriting.fields.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(field.name)) {
                reference(field.value, &self.outward)
            } else {
                None
            };
            any |= value.is_some();
            changed.push(field.name, value.as_deref().unwrap_or(field.value));
        }
        if any {
            *head.fields_mut() = changed;
        }
    }

    /// What rewrites an answer's message; `None` where it stays. `method` is the request's.
    pub fn answer(&self, head: &mut Response, framing: Framing, method: &[u8]) -> Option<Answer> {
        // A part of a message cannot be read.
        let rewriter = if head.status == 206 {
            None
        } else {
            Rewriter::new(std::sync::Arc::clone(&self.rewriting.answers), self.outward.clone(), content(head.fields()))
        };
        let Some(rewriter) = rewriter else {
            if head.fields().known(Name::ContentEncoding).is_some() && !self.rewriting.answers.is_empty() {
                tracing::debug!("an encoded answer is not rewritten");
            }
            return None;
        };
        if framing == Framing::Empty {
            if method == b"HEAD" {
                // The length of the answer to GET is another one.
                head.fields_mut().remove_known(Name::ContentLength);
            }
            return None;
        }
        Some(Answer { rewriter, out: Vec::new(), is_whole: false, has_begun: false, framing })
    }

    /// Keeps answers readable, where messages are rewritten.
    pub fn ask_for_plain(&self, fields: &mut Fields) {
        if !self.rewriting.answers.is_empty() {
            fields.set(b"Accept-Encoding", b"identity");
        }
    }
}

/// Whether the Header of a request must be here before it goes on, and how much of it is read for that at most.
pub fn reads_request(route: &Route, request: &Request, framing: Framing) -> Option<u64> {
    let rewriting = route.upstream.rewriting.as_ref()?;
    let fields = request.fields();
    let is_read = framing != Framing::Empty
        && !rewriting.requests.is_empty()
        && fields.known(Name::ContentType).is_some_and(Rewriter::takes)
        && fields.known(Name::ContentEncoding).is_none();
    is_read.then_some(HELD_BYTES_MAX)
}

impl Answer {
    /// The first addresses that were rewritten.
    pub fn replaced(&self) -> &[Replaced] {
        self.rewriter.replaced()
    }

    /// What was found so far.
    pub fn tally(&self) -> Tally {
        self.rewriter.tally()
    }

    /// Takes the next piece; `is_whole`: it is the last one.
    pub fn take(&mut self, piece: &[u8], is_whole: bool) {
        self.rewriter.push(piece, &mut self.out);
        if is_whole && !self.is_whole {
            self.rewriter.end(&mut self.out);
            self.is_whole = true;
            told(&self.rewriter, "answer");
        }
    }

    /// The framing in which the answer goes on, with its fields in `head`; `None` while more of it must be seen.
    pub fn begin(&mut self, head: &mut Response) -> Option<Framing> {
        let is_changed = self.rewriter.tally().changed > 0;
        let framing = match self.framing {
            // Nothing was rewritten, nothing will be.
            framing if self.rewriter.is_over() && !is_changed => framing,
            Framing::Length(length) if length <= HELD_BYTES_MAX => {
                if !self.is_whole {
                    return None;
                }
                let framing = Framing::Length(self.out.len() as u64);
                forwarding::set_framing(head.fields_mut(), framing);
                framing
            }
            Framing::Length(_) => {
                head.fields_mut().remove_known(Name::ContentLength);
                Framing::Chunked
            }
            framing => framing,
        };
        if is_changed || !self.rewriter.is_over() {
            for name in [&b"Content-MD5"[..], b"Digest", b"Content-Digest", b"Repr-Digest"] {
                head.fields_mut().remove(name);
            }
        }
        self.has_begun = true;
        Some(framing)
    }
}

fn told(rewriter: &Rewriter, what: &'static str) {
    let tally = rewriter.tally();
    if tally.changed > 0 || tally.signed > 0 {
        tracing::debug!(what, changed = tally.changed, signed = tally.signed, "addresses rewritten; signed ones stay");
    }
}

fn content(fields: &Fields) -> Content<'_> {
    Content { content_type: fields.known(Name::ContentType), content_encoding: fields.known(Name::ContentEncoding) }
}

/// The prefixes that trusted proxies took off, joined; `None` if they cannot stand in a URL.
fn forwarded_prefix(fields: &Fields) -> Option<String> {
    let told = std::str::from_utf8(fields.get(b"X-Forwarded-Prefix").unwrap_or_default()).ok()?;
    Some(told.split(',').map(|prefix| prefix.trim().trim_end_matches('/')).collect())
}

fn changed(value: &[u8], change: Change) -> Vec<u8> {
    [change.with.as_bytes(), &value[change.length..]].concat()
}

/// A field that holds a URL, or a path of the same host.
fn reference(value: &[u8], addresses: &Addresses) -> Option<Vec<u8>> {
    if value.starts_with(b"/") && !value.starts_with(b"//") {
        return addresses.path(value).filter(|change| !change.is_nothing()).map(|change| changed(value, change));
    }
    addresses.url(value).map(|change| changed(value, change))
}

/// A `Set-Cookie` line with attributes that fit the public URL.
fn cookie(line: &[u8], addresses: &Addresses, is_public_clear: bool) -> Option<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = line.split(|byte| *byte == b';').map(<[u8]>::to_vec).collect();
    let mut any = false;
    let mut index = 1;
    while index < parts.len() {
        let part = &parts[index];
        let (name, value) = match memchr::memchr(b'=', part) {
            Some(equals) => part.split_at(equals + 1),
            None => (&part[..], &b""[..]),
        };
        let bare = name.trim_ascii().strip_suffix(b"=").unwrap_or(name).trim_ascii();
        let value = value.trim_ascii();
        let new = if bare.eq_ignore_ascii_case(b"path") && value.starts_with(b"/") {
            let change = addresses.path(value).filter(|change| !change.is_nothing());
            change.map(|change| changed(value, change)).map(|path| match &path[..] {
                // `/ext/` would not cover `/ext` (RFC 6265 §5.1.4).
                [rest @ .., b'/'] if !rest.is_empty() && value == b"/" => rest.to_vec(),
                _ => path,
            })
        } else if bare.eq_ignore_ascii_case(b"domain") {
            let host = addresses.to().host();
            let is_nodes = addresses.is_host(value.strip_prefix(b".").unwrap_or(value));
            (is_nodes && !value.eq_ignore_ascii_case(host.as_bytes())).then(|| host.as_bytes().to_vec())
        } else if bare.eq_ignore_ascii_case(b"secure") && is_public_clear {
            // A client that came in clear text would never send it back.
            parts.remove(index);
            any = true;
            continue;
        } else {
            None
        };
        if let Some(new) = new {
            parts[index] = [name, &new].concat();
            any = true;
        }
        index += 1;
    }
    any.then(|| parts.join(&b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(public: &str, strip: &str, add: &str) -> Addresses {
        let origin = |url| Origin::of_url(url).expect("a URL").0;
        Addresses::new(vec![origin("http://node:81")], Vec::new(), origin(public), strip, add).expect("prefixes")
    }

    #[test]
    fn cookies_fit_the_public_url() {
        for (public, strip, add, line, expected) in [
            ("http://gw", "", "/p", "a=b; Path=/x; HttpOnly", Some("a=b; Path=/p/x; HttpOnly")),
            ("http://gw", "", "/p", "a=b; path=/", Some("a=b; path=/p")),
            ("http://gw", "/app", "", "a=b; Path=/app", Some("a=b; Path=/")),
            ("http://gw", "/app", "", "a=b; Path=/other", None),
            ("http://gw", "", "", "a=b;Domain=node; Path=/", Some("a=b;Domain=gw; Path=/")),
            ("http://gw", "", "", "a=b; Domain=.elsewhere; Path=/", None),
            ("http://gw", "", "", "a=b; Secure; Path=/", Some("a=b; Path=/")),
            ("https://gw", "", "", "a=b; Secure; Path=/", None),
            ("http://gw", "", "", "Path=/x", None),
        ] {
            let found = cookie(line.as_bytes(), &addresses(public, strip, add), public == "http://gw");
            assert_eq!(found.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn locations_may_be_urls_or_paths() {
        for (value, expected) in [
            ("http://node:81/a?b", Some("https://gw/p/a?b")),
            ("/a?b", Some("/p/a?b")),
            ("a", None),
            ("//node:81/a", None),
            ("http://elsewhere/a", None),
        ] {
            let found = reference(value.as_bytes(), &addresses("https://gw", "", "/p"));
            assert_eq!(found.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{value}");
        }
    }
}
