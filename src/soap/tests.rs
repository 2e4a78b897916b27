//! What a reader finds, and that it finds the same however the message is cut.

use std::sync::Arc;

use super::*;

/// The prefixes of the tests' paths.
fn prefixes() -> Prefixes {
    let one = |prefix: &str, uri: &str| (prefix.to_owned(), vec![uri.to_owned()]);
    [one("a", "urn:a"), one("b", "urn:b"), one("x", "urn:x/*")].into()
}

/// `header PATH`, `body PATH`, `operation` or `fault`, separated by `|`.
fn wanted(rules: &str) -> (Wanted, Vec<(PathId, String)>) {
    let mut wanted = Wanted::new();
    let mut ids = Vec::new();
    for rule in rules.split('|').map(str::trim).filter(|rule| !rule.is_empty()) {
        let (part, path) = match rule.split_once(' ') {
            Some(("header", path)) => (Part::Header, path),
            Some(("body", path)) => (Part::Body, path),
            _ if rule == "operation" => {
                wanted.want_operation();
                continue;
            }
            _ => {
                wanted.want_fault();
                continue;
            }
        };
        ids.push((wanted.add(Path::parse(part, path, &prefixes()).expect("a path")), path.to_owned()));
    }
    (wanted, ids)
}

/// All that a reader says of a message.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    facts: String,
    stop: Stop,
}

/// Reads a message in these pieces.
fn read_pieces<'a>(
    wanted: &Arc<Wanted>,
    content: Content<'_>,
    limits: Limits,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Facts, Stop) {
    let mut reader = Reader::new(wanted.clone(), content, limits);
    for piece in pieces {
        reader.push(piece);
    }
    reader.end();
    let State::Stopped(stop) = reader.state().clone() else { panic!("an ended reader has stopped") };
    (reader.facts().clone(), stop)
}

/// Reads a message as a whole, cut at every byte, and byte by byte; all must say the same.
fn read(rules: &str, content: Content<'_>, message: &[u8]) -> (Facts, Stop, Vec<(PathId, String)>) {
    let (wanted, ids) = wanted(rules);
    let wanted = Arc::new(wanted);
    let said = |(facts, stop): (Facts, Stop)| Said { facts: format!("{facts:?}"), stop };
    let limits = Limits::default();
    let (facts, stop) = read_pieces(&wanted, content, limits, std::iter::once(message));
    let whole = said((facts.clone(), stop.clone()));
    assert_eq!(whole, said(read_pieces(&wanted, content, limits, message.chunks(1))), "byte by byte");
    for cut in 0..message.len() {
        let (left, right) = message.split_at(cut);
        let pieces = [left, right];
        assert_eq!(whole, said(read_pieces(&wanted, content, limits, pieces.into_iter())), "cut at {cut}");
    }
    (facts, stop, ids)
}

const XML: Content<'static> = Content { content_type: Some(b"text/xml"), content_encoding: None };

/// An envelope around this header and body; the prefixes `a`, `b`, `e` are bound.
fn envelope(header: &str, body: &str) -> String {
    format!(
        "<?xml version='1.0'?><e:Envelope xmlns:e='{NS_SOAP11}' xmlns:a='urn:a' xmlns:b='urn:b'>\
         <e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
    )
}

/// The values of the first path, in the order in which they were found; offsets must point at them.
#[track_caller]
fn check(rules: &str, header: &str, body: &str, values: &[&str]) {
    let message = envelope(header, body);
    let (facts, stop, ids) = read(rules, XML, message.as_bytes());
    let found: Vec<&str> =
        facts.found.iter().filter(|found| found.path == ids[0].0).map(|found| found.value.as_str()).collect();
    assert_eq!(found, values, "{rules} in {message}: {stop}");
    assert_eq!(stop, Stop::Decided, "{message}");
    for found in &facts.found {
        let at = &message[found.offset as usize..];
        let is_plain = message.contains(&found.value);
        assert!(!is_plain || at.starts_with(&found.value), "{} is not at {}", found.value, found.offset);
    }
}

