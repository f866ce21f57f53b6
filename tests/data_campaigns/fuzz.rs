//! Every file that is read, damaged: an error or an answer, never a panic, and under 1 GiB of memory. What is
//! checked by a checksum is damaged under a new one as well, so that what lies behind it is reached.
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selfsame::config::Layers;
use selfsame::data::{Dataset, Packing, decode, pack};
use selfsame::interop::weights;
use selfsame::train::checkpoint::{self, Meta, Numbers, Saved, Stamp, State};
use xxhash_rust::xxh3::xxh3_64;

use super::{alone, images, memory, mutate::mutated};

const SHORT: Duration = Duration::from_millis(800);
const LONG: Duration = Duration::from_secs(60);

/// Gives `read` damaged copies of `valid` for `time`.
fn attack(name: &str, time: Duration, valid: &[Vec<u8>], mut read: impl FnMut(Vec<u8>)) {
    let began = Instant::now();
    let (mut number, mut longest) = (0, Duration::ZERO);
    while began.elapsed() < time {
        let bytes = mutated(valid, number);
        let started = Instant::now();
        let attempt = std::panic::AssertUnwindSafe(|| read(bytes));
        let survived = std::panic::catch_unwind(attempt).is_ok();
        assert!(survived, "{name}: input {number} of mutate::mutated panics");
        longest = longest.max(started.elapsed());
        number += 1;
    }
    let most = memory("VmHWM");
    eprintln!(
        "{name}: {number} inputs in {time:.1?}, the longest {longest:.1?}, memory at the most {} MB",
        most >> 20
    );
    assert!(longest < Duration::from_secs(5), "{name}: {longest:?}");
    assert!(most < 1 << 30, "{name}: {most} bytes");
}

/// Opens what `spec` names and decodes all of it.
fn take(spec: &str) {
    if let Ok(dataset) = Dataset::open(&[spec.to_string()], 0) {
        for index in 0..dataset.len() {
            let _ = (
                dataset.name(index),
                dataset.label(index),
                dataset.decode(index),
            );
        }
        let _ = dataset.common_size();
    }
}

fn spec(path: &Path) -> String {
    path.to_str().unwrap().into()
}

fn image_files(time: Duration) {
    attack("image", time, &images(), |bytes| {
        let _ = (decode::decode(&bytes), decode::dimensions(&bytes));
    });
}

fn tar_files(time: Duration) {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.tar");
    let mut tar = tar::Builder::new(Vec::new());
    for (number, image) in images().iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(image.len() as u64);
        header.set_cksum();
        let long = "x".repeat(if number == 3 { 150 } else { 3 });
        tar.append_data(&mut header, format!("class/{long}{number}.jpg"), &image[..])
            .unwrap();
    }
    let valid = [tar.into_inner().unwrap()];
    attack("tar", time, &valid, |bytes| {
        fs::write(&file, bytes).unwrap();
        take(&spec(&file));
    });
}

fn list_files(time: Duration) {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.jpg"), &images()[0]).unwrap();
    fs::write(root.path().join("b,c.jpg"), &images()[1]).unwrap();
    let file = root.path().join("list.txt");
    let valid = [b"a.jpg\tcat\nb,c.jpg\n\na.jpg,dog\n".to_vec()];
    attack("list", time, &valid, |bytes| {
        fs::write(&file, bytes).unwrap();
        take(&format!("@{}", file.display()));
    });
}

fn shard_files(time: Duration) {
    let root = tempfile::tempdir().unwrap();
    let (source, out) = (root.path().join("images"), root.path().join("shards"));
    for (number, image) in images().iter().enumerate() {
        let folder = source.join(["a", "b"][number % 2]);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{number}.jpg")), image).unwrap();
    }
    let how = Packing {
        short_side: 64,
        quality: 90,
        images_per_shard: 100,
    };
    let dataset = Arc::new(Dataset::open(&[spec(&source)], 0).unwrap());
    pack(&dataset, &out, &how, 1, 0.0, |_| ()).unwrap();
    let files = [out.join("shard-00000.shard"), out.join("shards.index")];
    let honest = files.each_ref().map(|file| fs::read(file).unwrap());
    for (at, seal) in [
        (0, sealed_shard as fn(Vec<u8>) -> Vec<u8>),
        (1, sealed_index),
    ] {
        let name = ["shard", "index of shards"][at];
        attack(name, time / 2, &honest[at..=at], |bytes| {
            fs::write(&files[at], &bytes).unwrap();
            take(&spec(&out));
            fs::write(&files[at], seal(bytes)).unwrap();
            take(&spec(&out));
        });
        fs::write(&files[at], &honest[at]).unwrap();
    }
    assert_eq!(
        Dataset::open(&[spec(&out)], 0).unwrap().len(),
        dataset.len()
    );
}

