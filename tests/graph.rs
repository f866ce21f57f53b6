//! Graphs: what is captured runs when it is replayed, on every device, in memory nobody else is given.
mod runs;

use runs::{SMALL, Trained, photographs};
use selfsame::{
    Device, Result, Tensor,
    config::Config,
    device::{MemoryUse, Real},
    ops::{copy, ema},
    tensor::Element,
    train::stop::Stop,
};
use std::path::Path;

/// Of the same launches, at the same addresses.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    devices.extend(Device::emulated(Real::Bf16, 80));
    devices.extend(match std::env::var("SELFSAME_DEVICE").as_deref() {
        Ok("cuda") => Some(Device::cuda(0, Real::Bf16).unwrap()),
        _ => None,
    });
    devices
}

/// x (64) twice towards zero, through memory that is freed on the way.
fn quartered(x: &Tensor) -> Result<Tensor> {
    let halved = |x: &Tensor| {
        let y = copy::full(x.device(), x.shape().clone(), 0.0)?;
        ema(&y, None, x, 0.5)?;
        Ok(y)
    };
    halved(&halved(x)?)
}

#[test]
fn a_replay_runs_on_what_memory_holds_then() {
    for device in devices() {
        let x = Tensor::from_f32(&device, [64], &[8.0; 64]).unwrap();
        let before = device.work();
        let (y, graph) = device.capture(|| quartered(&x)).unwrap();
        assert_eq!(device.work(), before, "nothing has run");
        assert_eq!(graph.work().launches, 4);
        for value in [8.0, 16.0, -4.0] {
            x.overwrite(&[value; 64]).unwrap();
            graph.replay().unwrap();
            assert_eq!(y.to_vec().unwrap(), [value / 4.0; 64], "{}", device.name());
        }
        assert_eq!(device.work().launches, before.launches + 12);
    }
}

/// Tensors made between replays, of the sizes of those within the graph.
#[test]
fn a_graphs_memory_is_nobody_elses_while_it_lives() {
    for device in devices() {
        let x = Tensor::from_f32(&device, [64], &[8.0; 64]).unwrap();
        quartered(&x).unwrap(); // the pool has blocks to give
        let held = device.memory().held;
        let (y, graph) = device.capture(|| quartered(&x)).unwrap();
        if device.name() != "emulated" {
            assert_eq!(device.memory().held, held, "the pool's own blocks served");
        }
        let others: Vec<Tensor> = (0..8)
            .map(|i| Tensor::from_f32(&device, [64], &[i as f32; 64]).unwrap())
            .collect();
        graph.replay().unwrap();
        for (i, other) in others.iter().enumerate() {
            assert_eq!(other.to_vec().unwrap(), [i as f32; 64], "{}", device.name());
        }
        // What the capture gave out is the graph's even when its owner is gone.
        let address = y.ptr();
        drop(y);
        let new = || Tensor::uninit(&device, Element::F32, [64]).unwrap();
        let others: Vec<Tensor> = (0..8).map(|_| new()).collect();
        assert!(others.iter().all(|other| other.ptr() != address));
        graph.replay().unwrap();
    }
}

#[test]
fn a_dropped_graph_gives_its_memory_back() {
    for device in devices() {
        let x = Tensor::from_f32(&device, [64], &[8.0; 64]).unwrap();
        let before = device.memory().used;
        let (y, graph) = device.capture(|| quartered(&x)).unwrap();
        let block = y.ptr();
        graph.replay().unwrap();
        assert!(device.memory().used > before + 256);
        drop(graph);
        assert_eq!(device.memory().used, before + 256, "that of y");
        assert_eq!(y.to_vec().unwrap(), [2.0; 64], "y outlives its graph");
        drop(y);
        assert_eq!(device.memory().used, before);
        if device.name() != "emulated" {
            let again = Tensor::uninit(&device, Element::F32, [64]).unwrap();
            assert_eq!(again.ptr(), block, "last freed, first out");
        }
    }
}

/// What a body frees, but did not make, its launches still read in every replay.
#[test]
fn what_a_capture_consumes_is_kept_for_its_replays() {
    for device in devices() {
        let x = Tensor::from_f32(&device, [64], &[8.0; 64]).unwrap();
        let consume = || {
            let y = quartered(&x)?;
            drop(x);
            quartered(&y)
        };
        let (y, graph) = device.capture(consume).unwrap();
        for _ in 0..2 {
            graph.replay().unwrap();
            assert_eq!(y.to_vec().unwrap(), [0.5; 64], "{}", device.name());
        }
    }
}

