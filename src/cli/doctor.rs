//! `selfsame doctor`: what this machine is, and what to do about what it lacks.
mod launcher;
mod libraries;
mod machine;
mod selftest;

use crate::Result;
use clap::Args;
use serde::Serialize;
use std::{env, path::PathBuf};

/// What findings are of: `what` of `--json`, which stays.
const WHAT: &str = "version, processor, cores, memory, shared memory, open files, disk, flush, NVIDIA driver, libcuda, libnvrtc, launcher, CUDA kernels, products, cpu, cuda";

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  selfsame doctor --out /scratch/runs\n  selfsame doctor --json | jq '.[] | select(.verdict == \"warn\")'",
    after_long_help = format!("--json prints an array, one object a finding:\n  what     one of: {WHAT}; cuda once for each GPU\n  found    what there is, in words; empty where the system does not say\n  verdict  ok or warn\n  advice   what to do about it, where there is something to do\n\nExamples:\n  selfsame doctor --out /scratch/runs\n  selfsame doctor --json | jq '.[] | select(.verdict == \"warn\")'")
)]
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
    findings.extend(libraries::findings());
    findings.push(launcher::finding(|name| env::var(name).ok()));
    findings.extend(selftest::findings());
    if args.json {
        let json = serde_json::to_string(&findings).expect("strings");
        result!("{json}");
        return Ok(());
    }
    let known = findings.iter().filter(|finding| !finding.found.is_empty());
    for finding in known {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
        };
        result!("{verdict}  {:14} {}", finding.what, finding.found);
        if let Some(advice) = &finding.advice {
            result!("      {:14} -> {advice}", "");
        }
    }
    Ok(())
}
