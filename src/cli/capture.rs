//! `castile capture`: exchanges of a running gateway, masked, as files that `explain` and `test` read.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::admin_api::{AdminApi, AdminArgs};
use super::expectations::FILE;

/// What to capture.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only of this route, as the access log names it
    #[arg(long, value_name = "ROUTE")]
    pub route: Option<String>,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = crate::config::units::duration)]
    pub time: Duration,
    /// How many exchanges
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..80))]
    pub limit: u32,
    /// Mask only ids, passwords and tokens in bodies
    #[arg(long)]
    pub with_bodies: bool,
    /// The folder the files go to; made where it is absent
    #[arg(long, value_name = "DIR", default_value = "capture")]
    pub out: PathBuf,
    /// Whom to ask
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Beyond the time of the capture for its end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one line at most: two bodies and their heads in base64.
const LINE_MAX: u64 = 32 << 20;
const FAILED: u8 = 1;

/// Captures: 0, or 1 where the gateway refuses or cannot be reached.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match capture(args, err) {
        Ok(count) => {
            let _ = writeln!(out, "{count} exchanges in {}", args.out.display());
            ExitCode::SUCCESS
        }
        Err(message) => {
            let _ = writeln!(err, "error: {message}");
            ExitCode::from(FAILED)
        }
    }
}

fn capture(args: &Args, err: &mut dyn Write) -> Result<u32, String> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    std::fs::create_dir_all(&args.out).map_err(at(&args.out))?;
    if std::fs::read_dir(&args.out).map_err(at(&args.out))?.next().is_some() {
        return Err(format!("{} is not empty; name another folder by --out", args.out.display()));
    }
    let mut lines = ask(args)?;
    let mut expected = String::from("exchanges:\n");
    let mut count = 0;
    while let Some(line) = lines.next()? {
        let told: Value = serde_json::from_slice(&line).map_err(|_| strange(&args.admin.admin))?;
        let file = |kind: &str| args.out.join(format!("{:02}-{kind}.http", told["n"].as_u64().unwrap_or(0)));
        let write = |kind: &str| match told[kind].as_str().map(|text| STANDARD.decode(text)) {
            Some(Ok(bytes)) => std::fs::write(file(kind), bytes).map_err(at(&file(kind))),
            Some(Err(_)) => Err(strange(&args.admin.admin)),
            None => Ok(()),
        };
        write("request")?;
        write("response")?;
        count += 1;
        // Writing to a String cannot fail.
        let _ = match told["pinned"].as_bool() {
            Some(pinned) => writeln!(expected, "- {{n: {}, pinned: {pinned}}}", told["n"]),
            None => writeln!(expected, "- {{n: {}}}", told["n"]),
        };
        let _ =
            writeln!(err, "{:02} {}", told["n"].as_u64().unwrap_or(0), told["decision"].as_str().unwrap_or_default());
    }
    if count > 0 {
        let file = args.out.join(FILE);
        std::fs::write(&file, expected).map_err(at(&file))?;
    }
    Ok(count)
}

fn strange(admin: &str) -> String {
    format!("{admin} does not answer as an admin API does")
}

/// The lines of an answer in chunks.
struct Lines {
    admin: String,
    stream: BufReader<Box<dyn Read>>,
    /// Bytes of the chunk that are still to come.
    left: u64,
}

impl Lines {
    /// The next line; `None` at the end.
    fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            if self.left == 0 {
                self.left = self.chunk()?;
                if self.left == 0 {
                    return if line.is_empty() { Ok(None) } else { Err(strange(&self.admin)) };
                }
            }
            let before = line.len();
            (&mut self.stream).take(self.left).read_until(b'\n', &mut line).map_err(|error| self.broken(&error))?;
            self.left -= (line.len() - before) as u64;
            if line.len() == before || line.len() as u64 > LINE_MAX {
                return Err(strange(&self.admin));
            }
            if self.left == 0 {
                // Each chunk ends its line.
                self.text()?;
            }
        }
        Ok(Some(line))
    }

    fn chunk(&mut self) -> Result<u64, String> {
        let line = self.text()?;
        u64::from_str_radix(line.trim(), 16).map_err(|_| strange(&self.admin))
    }

    fn text(&mut self) -> Result<String, String> {
        let mut line = String::new();
        (&mut self.stream).take(1024).read_line(&mut line).map_err(|error| self.broken(&error))?;
        Ok(line)
    }

    fn broken(&self, error: &std::io::Error) -> String {
        format!("{} stopped answering: {error}", self.admin)
    }
}

fn ask(args: &Args) -> Result<Lines, String> {
    let api = AdminApi::new(&args.admin)?;
    let route: String = args.route.iter().flat_map(|route| route.bytes()).map(|byte| format!("%{byte:02X}")).collect();
    let query = format!(
        "route={route}&for={}&limit={}&with_bodies={}",
        crate::config::units::show_duration(args.time),
        args.limit,
        args.with_bodies
    );
    let stream = api.begin("POST", &format!("/v1/capture?{query}"), "", args.time + PATIENCE)?;
    let mut lines = Lines { admin: args.admin.admin.clone(), stream: BufReader::new(stream), left: 0 };
    let status = lines.text()?;
    let mut length = None;
    loop {
        let field = lines.text()?.to_ascii_lowercase();
        if field.trim().is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse::<u64>().ok();
        }
    }
    if status.split(' ').nth(1) == Some("200") {
        return Ok(lines);
    }
    let mut why = Vec::new();
    let _ = (&mut lines.stream).take(length.unwrap_or(0).min(64 << 10)).read_to_end(&mut why);
    Err(format!("refused: {}", String::from_utf8_lossy(&why).trim()))
}