#[test]
fn a_capture_holds_launches_only_and_ends_with_its_error() {
    for device in devices() {
        let x = Tensor::from_f32(&device, [64], &[8.0; 64]).unwrap();
        let used = device.memory().used;
        let error = device.capture(|| quartered(&x)?.to_vec()).err().unwrap();
        assert!(error.to_string().contains("download"), "{error}");
        assert!(error.to_string().contains("being captured"), "{error}");
        let upload = || x.overwrite(&[1.0f32; 64]);
        let error = device.capture(upload).err().unwrap();
        assert!(error.to_string().contains("upload"), "{error}");
        assert_eq!(device.memory().used, used);
        let y = quartered(&x).unwrap(); // launched at once, as before
        assert_eq!(y.to_vec().unwrap(), [2.0; 64]);
    }
}

#[test]
fn the_null_device_counts_what_is_replayed() {
    let device = Device::null(Real::Bf16);
    let x = Tensor::from_f32(&device, [64], &[8.0; 64]).unwrap();
    let (_, graph) = device.capture(|| quartered(&x)).unwrap();
    let before = device.work();
    graph.replay().unwrap();
    let mut expected = before;
    expected += graph.work();
    assert_eq!(device.work(), expected);
}

fn config(images: &str, assignments: &[&str]) -> Config {
    runs::config("tiny", images, assignments)
}

/// In `folder` from its newest checkpoint, if there is one, to before `stop` or the end.
fn train(folder: &Path, device: &Device, config: &Config, stop: Stop) -> Trained {
    runs::train_on(device, folder, config, &stop).unwrap()
}

fn whole(device: &Device, config: &Config) -> Trained {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), device, config, Stop::never())
}

fn same(a: &Trained, b: &Trained) -> bool {
    a.state == b.state && a.numbers == b.numbers
}

#[test]
fn replayed_steps_are_eager_ones_bit_for_bit() {
    let photographs = photographs();
    for images in [SMALL, photographs.path().to_str().unwrap()] {
        let with = |graph: &str| config(images, &[graph]);
        let eager = whole(&Device::cpu(), &with("engine.graph=off"));
        let replayed = whole(&Device::cpu(), &with("engine.graph=on"));
        assert_eq!(eager.numbers.len(), 9);
        assert_eq!(eager.numbers, replayed.numbers, "{images}");
        assert!(same(&eager, &replayed), "{images}: the state differs");

        // Stopped among the replays, resumed, stopped again before there are any.
        let folder = tempfile::tempdir().unwrap();
        let resumed = [5, 7, 100].map(|stop| {
            let config = with("engine.graph=on");
            train(folder.path(), &Device::cpu(), &config, Stop::before(stop))
        });
        assert!(
            same(&eager, &resumed[2]),
            "{images}: the resumed state differs"
        );
    }
}

#[test]
fn replayed_steps_are_eager_ones_on_the_emulator() {
    for device in devices().into_iter().filter(|d| d.name() != "cpu") {
        let with = |graph: &str| {
            let small = [
                "encoder.image_size=8",
                "schedule.batch=2",
                "schedule.steps=4",
            ];
            config("synthetic:6:16", &[&small[..], &[graph]].concat())
        };
        let eager = whole(&device, &with("engine.graph=off"));
        let replayed = whole(&device, &with("engine.graph=on"));
        assert_eq!(eager.numbers.len(), 4);
        assert!(same(&eager, &replayed), "{}", device.name());
    }
}

/// However many steps a run has, it holds what its first few asked for.
#[test]
fn memory_is_flat_after_the_warm_up() {
    let memory = |graph: &str, steps: &str| -> MemoryUse {
        let device = Device::cpu();
        whole(&device, &config(SMALL, &[graph, steps]));
        device.memory()
    };
    let eager = memory("engine.graph=off", "schedule.steps=3");
    assert_eq!(eager, memory("engine.graph=off", "schedule.steps=23"));
    let replayed = memory("engine.graph=on", "schedule.steps=3");
    assert_eq!(replayed, memory("engine.graph=on", "schedule.steps=23"));
    assert_eq!(replayed.held, eager.held, "the pool's own blocks served");
    assert!(
        replayed.peak > eager.peak,
        "a graph's memory is in use as a whole"
    );
    assert_eq!((eager.used, replayed.used), (0, 0), "all of it came back");
}
