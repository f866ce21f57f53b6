//! What started this process among others, and what that means here.
use super::Finding;

/// A launcher, and the variables that say which of how many processes this is.
struct Launcher {
    name: &'static str,
    rank: &'static str,
    size: &'static str,
    /// Where this variable is there, a run ends with its launcher, saved, with code 8.
    ends_runs: Option<&'static str>,
}

const LAUNCHERS: [Launcher; 4] = [
    Launcher {
        name: "torchrun or PyTorchJob",
        rank: "RANK",
        size: "WORLD_SIZE",
        ends_runs: Some("TORCHELASTIC_RUN_ID"),
    },
    Launcher {
        name: "PMI (MPICH, Intel, Cray)",
        rank: "PMI_RANK",
        size: "PMI_SIZE",
        ends_runs: Some("PMI_RANK"),
    },
    Launcher {
        name: "Slurm",
        rank: "SLURM_PROCID",
        size: "SLURM_NTASKS",
        ends_runs: None,
    },
    Launcher {
        name: "Open MPI",
        rank: "OMPI_COMM_WORLD_RANK",
        size: "OMPI_COMM_WORLD_SIZE",
        ends_runs: Some("OMPI_COMM_WORLD_RANK"),
    },
];

/// `variable` is the environment.
pub fn finding(variable: impl Fn(&str) -> Option<String>) -> Finding {
    let number = |name| variable(name)?.trim().parse::<u32>().ok();
    let (mut found, mut places) = (Vec::new(), Vec::new());
    for launcher in &LAUNCHERS {
        let (Some(rank), Some(size)) = (number(launcher.rank), number(launcher.size)) else {
            continue;
        };
        let Launcher { name, .. } = launcher;
        let (of_rank, of_size) = (launcher.rank, launcher.size);
        let ends = match launcher.ends_runs.and_then(&variable) {
            Some(_) => ", a run ends with it, saved",
            None => "",
        };
        found.push(format!("{name}: {of_rank}={rank}, {of_size}={size}{ends}"));
        places.push((rank, size));
    }
    let text = found.join("; ");
    if places.is_empty() {
        return Finding::ok("launcher", "none: one process");
    }
    if places.iter().any(|place| *place != places[0]) {
        let advice = "they disagree: a batch script's variables are perhaps left over; unset those that started nothing";
        return Finding::warn("launcher", text, advice);
    }
    match places[0].1 {
        0 | 1 => Finding::ok("launcher", text),
        _ => Finding::warn(
            "launcher",
            text,
            "a run trains on one device: each process would begin the same one, and all but one be refused; start one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Verdict, *};

    #[track_caller]
    fn judged(variables: &[(&str, &str)], verdict: Verdict, words: &[&str]) {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        };
        let finding = finding(variable);
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        for word in words {
            assert!(finding.found.contains(word), "no {word} in {finding:?}");
        }
    }

    #[test]
    fn each_launcher_is_known_by_its_variables() {
        judged(&[], Verdict::Ok, &["none"]);
        judged(&[("RANK", "3")], Verdict::Ok, &["none"]); // of how many?
        judged(
            &[("RANK", "3"), ("WORLD_SIZE", "4")],
            Verdict::Warn,
            &["torchrun or PyTorchJob: RANK=3, WORLD_SIZE=4"],
        );
        let one = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")];
        judged(&one, Verdict::Ok, &["Slurm: SLURM_PROCID=0"]);
        let ompi = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2")];
        judged(&ompi, Verdict::Warn, &["Open MPI"]);
        judged(
            &[&one[..], &ompi].concat(),
            Verdict::Warn,
            &["Slurm", "Open MPI"],
        );
        let pmi = [("PMI_RANK", "0"), ("PMI_SIZE", "1")];
        judged(&[&one[..], &pmi].concat(), Verdict::Ok, &["PMI"]);
    }
}