/// With checksums that fit its header and its table.
fn sealed_shard(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() < 48 {
        return bytes;
    }
    let at = u64::from_le_bytes(bytes[16..24].try_into().unwrap()).min(bytes.len() as u64);
    let table = xxh3_64(&bytes[at as usize..]);
    let length = bytes.len() as u64 - at;
    bytes[24..32].copy_from_slice(&length.to_le_bytes());
    bytes[32..40].copy_from_slice(&table.to_le_bytes());
    let header = xxh3_64(&bytes[..40]);
    bytes[40..48].copy_from_slice(&header.to_le_bytes());
    bytes
}

fn sealed_index(bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let json = &bytes[end.map_or(0, |end| end + 1)..];
    let first = format!("selfsame-shards 1 {:016x}\n", xxh3_64(json));
    [first.as_bytes(), json].concat()
}

fn state() -> State {
    let saved = |numbers, shape: &[usize]| Saved {
        shape: shape.to_vec(),
        numbers,
    };
    State::from([
        ("a".into(), saved(Numbers::F32(vec![1.0; 6]), &[2, 3])),
        ("b".into(), saved(Numbers::U32(vec![7; 4]), &[4])),
        ("c".into(), saved(Numbers::U8(vec![3; 5]), &[5])),
    ])
}

fn checkpoints(time: Duration) {
    let root = tempfile::tempdir().unwrap();
    let stamp = Stamp {
        step: 5,
        config: 1,
        dataset: 2,
        images: 3,
        bad: 0,
    };
    let folder = checkpoint::write(root.path(), &stamp, &state(), 3).unwrap();
    let (meta_file, state_file) = (folder.join("meta.json"), folder.join("state.safetensors"));
    let (meta, state) = (
        fs::read(&meta_file).unwrap(),
        fs::read(&state_file).unwrap(),
    );
    let honest: Meta = checkpoint::read(&folder).unwrap().0;
    attack(
        "checkpoint's meta",
        time / 2,
        std::slice::from_ref(&meta),
        |bytes| {
            fs::write(&meta_file, bytes).unwrap();
            let _ = (checkpoint::read(&folder), checkpoint::newest(root.path()));
        },
    );
    attack("checkpoint's state", time / 2, &[state], |bytes| {
        let meta = Meta {
            state_bytes: bytes.len() as u64,
            state_xxh3: format!("{:016x}", xxh3_64(&bytes)),
            ..honest.clone()
        };
        let seal = format!("{:016x}", xxh3_64(&serde_json::to_vec(&meta).unwrap()));
        let sealed = serde_json::json!({ "meta": meta, "xxh3": seal });
        fs::write(&meta_file, sealed.to_string()).unwrap();
        fs::write(&state_file, bytes).unwrap();
        let _ = checkpoint::read(&folder);
    });
}

fn safetensors_files(time: Duration) {
    let root = tempfile::tempdir().unwrap();
    let folder = checkpoint::write(
        root.path(),
        &Stamp {
            step: 1,
            config: 1,
            dataset: 1,
            images: 1,
            bad: 0,
        },
        &state(),
        1,
    );
    let valid = [fs::read(folder.unwrap().join("state.safetensors")).unwrap()];
    let file = root.path().join("w.safetensors");
    attack("safetensors", time, &valid, |bytes| {
        fs::write(&file, bytes).unwrap();
        let _ = weights::read(&file);
    });
}

fn configurations(time: Duration) {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("config.toml");
    let mut layers = Layers::default();
    layers.preset("tiny").unwrap();
    let valid = [layers.read().to_toml().into_bytes()];
    attack("configuration", time, &valid, |bytes| {
        fs::write(&file, bytes).unwrap();
        let mut layers = Layers::default();
        if layers.file(&file).is_ok() {
            let _ = layers.finish();
        }
    });
}

const TARGETS: [fn(Duration); 7] = [
    image_files,
    tar_files,
    list_files,
    shard_files,
    checkpoints,
    safetensors_files,
    configurations,
];

#[test]
fn damaged_files_never_escape() {
    let _alone = alone();
    TARGETS.iter().for_each(|target| target(SHORT));
}

#[test]
#[ignore = "a campaign: 60 seconds a kind of file"]
fn damaged_files_never_escape_for_a_minute_each() {
    let _alone = alone();
    TARGETS.iter().for_each(|target| target(LONG));
}
