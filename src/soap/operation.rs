//! The operation as the HTTP head names it.

use super::media::MediaType;

/// The action of a message, from its `Content-Type` and `SOAPAction` fields; empty counts as absent.
///
/// SOAP 1.2 names it in the `action` parameter of the media type (SOAP 1.2 Part 2 §6.5.3, RFC 3902), in multipart messages
/// in the same parameter or inside `start-info`; SOAP 1.1 in the field `SOAPAction`, in quotes (§6.1.1), which some clients
/// leave out. A media type that names one stands over the field.
pub fn http_action(content_type: Option<&[u8]>, soap_action: Option<&[u8]>) -> Option<String> {
    content_type.and_then(from_media_type).or_else(|| from_field(soap_action?))
}

fn from_media_type(field: &[u8]) -> Option<String> {
    let media = MediaType::parse(field)?;
    if !(media.is_multipart() || media.is("application", "soap+xml") || media.is("application", "xop+xml")) {
        return None;
    }
    let own = media.parameter("action").and_then(|action| text(&action));
    own.or_else(|| {
        let info = media.parameter("start-info")?;
        MediaType::parse(&info)?.parameter("action").and_then(|action| text(&action))
    })
}

fn from_field(field: &[u8]) -> Option<String> {
    let field = field.trim_ascii();
    let inner = field.strip_prefix(b"\"").map(|rest| rest.strip_suffix(b"\"").unwrap_or(rest));
    text(inner.unwrap_or(field))
}

fn text(value: &[u8]) -> Option<String> {
    let value = value.trim_ascii();
    (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(content_type: &str, soap_action: &str) -> Option<String> {
        let field = |text: &'static str| text;
        let _ = field;
        http_action(
            (!content_type.is_empty()).then_some(content_type.as_bytes()),
            (soap_action != "-").then_some(soap_action.as_bytes()),
        )
    }

    #[test]
    fn soap_1_1_names_the_action_in_its_field() {
        assert_eq!(action("text/xml", "\"urn:a\"").as_deref(), Some("urn:a"));
        assert_eq!(action("text/xml", " urn:a ").as_deref(), Some("urn:a"));
        assert_eq!(action("", "urn:a").as_deref(), Some("urn:a"));
        assert_eq!(action("text/xml", "\"urn:a").as_deref(), Some("urn:a"));
        assert_eq!(action("text/xml", "\"\""), None);
        assert_eq!(action("text/xml", ""), None);
        assert_eq!(action("text/xml", "-"), None);
        assert_eq!(action("text/xml; action=urn:b", "-"), None);
    }

    #[test]
    fn soap_1_2_names_it_in_the_media_type() {
        assert_eq!(
            action("application/soap+xml; charset=utf-8; action=\"urn:b\"", "\"urn:a\"").as_deref(),
            Some("urn:b")
        );
        assert_eq!(action("application/soap+xml;action=urn:b", "-").as_deref(), Some("urn:b"));
        assert_eq!(action("application/soap+xml; action=\"\"", "\"urn:a\"").as_deref(), Some("urn:a"));
        assert_eq!(action("application/soap+xml", "-"), None);
    }

    #[test]
    fn multipart_messages_name_it_beside_or_inside_start_info() {
        let field =
            r#"multipart/related; type="application/xop+xml"; start-info="application/soap+xml; action=\"urn:b\"""#;
        assert_eq!(action(field, "-").as_deref(), Some("urn:b"));
        assert_eq!(
            action(r#"multipart/related; start-info="text/xml"; action="urn:c""#, "-").as_deref(),
            Some("urn:c")
        );
        assert_eq!(action(r#"multipart/related; start-info="text/xml""#, "\"urn:a\"").as_deref(), Some("urn:a"));
    }
}
