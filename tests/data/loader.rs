//! The loader's promises: the same batches whatever the threads and the start, whole epochs, bad images.
use std::sync::Arc;
use std::time::{Duration, Instant};

use selfsame::data::crop::Filter;
use selfsame::data::{Dataset, HostBatch, Loader, Plan, Views, evaluation_batches, sampler};

use super::samples::*;

fn plan() -> Plan {
    let view = Views {
        size: 12,
        filter: Filter::Bilinear,
        cut: crops(1, (0.2, 1.0)),
        first: 0,
    };
    Plan {
        batch: 8,
        seed: 3,
        start_step: 0,
        steps: 20,
        workers: 2,
        depth: 3,
        views: vec![
            view.clone(),
            Views {
                size: 16,
                filter: Filter::Bicubic,
                first: 1,
                ..view
            },
        ],
        max_bad: 0.01,
        bad_before: 0,
    }
}

fn synthetic(images: u32) -> Arc<Dataset> {
    Arc::new(open(format!("synthetic:{images}:24")))
}

fn batches(dataset: &Arc<Dataset>, plan: Plan) -> Vec<HostBatch> {
    let loader = Loader::start(dataset.clone(), plan).unwrap();
    loader.map(Result::unwrap).collect()
}

fn assert_equal(a: &[HostBatch], b: &[HostBatch]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((a.step, a.epoch), (b.step, b.epoch));
        assert_eq!((&a.ids, &a.labels, &a.bad), (&b.ids, &b.labels, &b.bad));
        assert!(a.views == b.views, "the pixels of step {}", a.step);
    }
}

#[test]
fn any_number_of_workers_makes_the_same_batches() {
    let dataset = synthetic(50);
    let one = batches(
        &dataset,
        Plan {
            workers: 1,
            depth: 1,
            ..plan()
        },
    );
    for workers in [2, 4] {
        assert_equal(&one, &batches(&dataset, Plan { workers, ..plan() }));
    }
    let other = batches(&dataset, Plan { seed: 4, ..plan() });
    assert_ne!(one[0].ids, other[0].ids);
}

#[test]
fn a_resumed_run_sees_what_an_unbroken_one_sees() {
    let dataset = synthetic(50);
    let unbroken = batches(&dataset, plan());
    for start_step in [0, 1, 5, 6, 13, 20] {
        let resumed = batches(
            &dataset,
            Plan {
                start_step,
                ..plan()
            },
        );
        assert_equal(&unbroken[start_step as usize..], &resumed);
    }
}

/// 50 images are 6 batches of 8 an epoch; no image is twice in one, and each epoch has its own order.
#[test]
fn an_epoch_shows_each_image_at_most_once() {
    let steps = batches(&synthetic(50), plan());
    for epoch in 0..3 {
        let ids = steps
            .iter()
            .filter(|b| b.epoch == epoch)
            .flat_map(|b| &b.ids);
        let mut ids: Vec<u32> = ids.copied().collect();
        assert_eq!(ids, sampler::permutation(3, epoch, 50)[..48]);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 48);
    }
    let batch = &steps[0];
    assert_eq!(batch.labels[0], Some(batch.ids[0] % 10));
    assert_eq!(
        [batch.views[0].len(), batch.views[1].len()],
        [8 * 12 * 12 * 3, 8 * 16 * 16 * 3]
    );
    assert!(batch.views[0][..432] != batch.views[0][432..864]);
}

/// Two or four processes see together, batch by batch, what one sees: the same images in the same places, cut
/// alike, bad ones replaced alike.
#[test]
fn ranks_share_one_stream() {
    let root = tempfile::tempdir().unwrap();
    write_numbered(root.path(), 40, 16, &[7, 30]);
    let dataset = Arc::new(open(root.path()));
    let plan = Plan {
        max_bad: 0.2,
        ..plan()
    };
    let one = batches(&dataset, plan.clone());
    for world in [2, 4] {
        let ranks: Vec<Vec<HostBatch>> = (0..world)
            .map(|rank| {
                let share = sampler::Share { rank, world };
                let loader = Loader::start_share(dataset.clone(), plan.clone(), share).unwrap();
                loader.map(Result::unwrap).collect()
            })
            .collect();
        for (step, whole) in one.iter().enumerate() {
            let shares: Vec<&HostBatch> = ranks.iter().map(|rank| &rank[step]).collect();
            let ids: Vec<u32> = shares.iter().flat_map(|share| share.ids.clone()).collect();
            assert_eq!(ids, whole.ids, "step {step} of {world} ranks");
            let pixels = shares.iter().flat_map(|share| share.views[0].to_vec());
            assert!(*whole.views[0] == *pixels.collect::<Vec<u8>>());
        }
    }
    let share = sampler::Share { rank: 0, world: 3 };
    let text = Loader::start_share(dataset, plan, share).err().unwrap();
    assert!(text.to_string().contains("use --batch 9"), "{text}");
}