#[test]
fn a_header_value_is_found_by_its_expanded_name() {
    check("header a:id", "<a:id>7</a:id>", "", &["7"]);
    check("header a:id", "<q:id xmlns:q='urn:a'>7</q:id>", "", &["7"]);
    check("header a:id", "<id xmlns='urn:a'>7</id>", "", &["7"]);
    check("header a:id", "<id xmlns='&#117;rn:a'>7</id>", "", &["7"]);
    check("header a:id", "<id>7</id><b:id>8</b:id>", "", &[]);
    check("header a:id", "<b:x><a:id>7</a:id></b:x>", "", &[]);
    check("header a:id", "<a:id xmlns:a='urn:b'>7</a:id>", "", &[]);
    check("header a:id", "<!-- <a:id>1</a:id> --><a:id>7</a:id>", "", &["7"]);
    check("header a:id", "", "<a:id>7</a:id>", &[]);
    check("header id", "<id>7</id>", "", &["7"]);
    check("header id", "<id xmlns='urn:a'>7</id>", "", &[]);
    check("header x:id", "<id xmlns='urn:x/2'>7</id>", "", &["7"]);
    check("header *:id", "<a:id>7</a:id><b:id>8</b:id><id>9</id>", "", &["7", "8", "9"]);
}

#[test]
fn a_value_is_the_trimmed_text_of_the_element() {
    check("header a:id", "<a:id> \n7 8\t</a:id>", "", &["7 8"]);
    check("header a:id", "<a:id><![CDATA[7<]]>8]]&gt;</a:id>", "", &["7<8]]>"]);
    check("header a:id", "<a:id><![CDATA[]]]]><![CDATA[>]]]></a:id>", "", &["]]>]"]);
    check("header a:id", "<a:id>7<!-- 1 -->8<?pi 2?>9</a:id>", "", &["789"]);
    check("header a:id", "<a:id>&#x37;&amp;&lt;8&quot;&apos;&gt;</a:id>", "", &["7&<8\"'>"]);
    check("header a:id", "<a:id>&lt;x>7&lt;/x></a:id>", "", &["<x>7</x>"]);
    check("header a:id", "<a:id>1<b:x>2<c>3</c></b:x>4</a:id>", "", &["1234"]);
    check("header a:id", "<a:id/>", "", &[""]);
    check("header a:id", "<a:id></a:id>", "", &[""]);
    check("header a:id", "<a:id>ключ €𝄞</a:id>", "", &["ключ €𝄞"]);
    check("header a:id", "<a:id>a\r\nb</a:id>", "", &["a\nb"]);
}

#[test]
fn steps_attributes_and_stars_lead_where_they_say() {
    check("header a:s/b:t/id", "<a:s><b:t><id>7</id></b:t><id>8</id></a:s>", "", &["7"]);
    check("header a:s/@id", "<a:s b:id='1' id=' 7 '/>", "", &["7"]);
    check("header a:s/@b:id", "<a:s id='1' b:id='7&amp;8'/>", "", &["7&8"]);
    check("header a:s/@id", "<a:s id=''/>", "", &[""]);
    check("header a:s/@*", "<a:s id='1' b:id='2' xmlns:z='urn:z'/>", "", &["1", "2"]);
    check("body */id", "", "<a:op><id>7</id></a:op>", &["7"]);
    check("body **/a:id", "", "<x><y><a:id>7</a:id></y></x><a:id>8</a:id>", &["7", "8"]);
    check("body **/a:id", "", "<a:id>1<a:id>2</a:id></a:id>", &["2", "12"]);
    check("body a:op/**/id", "", "<a:op><id>7</id><x><id>8</id></x></a:op><b:op><id>9</id></b:op>", &["7", "8"]);
    check("body **/a:op/**/id", "", "<a:op><a:op><id>7</id></a:op></a:op>", &["7"]);
    check("body **/@id", "", "<x id='1'><y id='2'/></x>", &["1", "2"]);
    check("body a:op/**/@id", "", "<a:op id='1'><y id='2'/></a:op><z id='3'/>", &["1", "2"]);
    check("body **", "", "<x>1<y>2</y></x>", &["2", "12"]);
    check("header a:*Key", "<a:OrderKey>7</a:OrderKey><a:Keys>8</a:Keys>", "", &["7"]);
    check("header a:t.x", "<a:t.x>7</a:t.x>", "", &["7"]);
    check("body a:Logout", "", "<a:Logout/>", &[""]);
    check("body a:Logout", "", "<a:Logout><x/></a:Logout>", &[""]);
}

