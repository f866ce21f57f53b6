//! What is asked of every command's help.
use clap::Command;
use selfsame::cli::command;

const LINES: usize = 40;
const COLUMNS: usize = 100;
const EXAMPLES: usize = 2;

/// Every command and those below it, each with its whole name.
fn all() -> Vec<Command> {
    let mut root = command();
    root.build();
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(command) = open.pop() {
        let below = command.get_subcommands();
        open.extend(below.filter(|below| below.get_name() != "help").cloned());
        found.push(command);
    }
    found
}

fn name(command: &Command) -> String {
    command.get_bin_name().unwrap_or("selfsame").into()
}

/// The lines of it that can be typed.
fn examples(help: &str) -> Vec<&str> {
    let lines = help.lines().map(str::trim);
    lines.filter(|line| line.starts_with("selfsame ")).collect()
}

/// What a shell makes of an example: nothing of comments, redirections and other programs.
fn typed(example: &str) -> Vec<&str> {
    let end = ["#", ">", "|", "&&"];
    let words = example.split_whitespace();
    words.take_while(|word| !end.contains(word)).collect()
}

#[test]
fn short_help_fits_a_screen_and_has_examples() {
    for mut found in all() {
        let help = found.render_help().to_string();
        let (name, lines) = (name(&found), help.lines().count());
        assert!(lines <= LINES, "{name} -h has {lines} lines:\n{help}");
        let long = help.lines().find(|line| line.chars().count() > COLUMNS);
        assert_eq!(long, None, "{name} -h");
        let examples = examples(&help).len();
        assert!(examples >= EXAMPLES, "{name} -h has {examples} examples");
    }
}

#[test]
fn every_example_is_a_command_there_is() {
    for mut found in all() {
        let help = found.render_long_help().to_string();
        for example in examples(&help) {
            let parsed = command().try_get_matches_from(typed(example));
            if let Err(why) = parsed {
                panic!("{}: `{example}`: {why}", name(&found));
            }
        }
    }
    let wrong = "selfsame train photos/ --epoch 3 --out runs/a";
    assert!(command().try_get_matches_from(typed(wrong)).is_err());
}

#[test]
fn long_help_of_train_is_grouped_and_holds_what_the_short_one_does_not() {
    let mut train = command().find_subcommand_mut("train").unwrap().clone();
    let (short, long) = (train.render_help(), train.render_long_help());
    let (short, long) = (short.to_string(), long.to_string());
    for group in [
        "Data",
        "Method",
        "Schedule",
        "Engine",
        "Output",
        "Safety",
        "Configuration",
    ] {
        assert!(
            long.contains(&format!("\n{group}:\n")),
            "no {group}:\n{long}"
        );
    }
    for argument in train.get_arguments() {
        let Some(flag) = argument.get_long() else {
            continue;
        };
        let whole = |end: &str| long.contains(&format!("--{flag}{end}"));
        let shown = whole(" ") || whole("\n");
        assert_eq!(shown, !argument.is_hide_set(), "--{flag}");
    }
    assert!(
        short.contains("--batch") && !short.contains("--momentum"),
        "{short}"
    );
}

#[test]
fn no_two_flags_collide() {
    for command in all() {
        command.debug_assert();
    }
}