#[test]
fn a_batch_larger_than_the_set_is_refused() {
    let started = Loader::start(synthetic(5), plan());
    let text = started.err().unwrap().to_string();
    assert!(
        text.contains("batch of 8") && text.contains("5 images"),
        "{text}"
    );
}

#[test]
fn a_bad_image_is_replaced_and_reported() {
    let root = tempfile::tempdir().unwrap();
    write_numbered(root.path(), 40, 16, &[7]);
    let dataset = Arc::new(open(root.path()));
    let tolerant = Plan {
        max_bad: 0.1,
        ..plan()
    };
    let steps = batches(&dataset, tolerant.clone());
    let first_epoch: Vec<&HostBatch> = steps.iter().filter(|b| b.epoch == 0).collect();
    let bad: Vec<&HostBatch> = first_epoch
        .into_iter()
        .filter(|b| !b.bad.is_empty())
        .collect();
    assert_eq!(bad.len(), 1, "once an epoch");
    assert_eq!((bad[0].bad[0].index, bad[0].bad[0].bytes), (7, 15));
    assert!(bad[0].bad[0].name.ends_with("00007.png"));
    for batch in &steps {
        let mut ids = batch.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        assert!(ids.len() == 8 && !ids.contains(&7), "{ids:?}");
    }
    assert_equal(
        &steps,
        &batches(
            &dataset,
            Plan {
                workers: 4,
                ..tolerant
            },
        ),
    );
}

#[test]
fn too_many_bad_images_stop_the_run() {
    let root = tempfile::tempdir().unwrap();
    write_numbered(root.path(), 40, 16, &[7, 9]);
    let dataset = Arc::new(open(root.path()));
    let results: Vec<_> = Loader::start(dataset, plan()).unwrap().collect();
    let error = results.last().unwrap().as_ref().unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let text = error.to_string();
    assert!(
        text.contains("2 of ") && text.contains("--max-bad"),
        "{text}"
    );
    assert!(results.len() <= 6, "by the end of the set");
    assert!(results[..results.len() - 1].iter().all(Result::is_ok));
}

#[test]
fn a_set_without_one_image_is_an_error_not_a_hang() {
    let root = tempfile::tempdir().unwrap();
    write_numbered(root.path(), 16, 16, &(0..16).collect::<Vec<_>>());
    let mut loader = Loader::start(Arc::new(open(root.path())), plan()).unwrap();
    assert!(loader.next().unwrap().is_err());
    assert!(loader.next().is_none());
}

/// A dropped loader stops within a few images, not a few batches, and has joined its threads: none
/// holds the dataset any more.
#[test]
fn dropping_stops_the_work() {
    let plan = Plan {
        batch: 20_000,
        depth: 1,
        steps: 100,
        ..plan()
    };
    let dataset = Arc::new(open("synthetic:40000:64"));
    let loader = Loader::start(dataset.clone(), plan).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    let started = Instant::now();
    drop(loader);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(Arc::strong_count(&dataset), 1);
}

#[test]
fn evaluation_shows_each_good_image_once_in_order() {
    let root = tempfile::tempdir().unwrap();
    write_numbered(root.path(), 11, 16, &[0, 5]);
    let dataset = Arc::new(open(root.path()));
    let batches: Vec<_> = evaluation_batches(dataset, 16, 4, 2).unwrap().collect();
    let ids: Vec<Vec<u32>> = batches.iter().map(|batch| batch.ids.clone()).collect();
    assert_eq!(ids, [vec![1, 2, 3], vec![4, 6, 7], vec![8, 9, 10]]);
    assert_eq!(batches[1].bad[0].index, 5);
    for batch in &batches {
        let expected = batch.ids.iter().flat_map(|&id| numbered(id, 16).into_raw());
        assert!(
            batch.pixels == expected.collect::<Vec<u8>>(),
            "16 x 16 is left as it is"
        );
    }
}
