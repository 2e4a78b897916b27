//! What is rewritten in the exchanges of one upstream.

use std::sync::Arc;

use crate::config::model;
use crate::session::RuleSet;
use crate::soap::rewrite::{Origin, Places};

/// What is rewritten in the exchanges of one upstream.
#[derive(Debug)]
pub struct Rewriting {
    /// The places in answers.
    pub answers: Arc<Places>,
    /// The places in requests.
    pub requests: Arc<Places>,
    /// Header fields of answers that hold a URL.
    pub fields: Vec<String>,
    /// Whether `Domain`, `Path` and `Secure` of cookies are.
    pub cookies: bool,
    /// The addresses of all nodes.
    pub nodes: Vec<Origin>,
    /// What clients see, and the prefix of its paths; `None` = what they asked for.
    pub public: Option<(Origin, String)>,
}

impl Rewriting {
    /// As the upstream says; `None` where nothing is rewritten.
    pub fn compile(config: &model::Upstream, rules: &RuleSet) -> Option<Self> {
        let rewrite = config.rewrite.as_ref()?;
        let urls = rules.rewrite_urls();
        let mut fields = Vec::new();
        if rewrite.location {
            fields.extend(["Location", "Content-Location"].map(str::to_owned));
        }
        if rewrite.epr {
            fields.extend(urls.fields.iter().cloned());
        }
        let paths = if rewrite.epr { urls.paths.clone() } else { Vec::new() };
        let nodes = config
            .nodes
            .iter()
            .filter_map(|node| Origin::new(node.url.scheme == model::Scheme::Https, node.url.authority().as_bytes()));
        Some(Self {
            answers: Arc::new(Places::new(paths, rewrite.wsdl)),
            requests: Arc::new(if rewrite.wsa_to { Places::wsa_to() } else { Places::default() }),
            fields,
            cookies: rewrite.cookies,
            nodes: nodes.collect(),
            public: rewrite
                .public_url
                .as_deref()
                .and_then(Origin::of_url)
                .map(|(origin, path)| (origin, path.to_owned())),
        })
    }
}
