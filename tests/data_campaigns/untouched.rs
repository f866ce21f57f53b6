//! What is the user's stays as it is: no command opens an image, or anything beside it, for writing. Seen by strace
//! where it is installed; that bytes, names and times are unchanged is seen everywhere.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::{alone, images};

/// Every file and folder: its time of change, and what it holds.
fn state(folder: &Path) -> Vec<(PathBuf, SystemTime, Vec<u8>)> {
    let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let mut found = vec![(folder.to_owned(), modified(folder), Vec::new())];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(state(&path)),
            false => found.push((path.clone(), modified(&path), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

/// Calls that change a file, as strace writes them.
fn changes(line: &str) -> bool {
    let opens = line.contains("open(") || line.contains("openat(");
    let written = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"];
    match opens {
        true => written.iter().any(|flag| line.contains(flag)),
        false => !line.contains("exited with") && !line.contains("+++"),
    }
}

#[test]
fn no_command_opens_an_image_for_writing() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let user = root.path().join("users-images");
    for (number, image) in images().iter().chain(&images()).enumerate() {
        let folder = user.join(["a", "b"][number % 2]);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{number}.jpg")), image).unwrap();
    }
    fs::write(user.join("a/broken.jpg"), b"\xff\xd8\xff\xe0").unwrap();
    let before = state(&user);
    let traced = Command::new("strace").arg("-V").output().is_ok();
    if !traced {
        eprintln!("strace is not installed: only the files themselves are compared");
    }
    let of = |name: &str| root.path().join(name).to_str().unwrap().to_string();
    let (images, run) = (of("users-images"), of("run"));
    let tiny = "--preset tiny --batch 8 --steps 2 --max-bad 0.2 --device cpu";
    let commands = [
        format!("check {images} --val {images} --max-bad 0.2"),
        format!(
            "pack {images} --short-side 16 --max-bad 0.2 --out {}",
            of("shards")
        ),
        format!("train {images} {tiny} --out {run}"),
        format!(
            "embed {images} --weights {run} --device cpu --out {}",
            of("e.npy")
        ),
        format!("eval knn --weights {run} --train {images} --val {images} --device cpu"),
    ];
    for command in commands {
        let log = root.path().join("strace.log");
        let binary = env!("CARGO_BIN_EXE_selfsame");
        let mut run = match traced {
            true => Command::new("strace"),
            false => Command::new(binary),
        };
        if traced {
            let calls = "trace=open,openat,creat,truncate,rename,renameat,renameat2,unlink,unlinkat,\
                         mkdir,mkdirat,link,linkat,symlink,symlinkat,chmod,fchmodat,chown,fchownat,utimensat,setxattr";
            run.args(["-f", "-qq", "-e", calls, "-o"])
                .arg(&log)
                .arg(binary);
        }
        let output = run.args(command.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}");
        if traced {
            let log = fs::read_to_string(&log).unwrap();
            let touching: Vec<&str> = log
                .lines()
                .filter(|l| l.contains("users-images/"))
                .collect();
            assert!(touching.len() > 20, "{command}: the images were read");
            let changing: Vec<_> = touching.into_iter().filter(|line| changes(line)).collect();
            assert!(changing.is_empty(), "{command}: {changing:#?}");
        }
        assert!(state(&user) == before, "{command}");
    }
}
