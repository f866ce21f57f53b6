//! The commands that use an encoder, as a user runs them: embed, eval, export; and kernels and doctor.
use selfsame::{
    Device,
    interop::{
        Existing, torchvision,
        weights::{self, Array},
    },
    nn::{Architecture, Layout, Params, ResNet, Stem},
};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

/// A tiny network with its first values, as a file.
fn weights_in(folder: &Path) -> PathBuf {
    let mut layout = Layout::default();
    ResNet::new(&mut layout, Architecture::Tiny, Stem::Cifar, 1);
    let params = Params::new(&Device::cpu(), &Arc::new(layout), 5).unwrap();
    let layout = params.layout();
    let (values, statistics) = (
        params.values.to_vec().unwrap(),
        params.statistics.to_vec().unwrap(),
    );
    let mut tensors = Vec::new();
    for (entries, flat) in [
        (layout.parameters(), &values),
        (layout.statistics(), &statistics),
    ] {
        for entry in entries {
            let values = flat[entry.offset..][..entry.len()].to_vec();
            tensors.push((entry.name.clone(), Array::new(entry.shape.clone(), values)));
        }
    }
    let path = folder.join("w.safetensors");
    torchvision::write(&path, &tensors, 3, &HashMap::new(), Existing::Refuse).unwrap();
    path
}

fn selfsame(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfsame"));
    let output = command
        .args(line.split_whitespace())
        .current_dir(folder)
        .output();
    output.expect("the program starts")
}

#[track_caller]
fn succeeds(folder: &Path, line: &str) -> String {
    let output = selfsame(folder, line);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{line}: {err}");
    out
}

/// What it says when it ends with `code`.
#[track_caller]
fn fails(folder: &Path, line: &str, code: i32) -> String {
    let output = selfsame(folder, line);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {err}");
    assert!(output.stdout.is_empty(), "{line}: {}", text(&output.stdout));
    err
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn embed_writes_a_unit_vector_for_every_image() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder);
    let line = "embed synthetic:20:32 --weights w.safetensors --device cpu --out e.npy";
    succeeds(folder, line);
    let npy = fs::read(folder.join("e.npy")).unwrap();
    let values: Vec<f32> = npy[128..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(values.len(), 20 * 128);
    for row in values.chunks_exact(128) {
        let length: f32 = row.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    let ids = fs::read_to_string(folder.join("e.ids.csv")).unwrap();
    assert_eq!(ids.lines().count(), 21);
    assert!(ids.starts_with("row,path,label\n0,synthetic:0,"), "{ids}");

    let refused = fails(folder, line, 2);
    assert!(
        refused.contains("e.npy exists") && refused.contains("--force"),
        "{refused}"
    );
    succeeds(folder, &format!("{line} --force --raw"));
    let raw = fs::read(folder.join("e.npy")).unwrap();
    assert_eq!(raw.len(), npy.len());
    assert_ne!(raw, npy);
}

#[test]
fn export_of_an_export_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = weights_in(folder);
    let python = succeeds(
        folder,
        "export --weights w.safetensors --device cpu --to torchvision --out x.safetensors",
    );
    assert!(
        python.contains("load_state_dict(load_file(\"x.safetensors\"))"),
        "{python}"
    );
    let [first, second] =
        [first, folder.join("x.safetensors")].map(|path| weights::read(&path).unwrap());
    assert_eq!(first.arrays, second.arrays);
    assert_eq!(second.notes["arch"], "tiny");
    let refused = fails(
        folder,
        "export --weights w.safetensors --device cpu --to torchvision --out x.safetensors",
        2,
    );
    assert!(refused.contains("--force"), "{refused}");
}

#[test]
fn eval_says_how_good_the_features_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder);
    let images = "--weights w.safetensors --device cpu --train synthetic:200:32 --val synthetic-val:60:32 --json";
    let json = |line: &str| -> serde_json::Value {
        serde_json::from_str(&succeeds(folder, line)).unwrap()
    };
    let knn = json(&format!("eval knn {images}"));
    assert_eq!((&knn["images"], &knn["bank"]), (&60.into(), &200.into()));
    let [only] = &knn["results"].as_array().unwrap()[..] else {
        panic!("{knn}")
    };
    assert_eq!(
        (&only["k"], &only["temperature"]),
        (&200.into(), &0.1.into())
    );
    assert!(
        (0.0..=100.0).contains(&only["top1"].as_f64().unwrap()),
        "{knn}"
    );
    assert!(only["top1"].as_f64() <= only["top5"].as_f64());

    let linear = json(&format!("eval linear {images} --epochs 3 --lr 0.1,1"));
    assert_eq!(linear["tried"].as_array().unwrap().len(), 2);
    assert_eq!(linear["images"], 60);
}

