//! The rules of the house, held by a test. A rule is a function from a file to complaints; the tests
//! below it show each one failing, then `the_house_is_tidy` asks them of every file.
//!
//! Changing a rule is fine, with its reason; working around one is not.
use std::{collections::BTreeSet, fs, path::Path};

mod source;
use source::{crate_paths, files, functions, is_code, without_comments, without_strings};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

/// Which room may use which: lib.rs draws the same. `cli` is above all, `lib.rs` and `main.rs` too.
const ARROWS: [(&str, &[&str]); 19] = [
    ("error", &[]),
    ("random", &[]),
    ("shape", &[]),
    ("device", &["error", "shape"]),
    ("tensor", &["error", "shape", "device"]),
    ("tape", &["error", "shape", "device", "tensor"]),
    (
        "ops",
        &["error", "random", "shape", "device", "tensor", "tape"],
    ),
    (
        "nn",
        &[
            "error", "random", "shape", "device", "tensor", "tape", "ops",
        ],
    ),
    (
        "methods",
        &[
            "error", "random", "shape", "device", "tensor", "tape", "ops", "nn",
        ],
    ),
    ("fault", &["error", "random"]),
    // The device for `Mapped` alone: a mapped file needs `unsafe`.
    ("data", &["error", "random", "shape", "fault", "device"]),
    ("interop", &["error", "shape"]),
    ("config", &["error", "data"]),
    ("figure", &["error"]),
    // Not methods: a frozen encoder is judged whatever trained it.
    (
        "evaluate",
        &[
            "error", "random", "shape", "device", "tensor", "tape", "ops", "nn", "data", "interop",
        ],
    ),
    // kNN while training: train looks at evaluate, never the other way.
    (
        "train",
        &[
            "error", "random", "shape", "device", "tensor", "tape", "ops", "nn", "methods", "data",
            "interop", "config", "evaluate", "fault",
        ],
    ),
    (
        "study",
        &[
            "error", "shape", "device", "tensor", "nn", "data", "interop", "config", "evaluate",
            "train", "figure",
        ],
    ),
    (
        "report",
        &[
            "error", "device", "tensor", "tape", "ops", "nn", "data", "interop", "config",
            "evaluate", "train", "figure",
        ],
    ),
    (
        "cli",
        &[
            "error", "random", "shape", "device", "tensor", "tape", "ops", "nn", "methods", "data",
            "interop", "config", "evaluate", "train", "figure", "study", "report", "fault",
        ],
    ),
];

/// What the crate's root exports from a room.
const REEXPORTS: [(&str, &str); 6] = [
    ("Error", "error"),
    ("Result", "error"),
    ("Device", "device"),
    ("Tensor", "tensor"),
    ("Tape", "tape"),
    ("Var", "tape"),
];

/// `src/ops/relu.rs` -> `ops`; `src/tape.rs` -> `tape`.
fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let room = inside.split('/').next()?;
    let room = room.strip_suffix(".rs").unwrap_or(room);
    (!["lib", "main"].contains(&room)).then_some(room)
}

fn arrows(path: &str, text: &str) -> Vec<String> {
    let Some(room) = room(path) else {
        return Vec::new();
    };
    let Some((_, may)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("the room `{room}` is not in the table of arrows")];
    };
    let used = crate_paths(text).into_iter().map(|name| {
        let export = REEXPORTS.iter().find(|(exported, _)| *exported == name);
        export.map_or(name, |(_, room)| room.to_string())
    });
    let strangers: BTreeSet<String> = used
        .filter(|used| used != room && !may.contains(&used.as_str()))
        .collect();
    let complain = |used| format!("`{room}` may not use `{used}`");
    strangers.into_iter().map(complain).collect()
}

/// `unsafe` is the device's; and so is CUDA: nothing above knows of it but by `Device::cuda`.
fn unsafe_is_the_devices(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("src/") || path.starts_with("src/device/") || !path.ends_with(".rs") {
        return Vec::new();
    }
    let code = without_strings(&without_comments(text));
    let words = |line: &str| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == "unsafe" || word == "cudarc")
    };
    let complain = |(at, line): (usize, &str)| format!("line {}: {}", at + 1, line.trim());
    code.lines()
        .enumerate()
        .filter(|(_, line)| words(line))
        .map(complain)
        .collect()
}