#[test]
fn predicates_are_decided_by_attributes_or_by_children_before_or_after() {
    check("header a:s[@n='1']", "<a:s n='0'>6</a:s><a:s n='1'>7</a:s><a:s>8</a:s>", "", &["7"]);
    check("header a:s[@b:n='1'][@m=\"2\"]", "<a:s b:n='1'>6</a:s><a:s m='2' b:n='1'>7</a:s>", "", &["7"]);
    check("header a:s[k='1']/v", "<a:s><k>1</k><v>7</v></a:s><a:s><k>2</k><v>8</v></a:s>", "", &["7"]);
    check("header a:s[k='1']/v", "<a:s><v>7</v><k> 1 </k></a:s><a:s><v>8</v><k>2</k></a:s>", "", &["7"]);
    check("header a:s[k='1']/v", "<a:s><v>7</v></a:s>", "", &[]);
    check("header a:s[k='1']/v", "<a:s><v>7</v><x><k>1</k></x></a:s>", "", &[]);
    check("header a:s[k='1']/v", "<a:s><k>2</k><v>7</v><k>1</k></a:s>", "", &["7"]);
    check("header a:s[k='1'][l='2']/v/@w", "<a:s><l>2</l><v w='7'/><k>1</k></a:s>", "", &["7"]);
    check("header a:s[k='1']", "<a:s><k>1</k>7</a:s>", "", &["17"]);
    check("header a:s[k='1']/@id", "<a:s id='7'><k>1</k></a:s><a:s id='8'/>", "", &["7"]);
    check("body **/s[k='1']/**/v", "", "<s><s><v>7</v><k>1</k></s><k>1</k></s>", &["7"]);
    check("body **/s[k='1']/**/v", "", "<s><s><v>7</v></s><k>1</k></s>", &["7"]);
    check("body s[k='1']/t[l='2']/v", "", "<s><t><v>7</v><l>2</l></t><t><v>8</v><l>3</l></t><k>1</k></s>", &["7"]);
    check("body s[k='1']/k", "", "<s><k>1</k></s>", &["1"]);
}

#[test]
fn multirefs_are_followed() {
    check("header a:id", "<a:id href='#i'/>", "<x/><m id='i'>7</m>", &["7"]);
    check("header a:id", "<a:id href='#i'/>", "<m id='i'>7</m>", &["7"]);
    check("header a:s/id", "<a:s href='#i'/>", "<m id='i'><x/><id>7</id></m>", &["7"]);
    check("header a:id", "<a:id href='#i'></a:id>", "<x><y><m id='i'> 7 </m></y></x>", &["7"]);
    check("header a:id", "<a:id href='#i'> </a:id>", "<m id='j'>8</m><m id='i'>7</m>", &["7"]);
    check("header a:id", "<a:id href='#i'/>", "<m id='j'>8</m>", &[""]);
    check("header a:id", "<a:id href='#i'>6</a:id>", "<m id='i'>7</m>", &["6"]);
    check("header a:id", "<a:id href='i'/>", "<m id='i'>7</m>", &[""]);
    check("header a:id", "<a:id href='#i'/>", "<m id='i' href='#j'/><m id='j'>7</m>", &["7"]);
    check("header a:id", "<a:id href='#i'/>", "<m id='i' href='#i'/>", &[""]);
    check("header a:id", "<a:id href='#i'/>", "<m id='i' href='#j'/><m id='j' href='#i'/>", &[""]);
    let enc = "xmlns:n='http://www.w3.org/2003/05/soap-encoding'";
    check("header a:id", &format!("<a:id {enc} n:ref='i'/>"), &format!("<m {enc} n:id='i'>7</m>"), &["7"]);
    check("header a:id", &format!("<a:id {enc} n:ref='#i'/>"), "<m id='i'>7</m>", &["7"]);
    check("header a:id", "<a:id ref='#i'/>", "<m id='i'>7</m>", &[""]);
    check("header a:s/id", "<a:s href='#i'/>", "<m id='i'><id>7</id></m>", &["7"]);
    check("header a:s/id", "<a:s href='#i'/>", "<m id='i'><id href='#j'/></m><n id='j'>7</n>", &["7"]);
    check("header a:s/@id", "<a:s href='#i'/>", "<m id='i'/>", &[]);
    check("header a:s/@n", "<a:s href='#i'/>", "<m id='i' n='7'/>", &["7"]);
    check("header a:s[k='1']/v", "<a:s href='#i'/>", "<m id='i'><v>7</v><k>1</k></m>", &["7"]);
    check("header a:s[k='1']/v", "<a:s href='#i'/>", "<m id='i'><v>7</v><k>2</k></m>", &[]);
    check("header a:s[k='1']/v", "<a:s href='#i'/>", "<v>7</v>", &[]);
    check("body a:op/s/id", "", "<a:op><s href='#i'/></a:op><m id='i'><id>7</id></m>", &["7"]);
    check("body a:op/id", "", "<a:op><x id='i'>7</x><id href='#i'/></a:op>", &["7"]);
    check("body a:op/id", "", "<m id='i'>7</m><a:op><id href='#i'/></a:op>", &["7"]);
    check("body a:op/id", "", "<n><m id='i'>7</m></n><a:op><id href='#i'/></a:op>", &["7"]);
    check("body a:op/id", "", "<n><m id='i'>7<o/></m></n><a:op><id href='#i'/></a:op>", &[""]);
}

