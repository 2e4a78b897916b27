//! `castile check`: is a file a configuration?

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::admin_api::AdminArgs;
use super::{reload, wsdl};
use crate::config::model::Source;
use crate::config::{Config, Loaded, Problem};
use crate::gateway::{Outlook, Snapshot, SnapshotError};
use crate::upstream::Registry;

/// What to check, and what to print.
#[derive(Debug, Clone, clap::Args)]
#[command(group(clap::ArgGroup::new("asked").args(["against", "wsdl"])))]
pub struct Args {
    /// The configuration file
    #[arg(value_name = "FILE", default_value = "config.yaml")]
    pub file: PathBuf,
    /// Print the configuration with every default filled in, as YAML; secrets are left out
    #[arg(long)]
    pub effective: bool,
    /// Print problems and warnings as JSON, one object a line: kind, file, line, column, key, message
    #[arg(long)]
    pub json: bool,
    /// Tell what taking the file over would do to the conversations of the gateway with this admin API
    #[arg(long, value_name = "ADMIN_URL", conflicts_with_all = ["effective", "wsdl"])]
    pub against: Option<String>,
    /// With --against: a file that holds a token of the admin API
    #[arg(long, value_name = "FILE", requires = "against")]
    pub token_file: Option<PathBuf>,
    /// Fetch this WSDL, from the gateway or from a node of the file, with what it imports; tell which addresses it
    /// publishes, whether clients that follow them stay on the gateway, and what rewrite would change
    #[arg(long, value_name = "URL")]
    pub wsdl: Option<String>,
    /// With --wsdl: what clients call the gateway, where the file does not tell
    #[arg(long, value_name = "URL", requires = "wsdl")]
    pub public: Option<String>,
    /// PEM file of the authorities that sign the certificate of https: of the admin API with --against (default: those of the
    /// system), of URLs that are no node's with --wsdl
    #[arg(long, value_name = "FILE", requires = "asked")]
    pub ca: Option<PathBuf>,
    /// With --against and https: PEM file of our certificate, where the API asks for one
    #[arg(long, value_name = "FILE", requires_all = ["against", "key"])]
    pub certificate: Option<PathBuf>,
    /// With --against and https: PEM file of its private key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
}

/// Exit code where the file has problems.
const PROBLEMS: u8 = 1;

/// Checks a file: 0 = it is a configuration, perhaps with warnings; 1 = it has problems.
///
/// Problems and warnings go to `err`, what was asked for goes to `out`.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let file = args.file.display();
    match Config::load(&args.file) {
        Ok(loaded) => {
            // What only compiling shows: certificates that are none, keys that do not fit.
            let compiled = Snapshot::compile(loaded.config.clone(), &Registry::default());
            if let Err(SnapshotError(found)) = &compiled {
                let problems =
                    found.clone().into_iter().map(|(at, message)| loaded.places.problem(at, "", message)).collect();
                return refused(args, problems, err);
            }
            let found = lists(&loaded);
            for warning in loaded.warnings.iter().chain(&found) {
                tell("warning", warning, args.json, err);
            }
            if let (Some(url), Ok(snapshot)) = (&args.against, &compiled) {
                let admin = AdminArgs {
                    admin: url.clone(),
                    token_file: args.token_file.clone(),
                    ca: args.ca.clone(),
                    certificate: args.certificate.clone(),
                    key: args.key.clone(),
                };
                return match reload::preview(&Outlook::of(snapshot), &admin, args.json, out) {
                    Ok(true) => ExitCode::SUCCESS,
                    Ok(false) => ExitCode::from(PROBLEMS),
                    Err(message) => {
                        let _ = writeln!(err, "error: {message}");
                        ExitCode::from(PROBLEMS)
                    }
                };
            }
            if let Some(url) = &args.wsdl {
                let (public, ca) = (args.public.as_deref(), args.ca.as_deref());
                let question = wsdl::Question { url, public, ca, json: args.json };
                return match wsdl::tell(&loaded.config, &question, out) {
                    Ok(true) => ExitCode::SUCCESS,
                    Ok(false) => ExitCode::from(PROBLEMS),
                    Err(message) => {
                        let _ = writeln!(err, "error: {message}");
                        ExitCode::from(PROBLEMS)
                    }
                };
            }
            // Whoever closes the pipe early has seen enough, so failed writes are nobody's concern.
            if args.effective {
                let _ = write!(out, "{}", loaded.effective.to_yaml());
            } else if !args.json {
                let _ = writeln!(out, "{file}: good{}", count(loaded.warnings.len() + found.len(), "warning", ", "));
            }
            ExitCode::SUCCESS
        }
        Err(problems) => refused(args, problems, err),
    }
}

