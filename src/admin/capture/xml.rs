//! What of an envelope leaves the gateway: its structure, and stand-ins for its texts.

use super::mask::{How, Masks};

/// What stands for a password or a token: neither its length nor its letters.
pub const HIDDEN: &[u8] = b"redacted";
/// Nesting that is looked at; deeper, everything is masked as above.
const DEPTH_MAX: usize = 1024;
/// Namespaces and addresses of standards say nothing about anybody.
const STANDARD: [&[u8]; 5] = [
    b"http://www.w3.org/",
    b"http://schemas.xmlsoap.org/",
    b"http://docs.oasis-open.org/",
    b"http://schemas.microsoft.com/",
    b"urn:oasis:",
];
/// Elements of WS-Security that say who somebody is, or prove it.
const PROOFS: [&[u8]; 12] = [
    b"username",
    b"nonce",
    b"binarysecuritytoken",
    b"ciphervalue",
    b"signaturevalue",
    b"digestvalue",
    b"x509certificate",
    b"keyidentifier",
    b"assertion",
    b"entropy",
    b"binarysecret",
    b"accesstoken",
];
/// Attributes without which a message is read as another one.
const STRUCTURE: [&[u8]; 16] = [
    b"mustunderstand",
    b"actor",
    b"role",
    b"encodingstyle",
    b"type",
    b"href",
    b"ref",
    b"id",
    b"root",
    b"arraytype",
    b"nil",
    b"encodingtype",
    b"valuetype",
    b"algorithm",
    b"uri",
    b"isreferenceparameter",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Text(How),
    Hidden,
}

/// Appends the envelope with its texts masked; `how`: those of which nothing is known. False where it is no XML that can be
/// masked: what was appended is then worth nothing.
pub fn mask(xml: &[u8], how: How, masks: &mut Masks, out: &mut Vec<u8>) -> bool {
    let mut rules = vec![Rule::Text(how)];
    let mut at = 0;
    while at < xml.len() {
        let tag = memchr::memchr(b'<', &xml[at..]).map_or(xml.len(), |found| at + found);
        content(&xml[at..tag], rules.last().copied().unwrap_or(Rule::Hidden), masks, out);
        let Some(rest) = xml.get(tag..).filter(|rest| !rest.is_empty()) else { break };
        let Some(length) = length(rest) else {
            // Cut in the middle of a tag: what is there of it says nothing.
            return true;
        };
        let whole = &rest[..length];
        at = tag + length;
        if whole.starts_with(b"<!--") {
            continue;
        }
        if let Some(inside) = whole.strip_prefix(b"<![CDATA[").and_then(|rest| rest.strip_suffix(b"]]>")) {
            out.extend_from_slice(b"<![CDATA[");
            content(inside, rules.last().copied().unwrap_or(Rule::Hidden), masks, out);
            out.extend_from_slice(b"]]>");
            continue;
        }
        match whole[1] {
            b'!' => return false,
            b'?' => out.extend_from_slice(whole),
            b'/' => {
                if rules.len() > 1 {
                    rules.pop();
                }
                out.extend_from_slice(whole);
            }
            _ => {
                let outer = rules.last().copied().unwrap_or(Rule::Hidden);
                let inner = inside(local(name(whole)), outer, how);
                start_tag(whole, how, inner, masks, out);
                if !whole.ends_with(b"/>") {
                    if rules.len() >= DEPTH_MAX {
                        return false;
                    }
                    rules.push(inner);
                }
            }
        }
    }
    true
}

