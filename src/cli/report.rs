//! `selfsame report`: one page about a run, or about several side by side.
use super::{format::bytes, look::LookArgs};
use crate::{
    Error, Result,
    interop::{Existing, WholeFile},
    report::{Report, Summary},
};
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
#[command(
    after_help = "The page is one file that any browser shows, without a network. A run that is still going on has one too.\n\nExamples:\n  selfsame report runs/a\n  selfsame report runs/a runs/b --val labelled/val --out compared.html"
)]
pub struct ReportArgs {
    /// Runs' folders
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    look: LookArgs,
    /// [default: RUN/report.html, which is replaced]
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Replace --out where it exists
    #[arg(long)]
    force: bool,
}

pub fn run(args: &ReportArgs) -> Result<()> {
    let mut runs = Summary::read_all(&args.runs)?;
    let (out, existing) = match (&args.out, &args.runs[..]) {
        (Some(out), _) => (out.clone(), Existing::forced(args.force)),
        (None, [run]) => (run.join("report.html"), Existing::Replace),
        (None, _) => {
            return Err(Error::Config(
                "a page about several runs is no run's own\n  name its file: --out FILE.html"
                    .into(),
            ));
        }
    };
    existing.check(&out)?;
    let gallery = args.look.gallery(&mut runs)?;
    for run in &runs {
        for note in &run.notes {
            eprintln!("warning[{}]: {note}", run.name);
        }
    }
    let page = Report::new(runs, gallery).html();
    let mut file = WholeFile::create(&out, existing)?;
    file.write(page.as_bytes())?;
    file.finish()?;
    println!("{}  {}", out.display(), bytes(page.len() as u64));
    Ok(())
}