#[test]
fn what_the_envelope_holds_besides_is_passed_over() {
    let soap = |inside: &str| format!("<e:Envelope xmlns:e='{NS_SOAP12}' xmlns:a='urn:a'>{inside}</e:Envelope>");
    for (inside, values) in [
        ("<e:Header><a:id>1</a:id></e:Header><e:Header><a:id>2</a:id></e:Header><e:Body/>", vec!["1"]),
        ("<x><e:Header><a:id>2</a:id></e:Header></x><e:Header><a:id>1</a:id></e:Header><e:Body/>", vec!["1"]),
        ("<e:Body/><e:Header><a:id>1</a:id></e:Header>", vec![]),
        ("<Header><a:id>2</a:id></Header><e:Body/>", vec![]),
        ("<f:Header xmlns:f='http://schemas.xmlsoap.org/soap/envelope/'><a:id>2</a:id></f:Header><e:Body/>", vec![]),
        ("<f:Header xmlns:f='http://www.w3.org/2003/05/soap-envelope'><a:id>1</a:id></f:Header><e:Body/>", vec!["1"]),
        ("<e:Header/>", vec![]),
        ("", vec![]),
    ] {
        let (facts, stop, _) = read("header a:id | body a:op", XML, soap(inside).as_bytes());
        let found: Vec<&str> = facts.found.iter().map(|found| found.value.as_str()).collect();
        assert_eq!((found, stop), (values, Stop::Decided), "{inside}");
        assert_eq!(facts.version, Some(Version::V12));
    }
}

#[test]
fn the_operation_is_the_action_and_the_first_body_child() {
    for namespace in [
        "http://www.w3.org/2005/08/addressing",
        "http://schemas.xmlsoap.org/ws/2004/08/addressing",
        "http://schemas.xmlsoap.org/ws/2004/03/addressing",
        "http://schemas.xmlsoap.org/ws/2003/03/addressing",
    ] {
        let header = format!("<Action xmlns='{namespace}'> urn:act </Action>");
        let (facts, stop, _) = read("operation", XML, envelope(&header, "<a:op/><a:x/>").as_bytes());
        assert_eq!(facts.wsa_action.as_deref(), Some("urn:act"));
        assert_eq!(facts.body_child, Some(("urn:a".into(), "op".into())));
        assert_eq!((facts.fault, stop), (None, Stop::Decided));
    }
    let (facts, ..) = read("operation", XML, envelope("<a:Action>x</a:Action>", "<op/>").as_bytes());
    assert_eq!((facts.wsa_action, facts.body_child), (None, Some((String::new(), "op".into()))));
}

