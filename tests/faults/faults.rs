//! Faults in real processes: the gateway, nodes that keep a ledger, clients that know what they were told. README.md beside
//! this file tells how it is used.

mod client;
mod ledger;
mod load;
mod node;
mod process;
mod scenarios;
mod stage;
mod table;
mod toy;
mod verdict;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, clap::Parser)]
#[command(name = "tests/faults/run", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// The gateway's program
    #[arg(long, default_value = "target/debug/castile")]
    castile: PathBuf,
    /// Say what there is, and run nothing
    #[arg(long)]
    list: bool,
    /// A fifth of the requests, and the quick scenarios only
    #[arg(long)]
    short: bool,
    /// Run one scenario in the namespaces that this process was put in
    #[arg(long, hide = true)]
    inside: bool,
    /// What to run; all of them if none is named
    scenarios: Vec<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Role {
    /// Be a node
    #[command(hide = true)]
    Node(node::Args),
    /// Be a proxy that retries what it must not
    #[command(hide = true)]
    Toy(toy::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    match &args.role {
        Some(Role::Node(node)) => end(node::run(node.clone())),
        Some(Role::Toy(toy)) => end(toy::run(toy)),
        None if args.list => {
            table::list(scenarios::ALL);
            ExitCode::SUCCESS
        }
        None => run(&args),
    }
}

fn end(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> ExitCode {
    let mut chosen = Vec::new();
    for name in &args.scenarios {
        match scenarios::ALL.iter().find(|scenario| scenario.name == name) {
            Some(scenario) => chosen.push(scenario),
            None => {
                eprintln!("there is no scenario {name}; --list tells which there are");
                return ExitCode::from(2);
            }
        }
    }
    if chosen.is_empty() {
        chosen = scenarios::ALL.iter().filter(|scenario| !args.short || scenario.quick).collect();
    }
    let play = scenarios::Play { castile: args.castile.clone(), short: args.short };
    if args.inside {
        return scenarios::inside(&play, &chosen);
    }
    let mut rows = Vec::new();
    for scenario in chosen {
        eprint!("{:24} ", scenario.name);
        let began = std::time::Instant::now();
        let row = scenario.run(&play);
        eprintln!("{:5.1} s  {}", began.elapsed().as_secs_f64(), table::verdict(&row));
        rows.push(row);
    }
    println!("{}", table::table(&rows));
    if rows.iter().all(|row| row.complaints.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
