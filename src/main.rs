use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

fn main() -> ExitCode {
    match catch_unwind(AssertUnwindSafe(selfsame::cli::run)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code() as u8)
        }
        Err(_) => {
            eprintln!(
                "error[bug]: selfsame {} has a bug; please report the lines above, the command and the output of `selfsame doctor` to the project's issues",
                env!("CARGO_PKG_VERSION")
            );
            ExitCode::from(1)
        }
    }
}