#[test]
fn a_fault_of_either_version_is_read() {
    let (facts, stop, _) = read(
        "fault",
        XML,
        envelope(
            "",
            "<e:Fault><faultcode>e:Client.Auth</faultcode><faultstring>No &amp; <![CDATA[no]]></faultstring>\
             <faultactor>me</faultactor><detail><a:Lost why='1'>gone<b:x/></a:Lost></detail></e:Fault>",
        )
        .as_bytes(),
    );
    let fault = facts.fault.expect("a fault");
    assert_eq!(fault.texts, ["e:Client.Auth", "Client.Auth", "No & no", "Lost", "gone", "x"]);
    assert!(fault.is_sender);
    assert_eq!(stop, Stop::Decided);
    let message = format!(
        "<e:Envelope xmlns:e='{NS_SOAP12}'><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode>\
         <e:Value>r:UnknownSequence</e:Value></e:Subcode></e:Code><e:Reason><e:Text xml:lang='en'>Eh?</e:Text></e:Reason>\
         <e:Role>r</e:Role><e:Detail><Id>7</Id></e:Detail></e:Fault></e:Body></e:Envelope>"
    );
    let fault = read("fault", XML, message.as_bytes()).0.fault.expect("a fault");
    assert_eq!(fault.texts, ["e:Sender", "Sender", "r:UnknownSequence", "UnknownSequence", "Eh?", "Id", "7"]);
    assert!(fault.is_sender);
    let (facts, ..) = read("fault", XML, envelope("", "<Fault/>").as_bytes());
    assert_eq!(facts.fault, None);
    let (facts, ..) = read("operation", XML, envelope("", "<e:Fault><faultcode>x</faultcode></e:Fault>").as_bytes());
    assert_eq!(facts.fault, Some(FaultFacts::default()));
}

#[test]
fn what_is_not_soap_is_told_apart() {
    let stops = |content: Content<'_>, message: &str| read("header a:id", content, message.as_bytes()).1;
    assert_eq!(stops(XML, ""), Stop::Empty);
    assert_eq!(stops(XML, "<html/>"), Stop::NotSoap);
    assert_eq!(stops(XML, "<Envelope xmlns='urn:schemas-xmlsoap-org:soap.v1'/>"), Stop::NotSoap);
    assert_eq!(stops(XML, "<e:Envelope/>"), Stop::NotSoap);
    for message in
        ["<!DOCTYPE a>", "<?xml version='1.0'?> <!DOCTYPE a [<!ENTITY x 'y'>]><a/>", "<!ELEMENT", "<![IGNORE["]
    {
        assert_eq!(stops(XML, message), Stop::Dtd, "{message}");
    }
    for message in [
        "{}",
        "a<b/>",
        "<",
        "<e:Envelope",
        "<!--",
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'>",
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'></e:Envelop>",
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'>&nbsp;",
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'>& ",
        "</a>",
        "<>",
        "< a>",
        "<?>",
    ] {
        assert!(matches!(stops(XML, message), Stop::Malformed(_)), "{message}: {:?}", stops(XML, message));
    }
}

#[test]
fn a_broken_message_keeps_what_was_found_before() {
    let message = envelope("<a:id>7</a:id><a:id>8</a:i>", "");
    let (facts, stop, _) = read("header a:id", XML, message.as_bytes());
    assert_eq!(facts.found.len(), 1);
    assert!(matches!(stop, Stop::Malformed(_)));
    // A value counts at its end tag only.
    let cut = &message[..message.find("8<").expect("there") + 1];
    assert_eq!(read("header a:id", XML, cut.as_bytes()).0.found.len(), 1);
}

#[test]
fn unbound_prefixes_are_tolerated_and_match_nothing() {
    check("header *:id", "<z:id>7</z:id><a:id xlmns:q='urn:q' z:y='1'>8</a:id>", "", &["8"]);
    check("header a:s/@*", "<a:s z:y='1' y='2'/>", "", &["2"]);
}

#[test]
fn a_value_is_never_cut_and_values_are_bounded() {
    let long = "x".repeat(5000);
    check("header a:id", &format!("<a:id>{long}</a:id>"), "", &[""]);
    let many = "<a:id>7</a:id><a:id/>".repeat(20);
    check("header a:id", &many, "", &["7", "", "7", "7", "7", "7", "7", "7", "7"]);
}