/// The length of the tag, comment, section or instruction at the begin.
fn length(rest: &[u8]) -> Option<usize> {
    let until = |end: &[u8]| memchr::memmem::find(rest, end).map(|at| at + end.len());
    if rest.starts_with(b"<!--") {
        return until(b"-->");
    }
    if rest.starts_with(b"<![CDATA[") {
        return until(b"]]>");
    }
    if rest.starts_with(b"<?") {
        return until(b"?>");
    }
    let mut quote = None;
    for (at, byte) in rest.iter().enumerate() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            (None, b'>') => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn name(tag: &[u8]) -> &[u8] {
    let end = tag[1..].iter().position(|byte| byte.is_ascii_whitespace() || b"/>".contains(byte));
    &tag[1..end.map_or(tag.len(), |end| end + 1)]
}

fn local(name: &[u8]) -> &[u8] {
    memchr::memrchr(b':', name).map_or(name, |colon| &name[colon + 1..])
}

fn is_secret(local: &[u8]) -> bool {
    let small = local.to_ascii_lowercase();
    let holds = |part: &str| memchr::memmem::find(&small, part.as_bytes()).is_some();
    ["password", "passwd", "pwd", "passphrase", "secret", "credential"].iter().any(|part| holds(part))
        || PROOFS.contains(&small.as_slice())
}

fn inside(local: &[u8], outer: Rule, how: How) -> Rule {
    match (outer, local) {
        (Rule::Hidden, _) => Rule::Hidden,
        _ if is_secret(local) => Rule::Hidden,
        (_, b"Action" | b"faultcode" | b"Value") if how == How::All => Rule::Text(How::Ids),
        (_, b"faultstring" | b"faultactor" | b"Text" | b"Reason") if how == How::All => Rule::Text(How::Numbers),
        (outer, _) => outer,
    }
}

fn content(text: &[u8], rule: Rule, masks: &mut Masks, out: &mut Vec<u8>) {
    let is_blank = text.iter().all(u8::is_ascii_whitespace);
    match rule {
        _ if is_blank => out.extend_from_slice(text),
        Rule::Hidden => out.extend_from_slice(HIDDEN),
        Rule::Text(how) => value(text, how, masks, out),
    }
}

fn value(text: &[u8], how: How, masks: &mut Masks, out: &mut Vec<u8>) {
    let is_standard = STANDARD.iter().any(|standard| text.trim_ascii_start().starts_with(standard));
    masks.text(text, if is_standard { How::Ids } else { how }, out);
}

fn start_tag(tag: &[u8], how: How, inner: Rule, masks: &mut Masks, out: &mut Vec<u8>) {
    let mut at = name(tag).len() + 1;
    out.extend_from_slice(&tag[..at]);
    while let Some(equals) = memchr::memchr(b'=', &tag[at..]).map(|found| at + found) {
        let attribute = tag[at..equals].trim_ascii();
        let quote = tag[equals..].iter().position(|byte| b"\"'".contains(byte)).map(|found| equals + found);
        let Some((open, close)) =
            quote.and_then(|open| Some((open, open + 1 + memchr::memchr(tag[open], &tag[open + 1..])?)))
        else {
            break;
        };
        out.extend_from_slice(&tag[at..=open]);
        let text = &tag[open + 1..close];
        let small = local(attribute).to_ascii_lowercase();
        if attribute.starts_with(b"xmlns") || STRUCTURE.contains(&small.as_slice()) {
            masks.text(text, How::Ids, out);
        } else if inner == Rule::Hidden || is_secret(local(attribute)) {
            out.extend_from_slice(HIDDEN);
        } else {
            value(text, how, masks, out);
        }
        at = close;
        out.push(tag[close]);
        at += 1;
    }
    out.extend_from_slice(&tag[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(xml: &str, how: How) -> String {
        let mut masks = Masks::new([1; 16]);
        masks.is_id(b"abcd-1234");
        let mut out = Vec::new();
        assert!(mask(xml.as_bytes(), how, &mut masks, &mut out), "{xml}");
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn structure_stays_and_texts_do_not() {
        let xml = "<s:E xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" a='Jane'><!-- Doe -->\n<b>Jane <![CDATA[Doe]]></b><c/></s:E>";
        let out = masked(xml, How::All);
        assert!(out.starts_with("<s:E xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" a='"), "{out}");
        assert!(!out.contains("Jane") && !out.contains("Doe") && out.contains("]]></b><c/></s:E>"), "{out}");
    }

    #[test]
    fn passwords_and_tokens_never_leave() {
        let xml = "<Security><UsernameToken><Username>jane</Username><wsse:Password Type='http://docs.oasis-open.org/x'>hunter</wsse:Password>\
                   </UsernameToken></Security><userPwd>hunter</userPwd><x password=\"hunter\">plain abcd</x>";
        for how in [How::All, How::Ids] {
            let out = masked(xml, how);
            assert!(!out.contains("hunter") && !out.contains("jane") && !out.contains("abcd"), "{out}");
            assert_eq!(out.contains("plain"), how == How::Ids);
        }
    }

    #[test]
    fn what_a_fault_says_stays_legible_without_its_ids() {
        let out = masked("<faultcode>s:Client</faultcode><faultstring>no session abcd-1234</faultstring>", How::All);
        assert!(out.starts_with("<faultcode>s:Client</faultcode><faultstring>no session "), "{out}");
        assert!(!out.contains("1234") && !out.contains("abcd"));
    }

    #[test]
    fn wherever_a_message_is_cut_nothing_more_is_shown() {
        let xml = "<a b='jane'><Password>hunter</Password><![CDATA[jane]]><!-- jane --><?x y?>jane</a>";
        for length in 0..xml.len() {
            let out = masked(&xml[..length], How::All);
            assert!(!out.contains("jane") && !out.contains("hunt"), "{length}: {out}");
        }
        let mut out = Vec::new();
        assert!(!mask(b"<!DOCTYPE a><a/>", How::All, &mut Masks::new([1; 16]), &mut out));
    }
}
