//! What the program says: results on stdout, talk on stderr. A reader that has gone away (`| head -1`) ends
//! nothing: what runs goes on, and what is left to say is said to nobody.
use crate::{Error, Result, train::log};
use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
    sync::OnceLock,
};

/// How much is said beside results, warnings and errors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Nothing.
    Quiet,
    /// What is done, and how far it is.
    Usual,
    /// What was chosen, by whom, and how long each part took.
    Verbose,
}

static LOUDNESS: OnceLock<Loudness> = OnceLock::new();

/// For the whole process, once, before anything is said.
pub fn be(loudness: Loudness) {
    LOUDNESS.get_or_init(|| loudness);
}

pub fn loudness() -> Loudness {
    LOUDNESS.get().copied().unwrap_or(Loudness::Usual)
}

/// What stdout did not take, for a reason other than that nobody reads it.
static REFUSED: OnceLock<String> = OnceLock::new();

/// Errors where a result could not be written, on a full disk say: at the end, and once.
pub fn finish() -> Result<()> {
    match REFUSED.get() {
        Some(why) => Err(Error::File {
            path: "standard output".into(),
            source: io::Error::other(why.clone()),
        }),
        None => Ok(()),
    }
}

/// A line of what was asked for.
macro_rules! result {
    ($($text:tt)*) => { $crate::cli::talk::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Lines of what was asked for, each ended already.
macro_rules! results {
    ($($text:tt)*) => { $crate::cli::talk::write(format_args!($($text)*)) };
}

/// What is being done.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::talk::tell($crate::cli::talk::Loudness::Usual, format_args!($($text)*)) };
}

/// What was chosen, and by whom: with `-v` alone.
macro_rules! detail {
    ($($text:tt)*) => { $crate::cli::talk::tell($crate::cli::talk::Loudness::Verbose, format_args!($($text)*)) };
}

/// Said however quiet.
macro_rules! warn {
    ($($text:tt)*) => { $crate::cli::talk::tell($crate::cli::talk::Loudness::Quiet, format_args!($($text)*)) };
}

pub fn write(text: Arguments) {
    let mut stdout = io::stdout().lock();
    if let Err(why) = stdout.write_fmt(text).and_then(|()| stdout.flush())
        && why.kind() != ErrorKind::BrokenPipe
    {
        REFUSED.get_or_init(|| why.to_string());
    }
}

/// A line of talk, where as much is wanted.
pub fn tell(least: Loudness, line: Arguments) {
    if loudness() >= least {
        let _ = writeln!(io::stderr(), "{line}"); // nobody hears it
    }
}

/// Whether a bar may move on stderr.
pub fn may_draw() -> bool {
    loudness() >= Loudness::Usual && log::may_draw()
}