/// Every k with every temperature, as if each had been asked for alone; what is more than the bank is
/// the bank.
#[test]
fn eval_knn_tries_every_combination_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder);
    let images =
        "--weights w.safetensors --device cpu --train synthetic:100:32 --val synthetic-val:60:32";
    let results = |more: &str| -> Vec<serde_json::Value> {
        let text = succeeds(folder, &format!("eval knn {images} --json {more}"));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["results"].as_array().unwrap().clone()
    };
    let all = results("--k 5,20,200,300 --temperature 0.07,0.5");
    assert_eq!(all.len(), 6); // 200 and 300 are both the bank's 100
    for (place, one) in [
        "5 --temperature 0.07",
        "5 --temperature 0.5",
        "20 --temperature 0.07",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(results(&format!("--k {one}")), all[place..=place]);
    }
    assert_eq!(all[5]["k"], 100);
    let table = succeeds(folder, &format!("eval knn {images} --k 5,20"));
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains("top-1 %") && table.contains("top-5 %"));
}

#[test]
fn eval_linear_follows_a_papers_recipe_and_says_what_to_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder);
    let images =
        "--weights w.safetensors --device cpu --train synthetic:100:32 --val synthetic-val:60:32";
    let run = |more: &str| {
        let line = format!("eval linear {images} --json --epochs 3 {more}");
        let output = selfsame(folder, &line);
        let error = text(&output.stderr);
        assert!(output.status.success(), "{error}");
        let json: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
        (json, error)
    };
    let (moco, said) = run("--recipe moco");
    assert_eq!(moco["lr"], 30.0);
    assert!(said.contains("warning[recipe]: moco: rate 30"), "{said}");
    assert_eq!(moco["tried"].as_array().unwrap().len(), 0);
    let (moco, said) = run("--recipe moco --lr 0.1");
    assert_eq!(
        (&moco["lr"], said.contains("warning")),
        (&0.1.into(), false)
    );
    let (simclr, _) = run("--recipe simclr");
    assert_eq!(simclr["batch"], 100); // all there are
    let (lightly, _) = run("--recipe lightly --batch 64 --labels-fraction 0.8");
    assert_eq!(
        (&lightly["bank"], &lightly["lr"]),
        (&80.into(), &0.025.into())
    );
    let refused = fails(folder, &format!("eval linear {images} --recipe mocov4"), 2);
    assert!(refused.contains("there are search, moco"), "{refused}");
}

/// Every stage of the tiny network, a line of the figure for each file of weights.
#[test]
fn eval_layers_probes_every_stage_and_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder);
    fs::copy(folder.join("w.safetensors"), folder.join("v.safetensors")).unwrap();
    let line = "eval layers --weights w.safetensors v.safetensors --device cpu --train synthetic:60:32 --val synthetic-val:30:32 --epochs 2 --lr 0.01,0.1 --figure l.svg";
    let text = succeeds(folder, &format!("{line} --json"));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let results = json["results"].as_array().unwrap();
    assert_eq!(
        (results.len(), &results[0]["layers"]),
        (2, &results[1]["layers"])
    );
    let layers = results[0]["layers"].as_array().unwrap();
    let named: Vec<_> = layers
        .iter()
        .map(|layer| {
            (
                layer["layer"].as_str().unwrap(),
                layer["dimensions"].as_u64().unwrap(),
            )
        })
        .collect();
    // 32 pixels: maps of 16, 16, 8 and 4 pixels a side and 32 to 128 channels, pooled to 4 x 4
    let wanted = [
        ("conv1", 512),
        ("layer1", 512),
        ("layer2", 1024),
        ("layer3", 2048),
        ("avgpool", 128),
    ];
    assert_eq!(named, wanted);
    let figure = fs::read_to_string(folder.join("l.svg")).unwrap();
    assert!(figure.starts_with("<svg") && figure.contains("v.safetensors"));
    assert!(figure.contains("layer3") && figure.contains("top-1 accuracy (%)"));

    let why = fails(folder, line, 2);
    assert!(
        why.contains("l.svg exists") && why.contains("--force"),
        "{why}"
    );
    let table = succeeds(folder, &format!("{line} --force --layers layer1 avgpool"));
    assert_eq!(table.lines().count(), 2 * 4, "{table}");
    let why = fails(folder, &format!("{line} --force --layers layer9"), 2);
    assert!(why.contains("there are conv1, layer1"), "{why}");
    let why = fails(folder, &line.replace("l.svg", "l.pdf"), 2);
    assert!(why.contains("an .svg or a .png"), "{why}");
}

