//! The envelopes of the demo: those that it sends and prints, and those that its nodes answer with.

use crate::soap::Version;

/// First call, SOAP 1.1, WS-Addressing 2005/08.
pub const FIRST: &str = include_str!("../../../wsdl-samples/counter-soap11-wsa2005-first.xml");
/// Later call; `SERVICE_GROUP_ID` stands for the id.
pub const NEXT: &str = include_str!("../../../wsdl-samples/counter-soap11-wsa2005-next.xml");
/// A call of the cookie counter.
pub const COOKIE: &str = include_str!("../../../wsdl-samples/cookie-counter.xml");
/// The counter's WSDL.
pub const COUNTER_WSDL: &str = include_str!("../../../wsdl-samples/counter.wsdl");
/// The cookie counter's WSDL.
pub const COOKIE_WSDL: &str = include_str!("../../../wsdl-samples/cookie-counter.wsdl");
/// What stands for the id in [`NEXT`].
pub const ID_PLACE: &str = "SERVICE_GROUP_ID";
/// The authority in the WSDLs.
pub const WSDL_AUTHORITY: &str = "127.0.0.1:8280";

/// WS-Addressing of 2004/08.
pub const WSA_2004: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
/// WS-Addressing of 2005/08.
pub const WSA_2005: &str = "http://www.w3.org/2005/08/addressing";

/// The media type of a SOAP version.
pub fn content_type(version: Version) -> &'static str {
    match version {
        Version::V11 => "text/xml; charset=UTF-8",
        Version::V12 => "application/soap+xml; charset=UTF-8",
    }
}

/// An envelope with this Header content and this Body content, both XML.
pub fn envelope(version: Version, header: &str, body: &str) -> String {
    let namespace = match version {
        Version::V11 => crate::soap::NS_SOAP11,
        Version::V12 => crate::soap::NS_SOAP12,
    };
    let header = if header.is_empty() { String::new() } else { format!("<soapenv:Header>{header}</soapenv:Header>") };
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\
         <soapenv:Envelope xmlns:soapenv=\"{namespace}\">{header}<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )
}

/// The Body content of a Fault that the node is to blame for.
pub fn fault(version: Version, text: &str) -> String {
    let text = escaped(text);
    match version {
        Version::V11 => format!(
            "<soapenv:Fault><faultcode>soapenv:Server</faultcode><faultstring>{text}</faultstring><detail/></soapenv:Fault>"
        ),
        Version::V12 => format!(
            "<soapenv:Fault><soapenv:Code><soapenv:Value>soapenv:Receiver</soapenv:Value></soapenv:Code>\
             <soapenv:Reason><soapenv:Text xml:lang=\"en-US\">{text}</soapenv:Text></soapenv:Reason></soapenv:Fault>"
        ),
    }
}

/// The Header content of an Axis2 answer in these WS-Addressing terms: the id travels in the reference parameters of ReplyTo.
pub fn axis2_header(addressing: &str, relates_to: Option<&str>, session: &str) -> String {
    let nobody = if addressing == WSA_2004 { "/role/anonymous" } else { "/none" };
    let relates_to = relates_to.map_or(String::new(), |id| format!("<wsa:RelatesTo>{}</wsa:RelatesTo>", escaped(id)));
    format!(
        "<wsa:ReplyTo xmlns:wsa=\"{addressing}\"><wsa:Address>{addressing}{nobody}</wsa:Address><wsa:ReferenceParameters>\
         <axis2:ServiceGroupId xmlns:axis2=\"http://ws.apache.org/namespaces/axis2\">{}</axis2:ServiceGroupId>\
         </wsa:ReferenceParameters></wsa:ReplyTo><wsa:Action xmlns:wsa=\"{addressing}\">urn:nextResponse</wsa:Action>\
         {}",
        escaped(session),
        relates_to.replacen("<wsa:RelatesTo>", &format!("<wsa:RelatesTo xmlns:wsa=\"{addressing}\">"), 1)
    )
}

/// Text as element content.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