fn lengths(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES {
        complaints.push(format!("{lines} lines, {FILE_LINES} are the limit"));
    }
    for (name, lines) in functions(path, text) {
        if lines > FUNCTION_LINES {
            complaints.push(format!(
                "{name} has {lines} lines, {FUNCTION_LINES} are the limit"
            ));
        }
    }
    complaints
}

/// Libraries are silent: who calls them decides what is said.
fn silence(path: &str, text: &str) -> Vec<String> {
    let speaks = path.starts_with("src/cli/")
        || ["src/cli.rs", "src/main.rs", "src/train/log.rs"].contains(&path)
        || path.starts_with("src/device/build/"); // part of the build script: cargo listens to it
    if !path.starts_with("src/") || speaks {
        return Vec::new();
    }
    let code = without_strings(&without_comments(text));
    let said = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
    let loud = |line: &str| said.iter().any(|word| line.contains(word));
    let complain = |(at, line): (usize, &str)| format!("line {}: {}", at + 1, line.trim());
    code.lines()
        .enumerate()
        .filter(|(_, line)| loud(line))
        .map(complain)
        .collect()
}

/// Written apart, so that this file may hold them.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("unimplemented", "!"),
    concat!("todo", "!"),
];
const MACHINES: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
];

fn finished(_: &str, text: &str) -> Vec<String> {
    let words = UNFINISHED.iter().chain(&MACHINES);
    let held = words.filter(|word| text.contains(**word));
    held.map(|word| format!("holds `{word}`")).collect()
}

/// A parameter struct is documented by the comment above it: pointers with their shapes.
fn shapes(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("kernels/") || !path.ends_with(".cu") {
        return Vec::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut complaints = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("struct ") else {
            continue;
        };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
        if !takes_kernel(text, &name) {
            continue;
        }
        let above = lines[..at].iter().rev().take_while(|l| l.starts_with("//"));
        if !above.into_iter().any(|comment| comment.contains('(')) {
            complaints.push(format!("no shapes, like `x (n, d)`, above struct {name}"));
        }
    }
    complaints
}

fn takes_kernel(text: &str, name: &str) -> bool {
    let heads = text.lines().filter(|line| line.starts_with("KERNEL"));
    heads.into_iter().any(|head| {
        let mut words = head.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == name)
    })
}

/// One op, one name, four rooms. A family (`augment_color` of `augment`) may share its tests and benches.
fn rooms(paths: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in paths {
        let kernel = path
            .strip_prefix("kernels/")
            .and_then(|p| p.strip_suffix(".cu"));
        let Some(op) = kernel else { continue };
        for room in ["src/ops", "tests/ops", "benches/ops"] {
            let has = |name: &str| paths.contains(&format!("{room}/{name}.rs"));
            let family = op.match_indices('_').any(|(end, _)| has(&op[..end]));
            let known = has(op) || (family && room != "src/ops");
            if !known {
                complaints.push(format!("{path}: its room {room}/{op}.rs is missing"));
            }
        }
    }
    complaints
}

