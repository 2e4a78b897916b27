//! What the demo prints.

use std::io::{self, IsTerminal, Write};

use super::client::{Reply, call};
use super::{PLAIN_PREFIX, Stage, envelopes};

/// Calls of one conversation.
const CALLS: u32 = 3;
const AXIS2: &str = "/axis2/services/Counter";
const COOKIE: &str = "/cookie/Counter";

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// Colours where a person looks at them.
    pub fn for_stdout() -> Self {
        Self(io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    /// No colours.
    #[cfg(test)]
    pub fn none() -> Self {
        Self(false)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
}

/// Runs and prints the conversations. Whether those through stickiness counted up on one node.
///
/// # Errors
/// The gateway does not answer.
pub async fn show(stage: &Stage, paint: Paint, out: &mut dyn Write) -> io::Result<bool> {
    writeln!(out, "{}", paint.bold("Three nodes, each with sessions that no other node knows"))?;
    for (name, address) in &stage.nodes {
        writeln!(out, "  {name}  http://{address}")?;
    }
    writeln!(out, "Castile in front of them, with {}\n  http://{}\n", stage.config, stage.gateway)?;

    writeln!(out, "{}", paint.bold("A counter that knows its caller by an id in a SOAP header (Apache Axis2)"))?;
    writeln!(out, "  through Castile, preset axis2-soapsession:")?;
    let kept = conversation(stage, AXIS2, paint, out).await?;
    writeln!(out, "  through plain round robin, the same nodes:")?;
    conversation(stage, &format!("{PLAIN_PREFIX}{AXIS2}"), paint, out).await?;

    writeln!(out, "\n{}", paint.bold("A counter that knows its caller by a cookie"))?;
    writeln!(out, "  through Castile, preset servlet-jsessionid:")?;
    let kept_too = conversation(stage, COOKIE, paint, out).await?;
    writeln!(out, "  through plain round robin: nobody is told that the state is gone")?;
    conversation(stage, &format!("{PLAIN_PREFIX}{COOKIE}"), paint, out).await?;
    writeln!(out)?;
    Ok(kept && kept_too)
}

/// Three calls of one client. Whether one node counted them all.
async fn conversation(stage: &Stage, path: &str, paint: Paint, out: &mut dyn Write) -> io::Result<bool> {
    let is_cookie = path.ends_with(COOKIE);
    let (mut id, mut cookie): (Option<String>, Option<String>) = (None, None);
    let mut first_node = None;
    let mut kept = true;
    for number in 1..=CALLS {
        let envelope = match &id {
            _ if is_cookie => envelopes::COOKIE.to_owned(),
            None => envelopes::FIRST.to_owned(),
            Some(id) => envelopes::NEXT.replace(envelopes::ID_PLACE, &envelopes::escaped(id)),
        };
        let reply = call(stage.gateway, path, cookie.as_deref(), &envelope).await?;
        let node = reply.node.clone();
        let is_right = reply.count == Some(number) && (first_node.is_none() || node == first_node);
        kept &= is_right;
        writeln!(out, "    call {number}  {}", told(&reply, number, is_right, paint))?;
        id = reply.id.or(id);
        cookie = reply.cookie.or(cookie);
        first_node = first_node.or(node);
    }
    Ok(kept)
}

fn told(reply: &Reply, number: u32, is_right: bool, paint: Paint) -> String {
    let brings = match (&reply.id, &reply.cookie) {
        (Some(_), _) if number == 1 => paint.dim("  the answer brings the id"),
        (_, Some(_)) => paint.dim("  the answer sets the cookie"),
        _ => String::new(),
    };
    match (&reply.fault, reply.count) {
        (Some(fault), _) => {
            // The id itself is long and says nothing here.
            let text = fault.split(": urn:").next().unwrap_or_default();
            paint.bad(&format!("Fault    {text}"))
        }
        (None, Some(count)) => {
            let line = format!("{}  counter {count}", reply.node.as_deref().unwrap_or("?"));
            format!("{}{brings}", if is_right { paint.good(&line) } else { paint.bad(&line) })
        }
        (None, None) => paint.bad("no counter in the answer"),
    }
}

/// Prints what can be tried while the demo stays up.
///
/// # Errors
/// Nobody reads.
pub fn invite(stage: &Stage, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let url = format!("http://{}", stage.gateway);
    writeln!(out, "{}", paint.bold("Try it yourself, from the root of the sources"))?;
    let soap = "-H 'Content-Type: text/xml; charset=UTF-8' -H 'SOAPAction: \"urn:next\"'";
    let lines = [
        format!("curl {url}{AXIS2}?wsdl"),
        "# begin a conversation and keep its id".to_owned(),
        format!("id=$(curl -s {soap} --data-binary @wsdl-samples/counter-soap11-wsa2005-first.xml {url}{AXIS2} \\"),
        "  | sed -n 's/.*ServiceGroupId[^>]*>\\([^<][^<]*\\)<.*/\\1/p')".to_owned(),
        "# go on in it, as often as you like".to_owned(),
        "sed \"s/SERVICE_GROUP_ID/$id/\" wsdl-samples/counter-soap11-wsa2005-next.xml \\".to_owned(),
        format!("  | curl -s {soap} --data-binary @- {url}{AXIS2}"),
        "# the same without stickiness".to_owned(),
        "sed \"s/SERVICE_GROUP_ID/$id/\" wsdl-samples/counter-soap11-wsa2005-next.xml \\".to_owned(),
        format!("  | curl -s {soap} --data-binary @- {url}{PLAIN_PREFIX}{AXIS2}"),
        "# the cookie counter".to_owned(),
        format!("curl -s -b jar -c jar {soap} --data-binary @wsdl-samples/cookie-counter.xml {url}{COOKIE}"),
    ];
    for line in lines {
        let line = if line.starts_with('#') { paint.dim(&line) } else { line };
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "\nCtrl-C ends the demo.")?;
    out.flush()
}
