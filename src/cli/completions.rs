//! `selfsame completions` and `selfsame man`: help for shells and for `man`, from the flags themselves.
use crate::{Error, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use std::{fs, path::PathBuf};

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame completions bash > ~/.local/share/bash-completion/completions/selfsame\n  selfsame completions zsh > _selfsame   # in a folder of $fpath"
)]
pub struct CompletionsArgs {
    shell: Shell,
}

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame man ~/.local/share/man/man1\n  selfsame man man/ && man man/selfsame-train.1"
)]
pub struct ManArgs {
    /// A folder: one page a command, selfsame*.1, is written there
    dir: PathBuf,
}

pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "selfsame", &mut script);
    results!("{}", String::from_utf8_lossy(&script));
    Ok(())
}

pub fn man(args: &ManArgs, command: Command) -> Result<()> {
    fs::create_dir_all(&args.dir).map_err(Error::file(&args.dir))?;
    clap_mangen::generate_to(command, &args.dir).map_err(Error::file(&args.dir))?;
    say!("{}: read one with  man {0}/selfsame.1", args.dir.display());
    Ok(())
}
