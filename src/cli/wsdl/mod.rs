//! `castile check --wsdl URL`: which addresses a service publishes, whether clients that follow them stay on the gateway, and
//! what `rewrite` would change.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use crate::config::Config;
use crate::head::Name;
use crate::soap::Content;
use crate::soap::rewrite::{Description, Published};

mod fetch;
mod site;
mod url;

use fetch::Answer;
use site::{Leads, Setting, Site};
use url::Url;

/// Documents that are read: the WSDL, and what it imports and includes. Taste; the largest have some hundred.
const DOCUMENTS_MAX: usize = 128;
/// Redirects that are followed for one document.
const REDIRECTS_MAX: usize = 5;

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The WSDL: at the gateway, or at a node of the file.
    pub url: &'a str,
    /// What clients call the gateway; `None` = as the file lets suppose.
    pub public: Option<&'a str>,
    /// PEM: who signs the certificates of https URLs that are no node's; `None` = the system's authorities.
    pub ca: Option<&'a Path>,
    /// One JSON object a line.
    pub json: bool,
}

/// Tells of every address. Whether clients stay on the gateway.
///
/// # Errors
/// The question cannot be answered, in words.
pub fn tell(config: &Config, question: &Question<'_>, out: &mut dyn Write) -> Result<bool, String> {
    let parse = |text: &str| Url::parse(text).ok_or_else(|| format!("{text} is no http or https URL"));
    let url = parse(question.url)?;
    let public = question.public.map(parse).transpose()?;
    let site = Site::new(config, &url, public, question.ca)?;
    let from_node = matches!(site.leads(&url), Leads::Node(..));
    let start = match from_node {
        false => url.clone(),
        true => site.published_as(&url).ok_or_else(|| {
            format!(
                "no route leads to {url}; clients of {} cannot ask for it (--public says what they call the gateway)",
                site.public()
            )
        })?,
    };
    let mut report = Report { site: &site, from_node, json: question.json, out, found: Vec::new(), is_troubled: false };
    if let Leads::NoRoute = site.leads(&start) {
        return Err(format!("no route of the file matches {start}"));
    }
    report.line(&format!(
        "{start}: as clients get it{}\n",
        if from_node { ", asked of a node as the gateway would ask it" } else { "" }
    ));
    report.read_all(start)?;
    report.summary();
    Ok(!report.is_troubled)
}

struct Report<'a> {
    site: &'a Site,
    /// Documents of the gateway are asked of a node: the gateway need not run.
    from_node: bool,
    json: bool,
    out: &'a mut dyn Write,
    /// Whether clients stay, for each address and document.
    found: Vec<bool>,
    is_troubled: bool,
}

/// What stands in a document: an address that clients call, or another document.
struct Place<'a> {
    published: Option<&'a Published>,
    url: &'a str,
    /// What `rewrite` made of it already, or would make of it.
    rewritten: Option<&'a str>,
}