/// On a share of the labels, with weights that other commands read again.
#[test]
fn eval_finetune_trains_judges_and_saves() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = weights_in(folder);
    let images = "--device cpu --train synthetic:100:16 --val synthetic-val:30:16 --image-size 16";
    let line = format!(
        "eval finetune --weights w.safetensors {images} --labels-fraction 0.5 --epochs 2 --batch 16 --out tuned"
    );
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(folder, &format!("{line} --json"))).unwrap();
    assert_eq!((&json["labels"], &json["images"]), (&50.into(), &30.into()));
    assert_eq!(json["head_lr"], 0.0125); // .2 x 16 / 256
    assert!(json["top1"].as_f64() <= json["top5"].as_f64());
    let tuned = folder.join("tuned/finetuned.safetensors");
    let tuned = weights::read(&tuned).unwrap().arrays;
    assert_eq!(tuned["fc.weight"].shape.dims(), [10, 128]);
    let before = weights::read(&first).unwrap().arrays;
    assert_ne!(before["conv1.weight"].values, tuned["conv1.weight"].values);
    let saved = fs::read_to_string(folder.join("tuned/result.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&saved).unwrap(),
        json
    );

    let why = fails(folder, &line, 2);
    assert!(why.contains("finetuned.safetensors exists"), "{why}");
    let tuned = "--weights tuned/finetuned.safetensors";
    succeeds(folder, &format!("eval knn {tuned} {images} --k 5"));
}

#[test]
fn eval_without_labels_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder);
    fs::create_dir(folder.join("flat")).unwrap();
    for i in 0..3u8 {
        let pixel = [b"P6 8 8 255\n".to_vec(), vec![60 * i; 192]].concat();
        fs::write(folder.join(format!("flat/{i}.ppm")), pixel).unwrap();
    }
    let why = fails(
        folder,
        "eval knn --weights w.safetensors --device cpu --train flat --val flat",
        3,
    );
    assert!(
        why.contains("--train have no label") && why.contains("a folder a class"),
        "{why}"
    );
}

#[test]
fn weights_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let line = "embed synthetic:4 --device cpu --out e.npy --weights";
    fails(folder, &format!("{line} absent"), 6);
    fs::create_dir(folder.join("empty")).unwrap();
    let why = fails(folder, &format!("{line} empty"), 2);
    assert!(
        why.contains("neither a run") && why.contains("nor a checkpoint"),
        "{why}"
    );
    fs::write(folder.join("torch.pth"), b"PK\x03\x04").unwrap();
    let why = fails(folder, &format!("{line} torch.pth"), 6);
    assert!(why.contains("not a .pth file"), "{why}");
    assert!(!folder.join("e.npy").exists());
}

#[test]
fn kernels_and_doctor_speak_json() {
    let folder = tempfile::tempdir().unwrap();
    let rows: serde_json::Value =
        serde_json::from_str(&succeeds(folder.path(), "kernels --json")).unwrap();
    for row in rows.as_array().unwrap() {
        assert!(row["registers"].as_u64().unwrap() <= 255, "{row}");
    }
    let findings: serde_json::Value =
        serde_json::from_str(&succeeds(folder.path(), "doctor --json")).unwrap();
    let findings = findings.as_array().unwrap();
    for finding in findings {
        let warns = finding["verdict"] == "warn";
        assert_eq!(warns, finding["advice"].is_string(), "{finding}");
    }
    let help = succeeds(folder.path(), "doctor --help");
    let (_, listed) = help.split_once("one of: ").unwrap();
    let (listed, _) = listed.split_once(';').unwrap();
    let listed = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    let listed: BTreeSet<&str> = listed.split(", ").collect();
    let found = findings.iter().map(|f| f["what"].as_str().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), listed);
    let cpu = findings.iter().find(|f| f["what"] == "cpu").unwrap();
    assert_eq!(cpu["verdict"], "ok");
}
