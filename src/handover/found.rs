//! Nodes that were found, from one process to its successor: which could not know them before their sources have told again, and
//! some tell only when asked by nobody.

use std::sync::Arc;

use crate::config::model::{AdminState, Context, FoundNode, NodeUrl, Scheme};
use crate::store::fields::{Broken, Get, Put};

/// A node that a source of the other process told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundState {
    /// The upstream.
    pub upstream: String,
    /// The label of the source.
    pub source: String,
    /// Of a node that announced itself: until when it is there, in milliseconds since 1970; else 0.
    pub until: u64,
    /// The node.
    pub node: FoundNode,
}

/// Writes one.
pub fn put(put: &mut Put<'_>, state: &FoundState) {
    let node = &state.node;
    put.text(&state.upstream);
    put.text(&state.source);
    put.u64(state.until);
    put.text(&node.name);
    put.u8((node.url.scheme == Scheme::Https).into());
    put.text(&node.url.host);
    put.u16(node.url.port);
    put.u16(node.weight);
    texts(put, &node.route);
    optional(put, node.group.as_deref());
    optional(put, node.identity.as_deref());
    put.u8(match node.state {
        AdminState::Ready => 0,
        AdminState::Drain => 1,
        AdminState::Maint => 2,
    });
    put.u8(node.rests.into());
    put.u8(node.contexts.is_some().into());
    let contexts = node.contexts.as_deref().unwrap_or_default();
    put.u16(u16::try_from(contexts.len()).unwrap_or(u16::MAX));
    for context in contexts.iter().take(u16::MAX.into()) {
        texts(put, &context.hosts);
        put.text(&context.path);
        put.u8(context.takes_new.into());
    }
}

/// Reads one.
pub fn get(get: &mut Get<'_>) -> Result<FoundState, Broken> {
    let (upstream, source, until) = (get.text()?.to_owned(), get.text()?.to_owned(), get.u64()?);
    let name = get.text()?.to_owned();
    let scheme = if get.u8()? == 0 { Scheme::Http } else { Scheme::Https };
    let url = NodeUrl { scheme, host: get.text()?.to_owned(), port: get.u16()? };
    let node = FoundNode {
        weight: get.u16()?,
        route: read_texts(get)?,
        group: read_optional(get)?,
        identity: read_optional(get)?,
        state: match get.u8()? {
            0 => AdminState::Ready,
            1 => AdminState::Drain,
            2 => AdminState::Maint,
            _ => return Err(Broken("a state of no known kind")),
        },
        rests: get.u8()? != 0,
        ..FoundNode::new(name, url)
    };
    let has_contexts = get.u8()? != 0;
    let count = get.count()?;
    let context = |_| Ok(Context { hosts: read_texts(get)?, path: get.text()?.to_owned(), takes_new: get.u8()? != 0 });
    let contexts = (0..count).map(context).collect::<Result<Vec<_>, Broken>>()?;
    let contexts = has_contexts.then(|| Arc::from(contexts));
    Ok(FoundState { upstream, source, until, node: FoundNode { contexts, ..node } })
}

fn texts(put: &mut Put<'_>, texts: &[String]) {
    put.u16(u16::try_from(texts.len()).unwrap_or(u16::MAX));
    texts.iter().take(u16::MAX.into()).for_each(|text| put.text(text));
}

fn read_texts(get: &mut Get<'_>) -> Result<Vec<String>, Broken> {
    let count = get.count()?;
    (0..count).map(|_| Ok(get.text()?.to_owned())).collect()
}

fn optional(put: &mut Put<'_>, text: Option<&str>) {
    put.u8(text.is_some().into());
    put.text(text.unwrap_or_default());
}

fn read_optional(get: &mut Get<'_>) -> Result<Option<String>, Broken> {
    let is_some = get.u8()? != 0;
    let text = get.text()?.to_owned();
    Ok(is_some.then_some(text))
}