type Rule = fn(&str, &str) -> Vec<String>;
const RULES: [Rule; 6] = [
    arrows,
    unsafe_is_the_devices,
    lengths,
    silence,
    finished,
    shapes,
];

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = files(root);
    assert!(paths.contains("src/lib.rs") && paths.contains("tests/tidy/main.rs"));
    let mut complaints = rooms(&paths);
    for path in &paths {
        let Ok(text) = fs::read_to_string(root.join(path)) else {
            continue; // an image, a recorded failure
        };
        let rules: &[Rule] = if is_code(path) { &RULES } else { &[finished] };
        let found = rules.iter().flat_map(|rule| rule(path, &text));
        complaints.extend(found.map(|complaint| format!("{path}: {complaint}")));
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn an_arrow_that_points_up_is_seen() {
    assert_eq!(
        arrows("src/ops/x.rs", "use crate::{Result, nn::{Pass, Layout}};"),
        ["`ops` may not use `nn`"]
    );
    assert_eq!(
        arrows("src/device/x.rs", "let t = crate::Tensor::new();"),
        ["`device` may not use `tensor`"]
    );
    assert!(
        arrows(
            "src/ops/x.rs",
            "use crate::{Result, Tensor};\nuse crate::ops::copy;"
        )
        .is_empty()
    );
    assert!(arrows("src/ops/x.rs", "// crate::nn\nlet x = \"crate::nn\";").is_empty());
    assert!(!arrows("src/attic/x.rs", "").is_empty());
    assert!(arrows("src/lib.rs", "use crate::cli;").is_empty());
}

#[test]
fn unsafe_outside_the_device_is_seen() {
    let code = "fn f() {\n    unsafe { g() }\n}";
    assert_eq!(
        unsafe_is_the_devices("src/ops/x.rs", code),
        ["line 2: unsafe { g() }"]
    );
    assert!(unsafe_is_the_devices("src/device/x.rs", code).is_empty());
    assert!(unsafe_is_the_devices("src/ops/x.rs", "// unsafe\nlet unsafety = 1;").is_empty());
    assert!(!unsafe_is_the_devices("src/train/x.rs", "use cudarc::driver;").is_empty());
}

#[test]
fn length_is_seen() {
    assert!(lengths("src/x.rs", &"\n".repeat(FILE_LINES)).is_empty());
    assert_eq!(lengths("src/x.rs", &"\n".repeat(FILE_LINES + 1)).len(), 1);
    let body = "    x();\n".repeat(FUNCTION_LINES - 2);
    assert!(lengths("src/x.rs", &format!("pub fn f() {{\n{body}}}\n")).is_empty());
    let inner = body.replace("    ", "        ");
    let long = format!("impl A {{\n    fn g(\n        a: u8,\n    ) {{\n{inner}    }}\n}}\n");
    assert_eq!(
        lengths("src/x.rs", &long),
        ["g has 72 lines, 70 are the limit"]
    );
    let python = format!("def h():\n{body}\n    return\n    1\nx = 1\n");
    assert_eq!(
        lengths("benches/x.py", &python),
        ["h has 72 lines, 70 are the limit"]
    );
    let kernel = format!("KERNEL(relu, Relu) {{\n{body}  x();\n}}\n");
    assert_eq!(
        lengths("kernels/x.cu", &kernel),
        ["relu has 71 lines, 70 are the limit"]
    );
}

#[test]
fn speech_is_heard() {
    assert_eq!(
        silence("src/ops/x.rs", "println!(\"a\");"),
        ["line 1: println!(\"\");"]
    );
    assert!(silence("src/cli/x.rs", "println!(\"a\");").is_empty());
    assert!(silence("src/ops/x.rs", "writeln!(text, \"println!\") // println!").is_empty());
}

#[test]
fn what_is_unfinished_is_seen() {
    for word in UNFINISHED.iter().chain(&MACHINES) {
        let text = format!("// {word} later");
        assert_eq!(finished("src/x.rs", &text), [format!("holds `{word}`")]);
    }
}

#[test]
fn a_struct_without_shapes_is_seen() {
    let good = "// x, y (n).\nstruct Relu { u64 n; };\n\nKERNEL(relu, Relu) {\n}\n";
    assert!(shapes("kernels/x.cu", good).is_empty());
    let bad = good.replace("// x, y (n).", "// a relu");
    assert_eq!(
        shapes("kernels/x.cu", &bad),
        ["no shapes, like `x (n, d)`, above struct Relu"]
    );
    let helper = "struct Pair { float a, b; };\n";
    assert!(shapes("kernels/x.cu", helper).is_empty());
}

#[test]
fn a_missing_room_is_seen() {
    let all = [
        "kernels/relu.cu",
        "src/ops/relu.rs",
        "tests/ops/relu.rs",
        "benches/ops/relu.rs",
    ];
    let mut all: BTreeSet<String> = all.iter().map(|path| path.to_string()).collect();
    assert!(rooms(&all).is_empty());
    all.extend(["kernels/relu_6.cu".into(), "src/ops/relu_6.rs".into()]);
    assert!(rooms(&all).is_empty());
    all.remove("benches/ops/relu.rs");
    all.remove("src/ops/relu_6.rs");
    assert_eq!(
        rooms(&all),
        [
            "kernels/relu.cu: its room benches/ops/relu.rs is missing",
            "kernels/relu_6.cu: its room src/ops/relu_6.rs is missing",
            "kernels/relu_6.cu: its room benches/ops/relu_6.rs is missing",
        ]
    );
}