impl Report<'_> {
    fn read_all(&mut self, start: Url) -> Result<(), String> {
        let mut documents = vec![start];
        let mut next = 0;
        while let Some(url) = documents.get(next).cloned() {
            next += 1;
            match self.read(&url) {
                Ok(found) => {
                    for one in found {
                        if !documents.contains(&one) {
                            documents.push(one);
                        }
                    }
                }
                Err(message) if next == 1 => return Err(format!("{url}: {message}")),
                Err(message) => {
                    // Schemas of standards are imported by their names, too; clients have them built in.
                    self.is_troubled |= !matches!(self.site.leads(&url), Leads::Elsewhere);
                    self.line(&format!("{url}: cannot be read: {message}\n"));
                }
            }
            if documents.len() > DOCUMENTS_MAX {
                self.line(&format!("there are more than {DOCUMENTS_MAX} documents; the rest is not read\n"));
                documents.truncate(DOCUMENTS_MAX);
            }
        }
        Ok(())
    }

    /// Reads one document, tells of it, and returns what it is made of.
    fn read(&mut self, url: &Url) -> Result<Vec<Url>, String> {
        let (url, answer) = self.fetch(url)?;
        let fields = answer.head.fields();
        let content_type = fields.known(Name::ContentType).map(<[u8]>::to_vec);
        let describe = |bytes: &[u8]| {
            Description::read(content_type.as_deref(), bytes).map_err(|stop| format!("it is no WSDL or schema: {stop}"))
        };
        let configured = self.from_node.then(|| self.site.rewritten(Setting::Configured, &url, &answer)).flatten();
        let seen = describe(configured.as_deref().unwrap_or(&answer.body))?;
        let rewriting =
            self.site.rewritten(Setting::Rewriting, &url, &answer).map(|bytes| describe(&bytes)).transpose()?;
        self.line(&format!("{url} ({})\n", seen.kind));
        let coding = fields.known(Name::ContentEncoding);
        if !Description::is_rewritable(Content { content_type: content_type.as_deref(), content_encoding: coding }) {
            self.line("  its Content-Type or Content-Encoding is not one that rewrite reads: it stays as it is\n");
        }
        for (index, published) in seen.addresses.iter().enumerate() {
            let would = rewriting.as_ref().and_then(|other| other.addresses.get(index)).map(|one| one.url.as_str());
            let rewritten = would.filter(|would| *would != published.url);
            self.place(&url, &Place { published: Some(published), url: &published.url, rewritten });
        }
        for (index, document) in seen.documents.iter().enumerate() {
            let would = rewriting.as_ref().and_then(|other| other.documents.get(index)).map(String::as_str);
            self.place(
                &url,
                &Place { published: None, url: document, rewritten: would.filter(|would| would != document) },
            );
        }
        Ok(seen.documents.iter().filter_map(|document| url.join(document)).collect())
    }

    fn fetch(&self, url: &Url) -> Result<(Url, Answer), String> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.site.fetch(&url, self.from_node)?;
            match answer.head.status {
                200 => return Ok((url, answer)),
                301 | 302 | 303 | 307 | 308 => {
                    let location = answer.head.fields().get(b"Location").unwrap_or_default();
                    let location = std::str::from_utf8(location).ok().and_then(|location| url.join(location));
                    url = location.ok_or("it leads to nowhere")?;
                    url = self.site.published_as(&url).filter(|_| self.from_node).unwrap_or(url);
                }
                status => return Err(format!("the answer has status {status}")),
            }
        }
        Err(format!("it leads on more than {REDIRECTS_MAX} times"))
    }

    fn place(&mut self, base: &Url, place: &Place<'_>) {
        let Some(url) = base.join(place.url).filter(|_| place.published.is_none() || place.url.contains("://")) else {
            self.tell(place, "nowhere", "", "is no absolute http or https URL: clients must be told where to call");
            return;
        };
        match self.site.leads(&url) {
            Leads::Gateway(route) => {
                let upstream = &route.config.upstream;
                let words = format!("stays on the gateway: route {}, upstream {upstream}", route.label);
                self.tell(place, "gateway", upstream, &words);
            }
            Leads::NoRoute => self.tell(place, "no_route", "", "stays on the gateway, which has no route for it"),
            Leads::Node(upstream, node) => {
                let name = format!("{}/{}", upstream.config.name, upstream.config.nodes[node].name);
                self.tell(place, "node", &name, &format!("leaves the gateway: it is node {name}"));
            }
            Leads::Elsewhere => {
                let words = match url.origin.host() == self.site.public().host() {
                    true => "leaves the gateway: nothing in the file listens there",
                    false => "leaves the gateway: no node and no listener of the file is there",
                };
                self.tell(place, "elsewhere", "", words);
            }
        }
    }

    fn tell(&mut self, place: &Place<'_>, leads: &str, to: &str, words: &str) {
        let stays = leads == "gateway";
        // Schemas of standards lead elsewhere, and shall.
        let is_foreign = place.published.is_none() && leads == "elsewhere" && place.rewritten.is_none();
        let is_trouble = !stays && !is_foreign;
        self.is_troubled |= is_trouble;
        self.found.push(!is_trouble);
        if self.json {
            let published = place.published;
            let line = json!({
                "kind": if published.is_some() { "address" } else { "document" },
                "service": published.map(|one| &one.service),
                "port": published.map(|one| &one.port),
                "element": published.map(|one| one.element),
                "url": place.url,
                "leads": leads,
                "to": (!to.is_empty()).then_some(to),
                "stays": stays,
                "rewritten": place.rewritten,
            });
            let _ = writeln!(self.out, "{line}");
            return;
        }
        let name = match place.published {
            Some(one) => format!("service {}, port {} ({})", one.service, one.port, one.element),
            None => "import".to_owned(),
        };
        self.line(&format!("  {name}: {}\n    {words}\n", place.url));
        if let Some(rewritten) = place.rewritten {
            self.line(&format!("    rewrite: {{wsdl: true}} on its upstream makes it {rewritten}\n"));
        } else if leads == "elsewhere" && is_trouble {
            self.line("    rewrite does not know it; only what names a node as the file does, or the Host it got, is rewritten\n");
        }
    }

    fn summary(&mut self) {
        let leaving = self.found.iter().filter(|stays| !**stays).count();
        let all = self.found.len();
        self.line(&match (leaving, self.is_troubled) {
            (0, false) => format!("clients stay on the gateway ({all} of {all} places)\n"),
            (0, true) => "a document cannot be read\n".to_owned(),
            _ => format!("clients would leave the gateway, or fail there: {leaving} of {all} places\n"),
        });
    }

    /// For people only. Whoever closes the pipe early has seen enough.
    fn line(&mut self, text: &str) {
        if !self.json {
            let _ = self.out.write_all(text.as_bytes());
        }
    }
}
