use std::{
    fmt::Display,
    io::{Write, stderr},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

fn main() -> ExitCode {
    match catch_unwind(AssertUnwindSafe(selfsame::cli::run)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            say(&error);
            ExitCode::from(error.exit_code() as u8)
        }
        Err(_) => {
            say(&concat!(
                "error[bug]: selfsame ",
                env!("CARGO_PKG_VERSION"),
                " has a bug; please report the lines above, the command and the output of `selfsame doctor` to the project's issues"
            ));
            ExitCode::from(1)
        }
    }
}

/// To nobody, where nobody listens.
fn say(text: &dyn Display) {
    let _ = writeln!(stderr(), "{text}");
}