/// What is wrong with the lists of nodes that the file names. They are no part of it, so they do not make it wrong.
fn lists(loaded: &Loaded) -> Vec<Problem> {
    let mut found = Vec::new();
    for upstream in &loaded.config.upstreams {
        for (number, discovery) in upstream.discovery.iter().enumerate() {
            let Source::File(path) = &discovery.source else { continue };
            if let Err(why) = crate::discovery::read_file(path) {
                let key = format!("upstreams.{}.discovery[{number}].file", upstream.name);
                let message = format!("no node is found here as long as this is so: {why}");
                found.push(loaded.places.problem(discovery.at, key, message));
            }
        }
    }
    found
}

fn refused(args: &Args, problems: Vec<Problem>, err: &mut dyn Write) -> ExitCode {
    for problem in &problems {
        tell("problem", problem, args.json, err);
    }
    if !args.json {
        let _ = writeln!(err, "{}: {}", args.file.display(), count(problems.len(), "problem", ""));
    }
    ExitCode::from(PROBLEMS)
}

fn tell(kind: &str, problem: &Problem, json: bool, err: &mut dyn Write) {
    let _ = if json {
        let line = serde_json::json!({
            "kind": kind,
            "file": problem.place.file,
            "line": problem.place.line,
            "column": problem.place.column,
            "key": problem.key,
            "message": problem.message,
        });
        writeln!(err, "{line}")
    } else if kind == "warning" {
        writeln!(err, "warning: {problem}")
    } else {
        writeln!(err, "{problem}")
    };
}

fn count(number: usize, what: &str, before: &str) -> String {
    match number {
        0 => String::new(),
        1 => format!("{before}1 {what}"),
        _ => format!("{before}{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, effective: bool, json: bool) -> (bool, String, String) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("c.yaml");
        std::fs::write(&file, text).expect("a file can be written");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(
            &Args {
                file,
                effective,
                json,
                against: None,
                token_file: None,
                wsdl: None,
                public: None,
                ca: None,
                certificate: None,
                key: None,
            },
            &mut out,
            &mut err,
        );
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("messages are text");
        (code == ExitCode::SUCCESS, text(out), text(err))
    }

    const GOOD: &str = "listeners: [{name: a, address: '127.0.0.1:0'}]\nroutes: [{upstream: u}]\n\
                        upstreams: {u: {nodes: [{name: n, url: 'http://h'}]}}\n";

    #[test]
    fn a_good_file_is_called_good() {
        let (good, out, err) = check(GOOD, false, false);
        assert!(good && out.ends_with("c.yaml: good\n") && err.is_empty(), "{out}{err}");
    }

    #[test]
    fn a_bad_one_is_not_and_says_how_many() {
        let (good, out, err) = check("workrs: 1\nlisteners: [1]\n", false, false);
        assert!(
            !good && out.is_empty() && err.contains("did you mean workers?") && err.contains(" problems\n"),
            "{err}"
        );
        let (_, _, err) = check("workrs: 1\n", false, true);
        let first: serde_json::Value =
            serde_json::from_str(err.lines().next().unwrap_or_default()).expect("a line of JSON");
        assert_eq!(first["kind"], "problem");
    }

    #[test]
    fn a_list_of_nodes_is_looked_at() {
        let text =
            |list: &str| GOOD.replace("nodes: [{name: n, url: 'http://h'}]", &format!("discovery: [{{file: {list}}}]"));
        let (good, out, err) = check(&text("nowhere.yaml"), false, false);
        assert!(
            good && out.contains("1 warning") && err.contains("upstreams.u.discovery[0].file: no node"),
            "{out}{err}"
        );
        let (good, _, err) = check(&text("c.yaml"), false, false);
        assert!(good && err.contains("c.yaml:1:1: ") && err.contains("a list belongs here"), "{err}");
    }

    #[test]
    fn the_effective_configuration_is_one() {
        let (_, out, _) = check(GOOD, true, false);
        let (good, again, err) = check(&out, true, false);
        assert!(good, "{out}{err}");
        assert_eq!(out, again);
    }
}
