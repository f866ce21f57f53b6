//! `selfsame doctor`: what this machine is, and what to do about what it lacks.
mod machine;
mod selftest;

use crate::Result;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// The folder runs will be written to: its disk is looked at
    #[arg(long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
    /// A JSON array on stdout
    #[arg(long)]
    json: bool,
}

/// One finding.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    found: String,
    verdict: Verdict,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            what,
            found: found.into(),
            verdict: Verdict::Ok,
            advice: None,
        }
    }

    fn warn(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            what,
            found: found.into(),
            verdict: Verdict::Warn,
            advice: Some(advice.into()),
        }
    }
}

/// Ends with success whatever it finds: a warning is advice, not a failure.
pub fn run(args: &DoctorArgs) -> Result<()> {
    let mut findings = machine::findings(&args.out);
    findings.extend(selftest::findings());
    if args.json {
        let json = serde_json::to_string(&findings).expect("strings");
        println!("{json}");
        return Ok(());
    }
    for finding in &findings {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
        };
        println!("{verdict}  {:14} {}", finding.what, finding.found);
        if let Some(advice) = &finding.advice {
            println!("      {:14} -> {advice}", "");
        }
    }
    Ok(())
}
